//! Orders that somebody does not want any more.

use serde_json::{Value, json};
use shared::testing::activity::Pending;

use crate::harness::{SOON, Service, Shop, customer, merchant};
use crate::products::Stock;

async fn cancel(service: &Service, order: &Value, token: &str) -> reqwest::Response {
    let path = format!("/v1/orders/{}/cancel", order.as_str().unwrap());
    service
        .post(&path, token)
        .json(&json!({"reason": "changed my mind"}))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pending_order_can_be_cancelled_and_answers_its_checkout() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "600")]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.queue_is_empty().await;
    let ada = customer("ada");
    assert_eq!(service.read(&ada, id).await["actions"], json!(["cancel"]));

    let answer = cancel(&service, id, &ada).await;
    assert_eq!(answer.status(), 200);
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["timeline"][1]["actor"], "customer");
    assert_eq!(order["timeline"][1]["reason"], "changed my mind");
    let failed = shop.event("OrderFailed", id).await;
    assert_eq!(failed.detail["data"]["reason"], "cancelled");
    let told = shop.event("OrderCancelled", id).await;
    assert_eq!(told.detail["data"]["reason"], "changed my mind");
    assert!(shop.paid(id).iter().all(|paid| *paid == ("canceled", 0, 0)));
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    assert_eq!(cancel(&service, id, &ada).await.status(), 200, "once more");
}

#[tokio::test]
async fn an_order_in_its_grace_goes_on_by_itself_after_it() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "1")]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    let order = service.settles(&shop, &customer("ada"), &checkout["order_id"]).await;
    assert_eq!(order["status"], "confirmed");
}

#[tokio::test]
async fn a_confirmed_order_is_cancelled_with_a_full_refund() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    service.settles(&shop, &customer("ada"), id).await;

    assert_eq!(cancel(&service, id, &merchant()).await.status(), 200);
    let order = service.settles(&shop, &customer("ada"), id).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["payment"]["state"], "refunded");
    assert_eq!(order["payment"]["refunded"]["amount_minor"], 1000);
    assert_eq!(shop.paid(id), [("succeeded", 1000, 1000)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    assert_eq!(
        shop.told(id).await,
        ["OrderPlaced", "OrderConfirmed", "OrderRefunded", "OrderCancelled"]
    );
}

#[tokio::test]
async fn a_failed_order_cannot_be_cancelled() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 1);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    service.settles(&shop, &customer("ada"), id).await;
    let answer = cancel(&service, id, &customer("ada")).await;
    assert_eq!(answer.status(), 409);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "invalid_transition");
    assert_eq!(problem["from"], "failed");
    assert_eq!(problem["to"], "cancelled");
}

#[tokio::test]
async fn somebody_elses_order_cannot_be_cancelled_nor_told_from_a_missing_one() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "600")]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.queue_is_empty().await;
    let foreign = cancel(&service, id, &customer("eve")).await;
    let missing = cancel(&service, &json!(uuid::Uuid::new_v4()), &customer("eve")).await;
    assert_eq!(
        (foreign.status(), missing.status()),
        (404.try_into().unwrap(), 404.try_into().unwrap())
    );
    assert_eq!(service.read(&customer("ada"), id).await["status"], "pending");
}

#[tokio::test]
async fn an_order_can_be_cancelled_while_its_payment_is_under_way() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_slow"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let check = async || {
        let paid = shop.paid(id);
        if paid == [("processing", 0, 0)] {
            Ok(())
        } else {
            Err(Pending::new(paid))
        }
    };
    shop.activity.wait_for("payment under way", SOON, check).await;

    assert_eq!(cancel(&service, id, &customer("ada")).await.status(), 200);
    let order = service.settles(&shop, &customer("ada"), id).await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    assert_eq!(shop.told(id).await, ["OrderFailed", "OrderCancelled"]);
}
