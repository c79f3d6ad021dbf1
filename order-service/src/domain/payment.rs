//! What is known of an order's payment: the token, the intent at the provider, how far it came, and
//! what went back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::PaymentToken;
use shared::money::{Money, MoneyError};
use strum::Display;
use thiserror::Error;
use utoipa::ToSchema;

/// An order's payment.
#[derive(Clone, Debug)]
pub struct Payment {
    /// How far it came.
    pub state: PaymentState,
    /// What pays; gone once the payment is decided.
    pub token: Option<PaymentToken>,
    /// Counts the tokens tried, from 1: each attempt has keys of its own at the provider.
    pub attempt: u16,
    /// The provider's id, once known.
    pub intent: Option<String>,
    /// What was given back, or is to be.
    pub refunds: Vec<Refund>,
}

/// How far a payment came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The order is not paid through the shop, or costs nothing.
    NotNeeded,
    /// It is to be authorized.
    Open,
    /// The customer has to act.
    NeedsCustomer {
        /// How.
        action: NextAction,
        /// When the order fails without it.
        until: Timestamp,
    },
    /// It was refused.
    Declined {
        /// Until when another token may come; `None` once the order has failed of it.
        another_until: Option<Timestamp>,
    },
    /// The total can be captured.
    Authorized,
    /// The total has been taken.
    Captured,
    /// It was voided: nothing was ever taken.
    Voided,
    /// All that was taken has gone back.
    Returned,
}

/// What clients see of [`PaymentState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentStatus {
    /// The order is not paid through the shop, or costs nothing.
    NotNeeded,
    /// It is being authorized.
    Pending,
    /// The customer has to act: see `next_action`.
    RequiresAction,
    /// It was refused.
    Declined,
    /// The total is held on the customer's card.
    Authorized,
    /// The total has been taken.
    Captured,
    /// Nothing was taken, and nothing is held any more.
    Voided,
    /// All that was taken has gone back.
    Refunded,
}

/// What the customer has to do before the payment goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextAction {
    /// The provider's name for it, such as `redirect_to_url`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to, for `redirect_to_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Money that goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// Tells it from others.
    pub key: String,
    /// How much.
    pub amount: Money,
    /// In the merchant's words.
    pub reason: String,
    /// How far it came.
    pub state: RefundState,
}

/// How far a refund came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The provider has not answered yet.
    Pending,
    /// Made.
    Done,
    /// The provider will not make it.
    Refused,
}

/// What a payment does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PaymentRefusal {
    /// No other token can be taken now.
    #[error("this payment takes no other token now")]
    NoOtherToken,
    /// More than was captured and not yet given back.
    #[error("no more than {left} can be refunded")]
    TooMuch {
        /// What could be.
        left: Money,
    },
    /// The amount is nothing, less than nothing, or of another currency.
    #[error("this is no amount that can be refunded")]
    NotAnAmount,
}

/// Tokens that one order may try.
const MAX_ATTEMPTS: u16 = 10;

impl Payment {
    /// Of an order that costs `total` and is paid with `token`, if with any.
    #[must_use]
    pub fn new(token: Option<PaymentToken>, total: Money) -> Self {
        let (state, token) = match token {
            Some(token) if total.amount_minor > 0 => (PaymentState::Open, Some(token)),
            Some(_) | None => (PaymentState::NotNeeded, None),
        };
        Self {
            state,
            token,
            attempt: 1,
            intent: None,
            refunds: Vec::new(),
        }
    }

    /// Whether the provider can know of it.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.state != PaymentState::NotNeeded
    }

    /// What clients see.
    #[must_use]
    pub fn status(&self) -> PaymentStatus {
        match &self.state {
            PaymentState::NotNeeded => PaymentStatus::NotNeeded,
            PaymentState::Open => PaymentStatus::Pending,
            PaymentState::NeedsCustomer { .. } => PaymentStatus::RequiresAction,
            PaymentState::Declined { .. } => PaymentStatus::Declined,
            PaymentState::Authorized => PaymentStatus::Authorized,
            PaymentState::Captured => PaymentStatus::Captured,
            PaymentState::Voided => PaymentStatus::Voided,
            PaymentState::Returned => PaymentStatus::Refunded,
        }
    }

    /// What was taken of `total`.
    #[must_use]
    pub fn captured(&self, total: Money) -> Money {
        match self.state {
            PaymentState::Captured | PaymentState::Returned => total,
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::NeedsCustomer { .. }
            | PaymentState::Declined { .. }
            | PaymentState::Authorized
            | PaymentState::Voided => Money::zero(total.currency),
        }
    }

    /// What has gone back of `total`, and what is on its way.
    ///
    /// # Errors
    /// Never, as long as refunds were taken in by [`Payment::refund`].
    pub fn refunded(&self, total: Money) -> Result<Money, MoneyError> {
        if self.state == PaymentState::Returned {
            return Ok(total);
        }
        let standing = self
            .refunds
            .iter()
            .filter(|refund| refund.state != RefundState::Refused);
        Money::sum(total.currency, standing.map(|refund| refund.amount))
    }

    /// Takes another token.
    pub(super) fn pay_with(&self, token: PaymentToken, now: Timestamp) -> Result<Self, PaymentRefusal> {
        let until = match &self.state {
            PaymentState::NeedsCustomer { until, .. } => Some(*until),
            PaymentState::Declined { another_until } => *another_until,
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => None,
        };
        if until.is_none_or(|until| now >= until) || self.attempt >= MAX_ATTEMPTS {
            return Err(PaymentRefusal::NoOtherToken);
        }
        Ok(Self {
            state: PaymentState::Open,
            token: Some(token),
            attempt: self.attempt.saturating_add(1),
            ..self.clone()
        })
    }

    /// Takes a refund in, where as much is left of what was captured. `Ok(None)`: it was taken in before.
    pub(super) fn refund(&self, refund: Refund, total: Money) -> Result<Option<Self>, PaymentRefusal> {
        if self.refunds.iter().any(|known| known.key == refund.key) {
            return Ok(None);
        }
        let refunded = self.refunded(total).map_err(not_an_amount)?;
        let left = self.captured(total).checked_sub(refunded).map_err(not_an_amount)?;
        if refund.amount.currency != total.currency || refund.amount.amount_minor <= 0 {
            return Err(PaymentRefusal::NotAnAmount);
        }
        if refund.amount.amount_minor > left.amount_minor {
            return Err(PaymentRefusal::TooMuch { left });
        }
        let mut after = self.clone();
        after.refunds.push(refund);
        Ok(Some(after))
    }

    /// The provider's answer to a refund; `None`: it was known.
    pub(super) fn answered(&self, key: &str, answer: RefundState) -> Option<Self> {
        let mut after = self.clone();
        let refund = after
            .refunds
            .iter_mut()
            .find(|refund| refund.key == key && refund.state == RefundState::Pending)?;
        refund.state = answer;
        Some(after)
    }
}

fn not_an_amount(_: MoneyError) -> PaymentRefusal {
    PaymentRefusal::NotAnAmount
}
