//! What browsers are told: which pages may call, and what may be done with an answer.

use gateway::Origin;
use reqwest::Method;
use shared::testing::Issuer;

use crate::harness::{Edge, problem};

const SHOP: &str = "https://shop.example";

async fn edge_for_the_shop() -> Edge {
    Edge::start_with(|settings| settings.cors_origins = vec![SHOP.parse::<Origin>().unwrap()]).await
}

#[tokio::test]
async fn a_page_that_is_named_may_call_and_read_refusals_too() {
    let edge = edge_for_the_shop().await;
    let asked = edge
        .request(Method::OPTIONS, "/v1/baskets/me/checkout")
        .header("origin", SHOP)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key")
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 200);
    let told = asked.headers();
    assert_eq!(told["access-control-allow-origin"], SHOP);
    assert!(told["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    assert!(
        told["access-control-allow-headers"]
            .to_str()
            .unwrap()
            .contains("idempotency-key")
    );
    assert!(!told.contains_key("access-control-allow-credentials"));

    let read = edge.get("/v1/products").header("origin", SHOP).send().await.unwrap();
    assert_eq!(read.headers()["access-control-allow-origin"], SHOP);
    // Otherwise a cache might hand it to another page.
    let vary = read.headers()["vary"].to_str().unwrap();
    assert!(vary.split(',').any(|name| name == "origin"), "{vary}");
    assert!(
        read.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("etag")
    );
    let refused = edge.get("/v1/orders").header("origin", SHOP).send().await.unwrap();
    assert_eq!(problem(refused).await.response["access-control-allow-origin"], SHOP);
}

#[tokio::test]
async fn no_other_page_may_call() {
    let (named, nobody) = (edge_for_the_shop().await, Edge::start().await);
    for (edge, origin) in [
        (&named, "https://evil.example"),
        (&named, "https://shop.example.evil.example"),
        (&named, "http://shop.example"),
        (&named, "null"),
        (&nobody, SHOP),
    ] {
        let asked = edge
            .request(Method::OPTIONS, "/v1/orders")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        let read = edge.get("/v1/products").header("origin", origin).send().await.unwrap();
        for answer in [asked, read] {
            assert!(
                !answer.headers().contains_key("access-control-allow-origin"),
                "{origin}: {answer:?}"
            );
        }
    }
    assert_eq!(named.baskets.seen().len() + named.orders.seen().len(), 0);
}

#[test]
fn an_origin_is_written_as_browsers_send_it() {
    for text in [SHOP, "http://localhost:3000", "https://a.b.example:8443"] {
        assert_eq!(text.parse::<Origin>().unwrap().as_str(), text);
    }
    for text in [
        "*",
        "null",
        "",
        "shop.example",
        "https://shop.example/",
        "https://SHOP.example",
        "https://shop.example:443",
        "https://*.example",
        "file:///x",
    ] {
        assert!(text.parse::<Origin>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful_with_it() {
    let edge = Edge::start().await;
    let token = Issuer::shared().customer("customer-1");
    for (path, status) in [
        ("/v1/products", 200),
        ("/v1/orders", 401),
        ("/nowhere", 404),
        ("/", 200),
        ("/docs/orders/", 200),
        ("/v1/orders/admin/dead-letters", 403),
    ] {
        let request = edge.get(path);
        let request = if status == 403 {
            request.bearer_auth(&token)
        } else {
            request
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let told = answer.headers();
        assert_eq!(told["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(told["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(told["cross-origin-resource-policy"], "same-origin", "{path}");
        assert_eq!(told["cross-origin-opener-policy"], "same-origin", "{path}");
        let policies: Vec<_> = told.get_all("content-security-policy").iter().collect();
        let [policy] = policies.as_slice() else {
            unreachable!("{path}: {policies:?}")
        };
        let policy = policy.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            policy.contains("script-src 'self'"),
            path.starts_with("/docs/"),
            "{path}: {policy}"
        );
        // Plain HTTP has nothing to be strict about, and no other protocol beside it.
        assert!(
            !told.contains_key("strict-transport-security") && !told.contains_key("alt-svc"),
            "{path}"
        );
        assert!(
            !told.contains_key("server") && !told.contains_key("x-powered-by"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_browsers_are_told_to_stay_with_it() {
    let edge = Edge::start_with(|settings| settings.trusted_hops = 1).await;
    let answer = edge.get("/v1/products").send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
}
