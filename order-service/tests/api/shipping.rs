//! Orders on their way, and arrived.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Service, Shop, customer, merchant};

async fn ask(service: &Service, order: &Value, action: &str, token: &str, body: Option<Value>) -> reqwest::Response {
    let path = format!("/v1/orders/{}/{action}", order.as_str().unwrap());
    let request = service.post(&path, token);
    match body {
        Some(body) => request.json(&body).send().await.unwrap(),
        None => request.send().await.unwrap(),
    }
}

fn parcel() -> Option<Value> {
    Some(json!({"carrier": " DHL ", "tracking": "JD0001"}))
}

async fn confirmed(shop: &Shop, service: &Service) -> Value {
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    let order = service.settles(shop, &customer("ada"), &checkout["order_id"]).await;
    assert_eq!(order["status"], "confirmed");
    order["id"].clone()
}

#[tokio::test]
async fn a_confirmed_order_is_shipped_and_delivered_once_however_often_it_is_said() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let seen = service.read(&merchant(), &id).await;
    assert_eq!(seen["actions"], json!(["cancel", "ship", "refund"]));
    assert_eq!(service.read(&customer("ada"), &id).await["actions"], json!(["cancel"]));
    assert_eq!(seen["shipment"], Value::Null);

    for carrier in ["DHL", "Another"] {
        let body = Some(json!({"carrier": carrier, "tracking": "JD0001"}));
        let shipped = ask(&service, &id, "ship", &merchant(), body).await;
        assert_eq!(shipped.status(), 200);
        let shipped: Value = shipped.json().await.unwrap();
        assert_eq!(shipped["status"], "shipped");
        assert_eq!(shipped["shipment"], json!({"carrier": "DHL", "tracking": "JD0001"}));
    }
    let told = shop.event("OrderShipped", &id).await;
    assert_eq!(
        (&told.detail["data"]["carrier"], &told.detail["data"]["tracking"]),
        (&json!("DHL"), &json!("JD0001"))
    );
    for _ in 0..2 {
        let delivered = ask(&service, &id, "deliver", &merchant(), None).await;
        assert_eq!(delivered.status(), 200);
        assert_eq!(delivered.json::<Value>().await.unwrap()["status"], "delivered");
    }
    assert_eq!(
        ask(&service, &id, "ship", &merchant(), parcel()).await.status(),
        200,
        "long ago"
    );
    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(order["actions"], json!([]));
    assert_eq!(
        shop.told(&id).await,
        ["OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"]
    );
    let timeline = order["timeline"].as_array().unwrap();
    let changes: Vec<_> = timeline
        .iter()
        .map(|change| (change["status"].as_str().unwrap(), change["actor"].as_str().unwrap()))
        .collect();
    assert_eq!(
        changes,
        [
            ("pending", "customer"),
            ("confirmed", "system"),
            ("shipped", "merchant"),
            ("delivered", "merchant")
        ]
    );
    assert_eq!(
        (&timeline[1]["attempt"], &timeline[2]["attempt"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(timeline[2]["reason"], "DHL JD0001");
    assert!(
        timeline
            .iter()
            .all(|change| change["trace_id"].as_str().unwrap().len() == 32)
    );
}

#[tokio::test]
async fn what_the_state_does_not_allow_names_what_it_does() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    let refused = |action, body, from: &'static str, to: &'static str, allowed: Value| {
        let (service, id) = (&service, &id);
        async move {
            let answer = ask(service, id, action, &merchant(), body).await;
            assert_eq!(answer.status(), 409, "{action}");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "invalid_transition");
            assert_eq!(
                (&problem["from"], &problem["to"], &problem["allowed"]),
                (&json!(from), &json!(to), &allowed)
            );
        }
    };
    let reason = || Some(json!({"reason": "no"}));
    refused(
        "deliver",
        None,
        "confirmed",
        "delivered",
        json!(["cancel", "ship", "refund"]),
    )
    .await;
    refused(
        "reject",
        reason(),
        "confirmed",
        "failed",
        json!(["cancel", "ship", "refund"]),
    )
    .await;
    assert_eq!(ask(&service, &id, "ship", &merchant(), parcel()).await.status(), 200);
    refused("cancel", reason(), "shipped", "cancelled", json!(["deliver", "refund"])).await;
    let theirs = ask(&service, &id, "cancel", &customer("ada"), reason()).await;
    let problem: Value = theirs.json().await.unwrap();
    assert_eq!(problem["allowed"], json!([]), "the rest is not the customer's to ask");
}

#[tokio::test]
async fn shipping_is_the_merchants_and_says_everything_that_is_wrong() {
    let (shop, service) = Shop::with_service().await;
    let id = confirmed(&shop, &service).await;
    for action in ["ship", "deliver"] {
        assert_eq!(
            ask(&service, &id, action, &customer("ada"), parcel()).await.status(),
            403
        );
        let nowhere = ask(&service, &json!(Uuid::new_v4()), action, &merchant(), parcel()).await;
        assert_eq!(nowhere.status(), 404);
    }
    let body = Some(json!({"carrier": " ", "tracking": "x".repeat(101), "weight": 3}));
    let wrong = ask(&service, &id, "ship", &merchant(), body).await;
    assert_eq!(wrong.status(), 400);
    let problem: Value = wrong.json().await.unwrap();
    let mut named: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [
            ("#/carrier", "invalid_carrier"),
            ("#/tracking", "invalid_tracking"),
            ("#/weight", "unknown_field")
        ]
    );
    let keyed = service
        .post(&format!("/v1/orders/{}/deliver", id.as_str().unwrap()), &merchant())
        .header("idempotency-key", "a-key");
    let keyed = keyed.send().await.unwrap();
    assert_eq!(
        keyed.json::<Value>().await.unwrap()["code"],
        "idempotency_key_unsupported"
    );
    assert_eq!(service.read(&merchant(), &id).await["status"], "confirmed");
}
