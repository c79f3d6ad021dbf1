//! The table of metrics (`deploy/telemetry/metrics.json`), which dashboards and alarms lean on, holds all that is measured
//! and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use deploy_local::collector::{self, Collector, Metric};
use deploy_local::instance::Folder;
use deploy_local::system::Catalog;
use deploy_local::{Part, tools};
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{self, SOON};

#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) metric: Metric,
    /// Only measured when something goes wrong, or seldom.
    #[serde(default)]
    rare: bool,
    tells: String,
}

/// Who tells nothing by itself: a Prometheus asks it. The gateway's own tests hold its rows against what it answers.
pub(crate) const ASKED: &str = "gateway";

pub(crate) fn table() -> Vec<Row> {
    let file = tools::checkout().join("deploy/telemetry/metrics.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn the_table_names_what_the_code_measures() {
    let mut measured = BTreeSet::new();
    for package in ["shared", "product-service", "basket-service", "order-service"] {
        instruments(&tools::checkout().join(package).join("src"), &mut measured);
    }
    let ours = |row: &Row| !row.metric.services.contains(ASKED);
    let named: BTreeSet<_> = table().into_iter().filter(ours).map(|row| row.name).collect();
    assert_eq!(measured, named);
    assert!(
        table().is_sorted_by(|one, next| one.name < next.name),
        "sorted, each once"
    );
    assert!(
        table()
            .iter()
            .all(|row| !row.tells.is_empty() && !row.metric.services.is_empty())
    );
    for row in table() {
        let of = row.metric.values.keys().cloned().collect::<BTreeSet<_>>();
        assert!(of.is_subset(&row.metric.attributes), "{}: {of:?}", row.name);
    }
}

/// The names in the source: `.u64_counter("name")` and its kin.
fn instruments(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            instruments(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for kind in ["_counter(\"", "_histogram(\"", "_gauge(\""] {
                let after = text.split(kind).skip(1);
                found.extend(after.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_as_the_table_says() {
    let (_temporary, folder) = harness::folder();
    fs::create_dir_all(folder.path()).unwrap();
    let collector = Collector::start(folder.path().join("spans.ndjson")).unwrap();
    let settings = [
        (collector::ENDPOINT, collector.url()),
        (collector::METRICS_EVERY_MS, "300"),
        ("METRICS_LISTEN", "127.0.0.1:0"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let system = harness::system_with(&folder, Catalog::Demo, BTreeMap::from(settings)).await;
    let load = ["load", "--users=8", "--duration=4s", "--pause=50ms", "--seed=11"];
    let bought = harness::run_local(&folder, &load).await;
    assert_eq!(bought.status.code(), Some(0), "{bought:?}");

    let table = table();
    let usual: BTreeMap<_, _> = table
        .iter()
        .filter(|row| !row.rare && !row.metric.services.contains(ASKED))
        .map(|row| (row.name.clone(), row.metric.clone()))
        .collect();
    let deadline = Instant::now() + SOON;
    let seen = loop {
        let seen = collector.metrics();
        let whole =
            |(name, metric): (&String, &Metric)| seen.get(name).is_some_and(|there| there.services == metric.services);
        if usual.iter().all(whole) || Instant::now() > deadline {
            break seen;
        }
        sleep(Duration::from_millis(200)).await;
    };
    for (name, metric) in &usual {
        let there = seen.get(name).unwrap_or_else(|| panic!("{name} is never told"));
        assert_eq!(there.services, metric.services, "{name}");
    }
    let rows: BTreeMap<_, _> = table.into_iter().map(|row| (row.name.clone(), row)).collect();
    for (name, there) in &seen {
        let row = rows
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table: {there:?}"));
        assert_eq!((&there.unit, there.kind), (&row.metric.unit, row.metric.kind), "{name}");
        assert!(there.attributes.is_subset(&row.metric.attributes), "{name}: {there:?}");
        assert!(there.services.is_subset(&row.metric.services), "{name}: {there:?}");
        for (attribute, values) in &row.metric.values {
            let told = there.values.get(attribute).cloned().unwrap_or_default();
            assert!(told.is_subset(values), "{name}: {attribute}: {told:?}");
        }
    }
    for part in Part::SERVICES {
        let told = asked(&folder, part).await;
        let own = usual.iter().filter(|(_, metric)| metric.services.contains(part.name()));
        for (name, _) in own {
            assert!(
                told.contains(&format!("# TYPE {}", name.replace('.', "_"))),
                "{part}: {name}: {told}"
            );
        }
        // Only there: not on the address that the gateway knows, and not by the gateway.
        for url in [system.url(part), system.url(Part::Gateway)] {
            let answer = harness::http().get(format!("{url}/metrics")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{part}");
        }
    }
    system.stop().await.unwrap();
    collector.stop().await;
}

/// All metrics of a service, as a Prometheus gets them that asks.
pub(crate) async fn asked(folder: &Folder, part: Part) -> String {
    let log = fs::read_to_string(folder.log(part.name())).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("metrics can be asked for"))
        .unwrap();
    let (_, address) = line.split_once("address=").unwrap();
    let address = address.split_whitespace().next().unwrap();
    let answer = harness::http()
        .get(format!("http://{address}/metrics"))
        .send()
        .await
        .unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.unwrap()
}
