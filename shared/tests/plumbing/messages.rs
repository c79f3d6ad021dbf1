//! Publishing and consuming, over a real bus and a real queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use deploy_local::{Cloud, Deployment, Stack};
use jiff::Timestamp;
use shared::contract::order::OrderPlaced;
use shared::contract::{Delivery, Entry, Envelope};
use shared::ids::OrderId;
use shared::money::Money;
use shared::outbox::Publisher;
use shared::queue::{Outcome, Queue, QueueTiming, TRIES, Why};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::gate::Gate;
use crate::told::Told;

pub(crate) const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn deployment() -> Deployment {
    Cloud::for_tests()
        .deploy(&[Stack::Platform, Stack::Basket])
        .await
        .unwrap()
}

/// A consumer's queue whose messages come again at once when they fail.
pub(crate) fn queue(deployment: &Deployment, in_flight: usize, queue_visibility_s: u16) -> Queue {
    let url = deployment.setting("BASKET_SETTLE_QUEUE_URL").unwrap().to_owned();
    Queue {
        client: deployment.sqs(),
        url,
        dead_letters_url: deployment.setting("BASKET_SETTLE_DLQ_URL").unwrap().to_owned(),
        in_flight,
        timing: QueueTiming {
            queue_visibility_s,
            queue_retry_s: 0,
        },
    }
}

pub(crate) fn placed() -> Entry {
    let order_id = OrderId::from_uuid(Uuid::new_v4());
    let data = OrderPlaced {
        order_id,
        customer_id: "c".parse().unwrap(),
        total: Money::new(1, "USD".parse().unwrap()),
    };
    let envelope = Envelope {
        id: Uuid::now_v7(),
        version: 1,
        time: Timestamp::now(),
        correlation_id: order_id.to_string(),
        causation_id: String::new(),
        sequence: 1,
        traceparent: String::new(),
        data,
    };
    Entry::new(&envelope, vec![order_id.to_string()]).unwrap()
}

pub(crate) async fn publish(deployment: &Deployment, entries: &[Entry]) {
    let publisher = Publisher::new(
        deployment.eventbridge(),
        deployment.setting("EVENT_BUS").unwrap().to_owned(),
    );
    assert!(publisher.publish(entries).await.all(entries));
}

pub(crate) async fn messages_left(queue: &Queue) -> i32 {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    count(queue, &queue.url, &names).await
}

/// Messages that a consumer would be given now.
pub(crate) async fn visible(queue: &Queue, url: &str) -> i32 {
    use aws_sdk_sqs::types::QueueAttributeName as Name;
    count(queue, url, &[Name::ApproximateNumberOfMessages]).await
}

async fn count(queue: &Queue, url: &str, names: &[QueueAttributeName]) -> i32 {
    let request = queue.client.get_queue_attributes().queue_url(url);
    let answer = request.set_attribute_names(Some(names.to_vec())).send().await.unwrap();
    let counts = answer.attributes().unwrap().values();
    counts.map(|count| count.parse::<i32>().unwrap()).sum()
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn more_events_than_a_call_holds_all_arrive_and_are_deleted_once_handled() {
    let deployment = deployment().await;
    let entries: Vec<_> = (0..25).map(|_| placed()).collect();
    publish(&deployment, &entries).await;

    let (tell, mut told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let queue = queue(&deployment, 4, 30);
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, move |delivery: Delivery| {
        tell.send(delivery.detail.id).unwrap();
        async { Outcome::Done }
    }));
    let mut seen = std::collections::HashSet::new();
    while seen.len() < entries.len() {
        seen.insert(
            tokio::time::timeout(Duration::from_secs(20), told.recv())
                .await
                .unwrap()
                .unwrap(),
        );
    }
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(messages_left(&queue).await, 0);
}

#[tokio::test]
async fn no_more_is_in_work_than_there_are_places_and_a_stop_waits_for_it() {
    let deployment = deployment().await;
    publish(&deployment, &(0..6).map(|_| placed()).collect::<Vec<_>>()).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = CancellationToken::new();
    let stop = CancellationToken::new();
    let queue = queue(&deployment, 2, 30);
    let handle = {
        let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), gate.clone());
        move |_: Delivery| {
            let (now, most, gate) = (Arc::clone(&now), Arc::clone(&most), gate.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.cancelled().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Outcome::Done
            }
        }
    };
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, handle));
    until("two in work", || async { now.load(Ordering::SeqCst) == 2 }).await;
    stop.cancel();
    gate.cancel();
    consuming.await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(
        visible(&queue, &queue.url).await,
        4,
        "what was not begun is there for others"
    );
}

#[tokio::test]
async fn a_message_that_comes_in_the_middle_of_a_stop_is_there_for_others_at_once() {
    let deployment = deployment().await;
    let gate = Gate::default();
    let queue = Queue {
        client: gate.sqs().await,
        ..queue(&deployment, 2, 30)
    };
    gate.hold("ReceiveMessage");
    let stop = CancellationToken::new();
    let handle = |_: Delivery| async { panic!("nothing is begun after the stop") };
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, handle));
    publish(&deployment, &[placed()]).await;
    // SQS has given the message out, and its answer is on the way.
    until("the message is given out", || async {
        messages_left(&queue).await == 1 && visible(&queue, &queue.url).await == 0
    })
    .await;
    stop.cancel();
    gate.let_go();
    let ended = tokio::time::timeout(DRAIN, consuming).await.unwrap();
    ended.unwrap();
    assert_eq!(visible(&queue, &queue.url).await, 1);
}

#[tokio::test]
async fn what_is_not_done_when_the_time_of_a_stop_is_over_is_there_for_others_at_once() {
    let deployment = deployment().await;
    publish(&deployment, &[placed(), placed(), placed()]).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let queue = queue(&deployment, 2, 30);
    let handle = {
        let begun = Arc::clone(&begun);
        move |_: Delivery| {
            begun.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        }
    };
    let drain = Duration::from_millis(500);
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), drain, handle));
    until("two in work", || async { begun.load(Ordering::SeqCst) == 2 }).await;
    stop.cancel();
    let within = drain + Duration::from_secs(4);
    tokio::time::timeout(within, consuming).await.unwrap().unwrap();
    assert_eq!(visible(&queue, &queue.url).await, 3);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn one_of_several_messages_fails_and_that_one_alone_comes_again() {
    let deployment = deployment().await;
    let entries: Vec<_> = (0..5).map(|_| placed()).collect();
    let odd = entries[2].id;
    publish(&deployment, &entries).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let queue = queue(&deployment, 10, 30);
    let handle = {
        let tries = Arc::new(AtomicUsize::new(0));
        move |delivery: Delivery| {
            tell.send(delivery.detail.id).unwrap();
            let fails = delivery.detail.id == odd && tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                if fails {
                    Outcome::Again(Why::from("the table did not answer"))
                } else {
                    Outcome::Done
                }
            }
        }
    };
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, handle));
    until("all handled", || async { messages_left(&queue).await == 0 }).await;
    stop.cancel();
    consuming.await.unwrap();
    let mut times = std::collections::HashMap::new();
    while let Some(id) = told.recv().await {
        *times.entry(id).or_insert(0) += 1;
    }
    for entry in &entries {
        assert_eq!(times[&entry.id], if entry.id == odd { 2 } else { 1 });
    }
}

#[tokio::test]
async fn the_queues_give_a_message_up_after_as_many_tries_as_the_consumer_does() {
    let deployment = Cloud::for_tests().deploy(&[Stack::Basket, Stack::Order]).await.unwrap();
    for name in ["BASKET_SETTLE", "PROCESSING"] {
        let url = deployment.setting(&format!("{name}_QUEUE_URL")).unwrap();
        let request = deployment.sqs().get_queue_attributes().queue_url(url);
        let answer = request.attribute_names(QueueAttributeName::All).send().await.unwrap();
        let policy = &answer.attributes().unwrap()[&QueueAttributeName::RedrivePolicy];
        let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
        assert_eq!(
            policy["maxReceiveCount"].to_string().trim_matches('"'),
            TRIES.to_string()
        );
    }
}

#[tokio::test]
async fn a_message_stays_ours_for_as_long_as_it_is_worked_on() {
    let deployment = deployment().await;
    publish(&deployment, &[placed()]).await;
    let times = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let queue = queue(&deployment, 2, 1);
    let handle = {
        let times = Arc::clone(&times);
        move |_: Delivery| {
            let times = Arc::clone(&times);
            async move {
                times.fetch_add(1, Ordering::SeqCst);
                // Three times its visibility: without extending, it would come again meanwhile.
                tokio::time::sleep(Duration::from_secs(3)).await;
                Outcome::Done
            }
        }
    };
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, handle));
    until("handled", || async { messages_left(&queue).await == 0 }).await;
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(times.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_holds_up_nobody_and_is_told_of_once() {
    let deployment = deployment().await;
    let told_of = Told::here();
    let queue = queue(&deployment, 2, 30);
    queue
        .client
        .send_message()
        .queue_url(&queue.url)
        .message_body("{no event")
        .send()
        .await
        .unwrap();
    publish(&deployment, &[placed()]).await;
    let dead = Queue {
        url: queue.dead_letters_url.clone(),
        ..queue.clone()
    };

    let (tell, mut told) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let consuming = tokio::spawn(queue.clone().consume(stop.clone(), DRAIN, move |_: Delivery| {
        tell.send(()).unwrap();
        async { Outcome::Done }
    }));
    tokio::time::timeout(Duration::from_secs(10), told.recv())
        .await
        .unwrap()
        .unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while messages_left(&dead).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "it never became a dead letter");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(messages_left(&queue).await, 0);
    assert_eq!(told_of.heard(), ["ERROR a message is now a dead letter"]);
}

#[tokio::test]
async fn a_queue_that_is_away_is_told_of_when_it_goes_and_when_it_comes_back() {
    let (deployment, gate, told) = (deployment().await, Gate::default(), Told::here());
    let queue = Queue {
        client: gate.sqs().await,
        ..queue(&deployment, 1, 30)
    };
    gate.refuse("ReceiveMessage");
    let stop = CancellationToken::new();
    let consuming = tokio::spawn(queue.consume(stop.clone(), DRAIN, |_: Delivery| async { Outcome::Done }));
    // Three tries, a second apart.
    until("three tries", async || gate.refusals() >= 3).await;
    gate.open();
    until("word of its return", async || told.heard().len() > 1).await;
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(
        told.heard(),
        [
            "WARN no messages can be received; it is tried every second",
            "INFO messages are received again"
        ]
    );
}

#[tokio::test]
async fn a_publication_that_fails_says_so_in_its_trace_and_once_in_the_log() {
    let (deployment, gate, told) = (deployment().await, Gate::default(), Told::here());
    let bus = deployment.setting("EVENT_BUS").unwrap().to_owned();
    let publisher = Publisher::new(gate.eventbridge().await, bus.clone());
    gate.refuse("PutEvents");
    let entry = placed();
    let request = tracing::info_span!("request");
    let published = publisher
        .publish(std::slice::from_ref(&entry))
        .instrument(request)
        .await;
    assert!(!published.has(&entry));
    let failed = told.said(&format!("send {bus}"), "error.type");
    assert_eq!(failed, (Some("unreachable".to_owned()), true));
    assert_eq!(
        told.heard(),
        ["WARN events were not published; they are kept and tried again"]
    );

    drop(told);
    let told = Told::here();
    gate.open();
    let request = tracing::info_span!("request");
    let published = publisher
        .publish(std::slice::from_ref(&entry))
        .instrument(request)
        .await;
    assert!(published.has(&entry));
    assert_eq!(told.said(&format!("send {bus}"), "error.type"), (None, false));
}
