//! Stop and go: what `main` of every service does, the tasks of a process, one signal that ends them
//! all in order, and an exit status that tells whether any of them failed.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::time::Duration;

use actix_web::dev::{Extensions, ServerHandle};
use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{self, CommonSettings, TelemetrySettings};
use crate::outgoing::Outgoing;
use crate::{health, telemetry};

/// The whole of a service's `main`: reads its settings, sets up its telemetry, and runs it. Started as
/// `healthcheck` it asks the service that runs here instead.
///
/// The status is 0 when the service ended because it was told to and nothing failed, 2 when it could
/// not begin because of its settings, and 1 else; why is told once.
pub fn service<S: Parser, R: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    version: &'static str,
    telemetry_of: fn(&S) -> &TelemetrySettings,
    run: impl FnOnce(S, Outgoing) -> R,
) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(answer) = health::asked(&arguments) {
        return answer;
    }
    let settings: S = config::parse(arguments);
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
    let outcome = in_runtime(|outgoing| run(settings, outgoing));
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

fn in_runtime<R: Future<Output = anyhow::Result<()>>>(run: impl FnOnce(Outgoing) -> R) -> anyhow::Result<()> {
    let outgoing = Outgoing::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(outgoing))
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

/// The socket to serve on.
///
/// # Errors
/// The address is taken, or standard input is no listening socket.
pub fn listen(settings: &CommonSettings) -> anyhow::Result<TcpListener> {
    if settings.bind_stdin {
        let handed = || -> io::Result<TcpListener> {
            let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
            listener.local_addr().map(|_| listener)
        };
        return handed().context("BIND_STDIN: standard input is no listening socket");
    }
    TcpListener::bind(settings.bind).with_context(|| format!("BIND: cannot listen on {}", settings.bind))
}

/// Says that requests can come, to whoever wants to be told.
pub fn tell_ready(settings: &CommonSettings) {
    let Some(socket) = &settings.notify_socket else { return };
    let told = UnixDatagram::unbound().and_then(|sender| sender.send_to(b"READY=1", socket));
    if let Err(error) = told {
        tracing::warn!(%error, "NOTIFY_SOCKET was not told");
    }
}

/// The connections of a server, counted.
#[derive(Clone, Debug, Default)]
pub struct Connections(watch::Sender<usize>);

impl Connections {
    /// One more, for as long as what belongs to it is held; for `HttpServer::on_connect`.
    pub fn hold(&self, connection: &mut Extensions) {
        self.0.send_modify(|open| *open += 1);
        connection.insert(Open(self.0.clone()));
    }

    async fn none_is_left(&self) {
        let mut open = self.0.subscribe();
        // It fails when the sender is gone, which is here.
        let _ = open.wait_for(|open| *open == 0).await;
    }
}

struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// How a server stops.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Who has to let go.
    pub connections: Connections,
    /// For how long they may take.
    pub linger: Duration,
    /// Whether others serve on the same socket: then those who come from now on are theirs. Else they are
    /// still let in while this lingers, since they may not know yet that it stops: /readyz tells.
    pub shared: bool,
}

impl Leave {
    /// As the settings say.
    #[must_use]
    pub fn new(settings: &CommonSettings) -> Self {
        Self {
            connections: Connections::default(),
            linger: Duration::from_millis(settings.linger_ms),
            shared: settings.bind_stdin,
        }
    }
}

/// Stops an HTTP server in order. Every answer says `connection: close` by now; those who hold a
/// connection have the time to hear that, or to close it because nobody uses it: where the server closed
/// it, a request that may not be sent twice could be on its way. Nobody new comes in; when `leaning` is
/// over, those who are in have what is left until `deadline`. The server goes last, since connections that
/// other work leans on may have been opened by its threads, and end with them.
///
/// # Errors
/// Requests were still under way at the deadline.
pub async fn stop_server(
    server: ServerHandle,
    leaning: impl Future<Output = ()>,
    leave: Leave,
    deadline: Instant,
) -> anyhow::Result<()> {
    let let_go = async {
        if leave.shared || leave.linger.is_zero() {
            server.pause().await;
        }
        let until = deadline.min(Instant::now() + leave.linger);
        // Whoever is still there has been told, and does not use it.
        let _ = tokio::time::timeout_at(until, leave.connections.none_is_left()).await;
    };
    tokio::join!(leaning, let_go);
    // At least a moment: what leans on it may have used all of the time up.
    let last = deadline.max(Instant::now() + LAST_MOMENT);
    tokio::time::timeout_at(last, server.stop(true))
        .await
        .context("requests were still under way at the deadline")
}

/// In which connections that nobody uses are closed.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// What is stopped has its own deadline, and says itself what it left; whoever waits for all of it
/// waits a little longer.
pub const MARGIN: Duration = Duration::from_secs(3);
