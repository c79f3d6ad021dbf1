//! A child process that is a part of the system: started with its log, watched, and stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::part::Part;
use crate::processes::{self, Identity};

/// A running part. Dropping it kills it: [`Process::stop`] is the way to end one.
pub(crate) struct Process {
    part: Part,
    child: Child,
    identity: Identity,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with everything that it says at the end of `log`.
    ///
    /// It gets a process group of its own: a terminal's Ctrl-C goes to the supervisor, which stops things in order.
    pub(crate) fn spawn(part: Part, command: &mut Command, stdin: Stdio, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = command
            .stdin(stdin)
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {part}"))?;
        let Some(identity) = child.id().and_then(Identity::of) else {
            let status = child
                .try_wait()?
                .map_or_else(|| "at once".to_owned(), |status| status.to_string());
            bail!(ended_message(part, &status, log));
        };
        Ok(Self {
            part,
            child,
            identity,
            log: log.to_owned(),
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Fails, with all that is known of it, if it has ended.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(ended_message(self.part, &status.to_string(), &self.log)),
        }
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to stop and waits, at the most `within`; then it is killed, and that is an error.
    pub(crate) async fn stop(mut self, within: Duration) -> anyhow::Result<()> {
        let Some(pid) = self.child.id() else { return Ok(()) };
        processes::send(pid, Signal::TERM);
        match tokio::time::timeout(within, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("{} stopped with {status}; its log: {}", self.part, self.log.display()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "{} did not stop within {} s and was killed",
                    self.part,
                    within.as_secs()
                )
            }
        }
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// One line for a part that has ended by itself: how, its last words, and where the others are.
pub(crate) fn ended_message(part: Part, how: &str, log: &Path) -> String {
    const LONGEST: usize = 300;
    let said = fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    let last: String = last.unwrap_or("nothing").chars().take(LONGEST).collect();
    format!(
        "{part} ended ({how}); its last words: {last} (all of them: {})",
        log.display()
    )
}
