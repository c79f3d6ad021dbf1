//! Asking again for orders whose answer has not come: the event was not published, or lost on its
//! way, or the answer was. It goes on, ever slower, until the answer comes; only the order service
//! ends a checkout, also one whose prices hold no longer.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use shared::due::Swept;
use shared::outbox::Publisher;

use crate::clock;
use crate::domain::{Basket, BasketId, UnderWay};
use crate::events;
use crate::store::{Store, StoreError};

/// Publishes again what is due.
#[derive(Clone)]
pub struct Sweeper {
    /// The baskets.
    pub store: Store,
    /// Who is told.
    pub publisher: Publisher,
    /// After what time the first repetition comes; doubled with each.
    pub retry: SignedDuration,
}

/// Baskets of one sweep of a shard: as many as one call publishes.
const BATCH: usize = 10;
/// Repetitions don't lie further apart, unless the first already does.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

impl Sweeper {
    /// Sweeps one shard. With nothing due 1 round trip and half an RCU.
    ///
    /// Where this dies: before a lease is stored, nothing has happened; after it, the checkout is due
    /// again when the lease ends.
    ///
    /// # Errors
    /// The table does not answer, or an item cannot be read.
    pub async fn shard(&self, shard: u8) -> Result<Swept, StoreError> {
        let now = clock::now();
        let due = self.store.due(shard, now, i32::try_from(BATCH).unwrap_or(1)).await?;
        let mut entries = Vec::new();
        for one in &due {
            match self.store.lease(one, |under_way| self.next(now, under_way)).await {
                Ok(Some(basket)) => entries.extend(entry(&basket, now)),
                Ok(None) => {}
                // One that cannot be read must not keep the others of its shard from being asked for.
                Err(StoreError::Corrupt(error)) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    stuck("unreadable");
                    tracing::error!(
                        error,
                        "a basket with a checkout under way cannot be read; it needs a person"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        // Whether the bus has them already is kept nowhere: a checkout is asked for until it is answered.
        self.publisher.publish_again(&entries).await;
        Ok(if due.len() < BATCH {
            Swept::Everything
        } else {
            Swept::FullBatch
        })
    }

    fn next(&self, now: Timestamp, under_way: &UnderWay) -> Timestamp {
        let longest = LONGEST.max(self.retry);
        let factor = 2_i32.saturating_pow(under_way.republished.saturating_add(1).min(20));
        let pause = self.retry.checked_mul(factor).unwrap_or(longest).min(longest);
        now.saturating_add(pause).unwrap_or(Timestamp::MAX)
    }
}

static STUCK: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("basket-service")
        .u64_counter("checkouts.stuck")
        .with_description("Looks at checkouts that do not end by themselves, by reason: overdue, unreadable")
        .build()
});

/// Somebody has to look.
fn stuck(reason: &'static str) {
    STUCK.add(1, &[KeyValue::new("reason", reason)]);
}

fn entry(basket: &Basket, now: Timestamp) -> Option<shared::contract::Entry> {
    let under_way = basket.under_way.as_ref()?;
    let BasketId::Customer(customer) = &basket.id else {
        return None;
    };
    let order_id = under_way.checkout.order_id;
    if now > under_way.valid_until {
        // The order service owes this answer.
        stuck("overdue");
        tracing::error!(
            order_id = %order_id,
            republished = under_way.republished,
            "a checkout is past its time and has no answer; it is asked for again"
        );
    } else {
        tracing::warn!(order_id = %order_id, republished = under_way.republished, "a checkout has no answer yet; it is asked for again");
    }
    match events::checkout_requested(customer, under_way) {
        Ok(entry) => Some(entry),
        Err(error) => {
            tracing::error!(order_id = %order_id, error = %error, "an event cannot be written down");
            None
        }
    }
}
