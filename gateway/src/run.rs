//! `run-gateway`: keeps an Envoy running, and replaces it without a request lost.
//!
//! SIGHUP starts another Envoy on the configuration as the file has it now. It takes over the sockets, the one before
//! answers what it has and ends. SIGTERM tells whoever balances in front, answers what is under way, and ends it all.
//! What the configuration says is not looked at here. `run-gateway healthcheck` asks the one that runs.

mod scrape;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser};
use rustix::process::{Pid, Signal, kill_process};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// How often a condition that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the admin interface may take for an answer.
const ADMIN_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long Envoy may take to come up, and to end once it has nothing to do.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Runs Envoy: SIGHUP replaces it without a request lost, SIGTERM drains and ends it.
#[derive(Parser)]
#[command(name = "run-gateway")]
struct Arguments {
    /// Configuration that `render-gateway` has printed. It is read again at each SIGHUP.
    #[arg(long)]
    config: PathBuf,
    /// Envoy binary. It, too, is read again at each SIGHUP.
    #[arg(long, env = "ENVOY_BIN", default_value = "envoy")]
    envoy: PathBuf,
    /// Time over which a replaced Envoy closes its connections; at a stop, the limit for requests under way.
    #[arg(long, default_value_t = 30)]
    drain_s: u64,
    /// Further time that a replaced Envoy has for its last requests. Longer than any response takes, streams excepted.
    #[arg(long, default_value_t = 30)]
    linger_s: u64,
    #[command(flatten)]
    admin: Admin,
    /// Address that serves Envoy's metrics to Prometheus, at `/metrics`. When unset, none are served.
    #[arg(long, env = "METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Number that distinguishes several gateways on one machine.
    #[arg(long, default_value_t = 0)]
    base_id: u32,
    /// Further arguments of Envoy.
    #[arg(last = true)]
    further: Vec<String>,
}

/// Asks whether the gateway takes requests, and ends with 0 or 1: in the place of all other arguments.
#[derive(Parser)]
#[command(name = "run-gateway healthcheck")]
struct Healthcheck {
    #[command(flatten)]
    admin: Admin,
}

#[derive(Clone, Args)]
struct Admin {
    /// File into which Envoy writes the address of its admin interface.
    #[arg(long, env = "ADMIN_ADDRESS_PATH")]
    admin_address_path: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().peekable();
    let name = arguments.next();
    let outcome = match arguments.next_if(|first| first == "healthcheck") {
        Some(_) => healthcheck(Healthcheck::parse_from(name.into_iter().chain(arguments))).await,
        None => run(Arguments::parse()).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Not while it drains, nor before it has come up.
async fn healthcheck(asked: Healthcheck) -> anyhow::Result<()> {
    let said = admin(&asked.admin, "GET", "/ready").await?;
    ensure!(
        said.starts_with("HTTP/1.1 200 "),
        "{}",
        said.lines().next().unwrap_or("no answer")
    );
    Ok(())
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Some(address) = arguments.metrics_listen {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("METRICS_LISTEN: cannot listen at {address}"))?;
        tokio::spawn(scrape::serve(listener, arguments.admin.clone()));
    }
    let mut gateway = Gateway::start(arguments).await?;
    loop {
        tokio::select! {
            ended = gateway.ended() => ended?,
            _ = hang_up.recv() => gateway.replace().await?,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    gateway.stop().await
}

/// The Envoys that there are: the current one, and perhaps those before, which answer what they have.
struct Gateway {
    arguments: Arguments,
    epoch: u32,
    current: Child,
    before: Vec<Child>,
}

impl Gateway {
    async fn start(arguments: Arguments) -> anyhow::Result<Self> {
        let mut current = spawn(&arguments, 0)?;
        ready(&arguments, &mut current, 0).await?;
        Ok(Self {
            arguments,
            epoch: 0,
            current,
            before: Vec::new(),
        })
    }

    /// Puts another Envoy in the place of the current one, which goes on if the other cannot be had.
    async fn replace(&mut self) -> anyhow::Result<()> {
        if let Err(error) = validate(&self.arguments).await {
            say(&format!("not replaced: {error:#}"));
            return Ok(());
        }
        let epoch = self.epoch + 1;
        let mut next = spawn(&self.arguments, epoch)?;
        if let Err(error) = ready(&self.arguments, &mut next, epoch).await {
            // What it was to replace goes on, if without its admin interface: that is handed over first.
            next.kill().await?;
            say(&format!("not replaced: {error:#}"));
            return Ok(());
        }
        self.before.push(std::mem::replace(&mut self.current, next));
        self.epoch = epoch;
        say(&format!("replaced, for the {epoch}. time"));
        Ok(())
    }

    /// Comes back when an Envoy that has had its time has ended, or fails when the current one has.
    async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(oldest) = self.before.first_mut() else {
            return Err(unasked(self.current.wait().await?));
        };
        tokio::select! {
            status = self.current.wait() => Err(unasked(status?)),
            _ = oldest.wait() => {
                self.before.remove(0);
                Ok(())
            }
        }
    }

    /// Nothing new comes in; what is under way is answered; then it ends.
    async fn stop(mut self) -> anyhow::Result<()> {
        // An Envoy that does not answer any more has nothing to drain either.
        let _ = admin(&self.arguments.admin, "POST", "/healthcheck/fail").await;
        let _ = admin(&self.arguments.admin, "POST", "/drain_listeners?graceful&skip_exit").await;
        let deadline = Instant::now() + Duration::from_secs(self.arguments.drain_s);
        while Instant::now() < deadline
            && under_way(&self.arguments.admin)
                .await
                .is_ok_and(|requests| requests > 0)
        {
            sleep(LOOK_EVERY).await;
        }
        self.before.push(self.current);
        for envoy in &mut self.before {
            if let Some(pid) = pid(envoy) {
                kill_process(pid, Signal::TERM)?;
            }
            if timeout(ENDS_WITHIN, envoy.wait()).await.is_err() {
                envoy.kill().await?;
            }
        }
        Ok(())
    }
}

fn unasked(status: ExitStatus) -> anyhow::Error {
    anyhow::anyhow!("Envoy ended by itself ({status})")
}

fn spawn(arguments: &Arguments, epoch: u32) -> anyhow::Result<Child> {
    let drain = arguments.drain_s.to_string();
    let end = arguments.drain_s.saturating_add(arguments.linger_s).to_string();
    Command::new(&arguments.envoy)
        .arg("--config-path")
        .arg(&arguments.config)
        .arg("--admin-address-path")
        .arg(&arguments.admin.admin_address_path)
        .args(["--restart-epoch", &epoch.to_string()])
        .args(["--base-id", &arguments.base_id.to_string()])
        .args(["--drain-time-s", &drain, "--parent-shutdown-time-s", &end])
        .args(&arguments.further)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", arguments.envoy.display()))
}

/// Whether an Envoy would take the configuration.
async fn validate(arguments: &Arguments) -> anyhow::Result<()> {
    let said = Command::new(&arguments.envoy)
        .args(["--mode", "validate", "--log-level", "warning", "--config-path"])
        .arg(&arguments.config)
        .stdin(Stdio::null())
        .output()
        .await?;
    let why = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success(), "{}", why.trim());
    Ok(())
}

/// Waits until this Envoy, and none before it, answers that it is ready.
async fn ready(arguments: &Arguments, envoy: &mut Child, epoch: u32) -> anyhow::Result<()> {
    let deadline = Instant::now() + STARTS_WITHIN;
    let own = format!("\"restart_epoch\": {epoch},");
    loop {
        if let Some(status) = envoy.try_wait()? {
            return Err(unasked(status));
        }
        let info = admin(&arguments.admin, "GET", "/server_info").await.unwrap_or_default();
        if info.contains("\"state\": \"LIVE\"") && info.contains(&own) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("Envoy has not come up within {} s", STARTS_WITHIN.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// How many requests of clients are neither answered nor given up.
async fn under_way(of: &Admin) -> anyhow::Result<u64> {
    let stats = admin(of, "GET", "/stats?filter=^http\\..*downstream_rq_active$").await?;
    // The admin interface counts this very request.
    let ours = stats.lines().filter(|line| !line.starts_with("http.admin."));
    Ok(ours
        .filter_map(|line| line.rsplit_once(": ")?.1.trim().parse::<u64>().ok())
        .sum())
}

/// What the admin interface of the newest Envoy says: the head of the answer and its body.
async fn admin(of: &Admin, method: &str, path: &str) -> anyhow::Result<String> {
    let address = fs::read_to_string(&of.admin_address_path)
        .await
        .context("no Envoy has come up")?;
    let asked = async {
        let mut stream = TcpStream::connect(address.trim()).await?;
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    timeout(ADMIN_ANSWERS_WITHIN, asked).await?
}

fn pid(envoy: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(envoy.id()?).ok()?)
}

#[expect(clippy::print_stderr, reason = "standard output is Envoy's access log")]
fn say(line: &str) {
    eprintln!("run-gateway: {line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn settings_match_configuration_document() {
        shared::testing::settings::assert_documented("run-gateway", Arguments::command());
    }
}
