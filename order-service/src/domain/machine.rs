//! The order's state machine: one pure function over every pair of state and input.
//!
//! What is decided is stored first and carried out then: `Confirming`, `Failing` and `Cancelling` are
//! decisions, in which clients see what they saw before.
//!
//! | input | from | to | tells |
//! | --- | --- | --- | --- |
//! | `Authorized` | pending | confirming, or awaiting acceptance | placed (, awaiting acceptance) |
//! | `NeedsCustomer` | pending | pending | |
//! | `Declined` | pending | pending while another token may come, else failing | |
//! | `OutOfStock`, `PaymentExpired` | pending | failing | |
//! | `HoldLost` | pending, confirming | failing | |
//! | `AcceptanceExpired` | awaiting acceptance | failing | |
//! | `Fulfilled` | confirming | confirmed | confirmed |
//! | `CaptureRefused` | confirming | failing | |
//! | `Undone` | failing | failed | failed, or rejected |
//! | | cancelling | cancelled | (failed, if it was never placed,) (refunded, where money goes back,) cancelled |
//! | `Accept`, `Reject` | awaiting acceptance | confirming, failing | |
//! | `Cancel` | pending, awaiting acceptance, confirming, confirmed | cancelling | |
//! | `Pay` | pending | pending | |
//! | `Ship`, `Deliver` | confirmed, shipped | shipped, delivered | shipped, delivered |
//! | `Refund` | confirmed, shipped, delivered | the same | |
//! | `RefundDone` | the same, cancelling | the same | refunded |
//! | `RefundRefused` | the same, cancelling | the same | |
//! | `Disputed` | any | the same | disputed |
//!
//! Whatever the saga finds out and is not in the table came late or again, and changes nothing.
//! What a person asks and is not in the table is illegal, or changes nothing where it has been done.

use jiff::Timestamp;
use shared::contract::checkout::{Acceptance, PaymentToken};
use shared::contract::order::{FailureReason, Shortage};
use shared::money::Money;
use thiserror::Error;
use uuid::Uuid;

use crate::domain::dispute::Dispute;
use crate::domain::payment::{NextAction, RefundRequest};
use crate::domain::state::{Action, Effect, Standing, State, Status, Tell};

/// What happens to an order.
#[derive(Clone, Debug)]
pub enum Input {
    /// The stock is held, and the payment authorized or not needed. The merchant, where asked, has
    /// until then.
    Authorized {
        /// When an order that waits for the merchant fails.
        answer_by: Timestamp,
    },
    /// The customer has to do something before the payment goes on, until then.
    NeedsCustomer {
        /// What.
        action: NextAction,
        /// When the order fails without it.
        until: Timestamp,
    },
    /// The payment was refused; another token may come until then, if at all.
    Declined {
        /// `None`: not any more.
        another_until: Option<Timestamp>,
    },
    /// Not enough is left of these.
    OutOfStock(Vec<Shortage>),
    /// The stock was held but is no longer: the hold ran out.
    HoldLost,
    /// The payment was not completed in time.
    PaymentExpired,
    /// The merchant did not answer in time.
    AcceptanceExpired,
    /// The reservation is committed and the payment captured.
    Fulfilled,
    /// The authorization cannot be captured any more.
    CaptureRefused,
    /// The stock is given back and the payment too.
    Undone {
        /// What was paid and is refunded now, nothing where it had gone back in parts; `None`: nothing
        /// had been captured.
        refunded: Option<Money>,
    },
    /// The merchant takes the order.
    Accept,
    /// The merchant does not.
    Reject {
        /// In the merchant's words.
        reason: String,
    },
    /// Its customer or a merchant does not want it any more.
    Cancel {
        /// In their words.
        reason: String,
    },
    /// Its customer names another token.
    Pay(PaymentToken),
    /// It is on its way.
    Ship {
        /// Who carries it.
        carrier: String,
        /// The carrier's number.
        tracking: String,
    },
    /// It has arrived.
    Deliver,
    /// Money is to go back.
    Refund(RefundRequest),
    /// The provider has made the refund of that id.
    RefundDone(Uuid),
    /// The provider will not make it.
    RefundRefused(Uuid),
    /// The payment is disputed, or a dispute of it has got on.
    Disputed(Dispute),
}

/// A change of state: to be stored, then told and carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The new state; it can be the old one where only the payment changes.
    pub to: State,
    /// What to do next.
    pub effects: &'static [Effect],
    /// What to tell.
    pub tells: Vec<Tell>,
}

/// What comes of an input that is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A change.
    Goes(Transition),
    /// It came late, or again.
    Unchanged,
}

/// The state does not allow what was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("an order that is {from} does not become {to}")]
pub struct IllegalTransition {
    /// What clients see.
    pub from: Status,
    /// What was asked for.
    pub to: &'static str,
    /// What could be asked for instead.
    pub allowed: Vec<Action>,
}

impl State {
    /// See the module's table.
    ///
    /// # Errors
    /// A person asked for what this state does not allow.
    pub fn next(self, input: &Input) -> Result<Verdict, IllegalTransition> {
        match input {
            Input::Authorized { .. }
            | Input::NeedsCustomer { .. }
            | Input::Declined { .. }
            | Input::OutOfStock(_)
            | Input::HoldLost
            | Input::PaymentExpired
            | Input::AcceptanceExpired
            | Input::Fulfilled
            | Input::CaptureRefused
            | Input::Undone { .. }
            | Input::RefundDone(_)
            | Input::RefundRefused(_)
            | Input::Disputed(_) => Ok(self.finding(input).map_or(Verdict::Unchanged, Verdict::Goes)),
            Input::Accept => self.accept(),
            Input::Reject { .. } => self.reject(),
            Input::Cancel { .. } => self.cancel(),
            Input::Pay(_) => self.pay(),
            Input::Ship { .. } => self.ship(),
            Input::Deliver => self.deliver(),
            Input::Refund(_) => self.refund(),
        }
    }

    /// What the saga found out; `None`: it came late or again.
    fn finding(self, input: &Input) -> Option<Transition> {
        let (to, tells): (Self, &[Tell]) = match (self, input) {
            (Self::Pending(Acceptance::Auto), Input::Authorized { .. }) => {
                (Self::Confirming(Standing::Placed), &[Tell::Placed])
            }
            (Self::Pending(Acceptance::Manual), Input::Authorized { answer_by }) => (
                Self::AwaitingAcceptance { answer_by: *answer_by },
                &[Tell::Placed, Tell::AwaitingAcceptance],
            ),
            (
                Self::Pending(_),
                Input::NeedsCustomer { .. }
                | Input::Declined {
                    another_until: Some(_), ..
                },
            ) => (self, &[]),
            (Self::Pending(_), Input::Declined { another_until: None }) => {
                (Self::Failing(Standing::Unplaced, FailureReason::Declined), &[])
            }
            (Self::Pending(_), Input::OutOfStock(_)) => {
                (Self::Failing(Standing::Unplaced, FailureReason::OutOfStock), &[])
            }
            (Self::Pending(_), Input::PaymentExpired) => {
                (Self::Failing(Standing::Unplaced, FailureReason::PaymentExpired), &[])
            }
            (Self::Pending(_), Input::HoldLost) => (Self::Failing(Standing::Unplaced, FailureReason::Expired), &[]),
            (Self::Confirming(from), Input::HoldLost) => (Self::Failing(from, FailureReason::Expired), &[]),
            (Self::AwaitingAcceptance { .. }, Input::AcceptanceExpired) => (
                Self::Failing(Standing::Accepting, FailureReason::AcceptanceExpired),
                &[],
            ),
            (Self::Confirming(_), Input::Fulfilled) => (Self::Confirmed, &[Tell::Confirmed]),
            (Self::Confirming(from), Input::CaptureRefused) => (Self::Failing(from, FailureReason::Declined), &[]),
            (Self::Failing(_, reason), Input::Undone { .. }) => (Self::Failed(reason), failed_as(reason)),
            (Self::Cancelling(from), Input::Undone { refunded }) => {
                let goes_back = refunded.is_some_and(|amount| amount.amount_minor > 0);
                (Self::Cancelled, cancelled_as(from, goes_back))
            }
            (Self::Confirmed | Self::Shipped | Self::Delivered | Self::Cancelling(_), Input::RefundDone(_)) => {
                (self, &[Tell::Refunded])
            }
            (Self::Confirmed | Self::Shipped | Self::Delivered | Self::Cancelling(_), Input::RefundRefused(_)) => {
                (self, &[])
            }
            // Whatever has become of the order, and however late.
            (_, Input::Disputed(_)) => (self, &[Tell::Disputed]),
            _ => return None,
        };
        Some(Transition {
            to,
            // A finding that leaves the order where it is starts nothing anew.
            effects: if to == self { &[] } else { to.effects() },
            tells: tells.to_vec(),
        })
    }

    fn accept(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::AwaitingAcceptance { .. } => Ok(goes(Self::Confirming(Standing::Accepting), [])),
            Self::Confirming(Standing::Accepting) | Self::Confirmed | Self::Shipped | Self::Delivered => {
                Ok(Verdict::Unchanged)
            }
            Self::Pending(_)
            | Self::Confirming(_)
            | Self::Failing(..)
            | Self::Cancelling(_)
            | Self::Failed(_)
            | Self::Cancelled => Err(self.refuses("confirmed")),
        }
    }

    fn reject(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::AwaitingAcceptance { .. } => {
                Ok(goes(Self::Failing(Standing::Accepting, FailureReason::Rejected), []))
            }
            Self::Failing(_, FailureReason::Rejected) | Self::Failed(FailureReason::Rejected) => Ok(Verdict::Unchanged),
            Self::Pending(_)
            | Self::Confirming(_)
            | Self::Failing(..)
            | Self::Cancelling(_)
            | Self::Confirmed
            | Self::Shipped
            | Self::Delivered
            | Self::Failed(_)
            | Self::Cancelled => Err(self.refuses("failed")),
        }
    }

    fn cancel(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::Pending(_) => Ok(goes(Self::Cancelling(Standing::Unplaced), [])),
            Self::AwaitingAcceptance { .. } => Ok(goes(Self::Cancelling(Standing::Accepting), [])),
            Self::Confirming(from) => Ok(goes(Self::Cancelling(from), [])),
            Self::Confirmed => Ok(goes(Self::Cancelling(Standing::Confirmed), [])),
            Self::Cancelling(_) | Self::Cancelled => Ok(Verdict::Unchanged),
            Self::Failing(..) | Self::Failed(_) | Self::Shipped | Self::Delivered => Err(self.refuses("cancelled")),
        }
    }

    fn pay(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::Pending(_) => Ok(goes(self, [])),
            // A token was authorized: this one, whose answer got lost, or one before it.
            Self::AwaitingAcceptance { .. }
            | Self::Confirming(_)
            | Self::Confirmed
            | Self::Shipped
            | Self::Delivered => Ok(Verdict::Unchanged),
            Self::Failing(..) | Self::Cancelling(_) | Self::Failed(_) | Self::Cancelled => Err(self.refuses("paid")),
        }
    }

    fn ship(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::Confirmed => Ok(goes(Self::Shipped, [Tell::Shipped])),
            Self::Shipped | Self::Delivered => Ok(Verdict::Unchanged),
            Self::Pending(_)
            | Self::AwaitingAcceptance { .. }
            | Self::Confirming(_)
            | Self::Failing(..)
            | Self::Cancelling(_)
            | Self::Failed(_)
            | Self::Cancelled => Err(self.refuses("shipped")),
        }
    }

    fn deliver(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::Shipped => Ok(goes(Self::Delivered, [Tell::Delivered])),
            Self::Delivered => Ok(Verdict::Unchanged),
            Self::Pending(_)
            | Self::AwaitingAcceptance { .. }
            | Self::Confirming(_)
            | Self::Failing(..)
            | Self::Cancelling(_)
            | Self::Confirmed
            | Self::Failed(_)
            | Self::Cancelled => Err(self.refuses("delivered")),
        }
    }

    fn refund(self) -> Result<Verdict, IllegalTransition> {
        match self {
            Self::Confirmed | Self::Shipped | Self::Delivered => Ok(Verdict::Goes(Transition {
                to: self,
                effects: &[Effect::Refund],
                tells: Vec::new(),
            })),
            Self::Pending(_)
            | Self::AwaitingAcceptance { .. }
            | Self::Confirming(_)
            | Self::Failing(..)
            | Self::Cancelling(_)
            | Self::Failed(_)
            | Self::Cancelled => Err(self.refuses("refunded")),
        }
    }

    /// The refusal of what was asked, with what could be asked instead.
    #[must_use]
    pub fn refuses(self, to: &'static str) -> IllegalTransition {
        IllegalTransition {
            from: self.status(),
            to,
            allowed: self.allows().to_vec(),
        }
    }
}

fn goes<const N: usize>(to: State, tells: [Tell; N]) -> Verdict {
    Verdict::Goes(Transition {
        to,
        effects: to.effects(),
        tells: tells.to_vec(),
    })
}

/// A merchant's no has an event of its own.
const fn failed_as(reason: FailureReason) -> &'static [Tell] {
    match reason {
        FailureReason::Rejected | FailureReason::AcceptanceExpired => &[Tell::Rejected],
        FailureReason::OutOfStock
        | FailureReason::Declined
        | FailureReason::PaymentExpired
        | FailureReason::Expired
        | FailureReason::Cancelled
        | FailureReason::KeyReused
        | FailureReason::Invalid
        | FailureReason::Other => &[Tell::Failed],
    }
}

/// A checkout that was never told `OrderPlaced` is answered now.
const fn cancelled_as(from: Standing, refunded: bool) -> &'static [Tell] {
    match (from, refunded) {
        (Standing::Unplaced, _) => &[Tell::Failed, Tell::Cancelled],
        (_, true) => &[Tell::Refunded, Tell::Cancelled],
        (_, false) => &[Tell::Cancelled],
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
