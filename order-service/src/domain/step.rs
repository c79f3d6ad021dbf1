//! What is left to do about an order, read off the order alone: all that a worker needs to go on after
//! any other one died.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::machine::Input;
use crate::domain::order::{Order, later};
use crate::domain::payment::{NextAction, PaymentState, Refund};
use crate::domain::state::State;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// In which the customer may cancel before anything is done.
    pub grace: Duration,
    /// In which a customer may name other tokens after the first refusal.
    pub payment_retry: Duration,
    /// In which a customer has to complete the payment, once asked to; and in which the provider has to
    /// answer, once it does not.
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
    /// Make this refund.
    Refund(Refund),
    /// Give stock and payment back.
    Undo,
}

impl Order {
    /// What is left to do at this moment.
    #[must_use]
    pub fn step(&self, now: Timestamp, terms: &Terms) -> Step {
        match self.state {
            State::Pending(_) => self.step_of_pending(now, terms),
            State::AwaitingAcceptance { answer_by } if now >= answer_by => Step::Decide(Input::AcceptanceExpired),
            State::AwaitingAcceptance { answer_by } => Step::Wait(Some(answer_by)),
            State::Confirming(_) => Step::Confirm,
            State::Failing(..) => Step::Undo,
            // What is left goes back in one, and how much that is depends on the refunds before it.
            State::Cancelling(_) => self.next_refund().unwrap_or(Step::Undo),
            State::Confirmed | State::Shipped | State::Delivered => self.next_refund().unwrap_or(Step::Wait(None)),
            State::Failed(_) | State::Cancelled => Step::Wait(None),
        }
    }

    /// When something is decided by time alone, if nothing else happens until then.
    #[must_use]
    pub fn deadline(&self, terms: &Terms) -> Option<Timestamp> {
        match (&self.state, &self.payment.state) {
            (State::AwaitingAcceptance { answer_by }, _) => Some(*answer_by),
            (State::Pending(_), PaymentState::NeedsCustomer { until, .. }) => Some(*until),
            (State::Pending(_), PaymentState::Declined { another_until }) => *another_until,
            (State::Pending(_), PaymentState::Open) => {
                let since = self.payment.patience.unanswered_since;
                since.map(|since| later(since, terms.payment_deadline))
            }
            (
                State::Pending(_),
                PaymentState::NotNeeded
                | PaymentState::Authorized
                | PaymentState::Captured
                | PaymentState::Voided
                | PaymentState::Returned,
            )
            | (
                State::Confirming(_)
                | State::Failing(..)
                | State::Cancelling(_)
                | State::Confirmed
                | State::Shipped
                | State::Delivered
                | State::Failed(_)
                | State::Cancelled,
                _,
            ) => None,
        }
    }

    /// Notes that the provider was asked about the present token and did not answer: from the first time
    /// on it has the payment's deadline to do so.
    pub fn note_silence(&mut self, now: Timestamp) {
        if matches!(self.state, State::Pending(_)) && self.payment.state == PaymentState::Open {
            self.payment.patience.unanswered_since.get_or_insert(now);
        }
    }

    /// What follows from a refusal of the present token: the first one opens the time for others.
    #[must_use]
    pub fn declined(&self, now: Timestamp, terms: &Terms) -> Input {
        let until = match self.payment.patience.retry_until {
            Some(until) => until,
            None => later(now, terms.payment_retry),
        };
        Input::Declined {
            another_until: Some(until).filter(|until| now < *until && self.payment.takes_tokens()),
        }
    }

    /// What follows from the provider's wish that the customer do something: the first one sets the
    /// deadline. An outage before has taken nothing of their time.
    #[must_use]
    pub fn needs_customer(&self, action: NextAction, now: Timestamp, terms: &Terms) -> Input {
        let until = self.payment.patience.act_until;
        Input::NeedsCustomer {
            action,
            until: until.unwrap_or_else(|| later(now, terms.payment_deadline)),
        }
    }

    /// How long its stock has to be held: longer than all of its deadlines together, since a hold that
    /// ends before its order is decided sells the stock to somebody else.
    #[must_use]
    pub fn hold(terms: &Terms) -> Duration {
        const MARGIN: Duration = Duration::from_secs(600);
        terms.grace + terms.payment_retry + terms.payment_deadline + terms.acceptance + MARGIN
    }

    fn next_refund(&self) -> Option<Step> {
        self.payment.next_refund().cloned().map(Step::Refund)
    }

    fn step_of_pending(&self, now: Timestamp, terms: &Terms) -> Step {
        let grace_ends = later(self.created_at, terms.grace);
        if now < grace_ends {
            return Step::Wait(Some(grace_ends));
        }
        let deadline = self.deadline(terms);
        match &self.payment.state {
            PaymentState::Open if deadline.is_some_and(|deadline| now >= deadline) => {
                Step::Decide(Input::PaymentExpired)
            }
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
}
