//! What is overdue in this table, and the lease under which a sweeper works on it.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use shared::ids::OrderId;

use super::outbox::{Outbox, Place};
use super::record::{self, Key};
use super::write::{Item, NotWritten, Write};
use super::{Store, StoreError, millis_after};
use crate::domain::reservation::State;

/// An item with something left to do.
#[derive(Clone, Debug)]
pub struct Due {
    key: Key,
    due_at: i64,
}

/// An item on which nobody else works for a while.
#[derive(Debug)]
pub struct Lease {
    /// How often it was leased since it was last well.
    pub attempts: u32,
    due: Due,
}

/// What is left to do with an item.
#[derive(Debug)]
pub struct Left {
    /// Events to be published.
    pub outbox: Option<Outbox>,
    /// A hold whose time is over.
    pub expired: Option<OrderId>,
}

/// The pause after the first try that failed; it doubles with each.
const FIRST_PAUSE_MS: i64 = 1000;
/// The longest pause between two tries.
const LONGEST_PAUSE_MS: i64 = 15 * 60 * 1000;

impl Store {
    /// What was due in a shard by now, the oldest first, `most` at most.
    ///
    /// One round trip; 0.5 RCU where nothing is.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn due(&self, shard: u8, now: Timestamp, most: u8) -> Result<Vec<Due>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(record::DUE)
            .key_condition_expression("#due_shard = :shard AND #due_at <= :now")
            .expression_attribute_names("#due_shard", "due_shard")
            .expression_attribute_names("#due_at", "due_at")
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_millisecond().to_string()))
            .limit(most.into())
            .send()
            .await?;
        let mut due = Vec::new();
        for entry in answer.items.unwrap_or_default() {
            match due_of(&entry) {
                Ok(one) => due.push(one),
                // Perhaps the next release's, which knows what to do with it.
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, "an item is due that this release does not know");
                }
            }
        }
        Ok(due)
    }

    /// Leases an item that is due, and says what is left of it, or why that cannot be told. None if
    /// somebody else works on it, or it is not there any more.
    ///
    /// One round trip; the WCU of the item and 2.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn lease(
        &self,
        due: Due,
        now: Timestamp,
    ) -> Result<Option<(Lease, Result<Left, StoreError>)>, StoreError> {
        let until = millis_after(now, self.timing.sweep_lease);
        let write = Write::update(
            due.key.item(),
            "SET #due_at = :until, #attempts = if_not_exists(#attempts, :none) + :one",
        )
        .when("#due_at = :was")
        .number("was", due.due_at)
        .number("until", until)
        .number("none", 0)
        .number("one", 1);
        let item = match self.update(write).await {
            Ok(item) => item,
            Err(NotWritten::Refused(_)) => return Ok(None),
            Err(NotWritten::Failed(error)) => return Err(error),
        };
        let attempts = number(&item, "attempts")
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1);
        let due = Due { due_at: until, ..due };
        let left = left_to_do(&due.key, item, now);
        Ok(Some((Lease { attempts, due }, left)))
    }

    /// Puts off what could not be done: twice as long each time, a quarter of an hour at most.
    ///
    /// One round trip, as [`Store::lease`].
    ///
    /// # Errors
    /// The table does not answer; the item is due again when its lease ends.
    pub async fn put_off(&self, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << lease.attempts.clamp(1, 11).saturating_sub(1));
        let write = Write::update(lease.due.key.item(), "SET #due_at = :next")
            .when("#due_at = :was")
            .number("was", lease.due.due_at)
            .number("next", now.as_millisecond().saturating_add(pause.min(LONGEST_PAUSE_MS)));
        self.unless_others_did(write).await
    }

    /// Takes an item out of `due` for a person to look at: it was tried too often. What is left of it
    /// stays with it.
    ///
    /// One round trip, as [`Store::lease`].
    ///
    /// # Errors
    /// The table does not answer; the item is due again when its lease ends.
    pub async fn park(&self, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
        let write = Write::update(lease.due.key.item(), "SET #parked_at = :now REMOVE #due_shard, #due_at")
            .when("#due_at = :was")
            .number("was", lease.due.due_at)
            .text("now", now.to_string());
        self.unless_others_did(write).await
    }

    async fn unless_others_did(&self, write: Write) -> Result<(), StoreError> {
        match self.update(write).await {
            Ok(_) | Err(NotWritten::Refused(_)) => Ok(()),
            Err(NotWritten::Failed(error)) => Err(error),
        }
    }
}

impl Lease {
    /// Names the item in logs.
    #[must_use]
    pub fn item(&self) -> String {
        self.due.key.pk()
    }
}

fn due_of(entry: &Item) -> Result<Due, StoreError> {
    let due_at = number(entry, "due_at").ok_or_else(|| StoreError::fault("an entry of `due` without a time"))?;
    Ok(Due {
        key: Key::of(entry)?,
        due_at,
    })
}

fn left_to_do(key: &Key, item: Item, now: Timestamp) -> Result<Left, StoreError> {
    match key {
        Key::Outbox(id) => {
            let entries = record::outbox::read(&item)?;
            Ok(Left {
                outbox: Outbox::of(Place::Product(*id), entries),
                expired: None,
            })
        }
        Key::Reservation(order_id) => {
            let stored = record::reservation::read(item)?;
            let reservation = stored.reservation;
            let held = reservation.state == State::Held;
            let place = Place::Reservation {
                order_id: *order_id,
                held_until: reservation.expires_at.filter(|_| held),
            };
            let expired = held && reservation.expires_at <= Some(now);
            Ok(Left {
                outbox: Outbox::of(place, stored.waiting),
                expired: expired.then_some(*order_id),
            })
        }
        Key::Document(_) | Key::Stock(_) => Err(StoreError::fault("a document or a stock is never due")),
    }
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}
