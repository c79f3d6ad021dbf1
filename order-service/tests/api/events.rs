//! Listening to an order: server-sent events, on whichever replica.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use shared::testing::activity::Pending;
use uuid::Uuid;

use crate::harness::{SOON, Service, Shop, customer, merchant};

/// What an `EventSource` would hand on.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    id: String,
    event: String,
    data: Value,
    comment: bool,
}

struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"));
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event or comment; `None` when the stream has ended in order.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let mut heard = Heard::default();
                for line in block.lines() {
                    match line.split_once(": ").unwrap() {
                        ("id", id) => id.clone_into(&mut heard.id),
                        ("event", event) => event.clone_into(&mut heard.event),
                        ("data", data) => heard.data = serde_json::from_str(data).unwrap(),
                        ("", _) => heard.comment = true,
                        ("retry", millis) => assert!(millis.parse::<u32>().is_ok()),
                        other => panic!("{other:?}"),
                    }
                }
                if heard == Heard::default() {
                    continue;
                }
                return Some(heard);
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk())
                .await
                .expect("something is said");
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// The next event as (id, status).
    async fn change(&mut self) -> (String, String) {
        loop {
            let heard = self.next().await.expect("it goes on");
            if !heard.comment {
                assert_eq!(heard.event, "change", "{heard:?}");
                return (heard.id, heard.data["status"].as_str().unwrap().to_owned());
            }
        }
    }

    /// That the last event comes next, and after it nothing.
    async fn ends_with(&mut self, status: &str) {
        let mut heard = self.next().await.unwrap();
        while heard.comment {
            heard = self.next().await.unwrap();
        }
        assert_eq!((heard.event.as_str(), &heard.data), ("end", &json!({"status": status})));
        assert_eq!(self.next().await, None);
    }
}

fn events(service: &Service, token: &str, order: &Value) -> RequestBuilder {
    service.get(&format!("/v1/orders/{}/events", order["id"].as_str().unwrap()), token)
}

fn after(service: &Service, token: &str, order: &Value, last: &str) -> RequestBuilder {
    events(service, token, order).header("last-event-id", last)
}

/// An order that waits for its merchant, so that a test says when it goes on.
async fn waiting(shop: &Shop, service: &Service) -> Value {
    let tea = shop.products.add(500, 10);
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let order = service.order(&customer("ada"), &body).await;
    service
        .comes_to(&customer("ada"), &order["id"], "awaiting_acceptance")
        .await;
    order
}

async fn asked(service: &Service, token: &str, order: &Value, action: &str) {
    let path = format!("/v1/orders/{}/{action}", order["id"].as_str().unwrap());
    let body = if action == "cancel" {
        json!({"reason": "changed my mind"})
    } else {
        json!({})
    };
    let answer = service.post(&path, token).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

const MANUAL: (&str, &str) = ("ORDER_ACCEPTANCE", "manual");
/// A replica that does nothing about orders by itself.
const IDLE: (&str, &str) = ("SWEEP_MS", "60000");

#[tokio::test]
async fn each_change_is_heard_on_whichever_replica_and_the_end_is_told() {
    let shop = Shop::open().await;
    let (acting, other) = (shop.start(&[MANUAL]), shop.start(&[MANUAL, IDLE]));
    let order = waiting(&shop, &acting).await;
    let ada = customer("ada");
    let mut here = Stream::open(events(&acting, &ada, &order)).await;
    let mut there = Stream::open(events(&other, &ada, &order)).await;
    let mut merchants = Stream::open(events(&other, &merchant(), &order)).await;
    for stream in [&mut here, &mut there, &mut merchants] {
        assert_eq!(stream.change().await, ("1".to_owned(), "pending".to_owned()));
        assert_eq!(
            stream.change().await,
            ("2".to_owned(), "awaiting_acceptance".to_owned())
        );
    }
    asked(&acting, &merchant(), &order, "accept").await;
    for stream in [&mut here, &mut there, &mut merchants] {
        assert_eq!(stream.change().await, ("3".to_owned(), "confirmed".to_owned()));
    }
    asked(&acting, &ada, &order, "cancel").await;
    let shown = acting.comes_to(&ada, &order["id"], "cancelled").await;
    let timeline = shown["timeline"].as_array().unwrap();
    for stream in [&mut here, &mut there, &mut merchants] {
        for position in 4..=timeline.len() {
            let heard = stream.next().await.unwrap();
            // What is heard is what the order shows, no more and no less.
            assert_eq!((heard.id, &heard.data), (position.to_string(), &timeline[position - 1]));
        }
        stream.ends_with("cancelled").await;
    }
}

#[tokio::test]
async fn who_comes_back_hears_what_was_missed_and_nothing_twice() {
    let shop = Shop::open().await;
    let (first, second) = (shop.start(&[MANUAL]), shop.start(&[MANUAL, IDLE]));
    let order = waiting(&shop, &first).await;
    let ada = customer("ada");
    let mut stream = Stream::open(events(&first, &ada, &order)).await;
    assert_eq!(stream.change().await.0, "1");
    // The connection breaks; meanwhile things go on, and another replica is asked.
    drop(stream);
    asked(&first, &merchant(), &order, "accept").await;
    let mut stream = Stream::open(after(&second, &ada, &order, "1")).await;
    assert_eq!(
        stream.change().await,
        ("2".to_owned(), "awaiting_acceptance".to_owned())
    );
    assert_eq!(stream.change().await, ("3".to_owned(), "confirmed".to_owned()));

    asked(&first, &ada, &order, "cancel").await;
    let shown = first.comes_to(&ada, &order["id"], "cancelled").await;
    let all = shown["timeline"].as_array().unwrap().len().to_string();
    // Who has seen all but the end's own event is told to come back no more.
    for service in [&first, &second] {
        let answer = after(service, &ada, &order, &all).send().await.unwrap();
        assert_eq!(answer.status(), 204);
        let mut late = Stream::open(events(service, &ada, &order)).await;
        let mut last = String::new();
        while last != all {
            last = late.change().await.0;
        }
        late.ends_with("cancelled").await;
    }
    for wrong in ["99", "-1", "one"] {
        let answer = after(&first, &ada, &order, wrong).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{wrong}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "invalid_last_event_id");
    }
}

#[tokio::test]
async fn somebody_elses_order_is_listened_to_as_one_that_does_not_exist() {
    let shop = Shop::open().await;
    let service = shop.start(&[MANUAL]);
    let order = waiting(&shop, &service).await;
    let mut answers = Vec::new();
    for id in [order["id"].clone(), json!(Uuid::new_v4())] {
        for last in ["0", "1", "99"] {
            let request = after(&service, &customer("eve"), &json!({"id": id}), last);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 404);
            let mut body: Value = answer.json().await.unwrap();
            for own in ["trace_id", "instance"] {
                body.as_object_mut().unwrap().remove(own);
            }
            answers.push(body.to_string());
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let path = format!("/v1/orders/{}/events", order["id"].as_str().unwrap());
    assert_eq!(service.get(&path, "none").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_stop_ends_streams_in_order_and_another_replica_goes_on() {
    let shop = Shop::open().await;
    let (stopped, other) = (shop.start(&[MANUAL]), shop.start(&[MANUAL]));
    let order = waiting(&shop, &stopped).await;
    let ada = customer("ada");
    let mut stream = Stream::open(after(&stopped, &ada, &order, "1")).await;
    assert_eq!(stream.change().await.0, "2");
    tokio::time::timeout(Duration::from_secs(5), stopped.stop())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stream.next().await, None, "its end is no broken connection");
    asked(&other, &merchant(), &order, "accept").await;
    let mut stream = Stream::open(after(&other, &ada, &order, "2")).await;
    assert_eq!(stream.change().await, ("3".to_owned(), "confirmed".to_owned()));
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_one_whose_client_left_gives_its_place_back() {
    let shop = Shop::open().await;
    let service = shop.start(&[MANUAL, ("EVENT_STREAMS", "1"), ("EVENT_HEARTBEAT_MS", "500")]);
    let order = waiting(&shop, &service).await;
    let ada = customer("ada");
    let mut stream = Stream::open(after(&service, &ada, &order, "2")).await;
    let full = events(&service, &ada, &order).send().await.unwrap();
    assert_eq!(
        (full.status().as_u16(), full.headers()["retry-after"].to_str().unwrap()),
        (503, "5")
    );
    assert!(stream.next().await.unwrap().comment, "a proxy has no reason to cut it");
    drop(stream);
    let check = async || {
        let status = events(&service, &ada, &order).send().await.unwrap().status();
        if status == 200 {
            Ok(())
        } else {
            Err(Pending::new(status))
        }
    };
    shop.activity.wait_for("free stream", SOON, check).await;
}

#[tokio::test]
async fn a_stream_lasts_for_its_time_and_is_gone_on_with() {
    let shop = Shop::open().await;
    let service = shop.start(&[MANUAL, ("EVENT_STREAM_S", "1")]);
    let order = waiting(&shop, &service).await;
    let ada = customer("ada");
    let mut stream = Stream::open(events(&service, &ada, &order)).await;
    assert_eq!(stream.change().await.0, "1");
    assert_eq!(stream.change().await.0, "2");
    assert_eq!(stream.next().await, None);
    asked(&service, &merchant(), &order, "accept").await;
    let mut stream = Stream::open(after(&service, &ada, &order, "2")).await;
    assert_eq!(stream.change().await.0, "3");
}

#[tokio::test]
async fn a_head_of_a_stream_is_answered_at_once() {
    let shop = Shop::open().await;
    let service = shop.start(&[MANUAL, ("EVENT_STREAMS", "1")]);
    let order = waiting(&shop, &service).await;
    let ada = customer("ada");
    for _ in 0..3 {
        let path = format!("/v1/orders/{}/events", order["id"].as_str().unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(5), service.head(&path, &ada).send());
        assert_eq!(
            answer.await.unwrap().unwrap().status(),
            200,
            "none of them holds a place"
        );
    }
}
