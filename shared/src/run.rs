//! Stop and go: what `main` of every service does, the tasks of a process, one signal that ends them
//! all in order, and an exit status that tells whether any of them failed.

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Refused, TelemetrySettings};
use crate::outgoing::Outgoing;
use crate::telemetry::{LevelSwitch, Levels};
use crate::{health, telemetry};

/// The whole of a service's `main`: reads its settings, sets up its telemetry, and runs it. Started as
/// `healthcheck` it asks the service that runs here instead.
///
/// The status is 0 when the service ended because it was told to and nothing failed, 2 when it could
/// not begin because of its settings, and 1 else; why is told once.
pub fn service<S: Parser + 'static, R: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    version: &'static str,
    telemetry_of: fn(&S) -> &TelemetrySettings,
    run: impl FnOnce(S, Outgoing) -> R,
) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(answer) = health::asked(&arguments) {
        return answer;
    }
    let settings: S = config::parse(arguments.clone());
    let telemetry = match telemetry::init(name, version, telemetry_of(&settings)) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "telemetry is what could not be set up")]
            {
                eprintln!("error: {error:#}");
            }
            return ExitCode::from(2);
        }
    };
    let levels = telemetry.levels();
    // All settings are read as at the start, files too; of what changed, the levels alone take effect.
    let read = move || config::try_parse(arguments.clone()).map(|read: S| telemetry_of(&read).log_level.clone());
    let exposition = telemetry.exposition();
    let outcome = in_runtime(async |outgoing| {
        let _told = telemetry::runtime::watch("main");
        if let Some(exposition) = exposition {
            tokio::spawn(exposition.serve());
        }
        tokio::spawn(turn_levels_at_hangup(levels, read));
        run(settings, outgoing).await
    });
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "the service failed");
    }
    telemetry.shutdown();
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn in_runtime(run: impl AsyncFnOnce(Outgoing) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let outgoing = Outgoing::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(outgoing))
}

/// At each SIGHUP reads the levels of log lines again. It ends with the process.
async fn turn_levels_at_hangup(levels: LevelSwitch, read: impl Fn() -> Result<Levels, Refused>) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::warn!(%error, "SIGHUP cannot be listened for: it ends the process"),
    };
    while hangup.recv().await.is_some() {
        match read() {
            Ok(now) => {
                levels.turn_to(&now);
                tracing::info!(levels = %now, "SIGHUP: LOG_LEVEL was read again");
            }
            Err(refused) => tracing::warn!(error = %refused, "SIGHUP: the levels stay as they are"),
        }
    }
}

/// The tasks of a process. One that ends before it was told to, however it ends, stops the others.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Tasks {
    /// `stop` is what the tasks listen to.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            running: JoinSet::new(),
        }
    }

    /// Starts one.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.running.spawn(async move { (name, task.await) });
    }

    /// Runs until a task ends, or SIGTERM, SIGINT or `stop` asks for it; then tells all to stop and
    /// waits for them, for `deadline` at most.
    ///
    /// # Errors
    /// A task failed, ended by itself, or did not end in time. What it left undone is in the tables
    /// and queues, where the next process finds it.
    pub async fn run_until_stopped(mut self, deadline: Duration) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let mut failure = None;
        tokio::select! {
            // A task that ends because of `stop` may be seen before `stop` itself, and has not ended by itself.
            biased;
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            () = self.stop.cancelled() => {}
            Some(ended) = self.running.join_next() => {
                failure = Some(match ended {
                    Ok((name, Ok(()))) => anyhow::anyhow!("{name} ended by itself"),
                    Ok((name, Err(error))) => error.context(format!("{name} failed")),
                    Err(panic) => anyhow::Error::from(panic).context("a task panicked"),
                });
            }
        }
        self.stop.cancel();
        let drained = tokio::time::timeout(deadline, async {
            while let Some(ended) = self.running.join_next().await {
                match ended {
                    Ok((_, Ok(()))) => {}
                    Ok((name, Err(error))) => {
                        failure = failure.take().or(Some(error.context(format!("{name} failed"))))
                    }
                    Err(panic) => {
                        failure = failure
                            .take()
                            .or(Some(anyhow::Error::from(panic).context("a task panicked")))
                    }
                }
            }
        })
        .await;
        match (failure, drained) {
            (Some(failure), _) => Err(failure),
            (None, Err(_late)) => bail!("not everything ended within {} s", deadline.as_secs()),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// What is stopped has its own deadline, and says itself what it left; whoever waits for all of it
/// waits a little longer.
pub const MARGIN: Duration = Duration::from_secs(3);
