//! An order's payment. Amounts are in the order's currency.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::checkout::PaymentToken;
use shared::money::{Currency, Money};
use uuid::Uuid;

use super::dispute::DisputeRecord;
use super::{StoreError, contradiction, time};
use crate::domain::payment::{Asked, NextAction, Patience, Payment, PaymentState, Refund, RefundState};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PaymentRecord {
    state: PaymentStateRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    n: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<NextAction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<RefundRecord>,
    /// Deadlines that outlive a state: the provider's, that for other tokens, the customer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    silent: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disputes: Vec<DisputeRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PaymentStateRecord {
    None,
    Open,
    Action,
    Declined,
    Authorized,
    Captured,
    Voided,
    Returned,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RefundRecord {
    /// Its id; the release before calls it so.
    key: Uuid,
    minor: i64,
    reason: String,
    state: RefundState,
    #[serde(default, skip_serializing_if = "is_amount")]
    asked: Asked,
    /// The release before drops it: then it is as old as can be, and looked for before it is made.
    #[serde(default)]
    at: i64,
}

fn is_amount(asked: &Asked) -> bool {
    *asked == Asked::Amount
}

impl From<&Payment> for PaymentRecord {
    fn from(payment: &Payment) -> Self {
        let (state, action, until) = match &payment.state {
            PaymentState::NotNeeded => (PaymentStateRecord::None, None, None),
            PaymentState::Open => (PaymentStateRecord::Open, None, None),
            PaymentState::NeedsCustomer { action, until } => {
                (PaymentStateRecord::Action, Some(action.clone()), Some(*until))
            }
            PaymentState::Declined { another_until } => (PaymentStateRecord::Declined, None, *another_until),
            PaymentState::Authorized => (PaymentStateRecord::Authorized, None, None),
            PaymentState::Captured => (PaymentStateRecord::Captured, None, None),
            PaymentState::Voided => (PaymentStateRecord::Voided, None, None),
            PaymentState::Returned => (PaymentStateRecord::Returned, None, None),
        };
        Self {
            state,
            token: payment.token.as_ref().map(|token| token.expose().to_owned()),
            n: payment.attempt,
            intent: payment.intent.clone(),
            action,
            until: until.map(Timestamp::as_millisecond),
            refunds: payment
                .refunds
                .iter()
                .map(|refund| RefundRecord {
                    key: refund.id,
                    minor: refund.amount.amount_minor,
                    asked: refund.asked,
                    reason: refund.reason.clone(),
                    state: refund.state,
                    at: refund.at.as_millisecond(),
                })
                .collect(),
            silent: payment.patience.unanswered_since.map(Timestamp::as_millisecond),
            retry: payment.patience.retry_until.map(Timestamp::as_millisecond),
            act: payment.patience.act_until.map(Timestamp::as_millisecond),
            disputes: payment.disputes.iter().map(DisputeRecord::from).collect(),
        }
    }
}

impl PaymentRecord {
    pub(super) fn into_payment(self, currency: Currency) -> Result<Payment, StoreError> {
        let until = self.until.map(time).transpose()?;
        let state = match self.state {
            PaymentStateRecord::None => PaymentState::NotNeeded,
            PaymentStateRecord::Open => PaymentState::Open,
            PaymentStateRecord::Action => PaymentState::NeedsCustomer {
                action: self.action.ok_or_else(|| contradiction("no action for the customer"))?,
                until: until.ok_or_else(|| contradiction("no deadline for the customer"))?,
            },
            PaymentStateRecord::Declined => PaymentState::Declined { another_until: until },
            PaymentStateRecord::Authorized => PaymentState::Authorized,
            PaymentStateRecord::Captured => PaymentState::Captured,
            PaymentStateRecord::Voided => PaymentState::Voided,
            PaymentStateRecord::Returned => PaymentState::Returned,
        };
        let token = self.token.map(PaymentToken::try_from).transpose();
        Ok(Payment {
            state,
            token: token.map_err(|fault| StoreError::Unreadable(fault.into()))?,
            attempt: self.n,
            intent: self.intent,
            refunds: self
                .refunds
                .into_iter()
                .map(|refund| refund.into_refund(currency))
                .collect::<Result<_, _>>()?,
            disputes: self
                .disputes
                .into_iter()
                .map(DisputeRecord::into_dispute)
                .collect::<Result<_, _>>()?,
            patience: Patience {
                unanswered_since: self.silent.map(time).transpose()?,
                retry_until: self.retry.map(time).transpose()?,
                act_until: self.act.map(time).transpose()?,
            },
        })
    }
}

impl RefundRecord {
    fn into_refund(self, currency: Currency) -> Result<Refund, StoreError> {
        Ok(Refund {
            id: self.key,
            amount: Money::new(self.minor, currency),
            asked: self.asked,
            reason: self.reason,
            state: self.state,
            at: time(self.at)?,
        })
    }
}
