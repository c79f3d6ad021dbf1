//! Who may see and do what, and what is believed of what a client says.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use shared::testing::Issuer;
use uuid::Uuid;

use crate::harness::{Shop, address, customer, merchant};

#[tokio::test]
async fn somebody_elses_order_cannot_be_told_from_a_missing_one() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.settled(id).await;
    let mut answers = Vec::new();
    for path in [
        format!("/v1/orders/{}", id.as_str().unwrap()),
        format!("/v1/orders/{}", Uuid::new_v4()),
    ] {
        let began = Instant::now();
        let answer = service
            .get(&path, &customer("eve"))
            .header("prefer", "wait=20")
            .send()
            .await
            .unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "it is answered at once");
        assert_eq!(answer.status(), 404);
        let mut headers: Vec<_> = answer
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.retain(|header| !header.starts_with("date") && !header.starts_with("x-consumed"));
        headers.sort();
        let mut body: Value = answer.json().await.unwrap();
        let trace = body["trace_id"].take();
        assert_eq!(
            body["instance"].take(),
            json!(format!("urn:trace:{}", trace.as_str().unwrap()))
        );
        answers.push((headers, body.to_string()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        service.read(&merchant(), id).await["status"],
        "confirmed",
        "a merchant sees it"
    );
}

#[tokio::test]
async fn prices_come_from_the_shop_and_never_from_the_client() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let cheap = json!({
        "customer_id": "me", "total": {"amount_minor": 1, "currency": "USD"}, "status": "confirmed",
        "items": [{"product_id": tea, "quantity": 2, "unit_price": {"amount_minor": 1, "currency": "USD"}}],
    });
    let refused = service.try_order(&customer("ada"), "a-key", &cheap).await;
    assert_eq!(refused.status(), 400);
    let problem: Value = refused.json().await.unwrap();
    let mut wrong: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    wrong.sort_unstable();
    assert_eq!(
        wrong,
        [
            ("#/items/0/unit_price", "unknown_field"),
            ("#/status", "unknown_field"),
            ("#/total", "unknown_field"),
        ]
    );
    let honest = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 2}]});
    let order = service.order(&customer("ada"), &honest).await;
    assert_eq!(order["total"]["amount_minor"], 1000);
}

#[tokio::test]
async fn an_order_is_for_oneself_unless_a_merchant_places_it() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 10);
    let for_whom = |whom: &str| json!({"customer_id": whom, "items": [{"product_id": tea, "quantity": 1}]});
    assert_eq!(
        service
            .try_order(&customer("eve"), "a", &for_whom("ada"))
            .await
            .status(),
        403
    );
    assert_eq!(
        service.order(&customer("ada"), &for_whom("ada")).await["customer_id"],
        "ada"
    );
    assert_eq!(
        service.order(&customer("ada"), &for_whom("me")).await["customer_id"],
        "ada"
    );
    let order = service.order(&merchant(), &for_whom("ada")).await;
    assert_eq!(order["customer_id"], "ada");
    let shown = service.read(&customer("ada"), &order["id"]).await;
    assert_eq!(shown["timeline"][0]["actor"], "merchant");
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let (_shop, service) = Shop::with_service().await;
    let body = json!({
        "items": [{"product_id": "no-id", "quantity": 0}, {"quantity": "two"}],
        "payment_token": "4242424242424242",
        "shipping_address": {"name": "", "line1": "x", "city": "y", "country": "XX"},
    });
    let refused = service.try_order(&customer("ada"), "a-key", &body).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let text = refused.text().await.unwrap();
    assert!(!text.contains("4242424242424242"), "a card number comes back");
    let problem: Value = serde_json::from_str(&text).unwrap();
    let mut wrong: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    wrong.sort_unstable();
    assert_eq!(
        wrong,
        [
            "#/customer_id",
            "#/items/0/product_id",
            "#/items/0/quantity",
            "#/items/1/product_id",
            "#/items/1/quantity",
            "#/payment_token",
            "#/shipping_address/country",
            "#/shipping_address/name",
            "#/shipping_address/postal_code",
        ]
    );
}

#[rstest]
#[case::no_items(json!([]), "#/items", "no_items")]
#[case::too_many(json!((0..100).map(|_| json!({"product_id": Uuid::new_v4(), "quantity": 1})).collect::<Vec<_>>()), "#/items", "too_many_lines")]
#[case::too_much_of_one(
    json!([{"product_id": Uuid::nil(), "quantity": 999}, {"product_id": Uuid::nil(), "quantity": 1}]),
    "#/items/1/quantity",
    "quantity_limit"
)]
#[tokio::test]
async fn an_order_has_limits(#[case] items: Value, #[case] pointer: &str, #[case] code: &str) {
    let (_shop, service) = Shop::with_service().await;
    let refused = service
        .try_order(&customer("ada"), "a-key", &json!({"customer_id": "me", "items": items}))
        .await;
    assert_eq!(refused.status(), 400);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
        (&json!(pointer), &json!(code))
    );
}

#[tokio::test]
async fn products_that_are_not_sold_are_named() {
    let (shop, service) = Shop::with_service().await;
    let (tea, old, unknown) = (shop.products.add(500, 10), shop.products.add(500, 10), Uuid::new_v4());
    shop.products.archive(old);
    let items: Vec<_> = [tea, old, unknown]
        .iter()
        .map(|id| json!({"product_id": id, "quantity": 1}))
        .collect();
    let refused = service
        .try_order(&customer("ada"), "a-key", &json!({"customer_id": "me", "items": items}))
        .await;
    assert_eq!(refused.status(), 409);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "product_unavailable");
    let mut named: Vec<Uuid> = serde_json::from_value(problem["products"].clone()).unwrap();
    named.sort_unstable();
    let mut expected = vec![old, unknown];
    expected.sort_unstable();
    assert_eq!(named, expected);
    shop.products.go_away();
    let away = service
        .try_order(&customer("ada"), "b-key", &json!({"customer_id": "me", "items": items}))
        .await;
    assert_eq!(away.status(), 503);
    assert!(away.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_that_holds() {
    let (_shop, service) = Shop::with_service().await;
    let issuer = Issuer::shared();
    let mut expired = issuer.claims("ada", &[]);
    expired["exp"] = json!(1);
    let mut foreign = issuer.claims("ada", &[]);
    foreign["client_id"] = json!("another-app");
    let mut id_token = issuer.claims("ada", &[]);
    id_token["token_use"] = json!("id");
    let tokens = [expired, foreign, id_token].map(|claims| issuer.sign(&claims));
    for path in [
        "/v1/orders?customer_id=me".to_owned(),
        format!("/v1/orders/{}", Uuid::new_v4()),
    ] {
        for token in &tokens {
            assert_eq!(service.get(&path, token).send().await.unwrap().status(), 401);
        }
        assert_eq!(
            service
                .get(&path, &issuer.service("internal/stock"))
                .send()
                .await
                .unwrap()
                .status(),
            403
        );
    }
}

#[tokio::test]
async fn the_payment_token_is_gone_once_the_payment_is_decided() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "1")]);
    let tea = shop.products.add(500, 10);
    let mut checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    checkout["shipping_address"] = address();
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.queue_is_empty().await;
    let ada = customer("ada");
    assert!(
        shop.item(id).await.unwrap().to_string().contains("pm_card_visa"),
        "it is needed still"
    );
    assert!(!service.read(&ada, id).await.to_string().contains("pm_card_visa"));
    let shown = service.settles(&shop, &ada, id).await;
    assert_eq!(shown["shipping_address"], address());
    assert!(!shop.item(id).await.unwrap().to_string().contains("pm_card_visa"));
    for event in shop
        .tap
        .seen()
        .await
        .unwrap()
        .iter()
        .filter(|event| event.source == "order-service")
    {
        let text = event.detail.to_string();
        assert!(!text.contains("pm_card_visa") && !text.contains("Lovelace"), "{text}");
    }
}

#[tokio::test]
async fn stray_paths_and_methods_are_problems_too() {
    let (_shop, service) = Shop::with_service().await;
    let ada = customer("ada");
    let id = service.get("/v1/orders/not-an-id", &ada).send().await.unwrap();
    assert_eq!(id.status(), 404);
    assert_eq!(id.json::<Value>().await.unwrap()["code"], "not_found");
    let method = service
        .post(&format!("/v1/orders/{}", Uuid::new_v4()), &ada)
        .send()
        .await
        .unwrap();
    assert_eq!(method.status(), 405);
    assert_eq!(method.headers()["allow"], "GET, HEAD");
    let ready = service.get("/readyz", &ada).send().await.unwrap();
    assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap());
}
