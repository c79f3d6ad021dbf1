//! The saga: sees an order through to confirmed, failed or cancelled. Decide, store, then act: no
//! effect that cannot be undone happens before the decision that calls for it is stored.
//!
//! What is left to do is read off the stored order alone ([`Order::step`]), and each effect outside
//! has a key from the order's id; so this may die anywhere, run twice at once, and be gone on with by
//! whoever comes next. Where it died, the order is due.

mod hints;
mod work;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shared::capacity::Bill;
use shared::contract::Entry;
use shared::ids::OrderId;
use shared::outbox::Publisher;
use shared::telemetry::chain;
use shared::trace;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

pub(crate) use self::hints::HintError;
use self::work::Work;
use crate::clients::payment::{PaymentClient, PaymentError};
use crate::clients::product::{ProductClient, ProductError};
use crate::domain::machine::Input;
use crate::domain::order::{Applied, Moment, Order, Refused, later};
use crate::domain::step::{Step, Terms};
use crate::domain::timeline::Actor;
use crate::domain::told::Recorded;
use crate::events;
use crate::metrics;
use crate::store::{Advanced, Created, Overdue, Store, StoreError};

/// See the module. One for the process.
pub(crate) struct Fulfilment {
    store: Store,
    products: Arc<ProductClient>,
    payments: PaymentClient,
    publisher: Publisher,
    terms: Terms,
    pace: Pace,
    places: Arc<Semaphore>,
    /// Where orders are worked on: not on the thread of whoever began it.
    runtime: Handle,
    running: TaskTracker,
    changes: broadcast::Sender<OrderId>,
}

/// How quickly it goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bound on one go at an order.
    pub(crate) go: Duration,
    /// Before the second try of what did not get on.
    pub(crate) retry: Duration,
    /// Orders worked on at the same time.
    pub(crate) in_work: usize,
}

/// Whom a [`Fulfilment`] leans on.
pub(crate) struct Peers {
    pub(crate) store: Store,
    pub(crate) products: Arc<ProductClient>,
    pub(crate) payments: PaymentClient,
    pub(crate) publisher: Publisher,
}

/// Why an order does not get on now.
#[derive(Debug, Error)]
enum Delay {
    #[error(transparent)]
    Product(#[from] ProductError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The calls of one go took longer together than it may.
    #[error("no end within the bound on one go")]
    Overlong,
}

/// What came of what somebody asked.
#[derive(Debug)]
pub(crate) enum Acted {
    /// It is decided now.
    Now(Order),
    /// It had been before: the order as it stands.
    Before(Order),
}

impl Acted {
    /// As it stands.
    pub(crate) fn into_order(self) -> Order {
        match self {
            Self::Now(order) | Self::Before(order) => order,
        }
    }
}

/// Why what somebody asked of an order was not done.
#[derive(Debug, Error)]
pub(crate) enum ActError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Others changed the order between each look and each write.
    #[error("overtaken {MAX_OVERTAKEN} times")]
    Overtaken,
}

/// Whoever listens slower than this looks at the table instead.
const CHANGES_KEPT: usize = 1_024;
/// A decision that is overtaken again and again is given up: whoever asked may come again.
const MAX_OVERTAKEN: u32 = 16;
/// Pauses after being overtaken, up to this many times the first.
const LONGEST_STEP_ASIDE: u32 = 16;
const STEP_ASIDE: Duration = Duration::from_millis(4);

impl Fulfilment {
    /// Orders are worked on in the runtime that this is called in.
    pub(crate) fn new(peers: Peers, terms: Terms, pace: Pace) -> Self {
        Self {
            store: peers.store,
            products: peers.products,
            payments: peers.payments,
            publisher: peers.publisher,
            terms,
            pace,
            places: Arc::new(Semaphore::new(pace.in_work)),
            runtime: Handle::current(),
            running: TaskTracker::new(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Stores a new order, due when the first go at it will be over, or its customer's time to think.
    ///
    /// # Errors
    /// The table did not answer: it may be stored or not, and creating it again tells.
    pub(crate) async fn create(&self, order: &mut Order) -> Result<Created, StoreError> {
        order.due_at = match order.step(order.created_at, &self.terms) {
            Step::Wait(Some(until)) => Some(until),
            Step::Wait(None)
            | Step::Place
            | Step::LookUpPayment
            | Step::Decide(_)
            | Step::Confirm
            | Step::Refund(_)
            | Step::Undo => Some(self.lease_until(order.created_at)),
        };
        let created = self.store.create(order).await?;
        if matches!(created, Created::New) {
            metrics::created(order);
        }
        Ok(created)
    }

    /// Begins to see an order through, as soon as there is a place for it.
    pub(crate) async fn begin(self: &Arc<Self>, order: Order) {
        if self.has_to_wait(&order) {
            return;
        }
        if let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            self.spawn(order, place);
        }
    }

    /// Begins to see an order through if there is a place for it now. Else it is due a little later.
    pub(crate) fn begin_if_free(self: &Arc<Self>, order: Order) {
        if self.has_to_wait(&order) {
            return;
        }
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.spawn(order, place);
        }
    }

    /// Takes an overdue order, waiting for a place, and goes on with it.
    ///
    /// # Errors
    /// The table did not answer; it is still overdue.
    pub(crate) async fn resume(self: &Arc<Self>, overdue: &Overdue) -> Result<(), StoreError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Ok(());
        };
        let until = self.lease_until(now());
        if let Some(order) = self.store.lease(overdue, until).await? {
            self.spawn(order, place);
        }
        Ok(())
    }

    /// What a person asks of an order: decided and stored when this comes back, and carried out if
    /// that does not take long.
    ///
    /// # Errors
    /// It is not allowed, or the table did not answer.
    pub(crate) async fn act(self: &Arc<Self>, mut order: Order, input: Input, actor: Actor) -> Result<Acted, ActError> {
        for overtaken in 0..MAX_OVERTAKEN {
            let now = now();
            let mut after = match order.apply(input.clone(), self.moment(now, actor))? {
                Applied::Unchanged => return Ok(Acted::Before(order)),
                Applied::Changed(after) => *after,
            };
            after.due_at = Some(self.lease_until(now));
            match self.store.advance(&order, &after).await? {
                Advanced::Stored => {
                    metrics::changed(&order, &after);
                    self.tell_of_change(&after);
                    return Ok(Acted::Now(self.carry_out(after).await));
                }
                Advanced::Overtaken(there) => {
                    order = *there;
                    let longest = STEP_ASIDE * (overtaken + 1).min(LONGEST_STEP_ASIDE);
                    tokio::time::sleep(longest.mul_f64(rand::random_range(0.0..=1.0))).await;
                }
            }
        }
        Err(ActError::Overtaken)
    }

    /// Publishes the answer of an order again. Says whether the bus took it.
    pub(crate) async fn answer_again(&self, order: &Order, answer: &Recorded) -> bool {
        match events::entry(order, answer) {
            Ok(entry) => self.publish_again(&[entry]).await,
            Err(fault) => {
                tracing::error!(error = %fault, order_id = %order.id, "an event cannot be written");
                false
            }
        }
    }

    /// Publishes these, which lie in no outbox and may have been told before. Says whether the bus took them all.
    pub(crate) async fn publish_again(&self, entries: &[Entry]) -> bool {
        self.publisher.publish_again(entries).await.all(entries)
    }

    /// Hears of each change that this process makes.
    pub(crate) fn changes(&self) -> broadcast::Receiver<OrderId> {
        self.changes.subscribe()
    }

    /// Whether nothing is left to do about an order, now or later.
    pub(crate) fn rests(&self, order: &Order) -> bool {
        matches!(order.step(now(), &self.terms), Step::Wait(None))
    }

    /// The table, to read from.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The product service, to read prices from.
    pub(crate) fn products(&self) -> Arc<ProductClient> {
        Arc::clone(&self.products)
    }

    /// The moment of a change by `actor`.
    pub(crate) fn moment(&self, now: Timestamp, actor: Actor) -> Moment {
        Moment {
            now,
            actor,
            traceparent: trace::current_traceparent(),
            trace_id: trace::current_trace_id(),
            event_ids: std::array::from_fn(|_| Uuid::now_v7()),
        }
    }

    /// Waits for what has been begun. Nothing may be begun after.
    pub(crate) async fn drain(&self) {
        self.places.close();
        self.running.close();
        self.running.wait().await;
    }

    /// Its customer may still think better of it.
    fn has_to_wait(&self, order: &Order) -> bool {
        matches!(order.step(now(), &self.terms), Step::Wait(Some(_)))
    }

    fn lease_until(&self, now: Timestamp) -> Timestamp {
        // A little beyond the bound on the work that is begun, so that the two don't race.
        later(now, self.pace.go + self.pace.go / 4)
    }

    fn tell_of_change(&self, order: &Order) {
        // Nobody may be listening.
        let _ = self.changes.send(order.id);
    }

    /// A go at an order on a task of its own, for as long as it has a place. Whoever goes on with it, goes on with its story.
    fn spawn(self: &Arc<Self>, order: Order, place: OwnedSemaphorePermit) {
        let fulfilment = Arc::clone(self);
        let span = info_span!(
            "order.fulfil",
            order_id = %order.id,
            commerce.dynamodb.milli_rcu = Empty,
            commerce.dynamodb.milli_wcu = Empty,
            commerce.dynamodb.round_trips = Empty,
        );
        trace::go_on(&span, &order.traceparent);
        self.running.spawn_on(
            async move {
                let bill = Bill::default();
                bill.clone().scope(fulfilment.go(order)).await;
                bill.consumed().tell(&Span::current());
                drop(place);
            }
            .instrument(span),
            &self.runtime,
        );
    }

    async fn go(&self, order: Order) {
        let id = order.id;
        let mut work = Work::on(self, order);
        if tokio::time::timeout(self.pace.go, work.run()).await.is_ok() {
            return;
        }
        // Counted like any other try in vain: peers that are slower each time than a go may take are as
        // good as away.
        if let Err(fault) = work.overlong().await {
            tracing::warn!(order_id = %id, error = chain(&fault), "an order that took too long could not be stored");
        }
    }

    /// Does what a decision calls for, for a moment that a client can wait for. The rest is due.
    async fn carry_out(self: &Arc<Self>, order: Order) -> Order {
        let mut work = Work::on(self, order);
        // Whoever asked is told what is stored, also where the rest takes longer.
        let _ = tokio::time::timeout(self.pace.go, work.run()).await;
        work.into_stored()
    }
}

/// The time, in whole milliseconds as it is stored.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or(Timestamp::UNIX_EPOCH)
}
