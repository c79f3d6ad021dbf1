//! Stock counted, adjusted, held, sold and given back: written, then told.

use jiff::Timestamp;
use shared::ids::{OrderId, ProductId};

use crate::domain::adjustment::Adjustment;
use crate::domain::reservation::{Lines, Reservation};
use crate::domain::stock::{OnHand, Stock};
use crate::metrics;
use crate::relay::Relay;
use crate::store::{AdjustError, CountError, Expected, HeldBefore, HoldError, StepError, Store, StoreError};

/// The stock and its changes. What each costs stands with the store's function of that name; telling
/// that a product is sold out, or is there again, costs one round trip more.
#[derive(Clone, Debug)]
pub struct Inventory {
    store: Store,
    relay: Relay,
}

impl Inventory {
    /// Over that table.
    #[must_use]
    pub fn new(store: Store, relay: Relay) -> Self {
        Self { store, relay }
    }

    /// Sets what lies in stock.
    ///
    /// # Errors
    /// See [`CountError`].
    pub async fn count(
        &self,
        id: ProductId,
        on_hand: OnHand,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Stock, CountError> {
        let (stock, outbox) = self.store.count(id, on_hand, expected, now).await?;
        self.relay.tell(outbox).await;
        Ok(stock)
    }

    /// Changes what lies in stock by a delta, once for each key.
    ///
    /// # Errors
    /// See [`AdjustError`].
    pub async fn adjust(&self, id: ProductId, adjustment: &Adjustment, now: Timestamp) -> Result<Stock, AdjustError> {
        let (stock, outbox) = self.store.adjust(id, adjustment, now).await?;
        self.relay.tell(outbox).await;
        Ok(stock)
    }

    /// Holds stock for all lines until then, or for none.
    ///
    /// # Errors
    /// See [`HoldError`].
    pub async fn hold(
        &self,
        order_id: OrderId,
        lines: &Lines,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(Reservation, HeldBefore), HoldError> {
        let outcome = match self.store.hold(order_id, lines, until, now).await {
            Ok((reservation, held_before, outbox)) => {
                self.relay.tell(outbox).await;
                Ok((reservation, held_before))
            }
            Err(refused) => Err(refused),
        };
        metrics::held(&outcome);
        outcome
    }

    /// Makes a hold a sale.
    ///
    /// # Errors
    /// See [`StepError`].
    pub async fn commit(&self, order_id: OrderId, now: Timestamp) -> Result<Reservation, StepError> {
        let (reservation, change) = self.store.commit(order_id, now).await?;
        metrics::sold(change);
        Ok(reservation)
    }

    /// Gives back whatever the order holds or has bought.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn release(&self, order_id: OrderId, now: Timestamp) -> Result<Reservation, StoreError> {
        let (reservation, change, outbox) = self.store.release(order_id, now).await?;
        metrics::released(change);
        self.relay.tell(outbox).await;
        Ok(reservation)
    }
}
