//! What follows from the provider's events. Each is a hint to look at a payment or a dispute, and what is
//! found there decides: so an event may come late, again, in any order, or be forged by somebody who
//! knows a secret, and nothing comes of it that is not so. No event is remembered; the second time there is
//! nothing new to find.
//!
//! None is needed, either: an order that waits for a payment looks it up by itself, with a growing pause
//! ([`super::work`]). A hint only saves it the rest of that pause. Disputes alone are learned by events.

use std::sync::Arc;

use shared::ids::OrderId;
use strum::Display;
use thiserror::Error;

use super::{ActError, Acted, Fulfilment, now};
use crate::clients::payment::PaymentError;
use crate::clients::payment::event::About;
use crate::domain::machine::Input;
use crate::domain::order::Order;
use crate::domain::payment::PaymentState;
use crate::domain::step::Step;
use crate::domain::timeline::Actor;
use crate::metrics;
use crate::store::StoreError;

/// What came of a hint. The words are told to the provider, whose dashboard shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Heard {
    /// The order is gone on with.
    GoneOn,
    /// There is no place for it now; it is gone on with when it is due.
    Due,
    /// A dispute was noted.
    Noted,
    /// It was known, or nothing waits for it.
    NothingNew,
    /// It is about no order of ours.
    NotOurs,
    /// Nobody here cares for events of that kind.
    Ignored,
}

/// Why a hint could not be followed. It helps to tell it again.
#[derive(Debug, Error)]
pub(crate) enum HintError {
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Act(#[from] ActError),
}

impl Fulfilment {
    /// Follows a hint.
    ///
    /// An order is stored before its payment is begun: one that is not there is none of ours (the
    /// provider's account may serve others too), and telling it again would not help.
    ///
    /// # Errors
    /// The table or the provider did not answer.
    pub(crate) async fn hear(self: &Arc<Self>, about: &About) -> Result<Heard, HintError> {
        match about {
            About::Nothing => Ok(Heard::Ignored),
            About::Payment { intent, order } => {
                let Some(order) = self.glance_at(intent, *order).await? else {
                    return Ok(Heard::NotOurs);
                };
                Ok(self.go_on_with(order))
            }
            About::NeedsCustomer { intent, order } => {
                let Some(order) = self.glance_at(intent, *order).await? else {
                    return Ok(Heard::NotOurs);
                };
                if matches!(order.payment.state, PaymentState::NeedsCustomer { .. }) {
                    return Ok(Heard::NothingNew);
                }
                Ok(self.go_on_with(order))
            }
            About::Dispute { dispute } => self.note_dispute(dispute).await,
        }
    }

    async fn note_dispute(self: &Arc<Self>, id: &str) -> Result<Heard, HintError> {
        let Some(contested) = self.payments.dispute(id).await.inspect_err(alarm)? else {
            return Ok(Heard::NotOurs);
        };
        let Some(id) = self.order_of(&contested.intent, None).await? else {
            return Ok(Heard::NotOurs);
        };
        let Some(order) = there(id, self.store.read(&id).await?) else {
            return Ok(Heard::NotOurs);
        };
        if order.payment.intent.as_deref() != Some(contested.intent.as_str()) {
            tracing::warn!(order_id = %order.id, "a dispute is of a payment that its order does not know");
            return Ok(Heard::NotOurs);
        }
        let status = contested.dispute.status;
        match self
            .act(order, Input::Disputed(contested.dispute), Actor::System)
            .await?
        {
            Acted::Before(_) => Ok(Heard::NothingNew),
            Acted::Now(order) => {
                metrics::disputed(status);
                tracing::warn!(order_id = %order.id, ?status, "a payment is disputed");
                Ok(Heard::Noted)
            }
        }
    }

    /// The order of a payment, as it was a moment ago at least: each order that goes well is looked at for a
    /// hint that says nothing new, and one that is missed costs a pause.
    async fn glance_at(&self, intent: &str, named: Option<OrderId>) -> Result<Option<Order>, HintError> {
        let Some(id) = self.order_of(intent, named).await? else {
            return Ok(None);
        };
        Ok(there(id, self.store.glance(&id).await?))
    }

    /// The order that a payment is for; its event may name it already.
    async fn order_of(&self, intent: &str, named: Option<OrderId>) -> Result<Option<OrderId>, HintError> {
        Ok(match named {
            Some(id) => Some(id),
            None => self.payments.order_of(intent).await.inspect_err(alarm)?,
        })
    }

    /// Goes on with an order that has nothing to do but wait. One that is being worked on hears the
    /// provider's answers itself, and most events are of those.
    fn go_on_with(self: &Arc<Self>, order: Order) -> Heard {
        let waits = match order.step(now(), &self.terms) {
            Step::LookUpPayment => true,
            // It did not get on when it was tried last, and may now.
            Step::Place | Step::Decide(_) | Step::Confirm | Step::Undo | Step::Refund(_) => order.attempts > 0,
            Step::Wait(_) => false,
        };
        if !waits {
            return Heard::NothingNew;
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                self.spawn(order, place);
                Heard::GoneOn
            }
            // It is due within a minute all the same; the provider would come back later than that.
            Err(_full_or_stopping) => Heard::Due,
        }
    }
}

fn there(id: OrderId, order: Option<Order>) -> Option<Order> {
    if order.is_none() {
        tracing::warn!(order_id = %id, "the provider tells of the payment of an order that is not there");
    }
    order
}

fn alarm(error: &PaymentError) {
    if let PaymentError::Refused { .. } = error {
        metrics::payment_refused();
    }
}
