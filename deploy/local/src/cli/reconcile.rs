//! `reconcile`: holds everything against each other, and says what differs.

use std::process::ExitCode;

use anyhow::Context;

use crate::console::{print, say};
use crate::instance::Folder;
use crate::part::Part;
use crate::reconcile::{self, Line};

/// Success where all is clean, 1 where something differs, 2 where it could not be completed.
pub(super) async fn run(folder: &Folder) -> ExitCode {
    match reconciled(folder).await {
        Ok(code) => code,
        Err(error) => {
            super::tell(&error);
            ExitCode::from(super::NOT_CARRIED_OUT)
        }
    }
}

async fn reconciled(folder: &Folder) -> anyhow::Result<ExitCode> {
    let instance = folder.running()?;
    let token = super::token(folder, "admin").await?;
    let mut phase = String::new();
    let report = reconcile::run(instance.url(Part::Gateway)?, &token, |line| match line {
        Line::Progress(progress) if progress.phase != phase => {
            phase.clone_from(&progress.phase);
            say(format_args!("{phase}: {} so far", progress.counts));
        }
        Line::Progress(_) => {}
        Line::Drift(drift) => print(drift),
        Line::Summary(summary) => print(summary),
    });
    let report = report.await.context("reconciliation")?;
    Ok(if !report.summary.complete {
        ExitCode::from(super::NOT_CARRIED_OUT)
    } else if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
