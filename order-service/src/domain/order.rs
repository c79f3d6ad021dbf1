//! An order: what was bought at which price, where it stands, and what happened to it.
//!
//! [`Order::apply`] is the one way in which it changes; [`Order::step`] says what is left to do, and
//! is all that a worker needs to go on after any other one died.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::address::Address;
use shared::contract::checkout::Line;
use shared::contract::order::{FailureReason, Shortage};
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId};
use shared::money::Money;
use strum::Display;
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::machine::{IllegalTransition, Input, Transition, Verdict};
use crate::domain::payment::{Payment, PaymentRefusal, PaymentState, Refund, RefundState};
use crate::domain::state::{Action, State, Status, Tell};
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
    /// When it was taken in.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub updated_at: Timestamp,
    /// When it is to be looked at, if anything is left to do.
    pub due_at: Option<Timestamp>,
    /// Tries since it last got on.
    pub attempts: u32,
}

/// A change on an order's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What clients saw from then on.
    pub status: Status,
    /// When.
    pub at: Timestamp,
    /// Who made it.
    pub actor: Actor,
    /// Why, if there is more to say than the status does.
    pub reason: Option<String>,
    /// Of the trace in which it was made.
    pub trace_id: String,
}

/// Who changed an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Display, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Actor {
    /// Whose order it is.
    Customer,
    /// The shop's people.
    Merchant,
    /// The shop itself: stock, payment, deadlines.
    System,
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

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// In which the customer may cancel before anything is done.
    pub grace: Duration,
    /// In which a customer may name another token after a refusal.
    pub payment_retry: Duration,
    /// In which a customer has to complete the payment, once asked to.
    pub payment_deadline: Duration,
    /// In which a merchant has to answer.
    pub acceptance: Duration,
}

/// What is left to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing before that moment, or nothing at all.
    Wait(Option<Timestamp>),
    /// Hold the stock and authorize the payment.
    Place,
    /// See whether the customer has acted.
    LookUpPayment,
    /// A deadline has passed: apply this.
    Decide(Input),
    /// Commit the reservation and capture the payment.
    Confirm,
    /// Give stock and payment back.
    Undo,
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
        let transition = match self.state.next(&input)? {
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
        if after.state.status() != self.state.status() {
            after.updated_at = moment.now;
        }
        if let Some(reason) = self.worth_noting(&transition, &input) {
            after.timeline.push(Change {
                status: transition.to.status(),
                at: moment.now,
                actor: moment.actor,
                reason,
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

    /// What is left to do at this moment.
    #[must_use]
    pub fn step(&self, now: Timestamp, terms: &Terms) -> Step {
        match self.state {
            State::Pending(_) => self.step_of_pending(now, terms),
            State::AwaitingAcceptance { answer_by } if now >= answer_by => Step::Decide(Input::AcceptanceExpired),
            State::AwaitingAcceptance { answer_by } => Step::Wait(Some(answer_by)),
            State::Confirming(_) => Step::Confirm,
            State::Failing(..) | State::Cancelling(_) => Step::Undo,
            State::Confirmed | State::Shipped | State::Delivered | State::Failed(_) | State::Cancelled => {
                Step::Wait(None)
            }
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
                Action::Pay => waits_for_customer,
                Action::Refund => self.payment.state == PaymentState::Captured,
                Action::Accept | Action::Reject | Action::Cancel | Action::Ship | Action::Deliver => true,
            })
            .collect()
    }

    /// How long its stock has to be held: longer than all of its deadlines together, since a hold that
    /// ends before its order is decided sells the stock to somebody else.
    #[must_use]
    pub fn hold(terms: &Terms) -> Duration {
        const MARGIN: Duration = Duration::from_secs(600);
        terms.grace + terms.payment_retry + terms.payment_deadline + terms.acceptance + MARGIN
    }

    fn step_of_pending(&self, now: Timestamp, terms: &Terms) -> Step {
        let grace_ends = later(self.created_at, terms.grace);
        if now < grace_ends {
            return Step::Wait(Some(grace_ends));
        }
        match &self.payment.state {
            PaymentState::Declined {
                another_until: Some(until),
            } if now < *until => Step::Wait(Some(*until)),
            PaymentState::Declined { .. } => Step::Decide(Input::Declined { another_until: None }),
            PaymentState::NeedsCustomer { until, .. } if now < *until => Step::LookUpPayment,
            PaymentState::NeedsCustomer { .. } => Step::Decide(Input::PaymentExpired),
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => Step::Place,
        }
    }

    /// The payment as the input leaves it; `None` where the input turns out to be known already.
    fn payment_after(
        &self,
        input: &Input,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Option<Payment>, PaymentRefusal> {
        let payment = &self.payment;
        let with = |state: PaymentState| Payment {
            state,
            ..payment.clone()
        };
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
                None => PaymentState::Voided,
            }),
            Input::Pay(token) => payment.pay_with(token.clone(), now)?,
            Input::Refund { key, amount, reason } => {
                let refund = Refund {
                    key: key.clone(),
                    amount: *amount,
                    reason: reason.clone(),
                    state: RefundState::Pending,
                };
                return payment.refund(refund, self.total);
            }
            Input::RefundDone { key } => return Ok(payment.answered(key, RefundState::Done)),
            Input::RefundRefused { key } => return Ok(payment.answered(key, RefundState::Refused)),
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

    /// Whether a change belongs on the timeline, and with which words: a new status, or a decision
    /// that clients see nothing of yet but compensation follows from.
    fn worth_noting(&self, transition: &Transition, input: &Input) -> Option<Option<String>> {
        let words = match input {
            Input::Reject { reason } | Input::Cancel { reason } => Some(reason.clone()),
            Input::Refund { amount, reason, .. } => Some(format!("refund of {amount}: {reason}")),
            Input::Declined { another_until } => Some(match another_until {
                Some(until) => format!("payment declined; another token may be named until {until}"),
                None => "payment declined".to_owned(),
            }),
            Input::NeedsCustomer { until, .. } => {
                Some(format!("the customer has to complete the payment until {until}"))
            }
            Input::OutOfStock(_) => Some("out of stock".to_owned()),
            Input::HoldLost => Some("the stock was no longer held".to_owned()),
            Input::PaymentExpired => Some("the payment was not completed in time".to_owned()),
            Input::AcceptanceExpired => Some("the merchant did not answer in time".to_owned()),
            Input::CaptureRefused => Some("the payment could not be captured".to_owned()),
            Input::Pay(_) => Some("another payment token".to_owned()),
            Input::Undone { refunded } => self.payment.is_needed().then(|| match refunded {
                Some(amount) => format!("stock given back, {amount} refunded"),
                None => "stock given back, payment voided".to_owned(),
            }),
            Input::Authorized { .. }
            | Input::Fulfilled
            | Input::Accept
            | Input::Ship { .. }
            | Input::Deliver
            | Input::RefundDone { .. }
            | Input::RefundRefused { .. } => None,
        };
        let new_status = transition.to.status() != self.state.status();
        (new_status || words.is_some()).then_some(words)
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
            (Tell::Refunded, Input::RefundDone { key }) => {
                let refund = self.payment.refunds.iter().find(|refund| refund.key == *key)?;
                Told::Refunded {
                    amount: refund.amount,
                    refunded_total: self.payment.refunded(self.total).ok()?,
                    reason: refund.reason.clone(),
                }
            }
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

    /// What was said with the decision that has just been carried out: it stands on the timeline
    /// right before the end.
    fn words_of_the_decision(&self) -> String {
        let decision = self.timeline.iter().rev().nth(1);
        decision.and_then(|change| change.reason.clone()).unwrap_or_default()
    }
}

/// That much later, or at the end of time.
#[must_use]
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_add(by).unwrap_or(Timestamp::MAX)
}
