//! What an order's timeline says of each change. It is for people; nothing is decided from it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::Display;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::machine::{Input, Transition};
use crate::domain::order::Order;
use crate::domain::state::{State, Status};

/// A change on an order's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What clients saw from then on.
    pub status: Status,
    /// When.
    pub at: Timestamp,
    /// Who made it.
    pub actor: Actor,
    /// Why, if there is more to say than the status does.
    pub reason: Option<String>,
    /// Of a payment, which token that was, counted from 1; of what else the shop carried out, at which
    /// try.
    pub attempt: Option<u32>,
    /// Of the trace in which it was made.
    pub trace_id: String,
}

/// Who changed an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Actor {
    /// Whose order it is.
    Customer,
    /// The shop's people.
    Merchant,
    /// The shop itself: stock, payment, deadlines.
    System,
}

impl Order {
    /// Whether a change belongs on the timeline, and with which words: a new status, or a decision
    /// that clients see nothing of yet but compensation follows from.
    pub(super) fn worth_noting(&self, transition: &Transition, input: &Input) -> Option<Option<String>> {
        let words = match input {
            Input::Reject { reason } | Input::Cancel { reason } => Some(reason.clone()),
            Input::Refund(request) => Some(match request.amount {
                Some(amount) => format!("refund of {amount}: {}", request.reason),
                None => format!("refund of all that is left: {}", request.reason),
            }),
            Input::RefundDone(id) => self.of_refund(*id, "refunded"),
            Input::RefundRefused(id) => self.of_refund(*id, "the provider refused a refund of"),
            Input::Declined { another_until } => Some(match another_until {
                Some(until) => format!("payment declined; another token may be named until {until}"),
                None => "payment declined".to_owned(),
            }),
            Input::NeedsCustomer { until, .. } => {
                Some(format!("the customer has to complete the payment until {until}"))
            }
            Input::OutOfStock(_) => Some("out of stock".to_owned()),
            Input::HoldLost => Some("the stock was no longer held".to_owned()),
            Input::PaymentExpired => Some(match self.payment.patience.unanswered_since {
                Some(since) => format!("the payment provider has not answered since {since}"),
                None => "the payment was not completed in time".to_owned(),
            }),
            Input::AcceptanceExpired => Some("the merchant did not answer in time".to_owned()),
            Input::CaptureRefused => Some("the payment could not be captured".to_owned()),
            Input::Pay(_) => Some("another payment token".to_owned()),
            Input::Disputed(dispute) => Some(dispute.words()),
            Input::Undone { refunded: None } if self.dispute_decides() => {
                Some("stock given back; the payment is disputed, and not refunded beside".to_owned())
            }
            Input::Undone { refunded } => Some(match refunded {
                Some(amount) => format!("stock given back, {amount} refunded"),
                None if self.payment.is_needed() => "stock given back, payment voided".to_owned(),
                None => "stock given back".to_owned(),
            }),
            Input::Ship { carrier, tracking } => Some(format!("{carrier} {tracking}")),
            Input::Authorized { .. } | Input::Fulfilled | Input::Accept | Input::Deliver => None,
        };
        let new_status = transition.to.status() != self.state.status();
        (new_status || words.is_some()).then_some(words)
    }

    /// Which try a change came of, where it came of any.
    pub(super) fn attempt(&self, input: &Input) -> Option<u32> {
        let token = u32::from(self.payment.attempt);
        match input {
            Input::Authorized { .. }
            | Input::NeedsCustomer { .. }
            | Input::Declined { .. }
            | Input::PaymentExpired
            | Input::CaptureRefused => self.payment.is_needed().then_some(token),
            Input::Pay(_) => Some(token.saturating_add(1)),
            Input::OutOfStock(_)
            | Input::HoldLost
            | Input::Fulfilled
            | Input::Undone { .. }
            | Input::RefundDone(_)
            | Input::RefundRefused(_) => Some(self.attempts.saturating_add(1)),
            Input::AcceptanceExpired
            | Input::Accept
            | Input::Reject { .. }
            | Input::Cancel { .. }
            | Input::Ship { .. }
            | Input::Deliver
            | Input::Refund(_)
            | Input::Disputed(_) => None,
        }
    }

    fn of_refund(&self, id: Uuid, what: &str) -> Option<String> {
        let refund = self.payment.refund_of(id)?;
        Some(format!("{what} {}", refund.amount))
    }

    /// What was said with the decision that has just been carried out: on the timeline right before the
    /// end; where it was a cancellation, refunds asked for before it may stand between.
    pub(super) fn words_of_the_decision(&self) -> String {
        let mut before = self.timeline.iter().rev().skip(1);
        let decision = match self.state {
            State::Cancelled => before.find(|change| change.actor != Actor::System),
            State::Pending(_)
            | State::AwaitingAcceptance { .. }
            | State::Confirming(_)
            | State::Failing(..)
            | State::Cancelling(_)
            | State::Confirmed
            | State::Shipped
            | State::Delivered
            | State::Failed(_) => before.next(),
        };
        decision.and_then(|change| change.reason.clone()).unwrap_or_default()
    }
}
