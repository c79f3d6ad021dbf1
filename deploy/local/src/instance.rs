//! The data folder of one instance of the system: what lies where, who is using it, and what runs.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::console::say;
use crate::loopback::LOOK_EVERY;
use crate::part::Part;
use crate::processes::Identity;
use crate::tools;

const ORPHANS_END_WITHIN: Duration = Duration::from_secs(12);
const DIES_WITHIN: Duration = Duration::from_secs(2);

/// The folder of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made at the first start.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder that is meant if none is named: `.local` in the checkout.
    pub fn usual() -> Self {
        Self(tools::checkout().join(".local"))
    }

    /// How `cargo local` is called for this folder, in texts that people copy from.
    pub(crate) fn command(&self) -> String {
        if *self == Self::usual() {
            "cargo local".to_owned()
        } else {
            format!("cargo local --data {}", self.0.display())
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Everything in the tables.
    pub(crate) fn tables(&self) -> PathBuf {
        self.0.join("tables.db")
    }

    /// Ministack's state.
    pub(crate) fn ministack(&self) -> PathBuf {
        self.0.join("ministack")
    }

    /// The payment sandbox's state.
    pub(crate) fn payments(&self) -> PathBuf {
        self.0.join("payments")
    }

    /// The gateway's configuration as rendered at the last start.
    pub(crate) fn envoy_yaml(&self) -> PathBuf {
        self.0.join("envoy.yaml")
    }

    /// Says that the demo catalog has been imported.
    pub(crate) fn seeded(&self) -> PathBuf {
        self.0.join("seeded")
    }

    /// Every span that a collector of this system was sent.
    pub(crate) fn spans(&self) -> PathBuf {
        self.0.join("spans.ndjson")
    }

    /// Where every part's log is.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The log of this name: a part's, `mail`, or `up` for the supervisor's own when detached.
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    fn instance(&self) -> PathBuf {
        self.0.join("instance.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn secrets(&self) -> PathBuf {
        self.0.join("secrets.json")
    }

    /// What runs here, as far as it was written down; it may have been killed since.
    ///
    /// # Errors
    ///
    /// When the file is not readable.
    pub fn read(&self) -> anyhow::Result<Option<Instance>> {
        let file = self.instance();
        match fs::read(&file) {
            Ok(content) => {
                let parsed = serde_json::from_slice(&content);
                Ok(Some(parsed.with_context(|| format!("{} is not ours", file.display()))?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// What runs here now.
    ///
    /// # Errors
    ///
    /// When nothing does; the message says how to start it.
    pub fn running(&self) -> anyhow::Result<Instance> {
        match self.read()? {
            Some(instance) if instance.supervisor.is_alive() => Ok(instance),
            Some(_) | None => bail!(
                "nothing runs in {}: start it with `{} up`",
                self.0.display(),
                self.command()
            ),
        }
    }

    /// Why a second start is refused.
    fn already_running(&self) -> String {
        let (folder, command) = (self.0.display(), self.command());
        format!(
            "already running in {folder}: `{command} status` shows it, `{command} down` stops it, and `--data DIR` with \
             `--gateway-port PORT` starts another beside it"
        )
    }

    /// Takes the folder for this process, for as long as the answer is held. What a killed predecessor left running
    /// is ended.
    ///
    /// # Errors
    ///
    /// When another process has it.
    pub async fn take(&self) -> anyhow::Result<Taken> {
        fs::create_dir_all(self.logs()).with_context(|| format!("cannot make {}", self.0.display()))?;
        let lock = File::create(self.lock_file())?;
        let deadline = Instant::now() + DIES_WITHIN;
        while let Err(error) = lock.try_lock() {
            match error {
                // Killed this moment, and not quite gone.
                TryLockError::WouldBlock if self.running().is_err() && Instant::now() < deadline => {
                    sleep(LOOK_EVERY).await;
                }
                TryLockError::WouldBlock => bail!(self.already_running()),
                TryLockError::Error(error) => return Err(error).context("cannot lock the data folder"),
            }
        }
        if let Some(left) = self.read().unwrap_or(None) {
            end_orphans(&left).await;
        }
        Ok(Taken {
            folder: self.clone(),
            _lock: lock,
        })
    }

    /// Removes everything in the folder but the tools.
    ///
    /// # Errors
    ///
    /// When something runs here, or a file cannot be removed.
    pub async fn reset(&self) -> anyhow::Result<()> {
        let taken = self.take().await?;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.ends_with("tools") || path == self.lock_file() {
                continue;
            }
            if path.is_dir() {
                fs::remove_dir_all(&path)?
            } else {
                fs::remove_file(&path)?
            }
        }
        drop(taken);
        Ok(())
    }
}

async fn end_orphans(left: &Instance) {
    for (part, running) in &left.parts {
        if running.process != left.supervisor && running.process.is_alive() {
            say(format_args!(
                "ending {part}, left over from a run that was killed (pid {})",
                running.process.pid
            ));
            running.process.end(ORPHANS_END_WITHIN).await;
        }
    }
}

/// A folder that is this process's for now.
pub struct Taken {
    folder: Folder,
    _lock: File,
}

impl Taken {
    /// The folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Writes down what runs, in one piece: a reader sees the old or the new.
    pub(crate) fn write(&self, instance: &Instance) -> anyhow::Result<()> {
        let file = self.folder.instance();
        let draft = file.with_extension("draft");
        fs::write(&draft, serde_json::to_vec_pretty(instance)?)?;
        Ok(fs::rename(draft, file)?)
    }

    /// Writes down that nothing runs.
    pub(crate) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.instance()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// This instance's own secrets, made at the first start and the same ever after.
    pub(crate) fn secrets(&self) -> anyhow::Result<Secrets> {
        let file = self.folder.secrets();
        if let Ok(content) = fs::read(&file) {
            return serde_json::from_slice(&content).with_context(|| format!("{} is not ours", file.display()));
        }
        let secrets = Secrets::fresh();
        let mut private = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?;
        private.write_all(&serde_json::to_vec_pretty(&secrets)?)?;
        Ok(secrets)
    }
}

/// What runs in a folder, for other processes to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instance {
    /// The process that started everything and holds the tables and the payment sandbox.
    pub supervisor: Identity,
    /// Whether everything was seen to answer.
    pub ready: bool,
    /// Where people sign in, once it is there.
    pub user_pool: Option<UserPool>,
    /// What has been started.
    pub parts: BTreeMap<Part, Running>,
}

/// Where people sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserPool {
    /// The pool's id.
    pub id: String,
    /// The client by which people sign in.
    pub client_id: String,
}

/// A part that has been started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The process that it is, or is in.
    pub process: Identity,
    /// Where it listens.
    pub url: String,
}

impl Instance {
    /// Where this part listens.
    ///
    /// # Errors
    ///
    /// When it has not been started.
    pub fn url(&self, part: Part) -> anyhow::Result<&str> {
        Ok(&self
            .parts
            .get(&part)
            .with_context(|| format!("{part} has not been started yet"))?
            .url)
    }
}

/// What only the parts of one instance know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) cursor_keys: String,
    pub(crate) payment_key: String,
    pub(crate) payment_webhook_secret: String,
}

impl Secrets {
    /// Such as nobody has seen.
    pub(crate) fn fresh() -> Self {
        let random = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self {
            cursor_keys: random(),
            payment_key: format!("sk_test_{}", random()),
            payment_webhook_secret: format!("whsec_{}", random()),
        }
    }
}
