//! What was written and is still to be told.

use jiff::Timestamp;
use shared::contract::Entry;
use shared::ids::{OrderId, ProductId};

use super::record;
use super::write::NotWritten;
use super::{Store, StoreError, millis_after};

/// Events that were stored with the state they tell of. They are published by whoever made them, or
/// by the sweeper.
#[derive(Clone, Debug)]
#[must_use = "what nobody publishes waits for the sweeper"]
pub struct Outbox {
    /// With which item they wait.
    pub place: Place,
    /// In the order in which they happened; never none.
    pub entries: Vec<Entry>,
}

/// With which item events wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The product's outbox.
    Product(ProductId),
    /// The reservation that emptied stock or filled it again.
    Reservation {
        /// Of this order.
        order_id: OrderId,
        /// When it is to be looked at again, if it is held.
        held_until: Option<Timestamp>,
    },
}

impl Outbox {
    /// None where there is nothing to tell.
    pub(super) fn of(place: Place, entries: Vec<Entry>) -> Option<Self> {
        (!entries.is_empty()).then_some(Self { place, entries })
    }
}

impl Store {
    /// Forgets events that the bus has taken. Where others have joined them meanwhile, all of them
    /// stay: the sweeper publishes them, these a second time.
    ///
    /// One round trip; 2 WCU of an outbox (the item and its entry in `due`), those of its size and
    /// 2 or 1 of a reservation.
    ///
    /// # Errors
    /// The table does not answer; the events are published once more, then.
    pub async fn forget(&self, outbox: &Outbox) -> Result<(), StoreError> {
        match outbox.place {
            Place::Product(id) => {
                let write = record::outbox::clear(id, &outbox.entries);
                self.delete(write).await.map(|_cleared| ())
            }
            Place::Reservation { order_id, held_until } => {
                let write = record::reservation::clear(order_id, &outbox.entries, held_until);
                match self.update(write).await {
                    Ok(_) | Err(NotWritten::Refused(_)) => Ok(()),
                    Err(NotWritten::Failed(error)) => Err(error),
                }
            }
        }
    }

    /// When the sweeper takes over what is written now, in milliseconds since 1970.
    pub(super) fn due_at(&self, now: Timestamp) -> i64 {
        millis_after(now, self.timing.outbox_due)
    }
}
