//! `cargo local reconcile`, and the same for tests: asks the order service to hold stock, reservations, orders,
//! checkouts and payments against each other, and reads the answer line by line as it comes. What is compared, and how,
//! is the order service's (`order-service/src/reconcile.rs`).

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::TryStreamExt;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::io::StreamReader;

/// Where the order service does it, behind the gateway.
pub const PATH: &str = "/v1/orders/admin/reconciliation";
/// Lines come at least every second or so; a stream that says nothing for this long is broken.
const SAYS_SOMETHING_WITHIN: Duration = Duration::from_secs(60);
/// Differences that a [`Report`] keeps. All are counted, and shown as they come.
const KEPT: usize = 1_000;

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How far it is.
    Progress(Progress),
    /// A difference.
    Drift(Drift),
    /// The end.
    Summary(Summary),
}

/// What has been looked at so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being read.
    pub phase: String,
    #[expect(missing_docs, reason = "as Summary's")]
    #[serde(flatten)]
    pub counts: Counts,
    /// Differences that may be ones, and are to be looked at again.
    #[serde(default)]
    pub suspicions: u64,
}

/// How many of each were looked at, and how many differences were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Orders.
    pub orders: u64,
    /// Reservations.
    pub reservations: u64,
    /// Payments at the provider.
    pub payments: u64,
    /// Checkouts under way.
    pub checkouts: u64,
    /// Products' stocks.
    pub products: u64,
    /// Differences.
    pub drifts: u64,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Which one, such as `payment_without_order`.
    pub kind: String,
    /// Of this order, if of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Of this product, if of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// In words.
    pub detail: String,
}

/// The last line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    #[expect(missing_docs, reason = "documented where it is defined")]
    #[serde(flatten)]
    pub counts: Counts,
    /// Parts that this deployment cannot compare, such as `checkouts`.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Whether everything was looked at, and decided.
    pub complete: bool,
    /// Why not.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What came of a reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The first differences, a thousand at most.
    pub drifts: Vec<Drift>,
    /// The last line: all of them are counted there.
    pub summary: Summary,
}

impl Report {
    /// Whether everything was looked at and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.summary.complete && self.summary.counts.drifts == 0
    }
}

/// Reconciles the system behind `gateway` (`http://host:port`) as an administrator; `progress` is told each line as it
/// comes. A drift is no error here, nor is a run that could not be completed: the report says so.
///
/// # Errors
///
/// The gateway refuses (not an administrator's token; another reconciliation is running: 429), or the answer breaks off
/// before its last line.
pub async fn run(gateway: &str, admin_token: &str, mut progress: impl FnMut(&Line)) -> anyhow::Result<Report> {
    let http = http()?;
    let answer = http
        .get(format!("{gateway}{PATH}"))
        .bearer_auth(admin_token)
        .send()
        .await;
    let answer = answer.with_context(|| format!("{gateway} does not answer"))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => bail!("another reconciliation is running: there is one at a time"),
        status => bail!(
            "{gateway}{PATH} answers {status}: {}",
            answer.text().await.unwrap_or_default()
        ),
    }
    let body = StreamReader::new(answer.bytes_stream().map_err(std::io::Error::other));
    let mut lines = BufReader::new(body).lines();
    let mut report = Report::default();
    let mut ended = false;
    while let Some(text) = lines.next_line().await.context("the answer broke off")? {
        let line: Line = serde_json::from_str(&text).with_context(|| format!("cannot read the line {text}"))?;
        progress(&line);
        match line {
            Line::Progress(_) => {}
            Line::Drift(drift) if report.drifts.len() < KEPT => report.drifts.push(drift),
            Line::Drift(_) => {}
            Line::Summary(summary) => {
                report.summary = summary;
                ended = true;
            }
        }
    }
    ensure!(ended, "the answer broke off before its last line");
    Ok(report)
}

/// A client without a bound on the whole answer, which takes as long as the tables are large.
#[expect(
    clippy::disallowed_methods,
    reason = "plain HTTP to loopback, outside of any service: no deadlines, traces or faults to share"
)]
fn http() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(SAYS_SOMETHING_WITHIN)
        .build()?)
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(order) = &self.order_id {
            write!(f, " order {order}")?;
        }
        if let Some(product) = &self.product_id {
            write!(f, " product {product}")?;
        }
        write!(
            f,
            ": expected {}, found {} ({})",
            self.expected, self.found, self.detail
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            orders,
            reservations,
            payments,
            checkouts,
            products,
            drifts: _,
        } = self;
        write!(
            f,
            "{orders} orders, {reservations} reservations, {payments} payments, {checkouts} checkouts under way, \
             {products} products"
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match (self.counts.drifts, self.complete) {
            (0, true) => "clean".to_owned(),
            (0, false) => "no difference so far".to_owned(),
            (1, _) => "1 difference".to_owned(),
            (many, _) => format!("{many} differences"),
        };
        write!(f, "{found}: {}", self.counts)?;
        if !self.left_out.is_empty() {
            write!(f, "; not compared: {}", self.left_out.join(", "))?;
        }
        if !self.complete {
            let reason = self.reason.as_deref().unwrap_or("no reason was given");
            write!(f, "; not complete: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_service_writes_them() {
        let progress = r#"{"progress":{"phase":"orders","orders":1,"reservations":2,"payments":3,"checkouts":0,"products":0,"drifts":0,"suspicions":4}}"#;
        let Line::Progress(progress) = serde_json::from_str(progress).unwrap() else {
            unreachable!()
        };
        assert_eq!((progress.counts.payments, progress.suspicions), (3, 4));
        let summary = r#"{"summary":{"orders":1,"reservations":2,"payments":3,"checkouts":0,"products":5,"drifts":1,"complete":false,"reason":"why","later":1}}"#;
        let Line::Summary(summary) = serde_json::from_str(summary).unwrap() else {
            unreachable!()
        };
        assert_eq!(
            summary.to_string(),
            "1 difference: 1 orders, 2 reservations, 3 payments, 0 checkouts under way, 5 products; not complete: why"
        );
        let drift = r#"{"drift":{"kind":"k","order_id":"o","expected":"a","found":"b","detail":"c"}}"#;
        let Line::Drift(drift) = serde_json::from_str(drift).unwrap() else {
            unreachable!()
        };
        assert_eq!(drift.to_string(), "k order o: expected a, found b (c)");
    }
}
