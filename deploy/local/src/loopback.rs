//! Ports and plain HTTP on 127.0.0.1, where everything of a local system listens.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::CONNECTION;
use tokio::time::{Instant, sleep};

/// How often a condition that is waited for is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A port that nobody listens on at the moment.
///
/// Another process may take it before it is used: whoever starts something on it tries again with another.
///
/// # Errors
///
/// When the machine has none left.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Whether a server could listen on `port` now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// An HTTP client for servers of this system, which answer at once or not at all.
///
/// # Errors
///
/// When the TLS roots that it will not use cannot be loaded.
#[expect(
    clippy::disallowed_methods,
    reason = "plain HTTP to loopback, outside of any service: no deadlines, traces or faults to share"
)]
pub fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
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
