//! Telling what was stored: published at once, forgotten when the bus has it, and otherwise left to
//! the sweeper.

use futures_util::StreamExt;
use futures_util::stream;
use shared::outbox::Publisher;

use crate::store::{Outbox, Store};

/// From the table to the bus.
#[derive(Clone, Debug)]
pub struct Relay {
    store: Store,
    publisher: Publisher,
}

/// Outboxes that are cleared at the same time.
const CLEARED_AT_ONCE: usize = 16;

impl Relay {
    /// From that table to that bus.
    #[must_use]
    pub fn new(store: Store, publisher: Publisher) -> Self {
        Self { store, publisher }
    }

    /// Publishes and forgets. True if nothing is left; what is left, the sweeper publishes.
    ///
    /// Dying before the bus has them, or before they are forgotten, leaves them due: they are
    /// published then, perhaps a second time.
    pub async fn tell(&self, outboxes: impl IntoIterator<Item = Outbox>) -> bool {
        let outboxes: Vec<_> = outboxes.into_iter().collect();
        let entries: Vec<_> = outboxes.iter().flat_map(|outbox| outbox.entries.clone()).collect();
        if entries.is_empty() {
            return true;
        }
        let published = self.publisher.publish(&entries).await;
        let (told, untold): (Vec<_>, Vec<_>) = outboxes.into_iter().partition(|outbox| published.all(&outbox.entries));
        let forgotten = stream::iter(told)
            .map(|outbox| self.clone().forget(outbox))
            .buffer_unordered(CLEARED_AT_ONCE)
            .fold(true, |all, one| std::future::ready(all && one))
            .await;
        forgotten && untold.is_empty()
    }

    async fn forget(self, outbox: Outbox) -> bool {
        match self.store.forget(&outbox).await {
            Ok(()) => true,
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "published events were not forgotten; they are published again");
                false
            }
        }
    }
}
