//! What every route has in common: who may, methods, media types, sizes, health and documents.

use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::testing::Issuer;
use uuid::Uuid;

use crate::harness::{As, Shop, sent, tea, with};

#[tokio::test]
async fn products_are_read_by_everybody_and_written_by_merchants() {
    let shop = Shop::open().await;
    let id = shop.product("TEA-1", 1).await;
    let path = format!("/v1/products/{id}");
    let stock = format!("{path}/stock");
    let adjustments = format!("{stock}/adjustments");
    for (who, status, code) in [
        (As::Nobody, 401, "unauthenticated"),
        (As::Customer, 403, "forbidden"),
        (As::Service, 403, "forbidden"),
        (As::Token("nonsense"), 401, "unauthenticated"),
    ] {
        for (method, path) in [
            (Method::POST, "/v1/products"),
            (Method::PUT, &path),
            (Method::PATCH, &path),
            (Method::DELETE, &path),
            (Method::PUT, &stock),
            (Method::POST, "/v1/products/import"),
            (Method::GET, "/v1/products/export"),
        ] {
            let answer = sent(shop.request(who, method.clone(), path).json(&json!({}))).await;
            assert_eq!(answer.problem(), (status, code.to_owned()), "{method} {path}");
        }
        let keyed = shop.request(who, Method::POST, &adjustments);
        let answer = sent(keyed.header("idempotency-key", "k").json(&json!({}))).await;
        assert_eq!(answer.problem(), (status, code.to_owned()));
    }
    for who in [As::Nobody, As::Customer, As::Service, As::Merchant] {
        for path in [path.as_str(), "/v1/products"] {
            assert_eq!(sent(shop.request(who, Method::GET, path)).await.status, StatusCode::OK);
        }
    }
    let admin = Issuer::shared().admin();
    let answer = sent(
        shop.request(As::Token(&admin), Method::POST, "/v1/products")
            .json(&tea("TEA-2")),
    )
    .await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test]
async fn internal_routes_are_the_services_own() {
    let shop = Shop::open().await;
    // Until the pool's keys are there a wrong body is told before a wrong token.
    shop.product("TEA-1", 0).await;
    let order = format!("/internal/v1/reservations/{}", Uuid::new_v4());
    let routes = [
        (Method::PUT, order.clone(), "internal/stock"),
        (Method::POST, format!("{order}/commit"), "internal/stock"),
        (Method::POST, format!("{order}/release"), "internal/stock"),
        (Method::GET, "/internal/v1/reservations".to_owned(), "internal/read"),
        (Method::GET, "/internal/v1/stock".to_owned(), "internal/read"),
    ];
    for (method, path, scope) in routes {
        let ask = |who| sent(shop.request(who, method.clone(), &path).json(&json!({})));
        assert_eq!(ask(As::Nobody).await.problem().0, 401, "{path}");
        assert_eq!(ask(As::Customer).await.problem().0, 403, "{path}");
        assert_eq!(ask(As::Merchant).await.problem().0, 403, "{path}");
        let other = if scope == "internal/stock" {
            "internal/read"
        } else {
            "internal/stock"
        };
        let other = Issuer::shared().service(other);
        assert_eq!(ask(As::Token(&other)).await.problem().0, 403, "{path}");
        let own = Issuer::shared().service(scope);
        let answer = ask(As::Token(&own)).await;
        assert!(![401, 403].contains(&answer.status.as_u16()), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_method_that_is_none_of_a_paths_is_told_which_are() {
    let shop = Shop::open().await;
    let id = Uuid::new_v4();
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/products".to_owned(), "GET, HEAD, POST"),
        (
            Method::POST,
            format!("/v1/products/{id}"),
            "GET, HEAD, PUT, PATCH, DELETE",
        ),
        (Method::GET, format!("/v1/products/{id}/stock"), "PUT"),
        (Method::PUT, format!("/v1/products/{id}/stock/adjustments"), "POST"),
        (Method::GET, format!("/internal/v1/reservations/{id}"), "PUT"),
    ] {
        let answer = sent(shop.request(As::Merchant, method, &path)).await;
        assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()), "{path}");
        assert_eq!(answer.header("allow"), allowed);
    }
    for path in ["/", "/v1", "/v1/product", "/v1/products/", "/v2/products"] {
        assert_eq!(shop.get(path).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    for (path, status) in [(path.as_str(), 200), ("/v1/products", 200), ("/v1/products/x", 404)] {
        let head = sent(shop.request(As::Nobody, Method::HEAD, path)).await;
        let get = shop.get(path).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        assert_eq!(head.header("etag"), get.header("etag"));
    }
}

#[tokio::test]
async fn bodies_are_of_the_right_kind_and_size_and_valid() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    let post = |kind: &str, body: String| {
        let request = shop.request(As::Merchant, Method::POST, "/v1/products");
        sent(request.header("content-type", kind).body(body))
    };
    let body = tea("TEA-2").to_string();
    assert_eq!(
        post("text/plain", body.clone()).await.problem(),
        (415, "unsupported_media_type".to_owned())
    );
    assert_eq!(post("application/x-ndjson", body).await.problem().0, 415);
    let patch = shop.request(As::Merchant, Method::PATCH, &path).header("if-match", "*");
    assert_eq!(sent(patch.json(&json!({}))).await.problem().0, 415);
    let import = shop.request(As::Merchant, Method::POST, "/v1/products/import");
    assert_eq!(sent(import.json(&json!({}))).await.problem().0, 415);

    let large = with(tea("TEA-2"), json!({"description": "x".repeat(256 * 1024)}));
    let refused = post("application/json", large.to_string()).await;
    assert_eq!(refused.problem(), (413, "body_too_large".to_owned()));
    assert_eq!(refused.json()["limit_bytes"], 262_144);

    for broken in ["", "{", "{\"sku\": \"a\", \"sku\": \"b\"}", "nonsense"] {
        let refused = post("application/json", broken.to_owned()).await;
        assert_eq!(refused.problem(), (400, "invalid_json".to_owned()), "{broken}");
    }
    let charset = post("Application/JSON; charset=utf-8", tea("TEA-2").to_string()).await;
    assert_eq!(charset.status, StatusCode::CREATED, "{}", charset.text);
}

#[tokio::test]
async fn an_idempotency_key_is_refused_where_it_would_mean_nothing() {
    let shop = Shop::open().await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    for (method, path) in [
        (Method::GET, path.as_str()),
        (Method::PUT, path.as_str()),
        (Method::POST, "/v1/products"),
        (Method::POST, "/v1/products/import"),
    ] {
        let request = shop.request(As::Merchant, method, path).header("idempotency-key", "k");
        assert_eq!(
            sent(request).await.problem(),
            (400, "idempotency_key_unsupported".to_owned())
        );
    }
}

#[tokio::test]
async fn health_and_documents_are_there() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/livez").await.json(), json!({"status": "ok"}));
    assert_eq!(shop.get("/readyz").await.json(), json!({"status": "ready"}));
    let contract = shop.get("/openapi.json").await.json();
    assert_eq!(contract["openapi"], "3.1.0");
    assert!(contract["paths"]["/v1/products/{id}"]["patch"].is_object());
    let page = shop.get("/docs/").await;
    assert!(page.status == 200 && page.text.contains("swagger"), "{}", page.text);
}
