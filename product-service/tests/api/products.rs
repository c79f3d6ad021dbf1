//! Products created, read, replaced, changed and archived.

use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Shop, tea, with};

#[tokio::test]
async fn a_product_is_created_read_changed_archived_and_brought_back() {
    let shop = Shop::open().await;
    let created = shop
        .post("/v1/products", &with(tea("TEA-1"), json!({"description": "Black tea"})))
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let path = created.header("location").to_owned();
    assert_eq!(created.header("etag"), "\"1.1.0\"");

    let read = shop.get(&path).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json(), created.json());
    assert_eq!(
        read.json()["stock"],
        json!({"available": 0, "in_stock": false, "version": 1})
    );

    let changed = shop
        .patch(&path, "\"1.1.0\"", &json!({"description": null, "name": "Lady Grey"}))
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(changed.header("etag"), "\"2.1.0\"");
    assert_eq!(changed.json()["name"], "Lady Grey");
    assert!(changed.json().get("description").is_none());

    let archived = shop.delete(&path, "\"2.1.0\"").await;
    assert_eq!(archived.status, StatusCode::NO_CONTENT, "{}", archived.text);
    assert_eq!(shop.get(&path).await.json()["state"], "archived");
    assert_eq!(shop.get("/v1/products").await.json()["data"], json!([]));

    let back = shop
        .patch(&path, archived.header("etag"), &json!({"state": "active"}))
        .await;
    assert_eq!(back.json()["state"], "active", "{}", back.text);
    assert_eq!(
        shop.get("/v1/products?category=Tea").await.json()["data"][0]["sku"],
        "TEA-1"
    );
}
