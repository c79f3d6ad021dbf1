//! An order: what was bought at which price, where it stands, and what happened to it.
//!
//! [`Order::apply`] is the one way in which it changes. What is left to do is `step`'s, what the timeline
//! says of a change is `timeline`'s.

use std::time::Duration;

use jiff::Timestamp;
use shared::address::Address;
use shared::contract::checkout::Line;
use shared::contract::order::{FailureReason, Shortage};
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId};
use shared::money::Money;
use thiserror::Error;
use uuid::Uuid;

use crate::domain::machine::{IllegalTransition, Input, Transition, Verdict};
use crate::domain::payment::{NoOtherToken, Payment, PaymentRefusal, PaymentState, RefundState};
use crate::domain::state::{Action, State, Tell};
use crate::domain::timeline::{Actor, Change};
use crate::domain::told::{Recorded, Told};

/// An order as it is stored. Only [`Order::apply`] and the intake make new ones.
#[derive(Clone, Debug)]
pub struct Order {
    /// Also of the checkout that it came from.
    pub id: OrderId,
    /// Whose it is.
    pub customer: CustomerId,
    /// What was bought, each product once.
    pub lines: Vec<Line>,
    /// The sum of all lines.
    pub subtotal: Money,
    /// What is paid: the subtotal and the adjustments, of which there are none yet.
    pub total: Money,
    /// Where it goes.
    pub address: Option<Address>,
    /// Of what was asked for.
    pub fingerprint: Fingerprint,
    /// The event or request that led to it.
    pub causation: String,
    /// Where it stands.
    pub state: State,
    /// Its payment.
    pub payment: Payment,
    /// What was short, where it failed of that.
    pub short: Vec<Shortage>,
    /// Each change, oldest first.
    pub timeline: Vec<Change>,
    /// The event that answers its checkout, for ever: a request that comes again gets it again.
    pub answer: Option<Recorded>,
    /// Events that are still to be published.
    pub outbox: Vec<Recorded>,
    /// Of the last event.
    pub sequence: u64,
    /// Counts its writes.
    pub version: u64,
    /// The span in which it was taken in, or, read again, that of its answer; empty for those of releases that kept neither.
    pub traceparent: String,
    /// When it was taken in.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub updated_at: Timestamp,
    /// Who carries it, once it is on its way.
    pub shipment: Option<Shipment>,
    /// When it is to be looked at, if anything is left to do.
    pub due_at: Option<Timestamp>,
    /// Tries since it last got on.
    pub attempts: u32,
}

/// Who carries an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipment {
    /// The carrier.
    pub carrier: String,
    /// The carrier's number.
    pub tracking: String,
}

/// The moment of a change, and what its events need.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When.
    pub now: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The current span.
    pub traceparent: String,
    /// The current trace.
    pub trace_id: String,
    /// Fresh ids for the events that a change tells, which are three at most.
    pub event_ids: [Uuid; 3],
}

/// What came of an input.
#[derive(Clone, Debug)]
pub enum Applied {
    /// The order as it is to be stored, with its events in the outbox.
    Changed(Box<Order>),
    /// It came late, or again: nothing is to be stored.
    Unchanged,
}

/// What was asked cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// In this state.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// With this payment.
    #[error(transparent)]
    Payment(#[from] PaymentRefusal),
}

impl Order {
    /// What becomes of it.
    ///
    /// # Errors
    /// A person asked for what its state or its payment does not allow.
    pub fn apply(&self, input: Input, moment: Moment) -> Result<Applied, Refused> {
        let transition = match self.verdict(&input)? {
            Verdict::Unchanged => return Ok(Applied::Unchanged),
            Verdict::Goes(transition) => transition,
        };
        let Some(payment) = self.payment_after(&input, &transition, moment.now)? else {
            return Ok(Applied::Unchanged);
        };
        let mut after = self.clone();
        after.payment = payment;
        after.state = transition.to;
        after.version = self.version.saturating_add(1);
        after.attempts = 0;
        if let Input::OutOfStock(short) = &input {
            after.short.clone_from(short);
        }
        if let Input::Ship { carrier, tracking } = &input {
            after.shipment = Some(Shipment {
                carrier: carrier.clone(),
                tracking: tracking.clone(),
            });
        }
        if after.state.status() != self.state.status() {
            after.updated_at = moment.now;
        }
        if let Some(reason) = self.worth_noting(&transition, &input) {
            after.timeline.push(Change {
                status: transition.to.status(),
                at: moment.now,
                actor: moment.actor,
                reason,
                attempt: self.attempt(&input),
                trace_id: moment.trace_id.clone(),
            });
        }
        let told = transition
            .tells
            .iter()
            .filter_map(|tell| after.told(*tell, &input))
            .collect();
        after.record(told, moment);
        Ok(Applied::Changed(Box::new(after)))
    }

    /// What its state makes of it; where it is refused, with what could be asked for instead.
    fn verdict(&self, input: &Input) -> Result<Verdict, IllegalTransition> {
        let verdict = self.state.next(input).map_err(|refusal| IllegalTransition {
            allowed: self.allows(),
            ..refusal
        })?;
        match (input, verdict) {
            (Input::Pay(_), Verdict::Unchanged) if !self.payment.is_needed() => Err(self.takes_no_token()),
            (_, verdict) => Ok(verdict),
        }
    }

    fn takes_no_token(&self) -> IllegalTransition {
        IllegalTransition {
            allowed: self.allows(),
            ..self.state.refuses("paid")
        }
    }

    /// What its state and payment allow, whoever asks.
    #[must_use]
    pub fn allows(&self) -> Vec<Action> {
        let waits_for_customer = matches!(
            self.payment.state,
            PaymentState::NeedsCustomer { .. } | PaymentState::Declined { .. }
        );
        let allowed = self.state.allows().iter().copied();
        allowed
            .filter(|action| match action {
                Action::Pay => waits_for_customer && self.payment.takes_tokens(),
                Action::Refund => {
                    !self.payment.is_contested()
                        && self.payment.left(self.total).is_ok_and(|left| left.amount_minor > 0)
                }
                Action::Cancel => !self.payment.is_contested(),
                Action::Accept | Action::Reject | Action::Ship | Action::Deliver => true,
            })
            .collect()
    }

    /// Whether the payment was taken and cannot be given back by us.
    pub(super) fn dispute_decides(&self) -> bool {
        self.payment.state == PaymentState::Captured || self.payment.is_contested()
    }

    /// The payment as the input leaves it; `None` where the input turns out to be known already.
    fn payment_after(
        &self,
        input: &Input,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Option<Payment>, Refused> {
        let payment = &self.payment;
        let with = |state| payment.answered_with(state);
        let after = match input {
            Input::Authorized { .. } if payment.is_needed() => with(PaymentState::Authorized),
            Input::NeedsCustomer { action, until } => {
                if matches!(payment.state, PaymentState::NeedsCustomer { .. }) {
                    return Ok(None);
                }
                with(PaymentState::NeedsCustomer {
                    action: action.clone(),
                    until: *until,
                })
            }
            Input::Declined { another_until } => {
                if another_until.is_some() && matches!(payment.state, PaymentState::Declined { .. }) {
                    return Ok(None);
                }
                with(PaymentState::Declined {
                    another_until: *another_until,
                })
            }
            Input::Fulfilled if payment.is_needed() => with(PaymentState::Captured),
            Input::Undone { refunded } if payment.is_needed() => with(match refunded {
                Some(_) => PaymentState::Returned,
                // Taken, and not given back by us: the dispute decides who has it.
                None if self.dispute_decides() => PaymentState::Captured,
                None => PaymentState::Voided,
            }),
            Input::Pay(token) => match payment.pay_with(token.clone(), now) {
                Ok(Some(after)) => after,
                Ok(None) => return Ok(None),
                Err(NoOtherToken) => return Err(self.takes_no_token().into()),
            },
            Input::Refund(request) => return Ok(payment.refund(request, self.total, now)?),
            Input::RefundDone(id) => return Ok(payment.answered(*id, RefundState::Done)),
            Input::RefundRefused(id) => return Ok(payment.answered(*id, RefundState::Refused)),
            Input::Disputed(dispute) => return Ok(payment.disputed(dispute)),
            // It would have to be refunded.
            Input::Cancel { .. } if payment.is_contested() => return Err(PaymentRefusal::Disputed.into()),
            Input::Authorized { .. }
            | Input::OutOfStock(_)
            | Input::HoldLost
            | Input::PaymentExpired
            | Input::AcceptanceExpired
            | Input::Fulfilled
            | Input::CaptureRefused
            | Input::Undone { .. }
            | Input::Accept
            | Input::Reject { .. }
            | Input::Cancel { .. }
            | Input::Ship { .. }
            | Input::Deliver => payment.clone(),
        };
        let decided = !matches!(transition.to, State::Pending(_));
        Ok(Some(Payment {
            token: after.token.filter(|_| !decided),
            ..after
        }))
    }

    /// The figures of an event that this change tells. `self` is the order after the change; `None`
    /// would be an event without its cause, which [`State::next`] never asks for.
    fn told(&self, tell: Tell, input: &Input) -> Option<Told> {
        Some(match (tell, input) {
            (Tell::Placed, _) => Told::Placed,
            (Tell::Confirmed, _) => Told::Confirmed,
            (Tell::Delivered, _) => Told::Delivered,
            (Tell::AwaitingAcceptance, Input::Authorized { answer_by }) => {
                Told::AwaitingAcceptance { answer_by: *answer_by }
            }
            (Tell::Failed, _) => Told::Failed {
                reason: self.failure().unwrap_or(FailureReason::Cancelled),
                short: self.short.clone(),
            },
            (Tell::Rejected, _) => Told::Rejected {
                reason: self.words_of_the_decision(),
            },
            (Tell::Cancelled, _) => Told::Cancelled {
                reason: self.words_of_the_decision(),
            },
            (Tell::Shipped, Input::Ship { carrier, tracking }) => Told::Shipped {
                carrier: carrier.clone(),
                tracking: tracking.clone(),
            },
            (Tell::Refunded, Input::Undone { refunded: Some(amount) }) => Told::Refunded {
                amount: *amount,
                refunded_total: self.payment.refunded(self.total).ok()?,
                reason: self.words_of_the_decision(),
            },
            (Tell::Refunded, Input::RefundDone(id)) => {
                let refund = self.payment.refund_of(*id)?;
                Told::Refunded {
                    amount: refund.amount,
                    refunded_total: self.payment.refunded(self.total).ok()?,
                    reason: refund.reason.clone(),
                }
            }
            (Tell::Disputed, Input::Disputed(dispute)) => Told::Disputed(dispute.clone()),
            _ => return None,
        })
    }

    /// Puts events into the outbox.
    pub(super) fn record(&mut self, told: Vec<Told>, moment: Moment) {
        for (told, id) in told.into_iter().zip(moment.event_ids) {
            self.sequence = self.sequence.saturating_add(1);
            let recorded = Recorded {
                id,
                at: moment.now,
                sequence: self.sequence,
                traceparent: moment.traceparent.clone(),
                told,
            };
            if self.answer.is_none() && recorded.told.is_answer() {
                self.answer = Some(recorded.clone());
            }
            self.outbox.push(recorded);
        }
    }

    /// Why it failed, or is failing.
    #[must_use]
    pub fn failure(&self) -> Option<FailureReason> {
        match self.state {
            State::Failed(reason) | State::Failing(_, reason) => Some(reason),
            State::Pending(_)
            | State::AwaitingAcceptance { .. }
            | State::Confirming(_)
            | State::Cancelling(_)
            | State::Confirmed
            | State::Shipped
            | State::Delivered
            | State::Cancelled => None,
        }
    }
}

/// That much later, or at the end of time.
#[must_use]
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}
