//! The order service's answers to checkouts, from the queue `basket-settle`. Each checkout gets one;
//! it may come twice, late, or for a checkout that is over, and then changes nothing.

use shared::contract::order::{OrderFailed, OrderPlaced};
use shared::contract::{Delivery, Envelope};
use shared::ids::OrderId;
use shared::queue::Outcome;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::clock;
use crate::events;
use crate::store::{Answered, Store, StoreError};

/// Stores the answers.
#[derive(Clone)]
pub struct Settlement {
    /// The baskets.
    pub store: Store,
    /// Who waits for answers.
    pub notices: Notices,
}

/// Tells those who wait in this process that an answer came. One that is missed costs a second.
#[derive(Clone, Debug)]
pub struct Notices(broadcast::Sender<OrderId>);

/// Hears of answers from the moment it was made.
#[derive(Debug)]
pub struct Notice(broadcast::Receiver<OrderId>);

/// Answers that one who waits may lag behind.
const BACKLOG: usize = 256;

impl Settlement {
    /// Handles one message. Where this dies, the message comes again, and finds either the checkout
    /// still under way or nothing to do.
    pub async fn handle(&self, delivery: Delivery) -> Outcome {
        if let Some(event) = delivery.read::<OrderPlaced>() {
            return self
                .answer(event, async |placed: OrderPlaced| {
                    tracing::Span::current().record("order_id", placed.order_id.to_string());
                    let settled = self.store.settle(&placed.customer_id, placed.order_id, clock::now());
                    Ok((placed.order_id, settled.await?))
                })
                .await;
        }
        if let Some(event) = delivery.read::<OrderFailed>() {
            return self
                .answer(event, async |failed: OrderFailed| {
                    tracing::Span::current().record("order_id", failed.order_id.to_string());
                    let (order_id, lines) = (failed.order_id, events::returned(failed.lines));
                    let (customer, reason) = (&failed.customer_id, failed.reason);
                    let settled = self.store.give_back(customer, order_id, reason, lines, clock::now());
                    Ok((order_id, settled.await?))
                })
                .await;
        }
        tracing::error!(
            event = delivery.detail_type,
            source = delivery.source,
            "this event is not for this queue"
        );
        Outcome::Unreadable
    }

    async fn answer<T>(
        &self,
        event: serde_json::Result<Envelope<T>>,
        store: impl AsyncFnOnce(T) -> Result<(OrderId, Answered), StoreError>,
    ) -> Outcome {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(
                    error.line = error.line(),
                    error.column = error.column(),
                    "an answer cannot be read"
                );
                return Outcome::Unreadable;
            }
        };
        match store(event.data).await {
            Ok((order_id, Answered::Settled)) => {
                self.notices.tell(order_id);
                Outcome::Done
            }
            Ok((_, Answered::Nothing)) => Outcome::Done,
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "an answer could not be stored; it comes again");
                Outcome::Again
            }
        }
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Notices {
    /// Hears of every answer from now on.
    #[must_use]
    pub fn listen(&self) -> Notice {
        Notice(self.0.subscribe())
    }

    fn tell(&self, order_id: OrderId) {
        // The error says that nobody waits.
        let _ = self.0.send(order_id);
    }
}

impl Notice {
    /// Returns when that checkout may have been answered.
    pub async fn of(&mut self, order_id: OrderId) {
        loop {
            match self.0.recv().await {
                Ok(answered) if answered != order_id => {}
                // It may have been among those that were missed.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
