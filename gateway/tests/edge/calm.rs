//! Some clients' bad manners are nothing to the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use gateway::Rate;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::testing::Issuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::harness::{Edge, client, read_until};

const IDLE: usize = 1_000;
const SLOW: usize = 20;

/// What is done to the others. Ends when dropped.
struct Nuisance {
    _idle: Vec<TcpStream>,
    busy: Vec<AbortHandle>,
}

impl Nuisance {
    async fn of(edge: &Edge) -> Self {
        let mut idle = Vec::with_capacity(IDLE);
        for _ in 0..IDLE {
            idle.push(edge.connect().await);
        }
        let token = Issuer::shared().customer("nuisance");
        let item = format!("POST /v1/baskets/me/items HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n");
        let mut busy = Vec::new();
        for number in 0..SLOW {
            // Half of them never come to an end of their headers, the others of their bodies.
            let head = if number % 2 == 0 {
                format!("{item}x-slow: ")
            } else {
                format!("{item}content-length: 200000\r\n\r\n")
            };
            let mut stream = edge.connect().await;
            busy.push(tokio::spawn(async move {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }));
        }
        let (address, large) = (edge.address(), Arc::new(vec![b'x'; 300_000]));
        busy.push(tokio::spawn(async move {
            let head = format!("{item}content-length: {}\r\n\r\n", large.len());
            loop {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                // It may be refused before all of it is there.
                let _ = stream.write_all(&large).await;
                let _ = stream.read(&mut [0; 1024]).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
        Self {
            _idle: idle,
            busy: busy.iter().map(tokio::task::JoinHandle::abort_handle).collect(),
        }
    }
}

impl Drop for Nuisance {
    fn drop(&mut self) {
        for busy in &self.busy {
            busy.abort();
        }
    }
}

/// The time that all but one in a hundred of many requests stay below.
async fn p99(edge: &Edge) -> Duration {
    const CALLERS: usize = 2;
    const REQUESTS_EACH: usize = 300;
    let caller = async || {
        let mut stream = edge.connect().await;
        let mut took = Vec::with_capacity(REQUESTS_EACH);
        for _ in 0..REQUESTS_EACH {
            let began = Instant::now();
            stream
                .write_all(b"GET /v1/products HTTP/1.1\r\nhost: shop\r\n\r\n")
                .await
                .unwrap();
            let answer = read_until(&mut stream, "}").await;
            took.push(began.elapsed());
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        took
    };
    let mut took = join_all((0..CALLERS).map(|_| caller())).await.concat();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Sockets for all of them, here and in the Envoy that inherits it.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let enough = maximum.map_or(16_384, |maximum| maximum.min(16_384));
    let raised = Rlimit {
        current: Some(enough),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// In one run, since machines differ; and again, since something else may run on this one.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_slow_clients_and_idle_connections_leave_the_others_their_time() {
    raise_open_files();
    let edge = Edge::start_with(|settings| {
        settings.limits.address = Rate {
            per_second: 100_000,
            burst: 100_000,
        };
    })
    .await;
    p99(&edge).await;
    let calm = |(quiet, disturbed): &(Duration, Duration)| *disturbed <= *quiet * 2;
    let mut rounds = Vec::new();
    while rounds.len() < 5 && !rounds.iter().any(calm) {
        let quiet = p99(&edge).await;
        let nuisance = Nuisance::of(&edge).await;
        let disturbed = p99(&edge).await;
        let connections = edge
            .envoy()
            .admin(&client(), "stats?filter=http.edge.downstream_cx_active")
            .await;
        let open: usize = connections.trim().rsplit_once(": ").unwrap().1.parse().unwrap();
        assert!(open > IDLE, "{connections}");
        drop(nuisance);
        rounds.push((quiet, disturbed));
    }
    assert!(rounds.iter().any(calm), "p99, quiet and disturbed: {rounds:?}");
}
