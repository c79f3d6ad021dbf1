//! Settings that every service has, and how settings are read: flags or the environment, parsed once
//! by clap, each from a file as well (`NAME_FILE`, as secrets are mounted), and one line that names
//! what is missing.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, ValueEnum};
use secrecy::SecretString;
use url::Url;

use crate::auth::AuthSettings;
use crate::aws::AwsSettings;
use crate::telemetry::{Levels, Propagator, Ratio, SamplerName};

/// Settings that every service has.
#[derive(Args, Clone, Debug)]
pub struct CommonSettings {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "BIND", default_value = "127.0.0.1:8080")]
    pub bind: SocketAddr,
    /// Serves on the listening socket that is standard input, in place of `BIND`. The supervisor keeps the socket and hands it
    /// to the next process too, so that no connection is refused in between. systemd calls it `StandardInput=socket`.
    #[arg(long, env = "BIND_STDIN", default_value_t = false, action = clap::ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new())]
    pub bind_stdin: bool,
    /// Datagram socket that receives `READY=1` once the service takes requests, as systemd has it for `Type=notify`.
    #[arg(long, env = "NOTIFY_SOCKET")]
    pub notify_socket: Option<PathBuf>,
    /// Time at a stop in which clients close their idle connections. Longer than the gateway keeps an idle one (4 s), so
    /// that no request arrives on a connection that is being closed. With `BIND`, new connections are accepted meanwhile.
    /// Part of `SHUTDOWN_S`.
    #[arg(long, env = "LINGER_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub linger_ms: u64,
    /// Threads that serve requests. When unset, one for each core.
    #[arg(long, env = "WORKERS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Limit for requests and messages under way at a stop.
    #[arg(long, env = "SHUTDOWN_S", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub shutdown_s: u64,
    /// Time-out for the head of a request, and after it for the body. Longer than the gateway's time-out for a response (15 s),
    /// so that the gateway's 504 reports an overloaded service, and not an empty 408.
    #[arg(long, env = "REQUEST_TIMEOUT_MS", hide = true, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=300_000))]
    pub request_timeout_ms: u64,
    /// Adds the headers `X-Consumed-RCU`, `X-Consumed-WCU` and `X-Round-Trips` to each response.
    #[arg(long, env = "EXPOSE_CAPACITY", default_value_t = false, action = clap::ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new())]
    pub expose_capacity: bool,
    /// Keys of list cursors, at least 32 characters each, separated by commas. The first signs, all verify.
    #[arg(long, env = "CURSOR_KEYS", hide_env_values = true)]
    pub cursor_keys: SecretString,
    /// EventBridge bus to which events are published.
    #[arg(long, env = "EVENT_BUS")]
    pub event_bus: String,
    /// Currency of the shop, ISO 4217.
    #[arg(long, env = "SHOP_CURRENCY")]
    pub shop_currency: crate::money::Currency,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub auth: AuthSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub aws: AwsSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub telemetry: TelemetrySettings,
}

/// Logs, traces and metrics, and their receivers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetrySettings {
    /// Log levels by module, such as `info,product_service=debug`. A file named by `LOG_LEVEL_FILE` is read again at each
    /// SIGHUP.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: Levels,
    /// Format of log lines.
    #[arg(long, env = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// OTLP collector, over HTTP, that receives traces and metrics. When unset, none are exported.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Url>,
    /// Sampler of traces. With the prefix `parentbased_` it follows the decision in the caller's `traceparent` where there
    /// is one.
    #[arg(long, env = "OTEL_TRACES_SAMPLER", default_value = "parentbased_always_on")]
    pub otel_traces_sampler: SamplerName,
    /// Share of traces, from 0 to 1, for `traceidratio` and `parentbased_traceidratio`.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1")]
    pub otel_traces_sampler_arg: Ratio,
    /// Formats of trace headers, separated by commas. All are sent; of several received, the last one named counts. With
    /// `xray`, trace ids begin with the time, as X-Ray requires. `baggage` passes the caller's entries on to other services
    /// and to the payment provider.
    #[arg(
        long,
        env = "OTEL_PROPAGATORS",
        default_value = "tracecontext",
        value_delimiter = ','
    )]
    pub otel_propagators: Vec<Propagator>,
    /// Address that serves the metrics to Prometheus, at `/metrics`. When unset, none are served. It has no access
    /// control: use an internal network, and another address than `BIND`.
    #[arg(long, env = "METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text for people.
    Text,
}

/// Reads settings from these arguments and the environment, or ends the process: with the help or the version where that
/// was asked for, else with status 2 and one line that names the setting.
#[must_use]
pub fn parse<S: Parser>(arguments: Vec<OsString>) -> S {
    match try_parse(arguments) {
        Ok(settings) => settings,
        Err(Refused::Asked(error)) => error.exit(),
        Err(refused) => {
            #[expect(
                clippy::print_stderr,
                reason = "telemetry is set up from the settings that are wrong"
            )]
            {
                eprintln!("error: {refused}");
            }
            std::process::exit(2)
        }
    }
}

/// Why the settings were refused, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Settings are missing, unknown or wrong; all of them.
    #[error("{0}")]
    Settings(String),
    /// The help or the version was asked for, and is no refusal.
    #[error("{0}")]
    Asked(clap::Error),
    /// A setting's file cannot be read.
    #[error("{name}_FILE: cannot read {file}: {fault}")]
    File {
        /// The setting.
        name: String,
        /// The file that it names.
        file: String,
        /// Why not.
        fault: std::io::Error,
    },
}

/// Reads settings from these arguments and the environment.
///
/// # Errors
/// A setting is missing, unknown or wrong, or a setting's file cannot be read.
pub fn try_parse<S: Parser>(mut arguments: Vec<OsString>) -> Result<S, Refused> {
    let command = S::command();
    let from_files = given_by_files(&command, &arguments)?;
    arguments.extend(from_files);
    S::try_parse_from(&arguments).map_err(|error| {
        if error.use_stderr() {
            Refused::Settings(all_wrong(command, &arguments, error))
        } else {
            Refused::Asked(error)
        }
    })
}

/// For every setting that is given neither by its flag nor by its variable, the text of the file that
/// `NAME_FILE` names.
#[expect(
    clippy::disallowed_methods,
    reason = "clap knows no NAME_FILE; this is the one place that reads the environment beside it"
)]
fn given_by_files(command: &clap::Command, arguments: &[OsString]) -> Result<Vec<OsString>, Refused> {
    let mut found = Vec::new();
    for arg in command.get_arguments() {
        let (Some(name), Some(flag)) = (arg.get_env().and_then(|n| n.to_str()), arg.get_long()) else {
            continue;
        };
        let Some(file) = std::env::var_os(format!("{name}_FILE")) else {
            continue;
        };
        if std::env::var_os(name).is_some() || has_flag(arguments, flag) {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|fault| Refused::File {
            name: name.to_owned(),
            file: file.to_string_lossy().into_owned(),
            fault,
        })?;
        found.push(format!("--{flag}={}", text.trim_end()).into());
    }
    Ok(found)
}

fn has_flag(arguments: &[OsString], flag: &str) -> bool {
    let mut given = arguments
        .iter()
        .filter_map(|argument| argument.to_str()?.strip_prefix("--"));
    given.any(|given| given.split('=').next() == Some(flag))
}

/// clap stops at the first value that is wrong; so it is asked again without that setting's rule.
fn all_wrong(mut command: clap::Command, arguments: &[OsString], first: clap::Error) -> String {
    let mut told = vec![one_line(&command, &first)];
    let (mut error, mut known) = (first, Vec::new());
    while matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation)
        && let Some(wrong) = named(&error).first().and_then(|name| argument(&command, name))
        && !known.contains(wrong.get_id())
    {
        let id = wrong.get_id().clone();
        command = command.mut_arg(&id, |arg| arg.value_parser(clap::builder::ValueParser::os_string()));
        known.push(id);
        match command.clone().try_get_matches_from(arguments) {
            Ok(_) => break,
            Err(next) => {
                told.push(one_line(&command, &next));
                error = next;
            }
        }
    }
    told.join("; ")
}

/// clap's own text has several lines and names flags; a deployment sets variables.
fn one_line(command: &clap::Command, error: &clap::Error) -> String {
    let named: Vec<_> = named(error).iter().map(|one| as_setting(command, one)).collect();
    let names = named.join(", ");
    if error.kind() == ErrorKind::MissingRequiredArgument {
        return format!("missing setting: {names} (see --help)");
    }
    let text = error.to_string();
    let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    if names.is_empty() {
        why.to_owned()
    } else {
        format!("setting {names}: {why}")
    }
}

/// The arguments that an error is about, such as `--event-bus <EVENT_BUS>`.
fn named(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::InvalidArg) {
        Some(clap::error::ContextValue::String(one)) => vec![one.clone()],
        Some(clap::error::ContextValue::Strings(many)) => many.clone(),
        Some(_) | None => Vec::new(),
    }
}

fn flag(argument: &str) -> &str {
    let flag = argument.split([' ', '=']).next().unwrap_or_default();
    flag.trim_start_matches('-')
}

fn argument<'a>(command: &'a clap::Command, named: &str) -> Option<&'a clap::Arg> {
    command
        .get_arguments()
        .find(|known| known.get_long() == Some(flag(named)))
}

/// `--event-bus <EVENT_BUS>` is the setting `EVENT_BUS`.
fn as_setting(command: &clap::Command, named: &str) -> String {
    let variable = argument(command, named).and_then(|known| known.get_env());
    match variable.and_then(|name| name.to_str()) {
        Some(name) => name.to_owned(),
        None => flag(named).replace('-', "_").to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Debug, Parser)]
    struct Some {
        #[arg(long, env = "CONFIG_TEST_TABLE")]
        table: String,
        #[arg(long, default_value_t = 3)]
        count: u8,
        #[arg(long, default_value = "1")]
        share: Ratio,
        #[arg(long, env = "CONFIG_TEST_SECRET", hide_env_values = true)]
        secret: SecretString,
    }

    fn parsed(arguments: &[&str]) -> Result<Some, String> {
        let arguments = ["some"].iter().chain(arguments).map(OsString::from).collect();
        try_parse(arguments).map_err(|refused| refused.to_string())
    }

    #[test]
    fn what_is_missing_is_named_in_one_line() {
        assert_eq!(
            parsed(&[]).unwrap_err(),
            "missing setting: CONFIG_TEST_TABLE, CONFIG_TEST_SECRET (see --help)"
        );
    }

    #[test]
    fn what_is_wrong_is_named_in_one_line() {
        let refused = parsed(&["--table=t", "--secret=s", "--count=many"]).unwrap_err();
        assert!(
            refused.starts_with("setting COUNT: ") && !refused.contains('\n'),
            "{refused}"
        );
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let refused = parsed(&["--table=t", "--count=many", "--share=half"]).unwrap_err();
        let parts: Vec<_> = refused.split("; ").collect();
        assert_eq!(parts.len(), 3, "{refused}");
        assert!(
            parts[0].starts_with("setting COUNT: ") && parts[1].starts_with("setting SHARE: "),
            "{refused}"
        );
        assert_eq!(parts[2], "missing setting: CONFIG_TEST_SECRET (see --help)");
    }

    #[test]
    fn a_flag_is_found_however_its_value_is_given() {
        let arguments = ["some", "--table", "t", "--count=3"].map(OsString::from);
        assert!(has_flag(&arguments, "table") && has_flag(&arguments, "count"));
        assert!(!has_flag(&arguments, "t") && !has_flag(&arguments, "secret"));
    }

    #[test]
    fn flags_are_taken() {
        let some = parsed(&["--table=t", "--secret=s", "--count=4"]).unwrap();
        assert_eq!(
            (some.table.as_str(), some.count, some.share, some.secret.expose_secret()),
            ("t", 4, "1".parse().unwrap(), "s")
        );
    }
}
