//! The second look at what did not agree: fresh strong reads, after a moment, of what stands still.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::time::Duration;

use shared::ids::{OrderId, ProductId};
use tokio::time::sleep;

use super::run::{Run, Stop};
use crate::domain::order::Order;
use crate::domain::reconciliation::{
    Charged, Checkout, Counters, Reservation, checkout_drift, lateness, payment_drift, reservation_alone,
    reservation_drift, reserved_drift, stock_drift, stray_payment,
};
use crate::fulfil::now;
use crate::store::Reads;

/// What was under way has got on by then, and an index has followed its table.
const GRACE: Duration = Duration::from_secs(1);
/// Looks at what changes each time.
const LOOKS: u32 = 6;
/// Looks at a stock that moves each time, and the pause between two.
const LOOKS_AT_STOCK: u32 = 24;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// At so many of them in a row as much has to be missing.
const ALIKE: u32 = 4;
/// Orders between two reads of each: few, so that what happens in between is little.
const AT_ONCE: usize = 20;

impl Run<'_> {
    /// Looks at every suspicion again, and names what still differs.
    pub(super) async fn look_again(&mut self) -> Result<(), Stop> {
        let suspicions = std::mem::take(&mut self.suspicions);
        if suspicions.len() == 0 {
            return Ok(());
        }
        sleep(GRACE).await;
        self.look_at_orders(suspicions.orders).await?;
        self.look_at_payments(suspicions.payments).await?;
        self.look_at_products(suspicions.products).await?;
        self.look_at_checkouts(suspicions.checkouts).await
    }

    async fn look_at_orders(&mut self, orders: BTreeSet<OrderId>) -> Result<(), Stop> {
        let mut left: Vec<_> = orders.into_iter().collect();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(GRACE).await;
            }
            let mut moved = Vec::new();
            for some in left.chunks(AT_ONCE) {
                moved.extend(self.look_at_some_orders(some).await?);
            }
            if moved.is_empty() {
                return Ok(());
            }
            left = moved;
        }
        self.give_up_on(left.len());
        Ok(())
    }

    /// Gives back those that changed meanwhile.
    async fn look_at_some_orders(&mut self, ids: &[OrderId]) -> Result<Vec<OrderId>, Stop> {
        let store = &self.on.store;
        let before = store.read_many(ids.iter().copied(), Reads::Strongly).await?;
        let reservations = self.on.inventory.reservations_of(ids).await?;
        let mut payments = BTreeMap::new();
        for order in before.values() {
            if let Some(id) = order.payment.intent.as_deref().filter(|id| !id.is_empty())
                && let Some(charged) = self.provider.find(id).await?
            {
                payments.insert(order.id, charged);
            }
        }
        let after = store.read_many(ids.iter().copied(), Reads::Strongly).await?;
        let mut moved = Vec::new();
        for id in ids {
            let reservation = reservations.get(id);
            match (before.get(id), after.get(id)) {
                (Some(before), Some(order)) if before.version == order.version => {
                    self.compare(order, reservation, payments.get(id)).await?;
                }
                (None, None) => {
                    if let Some(reservation) = reservation {
                        self.name(reservation_alone(reservation)).await?;
                    }
                }
                (Some(_) | None, Some(_) | None) => moved.push(*id),
            }
        }
        Ok(moved)
    }

    async fn compare(
        &mut self,
        order: &Order,
        reservation: Option<&Reservation>,
        payment: Option<&Charged>,
    ) -> Result<(), Stop> {
        let drifts = [
            reservation_drift(order, reservation, now()),
            payment_drift(order, payment),
            lateness(order, now()),
        ];
        for drift in drifts.into_iter().flatten() {
            self.name(drift).await?;
        }
        Ok(())
    }

    async fn look_at_payments(&mut self, payments: BTreeSet<String>) -> Result<(), Stop> {
        for id in payments {
            let Some(charged) = self.provider.find(&id).await? else {
                continue;
            };
            // Read after the payment: an order is there before its payment is.
            let order = match charged.order {
                Some(order) => self.on.store.read(&order).await?,
                None => None,
            };
            if let Some(drift) = stray_payment(&charged, order.as_ref()) {
                self.name(drift).await?;
            }
        }
        Ok(())
    }

    /// Pieces that come and go while they are counted are no difference. A look counts only if, for as long
    /// as it took, the stock was the same and the same orders held it: an order that has let go never holds
    /// again. A hold that is taken and let go between the readings could still have been in the stock alone,
    /// so as much has to be missing at several looks, and at one through the list of all reservations, which
    /// no index lags behind.
    async fn look_at_products(&mut self, mut left: BTreeSet<ProductId>) -> Result<(), Stop> {
        let mut alike: BTreeMap<ProductId, (u64, u32)> = BTreeMap::new();
        for look in 0..LOOKS_AT_STOCK {
            if look > 0 {
                sleep(BETWEEN_LOOKS).await;
            }
            let mut certain = BTreeMap::new();
            for (product, seen) in self.still(&left, Listing::Held).await? {
                if let Some(drift) = seen.stock.as_ref().and_then(stock_drift) {
                    self.name(drift).await?;
                }
                let off = seen.off();
                if off == 0 {
                    left.remove(&product);
                    continue;
                }
                let times = match alike.get(&product) {
                    Some((before, times)) if *before == off => times + 1,
                    Some(_) | None => 1,
                };
                alike.insert(product, (off, times));
                if times >= ALIKE {
                    certain.insert(product, off);
                }
            }
            if !certain.is_empty() {
                let candidates = certain.keys().copied().collect();
                for (product, seen) in self.still(&candidates, Listing::All).await? {
                    if certain.get(&product) == Some(&seen.off())
                        && let Some(drift) = reserved_drift(product, seen.reserved(), seen.held.pieces)
                    {
                        self.name(drift).await?;
                        left.remove(&product);
                    }
                }
            }
            if left.is_empty() {
                return Ok(());
            }
        }
        self.give_up_on(left.len());
        Ok(())
    }

    /// Those of these products that stood still while they were looked at, and how.
    async fn still(
        &self,
        products: &BTreeSet<ProductId>,
        listing: Listing,
    ) -> Result<BTreeMap<ProductId, Still>, Stop> {
        if products.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut held = self.held_of(products, listing).await?;
        let mut stocks = self.stocks_of(products).await?;
        let held_again = self.held_of(products, listing).await?;
        let stocks_again = self.stocks_of(products).await?;
        let mut still = BTreeMap::new();
        for product in products {
            if held.get(product) == held_again.get(product) && stocks.get(product) == stocks_again.get(product) {
                let seen = Still {
                    stock: stocks.remove(product),
                    held: held.remove(product).unwrap_or_default(),
                };
                still.insert(*product, seen);
            }
        }
        Ok(still)
    }

    async fn stocks_of(&self, products: &BTreeSet<ProductId>) -> Result<BTreeMap<ProductId, Counters>, Stop> {
        let products: Vec<_> = products.iter().copied().collect();
        let mut stocks = BTreeMap::new();
        for some in products.chunks(100) {
            stocks.extend(self.on.inventory.stocks_of(some).await?);
        }
        Ok(stocks)
    }

    /// What is held of these.
    async fn held_of(
        &self,
        products: &BTreeSet<ProductId>,
        listing: Listing,
    ) -> Result<BTreeMap<ProductId, HeldOf>, Stop> {
        let mut sums: BTreeMap<ProductId, HeldOf> = BTreeMap::new();
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = match listing {
                Listing::Held => self.on.inventory.held(cursor.as_deref()).await?,
                Listing::All => self.on.inventory.reservations(cursor.as_deref()).await?,
            };
            for reservation in &page.data {
                for (product, pieces) in reservation.holds().filter(|(product, _)| products.contains(product)) {
                    let sum = sums.entry(product).or_default();
                    sum.pieces = sum.pieces.saturating_add(pieces);
                    sum.by = sum.by.wrapping_add(self.hasher.hash_one(reservation.order));
                }
            }
            next = page.next_cursor.map(Some);
        }
        Ok(sums)
    }

    /// Those that are still under way.
    async fn look_at_checkouts(&mut self, suspected: BTreeMap<OrderId, Checkout>) -> Result<(), Stop> {
        let Some(baskets) = self.on.baskets.as_ref().filter(|_| !suspected.is_empty()) else {
            return Ok(());
        };
        let mut next = Some(None);
        while let Some(cursor) = next {
            let page = baskets.checkouts(cursor.as_deref()).await?;
            for checkout in page.data.iter().filter(|one| suspected.contains_key(&one.order)) {
                let order = self.on.store.read(&checkout.order).await?;
                if let Some(drift) = checkout_drift(checkout, order.as_ref(), now()) {
                    self.name(drift).await?;
                }
            }
            next = page.next_cursor.map(Some);
        }
        Ok(())
    }

    fn give_up_on(&mut self, how_many: usize) {
        let how_many = u64::try_from(how_many).unwrap_or(u64::MAX);
        self.unsettled = self.unsettled.saturating_add(how_many);
    }
}

/// From which list what is held is taken.
#[derive(Clone, Copy)]
enum Listing {
    /// Of what is held: short, and late by a moment.
    Held,
    /// Of all reservations: long, and never late.
    All,
}

/// What is held of a product.
#[derive(Debug, Default, PartialEq, Eq)]
struct HeldOf {
    pieces: u64,
    /// The orders that hold it, as a sum of their hashes: they may be many.
    by: u64,
}

/// A product that stood still.
struct Still {
    stock: Option<Counters>,
    held: HeldOf,
}

impl Still {
    fn reserved(&self) -> u64 {
        self.stock.map_or(0, |stock| stock.reserved)
    }

    /// By how much reserved is more than held; where it is less, that much below 2^64.
    fn off(&self) -> u64 {
        self.reserved().wrapping_sub(self.held.pieces)
    }
}
