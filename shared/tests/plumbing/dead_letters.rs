//! Dead letters: how they come to be, are looked at, and go back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use deploy_local::Deployment;
use jiff::Timestamp;
use serde_json::json;
use shared::body::from_value;
use shared::contract::Delivery;
use shared::dead_letters::{DeadLetters, RedriveBody};
use shared::queue::{Depths, Outcome, Queue, Why};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::messages::{DRAIN, deployment, messages_left, placed, publish, queue, until, visible};

/// Seconds.
const OURS_FOR: u16 = 30;

fn letters(queue: &Queue) -> DeadLetters {
    DeadLetters::of(queue, |delivery| {
        if delivery.detail_type == "OrderPlaced" {
            Ok(())
        } else {
            Err(Why::from("not for this queue"))
        }
    })
}

fn named(ids: &[&str]) -> RedriveBody {
    from_value(json!({"message_ids": ids})).unwrap()
}

async fn bury(queue: &Queue, body: &str) -> String {
    let request = queue.client.send_message().queue_url(&queue.dead_letters_url);
    let sent = request.message_body(body).send().await.unwrap();
    sent.message_id().unwrap().to_owned()
}

/// As the bus hands it over.
fn event(kind: &str) -> String {
    let detail = json!({
        "id": "019aa0c0-0000-7000-8000-000000000000", "version": 1, "time": "2026-11-20T10:00:00Z",
        "correlation_id": "o", "causation_id": "e", "sequence": 1,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"order_id": "6f3c4a52-0f0e-4b57-9d0b-6f8f9a5f2a10", "shipping_address": "Baker Street"},
    });
    json!({"detail-type": kind, "source": "order-service", "detail": detail}).to_string()
}

fn ids(list: &shared::dead_letters::DeadLetterList) -> Vec<&str> {
    list.data.iter().map(|letter| letter.message_id.as_str()).collect()
}

fn consumed(
    queue: &Queue,
    handle: impl Fn(Delivery) -> Outcome + Clone + Send + Sync + 'static,
) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let handle = move |delivery| std::future::ready(handle(delivery));
    (stop.clone(), tokio::spawn(queue.clone().consume(stop, DRAIN, handle)))
}

#[tokio::test]
async fn a_message_that_is_given_up_says_why_and_goes_back_when_it_is_told_to() {
    let deployment = deployment().await;
    let mut queue = queue(&deployment, 2, OURS_FOR);
    // The first try and the last lie seconds apart, so that they can be told apart in the letter.
    queue.timing.queue_retry_s = 1;
    let (mended, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (stop, consuming) = consumed(&queue, {
        let (mended, tries) = (Arc::clone(&mended), Arc::clone(&tries));
        move |_| {
            tries.fetch_add(1, Ordering::SeqCst);
            if mended.load(Ordering::SeqCst) {
                Outcome::Done
            } else {
                Outcome::Unreadable(Why::from("this release does not know it yet"))
            }
        }
    });
    let before = Timestamp::now();
    publish(&deployment, &[placed()]).await;
    let letters = letters(&queue);
    until("it is a dead letter", || async {
        visible(&queue, &queue.dead_letters_url).await == 1
    })
    .await;
    assert_eq!(tries.load(Ordering::SeqCst), 5);

    let list = letters.list().await.unwrap();
    let [letter] = list.data.as_slice() else {
        panic!("{list:?}")
    };
    assert_eq!(letter.why, "this release does not know it yet");
    assert_eq!(letter.times_received, 5);
    assert!(letter.readable && !list.more);
    assert_eq!(letter.event.as_deref(), Some("OrderPlaced"));
    assert!(letter.order_id.is_some());
    // Of the first try, not of when it was given up some seconds later.
    let waited = letter.first_sent.unwrap().duration_since(before).as_secs_f64();
    assert!((-1.0..2.0).contains(&waited), "{waited}");
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 0,
            dead_letters: 1
        }
    );

    mended.store(true, Ordering::SeqCst);
    let redriven = letters.redrive(RedriveBody::all()).await.unwrap();
    assert_eq!((redriven.redriven, redriven.more), (1, false));
    until("it is handled", || async {
        tries.load(Ordering::SeqCst) == 6 && messages_left(&queue).await == 0
    })
    .await;
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 0,
            dead_letters: 0
        }
    );
}

#[tokio::test]
async fn what_sqs_itself_gave_up_is_told_by_reading_it_again_and_nothing_of_its_body_shows() {
    let deployment = deployment().await;
    let queue = queue(&deployment, 2, OURS_FOR);
    for body in [
        "{no event",
        &event("OrderPlaced"),
        &event("Baker Street 221"),
        r#"{"detail-type": "OrderPlaced", "source": "order-service", "detail": {"id": "Baker Street"}}"#,
    ] {
        bury(&queue, body).await;
    }
    let list = letters(&queue).list().await.unwrap();
    let shown: Vec<_> = list
        .data
        .iter()
        .map(|letter| (letter.event.as_deref(), letter.readable, letter.why.as_str()))
        .collect();
    assert!(
        shown.contains(&(None, false, "the message: no JSON from line 1 column 2")),
        "{shown:?}"
    );
    assert!(shown.contains(&(None, false, "not for this queue")), "{shown:?}");
    let readable = list.data.iter().find(|letter| letter.readable).unwrap();
    assert!(readable.why.starts_with("nobody noted why"), "{readable:?}");
    assert_eq!(readable.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(readable.times_received, 1);
    let half = list
        .data
        .iter()
        .find(|letter| letter.event.is_some() && !letter.readable);
    assert!(half.unwrap().why.starts_with("detail.id: "), "{half:?}");
    assert!(!serde_json::to_string(&list).unwrap().contains("Baker"), "{list:?}");
}

#[tokio::test]
async fn looking_is_bounded_takes_nothing_away_and_says_that_there_is_more() {
    let deployment = deployment().await;
    let queue = queue(&deployment, 2, OURS_FOR);
    for _ in 0..103 {
        bury(&queue, &event("OrderPlaced")).await;
    }
    for _ in 0..2 {
        let list = letters(&queue).list().await.unwrap();
        assert_eq!((list.data.len(), list.more), (100, true));
        assert_eq!(
            visible(&queue, &queue.dead_letters_url).await,
            103,
            "all are there for others"
        );
    }
    let redriven = letters(&queue).redrive(RedriveBody::all()).await.unwrap();
    assert_eq!((redriven.redriven, redriven.more), (100, true));
    let redriven = letters(&queue).redrive(RedriveBody::all()).await.unwrap();
    assert_eq!((redriven.redriven, redriven.more), (3, false));
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 103,
            dead_letters: 0
        }
    );
}

#[tokio::test]
async fn two_who_look_at_once_are_told_that_there_may_be_more() {
    let deployment = deployment().await;
    let gate = Gate::default();
    let slow = Queue {
        client: gate.sqs().await,
        ..queue(&deployment, 2, OURS_FOR)
    };
    let queue = queue(&deployment, 2, OURS_FOR);
    bury(&queue, &event("OrderPlaced")).await;
    gate.hold("ReceiveMessage");
    let first = tokio::spawn(async move { letters(&slow).list().await });
    until("the first one holds it", || async {
        visible(&queue, &queue.dead_letters_url).await == 0
    })
    .await;
    let second = letters(&queue).list().await.unwrap();
    assert_eq!((second.data.len(), second.more), (0, true));
    gate.let_go();
    let first = first.await.unwrap().unwrap();
    assert_eq!((first.data.len(), first.more), (1, false));
}

#[tokio::test]
async fn those_named_go_back_and_no_others_and_a_second_time_there_is_nothing_to_do() {
    let deployment = deployment().await;
    let queue = queue(&deployment, 2, OURS_FOR);
    let mut there = Vec::new();
    for _ in 0..15 {
        there.push(bury(&queue, &event("OrderPlaced")).await);
    }
    let letters = letters(&queue);
    let wanted = [there[1].as_str(), there[12].as_str(), "never-there"];
    let redriven = letters.redrive(named(&wanted)).await.unwrap();
    assert_eq!((redriven.redriven, redriven.more), (2, false));
    assert_eq!(redriven.not_found, ["never-there"]);
    let left = letters.list().await.unwrap();
    assert!(left.data.len() == 13 && !ids(&left).contains(&wanted[0]), "{left:?}");
    let again = letters.redrive(named(&wanted[..2])).await.unwrap();
    assert_eq!((again.redriven, again.not_found.len()), (0, 2));
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 2,
            dead_letters: 13
        }
    );
}

#[tokio::test]
async fn what_dies_again_while_it_is_sent_is_not_sent_again_by_the_same_call() {
    let deployment = deployment().await;
    let queue = queue(&deployment, 20, OURS_FOR);
    let times = Arc::new(AtomicUsize::new(0));
    let (stop, consuming) = consumed(&queue, {
        let times = Arc::clone(&times);
        move |_| {
            times.fetch_add(1, Ordering::SeqCst);
            Outcome::Unreadable(Why::from("hopeless"))
        }
    });
    bury(&queue, &event("OrderPlaced")).await;
    let gate = Gate::default();
    let slow = Queue {
        client: gate.sqs().await,
        ..queue.clone()
    };
    // It has been sent, and dies again before the call goes on.
    gate.hold("SendMessage");
    let redriving = tokio::spawn(async move { letters(&slow).redrive(RedriveBody::all()).await });
    until("it is dead again", || async {
        visible(&queue, &queue.dead_letters_url).await == 1 && times.load(Ordering::SeqCst) == 5
    })
    .await;
    gate.let_go();
    let redriven = redriving.await.unwrap().unwrap();
    assert_eq!((redriven.redriven, redriven.more), (1, true));
    stop.cancel();
    consuming.await.unwrap();
    assert_eq!(times.load(Ordering::SeqCst), 5);
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 0,
            dead_letters: 1
        }
    );
}

#[tokio::test]
async fn nothing_is_lost_where_sqs_fails_in_the_middle() {
    let deployment = deployment().await;
    let gate = Gate::default();
    let queue = Queue {
        client: gate.sqs().await,
        ..queue(&deployment, 2, OURS_FOR)
    };
    for _ in 0..3 {
        bury(&queue, &event("OrderPlaced")).await;
    }
    let letters = letters(&queue);
    gate.refuse("ReceiveMessage");
    letters.list().await.unwrap_err();
    letters.redrive(RedriveBody::all()).await.unwrap_err();

    gate.refuse("SendMessage");
    letters.redrive(RedriveBody::all()).await.unwrap_err();
    assert_eq!(visible(&queue, &queue.dead_letters_url).await, 3, "handed back at once");

    gate.refuse("DeleteMessage");
    let redriven = letters.redrive(RedriveBody::all()).await.unwrap();
    assert_eq!(redriven.redriven, 3);
    assert_eq!(
        queue.depths().await.unwrap(),
        Depths {
            queue: 3,
            dead_letters: 3
        },
        "twice, which is harmless"
    );
    gate.open();
}

#[tokio::test]
async fn a_message_whose_burial_fails_is_left_to_the_queue() {
    let deployment: Deployment = deployment().await;
    let gate = Gate::default();
    let queue = Queue {
        client: gate.sqs().await,
        ..queue(&deployment, 2, OURS_FOR)
    };
    gate.refuse("SendMessage");
    let (stop, consuming) = consumed(&queue, |_| Outcome::Unreadable(Why::from("hopeless")));
    publish(&deployment, &[placed()]).await;
    until("it is a dead letter", || async {
        visible(&queue, &queue.dead_letters_url).await == 1
    })
    .await;
    stop.cancel();
    consuming.await.unwrap();
    let list = letters(&queue).list().await.unwrap();
    assert!(list.data[0].why.starts_with("nobody noted why"), "{list:?}");
    assert_eq!(messages_left(&queue).await, 0);
}

#[test]
fn some_are_named_or_none() {
    for wrong in [
        json!({"message_ids": []}),
        json!({"message_ids": vec!["a"; 101]}),
        json!({"all": true}),
    ] {
        from_value::<RedriveBody>(wrong).unwrap_err();
    }
    assert_eq!(from_value::<RedriveBody>(json!({})).unwrap(), RedriveBody::all());
}
