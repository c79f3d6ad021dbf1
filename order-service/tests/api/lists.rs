//! A customer's orders.

use serde_json::{Value, json};

use crate::harness::{Service, Shop, customer, merchant};

async fn page(service: &Service, token: &str, path: &str) -> Value {
    let answer = service.get(path, token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-round-trips"], "1", "{path}");
    answer.json().await.unwrap()
}

fn ids(page: &Value) -> Vec<Value> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].clone())
        .collect()
}

#[tokio::test]
async fn ones_own_orders_come_newest_first_page_by_page() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "600")]);
    let tea = shop.products.add(500, 100);
    let body = json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}]});
    let (ada, eve) = (customer("ada"), customer("eve"));
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(service.order(&ada, &body).await["id"].clone());
    }
    service.order(&eve, &body).await;
    placed.reverse();

    let first = page(&service, &ada, "/v1/orders?customer_id=me&limit=2").await;
    assert_eq!(ids(&first), placed[..2]);
    assert_eq!(first["data"][0]["status"], "pending");
    assert_eq!(
        first["data"][0]["total"],
        json!({"amount_minor": 500, "currency": "USD"})
    );
    let mut seen = ids(&first);
    let mut cursor = first["next_cursor"].clone();
    while let Some(text) = cursor.as_str() {
        let next = page(
            &service,
            &ada,
            &format!("/v1/orders?customer_id=ada&limit=2&cursor={text}"),
        )
        .await;
        seen.extend(ids(&next));
        cursor = next["next_cursor"].clone();
    }
    assert_eq!(seen, placed);
    let whole = page(&service, &ada, "/v1/orders?customer_id=me&limit=5").await;
    assert_eq!(
        (ids(&whole), &whole["next_cursor"]),
        (placed.clone(), &Value::Null),
        "no empty last page"
    );
    assert_eq!(
        ids(&page(&service, &merchant(), "/v1/orders?customer_id=ada").await),
        placed
    );

    let foreign = service.get("/v1/orders?customer_id=ada", &eve).send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let text = first["next_cursor"].as_str().unwrap();
    for (token, path) in [
        (&eve, format!("/v1/orders?customer_id=me&cursor={text}")),
        (&ada, format!("/v1/orders?customer_id=me&cursor=x{text}")),
    ] {
        let answer = service.get(&path, token).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "invalid_cursor");
    }
    let wrong = service.get("/v1/orders?limit=0&colour=red", &ada).send().await.unwrap();
    let problem: Value = wrong.json().await.unwrap();
    let mut named: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["?colour", "?limit"]);
    for path in [
        "/v1/orders",
        "/v1/orders?customer_id=me&status=shipped",
        "/v1/orders?status=pending",
    ] {
        let wrong = service.get(path, &merchant()).send().await.unwrap();
        assert_eq!(wrong.status(), 400, "{path}");
        assert_eq!(
            wrong.json::<Value>().await.unwrap()["code"],
            "invalid_request",
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_waits_for_the_merchant_comes_oldest_first_page_by_page() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_ACCEPTANCE", "manual")]);
    let tea = shop.products.add(500, 100);
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let (ada, boss) = (customer("ada"), merchant());
    let mut placed = Vec::new();
    for _ in 0..5 {
        let id = service.order(&ada, &body).await["id"].clone();
        service.comes_to(&ada, &id, "awaiting_acceptance").await;
        placed.push(id);
    }
    let first = page(&service, &boss, "/v1/orders?status=awaiting_acceptance&limit=2").await;
    assert_eq!(ids(&first), placed[..2]);
    assert_eq!(first["data"][0]["status"], "awaiting_acceptance");
    assert_eq!(first["data"][0]["customer_id"], "ada");
    let text = first["next_cursor"].as_str().unwrap();
    let next = page(
        &service,
        &boss,
        &format!("/v1/orders?status=awaiting_acceptance&cursor={text}"),
    )
    .await;
    assert_eq!((ids(&next), &next["next_cursor"]), (placed[2..].to_vec(), &Value::Null));

    // A cursor is its query's and its caller's own.
    let other_admin = shared::testing::Issuer::shared().admin();
    for (token, path) in [
        (&boss, format!("/v1/orders?status=confirmed&cursor={text}")),
        (&boss, format!("/v1/orders?customer_id=ada&cursor={text}")),
        (
            &other_admin,
            format!("/v1/orders?status=awaiting_acceptance&cursor={text}"),
        ),
    ] {
        let answer = service.get(&path, token).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "invalid_cursor");
    }
    let theirs = service.get("/v1/orders?status=confirmed", &ada).send().await.unwrap();
    assert_eq!(theirs.status(), 403);

    // An order is in the list of where it stands, and in none once nothing waits.
    let id = placed[1].as_str().unwrap();
    let list = |status: &'static str| {
        let (service, boss) = (&service, &boss);
        async move { ids(&page(service, boss, &format!("/v1/orders?status={status}")).await) }
    };
    for (action, body, from, to) in [
        ("accept", None, "awaiting_acceptance", Some("confirmed")),
        (
            "ship",
            Some(json!({"carrier": "DHL", "tracking": "1"})),
            "confirmed",
            Some("shipped"),
        ),
        ("deliver", None, "shipped", None),
    ] {
        let request = service.post(&format!("/v1/orders/{id}/{action}"), &boss);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        assert_eq!(request.send().await.unwrap().status(), 200);
        service.settles(&shop, &ada, &placed[1]).await;
        assert!(!list(from).await.contains(&placed[1]), "{action}");
        if let Some(to) = to {
            assert_eq!(list(to).await, [placed[1].clone()]);
        }
    }
}

#[tokio::test]
async fn an_order_that_has_not_changed_is_not_sent_again() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 100);
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let ada = customer("ada");
    let order = service.order(&ada, &body).await;
    service.settles(&shop, &ada, &order["id"]).await;
    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let first = service.get(&path, &ada).send().await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    for tag in [tag.clone(), format!("W/{tag}")] {
        let again = service
            .get(&path, &ada)
            .header("if-none-match", tag)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), 304);
    }
}
