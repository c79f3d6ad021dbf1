//! Taking checkouts in from the queue: any message that names an order becomes that order, possibly
//! one that has failed. A message is done with once its order is stored; the rest is due.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use shared::contract::checkout::{Acceptance, CheckoutRequested};
use shared::contract::order::FailureReason;
use shared::contract::{Delivery, Envelope, Fault};
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId};
use shared::money::{Currency, Money};
use shared::queue::{Outcome, Why};
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

/// A checkout, as far as it can be read.
enum Request {
    Whole(Box<Envelope<CheckoutRequested>>),
    Named(Named, Fault),
}

/// The order that a message asks for, and for operators what is wrong with that, which they hear of once it is stored:
/// until then the message comes again.
struct Asked {
    order: Order,
    fault: Option<String>,
}

/// What a checkout has to say at least, so that it can be answered.
#[derive(Deserialize)]
struct Named {
    order_id: OrderId,
    customer_id: CustomerId,
    #[serde(default)]
    fingerprint: Value,
}

/// Whether a message becomes an order, if only a failed one; for looking at dead letters.
pub(crate) fn readable(delivery: &Delivery) -> Result<(), Why> {
    read(delivery).map(|_request| ())
}

fn read(delivery: &Delivery) -> Result<Request, Why> {
    match delivery.read::<CheckoutRequested>() {
        Some(Ok(request)) => Ok(Request::Whole(Box::new(request))),
        Some(Err(fault)) => match Named::deserialize(&delivery.detail.data) {
            Ok(named) => Ok(Request::Named(named, fault)),
            // The first fault tells more than that the name is missing.
            Err(_nameless) => Err(fault.into()),
        },
        None => Err(Why::from("this queue is for CheckoutRequested alone")),
    }
}

impl Intake {
    /// What becomes of one message. Where this dies the message comes again, and finds its order.
    pub(crate) async fn take(&self, delivery: Delivery) -> Outcome {
        let asked = match read(&delivery) {
            Ok(Request::Whole(request)) => self.order_of(*request),
            Ok(Request::Named(named, fault)) => Asked {
                order: self.unacceptable(&delivery.detail, named),
                fault: Some(format!("it cannot be read as a whole: {fault}")),
            },
            Err(why) => {
                tracing::debug!(event = delivery.detail_type, why = %why, "a checkout names no order");
                return Outcome::Unreadable(why);
            }
        };
        Span::current().record("order_id", asked.order.id.to_string());
        self.store(asked, &delivery.detail).await.unwrap_or_else(|fault| {
            // Told when it is given up.
            tracing::debug!(error = chain(&fault), "a checkout could not be stored; it comes again");
            Outcome::Again(why(&fault))
        })
    }

    async fn store(&self, asked: Asked, request: &Envelope<Value>) -> Result<Outcome, StoreError> {
        let Asked { mut order, fault } = asked;
        let told = match self.fulfilment.create(&mut order).await? {
            Created::New => {
                if let Some(fault) = fault {
                    tracing::error!(order_id = %order.id, error = fault, "a checkout asks for what no order may hold");
                }
                self.fulfilment.begin(order).await;
                true
            }
            Created::Exists(there) if there.fingerprint != order.fingerprint => {
                match events::key_reused(&order, request) {
                    // Made of the request alone, it is as old as that.
                    Ok(entry) => self.fulfilment.publish_again(&[entry]).await,
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
        Ok(if told {
            Outcome::Done
        } else {
            Outcome::Again(Why::from("the bus did not take the answer to this checkout"))
        })
    }

    /// The order that a checkout asks for; a failed one where no order may be like that, or it comes
    /// too late.
    fn order_of(&self, request: Envelope<CheckoutRequested>) -> Asked {
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
            return Asked {
                order: self.stillborn(placing, checkout.total, FailureReason::Expired, words),
                fault: None,
            };
        }
        let moment = self.fulfilment.moment(now, Actor::Customer);
        let placed = Order::place(placing.clone(), self.currency, self.acceptance, moment)
            .and_then(|order| claims(&order, checkout.total).map(|()| order));
        match placed {
            Ok(order) => Asked { order, fault: None },
            Err(fault) => Asked {
                order: self.stillborn(placing, checkout.total, FailureReason::Invalid, fault.to_string()),
                fault: Some(fault.to_string()),
            },
        }
    }

    /// The failed order of a body that cannot be read but says whose order it is.
    fn unacceptable(&self, request: &Envelope<Value>, named: Named) -> Order {
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
        self.stillborn(placing, Money::zero(self.currency), FailureReason::Invalid, words)
    }

    fn stillborn(&self, placing: Placing, total: Money, reason: FailureReason, words: String) -> Order {
        let moment = self.fulfilment.moment(now(), Actor::System);
        Order::stillborn(placing, total, reason, words, moment)
    }
}

fn why(fault: &StoreError) -> Why {
    let words = match fault {
        StoreError::Unavailable { .. } => "the orders table did not answer",
        StoreError::Unreadable(_) => "there is an order of this id that cannot be read",
        StoreError::Gone(_) => "the order of this id is gone",
    };
    Why::of(words, fault)
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
