//! What the rules make of each event: who gets it, and what people are told. The events are those that are checked in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aws_sdk_sqs::types::Message;
use deploy_local::{Deployment, tools};
use serde_json::{Value, json};
use shared::contract::{self, Consumer};
use tokio::time::Instant;

use super::{SOON, everything, publish, publish_detail};

/// The bodies of an event that are checked in.
fn examples(event: &str) -> Vec<Value> {
    let folder = tools::checkout().join("deploy/events/examples").join(event);
    let count = fs::read_dir(&folder).unwrap().count();
    let read = |n: usize| fs::read_to_string(folder.join(format!("{n}.json"))).unwrap();
    (1..=count).map(|n| serde_json::from_str(&read(n)).unwrap()).collect()
}

/// Marks an event that is published after all others, so that a queue that holds it holds them too.
const SENTINEL: &str = "sentinel";

/// Publishes the sentinel of a consumer's queue. Returns the names of all other events in the queue, each as often as it is
/// there.
async fn names_in(deployment: &Deployment, queue: &str, consumer: Consumer) -> Vec<String> {
    let kinds = contract::kinds().into_iter();
    let mut consumed =
        kinds.filter(|kind| kind.consumers.contains(&consumer) && !kind.consumers.contains(&Consumer::Notifications));
    let kind = consumed.next().unwrap();
    publish_detail(deployment, kind.source, kind.name, &json!({"id": SENTINEL}).to_string()).await;

    let deadline = Instant::now() + SOON;
    let (mut names, mut complete) = (Vec::new(), false);
    loop {
        let messages = receive(deployment, queue, if complete { 0 } else { 5 }).await;
        if complete && messages.is_empty() {
            names.sort();
            return names;
        }
        for message in messages {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            if event["detail"]["id"] == SENTINEL {
                complete = true;
            } else {
                names.push(event["detail-type"].as_str().unwrap().to_owned());
            }
        }
        assert!(Instant::now() < deadline, "{queue} holds {names:?}, and no sentinel");
    }
}

async fn receive(deployment: &Deployment, queue: &str, wait_s: i32) -> Vec<Message> {
    let receive = deployment
        .sqs()
        .receive_message()
        .queue_url(deployment.setting(queue).unwrap())
        .max_number_of_messages(10)
        .wait_time_seconds(wait_s);
    receive.send().await.unwrap().messages.unwrap_or_default()
}

fn named(consumer: Consumer) -> BTreeSet<String> {
    let kinds = contract::kinds().into_iter();
    let consumed = kinds.filter(|kind| kind.consumers.contains(&consumer));
    consumed.map(|kind| kind.name.to_owned()).collect()
}

#[tokio::test]
async fn each_event_reaches_whom_the_contract_names_and_nobody_else() {
    let deployment = everything().await;
    let mailbox = deployment.mailbox().await.unwrap();
    for kind in contract::kinds() {
        let body = examples(kind.name)[0].to_string();
        publish_detail(&deployment, kind.source, kind.name, &body).await;
        // Whoever else says so is not believed.
        publish_detail(&deployment, "somebody-else", kind.name, &body).await;
    }
    let told = named(Consumer::Notifications);
    for (queue, consumer) in [
        ("PROCESSING_QUEUE_URL", Consumer::OrderIntake),
        ("BASKET_SETTLE_QUEUE_URL", Consumer::BasketSettle),
    ] {
        let expected: Vec<_> = named(consumer).into_iter().collect();
        assert_eq!(names_in(&deployment, queue, consumer).await, expected, "{queue}");
    }
    let texts = mailbox.wait_for(SOON, |texts| texts.len() >= told.len()).await.unwrap();
    let expected: BTreeSet<_> = told
        .iter()
        .map(|name| text_of(name, &examples(name)[0]).unwrap())
        .collect();
    assert_eq!(texts.len(), told.len(), "{texts:#?}");
    assert_eq!(texts.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// What people are told of an event; `None`: nothing.
fn text_of(name: &str, event: &Value) -> Option<String> {
    let at = |path: &str| match event.pointer(path).unwrap() {
        Value::String(text) => text.clone(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    let (order, time) = (at("/data/order_id"), at("/time"));
    let text = match name {
        "OrderAwaitingAcceptance" => {
            let until = at("/data/answer_by");
            return Some(format!(
                "Order {order} waits to be accepted or rejected until {until}. Without an answer it fails. Its goods are \
                 held."
            ));
        }
        "OrderConfirmed" => format!("Order {order} is confirmed and can be shipped."),
        "OrderRejected" => {
            format!("Order {order} was not accepted. Nothing was charged, and its goods are back in stock.")
        }
        "OrderFailed" => match at("/data/reason").as_str() {
            "cancelled" | "key_reused" => return None,
            reason => format!("Order {order} could not be fulfilled ({reason}). Nothing was charged."),
        },
        "OrderCancelled" => format!("Order {order} was cancelled. What was paid is returned."),
        "OrderShipped" => format!("Order {order} is on its way."),
        "OrderDelivered" => format!("Order {order} was delivered."),
        "OrderRefunded" => {
            let (amount, total) = (at("/data/amount/amount_minor"), at("/data/refunded_total/amount_minor"));
            let currency = at("/data/amount/currency");
            format!(
                "{amount} {currency} of order {order} were refunded, {total} {currency} in all, counted in the smallest \
                 unit of the currency."
            )
        }
        "OrderDisputed" => {
            let (status, reason) = (at("/data/status"), at("/data/reason"));
            format!(
                "A dispute of the payment of order {order} is {status} ({reason}). What can be done about it stands in \
                 the dashboard of the payment provider."
            )
        }
        other => panic!("no text is known for {other}"),
    };
    Some(format!("{text} ({time})"))
}

#[tokio::test]
async fn people_are_told_of_every_shape_of_an_event_and_of_no_order_what_is_not_true() {
    let deployment = everything().await;
    let mailbox = deployment.mailbox().await.unwrap();
    let mut expected = BTreeMap::new();
    for name in named(Consumer::Notifications) {
        for event in examples(&name) {
            publish_detail(&deployment, "order-service", &name, &event.to_string()).await;
            if let Some(text) = text_of(&name, &event) {
                *expected.entry(text).or_insert(0) += 1;
            }
        }
    }
    // Told last: when it is there, so are all others.
    let mut last = examples("OrderShipped")[0].clone();
    last["data"]["order_id"] = "the-last".into();
    publish_detail(&deployment, "order-service", "OrderShipped", &last.to_string()).await;
    *expected.entry(text_of("OrderShipped", &last).unwrap()).or_insert(0) += 1;
    let count: usize = expected.values().sum();
    let complete = |texts: &[String]| texts.len() >= count && texts.iter().any(|text| text.contains("the-last"));
    let mut told = BTreeMap::new();
    for text in mailbox.wait_for(SOON, complete).await.unwrap() {
        *told.entry(text).or_insert(0) += 1;
    }
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_judged_to_be_wrong_fails_the_test_that_published_it() {
    let judged = everything().await.judged_by(|events| {
        let wrong = events.iter().filter(|event| event.detail_type == "Wrong");
        wrong.map(|event| format!("{} is wrong", event.source)).collect()
    });
    let deployment = judged.await.unwrap();
    publish(&deployment, "somebody", "Right").await;
    publish(&deployment, "nobody", "Wrong").await;
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(deployment)));
    let said = outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(
        said.contains("nobody is wrong") && !said.contains("somebody is"),
        "{said}"
    );

    let deployment = everything().await.judged_by(|_| Vec::new()).await.unwrap();
    publish(&deployment, "nobody", "Wrong").await;
    drop(deployment);
}
