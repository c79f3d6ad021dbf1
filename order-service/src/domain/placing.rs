//! Taking an order in: what an order may hold, and how one begins, also when it begins failed.

use shared::address::Address;
use shared::contract::checkout::{Acceptance, Line, PaymentToken};
use shared::contract::order::FailureReason;
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId};
use shared::money::{Currency, Money, MoneyError};
use thiserror::Error;

use crate::domain::order::{Moment, Order};
use crate::domain::payment::Payment;
use crate::domain::state::State;
use crate::domain::timeline::Change;
use crate::domain::told::Told;

/// Distinct products of one order.
pub const MAX_LINES: usize = 99;

/// What an order is made of.
#[derive(Clone, Debug)]
pub struct Placing {
    /// Derived from the caller and their key.
    pub id: OrderId,
    /// Whose it will be.
    pub customer: CustomerId,
    /// What is bought, at the prices that were agreed.
    pub lines: Vec<Line>,
    /// Where it goes.
    pub address: Option<Address>,
    /// What pays for it.
    pub token: Option<PaymentToken>,
    /// Of what was asked for.
    pub fingerprint: Fingerprint,
    /// The event or request that asks for it.
    pub causation: String,
}

/// What no order may hold.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidOrder {
    /// Nothing is bought.
    #[error("an order has a line at least")]
    NoLines,
    /// Too much is bought at once.
    #[error("an order has at most {MAX_LINES} lines, not {got}")]
    TooManyLines {
        /// This many.
        got: usize,
    },
    /// Two lines would be one.
    #[error("two lines are of the same product")]
    RepeatedProduct,
    /// A price that is none.
    #[error("a price is below zero")]
    NegativePrice,
    /// The shop has one currency, and sums have a limit.
    #[error("the lines do not add up")]
    Money(#[from] MoneyError),
    /// The total is not the sum of the lines.
    #[error("the lines add up to {sum}, not to {claimed}")]
    TotalMismatch {
        /// What they add up to.
        sum: Money,
        /// What was said.
        claimed: Money,
    },
}

/// What lines add up to in the shop's currency.
///
/// # Errors
/// No order may hold them.
pub fn total(lines: &[Line], currency: Currency) -> Result<Money, InvalidOrder> {
    if lines.is_empty() {
        return Err(InvalidOrder::NoLines);
    }
    if lines.len() > MAX_LINES {
        return Err(InvalidOrder::TooManyLines { got: lines.len() });
    }
    let mut products: Vec<_> = lines.iter().map(|line| line.product_id).collect();
    products.sort_unstable();
    products.dedup();
    if products.len() < lines.len() {
        return Err(InvalidOrder::RepeatedProduct);
    }
    if lines.iter().any(|line| line.unit_price.amount_minor < 0) {
        return Err(InvalidOrder::NegativePrice);
    }
    let totals = lines.iter().map(|line| line.unit_price.checked_mul(line.quantity));
    totals
        .collect::<Result<Vec<_>, _>>()
        .and_then(|totals| Money::sum(currency, totals))
        .map_err(InvalidOrder::from)
}

impl Order {
    /// A pending order. The merchant is asked where `acceptance` or one of its products says so, and
    /// where it is not paid through the shop.
    ///
    /// # Errors
    /// No order may hold that.
    pub fn place(
        placing: Placing,
        currency: Currency,
        acceptance: Acceptance,
        moment: Moment,
    ) -> Result<Self, InvalidOrder> {
        let total = total(&placing.lines, currency)?;
        let asks = acceptance == Acceptance::Manual
            || placing.token.is_none()
            || placing.lines.iter().any(|line| line.acceptance == Acceptance::Manual);
        let acceptance = if asks { Acceptance::Manual } else { Acceptance::Auto };
        Ok(Self::begin(placing, total, State::Pending(acceptance), None, moment))
    }

    /// An order that failed before it began: its request came too late, or asked for what no order
    /// may hold. Its answer is in the outbox.
    #[must_use]
    pub fn stillborn(placing: Placing, total: Money, reason: FailureReason, words: String, moment: Moment) -> Self {
        // An order's prices are of one currency: lines of another cannot be kept.
        let of_one = placing
            .lines
            .iter()
            .all(|line| line.unit_price.currency == total.currency);
        let placing = Placing {
            token: None,
            lines: if of_one { placing.lines } else { Vec::new() },
            ..placing
        };
        let mut order = Self::begin(placing, total, State::Failed(reason), Some(words), moment.clone());
        let short = Vec::new();
        order.record(vec![Told::Failed { reason, short }], moment);
        order
    }

    /// `total` is kept even where it is not the sum of the lines: it says what was asked for.
    fn begin(placing: Placing, total: Money, state: State, words: Option<String>, moment: Moment) -> Self {
        let Placing {
            id,
            customer,
            lines,
            address,
            token,
            fingerprint,
            causation,
        } = placing;
        Self {
            id,
            customer,
            lines,
            subtotal: total,
            total,
            address,
            fingerprint,
            causation,
            state,
            payment: Payment::new(token, total),
            short: Vec::new(),
            timeline: vec![Change {
                status: state.status(),
                at: moment.now,
                actor: moment.actor,
                reason: words,
                attempt: None,
                trace_id: moment.trace_id,
            }],
            answer: None,
            outbox: Vec::new(),
            sequence: 0,
            version: 1,
            traceparent: moment.traceparent,
            created_at: moment.now,
            updated_at: moment.now,
            shipment: None,
            due_at: None,
            attempts: 0,
        }
    }
}
