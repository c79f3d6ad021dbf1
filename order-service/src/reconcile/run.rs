//! One run: each list once, page by page; what does not agree is kept as a suspicion.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use shared::ids::OrderId;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, Interval};

use super::paced::{Provider, pages};
use super::suspicions::Suspicions;
use super::{Line, Progress, Reconciliation, Summary};
use crate::clients::payment::PaymentError;
use crate::clients::peer::PeerError;
use crate::domain::order::Order;
use crate::domain::reconciliation::{
    Charged, Drift, Sketch, checkout_drift, claimed_payment, is_its_own, lateness, payment_drift, reservation_drift,
    stock_drift, stray_payment,
};
use crate::fulfil::now;
use crate::store::{Reads, StoreError};

/// See the module.
pub(super) struct Run<'a> {
    pub(super) on: &'a Reconciliation,
    pub(super) provider: Provider<'a>,
    pub(super) suspicions: Suspicions,
    /// What changed each time it was looked at.
    pub(super) unsettled: u64,
    tell: mpsc::Sender<Line>,
    told_at: Option<Instant>,
    progress: Progress,
    pages: Interval,
    /// When it began: younger orders may have been taken into one list and not into another.
    since: Timestamp,
    /// Orders that say that money was taken, against the provider's payments.
    money: Sketch<RandomState>,
    /// Pieces of products: what reservations hold, against what is reserved.
    pieces: Sketch<RandomState>,
    pub(super) hasher: RandomState,
    named: HashSet<u64>,
}

/// Why a run ends before its end. The text of the last three is the reason that is told.
#[derive(Debug, Error)]
pub(super) enum Stop {
    /// Nobody reads what it says any more.
    #[error("nobody listens")]
    Gone,
    #[error("the service is stopping")]
    Stopping,
    #[error("the orders table did not answer, or an order of it cannot be read")]
    Store(#[from] StoreError),
    #[error("another service did not answer")]
    Peer(#[from] PeerError),
    #[error("the payment provider did not answer")]
    Payment(#[from] PaymentError),
}

/// Differences of which is remembered that they were named.
const REMEMBERED: usize = 10_000;
/// Between two lines of progress within a phase.
const TELL_EVERY: Duration = Duration::from_millis(500);

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub(super) fn on(on: &'a Reconciliation, tell: mpsc::Sender<Line>) -> Self {
        Self {
            on,
            provider: Provider::new(&on.payments),
            suspicions: Suspicions::default(),
            unsettled: 0,
            tell,
            told_at: None,
            progress: Progress::default(),
            pages: pages(),
            since: now(),
            money: Sketch::new(RandomState::new()),
            pieces: Sketch::new(RandomState::new()),
            hasher: RandomState::new(),
            named: HashSet::new(),
        }
    }

    /// Compares everything.
    pub(super) async fn everything(&mut self) -> Result<(), Stop> {
        self.payments().await?;
        self.orders().await?;
        if !self.money.is_even() {
            self.orders_without_their_payment().await?;
        }
        self.reservations().await?;
        self.stocks().await?;
        if !self.pieces.is_even() {
            self.stocks_that_differ().await?;
        }
        self.checkouts().await?;
        self.begin("suspicions").await?;
        self.look_again().await
    }

    /// The last line.
    pub(super) fn summary(&self, stopped: Option<Stop>) -> Summary {
        let reason = match (&stopped, self.unsettled) {
            (Some(Stop::Peer(PeerError::Unavailable { peer, .. })), _) => {
                Some(format!("the {peer} service did not answer"))
            }
            (Some(Stop::Peer(PeerError::Refused { peer, .. })), _) => {
                Some(format!("the {peer} service refused to be read"))
            }
            (Some(stop @ (Stop::Gone | Stop::Stopping | Stop::Store(_) | Stop::Payment(_))), _) => {
                Some(stop.to_string())
            }
            (None, 0) => None,
            (None, changing) => Some(format!(
                "{changing} of those that did not agree changed each time they were looked at"
            )),
        };
        let Progress {
            orders,
            reservations,
            payments,
            checkouts,
            products,
            drifts,
            phase: _,
            suspicions: _,
        } = self.progress;
        Summary {
            orders,
            reservations,
            payments,
            checkouts,
            products,
            drifts,
            left_out: if self.on.baskets.is_some() {
                vec![]
            } else {
                vec!["checkouts"]
            },
            complete: reason.is_none(),
            reason,
        }
    }

    /// Names a difference, once.
    pub(super) async fn name(&mut self, drift: Drift) -> Result<(), Stop> {
        let hash = self
            .hasher
            .hash_one((drift.kind, drift.order_id, drift.product_id, &drift.detail));
        if self.named.contains(&hash) {
            return Ok(());
        }
        if self.named.len() < REMEMBERED {
            self.named.insert(hash);
        }
        self.progress.drifts += 1;
        tracing::warn!(
            kind = %drift.kind,
            order_id = drift.order_id.map(tracing::field::display),
            product_id = drift.product_id.map(tracing::field::display),
            detail = drift.detail,
            "a difference"
        );
        self.say(Line::Drift(drift)).await
    }

    /// From the payments' side: each has its order, and is what that order says.
    async fn payments(&mut self) -> Result<(), Stop> {
        self.begin("payments").await?;
        let mut next = Some(None);
        while let Some(after) = next {
            let page = self.provider.list(after.as_deref()).await?;
            let ids = page.payments.iter().filter_map(|charged| charged.order);
            let orders = self.on.store.read_many(once(ids), Reads::Eventually).await?;
            for charged in &page.payments {
                self.progress.payments += 1;
                let order = charged.order.and_then(|id| orders.get(&id));
                self.payment(charged, order);
            }
            self.page_is_done().await?;
            next = page.next.map(Some);
        }
        Ok(())
    }

    fn payment(&mut self, charged: &Charged, order: Option<&Order>) {
        if stray_payment(charged, order).is_some() {
            self.suspicions.payments.insert(charged.id.clone());
        }
        let Some(order) = order.filter(|order| is_its_own(order, charged)) else {
            return;
        };
        if payment_drift(order, Some(charged)).is_some() {
            self.suspicions.orders.insert(order.id);
        }
        if order.created_at < self.since && claimed_payment(order) == Some(charged.id.as_str()) {
            self.money.add(order.id, &charged.id, 1);
        }
    }

    /// From the orders' side: each has its reservation, and nothing left to do for too long.
    async fn orders(&mut self) -> Result<(), Stop> {
        self.begin("orders").await?;
        let mut next = Some(None);
        while let Some(from) = next {
            let page = self.on.store.all(from).await?;
            let ids: Vec<_> = page.orders.iter().map(|order| order.id).collect();
            let reservations = self.on.inventory.reservations_of(&ids).await?;
            for order in &page.orders {
                self.progress.orders += 1;
                let drift = reservation_drift(order, reservations.get(&order.id), now());
                if drift.or_else(|| lateness(order, now())).is_some() {
                    self.suspicions.orders.insert(order.id);
                }
                if let Some(payment) = claimed_payment(order).filter(|_| order.created_at < self.since) {
                    self.money.subtract(order.id, payment, 1);
                }
            }
            self.page_is_done().await?;
            next = page.next.map(Some);
        }
        Ok(())
    }

    /// The orders among which some say that money was taken by a payment that was in no list.
    async fn orders_without_their_payment(&mut self) -> Result<(), Stop> {
        self.begin("payments of orders").await?;
        let mut next = Some(None);
        while let Some(from) = next {
            let page = self.on.store.all(from).await?;
            for order in page.orders {
                let claims = order.created_at < self.since && claimed_payment(&order).is_some();
                if claims && self.money.differs(order.id) {
                    self.suspicions.orders.insert(order.id);
                }
            }
            self.page_is_done().await?;
            next = page.next.map(Some);
        }
        Ok(())
    }

    /// From the reservations' side: each has its order.
    async fn reservations(&mut self) -> Result<(), Stop> {
        self.begin("reservations").await?;
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = self.on.inventory.reservations(cursor.as_deref()).await?;
            let ids = page.data.iter().map(|reservation| reservation.order);
            let orders = self.on.store.read_many(once(ids), Reads::Eventually).await?;
            for reservation in &page.data {
                self.progress.reservations += 1;
                if !orders.contains_key(&reservation.order) {
                    self.suspicions.orders.insert(reservation.order);
                }
                for (product, pieces) in reservation.holds() {
                    self.pieces.add(product, product, pieces);
                }
            }
            self.page_is_done().await?;
            next = page.next_cursor.map(Some);
        }
        Ok(())
    }

    async fn stocks(&mut self) -> Result<(), Stop> {
        self.begin("stock").await?;
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = self.on.inventory.stocks(cursor.as_deref()).await?;
            for counters in &page.data {
                self.progress.products += 1;
                if stock_drift(counters).is_some() {
                    self.suspicions.products.insert(counters.product);
                }
                self.pieces
                    .subtract(counters.product, counters.product, counters.reserved);
            }
            self.page_is_done().await?;
            next = page.next_cursor.map(Some);
        }
        Ok(())
    }

    /// The products among which some have not as much reserved as is held: of all stocks, and of all that
    /// is held, should a product have none.
    async fn stocks_that_differ(&mut self) -> Result<(), Stop> {
        self.begin("stock that differs").await?;
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = self.on.inventory.stocks(cursor.as_deref()).await?;
            let differing = page.data.iter().map(|counters| counters.product);
            let differing = differing.filter(|product| self.pieces.differs(product));
            self.suspicions.products.extend(differing);
            self.page_is_done().await?;
            next = page.next_cursor.map(Some);
        }
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = self.on.inventory.held(cursor.as_deref()).await?;
            let held = page.data.iter().flat_map(|reservation| reservation.holds());
            let differing = held
                .map(|(product, _)| product)
                .filter(|product| self.pieces.differs(product));
            self.suspicions.products.extend(differing);
            self.page_is_done().await?;
            next = page.next_cursor.map(Some);
        }
        Ok(())
    }

    async fn checkouts(&mut self) -> Result<(), Stop> {
        let Some(baskets) = &self.on.baskets else {
            return Ok(());
        };
        self.begin("checkouts").await?;
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = baskets.checkouts(cursor.as_deref()).await?;
            let ids = page.data.iter().map(|checkout| checkout.order);
            let orders = self.on.store.read_many(once(ids), Reads::Eventually).await?;
            for checkout in &page.data {
                self.progress.checkouts += 1;
                if checkout_drift(checkout, orders.get(&checkout.order), now()).is_some() {
                    self.suspicions.checkouts.insert(checkout.order, *checkout);
                }
            }
            self.page_is_done().await?;
            next = page.next_cursor.map(Some);
        }
        Ok(())
    }

    async fn begin(&mut self, phase: &'static str) -> Result<(), Stop> {
        self.progress.phase = phase;
        self.tell_progress().await
    }

    /// After each page: tells how far it is, looks again where there is much to look at, and takes its time.
    async fn page_is_done(&mut self) -> Result<(), Stop> {
        if self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.tell_progress().await?;
        }
        if self.suspicions.are_many() {
            self.look_again().await?;
        }
        self.pages.tick().await;
        Ok(())
    }

    async fn tell_progress(&mut self) -> Result<(), Stop> {
        self.told_at = Some(Instant::now());
        self.progress.suspicions = u64::try_from(self.suspicions.len()).unwrap_or(u64::MAX);
        self.say(Line::Progress(self.progress.clone())).await
    }

    async fn say(&self, line: Line) -> Result<(), Stop> {
        self.tell.send(line).await.map_err(|_closed| Stop::Gone)
    }
}

/// A batch names an order once.
fn once(ids: impl Iterator<Item = OrderId>) -> std::collections::BTreeSet<OrderId> {
    ids.collect()
}
