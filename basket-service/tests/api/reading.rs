//! Reading a basket: prices of now, tags, and a product service that is asked no more than needed.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::catalog::Mood;
use crate::harness::{As, Plan, Shop, usd};

const ADA: As<'static> = As::Customer("ada");

#[tokio::test]
async fn prices_names_and_availability_are_those_of_now() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    shop.add(ADA, "me", tea, 3).await.expect(200);
    shop.catalog.put(tea, 300, "active", 2);
    let basket = shop.basket_when(ADA, |basket| basket["subtotal"] == usd(900)).await;
    let line = &basket["lines"][0];
    assert_eq!((&line["unit_price"], &line["price_when_added"]), (&usd(300), &usd(250)));
    assert_eq!(
        (&line["name"], &line["line_total"]),
        (&json!("Product at 300"), &usd(900))
    );
    assert_eq!(
        (&line["status"], &line["availability"]),
        (&json!("PENDING"), &json!("insufficient"))
    );
    assert_eq!(basket["stale"], false);
    for (state, available, shown) in [
        ("active", 0, "out_of_stock"),
        ("archived", 9, "unavailable"),
        ("active", 3, "in_stock"),
    ] {
        shop.catalog.put(tea, 300, state, available);
        shop.basket_when(ADA, |basket| basket["lines"][0]["availability"] == shown)
            .await;
    }
}

#[tokio::test]
async fn lines_come_in_the_order_in_which_they_were_added() {
    let shop = Shop::open().await;
    let mut added = Vec::new();
    for price in 1..=4 {
        let product = shop.catalog.sells(price);
        shop.add(ADA, "me", product, 1).await.expect(200);
        added.push(json!(product));
    }
    shop.add(ADA, "me", added[0].as_str().unwrap().parse().unwrap(), 5)
        .await
        .expect(200);
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    let shown: Vec<Value> = basket["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["product_id"].clone())
        .collect();
    assert_eq!(shown, added);
}

#[tokio::test]
async fn a_tag_saves_a_basket_that_is_known() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    let tag = shop.add(ADA, "me", tea, 1).await.header("etag").unwrap().to_owned();
    let ask = async |tag: &str| {
        let with = |request: reqwest_middleware::RequestBuilder| request.header("if-none-match", tag);
        shop.send_with(ADA, Method::GET, "/v1/baskets/me", None, with).await
    };
    for known in [tag.clone(), format!("W/{tag}"), "*".to_owned()] {
        let answer = ask(&known).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    // What is shown has changed, though nobody touched the basket.
    shop.catalog.put(tea, 300, "active", 1000);
    shop.basket_when(ADA, |basket| basket["subtotal"] == usd(300)).await;
    let answer = ask(&tag).await;
    answer.expect(200);
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
    let head = shop.send(ADA, Method::HEAD, "/v1/baskets/me", None).await;
    assert_eq!(
        (head.status, head.header("etag")),
        (StatusCode::OK, answer.header("etag"))
    );
    assert_eq!(head.text, "");
}

#[tokio::test]
async fn many_readers_ask_the_product_service_once() {
    let one_worker = || Plan::default().with("--workers=1");
    let mut shop = Shop::open_with(one_worker()).await;
    let tea = shop.catalog.sells(250);
    shop.add(ADA, "me", tea, 1).await.expect(200);
    let mut asked = u32::MAX;
    // A second, for which prices are kept, may end among the readers; then there are two calls, and we look again.
    for _ in 0..5 {
        // A service that has just begun has kept nothing yet.
        shop.start(one_worker()).await;
        let before = shop.catalog.calls();
        for answer in join_all((0..30).map(|_| shop.get(ADA, "/v1/baskets/me"))).await {
            answer.expect(200);
        }
        asked = asked.min(shop.catalog.calls() - before);
        if asked == 1 {
            break;
        }
    }
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_product_service_that_stumbles_is_asked_again() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(250);
    shop.catalog.feels(Mood::Stumbling(2));
    let basket = shop.add(ADA, "me", tea, 1).await.expect(200);
    assert_eq!((&basket["stale"], &basket["subtotal"]), (&json!(false), &usd(250)));
}

#[tokio::test]
async fn a_sum_too_large_is_not_shown_wrong() {
    let shop = Shop::open().await;
    let dear = shop.catalog.sells(i64::MAX / 2);
    let basket = shop.add(ADA, "me", dear, 3).await.expect(200);
    assert_eq!(
        (&basket["subtotal"], &basket["lines"][0]["line_total"]),
        (&Value::Null, &Value::Null)
    );
    let refused = shop.check_out(ADA, "k", crate::harness::to_berlin()).await;
    refused.refused(409, "amount_too_large");
}
