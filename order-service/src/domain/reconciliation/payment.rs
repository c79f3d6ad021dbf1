//! An order's payment, and what the provider has of it.

use shared::ids::OrderId;
use shared::money::Money;
use strum::Display;

use super::{Drift, Kind, of_order, words};
use crate::domain::amount;
use crate::domain::order::Order;
use crate::domain::payment::{PaymentState, RefundState};
use crate::domain::state::State;

/// What the provider has of a payment that no order knows of, or that belongs to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The provider's id.
    pub id: String,
    /// The order that it was made for.
    pub order: Option<OrderId>,
    /// ISO 4217, upper case.
    pub currency: String,
    /// What was taken, in the provider's minor units.
    pub captured: i64,
    /// What went back of that, in the same.
    pub refunded: i64,
    /// What can still become of it.
    pub standing: Standing,
}

/// What can still become of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    /// It is not authorized.
    Open,
    /// It can be captured: the money is held on somebody's card.
    Authorized,
    /// It was captured.
    Captured,
    /// Nothing can.
    Voided,
}

impl Charged {
    /// Whether money of somebody's is here, or held.
    fn has_money(&self) -> bool {
        self.captured != self.refunded || self.standing == Standing::Authorized
    }
}

/// The payment of which the order says that its money was taken, so that the provider must know it.
#[must_use]
pub fn claimed_payment(order: &Order) -> Option<&str> {
    let claims = match order.state {
        State::Confirmed | State::Shipped | State::Delivered => order.payment.is_needed(),
        State::Failed(_) | State::Cancelled => order.payment.state == PaymentState::Returned,
        State::Pending(_)
        | State::AwaitingAcceptance { .. }
        | State::Confirming(_)
        | State::Failing(..)
        | State::Cancelling(_) => false,
    };
    // An order that claims money of a payment without an id is compared with none, and named.
    claims.then(|| order.payment.intent.as_deref().unwrap_or_default())
}

/// An order and the payment that it names, as the provider has it; or none, where the provider was asked
/// for that one and does not know it.
#[must_use]
pub fn payment_drift(order: &Order, found: Option<&Charged>) -> Option<Drift> {
    let Some(charged) = found else {
        return claimed_payment(order).map(|id| Drift {
            expected: format!("payment {id}"),
            found: "none".to_owned(),
            ..of_order(
                Kind::PaymentMissing,
                order.id,
                format!("payment of an order that is {}", words(order)),
            )
        });
    };
    if !order.payment.is_needed() {
        return charged.has_money().then(|| unexpected(order, charged));
    }
    match order.state {
        State::Pending(_) | State::AwaitingAcceptance { .. } => (charged.captured > 0).then(|| Drift {
            expected: "nothing captured".to_owned(),
            found: written(charged.captured, charged),
            ..of_payment(
                Kind::PaymentTooEarly,
                order,
                charged,
                "captured before the order was decided",
            )
        }),
        State::Confirming(_) | State::Failing(..) | State::Cancelling(_) => None,
        State::Confirmed | State::Shipped | State::Delivered => captured_drift(order, charged),
        State::Failed(_) | State::Cancelled => returned_drift(order, charged),
    }
}

/// A payment and the order that it was made for, if there is one: that it is the order's own payment,
/// and if not, that it holds nobody's money. What an order's own payment has to be is
/// [`payment_drift`]'s.
#[must_use]
pub fn stray_payment(charged: &Charged, order: Option<&Order>) -> Option<Drift> {
    if !charged.has_money() {
        return None;
    }
    match order {
        Some(order) if is_its_own(order, charged) => None,
        Some(order) => Some(unexpected(order, charged)),
        None => Some(Drift {
            kind: Kind::PaymentWithoutOrder,
            order_id: charged.order,
            product_id: None,
            expected: "an order".to_owned(),
            found: "none".to_owned(),
            detail: format!(
                "payment {}, {}: {} captured, {} refunded",
                charged.id,
                charged.standing,
                written(charged.captured, charged),
                written(charged.refunded, charged)
            ),
        }),
    }
}

/// Whether the payment is the one that the order names, or could be: one that does not know its payment
/// yet is asking for it.
#[must_use]
pub fn is_its_own(order: &Order, charged: &Charged) -> bool {
    charged.order == Some(order.id)
        && order.payment.is_needed()
        && order.payment.intent.as_ref().is_none_or(|id| *id == charged.id)
}

/// Of an order that was confirmed: all of it captured once, and refunded what the order says. A refund
/// that waits for the provider's answer may be made or not.
fn captured_drift(order: &Order, charged: &Charged) -> Option<Drift> {
    let total = at_provider(order.total);
    if charged.captured == 0 {
        return Some(Drift {
            expected: format!("{} captured", order.total),
            found: charged.standing.to_string(),
            ..of_payment(Kind::PaymentNotCaptured, order, charged, "payment of a confirmed order")
        });
    }
    if charged.captured != total || charged.currency != order.total.currency.code() {
        return Some(Drift {
            expected: order.total.to_string(),
            found: written(charged.captured, charged),
            ..of_payment(Kind::PaymentAmount, order, charged, "captured of a confirmed order")
        });
    }
    let done = refunds(order, RefundState::Done);
    let asked = refunds(order, RefundState::Pending);
    let right = (done..=done.saturating_add(asked)).contains(&charged.refunded);
    (!right).then(|| refund_mismatch(order, charged, done))
}

/// Of an order that came to nothing: nothing of it can be taken any more, and what was has gone back.
fn returned_drift(order: &Order, charged: &Charged) -> Option<Drift> {
    if charged.captured != charged.refunded {
        return Some(Drift {
            expected: format!("{} refunded", written(charged.captured, charged)),
            found: format!("{} refunded", written(charged.refunded, charged)),
            ..of_payment(
                Kind::PaymentNotReturned,
                order,
                charged,
                "captured for an order that came to nothing",
            )
        });
    }
    match charged.standing {
        Standing::Open | Standing::Authorized => Some(Drift {
            expected: "voided".to_owned(),
            found: charged.standing.to_string(),
            ..of_payment(
                Kind::PaymentNotVoided,
                order,
                charged,
                "payment of an order that came to nothing",
            )
        }),
        Standing::Captured | Standing::Voided => {
            let said = match order.payment.state {
                PaymentState::Returned => at_provider(order.total),
                PaymentState::NotNeeded
                | PaymentState::Open
                | PaymentState::NeedsCustomer { .. }
                | PaymentState::Declined { .. }
                | PaymentState::Authorized
                | PaymentState::Captured
                | PaymentState::Voided => refunds(order, RefundState::Done),
            };
            (charged.refunded != said).then(|| refund_mismatch(order, charged, said))
        }
    }
}

fn refund_mismatch(order: &Order, charged: &Charged, said: i64) -> Drift {
    Drift {
        expected: format!("{} refunded", written(said, charged)),
        found: format!("{} refunded", written(charged.refunded, charged)),
        ..of_payment(
            Kind::RefundMismatch,
            order,
            charged,
            "refunds of the order and the provider's",
        )
    }
}

fn unexpected(order: &Order, charged: &Charged) -> Drift {
    let expected = match &order.payment.intent {
        Some(id) => format!("payment {id} alone"),
        None => "no payment".to_owned(),
    };
    Drift {
        expected,
        found: format!("{} captured", written(charged.captured, charged)),
        ..of_payment(
            Kind::PaymentUnexpected,
            order,
            charged,
            "a payment that its order does not know",
        )
    }
}

fn refunds(order: &Order, state: RefundState) -> i64 {
    let of_state = order.payment.refunds.iter().filter(|refund| refund.state == state);
    of_state.fold(0, |sum, refund| sum.saturating_add(at_provider(refund.amount)))
}

/// As the provider counts it. What is too large for that is never charged.
fn at_provider(money: Money) -> i64 {
    amount::to_provider(money).unwrap_or(money.amount_minor)
}

fn written(minor: i64, charged: &Charged) -> String {
    format!("{minor} {} (minor units)", charged.currency)
}

fn of_payment(kind: Kind, order: &Order, charged: &Charged, what: &str) -> Drift {
    of_order(
        kind,
        order.id,
        format!("{what}: payment {} of an order that is {}", charged.id, words(order)),
    )
}
