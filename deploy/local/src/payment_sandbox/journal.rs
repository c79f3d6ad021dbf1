//! The file behind the ledger: one JSON line for each change, appended in one write before the change is seen by
//! anybody, and replayed at the next start.
//!
//! What was answered survives the process' death (SIGKILL); a power cut may take the last moments, since lines are not
//! synced one by one. A line cut short by a death was never answered, and is dropped. At each start the file is written
//! anew with what still matters, beside the old one and then renamed over it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::charge::{Dispute, Refund};
use super::intent::PaymentIntent;
use super::keys::KeyRecord;
use super::webhook::Event;

/// All that one call changed: applied wholly or not at all.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) intent: Option<PaymentIntent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refund: Option<Refund>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dispute: Option<Dispute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<KeyRecord>,
    /// To be delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<Event>,
    /// Ids of those that need no more delivering.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) settled: Vec<String>,
}

/// Where entries go.
#[derive(Debug)]
pub(super) enum Journal {
    /// Nowhere: what is known ends with the process.
    Memory,
    File {
        file: File,
        length: u64,
    },
}

impl Journal {
    /// Reads what an earlier process wrote; nothing where there was none.
    pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut reader = BufReader::new(file);
        let mut entries = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            reader
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let Some(whole) = line.strip_suffix(b"\n") else {
                // The end, or the beginning of a line whose writer died.
                return Ok(entries);
            };
            let number = entries.len().saturating_add(1);
            let entry = serde_json::from_slice(whole).with_context(|| {
                format!(
                    "line {number} of {} is not a payment record; move the file away to start anew",
                    path.display()
                )
            })?;
            entries.push(entry);
        }
    }

    /// Replaces the file by one that holds these entries, and leaves it open for more.
    pub(super) fn rewrite(path: &Path, entries: impl Iterator<Item = Entry>) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let beside = beside(path);
        let write = || -> io::Result<(File, u64)> {
            let mut writer = BufWriter::new(File::create(&beside)?);
            for entry in entries {
                writer.write_all(&line(&entry)?)?;
            }
            writer.into_inner()?.sync_all()?;
            std::fs::rename(&beside, path)?;
            let file = OpenOptions::new().append(true).open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self::File { file, length })
    }

    /// Appends an entry. After an error nothing of it is in the file.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let Self::File { file, length } = self else {
            return Ok(());
        };
        let line = line(entry)?;
        if let Err(error) = file.write_all(&line) {
            // Half a line would spoil the one after it.
            file.set_len(*length)?;
            return Err(error);
        }
        *length = length.saturating_add(u64::try_from(line.len()).map_err(io::Error::other)?);
        Ok(())
    }
}

fn line(entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
