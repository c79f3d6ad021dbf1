//! A service in a runtime of its own, so that a test can end all of it wherever it is.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running service. Dropping it lets it stop by itself, for as long as it may take to.
#[derive(Debug)]
pub struct Process {
    port: u16,
    stop: CancellationToken,
    runtime: Option<Runtime>,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

/// A service that has been built and listens.
#[derive(Debug)]
pub struct Listening<R> {
    /// Where.
    pub port: u16,
    /// What stops it in order.
    pub stop: CancellationToken,
    /// Its work.
    pub run: R,
}

/// Longer than a service takes to stop.
const STOP: Duration = Duration::from_secs(10);
/// Longer than a service takes to be built, on a busy machine too.
const START: Duration = Duration::from_secs(30);

impl Process {
    /// Builds a service and lets it run. Comes back when it listens.
    ///
    /// # Panics
    /// It cannot be built.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without it")]
    pub async fn start<R>(build: impl Future<Output = anyhow::Result<Listening<R>>> + Send + 'static) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let starting = Starting::of(build);
        // Other runs of the same test go on meanwhile, on the same thread.
        tokio::task::spawn_blocking(|| starting.listens()).await.unwrap()
    }

    /// The same, where nothing else is to go on meanwhile.
    ///
    /// # Panics
    /// It cannot be built.
    #[must_use]
    pub fn start_blocking<R>(build: impl Future<Output = anyhow::Result<Listening<R>>> + Send + 'static) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Starting::of(build).listens()
    }

    /// Where it listens, on loopback.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops it as a deployment would, and waits for its end.
    ///
    /// # Errors
    /// It did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = match self.running.take() {
            Some(running) => running.await?,
            None => Ok(()),
        };
        self.end();
        ended
    }

    /// Ends all of its tasks wherever they are.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Starting {
    runtime: Runtime,
    running: JoinHandle<anyhow::Result<()>>,
    listens: Receiver<(u16, CancellationToken)>,
}

impl Starting {
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without it")]
    fn of<R>(build: impl Future<Output = anyhow::Result<Listening<R>>> + Send + 'static) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (tell, listens) = std::sync::mpsc::channel();
        let running = runtime.spawn(async move {
            let Listening { port, stop, run } = build.await?;
            tell.send((port, stop))?;
            run.await
        });
        Self {
            runtime,
            running,
            listens,
        }
    }

    #[expect(clippy::expect_used, reason = "a test cannot go on without it")]
    fn listens(self) -> Process {
        let (port, stop) = self.listens.recv_timeout(START).expect("the service starts");
        Process {
            port,
            stop,
            runtime: Some(self.runtime),
            running: Some(self.running),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
        let (Some(runtime), Some(running)) = (self.runtime.take(), self.running.take()) else {
            return;
        };
        // Its server's threads end with its work, and not with its runtime.
        std::thread::spawn(move || {
            let _ = runtime.block_on(async { tokio::time::timeout(STOP, running).await });
            runtime.shutdown_background();
        });
    }
}
