//! `logs`: what parts have said, each line with its part's name where there are several.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::sleep;

use crate::console::print;
use crate::instance::Folder;

const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn show(folder: &Folder, part: Option<&str>, lines: usize, follow: bool) -> anyhow::Result<()> {
    let names = names(folder)?;
    let chosen: Vec<_> = match part {
        Some(part) if names.iter().any(|name| name == part) => vec![part.to_owned()],
        Some(part) => bail!("there is no log of {part}; there are: {}", names.join(", ")),
        None => names,
    };
    let width = if part.is_some() {
        0
    } else {
        chosen.iter().map(String::len).max().unwrap_or_default()
    };
    let mut tails = Vec::new();
    for name in chosen {
        let mut tail = Tail::open(&folder.log(&name), name, width)?;
        tail.show_last(lines)?;
        tails.push(tail);
    }
    if !follow {
        return Ok(());
    }
    loop {
        sleep(LOOK_EVERY).await;
        for tail in &mut tails {
            tail.show_new()?;
        }
    }
}

fn names(folder: &Folder) -> anyhow::Result<Vec<String>> {
    let logs = folder.logs();
    let entries =
        fs::read_dir(&logs).with_context(|| format!("nothing has ever run in {}", folder.path().display()))?;
    let mut names: Vec<_> = entries
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".log")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

/// A log that is read on from where it was.
struct Tail {
    file: File,
    name: String,
    width: usize,
    /// The beginning of a line whose end has not been written yet.
    begun: String,
}

impl Tail {
    fn open(path: &Path, name: String, width: usize) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            file,
            name,
            width,
            begun: String::new(),
        })
    }

    fn show_last(&mut self, lines: usize) -> anyhow::Result<()> {
        let new = self.read()?;
        for line in new.iter().skip(new.len().saturating_sub(lines)) {
            self.show(line);
        }
        Ok(())
    }

    fn show_new(&mut self) -> anyhow::Result<()> {
        // Emptied or made anew by a start.
        if self.file.metadata()?.len() < self.file.stream_position()? {
            self.file.seek(SeekFrom::Start(0))?;
        }
        for line in self.read()? {
            self.show(&line);
        }
        Ok(())
    }

    fn read(&mut self) -> anyhow::Result<Vec<String>> {
        let mut new = Vec::new();
        self.file.read_to_end(&mut new)?;
        self.begun.push_str(&String::from_utf8_lossy(&new));
        let complete = self.begun.rfind('\n').map_or(0, |at| at + 1);
        let rest = self.begun.split_off(complete);
        let whole = std::mem::replace(&mut self.begun, rest);
        Ok(whole.lines().map(str::to_owned).collect())
    }

    fn show(&self, line: &str) {
        if self.width == 0 {
            print(line);
        } else {
            print(format_args!("{:<width$} | {line}", self.name, width = self.width));
        }
    }
}
