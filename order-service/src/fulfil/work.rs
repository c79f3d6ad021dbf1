//! One go at an order: what is left to do, one thing after the other, until nothing is, or something
//! does not answer.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use shared::money::Money;
use shared::telemetry::chain;
use uuid::Uuid;

use super::{Delay, Fulfilment, now};
use crate::clients::payment::{Answer, Authorization, Capture, GivenBack, Of, PaymentError, Refunded};
use crate::clients::product::{Committed, Reserved};
use crate::domain::machine::Input;
use crate::domain::order::{Applied, Order, later};
use crate::domain::payment::Refund;
use crate::domain::step::Step;
use crate::domain::timeline::Actor;
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
    /// Whether the provider is being asked about the payment, or was last.
    asks_provider: bool,
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

/// More steps than any order has, with all of its refunds in one go and others at work on it too; a
/// bound on what a fault of ours could do.
const MAX_STEPS: u32 = 256;
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
            asks_provider: false,
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

    /// [`Work::run`] was given up for the time that it took.
    pub(super) async fn overlong(&mut self) -> Result<(), StoreError> {
        self.postpone(now(), Delay::Overlong).await.map(|_| ())
    }

    async fn step(&mut self) -> Result<Go, StoreError> {
        let now = now();
        let found = match self.stored.step(now, &self.on.terms) {
            Step::Wait(until) => return self.rest(now, until).await,
            Step::Decide(input) => Ok(Finding::of(input)),
            Step::Place => self.place(now).await,
            Step::LookUpPayment => self.look_up(now).await,
            Step::Confirm => self.confirm(now).await,
            Step::Refund(refund) => self.refund(now, &refund).await,
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
    async fn place(&mut self, now: Timestamp) -> Result<Finding, Delay> {
        self.asks_provider = false;
        let order = &self.stored;
        let hold = Order::hold(&self.on.terms);
        match self.on.products.reserve(&order.id, &order.lines, hold).await? {
            Reserved::Held => {}
            Reserved::Short(short) => return Ok(Finding::of(Input::OutOfStock(short))),
            Reserved::Closed => return Ok(Finding::of(Input::HoldLost)),
        }
        let answer_by = later(now, self.on.terms.acceptance);
        self.asks_provider = true;
        let order = &self.stored;
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
        let input = match answer.outcome {
            Authorization::Authorized => Input::Authorized {
                answer_by: later(now, terms.acceptance),
            },
            Authorization::NeedsCustomer(action) => self.stored.needs_customer(action, now, terms),
            Authorization::Declined => self.stored.declined(now, terms),
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

    /// Has the provider make a refund.
    async fn refund(&self, now: Timestamp, refund: &Refund) -> Result<Finding, Delay> {
        let answer = self.on.payments.refund(self.payment(now), refund).await?;
        Ok(Finding {
            input: match answer.outcome {
                Refunded::Done => Input::RefundDone(refund.id),
                Refunded::Refused => Input::RefundRefused(refund.id),
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
                    GivenBack::Voided | GivenBack::Contested => None,
                    // What had not gone back before. The provider's figure is none where it gave it back
                    // long ago and the answer got lost.
                    GivenBack::Refunded(_) => Some(self.not_yet_refunded()),
                },
            },
            intent: answer.intent,
        })
    }

    fn not_yet_refunded(&self) -> Money {
        let (payment, total) = (&self.stored.payment, self.stored.total);
        let before = payment.refunded(total);
        before.and_then(|before| total.checked_sub(before)).unwrap_or(total)
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
        if self.asks_provider && matches!(delay, Delay::Payment(_) | Delay::Overlong) {
            after.note_silence(now);
        }
        after.due_at = Some(self.next_look(&after, now, asked_for(&delay)));
        after.version = after.version.saturating_add(1);
        tell_of_delay(&after, &delay);
        self.advance(after).await?;
        Ok(Go::Rest)
    }

    /// What was found out changes nothing, as when the customer has not acted yet: the order is looked
    /// at again in a while. `order` is the stored one and what was learned of its payment.
    async fn look_again(&mut self, now: Timestamp, order: Order) -> Result<Go, StoreError> {
        let mut after = order;
        after.due_at = Some(self.next_look(&after, now, Duration::ZERO));
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

    /// After a pause, of this length at least, and not after a deadline.
    fn next_look(&self, order: &Order, now: Timestamp, at_least: Duration) -> Timestamp {
        let pause = later(now, self.pause().max(at_least));
        let deadline = order.deadline(&self.on.terms);
        deadline.map_or(pause, |deadline| deadline.min(pause))
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

/// How long a peer wants to be left alone; not for as long as it likes.
fn asked_for(delay: &Delay) -> Duration {
    match delay {
        Delay::Payment(PaymentError::Busy {
            retry_after: Some(pause),
        }) => (*pause).min(PAUSE_WHEN_PARKED),
        Delay::Payment(
            PaymentError::Busy { retry_after: None } | PaymentError::Unknown(_) | PaymentError::Refused { .. },
        )
        | Delay::Product(_)
        | Delay::Store(_)
        | Delay::Overlong => Duration::ZERO,
    }
}

fn tell_of_delay(order: &Order, delay: &Delay) {
    let (attempts, order_id) = (order.attempts, order.id);
    let error = chain(delay);
    metrics::delayed();
    if let Delay::Payment(PaymentError::Refused { .. }) = delay {
        metrics::payment_refused();
        tracing::error!(%order_id, attempts, error, "the payment provider refuses this service: somebody has to look");
    } else if attempts >= ALARM_AFTER {
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
