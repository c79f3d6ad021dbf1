//! [localstripe](https://pypi.org/project/localstripe/): a Stripe that others wrote, for a second opinion on what a client
//! of the payment provider may expect. Only tests start it; [`crate::payment_sandbox`] is what the system runs with.
//!
//! It ends when this process ends, however that comes about (see `localstripe/launch.py`, which also tells what is done
//! for it there).

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::tools;

const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/localstripe/launch.py");
const STARTS_WITHIN: Duration = Duration::from_secs(60);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// A running localstripe, which forgets everything at its end. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct LocalStripe {
    child: Child,
    /// Its end says stop.
    stdin: Option<ChildStdin>,
    url: String,
}

impl LocalStripe {
    /// Starts one on a free port of the loopback, installed if need be, and comes back when it listens.
    ///
    /// # Errors
    ///
    /// When it cannot be installed, or ends or hangs at the start.
    pub async fn start() -> anyhow::Result<Self> {
        let python = tokio::task::spawn_blocking(tools::localstripe).await??;
        let mut child = Command::new(python)
            .arg(LAUNCHER)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start localstripe")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("localstripe has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let said = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await;
        let said = said.context("localstripe does not start")??;
        let port = said.and_then(|line| line.parse::<u16>().ok());
        let port = port.context("localstripe ended at its start; its words are on standard error")?;
        Ok(Self {
            child,
            stdin,
            url: format!("http://127.0.0.1:{port}"),
        })
    }

    /// Its base address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it and waits for that.
    ///
    /// # Errors
    ///
    /// When it had to be killed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        if tokio::time::timeout(STOPS_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!(
                "localstripe did not stop within {} s and was killed",
                STOPS_WITHIN.as_secs()
            );
        }
        Ok(())
    }
}
