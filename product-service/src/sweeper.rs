//! What was left behind: events that were not published, holds whose time is over.
//!
//! Dying at any line leaves an item due, at the latest when its lease ends; whatever is done to it
//! twice changes nothing.

use jiff::Timestamp;
use shared::due::{self, Pause, Swept};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::relay::Relay;
use crate::store::{Due, Lease, Left, Store, StoreError};

/// Items of one look at a shard.
const BATCH: u8 = 25;
/// Tries, the last ones a quarter of an hour apart: a day.
const MOST_ATTEMPTS: u32 = 100;

/// Why an item is still due.
#[derive(Debug, Error)]
enum Unfinished {
    #[error("its events were not published, or not forgotten")]
    Untold,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Works off what is overdue.
#[derive(Clone, Debug)]
pub struct Sweeper {
    store: Store,
    relay: Relay,
}

impl Sweeper {
    /// Of that table.
    #[must_use]
    pub fn new(store: Store, relay: Relay) -> Self {
        Self { store, relay }
    }

    /// Sweeps every shard, with that pause between, until `stop`.
    pub async fn run(self, pause: Pause, stop: CancellationToken) {
        due::sweep("products", pause, stop, |shard| self.clone().sweep(shard)).await;
    }

    async fn sweep(self, shard: u8) -> Result<Swept, StoreError> {
        let due = self.store.due(shard, Timestamp::now(), BATCH).await?;
        let full = due.len() >= usize::from(BATCH);
        for one in due {
            self.work_off(one).await?;
        }
        Ok(if full { Swept::FullBatch } else { Swept::Everything })
    }

    async fn work_off(&self, due: Due) -> Result<(), StoreError> {
        let Some((lease, left)) = self.store.lease(due, Timestamp::now()).await? else {
            return Ok(());
        };
        let Err(error) = self.finish(left).await else {
            return Ok(());
        };
        log(&lease, &error);
        if lease.attempts >= MOST_ATTEMPTS {
            self.store.park(lease, Timestamp::now()).await?;
            metrics::parked();
            Ok(())
        } else {
            self.store.put_off(lease, Timestamp::now()).await
        }
    }

    async fn finish(&self, left: Result<Left, StoreError>) -> Result<(), Unfinished> {
        let left = left?;
        let mut outbox = left.outbox;
        if let Some(order_id) = left.expired
            && let Some(own) = self.store.expire(order_id, Timestamp::now()).await?
        {
            tracing::info!(%order_id, "a hold expired and was given back");
            metrics::expired();
            // With what had waited before.
            outbox = own;
        }
        if self.relay.tell(outbox).await {
            Ok(())
        } else {
            Err(Unfinished::Untold)
        }
    }
}

fn log(lease: &Lease, unfinished: &Unfinished) {
    let error: &(dyn std::error::Error + 'static) = unfinished;
    let (item, attempts) = (lease.item(), lease.attempts);
    if attempts >= MOST_ATTEMPTS {
        tracing::error!(item, attempts, error, "parked: it was tried too often");
        return;
    }
    match unfinished {
        // Whoever could not publish it, or forget it, has told why.
        Unfinished::Untold => tracing::debug!(item, attempts, error, "what is left to do failed; it is tried again"),
        Unfinished::Store(_) => tracing::warn!(item, attempts, error, "what is left to do failed; it is tried again"),
    }
}
