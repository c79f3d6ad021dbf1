//! The demo catalog, imported as a merchant would import it.

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::catalog;

/// The last line of an import's answer.
#[derive(Deserialize)]
struct Last {
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    #[serde(default)]
    created: u64,
    #[serde(default)]
    updated: u64,
    #[serde(default)]
    unchanged: u64,
    #[serde(default)]
    failed: u64,
}

/// Imports it into the product service at `url`, and says how many products it has.
pub(crate) async fn import(http: &reqwest::Client, url: &str, token: &str) -> anyhow::Result<u64> {
    let answer = http
        .post(format!("{url}/v1/products/import"))
        .bearer_auth(token)
        .header("Content-Type", "application/x-ndjson")
        .body(catalog::DEMO)
        .send()
        .await
        .context("the demo catalog was not imported")?;
    let status = answer.status();
    let said = answer.text().await?;
    if !status.is_success() {
        bail!("the demo catalog was not imported: {status} {said}");
    }
    let last = said.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
    let Last { summary } = serde_json::from_str(last).with_context(|| format!("not the end of an import: {last}"))?;
    if summary.failed > 0 {
        let first = said
            .lines()
            .find(|line| line.contains("\"failed\""))
            .unwrap_or_default();
        bail!(
            "{} products of the demo catalog were refused, such as {first}",
            summary.failed
        );
    }
    Ok(summary.created + summary.updated + summary.unchanged)
}
