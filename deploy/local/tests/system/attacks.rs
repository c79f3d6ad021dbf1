//! The OWASP API Security Top 10 as a table: each row is sent through the gateway, over HTTP/1.1 and HTTP/2, and to the
//! service itself, and has to get the answer that the row says. When all is over, nothing of anybody's may have changed.
//!
//! What a row expects is the contract's word, and not what the code happens to answer. Where a row means nothing on one of
//! the ways, it says why. The gateway's own tests look at what only a gateway can show.

mod authentication;
mod consumption;
mod flows;
mod forge;
mod forgery;
mod functions;
mod inventory;
mod misconfiguration;
mod objects;
mod properties;
mod slow;
mod stage;
mod table;
mod values;
mod webhooks;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deploy_local::Part;
use deploy_local::system::Catalog;
use futures_util::{StreamExt, stream};
use shared::testing::is_complete_run;
use tokio::time::Instant;

use self::stage::Stage;
use self::table::Attack;
use crate::harness;

/// As many requests at once as two processors have something to do with.
const AT_ONCE: usize = 12;
/// A table that has lost its rows holds everything.
const ROWS_AT_LEAST: usize = 150;

/// The complete form has the services' own request time-out of 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_where_they_do_not_belong() {
    let (_temporary, folder) = harness::folder();
    let mut settings = BTreeMap::new();
    if !is_complete_run() {
        let timeout = slow::SHORT_TIMEOUT.as_millis().to_string();
        settings.insert("REQUEST_TIMEOUT_MS".to_owned(), timeout);
    }
    let mut system = harness::system_with(&folder, Catalog::Empty, settings).await;
    let stage = Stage::set(&system, &folder).await;
    let doors = stage::doors(&system);
    let before = stage.treasure(&system).await;

    let rows = rows(&stage);
    let began = Instant::now();
    let tries: Vec<_> = rows
        .iter()
        .flat_map(|row| row.ways().map(move |way| (row, way)))
        .collect();
    let table = stream::iter(&tries)
        .map(|(row, way)| row.tried(*way, &doors))
        .buffer_unordered(AT_ONCE)
        .filter_map(async |tried: Result<(), String>| tried.err())
        .collect::<Vec<_>>();
    let table = async { (table.await, began.elapsed()) };
    let ((mut failures, took), (slow, given_up)) = tokio::join!(table, slow::all(&stage, &doors));
    failures.extend(given_up);
    failures.extend(changes(&before, &stage.treasure(&system).await));

    for part in Part::SERVICES {
        system.kill(part).await.unwrap();
        system.start_part(part).await.unwrap();
    }
    for row in flows::remembered(&stage) {
        for way in row.ways() {
            failures.extend(row.tried(way, &doors).await.err());
        }
    }
    failures.extend(changes(&before, &stage.treasure(&system).await));
    system.stop().await.unwrap();

    tell(&rows, tries.len(), slow, took);
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of the table do not hold:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn rows(stage: &Stage) -> Vec<Attack> {
    let rows = [
        objects::rows(stage),
        authentication::rows(stage),
        properties::rows(stage),
        consumption::rows(stage),
        values::rows(stage),
        functions::rows(stage),
        flows::rows(stage),
        forgery::rows(stage),
        misconfiguration::rows(stage),
        inventory::rows(stage),
        webhooks::rows(stage),
    ]
    .concat();
    assert!(rows.len() >= ROWS_AT_LEAST, "only {} rows", rows.len());
    let said: BTreeSet<_> = rows.iter().map(ToString::to_string).collect();
    assert!(said.len() >= ROWS_AT_LEAST, "only {} rows are unlike", said.len());
    for row in &rows {
        assert!(row.is_complete(), "{row} does not say what is to come on each way");
    }
    rows
}

/// What is not as it was.
fn changes(before: &BTreeMap<String, serde_json::Value>, after: &BTreeMap<String, serde_json::Value>) -> Vec<String> {
    let changed = before.iter().filter(|(name, was)| after.get(*name) != Some(was));
    changed
        .map(|(name, was)| format!("{name} changed from {was} to {:?}", after.get(name)))
        .collect()
}

#[expect(clippy::print_stdout, reason = "how much was held is what this test is for")]
fn tell(rows: &[Attack], tries: usize, slow: usize, took: Duration) {
    let mut of = BTreeMap::new();
    for row in rows {
        *of.entry(row.category).or_insert(0) += 1;
    }
    println!(
        "{} rows, {tries} requests in {took:.1?}, and {slow} slow clients: {of:?}",
        rows.len()
    );
    let mut left_out = BTreeMap::new();
    for (way, reason) in rows.iter().flat_map(Attack::left_out) {
        *left_out.entry((way, reason)).or_insert(0) += 1;
    }
    for ((way, reason), count) in left_out {
        println!("{count} rows not over {way:?}: {reason}");
    }
}
