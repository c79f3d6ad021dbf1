//! What is tried again when a service fails, and what never is.

use reqwest::{Method, StatusCode};
use shared::testing::Issuer;

use crate::harness::Edge;

#[tokio::test]
async fn reads_are_tried_again() {
    let edge = Edge::start().await;
    for method in [Method::GET, Method::HEAD] {
        edge.products.forget();
        edge.products.fail_next(1);
        let answer = edge.request(method.clone(), "/v1/products").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{method}");
        assert_eq!(edge.products.seen().len(), 2, "{method}");
    }
}

#[tokio::test]
async fn a_read_is_not_tried_for_ever() {
    let edge = Edge::start().await;
    edge.products.fail_next(100);
    let answer = edge.get("/v1/products").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(edge.products.seen().len(), 3);
}

#[tokio::test]
async fn writes_with_a_key_are_tried_again_with_the_same_key_and_body() {
    let edge = Edge::start().await;
    let token = Issuer::shared().merchant();
    for (path, upstream) in [
        ("/v1/baskets/me/checkout", &edge.baskets),
        ("/v1/orders", &edge.orders),
        ("/v1/orders/0198c2f3-0000-7000-8000-000000000000/refunds", &edge.orders),
        (
            "/v1/products/0198c2f3-0000-7000-8000-000000000000/stock/adjustments",
            &edge.products,
        ),
    ] {
        upstream.forget();
        upstream.fail_next(1);
        let answer = edge
            .post(path)
            .bearer_auth(&token)
            .header("idempotency-key", "key-1")
            .header("x-envoy-max-retries", "9")
            .body("{\"a\":1}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let tries = upstream.seen();
        assert_eq!(tries.len(), 2, "{path}");
        for seen in tries {
            assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", path));
            assert_eq!(
                (seen.header("idempotency-key"), seen.body.as_ref()),
                (Some("key-1"), b"{\"a\":1}".as_slice())
            );
        }
    }
}

#[tokio::test]
async fn all_other_writes_are_sent_once() {
    let edge = Edge::start().await;
    let token = Issuer::shared().merchant();
    for (method, path, key, upstream) in [
        (Method::POST, "/v1/baskets/me/items", None, &edge.baskets),
        (Method::POST, "/v1/baskets/me/items", Some("key-1"), &edge.baskets),
        (Method::POST, "/v1/baskets/me/checkout", None, &edge.baskets),
        (Method::DELETE, "/v1/baskets/me", None, &edge.baskets),
        (Method::POST, "/v1/orders", None, &edge.orders),
        (Method::POST, "/v1/orders/1/cancel", Some("key-1"), &edge.orders),
        (Method::POST, "/webhooks/stripe", None, &edge.orders),
        (Method::PUT, "/v1/products/1", Some("key-1"), &edge.products),
    ] {
        upstream.forget();
        upstream.fail_next(1);
        let mut request = edge
            .request(method.clone(), path)
            .bearer_auth(&token)
            .header("x-envoy-retry-on", "5xx");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{method} {path}");
        assert_eq!(upstream.seen().len(), 1, "{method} {path}");
    }
}
