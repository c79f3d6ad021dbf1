//! What Envoy counts, for a Prometheus that asks, at an address that clients do not reach. Its admin interface, which tells it and
//! can do more, stays on loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::{Admin, admin};

/// How clients fare and the services behind, of the thousand things that Envoy counts. Also what has not happened yet: a series
/// that begins with its first event does not show that event as growth.
const ASKED: &str = concat!(
    "/stats/prometheus?filter=^(",
    r"http\.edge.*\.downstream_(rq_(\dxx|time|timeout|active)|cx_active)|",
    r".*http_local_rate_limit\.rate_limited|",
    r"cluster\.(products|baskets|orders)\.(",
    r"upstream_(rq_(\dxx|time|timeout|retry|pending_overflow|active)|cx_(connect_fail|none_healthy))|",
    r"membership_(healthy|total))|",
    r"server\.(live|memory_allocated))$",
);
const PATH: &str = "GET /metrics ";
/// How long one who asks may take, and how much of it is read.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST_BYTES: usize = 8_192;

/// Answers one after the other.
pub(crate) async fn serve(listener: TcpListener, of: Admin) {
    loop {
        match listener.accept().await {
            // Whoever goes away, or takes too long, has no answer.
            Ok((mut asker, _)) => drop(timeout(PATIENCE * 2, answer(&mut asker, &of)).await),
            // Out of descriptors, for a moment.
            Err(_) => sleep(PATIENCE).await,
        }
    }
}

async fn answer(asker: &mut TcpStream, of: &Admin) -> std::io::Result<()> {
    let request = request(asker).await?;
    let answer = if !request.starts_with(PATH.as_bytes()) {
        refusal("404 Not Found", "there is only GET /metrics")
    } else {
        match admin(of, "GET", ASKED).await {
            // As it is, head and all.
            Ok(told) => told,
            Err(error) => refusal("503 Service Unavailable", &format!("{error:#}")),
        }
    };
    asker.write_all(answer.as_bytes()).await?;
    asker.shutdown().await
}

/// All of its head: one who is answered before would be cut off.
async fn request(asker: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") && read.len() < REQUEST_BYTES {
        if asker.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    Ok(read)
}

fn refusal(status: &str, why: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{why}",
        why.len()
    )
}
