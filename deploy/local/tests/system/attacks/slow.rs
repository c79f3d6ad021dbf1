//! Clients that never come to an end, straight to each service: the gateway has tests of its own for them, and the services
//! must not lean on it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::join_all;
use shared::testing::is_complete_run;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::stage::Stage;
use super::table::Doors;

/// Request time-out of the services in the default form of the test.
pub(crate) const SHORT_TIMEOUT: Duration = Duration::from_secs(6);
/// The services' own request time-out.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// A busy machine may be that much later than the time-out.
const MARGIN: Duration = Duration::from_secs(30);
/// A small part of either time-out: a limit on the gap between two bytes would never end these requests.
const A_BYTE_EVERY: Duration = Duration::from_millis(100);

/// How many of them there are, and what is wrong with the answers.
pub(crate) async fn all(stage: &Stage, doors: &Doors) -> (usize, Vec<String>) {
    let token = |token: &Option<String>| token.clone().unwrap_or_default();
    let (mallory, merchant) = (token(&stage.mallory.token), token(&stage.merchant.token));
    let mut slow = Vec::new();
    for (part, path, token) in [
        (deploy_local::Part::ProductService, "/v1/products", &merchant),
        (deploy_local::Part::BasketService, "/v1/baskets/me/items", &mallory),
        (deploy_local::Part::OrderService, "/v1/orders", &mallory),
    ] {
        let line = format!("POST {path} HTTP/1.1\r\nhost: shop\r\n");
        let head = format!("{line}authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let key = if path == "/v1/orders" {
            "idempotency-key: slow\r\n"
        } else {
            ""
        };
        for (name, begin, said) in [
            ("a head that does not end", format!("{line}x-a: "), "408"),
            (
                "a body that trickles in",
                format!("{head}{key}content-length: 100000\r\n\r\n"),
                "urn:problem:timeout",
            ),
        ] {
            let address = doors.services[&part];
            slow.push(async move {
                let outcome = given_up(address, &begin, said).await;
                outcome.map_err(|wrong| format!("Consumption: {name} (POST {path}) over Direct: {wrong:#}"))
            });
        }
    }
    let outcomes = join_all(slow).await;
    (outcomes.len(), outcomes.into_iter().filter_map(Result::err).collect())
}

/// Begins a request, and goes on byte by byte until it is answered and the connection closed.
async fn given_up(address: SocketAddr, begin: &str, said: &str) -> anyhow::Result<()> {
    let (mut reading, mut writing) = TcpStream::connect(address).await?.into_split();
    writing.write_all(begin.as_bytes()).await?;
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            sleep(A_BYTE_EVERY).await;
        }
    });
    let within = MARGIN
        + if is_complete_run() {
            DEFAULT_TIMEOUT
        } else {
            SHORT_TIMEOUT
        };
    let began = Instant::now();
    let mut arrived = Vec::new();
    let closed = timeout(within, reading.read_to_end(&mut arrived)).await;
    trickle.abort();
    closed.with_context(|| {
        format!(
            "still open after {:?}: {:?}",
            began.elapsed(),
            String::from_utf8_lossy(&arrived)
        )
    })??;
    let answer = String::from_utf8_lossy(&arrived);
    ensure!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains(said),
        "got {answer:?}"
    );
    Ok(())
}
