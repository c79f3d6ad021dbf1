//! Adding, setting and removing, by many at once, up to the limits.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{As, Shop, quantities, usd};

const ADA: As<'static> = As::Customer("ada");

#[tokio::test]
async fn a_first_add_stores_its_quantity() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    let basket = shop.add(ADA, "me", tea, 3).await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]));
    assert_eq!(basket["subtotal"], usd(750));
    assert_eq!(shop.get(ADA, "/v1/baskets/me").await.expect(200), basket);
}

#[tokio::test]
async fn a_hundred_adds_at_once_make_a_hundred() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let adds = (0..100).map(|_| shop.add(ADA, "me", tea, 1));
    for answer in join_all(adds).await {
        answer.expect(200);
    }
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 100)]));
    assert_eq!(basket["version"], 100);
}

#[tokio::test]
async fn the_hundredth_product_is_refused() {
    let shop = Shop::open().await;
    let products: Vec<Uuid> = (0..100).map(|n| shop.catalog.sells(n)).collect();
    let answers = join_all(products.iter().map(|product| shop.add(ADA, "me", *product, 1))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].refused(409, "too_many_lines")["limit"], 99);
    let held = quantities(&shop.get(ADA, "/v1/baskets/me").await.expect(200));
    assert_eq!(held.len(), 99);
    let outside = *products.iter().find(|product| !held.contains_key(product)).unwrap();
    shop.set(ADA, "me", outside, 1).await.refused(409, "too_many_lines");
    // Of those that are there, more can still be had; and one out makes place for another.
    let there = *held.keys().next().unwrap();
    shop.add(ADA, "me", there, 1).await.expect(200);
    shop.set(ADA, "me", there, 0).await.expect(200);
    shop.add(ADA, "me", outside, 1).await.expect(200);
}

#[tokio::test]
async fn a_line_never_holds_more_than_999() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let answers = join_all((0..30).map(|_| shop.add(ADA, "me", tea, 50))).await;
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(taken, 19);
    let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
    let problem = refused.refused(409, "quantity_limit");
    assert_eq!((&problem["limit"], &problem["quantity"]), (&json!(999), &json!(950)));
    shop.add(ADA, "me", tea, 49).await.expect(200);
    shop.add(ADA, "me", tea, 1).await.refused(409, "quantity_limit");
}

#[tokio::test]
async fn a_quantity_is_set_and_zero_removes() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    // A line that is not there is made, so that this can stand for an add that may be repeated.
    for _ in 0..2 {
        let basket = shop.set(ADA, "me", tea, 7).await.expect(200);
        assert_eq!(quantities(&basket), HashMap::from([(tea, 7)]));
    }
    for _ in 0..2 {
        let basket = shop.set(ADA, "me", tea, 0).await.expect(200);
        assert_eq!(basket["lines"], json!([]));
    }
    shop.delete(ADA, &format!("/v1/baskets/me/items/{tea}"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_product_that_is_not_sold_is_not_added() {
    let shop = Shop::open().await;
    let (gone, unknown) = (shop.catalog.sells(250), Uuid::new_v4());
    shop.add(ADA, "me", gone, 1).await.expect(200);
    let other = shop.catalog.sells(10);
    shop.catalog.put(other, 10, "archived", 5);
    for product in [other, unknown] {
        shop.add(ADA, "me", product, 1)
            .await
            .refused(409, "product_unavailable");
        shop.set(ADA, "me", product, 1)
            .await
            .refused(409, "product_unavailable");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let shop = Shop::open().await;
    let body = json!({"product_id": "tea", "quantity": 1000, "price": usd(1), "unit_price": 5});
    let problem = shop
        .post(ADA, "/v1/baskets/me/items", body)
        .await
        .refused(400, "invalid_request");
    let wrong: HashMap<_, _> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(pointer_and_code)
        .collect();
    let expected = [
        ("#/product_id", "invalid_id"),
        ("#/quantity", "quantity_limit"),
        ("#/price", "unknown_field"),
        ("#/unit_price", "unknown_field"),
    ];
    assert_eq!(
        wrong,
        HashMap::from(expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())))
    );
    for quantity in [json!(0), json!(-1), json!(1.5), json!("1"), Value::Null] {
        let body = json!({"product_id": Uuid::new_v4(), "quantity": quantity});
        shop.post(ADA, "/v1/baskets/me/items", body)
            .await
            .refused(400, "invalid_request");
    }
}

fn pointer_and_code(error: &Value) -> (String, String) {
    let of = |name: &str| error[name].as_str().unwrap().to_owned();
    (of("pointer"), of("code"))
}

#[tokio::test]
async fn a_request_of_another_form_is_refused() {
    let shop = Shop::open().await;
    let path = "/v1/baskets/me/items";
    let key = |request: reqwest_middleware::RequestBuilder| request.header("idempotency-key", "k");
    let body = json!({"product_id": Uuid::new_v4(), "quantity": 1});
    let keyed = shop.send_with(ADA, Method::POST, path, Some(body), key).await;
    keyed.refused(400, "idempotency_key_unsupported");
    let text = |request: reqwest_middleware::RequestBuilder| request.header("content-type", "text/plain").body("{}");
    shop.send_with(ADA, Method::POST, path, None, text)
        .await
        .refused(415, "unsupported_media_type");
    let large = json!({"product_id": "x".repeat(300_000), "quantity": 1});
    shop.post(ADA, path, large).await.refused(413, "body_too_large");
    let patched = shop.send(ADA, Method::PATCH, "/v1/baskets/me", None).await;
    patched.refused(405, "method_not_allowed");
    assert_eq!(patched.header("allow"), Some("GET, HEAD, DELETE"));
    shop.set(ADA, "me", Uuid::nil(), 0).await.expect(200);
    shop.put(ADA, "/v1/baskets/me/items/tea", json!({"quantity": 1}))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn an_expired_basket_is_replaced_by_the_next_add() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    shop.add(ADA, "me", tea, 3).await.expect(200);
    let version = shop.get(ADA, "/v1/baskets/me").await.expect(200)["version"].clone();
    shop.overwrite("C#ada", "ttl", AttributeValue::N("1000".to_owned()))
        .await;
    let expired = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!((&expired["lines"], &expired["expires_at"]), (&json!([]), &Value::Null));
    shop.delete(ADA, &format!("/v1/baskets/me/items/{tea}"))
        .await
        .expect(200);

    for answer in join_all((0..10).map(|_| shop.add(ADA, "me", pot, 1))).await {
        answer.expect(200);
    }
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(pot, 10)]));
    assert!(basket["version"].as_u64() > version.as_u64() && basket["expires_at"].is_string());
}

#[tokio::test]
async fn an_expired_guest_basket_is_gone() {
    let shop = Shop::open().await;
    let (guest, tea) = (shop.guest().await, shop.catalog.sells(250));
    shop.add(As::Nobody, &guest, tea, 3).await.expect(200);
    shop.overwrite(&format!("G#{guest}"), "ttl", AttributeValue::N("1000".to_owned()))
        .await;
    let path = format!("/v1/baskets/{guest}");
    shop.get(As::Nobody, &path).await.refused(404, "not_found");
    shop.add(As::Nobody, &guest, tea, 1).await.refused(404, "not_found");
    shop.set(As::Nobody, &guest, tea, 0).await.refused(404, "not_found");
    shop.delete(As::Nobody, &path).await.refused(404, "not_found");
}

#[tokio::test]
async fn a_basket_lives_as_long_as_it_is_touched() {
    let shop = Shop::open().await;
    let (guest, tea) = (shop.guest().await, shop.catalog.sells(250));
    let days = |basket: &Value| {
        let expires: jiff::Timestamp = basket["expires_at"].as_str().unwrap().parse().unwrap();
        (expires.duration_since(jiff::Timestamp::now()).as_hours() + 1) / 24
    };
    assert_eq!(days(&shop.add(As::Nobody, &guest, tea, 1).await.expect(200)), 7);
    assert_eq!(days(&shop.add(ADA, "me", tea, 1).await.expect(200)), 180);
}

#[tokio::test]
async fn many_empty_and_fill_a_basket_without_harm() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    let adding = join_all((0..20).map(|n| shop.add(ADA, "me", if n % 2 == 0 { tea } else { pot }, 1)));
    let emptying = join_all((0..5).map(|_| shop.delete(ADA, "/v1/baskets/me")));
    let (added, emptied) = futures_util::join!(adding, emptying);
    for answer in added {
        answer.expect(200);
    }
    // Emptying may give up under so many writers, and then says so.
    assert!(
        emptied
            .iter()
            .all(|answer| [200, 503].contains(&answer.status.as_u16()))
    );
    assert_eq!(shop.delete(ADA, "/v1/baskets/me").await.expect(200)["lines"], json!([]));
}
