//! How much is too much: requests of an address or a subject, headers, connections, memory, and time.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gateway::Rate;
use reqwest::{Response, StatusCode};
use serde_json::json;
use shared::testing::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{DEADLINE, Edge, problem, read_until};

fn number(answer: &Response, header: &str) -> u32 {
    answer.headers()[header].to_str().unwrap().parse().unwrap()
}

fn limited(answers: &[Response]) -> usize {
    let limited = answers
        .iter()
        .filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
    limited.count()
}

#[tokio::test]
async fn a_hundred_rapid_requests_of_one_customer_are_limited_and_another_is_not_touched() {
    let edge = Edge::start().await;
    let (hasty, calm) = (Issuer::shared().customer("hasty"), Issuer::shared().customer("calm"));
    let ask = |token: String| async { edge.get("/v1/orders").bearer_auth(token).send().await.unwrap() };

    let answers = join_all((0..100).map(|_| ask(hasty.clone()))).await;
    let refused = limited(&answers);
    assert!((20..=50).contains(&refused), "{refused} of 100 were refused");
    assert_eq!(edge.orders.seen().len(), 100 - refused);
    for answer in answers {
        assert_eq!(
            (
                number(&answer, "ratelimit-limit"),
                answer.headers().get("x-ratelimit-limit")
            ),
            (50, None)
        );
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let refusal = problem(answer).await;
            assert_eq!(refusal.body["code"], json!("too_many_requests"));
            assert_eq!(refusal.response["retry-after"], "1");
            assert_eq!(refusal.response["ratelimit-remaining"], "0");
            assert!(refusal.response.contains_key("ratelimit-reset"));
        }
    }

    let untouched = ask(calm).await;
    assert_eq!(
        (untouched.status(), number(&untouched, "ratelimit-remaining")),
        (StatusCode::OK, 49)
    );
}

#[tokio::test]
async fn whoever_waits_as_told_is_served_again() {
    let edge = Edge::start_with(|settings| {
        settings.limits.subject = Rate {
            per_second: 5,
            burst: 2,
        }
    })
    .await;
    let token = Issuer::shared().customer("customer-1");
    let ask = || async { edge.get("/v1/orders").bearer_auth(&token).send().await.unwrap() };
    let statuses = [ask().await.status(), ask().await.status(), ask().await.status()];
    assert_eq!(statuses, [200, 200, 429]);
    let began = Instant::now();
    while ask().await.status() == StatusCode::TOO_MANY_REQUESTS {
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn requests_of_one_address_are_limited_with_and_without_a_token() {
    let edge = Edge::start_with(|settings| {
        settings.limits.address = Rate {
            per_second: 1,
            burst: 20,
        }
    })
    .await;
    let ask = |path: &'static str| async { edge.get(path).bearer_auth("guess").send().await.unwrap() };
    let guesses = join_all((0..40).map(|_| ask("/v1/orders"))).await;
    assert!((15..=20).contains(&limited(&guesses)), "{}", limited(&guesses));
    let further = edge.get("/v1/products").send().await.unwrap();
    assert_eq!(
        (further.status(), number(&further, "ratelimit-limit")),
        (StatusCode::TOO_MANY_REQUESTS, 20)
    );
    // Whoever balances in front asks from one address, too.
    for path in ["/livez", "/readyz"] {
        assert_eq!(edge.get(path).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_whom_the_proxy_saw() {
    let edge = Edge::start_with(|settings| {
        settings.trusted_hops = 1;
        settings.limits.address = Rate {
            per_second: 1,
            burst: 3,
        };
    })
    .await;
    let ask = |seen: String| async {
        edge.get("/v1/products")
            .header("x-forwarded-for", seen)
            .send()
            .await
            .unwrap()
    };
    // What a client claims to have come by stands to the left, and is not believed.
    let hasty = join_all((0..6).map(|turn| ask(format!("198.51.100.{turn}, 203.0.113.7")))).await;
    assert_eq!(limited(&hasty), 3);
    assert_eq!(ask("203.0.113.8".to_owned()).await.status(), 200);
    let arrived = edge.products.seen();
    assert_eq!(arrived.last().unwrap().header("x-forwarded-for"), Some("203.0.113.8"));
}

#[tokio::test]
async fn with_nobody_in_front_no_header_tells_the_address() {
    let edge = Edge::start_with(|settings| {
        settings.limits.address = Rate {
            per_second: 1,
            burst: 3,
        }
    })
    .await;
    let ask = |claimed: String| async {
        edge.get("/v1/products")
            .header("x-forwarded-for", claimed)
            .send()
            .await
            .unwrap()
    };
    let answers = join_all((1..=4).map(|turn| ask(format!("198.51.100.{turn}")))).await;
    assert_eq!(limited(&answers), 1);
}

#[tokio::test]
async fn addresses_of_one_home_count_as_one() {
    let edge = Edge::start_with(|settings| {
        settings.trusted_hops = 1;
        settings.limits.address = Rate {
            per_second: 1,
            burst: 3,
        };
    })
    .await;
    let ask = |seen: String| async {
        edge.get("/v1/products")
            .header("x-forwarded-for", seen)
            .send()
            .await
            .unwrap()
    };
    let of_one = join_all((1..=4).map(|host| ask(format!("2001:db8:1:2::{host}")))).await;
    assert_eq!(limited(&of_one), 1);
    assert_eq!(ask("2001:db8:1:3::1".to_owned()).await.status(), 200);
}

#[tokio::test]
async fn more_headers_than_a_hundred_are_refused() {
    let edge = Edge::start().await;
    let mut request = edge.get("/v1/products");
    for number in 0..110 {
        request = request.header(format!("x-{number}"), "1");
    }
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 431);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["code"], json!("headers_too_large"));
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn a_long_query_is_refused() {
    let edge = Edge::start().await;
    let refused = edge.raw_get(&format!("/v1/products?{}", "a=1&".repeat(10_000))).await;
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn headers_that_do_not_end_are_not_waited_for() {
    let edge =
        Edge::start_changed(|text| text.replace("request_headers_timeout: 10s", "request_headers_timeout: 0.2s")).await;
    let mut slow = edge.connect().await;
    slow.write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\nx-a: ")
        .await
        .unwrap();
    let answer = read_until(&mut slow, "urn:problem:timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_not_waited_for() {
    let edge = Edge::start_changed(|text| text.replace("request_timeout: 60s", "request_timeout: 0.5s")).await;
    let token = Issuer::shared().customer("customer-1");
    let mut slow = edge.connect().await;
    let head = format!(
        "POST /v1/baskets/me/items HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\ncontent-length: 100000\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let (mut answer, mut trickle) = slow.into_split();
    let trickling = tokio::spawn(async move {
        // Until the other side has enough.
        while trickle.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let said = read_until(&mut answer, "urn:problem:timeout").await;
    trickling.abort();
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    assert_eq!(edge.reached_services(), 0);
}

#[tokio::test]
async fn an_import_may_take_longer_than_any_other_request() {
    let edge = Edge::start_changed(|text| text.replace("request_timeout: 60s", "request_timeout: 0.3s")).await;
    let token = Issuer::shared().merchant();
    let mut stream = edge.connect().await;
    let head = format!(
        "POST /v1/products/import HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    for length in 1..=6 {
        let row = "x".repeat(length);
        stream
            .write_all(format!("{length:x}\r\n{row}\r\n").as_bytes())
            .await
            .unwrap();
        read_until(&mut stream, &format!("{length}\n")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(500));
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_the_others_served() {
    let edge = Edge::start_with(|settings| settings.limits.connections = 10).await;
    let mut held = edge.connect().await;
    let mut others = Vec::new();
    for _ in 0..9 {
        others.push(edge.connect().await);
    }
    let mut further = edge.connect().await;
    let mut byte = [0];
    let closed = tokio::time::timeout(DEADLINE, further.read(&mut byte)).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");

    held.write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n")
        .await
        .unwrap();
    assert!(read_until(&mut held, "\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
    drop(others);
    let began = Instant::now();
    while edge.get("/v1/products").send().await.is_err() {
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn without_memory_requests_are_refused_until_there_is_some_again() {
    let folder = tempfile::tempdir().unwrap();
    let pressure = folder.path().join("pressure");
    // Envoy looks again when the file is replaced.
    let press = |value: &str| {
        let next = folder.path().join("next");
        fs::write(&next, value).unwrap();
        fs::rename(next, &pressure).unwrap();
    };
    press("0.1");
    let file = pressure.to_str().unwrap().to_owned();
    let edge = Edge::start_changed(move |text| {
        let lines = text.lines().map(|line| match line.split_once("typed_config: { \"@type\": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap") {
            Some((indent, _)) => format!(
                "{indent}typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig, filename: {file} }}"
            ),
            None => line.replace("resource_monitors.fixed_heap", "resource_monitors.injected_resource"),
        });
        lines.collect::<Vec<_>>().join("\n")
    })
    .await;
    let until = async |status: u16| {
        let began = Instant::now();
        loop {
            let answer = edge.get("/v1/products").send().await.unwrap();
            if answer.status() == status {
                return answer;
            }
            assert!(began.elapsed() < DEADLINE, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until(200).await;
    press("0.96");
    let refused = until(503).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!((&body["status"], &body["code"]), (&json!(503), &json!("unavailable")));
    press("0.5");
    until(200).await;
}
