//! A dispute of an order's payment. Its currency is its own: a bank may contest in another one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::order::DisputeStatus;
use shared::money::{Currency, Money};

use super::{StoreError, time};
use crate::domain::dispute::{Dispute, DisputeReason};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DisputeRecord {
    id: String,
    minor: i64,
    currency: Currency,
    why: DisputeReason,
    status: DisputeStatus,
    refundable: bool,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<i64>,
}

impl From<&Dispute> for DisputeRecord {
    fn from(dispute: &Dispute) -> Self {
        Self {
            id: dispute.id.clone(),
            minor: dispute.amount.amount_minor,
            currency: dispute.amount.currency,
            why: dispute.reason.clone(),
            status: dispute.status,
            refundable: dispute.refundable,
            at: dispute.opened_at.as_millisecond(),
            by: dispute.respond_by.map(Timestamp::as_millisecond),
        }
    }
}

impl DisputeRecord {
    pub(super) fn into_dispute(self) -> Result<Dispute, StoreError> {
        Ok(Dispute {
            id: self.id,
            amount: Money::new(self.minor, self.currency),
            reason: self.why,
            status: self.status,
            refundable: self.refundable,
            opened_at: time(self.at)?,
            respond_by: self.by.map(time).transpose()?,
        })
    }
}
