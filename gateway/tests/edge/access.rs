//! Who gets through to a service, and what the service hears of them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use shared::testing::Issuer;

use crate::harness::{DEADLINE, Edge, Setup, problem};

const GUEST: &str = "/v1/baskets/g_0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn anybody_may_read_products_and_use_a_guest_basket() {
    let edge = Edge::start().await;
    for (method, path) in [
        (Method::GET, "/v1/products"),
        (Method::GET, "/v1/products/0198c2f3-0000-7000-8000-000000000000"),
        (Method::HEAD, "/v1/products"),
        (Method::POST, "/v1/baskets"),
        (Method::GET, GUEST),
        (Method::POST, &format!("{GUEST}/items")),
        (Method::DELETE, GUEST),
        (Method::POST, "/webhooks/stripe"),
        (Method::GET, "/docs/products/"),
    ] {
        let answer = edge.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{method} {path}");
    }
    assert_eq!(edge.reached_services(), 9);
}

#[tokio::test]
async fn everything_else_needs_a_token() {
    let edge = Edge::start().await;
    for (method, path) in [
        (Method::POST, "/v1/products"),
        (Method::PUT, "/v1/products/0198c2f3-0000-7000-8000-000000000000/stock"),
        (Method::POST, "/v1/products/import"),
        (Method::GET, "/v1/products/export"),
        (Method::OPTIONS, "/v1/products"),
        (Method::GET, "/v1/baskets"),
        (Method::GET, "/v1/baskets/me"),
        (Method::GET, "/v1/baskets/g_0123"),
        (Method::GET, "/v1/baskets/xg_0123456789abcdef0123456789abcdef"),
        (Method::POST, "/v1/orders"),
        (Method::GET, "/v1/orders/0198c2f3-0000-7000-8000-000000000000"),
        (Method::GET, "/v1/orders/admin/dead-letters"),
    ] {
        let refused = problem(edge.request(method.clone(), path).send().await.unwrap()).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (401, &json!("unauthenticated")),
            "{method} {path}"
        );
        assert!(refused.response.contains_key("www-authenticate"));
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_even_where_none_is_needed() {
    let edge = Edge::start().await;
    let issuer = Issuer::shared();
    let claims = issuer.claims("customer-1", &[]);
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        issuer.sign(&claims)
    };
    for (what, token) in [
        ("expired", with("exp", json!(1_700_000_000))),
        ("without an end", {
            let mut claims = claims.clone();
            claims.as_object_mut().unwrap().remove("exp");
            issuer.sign(&claims)
        }),
        ("not valid yet", with("nbf", json!(4_000_000_000_i64))),
        ("of another issuer", with("iss", json!("https://elsewhere.example"))),
        ("signed by another key", Issuer::start("key-1").sign(&claims)),
        ("no token at all", "nonsense".to_owned()),
    ] {
        let refused = problem(edge.get("/v1/products").bearer_auth(token).send().await.unwrap()).await;
        assert_eq!(refused.status, 401, "{what}");
    }
    let in_query = format!("/v1/orders?access_token={}", issuer.customer("customer-1"));
    assert_eq!(edge.get(&in_query).send().await.unwrap().status(), 401);
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn a_token_that_is_not_for_the_shop_opens_nothing() {
    let edge = Edge::start().await;
    let issuer = Issuer::shared();
    for (name, value) in [
        ("token_use", "id"),
        ("client_id", "another-app"),
        ("client_id", "shop-client-2"),
    ] {
        let mut claims = issuer.claims("customer-1", &["admin"]);
        claims[name] = json!(value);
        let refused = problem(
            edge.get("/v1/orders")
                .bearer_auth(issuer.sign(&claims))
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (403, &json!("forbidden")),
            "{name} {value}"
        );
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn roles_open_what_the_path_tells_to_be_theirs() {
    let edge = Edge::start().await;
    let issuer = Issuer::shared();
    let customer = issuer.customer("customer-1");
    let (merchant, admin) = (issuer.merchant(), issuer.admin());
    let order = "/v1/orders/0198c2f3-0000-7000-8000-000000000000";
    for (method, path, open_to) in [
        (Method::POST, "/v1/products".to_owned(), [false, true, true]),
        (
            Method::GET,
            "/v1/products/export?with=on_hand".to_owned(),
            [false, true, true],
        ),
        (
            Method::PATCH,
            "/v1/products/0198c2f3-0000-7000-8000-000000000000".to_owned(),
            [false, true, true],
        ),
        (Method::POST, "/v1/baskets/me/checkout".to_owned(), [true, true, true]),
        (Method::GET, order.to_owned(), [true, true, true]),
        (Method::POST, format!("{order}/cancel"), [true, true, true]),
        (Method::POST, format!("{order}/ship"), [false, true, true]),
        (Method::POST, format!("{order}/accept"), [false, true, true]),
        (Method::POST, format!("{order}/refunds"), [false, true, true]),
        (
            Method::GET,
            "/v1/orders/admin/dead-letters".to_owned(),
            [false, false, true],
        ),
        (
            Method::POST,
            "/v1/baskets/admin/redrive".to_owned(),
            [false, false, true],
        ),
    ] {
        for (token, open) in [&customer, &merchant, &admin].into_iter().zip(open_to) {
            let answer = edge
                .request(method.clone(), &path)
                .bearer_auth(token)
                .send()
                .await
                .unwrap();
            let expected = if open { 200 } else { 403 };
            assert_eq!(answer.status(), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn forged_headers_of_identity_and_routing_do_not_get_through() {
    let edge = Edge::start().await;
    let token = Issuer::shared().customer("customer-1");
    let forged = [
        ("x-user-id", "admin"),
        ("x-user", "admin"),
        ("x-customer-id", "somebody"),
        ("x-roles", "merchant"),
        ("x-groups", "merchant"),
        ("x-auth-request-user", "admin"),
        ("x-amzn-oidc-identity", "admin"),
        ("x-jwt-payload", "e30="),
        ("x-forwarded-user", "admin"),
        ("x-forwarded-host", "evil.example"),
        ("x-real-ip", "203.0.113.9"),
        ("x-original-url", "/internal/v1/stock"),
        ("x-rewrite-url", "/internal/v1/stock"),
        ("forwarded", "for=203.0.113.9"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-original-path", "/internal"),
        ("x_user_id", "admin"),
    ];
    let mut request = edge
        .get("/v1/orders")
        .bearer_auth(&token)
        .header("x-forwarded-for", "203.0.113.9");
    for (name, value) in forged {
        request = request.header(name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
    let seen = edge.orders.only();
    for (name, _) in forged {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!seen.header("x-forwarded-for").unwrap().contains("203.0.113.9"));
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
}

/// A pool changes its key like this: the new one is there, then used, and the old one goes when its last token has ended.
#[tokio::test]
async fn keys_come_and_go_without_a_restart() {
    let edge = Setup::usual()
        .settings(|settings| settings.jwks_url = settings.collector.clone().unwrap().join("/keys").unwrap())
        .text(|text| text.replace("cache_duration: 60s", "cache_duration: 1s"))
        .start()
        .await;
    let (old, new) = (Issuer::shared(), Issuer::start("key-2"));
    let published = async |issuer: &Issuer| -> Vec<Value> {
        let url = issuer.settings().auth_jwks_url;
        let keys: Value = crate::harness::client()
            .get(url)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        keys["keys"].as_array().unwrap().clone()
    };
    let (old_keys, new_keys) = (published(old).await, published(&new).await);
    let claims = old.claims("customer-1", &[]);
    let (by_old, by_new) = (old.sign(&claims), new.sign(&claims));
    for (keys, accepted) in [
        (old_keys.clone(), [200, 401]),
        ([old_keys, new_keys.clone()].concat(), [200, 200]),
        (new_keys, [401, 200]),
    ] {
        edge.collector.publish(json!({ "keys": keys }));
        let began = Instant::now();
        loop {
            let mut statuses = Vec::new();
            for token in [&by_old, &by_new] {
                let answer = edge.get("/v1/orders").bearer_auth(token).send().await.unwrap();
                statuses.push(answer.status().as_u16());
            }
            if statuses == accepted {
                break;
            }
            assert!(began.elapsed() < DEADLINE, "{statuses:?} instead of {accepted:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

#[tokio::test]
async fn neither_another_algorithm_nor_none_makes_a_token() {
    let edge = Edge::start().await;
    let issuer = Issuer::shared();
    let token = issuer.customer("customer-1");
    let [header, claims, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    // {"alg":"none"}, {"alg":"HS256","kid":"key-1"}
    let (none, symmetric) = ("eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtleS0xIn0");
    for forged in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{symmetric}.{claims}.{signature}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
    ] {
        let refused = problem(edge.get("/v1/orders").bearer_auth(&forged).send().await.unwrap()).await;
        assert_eq!(refused.status, 401, "{forged}");
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn a_route_that_nobody_thought_about_is_open_to_nobody() {
    let edge = Edge::start_changed(|text| {
        let before = "                        - name: none\n";
        let added = "                        - name: added\n                          match: { prefix: /v2 }\n                          \
                     route: { cluster: orders }\n";
        text.replace(before, &format!("{added}{before}"))
    })
    .await;
    let issuer = Issuer::shared();
    assert_eq!(edge.get("/v2/orders").send().await.unwrap().status(), 401);
    for token in [issuer.customer("customer-1"), issuer.merchant(), issuer.admin()] {
        let refused = edge.get("/v2/orders").bearer_auth(token).send().await.unwrap();
        assert_eq!(problem(refused).await.status, 403);
    }
    assert_eq!(edge.reached_services(), 0);
}
