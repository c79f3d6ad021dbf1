//! Idempotency keys on placing an order.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Service, Shop, customer};
use crate::products::Stock;

fn body(product: Uuid, quantity: i64) -> Value {
    json!({"customer_id": "me", "items": [{"product_id": product, "quantity": quantity}], "payment_token": "pm_card_visa"})
}

async fn place(service: &Service, key: &str, body: &Value) -> (u16, bool, Value) {
    let answer = service.try_order(&customer("ada"), key, body).await;
    let replayed = answer
        .headers()
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true");
    (answer.status().as_u16(), replayed, answer.json().await.unwrap())
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer_again() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let (status, replayed, first) = place(&service, "a-key", &body(tea, 1)).await;
    assert_eq!((status, replayed), (201, false));
    service.comes_to(&customer("ada"), &first["id"], "confirmed").await;
    // Prices move and products go; the first answer stays.
    shop.products.price(tea, 900);
    assert_eq!(
        place(&service, "a-key", &body(tea, 1)).await,
        (201, true, first.clone())
    );
    shop.products.archive(tea);
    assert_eq!(
        place(&service, "a-key", &body(tea, 1)).await,
        (201, true, first.clone())
    );
    shop.products.go_away();
    assert_eq!(
        place(&service, "a-key", &body(tea, 1)).await,
        (201, true, first.clone())
    );
    assert_eq!(shop.paid(&first["id"]), [("succeeded", 500, 0)]);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused_and_names_the_order() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let (_, _, first) = place(&service, "a-key", &body(tea, 1)).await;
    let (status, _, problem) = place(&service, "a-key", &body(tea, 2)).await;
    assert_eq!(
        (status, &problem["code"], &problem["order_id"]),
        (409, &json!("idempotency_key_reused"), &first["id"])
    );
}

#[tokio::test]
async fn ten_requests_at_once_under_one_key_make_one_order() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let body = body(tea, 1);
    let placed = (0..10).map(|_| place(&service, "a-key", &body));
    let answers = futures_util::future::join_all(placed).await;
    let id = answers[0].2["id"].clone();
    assert!(
        answers
            .iter()
            .all(|(status, _, order)| *status == 201 && order["id"] == id)
    );
    assert_eq!(answers.iter().filter(|(_, replayed, _)| !replayed).count(), 1);
    service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(shop.paid(&id), [("succeeded", 500, 0)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 9,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_key_up_and_keys_are_ones_own() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    assert_eq!(
        place(&service, "a-key", &json!({"customer_id": "me", "items": []}))
            .await
            .0,
        400
    );
    let (status, _, adas) = place(&service, "a-key", &body(tea, 1)).await;
    assert_eq!(status, 201);
    let eves = service.try_order(&customer("eve"), "a-key", &body(tea, 1)).await;
    assert_eq!(eves.status(), 201);
    assert_ne!(eves.json::<Value>().await.unwrap()["id"], adas["id"]);
}

#[tokio::test]
async fn a_key_is_required_here_and_refused_everywhere_else() {
    let (_shop, service) = Shop::with_service().await;
    let ada = customer("ada");
    let without = service
        .post("/v1/orders", &ada)
        .json(&body(Uuid::new_v4(), 1))
        .send()
        .await
        .unwrap();
    assert_eq!(
        without.json::<Value>().await.unwrap()["code"],
        "idempotency_key_required"
    );
    let path = format!("/v1/orders/{}/cancel", Uuid::new_v4());
    let stray = service
        .post(&path, &ada)
        .header("idempotency-key", "a")
        .json(&json!({"reason": "r"}));
    assert_eq!(
        stray.send().await.unwrap().json::<Value>().await.unwrap()["code"],
        "idempotency_key_unsupported"
    );
}
