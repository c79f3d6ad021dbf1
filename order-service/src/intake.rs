//! Taking checkouts in from the queue: any message that names an order becomes that order, possibly
//! one that has failed. A message is done with once its order is stored; the rest is due.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use shared::contract::checkout::{Acceptance, CheckoutRequested};
use shared::contract::order::FailureReason;
use shared::contract::{Delivery, Envelope, Event};
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId};
use shared::money::{Currency, Money};
use shared::queue::Outcome;
use shared::telemetry::chain;
use tracing::Span;

use crate::domain::order::Order;
use crate::domain::placing::{self, InvalidOrder, Placing};
use crate::domain::timeline::Actor;
use crate::events;
use crate::fulfil::{Fulfilment, now};
use crate::store::{Created, StoreError};

/// Takes checkouts in.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) fulfilment: Arc<Fulfilment>,
    pub(crate) currency: Currency,
    pub(crate) acceptance: Acceptance,
}

/// What a checkout has to say at least, so that it can be answered.
#[derive(Deserialize)]
struct Named {
    order_id: OrderId,
    customer_id: CustomerId,
    #[serde(default)]
    fingerprint: Value,
}

impl Intake {
    /// What becomes of one message. Where this dies the message comes again, and finds its order.
    pub(crate) async fn take(&self, delivery: Delivery) -> Outcome {
        let order = match delivery.read::<CheckoutRequested>() {
            Some(Ok(request)) => self.order_of(request),
            Some(Err(fault)) => match self.unacceptable(&delivery.detail, &fault) {
                Some(order) => order,
                None => {
                    tracing::error!("a checkout names no order");
                    return Outcome::Unreadable;
                }
            },
            None => {
                tracing::error!(
                    event = delivery.detail_type,
                    "this queue is for {} alone",
                    CheckoutRequested::NAME
                );
                return Outcome::Unreadable;
            }
        };
        Span::current().record("order_id", order.id.to_string());
        self.store(order, &delivery.detail).await.unwrap_or_else(|fault| {
            tracing::warn!(error = chain(&fault), "a checkout could not be stored; it comes again");
            Outcome::Again
        })
    }

    async fn store(&self, mut order: Order, request: &Envelope<Value>) -> Result<Outcome, StoreError> {
        let told = match self.fulfilment.create(&mut order).await? {
            Created::New => {
                self.fulfilment.begin(order).await;
                true
            }
            Created::Exists(there) if there.fingerprint != order.fingerprint => {
                match events::key_reused(&order, request) {
                    Ok(entry) => self.fulfilment.publish(&[entry]).await,
                    Err(fault) => {
                        tracing::error!(error = %fault, "an event cannot be written");
                        false
                    }
                }
            }
            // Whoever asks again may have missed the answer. Where there is none yet, it is coming.
            Created::Exists(there) => match &there.answer {
                Some(answer) => self.fulfilment.answer_again(&there, answer).await,
                None => true,
            },
        };
        Ok(if told { Outcome::Done } else { Outcome::Again })
    }

    /// The order that a checkout asks for; a failed one where no order may be like that, or it comes
    /// too late.
    fn order_of(&self, request: Envelope<CheckoutRequested>) -> Order {
        let now = now();
        let checkout = request.data;
        let placing = Placing {
            id: checkout.order_id,
            customer: checkout.customer_id,
            lines: checkout.lines,
            address: Some(checkout.shipping_address),
            token: checkout.payment_token,
            fingerprint: checkout.fingerprint,
            causation: request.id.to_string(),
        };
        if now > checkout.valid_until {
            let words = format!("the checkout was valid until {}", checkout.valid_until);
            return self.stillborn(placing, checkout.total, FailureReason::Expired, words);
        }
        let moment = self.fulfilment.moment(now, Actor::Customer);
        let placed = Order::place(placing.clone(), self.currency, self.acceptance, moment)
            .and_then(|order| claims(&order, checkout.total).map(|()| order));
        placed.unwrap_or_else(|fault| {
            tracing::error!(order_id = %placing.id, error = %fault, "a checkout asks for what no order may hold");
            self.stillborn(placing, checkout.total, FailureReason::Invalid, fault.to_string())
        })
    }

    /// A failed order of a body that cannot be read but says whose order it is. `None`: it does not.
    fn unacceptable(&self, request: &Envelope<Value>, fault: &serde_json::Error) -> Option<Order> {
        let named = Named::deserialize(&request.data).ok()?;
        // Not the fault's text: it can repeat what stood there, a card's number too.
        tracing::error!(order_id = %named.order_id, kind = ?fault.classify(), "a checkout cannot be read as a whole");
        let fingerprint = match named.fingerprint {
            Value::String(fingerprint) => Fingerprint::from(fingerprint),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Fingerprint::of(&[request.data.to_string().as_bytes()])
            }
        };
        let placing = Placing {
            id: named.order_id,
            customer: named.customer_id,
            lines: Vec::new(),
            address: None,
            token: None,
            fingerprint,
            causation: request.id.to_string(),
        };
        let words = "the checkout could not be read".to_owned();
        Some(self.stillborn(placing, Money::zero(self.currency), FailureReason::Invalid, words))
    }

    fn stillborn(&self, placing: Placing, total: Money, reason: FailureReason, words: String) -> Order {
        let moment = self.fulfilment.moment(now(), Actor::System);
        Order::stillborn(placing, total, reason, words, moment)
    }
}

/// The total that the customer agreed to has to be the sum of what they buy.
fn claims(order: &Order, total: Money) -> Result<(), InvalidOrder> {
    if order.total == total {
        Ok(())
    } else {
        Err(placing::InvalidOrder::TotalMismatch {
            sum: order.total,
            claimed: total,
        })
    }
}
