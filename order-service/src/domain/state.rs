//! Where an order can be: what clients see of it, which decision is being carried out, and what that
//! calls for. How it gets from one to the other is `machine`'s.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::Acceptance;
use shared::contract::order::FailureReason;
use strum::{Display, EnumIter};
use utoipa::ToSchema;

/// What clients see of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It is being looked at: stock and payment.
    Pending,
    /// It waits for the merchant's answer.
    AwaitingAcceptance,
    /// Its stock is sold and its payment captured.
    Confirmed,
    /// It is on its way.
    Shipped,
    /// It has arrived.
    Delivered,
    /// It came to nothing.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

/// Which decision has been taken and is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// None yet.
    Placed,
    /// The reservation is committed, then the payment captured.
    Confirming,
    /// Stock and payment are given back; it will have failed.
    Failing,
    /// Stock and payment are given back; it will be cancelled.
    Cancelling,
    /// Nothing is left to do.
    Settled,
}

/// How far an order was when a decision about it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Pending, and its checkout not answered.
    Unplaced,
    /// Still pending to clients, but `OrderPlaced` has been told.
    Placed,
    /// Awaiting acceptance; `OrderPlaced` has been told.
    Accepting,
    /// Confirmed.
    Confirmed,
}

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is decided. Says whether the merchant is to be asked, as frozen at its intake.
    Pending(Acceptance),
    /// Stock is held and the payment authorized, if there is one; the merchant has until then.
    AwaitingAcceptance {
        /// When it fails without an answer.
        answer_by: Timestamp,
    },
    /// Decided: commit the reservation, then capture.
    Confirming(Standing),
    /// Decided: give everything back.
    Failing(Standing, FailureReason),
    /// Decided: give everything back.
    Cancelling(Standing),
    /// Sold and paid.
    Confirmed,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Came to nothing.
    Failed(FailureReason),
    /// Not wanted any more.
    Cancelled,
}

/// What somebody can ask of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumIter, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Take it.
    Accept,
    /// Do not take it.
    Reject,
    /// Do not want it any more.
    Cancel,
    /// Name another payment token.
    Pay,
    /// Send it.
    Ship,
    /// Hand it over.
    Deliver,
    /// Give money back.
    Refund,
}

/// What has to be done outside once a state is stored. Each can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Hold the stock of all lines.
    Reserve,
    /// Authorize the total.
    Authorize,
    /// Make the hold a sale.
    Commit,
    /// Take the money.
    Capture,
    /// Give the stock back.
    Release,
    /// Void or refund the payment.
    ReturnPayment,
    /// Make the refunds that are asked for.
    Refund,
}

/// What is to be told of a change; its figures are the order's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tell {
    /// `OrderPlaced`
    Placed,
    /// `OrderAwaitingAcceptance`
    AwaitingAcceptance,
    /// `OrderConfirmed`
    Confirmed,
    /// `OrderFailed`
    Failed,
    /// `OrderRejected`
    Rejected,
    /// `OrderCancelled`
    Cancelled,
    /// `OrderShipped`
    Shipped,
    /// `OrderDelivered`
    Delivered,
    /// `OrderRefunded`
    Refunded,
    /// `OrderDisputed`
    Disputed,
}

impl Standing {
    /// What clients see meanwhile.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Unplaced | Self::Placed => Status::Pending,
            Self::Accepting => Status::AwaitingAcceptance,
            Self::Confirmed => Status::Confirmed,
        }
    }
}

impl State {
    /// What clients see.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Pending(_) => Status::Pending,
            Self::AwaitingAcceptance { .. } => Status::AwaitingAcceptance,
            Self::Confirming(from) | Self::Failing(from, _) | Self::Cancelling(from) => from.status(),
            Self::Confirmed => Status::Confirmed,
            Self::Shipped => Status::Shipped,
            Self::Delivered => Status::Delivered,
            Self::Failed(_) => Status::Failed,
            Self::Cancelled => Status::Cancelled,
        }
    }

    /// Which decision is being carried out.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Pending(_) | Self::AwaitingAcceptance { .. } => Phase::Placed,
            Self::Confirming(_) => Phase::Confirming,
            Self::Failing(..) => Phase::Failing,
            Self::Cancelling(_) => Phase::Cancelling,
            Self::Confirmed | Self::Shipped | Self::Delivered | Self::Failed(_) | Self::Cancelled => Phase::Settled,
        }
    }

    /// What has to be done while it is in this state.
    #[must_use]
    pub const fn effects(self) -> &'static [Effect] {
        match self {
            Self::Pending(_) => &[Effect::Reserve, Effect::Authorize],
            Self::Confirming(_) => &[Effect::Commit, Effect::Capture],
            Self::Failing(..) | Self::Cancelling(_) => &[Effect::Release, Effect::ReturnPayment],
            Self::AwaitingAcceptance { .. }
            | Self::Confirmed
            | Self::Shipped
            | Self::Delivered
            | Self::Failed(_)
            | Self::Cancelled => &[],
        }
    }

    /// What could be asked of it now.
    #[must_use]
    pub const fn allows(self) -> &'static [Action] {
        match self {
            Self::Pending(_) => &[Action::Cancel, Action::Pay],
            Self::AwaitingAcceptance { .. } => &[Action::Accept, Action::Reject, Action::Cancel],
            Self::Confirming(_) => &[Action::Cancel],
            Self::Confirmed => &[Action::Cancel, Action::Ship, Action::Refund],
            Self::Shipped => &[Action::Deliver, Action::Refund],
            Self::Delivered => &[Action::Refund],
            Self::Failing(..) | Self::Cancelling(_) | Self::Failed(_) | Self::Cancelled => &[],
        }
    }
}
