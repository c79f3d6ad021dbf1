//! Money that goes back to the cardholder: refunds, and disputes.

use serde_json::Value;

use super::super::call::{Evidence, NewRefund, Refunded};
use super::super::charge::{Dispute, DisputeStatus, Refund};
use super::super::fault::Fault;
use super::super::intent::PaymentIntent;
use super::super::keys::Answer;
use super::super::ledger::Ledger;
use super::super::present;
use super::super::refusal::Refusal;
use super::{Changes, Desk, Effect, Reply, new_id};

/// A merchant's time to answer a dispute.
const ANSWERED_WITHIN_S: i64 = 7 * 24 * 60 * 60;

impl Desk {
    pub(super) fn refund(&self, ledger: &Ledger, new: NewRefund, now: i64) -> Result<Effect, Fault> {
        let before = match &new.of {
            Refunded::Intent(id) => ledger
                .intents
                .get(id)
                .ok_or_else(|| Fault::no_such_parameter("payment_intent", "payment_intent", id))?,
            Refunded::Charge(id) => ledger
                .intents
                .newest_first(None)
                .find(|intent| intent.latest_charge().is_some_and(|charge| charge.id == *id))
                .ok_or_else(|| Fault::no_such_parameter("charge", "charge", id))?,
        };
        if let Some(charge) = before.latest_charge()
            && let Some(dispute) = charge.dispute.as_ref().and_then(|id| ledger.disputes.get(id))
            && !dispute.status.is_charge_refundable()
        {
            let charge = charge.id.clone();
            return self.refused(&Refusal::Disputed { charge }, before);
        }
        let mut after = before.clone();
        let (amount, charge) = match after.refund(new.amount) {
            Ok(refunded) => refunded,
            Err(refusal) => return self.refused(&refusal, before),
        };
        let refund = Refund {
            id: new_id("re"),
            payment_intent: after.id.clone(),
            charge,
            amount,
            currency: after.currency.clone(),
            reason: new.reason,
            metadata: new.metadata,
            created: now,
        };
        let charge = after.latest_charge().map(|charge| present::charge(&after, charge));
        Ok(Effect {
            reply: Reply::Answer(Answer::new(200, &present::refund(&refund))),
            changes: Changes {
                events: charge.map(|charge| ("charge.refunded", charge)).into_iter().collect(),
                intent: Some(after),
                refund: Some(refund),
                dispute: None,
            },
        })
    }

    /// Evidence decides at once, where Stripe's test mode takes a moment.
    pub(super) fn answer_dispute(&self, ledger: &Ledger, id: &str, evidence: Evidence) -> Result<Effect, Fault> {
        let dispute = open_dispute(ledger, id)?;
        let is_inquiry = matches!(
            dispute.status,
            DisputeStatus::WarningNeedsResponse | DisputeStatus::WarningUnderReview
        );
        let status = match (evidence, is_inquiry) {
            (Evidence::Winning, false) => DisputeStatus::Won,
            (Evidence::Winning, true) => DisputeStatus::WarningClosed,
            // What was asked is not answered well, and is disputed now.
            (Evidence::Losing, true) => DisputeStatus::NeedsResponse,
            (Evidence::Losing, false) => DisputeStatus::Lost,
            (Evidence::Other, false) => DisputeStatus::UnderReview,
            (Evidence::Other, true) => DisputeStatus::WarningUnderReview,
        };
        Ok(became(dispute, status))
    }

    pub(super) fn close_dispute(&self, ledger: &Ledger, id: &str) -> Result<Effect, Fault> {
        Ok(became(open_dispute(ledger, id)?, DisputeStatus::Lost))
    }
}

/// The dispute of a payment that was captured just now, where its method is one of those.
pub(super) fn contested(intent: &mut PaymentIntent, now: i64) -> Option<Dispute> {
    let (payment_intent, currency) = (intent.id.clone(), intent.currency.clone());
    let id = new_id("dp");
    let (charge, how) = intent.dispute(id.clone())?;
    Some(Dispute {
        id,
        charge: charge.id.clone(),
        payment_intent,
        amount: charge.captured,
        currency,
        reason: how.reason.to_owned(),
        status: if how.is_inquiry {
            DisputeStatus::WarningNeedsResponse
        } else {
            DisputeStatus::NeedsResponse
        },
        created: now,
        due_by: now.saturating_add(ANSWERED_WITHIN_S),
    })
}

fn open_dispute(ledger: &Ledger, id: &str) -> Result<Dispute, Fault> {
    let dispute = ledger.disputes.get(id).cloned();
    let dispute = dispute.ok_or_else(|| Fault::no_such("dispute", "dispute", id))?;
    if dispute.status.is_final() {
        return Err(Fault::refused(&Refusal::DisputeClosed));
    }
    Ok(dispute)
}

fn became(dispute: Dispute, status: DisputeStatus) -> Effect {
    let dispute = Dispute { status, ..dispute };
    let shown: Value = present::dispute(&dispute);
    let kind = if status.is_final() {
        "charge.dispute.closed"
    } else {
        "charge.dispute.updated"
    };
    Effect {
        reply: Reply::Answer(Answer::new(200, &shown)),
        changes: Changes {
            dispute: Some(dispute),
            events: vec![(kind, shown)],
            ..Changes::default()
        },
    }
}
