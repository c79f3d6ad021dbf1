//! Tables of `docs/configuration.md`, rendered from the definitions by which clap reads the settings.
//!
//! Each program's tests compare its own section, and `UPDATE_CHECKED_IN=1` rewrites it. The text between the sections is
//! written by hand.

use std::collections::HashSet;
use std::path::Path;

use clap::{Arg, Args, Command};

use super::assert_checked_in;
use crate::config::CommonSettings;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const HEAD: &str = "| setting | default | unit | values | meaning |\n| --- | --- | --- | --- | --- |\n";
const END: &str = "<!-- end of settings -->";

/// Compares the section of the settings that every service has.
///
/// # Panics
/// The document is stale, or has no such section.
pub fn assert_common_documented() {
    assert_section("all services", &common());
}

/// Compares the section of a service: its settings other than those that every service has.
///
/// # Panics
/// The document is stale, or has no such section.
pub fn assert_service_documented(service: &str, command: Command) {
    let common: HashSet<String> = common().into_iter().collect();
    let mut own = rows(command);
    // By the whole row: a service that changes a default or a range shows it in its own section.
    own.retain(|row| !common.contains(row));
    assert_section(service, &own);
}

/// Compares the section of a program that is no service.
///
/// # Panics
/// The document is stale, or has no such section.
pub fn assert_documented(program: &str, command: Command) {
    assert_section(program, &rows(command));
}

fn common() -> Vec<String> {
    rows(CommonSettings::augment_args(Command::new("common")))
}

#[expect(clippy::panic, reason = "that is how a test fails")]
fn assert_section(section: &str, rows: &[String]) {
    let file = Path::new(DOCUMENT);
    let document = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let now = replaced(&document, section, rows).unwrap_or_else(|| panic!("{DOCUMENT} has no settings of {section}"));
    assert_checked_in(file, &now);
}

/// The document with these rows in its section.
fn replaced(document: &str, section: &str, rows: &[String]) -> Option<String> {
    let begin = format!("<!-- settings of {section}: generated -->\n");
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{HEAD}{}\n{END}{after}", rows.concat()))
}

/// One table row for each argument, in the order of `--help`.
fn rows(command: Command) -> Vec<String> {
    command.get_arguments().map(|arg| row(&command, arg)).collect()
}

fn row(command: &Command, arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    let meaning = help.unwrap_or_default().replace('|', "\\|");
    let meaning: Vec<_> = meaning.split_whitespace().collect();
    format!(
        "| {} | {} | {} | {} | {} |\n",
        name(arg),
        default(arg),
        unit(&arg.get_id().as_str().to_uppercase()),
        values(command, arg),
        meaning.join(" ")
    )
}

/// The variable; also the flag where that is not the variable's name in lower case with hyphens.
fn name(arg: &Arg) -> String {
    let variable = arg.get_env().and_then(|name| name.to_str());
    match (variable, arg.get_long()) {
        (Some(variable), Some(flag)) if variable.to_lowercase().replace('_', "-") != flag => {
            format!("`{variable}`, `--{flag}`")
        }
        (Some(variable), _) => format!("`{variable}`"),
        (None, Some(flag)) => format!("`--{flag}`"),
        (None, None) => format!("`-- {arg}`"),
    }
}

fn default(arg: &Arg) -> String {
    let values: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    match (values.is_empty(), arg.is_required_set()) {
        (false, _) => format!("`{}`", values.join(",")),
        (true, true) => "required".to_owned(),
        (true, false) => "unset".to_owned(),
    }
}

/// Returns the unit, which is the end of the name of each setting that has one.
fn unit(id: &str) -> &'static str {
    const UNITS: [(&str, &str); 4] = [("_PER_S", "1/s"), ("_MS", "ms"), ("_S", "s"), ("_MIB", "MiB")];
    UNITS
        .iter()
        .find(|(end, _)| id.ends_with(end))
        .map_or("", |(_, unit)| unit)
}

fn values(command: &Command, arg: &Arg) -> String {
    if arg.is_hide_env_values_set() {
        return "secret".to_owned();
    }
    let named = arg.get_possible_values();
    let named: Vec<_> = named.iter().filter(|value| !value.is_hide_set()).collect();
    if named.is_empty() {
        return range(command, arg).unwrap_or_default();
    }
    let named: Vec<_> = named.iter().map(|value| format!("`{}`", value.get_name())).collect();
    named.join(", ")
}

/// The range of a number, unless it is that of the number's type.
///
/// clap has no accessor for it, but its refusal of a number outside states it.
fn range(command: &Command, arg: &Arg) -> Option<String> {
    let beyond = format!("--{}={}", arg.get_long()?, i64::MAX);
    let refusal = command.clone().try_get_matches_from(["", &beyond]).err()?.to_string();
    let (_, range) = refusal.split_once(" is not in ")?;
    let (from, to) = range.lines().next()?.split_once("..=")?;
    let whole_type = from == "0"
        && [u64::from(u16::MAX), u64::from(u32::MAX)]
            .iter()
            .any(|max| max.to_string() == to);
    (!whole_type).then(|| format!("{from} to {to}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, ValueEnum};

    use super::*;

    #[derive(Clone, ValueEnum)]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Parser)]
    struct Sample {
        /// Time-out of one call.
        #[arg(long, env = "SAMPLE_CALL_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
        sample_call_ms: u64,
        /// Name of the table|view.
        #[arg(long, env = "SAMPLE_TABLE")]
        sample_table: String,
        /// Key of the provider.
        #[arg(long, env = "SAMPLE_KEY", hide_env_values = true)]
        sample_key: Option<String>,
        /// Colour of the lines
        /// that are drawn.
        #[arg(long, env = "SAMPLE_COLOUR", default_value = "red")]
        line_colour: Colour,
        /// Port of the listener.
        #[arg(long, default_value_t = 9)]
        port: u16,
    }

    #[test]
    fn rows_state_default_unit_values_and_meaning() {
        assert_eq!(
            rows(Sample::command()),
            [
                "| `SAMPLE_CALL_MS` | `2000` | ms | 10 to 30000 | Time-out of one call |\n",
                "| `SAMPLE_TABLE` | required |  |  | Name of the table\\|view |\n",
                "| `SAMPLE_KEY` | unset |  | secret | Key of the provider |\n",
                "| `SAMPLE_COLOUR`, `--line-colour` | `red` |  | `red`, `green` | Colour of the lines that are drawn |\n",
                "| `--port` | `9` |  |  | Port of the listener |\n",
            ]
        );
    }

    #[test]
    fn section_is_replaced_and_surroundings_are_kept() {
        let document = format!("a\n<!-- settings of x: generated -->\nold\n{END}\nb\n");
        let now = replaced(&document, "x", &["| row |\n".to_owned()]).unwrap();
        assert_eq!(
            now,
            format!("a\n<!-- settings of x: generated -->\n\n{HEAD}| row |\n\n{END}\nb\n")
        );
        assert_eq!(replaced(&document, "y", &[]), None);
    }
}
