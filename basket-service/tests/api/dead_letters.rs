//! Answers that could not be handled: looked at by admins, and handled after all.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::testing::Issuer;

use crate::harness::{As, Shop, envelope, to_berlin};

const ADA: As<'static> = As::Customer("ada");
const LIST: &str = "/v1/baskets/admin/dead-letters";
const REDRIVE: &str = "/v1/baskets/admin/dead-letters/redrive";

/// Puts an answer among the dead letters, as the queue does by itself.
async fn bury(shop: &Shop, name: &str, data: Value) {
    let body = json!({"detail-type": name, "source": "order-service", "detail": envelope(data)});
    let request = shop.deployment.sqs().send_message();
    let url = shop.deployment.setting("BASKET_SETTLE_DLQ_URL").unwrap();
    request
        .queue_url(url)
        .message_body(body.to_string())
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_died_is_shown_and_settles_its_basket_when_it_is_sent_again() {
    let shop = Shop::open().await;
    let admin = Issuer::shared().admin();
    let admin = As::Token(&admin);
    shop.add(ADA, "me", shop.catalog.sells(1), 2).await.expect(200);
    let accepted = shop.check_out(ADA, "k", to_berlin()).await.expect(202);
    let order_id = accepted["order_id"].as_str().unwrap();
    bury(&shop, "OrderPlaced", Shop::placed("ada", order_id)).await;
    bury(&shop, "OrderShipped", Shop::placed("ada", order_id)).await;

    let list = shop.get(admin, LIST).await.expect(200);
    let shown: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| {
            (
                letter["event"].as_str(),
                letter["order_id"].as_str(),
                letter["readable"].as_bool(),
            )
        })
        .collect();
    assert!(
        shown.contains(&(Some("OrderPlaced"), Some(order_id), Some(true))),
        "{list:#}"
    );
    assert!(
        shown.contains(&(Some("OrderShipped"), Some(order_id), Some(false))),
        "{list:#}"
    );
    let ours = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|letter| letter["readable"] == true);
    let id = &ours.unwrap()["message_id"];

    let went = shop
        .post(admin, REDRIVE, json!({"message_ids": [id]}))
        .await
        .expect(200);
    assert_eq!(went, json!({"redriven": 1, "not_found": [], "more": false}));
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(basket["lines"], json!([]), "it was ordered");
    let list = shop.get(admin, LIST).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "the other one stays");
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let shop = Shop::open().await;
    let (merchant, service) = (Issuer::shared().merchant(), Issuer::shared().service("internal/read"));
    for who in [ADA, As::Token(&merchant), As::Token(&service)] {
        shop.get(who, LIST).await.refused(403, "forbidden");
        shop.post(who, REDRIVE, json!({})).await.refused(403, "forbidden");
    }
    for method in [Method::GET, Method::POST] {
        let path = if method == Method::GET { LIST } else { REDRIVE };
        let answer = shop.send(As::Nobody, method, path, None).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
}
