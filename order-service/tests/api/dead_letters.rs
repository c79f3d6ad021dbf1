//! Checkouts that could not be taken in: looked at by admins, and taken in after all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::testing::Issuer;
use shared::testing::faults::Faults;
use uuid::Uuid;

use crate::harness::{SOON, Service, Shop, customer, merchant};
use crate::products::Stock;

const LIST: &str = "/v1/orders/admin/dead-letters";
const REDRIVE: &str = "/v1/orders/admin/dead-letters/redrive";

fn admin() -> String {
    Issuer::shared().admin()
}

/// The list as soon as it has so many. On a busy machine an answer of SQS may be lost, and what was in it
/// is hidden for some seconds: the list says that there may be more.
async fn listed(service: &Service, count: usize) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        let answer = service.get(LIST, &admin()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        for secret in ["Lovelace", "St James", "pm_card"] {
            assert!(!text.contains(secret), "{text}");
        }
        let list: Value = serde_json::from_str(&text).unwrap();
        if list["data"].as_array().unwrap().len() == count {
            return list;
        }
        assert!(list["more"] == true && Instant::now() < deadline, "{list:#}");
    }
}

async fn redriven(service: &Service, which: Value) -> Value {
    let answer = service.post(REDRIVE, &admin()).json(&which).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

impl Shop {
    /// Puts a checkout among the dead letters, as the queue does by itself.
    async fn bury(&self, checkout: &Value) {
        let detail = json!({
            "id": Uuid::now_v7(), "version": 1, "time": "2026-11-20T10:00:00Z", "correlation_id": checkout["order_id"],
            "causation_id": "a-request", "sequence": 0, "traceparent": "", "data": checkout,
        });
        let body = json!({"detail-type": "CheckoutRequested", "source": "basket-service", "detail": detail});
        let request = self.deployment.sqs().send_message();
        let url = self.deployment.setting("PROCESSING_DLQ_URL").unwrap();
        request
            .queue_url(url)
            .message_body(body.to_string())
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_checkout_that_could_not_be_stored_says_so_and_becomes_an_order_when_it_is_sent_again() {
    let shop = Shop::open().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    let blind = shop.start_behind(
        Faults::refusing("PutItem"),
        &[("QUEUE_RETRY_S", "0"), ("AWS_CALL_BACKOFF_MS", "1")],
    );
    shop.publish(&checkout).await;
    // Five tries.
    shop.dead_letters(1).await;
    // It is a dead letter first, and gone from the queue then: a death between the two would make a second one.
    shop.queue_is_empty().await;
    blind.kill();
    assert!(shop.item(id).await.is_none());

    let service = shop.start(&[]);
    let list = listed(&service, 1).await;
    let letter = &list["data"][0];
    assert_eq!(letter["why"], "the orders table did not answer", "{list:#}");
    assert_eq!(letter["order_id"], *id);
    assert_eq!(letter["event"], "CheckoutRequested");
    assert_eq!(
        (&letter["times_received"], &letter["readable"], &list["more"]),
        (&json!(5), &json!(true), &json!(false))
    );

    let went = redriven(&service, json!({"message_ids": [letter["message_id"]]})).await;
    assert_eq!(went, json!({"redriven": 1, "not_found": [], "more": false}));
    shop.event("OrderConfirmed", id).await;
    shop.settled_and_done(id).await;
    shop.dead_letters(0).await;
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
    let again = redriven(&service, json!({"message_ids": [letter["message_id"]]})).await;
    assert_eq!(again["redriven"], 0);
    assert_eq!(again["not_found"], json!([letter["message_id"]]));
}

#[tokio::test]
async fn a_checkout_sent_again_weeks_later_makes_no_order_at_old_prices() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let mut checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    checkout["valid_until"] = json!("2026-01-01T00:00:00Z");
    let id = &checkout["order_id"];
    shop.bury(&checkout).await;
    assert_eq!(listed(&service, 1).await["data"][0]["order_id"], *id);

    assert_eq!(redriven(&service, json!({})).await["redriven"], 1);
    let failed = shop.event("OrderFailed", id).await;
    assert_eq!(failed.detail["data"]["reason"], "expired");
    shop.settled_and_done(id).await;
    assert!(shop.paid(id).is_empty());
    let untouched = Stock {
        on_hand: 10,
        reserved: 0,
    };
    assert_eq!(shop.products.stock(tea), untouched);
}

#[tokio::test]
async fn what_cannot_be_read_says_where_and_comes_back_when_it_is_sent_again() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let nameless = json!({"order_id": "4711", "customer_id": "ada", "shipping_address": {"name": "Lovelace"}});
    shop.publish(&nameless).await;
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    // The good one is through long before the other has died.
    tokio::time::timeout(
        Duration::from_secs(10),
        shop.event("OrderConfirmed", &checkout["order_id"]),
    )
    .await
    .unwrap();
    shop.dead_letters(1).await;
    let list = listed(&service, 1).await;
    let letter = &list["data"][0];
    let why = "detail.data.order_id: a value that may not be there";
    assert_eq!(letter["why"], why, "{list:#}");
    assert_eq!(
        (&letter["readable"], &letter["order_id"]),
        (&json!(false), &json!(null))
    );

    assert_eq!(redriven(&service, json!({})).await["redriven"], 1);
    shop.dead_letters(1).await;
    shop.queue_is_empty().await;
    assert_eq!(listed(&service, 1).await["data"][0]["times_received"], 5);
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let (_shop, service) = Shop::with_service().await;
    let service_token = Issuer::shared().service("internal/read");
    for (token, status) in [
        (customer("ada"), 403),
        (merchant(), 403),
        (service_token, 403),
        ("none".to_owned(), 401),
    ] {
        let answer = service.get(LIST, &token).send().await.unwrap();
        assert_eq!(answer.status(), status);
        let answer = service.post(REDRIVE, &token).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), status);
    }
    for (wrong, at) in [
        (json!({"message_ids": []}), "#/message_ids"),
        (json!({"message_ids": "all"}), "#/message_ids"),
        (json!({"messages": ["a"]}), "#/messages"),
    ] {
        let answer = service.post(REDRIVE, &admin()).json(&wrong).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["pointer"], at, "{problem:#}");
    }
    let keyed = service.post(REDRIVE, &admin()).header("idempotency-key", "k");
    let answer = keyed.json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn where_sqs_is_away_one_is_asked_to_come_again() {
    let shop = Shop::open().await;
    let service = shop.start_behind(Faults::refusing("ReceiveMessage"), &[]);
    let list = service.get(LIST, &admin()).send().await.unwrap();
    let redrive = service.post(REDRIVE, &admin()).json(&json!({})).send().await.unwrap();
    for answer in [list, redrive] {
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }
}
