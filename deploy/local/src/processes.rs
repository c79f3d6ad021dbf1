//! Processes by their ids: whether one is still the one that was started, how much memory it takes, and its end.
//!
//! An id alone names nothing for long, since ids are given out again: with the time of its start it does.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::loopback::LOOK_EVERY;

/// One process, past or present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub pid: u32,
    /// When it was started, in whatever form this machine tells it.
    started: String,
}

impl Identity {
    /// The process that has this id now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            started: started(pid)?,
        })
    }

    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Memory that it holds now, in bytes, its binary's shared pages included.
    pub fn resident_bytes(&self) -> Option<u64> {
        if !self.is_alive() {
            return None;
        }
        let kilobytes = match fs::read_to_string(format!("/proc/{}/status", self.pid)) {
            Ok(status) => {
                let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
                line.trim().trim_end_matches("kB").trim().to_owned()
            }
            Err(_) => ps(self.pid, "rss=")?,
        };
        kilobytes.parse::<u64>().ok()?.checked_mul(1024)
    }

    /// Asks it to stop, and ends it if it has not by then.
    pub async fn end(&self, within: Duration) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + within;
        while self.is_alive() {
            if Instant::now() > deadline {
                self.signal(Signal::KILL);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Sends it a signal, unless it is gone.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            send(self.pid, signal);
        }
    }
}

/// Sends a signal to a process of ours that has not been waited for, so that its id is still its own.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The only failure is that it ended this moment, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}

fn started(pid: u32) -> Option<String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            // proc_pid_stat(5): the name, in parentheses, may hold anything; the start is the 22nd field.
            let (_, after_name) = stat.rsplit_once(')')?;
            let mut fields = after_name.split_whitespace();
            let ended = matches!(fields.next()?, "Z" | "X");
            if ended { None } else { fields.nth(18).map(str::to_owned) }
        }
        Err(_) if fs::exists("/proc/self/stat").unwrap_or(false) => None,
        Err(_) => ps(pid, "lstart="),
    }
}

/// Where there is no `/proc`.
fn ps(pid: u32, field: &str) -> Option<String> {
    let answer = Command::new("ps")
        .args(["-o", field, "-p", &pid.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8(answer.stdout).ok()?.trim().to_owned();
    (answer.status.success() && !said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_and_its_start() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        assert!(own.resident_bytes().unwrap() > 100_000);
        let earlier = Identity {
            started: "0".to_owned(),
            ..own
        };
        assert!(!earlier.is_alive());
    }

    #[tokio::test]
    async fn a_process_that_was_ended_is_not_alive_even_if_nobody_waited_for_it() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Identity::of(child.id()).unwrap();
        process.end(Duration::from_secs(5)).await;
        assert!(!process.is_alive());
        child.wait().unwrap();
    }
}
