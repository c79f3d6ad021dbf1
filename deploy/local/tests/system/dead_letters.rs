//! `cargo local dead-letters` on a whole system: what nobody can process is shown with why, and sent again.

use std::process::Output;

use deploy_local::System;
use deploy_local::instance::Folder;
use deploy_local::system::Catalog;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{self, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn what_no_service_can_read_is_shown_with_why_and_sent_again() {
    let (_temporary, folder) = harness::folder();
    let system = harness::system(&folder, Catalog::Empty).await;
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

    let sent = harness::run_local(&folder, &["dead-letters", "--redrive"]).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let told = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(told.contains("order-service: 1 sent again"), "{told}");
    // Nothing has become of it, so it comes back.
    until_shown(&folder).await;
    system.stop().await.unwrap();
}

async fn publish(system: &System, detail: &str) {
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

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
