//! Events that an order keeps: those still to be published, and its answer.

use serde::{Deserialize, Serialize};
use shared::contract::order::{FailureReason, Shortage};
use shared::money::{Currency, Money};
use uuid::Uuid;

use super::dispute::DisputeRecord;
use super::{StoreError, time};
use crate::domain::told::{Recorded, Told};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EventRecord {
    id: Uuid,
    at: i64,
    seq: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    trace: String,
    told: ToldRecord,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToldRecord {
    Placed,
    Awaiting { by: i64 },
    Confirmed,
    Failed { why: FailureReason, short: Vec<Shortage> },
    Rejected { why: String },
    Cancelled { why: String },
    Shipped { carrier: String, tracking: String },
    Delivered,
    Refunded { minor: i64, total: i64, why: String },
    Disputed(DisputeRecord),
}

impl From<&Recorded> for EventRecord {
    fn from(event: &Recorded) -> Self {
        Self {
            id: event.id,
            at: event.at.as_millisecond(),
            seq: event.sequence,
            trace: event.traceparent.clone(),
            told: match event.told.clone() {
                Told::Placed => ToldRecord::Placed,
                Told::AwaitingAcceptance { answer_by } => ToldRecord::Awaiting {
                    by: answer_by.as_millisecond(),
                },
                Told::Confirmed => ToldRecord::Confirmed,
                Told::Failed { reason, short } => ToldRecord::Failed { why: reason, short },
                Told::Rejected { reason } => ToldRecord::Rejected { why: reason },
                Told::Cancelled { reason } => ToldRecord::Cancelled { why: reason },
                Told::Shipped { carrier, tracking } => ToldRecord::Shipped { carrier, tracking },
                Told::Delivered => ToldRecord::Delivered,
                Told::Refunded {
                    amount,
                    refunded_total,
                    reason,
                } => ToldRecord::Refunded {
                    minor: amount.amount_minor,
                    total: refunded_total.amount_minor,
                    why: reason,
                },
                Told::Disputed(dispute) => ToldRecord::Disputed(DisputeRecord::from(&dispute)),
            },
        }
    }
}

impl EventRecord {
    pub(super) fn into_event(self, currency: Currency) -> Result<Recorded, StoreError> {
        Ok(Recorded {
            id: self.id,
            at: time(self.at)?,
            sequence: self.seq,
            traceparent: self.trace,
            told: match self.told {
                ToldRecord::Placed => Told::Placed,
                ToldRecord::Awaiting { by } => Told::AwaitingAcceptance { answer_by: time(by)? },
                ToldRecord::Confirmed => Told::Confirmed,
                ToldRecord::Failed { why, short } => Told::Failed { reason: why, short },
                ToldRecord::Rejected { why } => Told::Rejected { reason: why },
                ToldRecord::Cancelled { why } => Told::Cancelled { reason: why },
                ToldRecord::Shipped { carrier, tracking } => Told::Shipped { carrier, tracking },
                ToldRecord::Delivered => Told::Delivered,
                ToldRecord::Refunded { minor, total, why } => Told::Refunded {
                    amount: Money::new(minor, currency),
                    refunded_total: Money::new(total, currency),
                    reason: why,
                },
                ToldRecord::Disputed(dispute) => Told::Disputed(dispute.into_dispute()?),
            },
        })
    }
}
