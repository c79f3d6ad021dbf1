//! `cargo local dead-letters` on a whole system: what nobody can process is shown with why, and sent again.

use std::collections::BTreeMap;
use std::process::Output;

use deploy_local::instance::Folder;
use deploy_local::system::Catalog;
use deploy_local::{Part, System};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{self, SOON};
use crate::metrics;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_service_can_read_is_shown_with_why_and_sent_again() {
    let (_temporary, folder) = harness::folder();
    let asked = BTreeMap::from([("METRICS_LISTEN".to_owned(), "127.0.0.1:0".to_owned())]);
    let system = harness::system_with(&folder, Catalog::Empty, asked).await;
    let none = harness::run_local(&folder, &["dead-letters"]).await;
    assert!(said(&none).contains("there are no dead letters"), "{none:?}");

    publish(&system, &json!({"order_id": "no id", "lines": "none"}).to_string()).await;
    let shown = until_shown(&folder).await;
    let line = shown
        .lines()
        .find(|line| line.starts_with("order-service"))
        .unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("CheckoutRequested"), "{shown}");
    assert!(
        line.contains("no  "),
        "it says that the message cannot be read: {shown}"
    );

    // Whoever watches the figures hears of it without waiting for the next look.
    until_gauged(&folder, 1).await;

    let sent = harness::run_local(&folder, &["dead-letters", "--redrive"]).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let told = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(told.contains("order-service: 1 sent again"), "{told}");
    // Nothing has become of it, so it comes back.
    until_shown(&folder).await;
    system.stop().await.unwrap();
}

pub(crate) async fn publish(system: &System, detail: &str) {
    let deployment = system.deployment().unwrap();
    let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .event_bus_name(deployment.setting("EVENT_BUS").unwrap())
        .source("basket-service")
        .detail_type("CheckoutRequested")
        .detail(detail)
        .build();
    let answer = deployment.eventbridge().put_events().entries(entry).send().await;
    assert_eq!(answer.unwrap().failed_entry_count(), 0);
}

/// What is printed once there is a dead letter: a message that cannot be processed is tried five times.
async fn until_shown(folder: &Folder) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let output = harness::run_local(folder, &["dead-letters"]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let shown = said(&output);
        if shown.contains("order-service") {
            return shown;
        }
        assert!(Instant::now() < deadline, "{shown}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// The gauges of the order service's queues say so.
async fn until_gauged(folder: &Folder, dead_letters: u32) {
    let deadline = Instant::now() + SOON;
    loop {
        let told = metrics::asked(folder, Part::OrderService).await;
        let gauge = |name: &str| {
            let line = told.lines().find(|line| line.starts_with(&format!("{name}{{")));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
            (value, line.is_some_and(|line| line.contains("order-intake")))
        };
        assert!(gauge("messaging_queue_depth").1, "{told}");
        if gauge("messaging_dead_letters") == (Some(dead_letters), true) {
            return;
        }
        assert!(Instant::now() < deadline, "{told}");
        sleep(Duration::from_millis(500)).await;
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
