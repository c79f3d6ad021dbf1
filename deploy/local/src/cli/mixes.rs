//! `mixes`: people buy in every mix of two releases.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::chaos::{keep, scratch};
use crate::console::say;
use crate::instance::Folder;
use crate::mixes::{self, Options};
use crate::system::Progress;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct Mixes {
    /// The folder with the services' binaries of the release before
    #[arg(long, value_name = "DIR")]
    before: PathBuf,
    /// The folder with those of this one
    #[arg(long, value_name = "DIR")]
    now: PathBuf,
    /// How long anything may take that does not come
    #[arg(long, default_value_t = 90, value_name = "SECONDS")]
    patience: u64,
}

pub(super) async fn run(asked: Mixes) -> anyhow::Result<()> {
    let temporary = scratch("mixes-")?;
    let folder = Folder::new(temporary.path().join("data"));
    let outcome = mixes::run(Options {
        folder: folder.clone(),
        before: std::path::absolute(asked.before)?,
        now: std::path::absolute(asked.now)?,
        patience: Duration::from_secs(asked.patience),
        progress: Progress::Shown,
    });
    match outcome.await {
        Ok(report) => {
            say(report);
            Ok(())
        }
        Err(error) => {
            keep(temporary, &folder);
            Err(error)
        }
    }
}
