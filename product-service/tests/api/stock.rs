//! Stock counted and adjusted.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{As, Shop, sent};

#[tokio::test]
async fn a_count_sets_what_lies_there() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 0).await;
    let counted = shop.count(&id, 7).await;
    assert_eq!(
        counted.json(),
        json!({"product_id": id, "on_hand": 7, "reserved": 0, "available": 7, "in_stock": true, "version": 2})
    );
    shop.hold(Uuid::new_v4(), &[(&id, 3)]).await;
    let counted = shop.count(&id, 10).await;
    assert_eq!(
        counted.json(),
        json!({"product_id": id, "on_hand": 10, "reserved": 3, "available": 7, "in_stock": true, "version": 3})
    );
}

#[tokio::test]
async fn a_count_below_what_is_held_is_refused() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 7).await;
    shop.hold(Uuid::new_v4(), &[(&id, 3)]).await;
    let refused = shop.count(&id, 2).await;
    assert_eq!(refused.problem(), (409, "below_reserved".to_owned()));
    assert_eq!(refused.json()["reserved"], 3);
    // Down to what is held: nothing is left to buy.
    assert_eq!(shop.count(&id, 3).await.json()["available"], 0);
    assert_eq!(shop.count(&id, 3).await.json()["version"], 4);
}

#[tokio::test]
async fn counts_have_limits() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 0).await;
    let path = format!("/v1/products/{id}/stock");
    for (body, code) in [
        (json!({"on_hand": -1}), "stock_limit"),
        (json!({"on_hand": 1_000_000_001}), "stock_limit"),
        (json!({"on_hand": 1.5}), "wrong_type"),
    ] {
        let answer = shop.put(&path, "*", &body).await;
        assert_eq!(answer.wrong_fields(), [("#/on_hand".to_owned(), code.to_owned())]);
    }
    assert_eq!(shop.count(&id, 1_000_000_000).await.json()["available"], 1_000_000_000);
    let over = shop.adjust(&id, "k", 1).await;
    assert_eq!(over.problem(), (409, "stock_limit".to_owned()));
}

#[tokio::test]
async fn an_adjustment_changes_what_lies_there_by_its_delta() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 5).await;
    assert_eq!(shop.adjust(&id, "a", 10).await.json()["on_hand"], 15);
    assert_eq!(shop.adjust(&id, "b", -12).await.json()["on_hand"], 3);
    shop.hold(Uuid::new_v4(), &[(&id, 2)]).await;
    let refused = shop.adjust(&id, "c", -2).await;
    assert_eq!(refused.problem(), (409, "below_reserved".to_owned()));
    assert_eq!(refused.json()["available"], 1);
    // To nothing, further, and up again.
    assert_eq!(shop.adjust(&id, "d", -1).await.json()["available"], 0);
    assert_eq!(shop.adjust(&id, "e", -1).await.status, 409);
    let up = shop.adjust(&id, "f", 4).await.json();
    assert_eq!(
        up,
        json!({"product_id": id, "on_hand": 6, "reserved": 2, "available": 4, "in_stock": true, "version": 6})
    );
}

#[tokio::test]
async fn parallel_adjustments_all_count() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 0).await;
    let keys: Vec<_> = (0..20).map(|n| format!("key-{n}")).collect();
    let all = futures_util::future::join_all(keys.iter().map(|key| shop.adjust(&id, key, 3))).await;
    assert!(
        all.iter().all(|a| a.status == 200),
        "{:?}",
        all.iter().map(|a| &a.text).collect::<Vec<_>>()
    );
    assert_eq!(shop.available(&id).await, 60);
}

#[tokio::test]
async fn an_adjustment_under_a_known_key_is_not_made_again() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 5).await;
    let first = shop.adjust(&id, "key", 10).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    shop.adjust(&id, "other", 1).await;
    let again = shop.adjust(&id, "key", 10).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["on_hand"], 16);
    let reused = shop.adjust(&id, "key", 11).await;
    assert_eq!(reused.problem(), (409, "idempotency_key_reused".to_owned()));
    assert_eq!(shop.available(&id).await, 16);
}

#[tokio::test]
async fn a_refused_adjustment_does_not_use_its_key_up() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 1).await;
    assert_eq!(shop.adjust(&id, "key", -2).await.status, 409);
    shop.count(&id, 5).await;
    let again = shop.adjust(&id, "key", -2).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (200, ""));
}

#[tokio::test]
async fn the_last_sixteen_keys_are_known_and_no_more() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 5).await;
    for n in 0..17 {
        assert_eq!(shop.adjust(&id, &format!("key-{n}"), 1).await.status, 200);
    }
    for n in 1..17 {
        let again = shop.adjust(&id, &format!("key-{n}"), 1).await;
        assert_eq!(again.header("idempotent-replayed"), "true", "{n}");
    }
    assert_eq!(shop.available(&id).await, 22);
    assert_eq!(shop.adjust(&id, "key-0", 1).await.header("idempotent-replayed"), "");
}

#[tokio::test]
async fn an_adjustment_needs_its_key_and_its_fields() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 5).await;
    let path = format!("/v1/products/{id}/stock/adjustments");
    let body = json!({"delta": 1, "reason": "delivery"});
    let unkeyed = shop.request(As::Merchant, Method::POST, &path).json(&body);
    assert_eq!(
        sent(unkeyed).await.problem(),
        (400, "idempotency_key_required".to_owned())
    );
    let long = shop.request(As::Merchant, Method::POST, &path).json(&body);
    let long = long.header("idempotency-key", "k".repeat(256));
    assert_eq!(sent(long).await.problem(), (400, "invalid_idempotency_key".to_owned()));
    let wrong = shop.request(As::Merchant, Method::POST, &path);
    let wrong = wrong.json(&json!({"delta": 0, "reason": "", "on_hand": 4}));
    let wrong = sent(wrong.header("idempotency-key", "k")).await;
    let expected = [
        ("#/delta", "invalid_delta"),
        ("#/on_hand", "unknown_field"),
        ("#/reason", "invalid_reason"),
    ];
    assert_eq!(
        wrong.wrong_fields(),
        expected.map(|(p, c)| (p.to_owned(), c.to_owned()))
    );
}

#[tokio::test]
async fn an_archived_products_stock_is_still_counted_and_adjusted() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 2).await;
    let path = format!("/v1/products/{id}");
    shop.delete(&path, "*").await;
    assert_eq!(shop.adjust(&id, "a", -2).await.json()["available"], 0);
    assert_eq!(shop.adjust(&id, "b", 3).await.json()["available"], 3);
    assert_eq!(shop.count(&id, 0).await.json()["available"], 0);
    assert_eq!(shop.count(&id, 8).await.json()["available"], 8);
    let listed = |answer: crate::harness::Answer| answer.json()["data"].as_array().unwrap().len();
    assert_eq!(listed(shop.get("/v1/products?category=Tea&in_stock=true").await), 0);
    shop.patch(&path, "*", &json!({"state": "active"})).await;
    assert_eq!(listed(shop.get("/v1/products?category=Tea&in_stock=true").await), 1);
}
