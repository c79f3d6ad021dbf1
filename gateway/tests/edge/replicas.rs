//! What becomes of requests when a service, or one replica of it, does not do well.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::testing::Issuer;

use crate::harness::{DEADLINE, Edge, Setup, client, problem};
use crate::upstream::Upstream;

/// A second endpoint beside that of the products.
fn with_replica(replica: &Upstream) -> impl FnOnce(String) -> String + use<> {
    let port = replica.address().port();
    move |text| {
        let cluster = text.find("cluster_name: products").unwrap();
        let (before, after) = text.split_at(cluster);
        let first = after.find("[{ endpoint:").unwrap();
        let (head, tail) = after.split_at(first + 1);
        format!(
            "{before}{head}{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }}, {tail}"
        )
    }
}

async fn edge_with(replica: &Upstream) -> Edge {
    Setup::usual().text(with_replica(replica)).start().await
}

#[tokio::test]
async fn a_replica_that_fails_while_it_calls_itself_ready_is_left_out() {
    let failing = Upstream::start("products");
    let edge = edge_with(&failing).await;
    failing.fail_next(usize::MAX);
    let began = Instant::now();
    // Reads are answered all along, by the other one; of the last ten none has asked the failing one first.
    let mut left_out = 0;
    while left_out < 10 {
        failing.forget();
        assert_eq!(edge.get("/v1/products").send().await.unwrap().status(), 200);
        left_out = if failing.seen().is_empty() { left_out + 1 } else { 0 };
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = edge
        .envoy()
        .admin(&client(), "stats?filter=cluster.products.outlier.*ejections_active")
        .await;
    assert!(told.contains(": 1"), "{told}");
}

#[tokio::test]
async fn the_last_replica_is_asked_however_it_fails() {
    let edge = Edge::start().await;
    edge.products.fail_next(12);
    let token = Issuer::shared().merchant();
    for _ in 0..12 {
        let failed = edge.post("/v1/products").bearer_auth(&token).send().await.unwrap();
        assert_eq!(failed.status(), 503);
    }
    let answer = edge.post("/v1/products").bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(edge.products.seen().len(), 13);
}

#[tokio::test]
async fn a_replica_that_is_gone_costs_no_read() {
    let going = Upstream::start("products");
    let edge = edge_with(&going).await;
    going.stop().await;
    for _ in 0..20 {
        assert_eq!(edge.get("/v1/products").send().await.unwrap().status(), 200);
    }
}

/// It could not be sent to the one that is gone: so it can be to the other, though nobody may send it twice.
#[tokio::test]
async fn a_replica_that_is_gone_costs_no_write() {
    let going = Upstream::start("products");
    let edge = edge_with(&going).await;
    going.stop().await;
    let token = Issuer::shared().merchant();
    for _ in 0..20 {
        let answer = edge.post("/v1/products").bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(edge.products.seen().len(), 20);
}

#[tokio::test]
async fn what_a_busy_service_cannot_take_is_refused_at_once() {
    let edge = Edge::start_changed(|text| text.replace("max_requests: 1024", "max_requests: 2")).await;
    let token = Issuer::shared().customer("customer-1");
    let silence = || edge.post("/v1/baskets/me/silence").bearer_auth(&token).send();
    let held = [tokio::spawn(silence()), tokio::spawn(silence())];
    let began = Instant::now();
    loop {
        let active = edge
            .envoy()
            .admin(&client(), "stats?filter=cluster.baskets.upstream_rq_active$")
            .await;
        if active.trim().ends_with(": 2") {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{active}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = edge.get("/v1/baskets/me").bearer_auth(&token).send().await.unwrap();
    let refused = problem(asked).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("unavailable")));
    assert_eq!(refused.response["retry-after"], "1");
    // The others have room of their own.
    assert_eq!(edge.get("/v1/products").send().await.unwrap().status(), 200);
    for held in held {
        held.abort();
    }
}
