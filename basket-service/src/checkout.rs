//! Checking out: the basket is read, prices are asked for afresh, and one conditional update freezes
//! all of it together with the event that asks for an order.
//!
//! Where this dies: before the update, nothing has happened. After it, the checkout stands, its event
//! is due, and the sweeper publishes it; a client that repeats its request finds its first answer.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared::ids::{CustomerId, OrderId};
use shared::money::Currency;
use shared::outbox::Publisher;
use shared::trace;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clients::product::{ProductClient, Unavailable};
use crate::clock;
use crate::domain::{
    Basket, BasketId, Checkout, CheckoutRefused, CheckoutRequest, EventIdentity, Moment, Offer, Outcome, Priced,
    Standing,
};
use crate::events;
use crate::settle::Notices;
use crate::store::{Repeat, SaveError, Store, StoreError, pause};

/// Checks baskets out.
#[derive(Clone)]
pub struct Checkouts {
    /// The baskets.
    pub store: Store,
    /// What things cost.
    pub products: ProductClient,
    /// Who is told.
    pub publisher: Publisher,
    /// What prices are in.
    pub currency: Currency,
    /// How long prices hold.
    pub valid: SignedDuration,
    /// After what time without an answer the sweeper asks again.
    pub retry: SignedDuration,
    /// Tells when an answer came.
    pub notices: Notices,
    /// Ends waiting.
    pub stop: CancellationToken,
}

/// A checkout, and whether this very request made it.
#[derive(Clone, Debug)]
pub struct CheckedOut {
    /// What is answered.
    pub checkout: Checkout,
    /// Whether an earlier request with the same key did.
    pub replayed: bool,
}

/// Where a checkout stands.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What was answered.
    pub checkout: Checkout,
    /// The order service's answer, with its time; none while it is awaited.
    pub outcome: Option<(Outcome, Timestamp)>,
}

/// Why nothing was checked out.
#[derive(Debug, Error)]
pub enum CheckoutError {
    /// The basket, or what its products cost, does not allow it.
    #[error("the checkout was refused")]
    Refused(#[from] CheckoutRefused),
    /// Nobody knows what the products cost.
    #[error("the products' prices are not known")]
    Products(#[from] Unavailable),
    /// The table. It is not known whether the checkout was stored: the same request again tells.
    #[error("the checkout could not be stored")]
    Store(#[from] StoreError),
    /// Others keep changing the basket.
    #[error("the basket keeps changing")]
    Contended,
}

/// How often a checkout begins again because its basket changed under it.
const TRIES: u32 = 6;
/// Another replica's answer is seen this late at most, by whoever waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Checkouts {
    /// Checks the customer's basket out, or finds that this has been asked for before. 2 round trips:
    /// 1 RCU for each 4 KB, 1 WCU for each KB and 1 for the index; a refusal or a replay 1 round trip.
    ///
    /// # Errors
    /// See [`CheckoutError`].
    pub async fn check_out(
        &self,
        customer: &CustomerId,
        request: CheckoutRequest,
    ) -> Result<CheckedOut, CheckoutError> {
        let event = EventIdentity {
            id: Uuid::now_v7(),
            traceparent: trace::current_traceparent(),
            causation_id: trace::current_trace_id(),
        };
        let id = BasketId::Customer(customer.clone());
        let mut stored = self.store.read(&id).await?;
        for tries in 0..TRIES {
            let now = clock::now();
            let basket = stored
                .clone()
                .and_then(|stored| stored.at(now))
                .unwrap_or(Basket::fresh(id.clone()));
            let wanted = match basket.standing(request.order_id, request.body)? {
                Standing::Repeated(repeated) => {
                    // Our own write may have arrived and its answer been lost on the way.
                    let ours = repeated.event_id == Some(event.id);
                    if ours {
                        self.publish(customer, &basket).await;
                    }
                    return Ok(CheckedOut {
                        checkout: repeated.checkout,
                        replayed: !ours,
                    });
                }
                Standing::New(wanted) => wanted,
            };
            let products = self.products.fresh(wanted.keys().copied()).await?;
            let offers = products
                .iter()
                .map(|(id, product)| (*id, Offer::from(product)))
                .collect();
            let priced = Priced::of(&wanted, &offers, self.currency, request.expected_total)?;
            let after = basket.checked_out(customer, &request, priced, self.moment(now, event.clone()));
            match self.store.save(stored.as_ref(), after, Repeat::Unanswered).await {
                Ok(after) => {
                    self.publish(customer, &after).await;
                    if let Some(checkout) = after.checkout(request.order_id) {
                        return Ok(CheckedOut {
                            checkout: checkout.clone(),
                            replayed: false,
                        });
                    }
                }
                Err(SaveError::Changed(current)) => {
                    stored = Some(*current).filter(|current| current.version > 0);
                    pause(tries).await;
                }
                Err(SaveError::Store(error)) => return Err(error.into()),
            }
        }
        Err(CheckoutError::Contended)
    }

    fn moment(&self, now: Timestamp, event: EventIdentity) -> Moment {
        Moment {
            now,
            valid_until: now.saturating_add(self.valid).unwrap_or(Timestamp::MAX),
            due_at: now.saturating_add(self.retry).unwrap_or(Timestamp::MAX),
            event,
        }
    }

    /// Asks for the order at once. What is not published now is due, and the sweeper's to do.
    async fn publish(&self, customer: &CustomerId, basket: &Basket) {
        let Some(under_way) = &basket.under_way else { return };
        match events::checkout_requested(customer, under_way) {
            Ok(entry) => {
                self.publisher.publish(&[entry]).await;
            }
            Err(error) => tracing::error!(error = %error, "an event cannot be written down"),
        }
    }

    /// Where a checkout of the customer's basket stands; none where there is no such checkout. While
    /// it awaits its answer, this waits for that as long as `wait` says. 1 round trip and 1 RCU for
    /// each 4 KB, and as much again for each second of waiting.
    ///
    /// # Errors
    /// The table does not answer.
    pub async fn progress(
        &self,
        customer: &CustomerId,
        order_id: OrderId,
        wait: Duration,
    ) -> Result<Option<Progress>, StoreError> {
        let deadline = Instant::now() + wait;
        // From before the first look, so that no answer comes in between unseen.
        let mut notice = self.notices.listen();
        loop {
            let progress = self.look(customer, order_id).await?;
            let awaited = progress.as_ref().is_some_and(|progress| progress.outcome.is_none());
            let now = Instant::now();
            if !awaited || now >= deadline {
                return Ok(progress);
            }
            tokio::select! {
                _ = timeout_at(deadline.min(now + LOOK_EVERY), notice.of(order_id)) => {}
                () = self.stop.cancelled() => return Ok(progress),
            }
        }
    }

    async fn look(&self, customer: &CustomerId, order_id: OrderId) -> Result<Option<Progress>, StoreError> {
        let id = BasketId::Customer(customer.clone());
        let basket = self.store.read(&id).await?.and_then(|stored| stored.at(clock::now()));
        Ok(basket.and_then(|basket| progress(&basket, order_id)))
    }
}

fn progress(basket: &Basket, order_id: OrderId) -> Option<Progress> {
    let checkout = basket.checkout(order_id)?.clone();
    let settled = basket
        .settled
        .iter()
        .find(|settled| settled.checkout.order_id == order_id);
    let outcome = settled.map(|settled| (settled.outcome, settled.at));
    Some(Progress { checkout, outcome })
}
