//! `chaos`: customers who buy while everything goes wrong.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tempfile::TempDir;
use uuid::Uuid;

use crate::chaos::{self, Options, Report, Scene};
use crate::console::say;
use crate::instance::Folder;
use crate::system::Progress;

/// What to do.
#[derive(Debug, Args)]
pub(super) struct Chaos {
    /// Where everything that is decided comes from [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How many orders
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    orders: u32,
    /// By how many customers, each one after the other
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    customers: u32,
    /// What kind of run
    #[arg(long, value_enum, default_value_t = Scene::Storm)]
    scene: Scene,
    /// For how long the product service hangs, in the scene `pause`
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pause: u64,
    /// How long a customer, and the judge at the end, wait for something that does not come
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    patience: u64,
    /// Print the outcome on standard output as JSON
    #[arg(long)]
    json: bool,
    /// Build the services as they are shipped, which takes minutes
    #[arg(long, conflicts_with = "binaries")]
    release: bool,
    /// Do not build: take the services' binaries from this folder
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

pub(super) async fn chaos(data: Option<Folder>, asked: Chaos) -> ExitCode {
    let json = asked.json;
    let outcome = carry_out(data, asked).await;
    super::concluded(outcome.context("the run could not be carried out"), Report::holds, json)
}

async fn carry_out(data: Option<Folder>, asked: Chaos) -> anyhow::Result<Report> {
    let seed = asked.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 16);
    say(format_args!("seed {seed}"));
    let binaries = super::up::binaries(asked.binaries.as_deref(), asked.release).await?;
    let mut temporary = None;
    let folder = match data {
        Some(folder) => {
            let used = folder.path().join("tables.db").exists();
            ensure!(
                !used,
                "{} holds an instance's data: a run begins with nothing",
                folder.path().display()
            );
            folder
        }
        None => Folder::new(temporary.insert(scratch("chaos-")?).path().join("data")),
    };
    let options = Options {
        scene: asked.scene,
        seed,
        orders: usize::try_from(asked.orders)?,
        customers: usize::try_from(asked.customers)?,
        pause: Duration::from_secs(asked.pause),
        patience: Duration::from_secs(asked.patience),
        folder: folder.clone(),
        binaries,
        progress: Progress::Shown,
    };
    let outcome = chaos::run(options).await;
    let to_be_looked_at = outcome.as_ref().map_or(true, |report| !report.holds());
    if to_be_looked_at && let Some(temporary) = temporary {
        keep(temporary, &folder);
    }
    outcome
}

/// For the data of a run.
pub(super) fn scratch(prefix: &str) -> anyhow::Result<TempDir> {
    let temporary = tempfile::Builder::new().prefix(prefix).tempdir();
    temporary.context("no folder for the run's data")
}

/// So that somebody can look at what went wrong.
pub(super) fn keep(temporary: TempDir, folder: &Folder) {
    let _kept = temporary.keep();
    say(format_args!(
        "its data and logs are kept in {}",
        folder.path().display()
    ));
}
