//! The tables' server: dynoxide, in this process, on loopback.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, anyhow};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running server. Dropping it stops the server when the runtime comes to it; [`Tables::stop`] waits.
pub struct Tables {
    address: SocketAddr,
    stopping: CancellationToken,
    server: Option<JoinHandle<Result<(), String>>>,
}

impl Tables {
    /// Serves tables that vanish with the process, on a free port.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn in_memory() -> anyhow::Result<Self> {
        let database = Database::memory().map_err(|error| anyhow!("cannot make tables in memory: {error}"))?;
        Ok(Self::serve(TcpListener::bind("127.0.0.1:0").await?, database)?)
    }

    /// Serves the tables in `file`, made if it is not there.
    ///
    /// # Errors
    ///
    /// When the file is no database or may not be written.
    pub fn in_file(file: &Path, listener: TcpListener) -> anyhow::Result<Self> {
        let name = file.to_str().context("the data folder's path is not UTF-8")?;
        let database =
            Database::new(name).map_err(|error| anyhow!("cannot open the tables in {}: {error}", file.display()))?;
        Ok(Self::serve(listener, database)?)
    }

    fn serve(listener: TcpListener, database: Database) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let stopped = stopping.clone().cancelled_owned();
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, stopped));
        Ok(Self {
            address,
            stopping,
            server: Some(server),
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops taking requests and waits for those under way.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
