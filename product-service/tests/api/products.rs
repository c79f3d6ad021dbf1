//! Products created, read, replaced, changed and archived.

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Answer, Shop, tea, with};

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

#[tokio::test]
async fn every_field_comes_back_as_it_was_sent() {
    let shop = Shop::open().await;
    let sent = json!({
        "sku": "A.b_c-1",
        "name": "Žluťoučký <b>kůň</b> / 馬 🐎",
        "description": "line\nline\ttab \"quoted\"",
        "category": "a#b/../c?d=e&f%2F",
        "price": {"amount_minor": i64::MAX, "currency": "USD"},
        "attributes": {"origin": "Čechy", "": null, "weight g": "100"},
        "image_url": "data:image/svg+xml;utf8,<svg/>",
        "acceptance": "manual",
    });
    let mut sent = sent;
    sent["attributes"].as_object_mut().unwrap().remove("");
    let created = shop.post("/v1/products", &sent).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let read = shop.get(created.header("location")).await.json();
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&read[name], value, "{name}");
    }
    assert_eq!(read["version"], 1);
    assert_eq!(read["state"], "active");
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let shop = Shop::open().await;
    let answer = shop
        .post(
            "/v1/products",
            &json!({
                "sku": "not a sku",
                "name": " ",
                "description": "x".repeat(8193),
                "price": {"amount_minor": 19.99, "currency": "EUR", "vat": 1},
                "attributes": {"a": 1},
                "image_url": "javascript:alert(1)",
                "acceptance": "perhaps",
                "state": "archived",
                "on_hand": 5,
            }),
        )
        .await;
    assert_eq!(answer.problem(), (400, "invalid_request".to_owned()));
    let expected = [
        ("#/acceptance", "unknown_value"),
        ("#/attributes/a", "wrong_type"),
        ("#/category", "required"),
        ("#/description", "description_too_long"),
        ("#/image_url", "invalid_image_url"),
        ("#/name", "invalid_name"),
        ("#/on_hand", "unknown_field"),
        ("#/price/amount_minor", "wrong_type"),
        ("#/price/currency", "currency_not_supported"),
        ("#/price/vat", "unknown_field"),
        ("#/sku", "invalid_sku"),
        ("#/state", "unknown_field"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    assert_eq!(answer.wrong_fields(), expected);
}

#[tokio::test]
async fn a_currency_that_is_not_the_shops_is_told_by_its_own_code() {
    let shop = Shop::open().await;
    let euros = json!({"price": {"amount_minor": 799, "currency": "EUR"}});
    let answer = shop.post("/v1/products", &with(tea("TEA-1"), euros.clone())).await;
    assert_eq!(answer.problem(), (400, "currency_not_supported".to_owned()));
    assert_eq!(
        answer.wrong_fields(),
        [("#/price/currency".to_owned(), "currency_not_supported".to_owned())]
    );
    let id = shop.product("TEA-1", 0).await;
    let path = format!("/v1/products/{id}");
    let patched = shop.patch(&path, "*", &json!({"price": {"currency": "EUR"}})).await;
    assert_eq!(patched.problem(), (400, "currency_not_supported".to_owned()));
    let replaced = shop.put(&path, "*", &with(tea("TEA-1"), euros)).await;
    assert_eq!(replaced.problem(), (400, "currency_not_supported".to_owned()));
}

#[tokio::test]
async fn a_price_below_zero_is_refused_and_one_of_nothing_taken() {
    let shop = Shop::open().await;
    let priced = |minor: i64| {
        with(
            tea("TEA-1"),
            json!({"price": {"amount_minor": minor, "currency": "USD"}}),
        )
    };
    let refused = shop.post("/v1/products", &priced(-1)).await;
    assert_eq!(
        refused.wrong_fields(),
        [("#/price".to_owned(), "negative_price".to_owned())]
    );
    assert_eq!(shop.post("/v1/products", &priced(0)).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_sku_belongs_to_one_product_for_ever() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 0).await;
    let taken = |answer: &Answer| {
        assert_eq!(answer.problem(), (409, "sku_taken".to_owned()));
        answer.json()["product_id"].clone()
    };
    let again = shop.post("/v1/products", &tea("TEA-1")).await;
    assert_eq!(taken(&again), json!(id));
    // Spelled otherwise it is another.
    assert_ne!(shop.product("tea-1", 0).await, id);
    // Archived it stays taken.
    let path = format!("/v1/products/{id}");
    assert_eq!(shop.delete(&path, "*").await.status, StatusCode::NO_CONTENT);
    let again = shop.post("/v1/products", &tea("TEA-1")).await;
    assert_eq!(taken(&again), json!(id));
    assert_eq!(shop.get(&path).await.json()["state"], "archived");
}

#[tokio::test]
async fn of_many_who_create_one_sku_one_succeeds() {
    let shop = Shop::open().await;
    let body = tea("TEA-1");
    let all = futures_util::future::join_all((0..12).map(|_| shop.post("/v1/products", &body))).await;
    let created = all.iter().filter(|a| a.status == StatusCode::CREATED).count();
    let taken = all.iter().filter(|a| a.status == StatusCode::CONFLICT).count();
    assert_eq!((created, taken), (1, 11));
}

#[tokio::test]
async fn what_is_not_there_and_what_can_not_be_is_not_found() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 0).await;
    let simple = id.replace('-', "");
    for id in [Uuid::new_v4().to_string(), "1".to_owned(), simple, "%20".to_owned()] {
        let path = format!("/v1/products/{id}");
        let body = tea("TEA-1");
        for answer in [
            shop.get(&path).await,
            shop.put(&path, "*", &body).await,
            shop.patch(&path, "*", &json!({})).await,
            shop.delete(&path, "*").await,
            shop.put(&format!("{path}/stock"), "*", &json!({"on_hand": 1})).await,
            shop.adjust(&id, "key", 1).await,
        ] {
            assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{id}");
            assert_eq!(answer.json()["detail"], "there is no such product");
        }
    }
}

#[tokio::test]
async fn replacing_takes_away_what_is_not_sent_and_keeps_the_state() {
    let shop = Shop::open().await;
    let full = json!({"description": "d", "attributes": {"a": "b"}, "image_url": "https://a.example/i", "acceptance": "manual"});
    let created = shop.post("/v1/products", &with(tea("TEA-1"), full)).await;
    let path = created.header("location").to_owned();
    assert_eq!(shop.delete(&path, "*").await.status, StatusCode::NO_CONTENT);

    let replaced = shop.put(&path, "*", &tea("TEA-1")).await;
    assert_eq!(replaced.status, StatusCode::OK, "{}", replaced.text);
    let body = replaced.json();
    assert_eq!(body["state"], "archived");
    assert_eq!(body["acceptance"], "auto");
    assert_eq!(body["attributes"], json!({}));
    assert!(body.get("description").is_none() && body.get("image_url").is_none());

    let mut without_sku = with(tea("TEA-1"), json!({"state": "active"}));
    without_sku.as_object_mut().unwrap().remove("sku");
    let replaced = shop.put(&path, "*", &without_sku).await;
    assert_eq!(replaced.json()["state"], "active", "{}", replaced.text);
}

#[tokio::test]
async fn a_sku_is_never_changed() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    for answer in [
        shop.put(&path, "*", &tea("TEA-2")).await,
        shop.patch(&path, "*", &json!({"sku": "TEA-2"})).await,
    ] {
        assert_eq!(
            answer.wrong_fields(),
            [("#/sku".to_owned(), "sku_immutable".to_owned())]
        );
    }
    assert_eq!(shop.get(&path).await.json()["version"], 1);
}

#[tokio::test]
async fn a_patch_merges_inside_and_removes_by_null() {
    let shop = Shop::open().await;
    let full = json!({"description": "d", "attributes": {"a": "1", "b": "2"}, "acceptance": "manual"});
    let created = shop.post("/v1/products", &with(tea("TEA-1"), full)).await;
    let path = created.header("location").to_owned();
    let patch = json!({
        "price": {"amount_minor": 899},
        "attributes": {"a": null, "c": "3"},
        "acceptance": null,
        "description": null,
    });
    let patched = shop.patch(&path, "*", &patch).await.json();
    assert_eq!(patched["price"], json!({"amount_minor": 899, "currency": "USD"}));
    assert_eq!(patched["attributes"], json!({"b": "2", "c": "3"}));
    assert_eq!(patched["acceptance"], "auto");
    assert!(patched.get("description").is_none());
}

#[tokio::test]
async fn a_patch_removes_nothing_that_is_required_and_knows_no_other_fields() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    let patch = json!({
        "name": null, "category": null, "price": {"currency": null}, "sku": null, "state": null,
        "colour": null, "size": "xl",
    });
    let answer = shop.patch(&path, "*", &patch).await;
    let expected = [
        ("#/category", "required"),
        ("#/colour", "unknown_field"),
        ("#/name", "required"),
        ("#/price/currency", "required"),
        ("#/size", "unknown_field"),
        ("#/sku", "required"),
        ("#/state", "required"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    assert_eq!(answer.wrong_fields(), expected);
    for no_object in [json!([]), json!(null), json!("name")] {
        let answer = shop.patch(&path, "*", &no_object).await;
        assert_eq!(answer.wrong_fields(), [("#".to_owned(), "wrong_type".to_owned())]);
    }
    assert_eq!(shop.get(&path).await.json()["version"], 1);
}

#[tokio::test]
async fn a_change_to_the_same_changes_nothing() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    let before = shop.get(&path).await.json();
    assert_eq!(shop.patch(&path, "*", &json!({})).await.json(), before);
    assert_eq!(
        shop.patch(&path, "*", &json!({"name": before["name"]})).await.json(),
        before
    );
    assert_eq!(shop.put(&path, "*", &tea("TEA-1")).await.json(), before);
    assert_eq!(shop.delete(&path, "*").await.header("etag"), "\"2.1.0\"");
    assert_eq!(shop.delete(&path, "*").await.header("etag"), "\"2.1.0\"");
}

#[tokio::test]
async fn a_renamed_product_moves_in_the_lists() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 3).await;
    let path = format!("/v1/products/{id}");
    let moved = json!({"name": "Assam", "category": "Black tea"});
    assert_eq!(shop.patch(&path, "*", &moved).await.status, StatusCode::OK);
    let skus = |answer: Answer| -> Vec<Value> {
        let body = answer.json();
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["sku"].clone())
            .collect()
    };
    for list in ["category=Tea", "category=Tea&in_stock=true"] {
        assert!(
            skus(shop.get(&format!("/v1/products?{list}")).await).is_empty(),
            "{list}"
        );
    }
    for list in [
        "category=Black%20tea",
        "category=Black+tea&in_stock=true",
        "category=Black+tea&sort=price",
    ] {
        assert_eq!(
            skus(shop.get(&format!("/v1/products?{list}")).await),
            ["TEA-1"],
            "{list}"
        );
    }
    // And out of the one of what is in stock when it is sold out under its new name.
    shop.count(&id, 0).await;
    assert!(skus(shop.get("/v1/products?category=Black+tea&in_stock=true").await).is_empty());
    shop.count(&id, 1).await;
    assert_eq!(
        skus(shop.get("/v1/products?category=Black+tea&in_stock=true").await),
        ["TEA-1"]
    );
}
