//! What the gateway answers itself, and what it adds to or keeps from the answers and logs.

use reqwest::Method;
use serde_json::json;
use shared::testing::Issuer;

use crate::harness::{Edge, problem, until};

const LIMIT: usize = 256 * 1024;

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_one_at_it_is_not() {
    let edge = Edge::start().await;
    let token = Issuer::shared().customer("customer-1");
    let send = |body: reqwest::Body| edge.post("/v1/baskets/me/items").bearer_auth(&token).body(body).send();

    let refused = problem(send(vec![b'x'; LIMIT + 1].into()).await.unwrap()).await;
    assert_eq!((refused.status, &refused.body["code"]), (413, &json!("body_too_large")));
    assert!(refused.body["detail"].as_str().unwrap().contains("262144"));
    assert_eq!(edge.reached_services(), 0);

    assert_eq!(send(vec![b'x'; LIMIT].into()).await.unwrap().status(), 200);
    assert_eq!(edge.baskets.only().body.len(), LIMIT);
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_length_has_the_same_limit() {
    let edge = Edge::start().await;
    let token = Issuer::shared().customer("customer-1");
    let chunk = "x".repeat(LIMIT);
    let answer = edge
        .raw(&format!(
            "POST /v1/baskets/me/items HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
             transfer-encoding: chunked\r\n\r\n{LIMIT:x}\r\n{chunk}\r\n2\r\nxx\r\n0\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn a_service_that_is_down_is_told_as_a_problem_and_others_go_on() {
    let edge = Edge::start().await;
    edge.products.stop().await;
    let away = problem(edge.get("/v1/products").send().await.unwrap()).await;
    assert_eq!((away.status, &away.body["code"]), (503, &json!("unavailable")));
    assert_eq!(away.response["retry-after"], "1");
    let basket = "/v1/baskets/g_0123456789abcdef0123456789abcdef";
    assert_eq!(edge.get(basket).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_told_as_a_problem() {
    let edge = Edge::start_changed(|configuration| configuration.replace("timeout: 15s", "timeout: 0.2s")).await;
    let token = Issuer::shared().customer("customer-1");
    let late = edge
        .post("/v1/baskets/me/silence")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let late = problem(late).await;
    assert_eq!((late.status, &late.body["code"]), (504, &json!("timeout")));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_a_problem_too() {
    let edge = Edge::start().await;
    let large = edge
        .get("/v1/products")
        .header("x-large", "x".repeat(40_000))
        .send()
        .await
        .unwrap();
    let slashes = edge.get("/v1/products/a%2Fb").send().await.unwrap();
    for (answer, status, code) in [(large, 431, "headers_too_large"), (slashes, 400, "invalid_request")] {
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((&body["status"], &body["code"]), (&json!(status), &json!(code)));
        assert!(body["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{body}");
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_ask_and_keep_a_weak_etag() {
    let edge = Edge::start().await;
    let plain = edge.get("/v1/products").send().await.unwrap();
    assert_eq!(plain.headers()["etag"], "\"7\"");
    assert!(!plain.headers().contains_key("content-encoding"));

    let compressed = edge
        .get("/v1/products")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert_eq!(compressed.headers()["etag"], "W/\"7\"");
    assert!(
        compressed.headers()["vary"]
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("accept-encoding")
    );
    assert!(compressed.bytes().await.unwrap().len() < 1_000);
}

#[tokio::test]
async fn what_only_the_inside_needs_stays_inside() {
    let edge = Edge::start().await;
    let answer = edge.get("/v1/products").send().await.unwrap();
    assert!(answer.headers().contains_key("x-request-id"));
    for (name, _) in answer.headers() {
        assert!(!name.as_str().starts_with("x-envoy"), "{name}");
    }
}

#[tokio::test]
async fn a_trace_that_a_client_began_goes_on_through_gateway_and_service() {
    let edge = Edge::start().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    edge.get("/v1/products")
        .header("traceparent", &parent)
        .send()
        .await
        .unwrap();
    let arrived = edge.products.only();
    let arrived = arrived.header("traceparent").unwrap();
    assert!(
        arrived.starts_with(&format!("00-{trace_id}-")) && arrived != parent,
        "{arrived}"
    );

    let refused = edge
        .post("/v1/products")
        .header("traceparent", &parent)
        .send()
        .await
        .unwrap();
    assert_eq!(problem(refused).await.body["trace_id"], trace_id);
}

#[tokio::test]
async fn a_request_without_a_trace_gets_one() {
    let edge = Edge::start().await;
    edge.get("/v1/products").send().await.unwrap();
    let seen = edge.products.only();
    assert!(seen.header("traceparent").is_some() && seen.header("x-request-id").is_some());
}

#[tokio::test]
async fn neither_logs_nor_spans_hold_queries_tokens_basket_ids_or_agents() {
    let edge = Edge::start().await;
    let token = Issuer::shared().customer("customer-1");
    let guest = "/v1/baskets/g_5ec2e75ec2e75ec2e75ec2e75ec2e700?cursor=private";
    let read = edge
        .get(guest)
        .bearer_auth(&token)
        .header("user-agent", "an-agent/1.0")
        .header("x-client-trace-id", "a-trace-of-theirs");
    assert_eq!(read.send().await.unwrap().status(), 200);
    assert_eq!(
        edge.request(Method::DELETE, "/v1/products?cursor=private")
            .send()
            .await
            .unwrap()
            .status(),
        401
    );

    let log = edge.access_log("\"http.response.status_code\":401").await;
    assert!(log.contains("\"http.route\":\"baskets-read\""), "{log}");
    for probe in ["/livez", "/readyz"] {
        assert_eq!(edge.get(probe).send().await.unwrap().status(), 200);
    }
    edge.get("/docs/products/").send().await.unwrap();
    let mut spans = String::new();
    until("the spans", || {
        let sent = edge.collector.seen();
        let sent: Vec<u8> = sent.iter().flat_map(|sent| sent.body.to_vec()).collect();
        spans = String::from_utf8_lossy(&sent).into_owned();
        let told = ["GET baskets-read", "DELETE products", "GET docs-products"];
        told.iter().all(|name| spans.contains(name)).then_some(())
    })
    .await;
    assert!(!spans.contains("livez") && !spans.contains("readyz"), "{spans}");
    for secret in ["private", "5ec2e7", token.as_str(), "an-agent", "a-trace-of-theirs"] {
        assert!(!log.contains(secret), "{log}");
        assert!(!spans.contains(secret), "{spans}");
    }
    assert!(log.contains("\"client.network\":\"127.0.0.0/24\""), "{log}");
    assert!(!log.contains("127.0.0.1"), "{log}");
    assert!(spans.contains("127.0.0.0/24"), "{spans}");
}
