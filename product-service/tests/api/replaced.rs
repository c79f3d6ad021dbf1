//! The service replaced as compose does it, which ends the old container before it starts the new one: with a door before it,
//! nobody who comes meanwhile is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use deploy_local::doors::Door;
use deploy_local::loopback::{self, free_port};
use deploy_local::{Cloud, Stack};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::testing::Issuer;
use tokio::time::{Instant, sleep};

use crate::process::{command, settings, start, terminate};

const CLIENTS: usize = 6;
const REPLACEMENTS: usize = 2;
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_while_the_service_is_stopped_and_started_again_is_answered_and_only_once() {
    let deployment = Cloud::for_tests().deploy(&[Stack::Product]).await.unwrap();
    let port = free_port().unwrap();
    let address = format!("127.0.0.1:{port}");
    let mut settings = settings(&deployment);
    settings.insert("BIND".to_owned(), address.clone());
    // It lingers for as long as it usually does, as in docker-compose.yml; there it drains for a shorter time.
    settings.remove("LINGER_MS");
    assert!(!settings.contains_key("SHUTDOWN_S"));
    let (mut service, _) = start(command().envs(&settings)).await;
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let door = Door::before(address, anywhere).await.unwrap();
    let url = format!("http://{}/v1/products", door.address());
    let token = Issuer::shared().merchant();
    let ask = |request: reqwest::RequestBuilder| {
        let request = request.bearer_auth(&token).timeout(ANSWERS_WITHIN);
        async move { request.send().await.unwrap() }
    };
    let http = loopback::http().unwrap();
    let tea =
        json!({"sku": "tea", "name": "Tea", "category": "tea", "price": {"amount_minor": 500, "currency": "USD"}});
    let made = ask(http.post(&url).json(&tea)).await;
    let made: Value = made.json().await.unwrap();
    let url = format!("{url}/{}", made["id"].as_str().unwrap_or_else(|| panic!("{made}")));

    let (over, came) = (AtomicBool::new(false), AtomicI64::new(0));
    let deliveries = (0..CLIENTS).map(|client| {
        let (url, over, came, ask) = (format!("{url}/stock/adjustments"), &over, &came, &ask);
        async move {
            for delivery in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                // Nobody holds a connection for longer than a request: now and then the service has none.
                let http = loopback::http().unwrap();
                let request = http
                    .post(&url)
                    .header("Idempotency-Key", format!("{client}-{delivery}"));
                let answer = ask(request.json(&json!({"delta": 1, "reason": "delivery"}))).await;
                assert_eq!(answer.status(), StatusCode::OK);
                assert!(!answer.headers().contains_key("Idempotent-Replayed"), "sent twice");
                came.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let replacing = async {
        for _ in 0..REPLACEMENTS {
            let enough = came.load(Ordering::SeqCst) + 20;
            while came.load(Ordering::SeqCst) < enough {
                sleep(Duration::from_millis(5)).await;
            }
            let told = Instant::now();
            terminate(&service).await;
            assert!(service.wait().await.unwrap().success());
            println!("stopped after {:?}", told.elapsed());
            // As long as a container takes to be made.
            sleep(Duration::from_millis(500)).await;
            (service, _) = start(command().envs(&settings)).await;
        }
        let enough = came.load(Ordering::SeqCst) + 20;
        while came.load(Ordering::SeqCst) < enough {
            sleep(Duration::from_millis(5)).await;
        }
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(replacing, join_all(deliveries));
    let last = http
        .post(format!("{url}/stock/adjustments"))
        .header("Idempotency-Key", "last");
    let last = ask(last.json(&json!({"delta": 1, "reason": "delivery"}))).await;
    let last: Value = last.json().await.unwrap();
    assert_eq!(last["on_hand"], came.load(Ordering::SeqCst) + 1, "each once");
    terminate(&service).await;
    assert!(service.wait().await.unwrap().success());
}
