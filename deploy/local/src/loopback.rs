//! Ports and plain HTTP on 127.0.0.1, where everything of a local system listens.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use reqwest::header::CONNECTION;
use tokio::time::{Instant, sleep};

/// How often a condition that is waited for is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Where ports are looked for: below those that systems give to outgoing connections (from 32768 on Linux, 49152 elsewhere),
/// of which one could take a part's port while that part is being started again.
const PORTS: Range<u16> = 10_000..32_768;
const TRIES: usize = 1_000;

/// A listener on a port that nobody had, and that this process has not been given before: it may be closed, and opened again
/// later by what the port is for.
///
/// # Errors
///
/// When none is found.
pub(crate) fn listen_anywhere() -> anyhow::Result<TcpListener> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..TRIES {
        let port = rand::random_range(PORTS);
        if given.contains(&port) {
            continue;
        }
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            given.insert(port);
            return Ok(listener);
        }
    }
    bail!("no free port between {} and {}", PORTS.start, PORTS.end)
}

/// A port that nobody listens on at the moment.
///
/// Another process may take it before it is used: whoever starts something on it tries again with another.
///
/// # Errors
///
/// When the machine has none left.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(listen_anywhere()?.local_addr()?.port())
}

/// Whether a server could listen on `port` now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// An HTTP client for servers of this system, which answer at once or not at all.
///
/// # Errors
///
/// When its TLS backend cannot be set up.
#[expect(
    clippy::disallowed_methods,
    reason = "plain HTTP to loopback, outside of any service: no deadlines, traces or faults to share"
)]
pub fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        // Loading the machine's certificates takes longer than most uses of this.
        .tls_certs_only([])
        .timeout(Duration::from_secs(30))
        .build()?)
}

/// Waits until `url` answers with a success.
///
/// `ended` is asked between two tries, and says why there is no use in waiting any longer.
///
/// # Errors
///
/// What `ended` says, or that `within` has passed, with the last answer.
pub async fn wait_for_success(
    http: &reqwest::Client,
    url: &str,
    within: Duration,
    mut ended: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        ended()?;
        let last = match http
            .get(url)
            .header(CONNECTION, "close")
            .timeout(Duration::from_secs(2))
            .send()
            .await
        {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) if error.is_timeout() => "no answer".to_owned(),
            Err(_) => "no connection".to_owned(),
        };
        if Instant::now() > deadline {
            bail!("{url} is not ready after {} s: {last}", within.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}
