//! Another payment token for the same order.

use serde_json::{Value, json};

use crate::harness::{Service, Shop, customer, merchant};

async fn pay(service: &Service, order: &Value, who: &str, token: &str) -> reqwest::Response {
    let path = format!("/v1/orders/{}/payment", order.as_str().unwrap());
    let request = service.post(&path, who).json(&json!({"payment_token": token}));
    request.send().await.unwrap()
}

async fn waiting(shop: &Shop, service: &Service, token: &str, state: &str) -> Value {
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
    let id = checkout["order_id"].clone();
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let shown = service
        .shows(&ada, &id, |order| order["payment"]["state"] == state)
        .await;
    assert_eq!(shown["actions"], json!(["cancel", "pay"]));
    id
}

#[tokio::test]
async fn a_declined_order_is_paid_with_another_token() {
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_RETRY_S", "600")]);
    let id = waiting(&shop, &service, "pm_card_chargeDeclined", "declined").await;
    let ada = customer("ada");
    let deadline = service.read(&ada, &id).await["payment"]["deadline"].clone();

    let again = pay(&service, &id, &ada, "pm_card_chargeDeclinedExpiredCard").await;
    assert_eq!(again.status(), 200);
    let shown = service
        .shows(&ada, &id, |order| {
            order["payment"]["state"] == "declined" && order["timeline"].as_array().unwrap().len() == 4
        })
        .await;
    assert_eq!(
        shown["payment"]["deadline"], deadline,
        "the first refusal's time is all there is"
    );
    let paid = pay(&service, &id, &ada, "pm_card_visa").await;
    assert_eq!(paid.status(), 200);
    let order = service.settles(&shop, &ada, &id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 0)]);
    let attempts: Vec<_> = order["timeline"].as_array().unwrap()[1..5]
        .iter()
        .map(|change| (change["actor"].as_str().unwrap(), change["attempt"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        attempts,
        [("system", 1), ("customer", 2), ("system", 2), ("customer", 3)]
    );
    let item = shop.item(&id).await.unwrap();
    assert!(!item.to_string().contains("pm_card"), "a token is still there");
    assert_eq!(
        pay(&service, &id, &ada, "pm_card_visa").await.status(),
        200,
        "it is paid, as it stands"
    );
}

#[tokio::test]
async fn an_order_that_waits_for_its_customer_is_paid_with_another_token() {
    let (shop, service) = Shop::with_service().await;
    let id = waiting(&shop, &service, "pm_card_authenticationRequired", "requires_action").await;
    assert_eq!(pay(&service, &id, &customer("ada"), "pm_card_visa").await.status(), 200);
    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["next_action"], Value::Null);
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 0)]);
}

#[tokio::test]
async fn only_its_own_customer_names_a_token_and_no_card_number() {
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_RETRY_S", "600")]);
    let id = waiting(&shop, &service, "pm_card_chargeDeclined", "declined").await;
    assert_eq!(pay(&service, &id, &merchant(), "pm_card_visa").await.status(), 403);
    assert_eq!(pay(&service, &id, &customer("eve"), "pm_card_visa").await.status(), 404);
    let number = pay(&service, &id, &customer("ada"), "4242 4242 4242 4242").await;
    assert_eq!(number.status(), 400);
    let problem: Value = number.json().await.unwrap();
    assert_eq!(problem["errors"][0]["code"], "card_number_refused");
    assert!(!problem.to_string().replace(' ', "").contains("42424242"));
    let seen = service.read(&merchant(), &id).await;
    assert_eq!(seen["actions"], json!(["cancel"]), "paying is the customer's");
}

#[tokio::test]
async fn an_order_that_is_not_waiting_takes_no_other_token() {
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_RETRY_S", "1")]);
    let ada = customer("ada");
    let tea = shop.products.add(500, 10);

    // The time for another one is over.
    let failed = shop.checkout(&[(tea, 2, 500)], Some("pm_card_chargeDeclined"));
    shop.publish(&failed).await;
    service.settles(&shop, &ada, &failed["order_id"]).await;
    // It is not paid through the shop.
    let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}]});
    let on_account = service.order(&ada, &body).await;
    service.comes_to(&ada, &on_account["id"], "awaiting_acceptance").await;

    for (id, from, allowed) in [
        (&failed["order_id"], "failed", json!([])),
        (&on_account["id"], "awaiting_acceptance", json!(["cancel"])),
    ] {
        let refused = pay(&service, id, &ada, "pm_card_visa").await;
        assert_eq!(refused.status(), 409);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(
            (&problem["code"], &problem["from"], &problem["to"], &problem["allowed"]),
            (&json!("invalid_transition"), &json!(from), &json!("paid"), &allowed)
        );
    }
    assert_eq!(shop.paid(&failed["order_id"]), [("canceled", 0, 0)]);
}
