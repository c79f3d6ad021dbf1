//! What has to agree: an order with its reservation, its payment and its checkout, a stock with what is
//! held of it. Pure: facts in, the difference out. Who reads the facts, and that a difference is looked
//! at again before it is named, is `reconcile`'s.
//!
//! | order | its reservation | its payment at the provider |
//! | --- | --- | --- |
//! | pending | none, held, or expired | nothing captured |
//! | awaiting acceptance | held | nothing captured |
//! | confirming | held, committed, or expired | anything |
//! | confirmed, shipped, delivered | committed, with the same lines | captured in full; refunded what was refunded |
//! | failing, cancelling | anything | anything |
//! | failed, cancelled | none, released, returned | voided, or all of it refunded |
//!
//! Where a decision is being carried out anything may be found, since each effect comes before its
//! order is stored; that an order does not stay there is what [`lateness`] looks at.

mod sketch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::ids::{OrderId, ProductId};
use strum::Display;
use utoipa::ToSchema;

pub use self::sketch::Sketch;
use crate::domain::order::Order;
use crate::domain::payment::{PaymentState, RefundState};
use crate::domain::state::State;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Display, Serialize, ToSchema, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// A reservation is not in the state that its order is in, or not there.
    ReservationState,
    /// A reservation has other lines than its order.
    ReservationLines,
    /// A reservation belongs to no order.
    ReservationWithoutOrder,
    /// A hold whose time was over long ago.
    HoldOverdue,
    /// A product has not as much reserved as its reservations hold.
    ReservedMismatch,
    /// `available` is not `on_hand - reserved`.
    StockInconsistent,
    /// The provider knows no payment where the order says that money was taken.
    PaymentMissing,
    /// A confirmed order whose payment is not captured.
    PaymentNotCaptured,
    /// Another amount was captured, or in another currency, than the order's total.
    PaymentAmount,
    /// Money was taken before the order was decided.
    PaymentTooEarly,
    /// A second payment of an order, or one of an order that is not paid through the shop.
    PaymentUnexpected,
    /// Money was taken, or is held, for no order.
    PaymentWithoutOrder,
    /// A failed or cancelled order's money has not gone back.
    PaymentNotReturned,
    /// A failed or cancelled order's payment can still be taken.
    PaymentNotVoided,
    /// The provider refunded another amount than the order says.
    RefundMismatch,
    /// A checkout under way whose time is over and which has no order.
    CheckoutWithoutOrder,
    /// A checkout still under way long after its order answered it.
    CheckoutNotSettled,
    /// Something is left to do, and was due long ago.
    OrderOverdue,
    /// Something is left to do, and nobody will look.
    OrderForgotten,
    /// An event waits to be published for too long.
    OutboxOverdue,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Drift {
    /// Which.
    pub kind: Kind,
    /// Of this order, if of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// Of this product, if of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// In words.
    pub detail: String,
}

/// How far a reservation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Hold {
    /// The stock is set aside.
    Held,
    /// It is sold.
    Committed,
    /// It was held, or asked for too late.
    Released,
    /// It was sold and is back.
    Returned,
}

/// A reservation as the product service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub order: OrderId,
    /// How far it has come.
    pub hold: Hold,
    /// What; nothing where it was released before it held anything.
    pub lines: BTreeMap<ProductId, u64>,
    /// When a hold is given up.
    pub expires_at: Option<Timestamp>,
}

/// What the provider has of a payment that no order knows of, or that belongs to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The provider's id.
    pub id: String,
    /// The order that it was made for.
    pub order: Option<OrderId>,
    /// ISO 4217, upper case.
    pub currency: String,
    /// What was taken, in minor units.
    pub captured: i64,
    /// What went back of that.
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

/// A stock's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Of this product.
    pub product: ProductId,
    /// Pieces that lie there.
    pub on_hand: u64,
    /// Pieces of these that are held.
    pub reserved: u64,
    /// Pieces that can be bought.
    pub available: u64,
}

/// A checkout under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Of this order.
    pub order: OrderId,
    /// After this it becomes no order any more.
    pub valid_until: Timestamp,
}

/// What may be left undone for longer than any outage of a peer is nobody's business no more: the
/// sweepers try again every minute, and every quarter of an hour what they have tried for an hour.
pub const LATE: SignedDuration = SignedDuration::from_mins(20);
/// The product service forgets sales after 400 days; a little less, for clocks and for how it counts.
const SALES_REMEMBERED: SignedDuration = SignedDuration::from_hours(395 * 24);

impl Reservation {
    /// Pieces of products that it holds now.
    pub fn holds(&self) -> impl Iterator<Item = (ProductId, u64)> + '_ {
        let held = self.hold == Hold::Held;
        self.lines
            .iter()
            .filter(move |_| held)
            .map(|(product, pieces)| (*product, *pieces))
    }
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

/// An order and its reservation.
#[must_use]
pub fn reservation_drift(order: &Order, found: Option<&Reservation>, now: Timestamp) -> Option<Drift> {
    let hold = found.map(|reservation| reservation.hold);
    let forgotten = now.duration_since(order.created_at) > SALES_REMEMBERED;
    let (right, expected) = match order.state {
        State::Pending(_) => (
            matches!(hold, None | Some(Hold::Held | Hold::Released)),
            "none, held or released",
        ),
        State::AwaitingAcceptance { .. } => (hold == Some(Hold::Held), "held"),
        State::Confirming(_) => (
            matches!(hold, Some(Hold::Held | Hold::Committed | Hold::Released)),
            "held, committed or released",
        ),
        State::Confirmed | State::Shipped | State::Delivered => (
            hold == Some(Hold::Committed) || (hold.is_none() && forgotten),
            "committed",
        ),
        State::Failing(..) | State::Cancelling(_) => (true, "any"),
        State::Failed(_) | State::Cancelled => (
            matches!(hold, None | Some(Hold::Released | Hold::Returned)),
            "none, released or returned",
        ),
    };
    if !right {
        return Some(Drift {
            expected: expected.to_owned(),
            found: hold.map_or_else(|| "none".to_owned(), |hold| hold.to_string()),
            ..of_order(
                Kind::ReservationState,
                order.id,
                format!("reservation of an order that is {}", words(order)),
            )
        });
    }
    let reservation = found?;
    let wanted = summed(order);
    if reservation.lines.is_empty() || reservation.lines == wanted {
        return hold_overdue(reservation, now);
    }
    Some(Drift {
        expected: pieces(&wanted),
        found: pieces(&reservation.lines),
        ..of_order(Kind::ReservationLines, order.id, "lines of a reservation".to_owned())
    })
}

/// A reservation without an order.
#[must_use]
pub fn reservation_alone(reservation: &Reservation) -> Drift {
    Drift {
        expected: "an order".to_owned(),
        found: "none".to_owned(),
        ..of_order(
            Kind::ReservationWithoutOrder,
            reservation.order,
            format!("a reservation that is {}", reservation.hold),
        )
    }
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
            found: amount(charged.captured, charged),
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
                amount(charged.captured, charged),
                amount(charged.refunded, charged)
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

/// A stock whose counters contradict each other.
#[must_use]
pub fn stock_drift(counters: &Counters) -> Option<Drift> {
    let Counters {
        product,
        on_hand,
        reserved,
        available,
    } = counters;
    let right = reserved.checked_add(*available) == Some(*on_hand);
    (!right).then(|| Drift {
        kind: Kind::StockInconsistent,
        order_id: None,
        product_id: Some(*product),
        expected: format!("on_hand {on_hand} = reserved {reserved} + available"),
        found: format!("available {available}"),
        detail: "counters of a stock".to_owned(),
    })
}

/// What a product has reserved, and what its reservations hold.
#[must_use]
pub fn reserved_drift(product: ProductId, reserved: u64, held: u64) -> Option<Drift> {
    (reserved != held).then(|| Drift {
        kind: Kind::ReservedMismatch,
        order_id: None,
        product_id: Some(product),
        expected: format!("{held} reserved, the sum of what is held"),
        found: format!("{reserved} reserved"),
        detail: "reserved pieces of a product".to_owned(),
    })
}

/// A checkout under way and its order, if there is one.
#[must_use]
pub fn checkout_drift(checkout: &Checkout, order: Option<&Order>, now: Timestamp) -> Option<Drift> {
    let Some(order) = order else {
        return is_late(checkout.valid_until, now).then(|| Drift {
            expected: "an order, or an answer".to_owned(),
            found: "none".to_owned(),
            ..of_order(
                Kind::CheckoutWithoutOrder,
                checkout.order,
                format!("a checkout under way that was valid until {}", checkout.valid_until),
            )
        });
    };
    let answered = order.answer.as_ref().filter(|answer| is_late(answer.at, now))?;
    Some(Drift {
        expected: "settled".to_owned(),
        found: "under way".to_owned(),
        ..of_order(
            Kind::CheckoutNotSettled,
            checkout.order,
            format!("a checkout whose order answered it at {}", answered.at),
        )
    })
}

/// What an order has left to do for too long.
#[must_use]
pub fn lateness(order: &Order, now: Timestamp) -> Option<Drift> {
    let oldest = order.outbox.iter().map(|event| event.at).min();
    if let Some(at) = oldest.filter(|at| is_late(*at, now)) {
        return Some(Drift {
            expected: "published".to_owned(),
            found: format!("{} events waiting", order.outbox.len()),
            ..of_order(
                Kind::OutboxOverdue,
                order.id,
                format!("events that wait since {at}, of an order that is {}", words(order)),
            )
        });
    }
    let decided = matches!(
        order.state,
        State::Confirmed | State::Shipped | State::Delivered | State::Failed(_) | State::Cancelled
    );
    let refunding = order
        .payment
        .refunds
        .iter()
        .any(|refund| refund.state == RefundState::Pending);
    match order.due_at {
        Some(due) if is_late(due, now) => Some(Drift {
            expected: format!("done soon after {due}"),
            found: format!("still due after {} tries", order.attempts),
            ..of_order(
                Kind::OrderOverdue,
                order.id,
                format!("an order that is {}", words(order)),
            )
        }),
        None if !decided || refunding || !order.outbox.is_empty() => Some(Drift {
            expected: "due at some time".to_owned(),
            found: "not due".to_owned(),
            ..of_order(
                Kind::OrderForgotten,
                order.id,
                format!("an order that is {} and has something left to do", words(order)),
            )
        }),
        Some(_) | None => None,
    }
}

fn is_late(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) > LATE
}

fn hold_overdue(reservation: &Reservation, now: Timestamp) -> Option<Drift> {
    let over = reservation.expires_at.filter(|at| is_late(*at, now))?;
    (reservation.hold == Hold::Held).then(|| Drift {
        expected: "released".to_owned(),
        found: "held".to_owned(),
        ..of_order(
            Kind::HoldOverdue,
            reservation.order,
            format!("a hold whose time was over at {over}"),
        )
    })
}

/// Of an order that was confirmed: all of it captured once, and refunded what the order says. A refund
/// that waits for the provider's answer may be made or not.
fn captured_drift(order: &Order, charged: &Charged) -> Option<Drift> {
    let total = order.total.amount_minor;
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
            found: amount(charged.captured, charged),
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
            expected: format!("{} refunded", amount(charged.captured, charged)),
            found: format!("{} refunded", amount(charged.refunded, charged)),
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
                PaymentState::Returned => order.total.amount_minor,
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
        expected: format!("{} refunded", amount(said, charged)),
        found: format!("{} refunded", amount(charged.refunded, charged)),
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
        found: format!("{} captured", amount(charged.captured, charged)),
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
    of_state.fold(0, |sum, refund| sum.saturating_add(refund.amount.amount_minor))
}

fn summed(order: &Order) -> BTreeMap<ProductId, u64> {
    let mut sums = BTreeMap::new();
    for line in &order.lines {
        *sums.entry(line.product_id).or_default() += u64::from(line.quantity.get());
    }
    sums
}

fn pieces(lines: &BTreeMap<ProductId, u64>) -> String {
    let lines: Vec<_> = lines.iter().map(|(product, n)| format!("{n} of {product}")).collect();
    lines.join(", ")
}

fn words(order: &Order) -> String {
    let (status, phase) = (order.state.status(), order.state.phase());
    let phase = format!("{phase:?}").to_lowercase();
    format!("{status} ({phase})")
}

fn amount(minor: i64, charged: &Charged) -> String {
    format!("{minor} {} (minor units)", charged.currency)
}

fn of_order(kind: Kind, order: OrderId, detail: String) -> Drift {
    Drift {
        kind,
        order_id: Some(order),
        product_id: None,
        expected: String::new(),
        found: String::new(),
        detail,
    }
}

fn of_payment(kind: Kind, order: &Order, charged: &Charged, what: &str) -> Drift {
    of_order(
        kind,
        order.id,
        format!("{what}: payment {} of an order that is {}", charged.id, words(order)),
    )
}
