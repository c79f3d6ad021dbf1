//! ETags and the conditions on them.

use reqwest::Method;
use serde_json::json;

use crate::harness::{As, Shop, sent, tea};

#[tokio::test]
async fn a_write_without_a_condition_is_refused() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    let stock = format!("{path}/stock");
    let put = shop.request(As::Merchant, Method::PUT, &path).json(&tea("TEA-1"));
    let patch = shop
        .request(As::Merchant, Method::PATCH, &path)
        .header("content-type", "application/merge-patch+json")
        .body("{}");
    let delete = shop.request(As::Merchant, Method::DELETE, &path);
    let count = shop
        .request(As::Merchant, Method::PUT, &stock)
        .json(&json!({"on_hand": 1}));
    for request in [put, patch, delete, count] {
        assert_eq!(sent(request).await.problem(), (428, "precondition_required".to_owned()));
    }
}

#[tokio::test]
async fn a_document_is_written_over_the_version_that_was_read() {
    let shop = Shop::open().await;
    for (n, (condition, holds)) in [
        ("\"1.2.5\"", true),
        ("W/\"1.2.5\"", true),
        ("\"9.9.9\", W/\"1.0.0\"", true),
        ("*", true),
        // Its stock is not what a document's condition is about.
        ("\"1.77.3\"", true),
        ("\"2.2.5\"", false),
        ("1.2.5", false),
        ("\"1\"", false),
        ("\"1.2.5.1\"", false),
        ("\"x.y.z\"", false),
        ("", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/v1/products/{}", shop.product(&format!("TEA-{n}"), 5).await);
        let answer = shop.patch(&path, condition, &json!({"name": "New"})).await;
        if holds {
            assert_eq!(answer.header("etag"), "\"2.2.5\"", "{condition} {}", answer.text);
        } else {
            assert_eq!(answer.problem(), (412, "precondition_failed".to_owned()), "{condition}");
            assert_eq!(answer.header("etag"), "\"1.2.5\"");
            assert_eq!(shop.get(&path).await.json()["version"], 1);
        }
    }
}

#[tokio::test]
async fn a_count_is_written_over_the_stock_that_was_read() {
    let shop = Shop::open().await;
    for (n, (condition, holds)) in [
        ("\"1.2.5\"", true),
        ("W/\"1.2.5\"", true),
        ("*", true),
        // Pieces that are held meanwhile, or a new name, are not what a count is about.
        ("\"8.2.1\"", true),
        ("\"1.1.5\"", false),
        ("\"2\"", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/v1/products/{}", shop.product(&format!("TEA-{n}"), 5).await);
        let answer = shop
            .put(&format!("{path}/stock"), condition, &json!({"on_hand": 9}))
            .await;
        if holds {
            assert_eq!(answer.json()["version"], 3, "{condition} {}", answer.text);
            assert_eq!(shop.get(&path).await.header("etag"), "\"1.3.9\"");
        } else {
            assert_eq!(answer.problem(), (412, "precondition_failed".to_owned()), "{condition}");
            assert_eq!(answer.json()["stock_version"], 2);
            assert_eq!(shop.get(&path).await.header("etag"), "\"1.2.5\"");
        }
    }
}

#[tokio::test]
async fn a_hold_changes_the_tag_but_no_version() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 5).await;
    let path = format!("/v1/products/{id}");
    shop.hold(uuid::Uuid::new_v4(), &[(&id, 2)]).await;
    assert_eq!(shop.get(&path).await.header("etag"), "\"1.2.3\"");
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 5).await);
    for (condition, status) in [
        ("\"1.2.5\"", 304),
        ("W/\"1.2.5\"", 304),
        ("\"0\", \"1.2.5\"", 304),
        ("*", 304),
        ("\"1.2.4\"", 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let request = shop.request(As::Nobody, method, &path);
            let answer = sent(request.header("if-none-match", condition)).await;
            assert_eq!(answer.status, status, "{condition}");
            assert_eq!(answer.header("etag"), "\"1.2.5\"");
        }
    }
}

#[tokio::test]
async fn of_two_who_write_over_the_same_version_one_learns_of_the_other() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    let name = |n: usize| json!({"name": format!("Name {n}")});
    let bodies: Vec<_> = (0..8).map(name).collect();
    let all = bodies.iter().map(|body| shop.patch(&path, "\"1.1.0\"", body));
    let mut statuses: Vec<_> = futures_util::future::join_all(all)
        .await
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    // Who writes over anything is never told so.
    let all = bodies.iter().map(|body| shop.patch(&path, "*", body));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}
