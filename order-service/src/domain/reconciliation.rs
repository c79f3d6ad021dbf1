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

mod payment;
mod sketch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use shared::ids::{OrderId, ProductId};
use strum::Display;
use utoipa::ToSchema;

pub use self::payment::{Charged, Standing, claimed_payment, is_its_own, payment_drift, stray_payment};
pub use self::sketch::Sketch;
use crate::domain::order::Order;
use crate::domain::payment::RefundState;
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
