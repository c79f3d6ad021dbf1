//! Reconciliation: holds stock, reservations, orders, checkouts under way and payments against each
//! other and names every difference. What has to agree is `domain::reconciliation`'s; here is how it is
//! read, so that tables of any size are, while the system works.
//!
//! # Memory
//!
//! It does not grow with the tables. Each list is read page by page (100 entries), and what each page's
//! entries are compared with is looked up for that page, by ids: orders for payments, reservations and
//! checkouts; reservations for orders. Two questions cannot be asked so, for want of an answer by id that
//! costs little: whether each order's payment is known to the provider (one call for each order, where
//! its list gives a hundred in one), and how much of a product is held in sum. There both lists go into a
//! [`Sketch`] of fixed size, and only what is in buckets that differ is looked at one by one. What is kept
//! beside are suspicions, 500 at most before they are looked at, and the hashes of the first 10,000
//! differences, so that none is named twice.
//!
//! # What is under way is no difference
//!
//! Lists are read one after the other, some eventually consistent, while orders come and go; so what does
//! not agree is a suspicion first. After a second it is read again, strongly. An order is read before and
//! after its reservation and its payment, and the three are compared only if it did not change in between:
//! every effect is done before the state that tells of it is stored, and the table in
//! `domain::reconciliation` allows for the effects of the state it is in. A product's reserved pieces count
//! as different only if, several times over, the stock stood still while the same orders held it, and each
//! time as much was missing. What never stands still long enough is counted, not named, and the run is then
//! not complete.
//!
//! An order that is younger than the run is compared with its reservation, and with its payment from the
//! payment's side; that its payment exists at all is the next run's to say.
//!
//! # What it costs, for each 1,000 orders with a reservation and a payment
//!
//! | where | calls | units |
//! | --- | --- | --- |
//! | `orders` | 30 (a scan's page, two batches of 100) | 1,125-1,500 RCU, of orders of 1-4 KB; a second scan (125-500) where a payment is missing or moved |
//! | `products` | 10 batches, 2 scans of the whole table | 1,000 RCU, and 1 RCU for each 4 KB of the table, twice |
//! | `baskets` | 1 page of those under way | 0.5 RCU for each |
//! | provider | 10 | |
//!
//! and for each suspicion 3 RCU and a call of the provider. `data.md` keeps scans off every request's path;
//! this one request is an operator's, runs once at a time in a process, and paces itself: 50 pages a second
//! at most of our own (5,000 orders, 625-2,500 RCU a second), 25 calls a second of the provider's, of which
//! Stripe allows 100, and 25 in test mode. It ends with the client that asked, or with the service.

mod again;
mod paced;
mod run;
mod suspicions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use serde::Serialize;
use shared::capacity::{Bill, units};
use shared::telemetry::chain;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use utoipa::ToSchema;

use self::run::{Run, Stop};
use crate::clients::basket::BasketClient;
use crate::clients::inventory::InventoryClient;
use crate::clients::payment::PaymentClient;
use crate::domain::reconciliation::Drift;
use crate::store::Store;

#[cfg(doc)]
use crate::domain::reconciliation::Sketch;

/// A line of the answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReconciliationLine)]
pub(crate) enum Line {
    /// How far it is; every so often.
    Progress(Progress),
    /// A difference.
    Drift(Drift),
    /// The last line.
    Summary(Summary),
}

/// How far it is.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = ReconciliationProgress)]
pub(crate) struct Progress {
    /// What is being read.
    pub(crate) phase: &'static str,
    /// Looked at so far.
    pub(crate) orders: u64,
    pub(crate) reservations: u64,
    pub(crate) payments: u64,
    pub(crate) checkouts: u64,
    pub(crate) products: u64,
    /// Named so far.
    pub(crate) drifts: u64,
    /// To be looked at again.
    pub(crate) suspicions: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = ReconciliationSummary)]
pub(crate) struct Summary {
    /// Looked at.
    pub(crate) orders: u64,
    pub(crate) reservations: u64,
    pub(crate) payments: u64,
    /// Of those under way.
    pub(crate) checkouts: u64,
    pub(crate) products: u64,
    /// Named.
    pub(crate) drifts: u64,
    /// What this deployment cannot compare: `checkouts` without `BASKET_SERVICE_URL`.
    pub(crate) left_out: Vec<&'static str>,
    /// Whether everything was looked at, and decided.
    pub(crate) complete: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Whom it reads from. One for the process.
pub(crate) struct Reconciliation {
    pub(crate) store: Store,
    pub(crate) inventory: InventoryClient,
    /// Without them checkouts are left out.
    pub(crate) baskets: Option<BasketClient>,
    pub(crate) payments: PaymentClient,
    /// Nothing goes on any more.
    pub(crate) stopping: CancellationToken,
    pub(crate) one: Arc<Semaphore>,
}

/// One is running in this process already.
#[derive(Debug, Error)]
#[error("a reconciliation is running already")]
pub(crate) struct AlreadyRunning;

/// Lines that wait to be sent; a reader who is slower than the tables slows the reading down.
const LINES: usize = 16;
/// Something is said at least so often: a reader, and what lies between, can tell that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Lines as they are made: whoever stops polling stops the run.
struct Lines {
    told: mpsc::Receiver<Line>,
    run: Option<Pin<Box<dyn Future<Output = ()>>>>,
    last: Progress,
}

impl Reconciliation {
    /// A place for one run at a time.
    pub(crate) fn one_at_a_time() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(1))
    }

    /// Begins to compare everything. It goes on while the stream is read, and ends when it is dropped.
    ///
    /// # Errors
    /// One is running already.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<impl Stream<Item = Line> + use<>, AlreadyRunning> {
        let place = Arc::clone(&self.one)
            .try_acquire_owned()
            .map_err(|_taken| AlreadyRunning)?;
        let (tell, told) = mpsc::channel(LINES);
        let reconciliation = Arc::clone(self);
        let bill = Bill::default();
        let run = async move {
            reconciliation.run(tell).await;
            drop(place);
        };
        let lines = Lines {
            told,
            run: Some(Box::pin(bill.scope(run).in_current_span())),
            last: Progress::default(),
        };
        Ok(stream::unfold(lines, |mut lines| async move {
            let line = lines.next().await?;
            if let Line::Progress(progress) = &line {
                lines.last = progress.clone();
            }
            Some((line, lines))
        }))
    }

    async fn run(&self, tell: mpsc::Sender<Line>) {
        let mut run = Run::on(self, tell.clone());
        let stopped = tokio::select! {
            done = run.everything() => done.err(),
            () = self.stopping.cancelled() => Some(Stop::Stopping),
        };
        if let Some(stop) = &stopped {
            tracing::warn!(error = chain(stop), "a reconciliation ended early");
        }
        let summary = run.summary(stopped);
        let consumed = Bill::current().consumed();
        tracing::info!(
            orders = summary.orders,
            drifts = summary.drifts,
            complete = summary.complete,
            read_units = units(consumed.milli_rcu),
            round_trips = consumed.round_trips,
            "reconciled"
        );
        // Nobody may be reading any more.
        let _ = tell.send(Line::Summary(summary)).await;
    }
}

impl Lines {
    async fn next(&mut self) -> Option<Line> {
        loop {
            let Some(run) = &mut self.run else {
                return self.told.recv().await;
            };
            tokio::select! {
                biased;
                line = self.told.recv() => return line,
                () = run => self.run = None,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Line::Progress(self.last.clone())),
            }
        }
    }
}
