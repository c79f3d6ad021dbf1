//! Orders that the merchant is asked about.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Service, Shop, customer, merchant};
use crate::products::Stock;

async fn ask(service: &Service, order: &Value, action: &str, token: &str) -> reqwest::Response {
    let path = format!("/v1/orders/{}/{action}", order.as_str().unwrap());
    let request = service.post(&path, token);
    let request = if action == "accept" {
        request
    } else {
        request.json(&json!({"reason": "no more"}))
    };
    request.send().await.unwrap()
}

async fn waiting(shop: &Shop, service: &Service, product: Uuid, token: Option<&str>) -> Value {
    let mut body = json!({"customer_id": "me", "items": [{"product_id": product, "quantity": 2}]});
    if let Some(token) = token {
        body["payment_token"] = json!(token);
    }
    let order = service.order(&customer("ada"), &body).await;
    let shown = service
        .comes_to(&customer("ada"), &order["id"], "awaiting_acceptance")
        .await;
    assert!(shown["answer_by"].is_string());
    assert_eq!(shown["actions"], json!(["cancel"]), "accepting is the merchant's");
    let shown = service.read(&merchant(), &order["id"]).await;
    assert_eq!(shown["actions"], json!(["accept", "reject", "cancel"]));
    shop.event("OrderPlaced", &order["id"]).await;
    shop.event("OrderAwaitingAcceptance", &order["id"]).await;
    order["id"].clone()
}

#[tokio::test]
async fn an_order_without_a_token_needs_the_merchants_yes() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let id = waiting(&shop, &service, tea, None).await;
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 2
        }
    );

    assert_eq!(ask(&service, &id, "accept", &customer("ada")).await.status(), 403);
    let accepted = ask(&service, &id, "accept", &merchant()).await;
    assert_eq!(accepted.status(), 200);
    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["state"], "not_needed");
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 8,
            reserved: 0
        }
    );
    assert_eq!(
        shop.told(&id).await,
        ["OrderPlaced", "OrderAwaitingAcceptance", "OrderConfirmed"]
    );
    assert_eq!(
        ask(&service, &id, "accept", &merchant()).await.status(),
        200,
        "once more"
    );
}

#[tokio::test]
async fn a_product_that_asks_for_the_merchant_is_captured_only_after_their_yes() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    shop.products.ask_the_merchant(tea);
    let id = waiting(&shop, &service, tea, Some("pm_card_visa")).await;
    assert_eq!(shop.paid(&id), [("requires_capture", 0, 0)]);
    ask(&service, &id, "accept", &merchant()).await;
    service.comes_to(&customer("ada"), &id, "confirmed").await;
    assert_eq!(shop.paid(&id), [("succeeded", 1000, 0)]);
}

#[tokio::test]
async fn a_rejected_order_gives_stock_and_payment_back() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_ACCEPTANCE", "manual")]);
    let tea = shop.products.add(500, 10);
    let id = waiting(&shop, &service, tea, Some("pm_card_visa")).await;
    assert_eq!(ask(&service, &id, "reject", &merchant()).await.status(), 200);
    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(
        (&order["status"], &order["failure"]["reason"]),
        (&json!("failed"), &json!("rejected"))
    );
    assert_eq!(shop.paid(&id), [("canceled", 0, 0)]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
    let told = shop.event("OrderRejected", &id).await;
    assert_eq!(told.detail["data"]["reason"], "no more");

    let refused = ask(&service, &id, "accept", &merchant()).await;
    assert_eq!(refused.status(), 409);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "invalid_transition");
    assert_eq!(
        (&problem["from"], &problem["to"], &problem["allowed"]),
        (&json!("failed"), &json!("confirmed"), &json!([]))
    );
}

#[tokio::test]
async fn an_order_that_the_merchant_does_not_answer_fails() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_ACCEPTANCE", "manual"), ("ACCEPTANCE_DEADLINE_S", "2")]);
    let tea = shop.products.add(500, 10);
    let id = waiting(&shop, &service, tea, Some("pm_card_visa")).await;
    let order = service.settles(&shop, &customer("ada"), &id).await;
    assert_eq!(order["failure"]["reason"], "acceptance_expired");
    assert_eq!(shop.paid(&id), [("canceled", 0, 0)]);
    let told = shop.event("OrderRejected", &id).await;
    assert_eq!(told.detail["data"]["reason"], "the merchant did not answer in time");
}
