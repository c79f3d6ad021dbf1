//! Checkouts from the queue: repeated, late, wrong, unreadable.

use std::time::Duration;

use serde_json::json;
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{Shop, customer, logged};
use crate::products::Stock;

#[tokio::test]
async fn the_same_message_delivered_five_times_makes_one_order() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];

    let event = Uuid::now_v7();
    tokio::join!(
        shop.publish_as(&checkout, event),
        shop.publish_as(&checkout, event),
        shop.publish_as(&checkout, event),
        shop.publish_as(&checkout, event),
        shop.publish_as(&checkout, event),
    );

    shop.event("OrderConfirmed", id).await;
    shop.queue_is_empty().await;
    shop.settled(id).await;
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 8,
            reserved: 0
        }
    );
    assert_eq!(shop.told(id).await, ["OrderPlaced", "OrderConfirmed"]);
    let listed = service
        .get("/v1/orders?customer_id=me", &customer("ada"))
        .send()
        .await
        .unwrap();
    let listed: serde_json::Value = listed.json().await.unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_that_comes_again_gets_the_very_same_answer_again() {
    let (shop, _service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.settled(id).await;
    shop.event("OrderConfirmed", id).await;
    let version = shop.item(id).await.unwrap()["version"].clone();

    // Another delivery, published anew as the basket service does it.
    let later = shop.deployment.tap().await.unwrap();
    shop.publish(&checkout).await;

    let first = shop.event("OrderPlaced", id).await;
    let again = later
        .wait_for(Duration::from_secs(20), |event| event.detail_type == "OrderPlaced")
        .await
        .unwrap();
    assert_eq!(first.detail, again.detail);
    shop.queue_is_empty().await;
    assert_eq!(shop.item(id).await.unwrap()["version"], version, "nothing was stored");
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
}

#[tokio::test]
async fn another_checkout_under_the_same_id_is_refused_and_leaves_the_order_alone() {
    let (shop, _service) = Shop::with_service().await;
    let (tea, cup) = (shop.products.add(500, 10), shop.products.add(900, 10));
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let before = shop.settled(id).await;

    let mut other = shop.checkout(&[(cup, 1, 900)], Some("pm_card_visa"));
    other["order_id"] = id.clone();
    let event = Uuid::now_v7();
    let second = shop.deployment.tap().await.unwrap();
    shop.publish_as(&other, event).await;

    let refused = shop.event("OrderFailed", id).await;
    assert_eq!(refused.detail["data"]["reason"], "key_reused");
    assert_eq!(refused.detail["data"]["lines"][0]["product_id"], json!(cup));
    assert_eq!(refused.detail["causation_id"], json!(event));
    shop.queue_is_empty().await;
    assert_eq!(shop.item(id).await.unwrap(), before);
    assert_eq!(
        shop.products.stock(cup),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    assert_eq!(
        second
            .seen()
            .await
            .unwrap()
            .iter()
            .filter(|e| e.source == "order-service")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_checkout_that_comes_too_late_is_a_failed_order() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let mut checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    checkout["valid_until"] = json!("2020-01-01T00:00:00Z");
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;

    let failed = shop.event("OrderFailed", id).await;
    assert_eq!(failed.detail["data"]["reason"], "expired");
    assert_eq!(failed.detail["sequence"], 1);
    shop.settled(id).await;
    let order = service.read(&customer("ada"), id).await;
    assert_eq!(order["status"], "failed");
    assert_eq!(order["failure"]["reason"], "expired");
    assert!(shop.paid(id).is_empty());
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn whatever_names_an_order_becomes_one_if_only_a_failed_one() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let fine = || shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let mut wrong = vec![fine(), fine(), fine(), fine(), fine(), fine(), fine()];
    wrong[0]["total"]["amount_minor"] = json!(1);
    wrong[1]["lines"] = json!([wrong[1]["lines"][0], wrong[1]["lines"][0]]);
    wrong[2]["lines"] = json!([]);
    wrong[3]["lines"][0]["unit_price"]["currency"] = json!("EUR");
    wrong[4]["lines"][0]["quantity"] = json!(0);
    wrong[5]["lines"][0]["unit_price"]["amount_minor"] = json!(-500);
    wrong[6]["payment_token"] = json!("4242 4242 4242 4242");
    for checkout in &wrong {
        shop.publish(checkout).await;
    }
    for checkout in &wrong {
        let id = &checkout["order_id"];
        let failed = shop.event("OrderFailed", id).await;
        assert_eq!(failed.detail["data"]["reason"], "invalid", "{checkout:#}");
        shop.settled(id).await;
        let order = service.read(&customer("ada"), id).await;
        assert_eq!(order["failure"]["reason"], "invalid");
        assert!(shop.paid(id).is_empty());
        let stored = shop.item(id).await.unwrap().to_string().replace(' ', "");
        assert!(!stored.contains("42424242"), "a card number was stored");
    }
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_checkout_is_told_once_however_often_it_comes() {
    let (shop, log, faults) = (Shop::open().await, logged(), Faults::none());
    let _service = shop.start_behind(faults.clone(), &[]);
    // Each time that the message comes, the call is tried three times.
    faults.on("PutItem", 6, Fate::Throttled);
    let tea = shop.products.add(500, 10);
    let mut wrong = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    wrong["total"]["amount_minor"] = json!(1);
    shop.publish(&wrong).await;
    shop.event("OrderFailed", &wrong["order_id"]).await;
    assert_eq!(faults.calls("PutItem"), 7);
    let (text, id) = (log.text(), wrong["order_id"].as_str().unwrap());
    let heard = |line: &&str| line.contains(id) && (line.contains("\"ERROR\"") || line.contains("\"WARN\""));
    let heard: Vec<_> = text.lines().filter(heard).collect();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert!(
        heard[0].contains("a checkout asks for what no order may hold"),
        "{heard:#?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_a_dead_letter_and_holds_nobody_up() {
    let (shop, _service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    shop.publish_text(r#"{"data": "no envelope"}"#).await;
    let no_name = json!({"lines": [], "customer_id": "ada"});
    shop.publish(&no_name).await;
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;

    shop.event("OrderConfirmed", &checkout["order_id"]).await;
    shop.dead_letters(2).await;
    shop.queue_is_empty().await;
}
