//! What an order tells of itself, as it is kept until it is published: which event, when, and the few
//! figures that are not the order's own for ever. Its form on the bus is made in `crate::events`.

use jiff::Timestamp;
use shared::contract::order::{FailureReason, Shortage};
use shared::money::Money;
use uuid::Uuid;

use crate::domain::dispute::Dispute;

/// An event that happened. Telling it again tells the very same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Of the event.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Counts up for each order; 0 is its request.
    pub sequence: u64,
    /// The span in which it happened.
    pub traceparent: String,
    /// What.
    pub told: Told,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The order stands.
    Placed,
    /// The merchant is asked.
    AwaitingAcceptance {
        /// When it fails without an answer.
        answer_by: Timestamp,
    },
    /// Sold and paid.
    Confirmed,
    /// It came to nothing.
    Failed {
        /// Why.
        reason: FailureReason,
        /// What was short.
        short: Vec<Shortage>,
    },
    /// The merchant did not take it.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Not wanted any more.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// On its way.
    Shipped {
        /// Who carries it.
        carrier: String,
        /// The carrier's number.
        tracking: String,
    },
    /// Arrived.
    Delivered,
    /// Money went back.
    Refunded {
        /// This time.
        amount: Money,
        /// All in all.
        refunded_total: Money,
        /// Why.
        reason: String,
    },
    /// The customer's bank may take the payment back, or has come to an end with that.
    Disputed(Dispute),
}

impl Told {
    /// Whether this answers the checkout that the order came from.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Placed | Self::Failed { .. })
    }
}
