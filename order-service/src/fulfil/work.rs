//! One go at an order: what is left to do, one thing after the other, until nothing is, or something
//! does not answer.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use shared::telemetry::chain;
use uuid::Uuid;

use super::{Delay, Fulfilment, now};
use crate::clients::payment::{Answer, Authorization, Capture, GivenBack, Of};
use crate::clients::product::{Committed, Reserved};
use crate::domain::machine::Input;
use crate::domain::order::{Actor, Applied, Order, Step, later};
use crate::domain::payment::PaymentState;
use crate::events;
use crate::metrics;
use crate::store::{Advanced, StoreError};

/// A go at an order. It may be dropped at any point.
pub(super) struct Work<'a> {
    on: &'a Fulfilment,
    /// As it is in the table, as far as is known.
    stored: Order,
    /// Events of it that the bus has taken and the table does not know of yet.
    published: HashSet<Uuid>,
}

/// What was found out: what becomes of the order, and the payment's id.
struct Finding {
    input: Input,
    intent: Option<String>,
}

impl Finding {
    fn of(input: Input) -> Self {
        Self { input, intent: None }
    }
}

/// More steps than any order has; a bound on what a fault of ours could do.
const MAX_STEPS: u32 = 32;
/// Between two looks at an order that does not get on.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After this many tries somebody has to look; it is still tried, but seldom.
const ALARM_AFTER: u32 = 60;
/// Looks at what waits for its customer come no less often than this many doublings say.
const LOOKS_SLOW_DOWN_AFTER: u32 = 4;
const PAUSE_WHEN_PARKED: Duration = Duration::from_secs(900);

impl<'a> Work<'a> {
    pub(super) fn on(fulfilment: &'a Fulfilment, stored: Order) -> Self {
        Self {
            on: fulfilment,
            stored,
            published: HashSet::new(),
        }
    }

    /// The order as it was last seen in the table.
    pub(super) fn into_stored(self) -> Order {
        self.stored
    }

    /// Goes on until nothing is left to do now.
    pub(super) async fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            self.publish().await;
            match self.step().await {
                Ok(Go::On) => {}
                Ok(Go::Rest) => return,
                Err(fault) => {
                    // It stays due as it was.
                    tracing::warn!(order_id = %self.stored.id, error = chain(&fault), "an order could not be stored");
                    return;
                }
            }
        }
        tracing::error!(order_id = %self.stored.id, "an order takes more steps than there are");
    }

    async fn step(&mut self) -> Result<Go, StoreError> {
        let now = now();
        let found = match self.stored.step(now, &self.on.terms) {
            Step::Wait(until) => return self.rest(now, until).await,
            Step::Decide(input) => Ok(Finding::of(input)),
            Step::Place => self.place(now).await,
            Step::LookUpPayment => self.look_up(now).await,
            Step::Confirm => self.confirm(now).await,
            Step::Undo => self.undo(now).await,
        };
        match found {
            Ok(finding) => self.decide(finding).await,
            Err(delay) => self.postpone(now, delay).await,
        }
    }

    /// Publishes what the outbox holds; what the bus took is cleared with the next write.
    async fn publish(&mut self) {
        let waiting = self
            .stored
            .outbox
            .iter()
            .filter(|event| !self.published.contains(&event.id));
        let entries = waiting
            .map(|event| events::entry(&self.stored, event))
            .collect::<Result<Vec<_>, _>>();
        match entries {
            Ok(entries) if entries.is_empty() => {}
            Ok(entries) => {
                let published = self.on.publisher.publish(&entries).await;
                let taken = entries.iter().filter(|entry| published.has(entry));
                self.published.extend(taken.map(|entry| entry.id));
            }
            Err(fault) => tracing::error!(error = %fault, "an event cannot be written"),
        }
    }

    /// Holds the stock, then authorizes the payment: both can be undone, so nothing is stored before.
    async fn place(&self, now: Timestamp) -> Result<Finding, Delay> {
        let order = &self.stored;
        let hold = Order::hold(&self.on.terms);
        match self.on.products.reserve(&order.id, &order.lines, hold).await? {
            Reserved::Held => {}
            Reserved::Short(short) => return Ok(Finding::of(Input::OutOfStock(short))),
            Reserved::Closed => return Ok(Finding::of(Input::HoldLost)),
        }
        let answer_by = later(now, self.on.terms.acceptance);
        match &order.payment.token {
            Some(token) if order.payment.is_needed() => {
                let of = self.payment(now);
                let answer = self.on.payments.authorize(of, token, order.payment.attempt).await?;
                Ok(self.authorized(answer, now))
            }
            Some(_) | None => Ok(Finding::of(Input::Authorized { answer_by })),
        }
    }

    async fn look_up(&self, now: Timestamp) -> Result<Finding, Delay> {
        let answer = self.on.payments.look_up(self.payment(now)).await?;
        Ok(self.authorized(answer, now))
    }

    fn authorized(&self, answer: Answer<Authorization>, now: Timestamp) -> Finding {
        let terms = &self.on.terms;
        // Counted from now: an outage before has taken nothing of the customer's time.
        let input = match answer.outcome {
            Authorization::Authorized => Input::Authorized {
                answer_by: later(now, terms.acceptance),
            },
            Authorization::NeedsCustomer(action) => Input::NeedsCustomer {
                action,
                until: later(now, terms.payment_deadline),
            },
            Authorization::Declined => Input::Declined {
                another_until: (!terms.payment_retry.is_zero()).then(|| later(now, terms.payment_retry)),
            },
            Authorization::TooLate => Input::PaymentExpired,
        };
        Finding {
            input,
            intent: answer.intent,
        }
    }

    /// Sells the stock, then takes the money.
    async fn confirm(&self, now: Timestamp) -> Result<Finding, Delay> {
        match self.on.products.commit(&self.stored.id).await? {
            Committed::Sold => {}
            Committed::Closed => return Ok(Finding::of(Input::HoldLost)),
        }
        if !self.stored.payment.is_needed() {
            return Ok(Finding::of(Input::Fulfilled));
        }
        let answer = self.on.payments.capture(self.payment(now)).await?;
        Ok(Finding {
            input: match answer.outcome {
                Capture::Captured => Input::Fulfilled,
                Capture::Refused => Input::CaptureRefused,
            },
            intent: answer.intent,
        })
    }

    /// Gives the stock back, then the payment.
    async fn undo(&self, now: Timestamp) -> Result<Finding, Delay> {
        self.on.products.release(&self.stored.id).await?;
        if !self.stored.payment.is_needed() {
            return Ok(Finding::of(Input::Undone { refunded: None }));
        }
        let answer = self.on.payments.give_back(self.payment(now)).await?;
        Ok(Finding {
            input: Input::Undone {
                refunded: match answer.outcome {
                    GivenBack::Voided => None,
                    GivenBack::Refunded(amount) => Some(amount),
                },
            },
            intent: answer.intent,
        })
    }

    fn payment(&self, now: Timestamp) -> Of<'_> {
        Of {
            order: &self.stored.id,
            total: self.stored.total,
            intent: self.stored.payment.intent.as_deref(),
            since: self.stored.created_at,
            now,
        }
    }

    /// Stores what follows from a finding.
    async fn decide(&mut self, finding: Finding) -> Result<Go, StoreError> {
        let now = now();
        let mut order = self.stored.clone();
        order.payment.intent = finding.intent.or(order.payment.intent);
        let mut after = match order.apply(finding.input, self.on.moment(now, Actor::System)) {
            Ok(Applied::Changed(after)) => *after,
            Ok(Applied::Unchanged) => return self.look_again(now, order).await,
            Err(refusal) => {
                tracing::error!(order_id = %order.id, error = chain(&refusal), "the saga asked for what cannot be");
                return self.look_again(now, order).await;
            }
        };
        // Sooner than a deadline that no longer matters; else as it is, since moving it costs.
        let lease = self.on.lease_until(now);
        after.due_at = Some(after.due_at.map_or(lease, |due| due.min(lease)));
        let (from, to) = (self.stored.state.status(), after.state.status());
        if self.advance(after).await? == Wrote::Stored && from != to {
            tracing::info!(order_id = %self.stored.id, status = %to, "an order changed");
        }
        Ok(Go::On)
    }

    /// Nothing is left to do before `until`: clears what was published, and says when to look again.
    async fn rest(&mut self, now: Timestamp, until: Option<Timestamp>) -> Result<Go, StoreError> {
        let mut after = self.stored.clone();
        after.outbox.retain(|event| !self.published.contains(&event.id));
        if after.outbox.is_empty() {
            after.due_at = until;
            after.attempts = 0;
        } else {
            let pause = later(now, self.pause());
            after.due_at = Some(until.map_or(pause, |until| until.min(pause)));
            after.attempts = after.attempts.saturating_add(1);
        }
        if after.outbox == self.stored.outbox && after.due_at == self.stored.due_at {
            return Ok(Go::Rest);
        }
        after.version = after.version.saturating_add(1);
        Ok(match self.advance(after).await? {
            Wrote::Stored => Go::Rest,
            Wrote::Overtaken => Go::On,
        })
    }

    /// Something did not answer: the order waits, longer each time.
    async fn postpone(&mut self, now: Timestamp, delay: Delay) -> Result<Go, StoreError> {
        let mut after = self.stored.clone();
        after.attempts = after.attempts.saturating_add(1);
        after.due_at = Some(later(now, self.pause()));
        after.version = after.version.saturating_add(1);
        tell_of_delay(&after, &delay);
        self.advance(after).await?;
        Ok(Go::Rest)
    }

    /// What was found out changes nothing, as when the customer has not acted yet: the order is looked
    /// at again in a while. `order` is the stored one and what was learned of its payment.
    async fn look_again(&mut self, now: Timestamp, order: Order) -> Result<Go, StoreError> {
        let deadline = match order.payment.state {
            PaymentState::NeedsCustomer { until, .. } => until,
            PaymentState::NotNeeded
            | PaymentState::Open
            | PaymentState::Declined { .. }
            | PaymentState::Authorized
            | PaymentState::Captured
            | PaymentState::Voided
            | PaymentState::Returned => Timestamp::MAX,
        };
        let mut after = order;
        after.due_at = Some(later(now, self.pause()).min(deadline));
        after.attempts = after.attempts.saturating_add(1).min(LOOKS_SLOW_DOWN_AFTER);
        after.version = after.version.saturating_add(1);
        self.advance(after).await?;
        Ok(Go::Rest)
    }

    async fn advance(&mut self, mut after: Order) -> Result<Wrote, StoreError> {
        after.outbox.retain(|event| !self.published.contains(&event.id));
        match self.on.store.advance(&self.stored, &after).await? {
            Advanced::Stored => {
                metrics::changed(&self.stored, &after);
                self.stored = after;
                self.on.tell_of_change(&self.stored);
                Ok(Wrote::Stored)
            }
            // Somebody else decided: what they stored is obeyed.
            Advanced::Overtaken(there) => {
                self.stored = *there;
                Ok(Wrote::Overtaken)
            }
        }
    }

    /// Doubled with each try, and anything from half of it up, so that many don't come back at once.
    fn pause(&self) -> Duration {
        let attempts = self.stored.attempts;
        let longest = if attempts >= ALARM_AFTER {
            PAUSE_WHEN_PARKED
        } else {
            LONGEST_PAUSE
        };
        let doubled = self.on.pace.retry.saturating_mul(1 << attempts.min(16)).min(longest);
        doubled.mul_f64(rand::random_range(0.5..=1.0))
    }
}

fn tell_of_delay(order: &Order, delay: &Delay) {
    let (attempts, order_id) = (order.attempts, order.id);
    let error = chain(delay);
    metrics::delayed();
    if attempts >= ALARM_AFTER {
        metrics::parked();
        tracing::error!(%order_id, attempts, error, "an order does not get on: somebody has to look");
    } else {
        tracing::warn!(%order_id, attempts, error, "an order has to wait");
    }
}

/// Whether a go at an order goes on.
enum Go {
    On,
    Rest,
}

#[derive(PartialEq, Eq)]
enum Wrote {
    Stored,
    Overtaken,
}
