//! The stand-in for EventBridge, SQS, SNS, Cognito and CloudFormation: a child process on loopback.
//!
//! It ends when this process ends, however that comes about (see `ministack/launch.py`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, ChildStdin, Command};

use crate::processes::Identity;
use crate::{loopback, tools};

const LAUNCHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ministack/launch.py");
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Beyond the launcher's own limit, so that it is the one to give up.
const STOPS_WITHIN: Duration = Duration::from_secs(12);
const TRIES: usize = 3;

/// Where a ministack keeps what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port, or none for any free one.
    pub port: Option<u16>,
    /// Its keys, and its state if that is to be kept.
    pub folder: PathBuf,
    /// Whether a clean stop writes the state, and the next start reads it.
    pub state: State,
    /// What it says goes to the end of this file.
    pub log: PathBuf,
}

/// What becomes of the state at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Written to the folder, and found by the next start.
    Kept,
    /// Forgotten, and the folder removed.
    Forgotten,
}

/// A running ministack. Dropping it stops it without waiting.
pub struct Ministack {
    child: Child,
    identity: Identity,
    /// Kept apart, since waiting for a child closes the standard input that it holds, which says stop.
    stdin: Option<ChildStdin>,
    port: u16,
    log: PathBuf,
}

impl Ministack {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    ///
    /// When the tools cannot be installed, the port is taken, or it ends or hangs at the start.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let python = tokio::task::spawn_blocking(tools::ministack).await??;
        for _ in 1..TRIES {
            // A free port can be taken by another process before it is used.
            match Self::try_start(&python, options).await {
                Err(_) if options.port.is_none() => {}
                outcome => return outcome,
            }
        }
        Self::try_start(&python, options).await
    }

    async fn try_start(python: &Path, options: &Options) -> anyhow::Result<Self> {
        let port = options.port.map_or_else(loopback::free_port, Ok)?;
        fs::create_dir_all(&options.folder)?;
        let log = File::options().create(true).append(true).open(&options.log)?;
        let mut child = Command::new(python)
            .arg(LAUNCHER)
            .env_clear()
            .envs(environment(port, options))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot start ministack")?;
        let stdin = child.stdin.take();
        let identity = child.id().and_then(Identity::of).context("ministack ended at once")?;
        let mut started = Self {
            child,
            identity,
            stdin,
            port,
            log: options.log.clone(),
        };
        let health = format!("{}/_ministack/health", started.url());
        loopback::wait_for_success(&loopback::http()?, &health, STARTS_WITHIN, || started.still_runs()).await?;
        Ok(started)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// When the operating system does not tell.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops it, with its state written if it is to be kept.
    ///
    /// # Errors
    ///
    /// When it had to be killed, and has written nothing.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        if tokio::time::timeout(STOPS_WITHIN, self.child.wait()).await.is_err() {
            self.child.kill().await?;
            bail!(
                "ministack did not stop within {} s and was killed; its log: {}",
                STOPS_WITHIN.as_secs(),
                self.log.display()
            );
        }
        Ok(())
    }

    fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "ministack ended at its start ({status}); its log: {}",
                self.log.display()
            ),
        }
    }
}

fn environment(port: u16, options: &Options) -> Vec<(&'static str, String)> {
    let folder = options.folder.display().to_string();
    vec![
        ("BIND_HOST", "127.0.0.1".to_owned()),
        ("MINISTACK_HOST", "127.0.0.1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        (
            "PERSIST_STATE",
            if options.state == State::Kept { "1" } else { "0" }.to_owned(),
        ),
        ("STATE_DIR", folder.clone()),
        ("S3_DATA_DIR", format!("{folder}/s3")),
        ("TMPDIR", folder),
        ("MINISTACK_REGION", crate::aws::REGION.to_owned()),
        ("LOG_LEVEL", "WARNING".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
        // Services that nobody here uses, which would listen on fixed ports or look for a container engine.
        ("IOT_MTLS_ENABLED", "0".to_owned()),
        ("SFTP_ENABLED", "0".to_owned()),
        ("DOCKER_HOST", "unix:///nonexistent".to_owned()),
    ]
}
