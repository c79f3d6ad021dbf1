//! The way that most orders go.

use serde_json::json;

use crate::harness::{Shop, customer};
use crate::products::{State, Stock};

#[tokio::test]
async fn a_checkout_becomes_a_confirmed_order() {
    let (shop, service) = Shop::with_service().await;
    let (tea, cup) = (shop.products.add(500, 10), shop.products.add(1250, 3));
    let checkout = shop.checkout(&[(tea, 2, 500), (cup, 1, 1250)], Some("pm_card_visa"));
    let id = &checkout["order_id"];

    shop.publish(&checkout).await;

    let placed = shop.event("OrderPlaced", id).await;
    let confirmed = shop.event("OrderConfirmed", id).await;
    assert_eq!(placed.detail["sequence"], 1);
    assert_eq!(confirmed.detail["sequence"], 2);
    assert_eq!(
        placed.detail["data"]["total"],
        json!({"amount_minor": 2250, "currency": "USD"})
    );
    assert_eq!(confirmed.detail["data"]["lines"].as_array().unwrap().len(), 2);

    let order = service.comes_to(&customer("ada"), id, "confirmed").await;
    assert_eq!(order["payment"]["state"], "captured");
    assert_eq!(
        order["payment"]["captured"],
        json!({"amount_minor": 2250, "currency": "USD"})
    );
    let timeline: Vec<_> = order["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["status"])
        .collect();
    assert_eq!(timeline, ["pending", "confirmed"]);
    assert_eq!(order["actions"], json!(["cancel"]));

    shop.settled(id).await;
    assert_eq!(shop.paid(id), [("succeeded", 2250, 0)]);
    assert_eq!(shop.products.reservation(id.as_str().unwrap()), Some(State::Committed));
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 8,
            reserved: 0
        }
    );
    assert_eq!(
        shop.products.stock(cup),
        Stock {
            on_hand: 2,
            reserved: 0
        }
    );
    service.stop().await.unwrap();
}

#[tokio::test]
async fn an_order_without_a_basket_is_confirmed_too() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let ada = customer("ada");
    let body = json!({
        "customer_id": "me", "items": [{"product_id": tea, "quantity": 3}], "payment_token": "pm_card_visa",
    });
    let order = service.order(&ada, &body).await;
    assert_eq!(order["status"], "pending");
    assert_eq!(order["total"], json!({"amount_minor": 1500, "currency": "USD"}));
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let answer = service
        .get(&path, &ada)
        .header("prefer", "wait=20")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["preference-applied"], "wait=20");
    let shown: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(shown["status"], "confirmed", "{shown:#}");
    assert_eq!(shop.paid(&order["id"]), [("succeeded", 1500, 0)]);
}
