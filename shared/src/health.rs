//! `/livez` (the process answers) and `/readyz` (what it needs answers too), and the subcommand
//! `healthcheck`, by which a container without a shell asks the latter.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, ResponseError, web};
use anyhow::{Context, ensure};
use clap::Parser;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::problem::Problem;
use crate::server::leave::Leave;

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync;

/// Asks what the service cannot do without, at most once a second however many ask.
#[derive(Clone)]
pub struct Readiness {
    probe: Arc<Probe>,
    last: Arc<Mutex<Option<Checked>>>,
    leaving: CancellationToken,
}

struct Checked {
    at: Instant,
    outcome: Result<(), String>,
}

/// What is asked again and again by those who watch over the service.
pub(crate) const PROBES: [&str; 2] = [LIVEZ, READYZ];

const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";

const FRESH: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(1);

impl Readiness {
    /// `probe` really asks: a read of a key that is not there, the queue's attributes.
    pub fn new<F>(probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            probe: Arc::new(move || Box::pin(probe())),
            last: Arc::default(),
            leaving: CancellationToken::new(),
        }
    }

    /// Not ready from `stop` on, so that whoever balances in front sends nothing new; unless others serve on
    /// the same socket, who are.
    #[must_use]
    pub fn until(mut self, stop: &CancellationToken, leave: &Leave) -> Self {
        if !leave.shared {
            self.leaving = stop.clone();
        }
        self
    }

    async fn check(&self) -> Result<(), String> {
        if self.leaving.is_cancelled() {
            return Err("stopping".to_owned());
        }
        let mut last = self.last.lock().await;
        if let Some(checked) = last.as_ref().filter(|checked| checked.at.elapsed() < FRESH) {
            return checked.outcome.clone();
        }
        let outcome = match tokio::time::timeout(DEADLINE, (self.probe)()).await {
            Ok(answered) => answered.map_err(|error| format!("{error:#}")),
            Err(_late) => Err("no answer within a second".to_owned()),
        };
        let before = last.replace(Checked {
            at: Instant::now(),
            outcome: outcome.clone(),
        });
        let was_ready = before.is_none_or(|checked| checked.outcome.is_ok());
        match &outcome {
            Err(why) if was_ready => {
                tracing::warn!(error = why, "not ready: something that this needs does not answer")
            }
            Ok(()) if !was_ready => tracing::info!("ready again"),
            // Asked every second, it would be told as often.
            Ok(()) | Err(_) => {}
        }
        outcome
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not ready: {0}")]
struct NotReady(String);

/// Registers both routes; the service's [`Readiness`] is to be in its app data.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .route(LIVEZ, web::get().to(livez))
        .route(READYZ, web::get().to(readyz));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "ok"}))
}

async fn readyz(readiness: web::Data<Readiness>) -> HttpResponse {
    match readiness.check().await {
        Ok(()) => HttpResponse::Ok().json(serde_json::json!({"status": "ready"})),
        Err(why) => Problem::unavailable(NotReady(why)).error_response(),
    }
}

/// What `--help` of a service says of [`asked`].
pub const HELP: &str = "Started with `healthcheck` and no setting but BIND it asks the service that listens there, on this \
                        machine, whether it is ready, and ends with status 0 if it is and 1 if not.";

/// Longer than [`DEADLINE`], by which the service has answered.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// More than the line that tells, and what is read of an answer at most.
const ANSWER_BYTES: u64 = 4_096;

/// Asks a service on this machine.
#[derive(Debug, Parser)]
#[command(name = "healthcheck")]
struct Healthcheck {
    /// Where it listens.
    #[arg(long, env = "BIND", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
}

/// Asks the service that runs here whether it is ready, if that is what this process was started for;
/// `None`: it was not.
#[must_use]
pub(crate) fn asked(arguments: &[OsString]) -> Option<ExitCode> {
    let asked = arguments.get(1).is_some_and(|first| first == "healthcheck");
    if !asked {
        return None;
    }
    let Healthcheck { bind } = config::parse(arguments.iter().skip(1).cloned().collect());
    match ready(bind) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command's own answer; there is no telemetry")]
            {
                eprintln!("{error:#}");
            }
            Some(ExitCode::FAILURE)
        }
    }
}

/// `Ok`: `/readyz` of the service that listens on `bind` says so.
fn ready(bind: SocketAddr) -> anyhow::Result<()> {
    let here = reachable(bind);
    let mut connection = TcpStream::connect_timeout(&here, ANSWERS_WITHIN).with_context(|| here.to_string())?;
    connection.set_read_timeout(Some(ANSWERS_WITHIN))?;
    connection.set_write_timeout(Some(ANSWERS_WITHIN))?;
    write!(
        connection,
        "GET /readyz HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let read = connection.take(ANSWER_BYTES).read_to_end(&mut answer);
    read.with_context(|| here.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(
        answer.starts_with("HTTP/1.1 200 "),
        "{here}: {}",
        answer.lines().next().unwrap_or("no answer")
    );
    Ok(())
}

/// Where a service that listens on `bind`, perhaps on every address, is found from here.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bind.port())
}
