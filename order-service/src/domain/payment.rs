//! What is known of an order's payment: the token, the intent at the provider, how far it came, and
//! what went back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::PaymentToken;
use shared::money::{Money, MoneyError};
use strum::Display;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::dispute::Dispute;

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
    /// What the customer's bank took back, or may, oldest first.
    pub disputes: Vec<Dispute>,
    /// When its waiting ends.
    pub patience: Patience,
}

/// How long a payment may wait, for whom. Each begins when it is first needed; none begins anew with
/// another token, so that a payment comes to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// Since when the provider has owed an answer about the present token. This alone begins anew with
    /// each answer.
    pub unanswered_since: Option<Timestamp>,
    /// When the last token may be named, once one was refused.
    pub retry_until: Option<Timestamp>,
    /// When the customer has to have completed it, once asked to.
    pub act_until: Option<Timestamp>,
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
    /// Made of the order, who asked, and their key.
    pub id: Uuid,
    /// How much.
    pub amount: Money,
    /// What was asked for.
    pub asked: Asked,
    /// In the merchant's words.
    pub reason: String,
    /// How far it came.
    pub state: RefundState,
    /// When it was taken in.
    pub at: Timestamp,
}

/// How much of what is left a refund was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// An amount.
    #[default]
    Amount,
    /// All that was left.
    Rest,
}

/// A refund as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Made of the order, who asks, and their key.
    pub id: Uuid,
    /// How much; `None`: all that is left.
    pub amount: Option<Money>,
    /// In the merchant's words.
    pub reason: String,
}

/// How far a refund came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// The provider has not answered yet.
    Pending,
    /// Made.
    Done,
    /// The provider will not make it.
    Refused,
}

/// No other token can be taken now.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this payment takes no other token now")]
pub struct NoOtherToken;

/// What a payment does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PaymentRefusal {
    /// More than was captured and not yet given back.
    #[error("no more than {left} can be refunded")]
    TooMuch {
        /// What could be.
        left: Money,
    },
    /// The order has as many refunds as it may.
    #[error("an order has at most {MAX_REFUNDS} refunds")]
    TooMany,
    /// The amount is nothing, less than nothing, or of another currency.
    #[error("this is no amount that can be refunded")]
    NotAnAmount,
    /// The customer's bank has the money, or may take it: the provider makes no refund beside.
    #[error("the payment is disputed, and its provider makes no refund meanwhile: answer the dispute there")]
    Disputed,
}

/// Tokens that one order may try.
const MAX_ATTEMPTS: u16 = 10;
/// Refunds of one order, refused ones too. They are kept with it for ever, and the longest reasons of all
/// of them, on the timeline and in events too, leave its item below DynamoDB's 400 KB.
pub const MAX_REFUNDS: usize = 30;
/// Disputes of one payment that are noted. More than two of one card payment are not known of.
const MAX_DISPUTES: usize = 10;

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
            disputes: Vec::new(),
            patience: Patience::default(),
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

    /// What has gone back of `total`.
    ///
    /// # Errors
    /// Never, as long as refunds were taken in by [`Payment::refund`].
    pub fn refunded(&self, total: Money) -> Result<Money, MoneyError> {
        self.given_back(total, |refund| refund.state == RefundState::Done)
    }

    /// What of `total` was captured, has not gone back, and is not on its way.
    ///
    /// # Errors
    /// As [`Payment::refunded`].
    pub fn left(&self, total: Money) -> Result<Money, MoneyError> {
        let promised = self.given_back(total, |refund| refund.state != RefundState::Refused)?;
        self.captured(total).checked_sub(promised)
    }

    /// The refund of that id.
    #[must_use]
    pub fn refund_of(&self, id: Uuid) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// The first refund that the provider has not answered.
    #[must_use]
    pub fn next_refund(&self) -> Option<&Refund> {
        let mut refunds = self.refunds.iter();
        refunds.find(|refund| refund.state == RefundState::Pending)
    }

    fn given_back(&self, total: Money, counts: impl Fn(&Refund) -> bool) -> Result<Money, MoneyError> {
        if self.state == PaymentState::Returned {
            return Ok(total);
        }
        let counted = self.refunds.iter().filter(|refund| counts(refund));
        Money::sum(total.currency, counted.map(|refund| refund.amount))
    }

    /// Whether the provider makes no refunds of it, since it is disputed.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.disputes.iter().any(|dispute| !dispute.refundable)
    }

    /// Notes what is new of a dispute. `None`: nothing is, or there are too many already.
    pub(super) fn disputed(&self, dispute: &Dispute) -> Option<Self> {
        if !self.is_needed() {
            return None;
        }
        let is_full = self.disputes.len() >= MAX_DISPUTES;
        let mut after = self.clone();
        match after.disputes.iter_mut().find(|known| known.id == dispute.id) {
            Some(known) if known == dispute => return None,
            Some(known) => known.clone_from(dispute),
            None if is_full => return None,
            None => after.disputes.push(dispute.clone()),
        }
        if after.state == PaymentState::Voided {
            // What was thought to be given back in time had been taken.
            after.state = PaymentState::Captured;
        }
        Some(after)
    }

    /// With that state, now that the provider has answered.
    pub(super) fn answered_with(&self, state: PaymentState) -> Self {
        let mut after = self.clone();
        match &state {
            PaymentState::NeedsCustomer { until, .. } => after.patience.act_until = Some(*until),
            PaymentState::Declined {
                another_until: Some(until),
            } => after.patience.retry_until = Some(*until),
            PaymentState::Declined { another_until: None }
            | PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => {}
        }
        after.patience.unanswered_since = None;
        after.state = state;
        after
    }

    /// Whether another token could be named, but for the time.
    pub(super) fn takes_tokens(&self) -> bool {
        self.attempt < MAX_ATTEMPTS
    }

    /// Takes another token; `Ok(None)`: this one was taken before, and is being tried.
    pub(super) fn pay_with(&self, token: PaymentToken, now: Timestamp) -> Result<Option<Self>, NoOtherToken> {
        let until = match &self.state {
            PaymentState::NeedsCustomer { until, .. } => Some(*until),
            PaymentState::Declined { another_until } => *another_until,
            PaymentState::Open if self.is_tried(&token) => return Ok(None),
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => None,
        };
        if until.is_none_or(|until| now >= until) || !self.takes_tokens() {
            return Err(NoOtherToken);
        }
        let mut after = self.answered_with(PaymentState::Open);
        after.token = Some(token);
        after.attempt = self.attempt.saturating_add(1);
        Ok(Some(after))
    }

    fn is_tried(&self, token: &PaymentToken) -> bool {
        let present = self.token.as_ref();
        present.is_some_and(|present| present.expose() == token.expose())
    }

    /// Takes a refund in, where as much is left of what was captured. `Ok(None)`: it was taken in before.
    pub(super) fn refund(
        &self,
        request: &RefundRequest,
        total: Money,
        now: Timestamp,
    ) -> Result<Option<Self>, PaymentRefusal> {
        if self.refund_of(request.id).is_some() {
            return Ok(None);
        }
        if self.is_contested() {
            return Err(PaymentRefusal::Disputed);
        }
        if self.refunds.len() >= MAX_REFUNDS {
            return Err(PaymentRefusal::TooMany);
        }
        let left = self.left(total).map_err(not_an_amount)?;
        let (amount, asked) = match request.amount {
            Some(amount) => (amount, Asked::Amount),
            None => (left, Asked::Rest),
        };
        if amount.currency != total.currency || amount.amount_minor < 0 {
            return Err(PaymentRefusal::NotAnAmount);
        }
        match (amount.amount_minor, asked) {
            (0, Asked::Amount) => return Err(PaymentRefusal::NotAnAmount),
            (0, Asked::Rest) => return Err(PaymentRefusal::TooMuch { left }),
            (minor, _) if minor > left.amount_minor => return Err(PaymentRefusal::TooMuch { left }),
            _ => {}
        }
        let mut after = self.clone();
        after.refunds.push(Refund {
            id: request.id,
            amount,
            asked,
            reason: request.reason.clone(),
            state: RefundState::Pending,
            at: now,
        });
        Ok(Some(after))
    }

    /// The provider's answer to a refund; `None`: it was known.
    pub(super) fn answered(&self, id: Uuid, answer: RefundState) -> Option<Self> {
        let mut after = self.clone();
        let mut refunds = after.refunds.iter_mut();
        let refund = refunds.find(|refund| refund.id == id && refund.state == RefundState::Pending)?;
        refund.state = answer;
        Some(after)
    }
}

impl Refund {
    /// Whether that is how it was asked for.
    #[must_use]
    pub fn is_what(&self, request: &RefundRequest) -> bool {
        let amount = match self.asked {
            Asked::Amount => Some(self.amount),
            Asked::Rest => None,
        };
        (self.id, amount, &self.reason) == (request.id, request.amount, &request.reason)
    }
}

fn not_an_amount(_: MoneyError) -> PaymentRefusal {
    PaymentRefusal::NotAnAmount
}
