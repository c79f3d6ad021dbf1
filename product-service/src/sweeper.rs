//! What was left behind: events that were not published, holds whose time is over.
//!
//! Dying at any line leaves an item due, at the latest when its lease ends; whatever is done to it
//! twice changes nothing.

use std::time::Duration;

use jiff::Timestamp;
use shared::due::{self, Swept};
use tokio_util::sync::CancellationToken;

use crate::relay::Relay;
use crate::store::{Due, Store, StoreError};

/// Items of one look at a shard.
const BATCH: u8 = 25;
/// Tries, the last ones a quarter of an hour apart: a day.
const MOST_ATTEMPTS: u32 = 100;

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
    pub async fn run(self, pause: Duration, stop: CancellationToken) {
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
        let Some(mut lease) = self.store.lease(due, Timestamp::now()).await? else {
            return Ok(());
        };
        let mut done = true;
        if let Some(order_id) = lease.expired {
            match self.store.expire(order_id, Timestamp::now()).await {
                Ok(Some(outbox)) => {
                    tracing::info!(%order_id, "a hold expired and was given back");
                    // It told with its own what had waited before.
                    lease.outbox = outbox;
                }
                Ok(None) => {}
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(%order_id, error, "an expired hold was not given back; it is tried again");
                    done = false;
                }
            }
        }
        done &= self.relay.tell(lease.outbox.take()).await;
        if done {
            Ok(())
        } else if lease.attempts >= MOST_ATTEMPTS {
            tracing::error!(
                item = lease.item(),
                attempts = lease.attempts,
                "parked: it was tried too often"
            );
            self.store.park(lease, Timestamp::now()).await
        } else {
            self.store.put_off(lease, Timestamp::now()).await
        }
    }
}
