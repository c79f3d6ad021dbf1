//! What has to hold once all is quiet, whatever was done to the system. Each is judged from what everybody told at the end,
//! against what the customers meant and saw; nothing here asks the services for their own opinion.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Told;
use super::plan::{Plan, Scene};
use super::shoppers::{Bought, FINAL};
use super::world::{OrderSeen, World};
use crate::payment_sandbox::{Intent, Status};

/// One invariant, judged.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Verdict {
    /// What must not be.
    pub name: &'static str,
    /// What was counted.
    pub figures: String,
    /// What was found against it; nothing where it holds.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// All that is known at the end.
pub(crate) struct Evidence<'a> {
    pub(crate) plan: &'a Plan,
    /// Ids of the plan's goods.
    pub(crate) goods: &'a [String],
    pub(crate) bought: &'a [Bought],
    pub(crate) world: &'a World,
    pub(crate) told: &'a Told,
    /// How often a client was told of a failure inside, and the first of them.
    pub(crate) internal: &'a (u64, Vec<String>),
}

impl Evidence<'_> {
    pub(crate) fn judge(&self) -> Vec<Verdict> {
        let mut verdicts = vec![
            self.lost(),
            self.doubled(),
            self.oversold(),
            self.charged(),
            self.untold(),
            self.mispriced(),
            self.misled(),
        ];
        if self.plan.scene == Scene::Pause {
            verdicts.push(self.failed());
        }
        if self.plan.scene == Scene::Contention {
            verdicts.push(self.left_over());
        }
        verdicts
    }

    /// The orders that were accepted, with what was meant by each.
    fn accepted(&self) -> BTreeMap<&str, &Bought> {
        let with_order = |bought| Some((<&Bought>::clone(&bought).order.as_deref()?, bought));
        self.bought.iter().filter_map(with_order).collect()
    }

    fn confirmed(&self) -> impl Iterator<Item = (&String, &OrderSeen)> {
        self.world
            .orders
            .iter()
            .filter(|(_, order)| order.status == "confirmed")
    }

    fn lost(&self) -> Verdict {
        let mut findings = Vec::new();
        let meant = self.plan.purchases().count();
        if self.bought.len() != meant {
            findings.push(format!("{} of {meant} purchases came to an end", self.bought.len()));
        }
        for bought in self.bought.iter().filter(|bought| bought.order.is_none()) {
            let what = bought.complaints.join("; ");
            findings.push(format!(
                "customer {} number {} was never accepted: {what}",
                bought.customer, bought.number
            ));
        }
        for (id, bought) in self.accepted() {
            match self.world.orders.get(id) {
                None => findings.push(format!(
                    "{id} was accepted, and is no order of customer {}",
                    bought.customer
                )),
                Some(order) if !FINAL.contains(&order.status.as_str()) => {
                    findings.push(format!("{id} has not ended: {}", order.status));
                }
                Some(_) => {}
            }
        }
        findings.extend(
            self.world
                .under_way
                .iter()
                .map(|id| format!("a basket still waits for {id}")),
        );
        let figures = format!(
            "{} accepted, {} orders, {} checkouts under way",
            self.accepted().len(),
            self.world.orders.len(),
            self.world.under_way.len()
        );
        verdict("0 lost", figures, findings)
    }

    fn doubled(&self) -> Verdict {
        let mut findings = Vec::new();
        let accepted = self.accepted();
        for id in self
            .world
            .orders
            .keys()
            .filter(|id| !accepted.contains_key(id.as_str()))
        {
            findings.push(format!("nobody was told of order {id}"));
        }
        let mut captured: BTreeMap<&str, usize> = BTreeMap::new();
        for payment in self.world.payments.iter().filter(|payment| payment.captured > 0) {
            *captured
                .entry(payment.order_id.as_deref().unwrap_or_default())
                .or_default() += 1;
        }
        for (id, times) in captured.iter().filter(|(_, times)| **times > 1) {
            findings.push(format!("{id} was captured {times} times"));
        }
        for (id, events) in self.told {
            for (name, envelopes) in events.iter().filter(|(_, envelopes)| envelopes.len() > 1) {
                let answers = [
                    "OrderPlaced",
                    "OrderFailed",
                    "OrderConfirmed",
                    "OrderCancelled",
                    "CheckoutRequested",
                ];
                if answers.contains(&name.as_str()) {
                    findings.push(format!("{id} was told of by {} different {name}", envelopes.len()));
                }
            }
        }
        let figures = format!(
            "{} keys, {} orders, {} captured payments",
            self.bought.len(),
            self.world.orders.len(),
            captured.len()
        );
        verdict("0 doubled", figures, findings)
    }

    fn oversold(&self) -> Verdict {
        let mut findings = Vec::new();
        let mut sold: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, order) in self.confirmed() {
            for (product, (pieces, _)) in &order.lines {
                *sold.entry(product).or_default() += i64::try_from(*pieces).unwrap_or(i64::MAX);
            }
        }
        let mut all = 0;
        for (good, id) in self.plan.goods.iter().zip(self.goods) {
            let sold = sold.get(id.as_str()).copied().unwrap_or_default();
            all += sold;
            let left = i64::from(good.on_hand) - sold;
            match self.world.stock.get(id) {
                Some(stock) if stock.on_hand == left && stock.reserved == 0 && stock.available == left && left >= 0 => {
                }
                Some(stock) => findings.push(format!(
                    "{}: {} counted, {sold} sold, and there are {stock:?}",
                    good.sku, good.on_hand
                )),
                None => findings.push(format!("{} has no stock", good.sku)),
            }
        }
        findings.extend(self.reservations());
        let figures = format!(
            "{all} pieces sold of {} products, {} reservations",
            self.goods.len(),
            self.world.reservations.len()
        );
        verdict("0 oversold", figures, findings)
    }

    /// A confirmed order's is committed, with its lines; no other holds or has sold anything.
    fn reservations(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (id, order) in self.confirmed() {
            let pieces: BTreeMap<_, _> = order
                .lines
                .iter()
                .map(|(product, (pieces, _))| (product.clone(), *pieces))
                .collect();
            match self.world.reservations.get(id) {
                Some(reservation) if reservation.state == "committed" && reservation.lines == pieces => {}
                other => findings.push(format!("{id} is confirmed, and its reservation is {other:?}")),
            }
        }
        for (id, reservation) in &self.world.reservations {
            let confirmed = self
                .world
                .orders
                .get(id)
                .is_some_and(|order| order.status == "confirmed");
            if !confirmed && matches!(reservation.state.as_str(), "held" | "committed") {
                findings.push(format!(
                    "{id} is not confirmed, and its reservation is {}",
                    reservation.state
                ));
            }
        }
        findings
    }

    /// Money taken and not given back is the total of a confirmed order, once.
    fn charged(&self) -> Verdict {
        let mut findings = Vec::new();
        let mut kept: BTreeMap<&str, i64> = BTreeMap::new();
        for payment in &self.world.payments {
            let id = payment.order_id.as_deref().unwrap_or("no order");
            *kept.entry(id).or_default() += payment.captured - payment.refunded;
            findings.extend(self.payment(payment, id));
        }
        let accepted = self.accepted();
        let paid_through_us = |id: &str| {
            accepted
                .get(id)
                .is_none_or(|bought| bought.purchase.payment.token().is_some())
        };
        let (mut due, mut there) = (0, 0);
        for (id, order) in &self.world.orders {
            let wanted = if order.status == "confirmed" && paid_through_us(id) {
                order.total
            } else {
                0
            };
            let found = kept.remove(id.as_str()).unwrap_or_default();
            if wanted != found || order.captured - order.refunded != found {
                let shown = order.captured - order.refunded;
                findings.push(format!(
                    "{id} is {}, costs {}, shows {shown} paid, and {found} were kept for it",
                    order.status, order.total
                ));
            }
            due += wanted;
            there += found;
        }
        for (id, amount) in kept.into_iter().filter(|(_, amount)| *amount != 0) {
            there += amount;
            findings.push(format!("{amount} were kept for {id}, which is no order here"));
        }
        if due != there {
            findings.push(format!(
                "{due} are due for all confirmed orders together, and {there} were kept"
            ));
        }
        let figures = format!(
            "{} payments; due {due}, captured less refunded {there}",
            self.world.payments.len()
        );
        verdict("0 charged without an order or a refund", figures, findings)
    }

    /// Nothing is left hanging: what is authorized is taken or given up.
    fn payment(&self, payment: &Intent, order: &str) -> Option<String> {
        match payment.status {
            Status::RequiresCapture | Status::Processing => {
                Some(format!("{} of {order} is left {}", payment.id, payment.status.as_str()))
            }
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction
            | Status::Succeeded
            | Status::Canceled => None,
        }
    }

    fn untold(&self) -> Verdict {
        let mut findings = Vec::new();
        let accepted = self.accepted();
        let mut told = 0;
        for (id, order) in &self.world.orders {
            let events: BTreeSet<&str> = self
                .told
                .get(id)
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            let end = match order.status.as_str() {
                "confirmed" => "OrderConfirmed",
                "cancelled" => "OrderCancelled",
                _ => "OrderFailed",
            };
            // A merchant's no has an event of its own.
            let rejected = events.contains("OrderRejected") && order.status == "failed";
            if events.contains(end) || rejected {
                told += 1;
            } else {
                findings.push(format!("{id} is {}, and the bus has {events:?} of it", order.status));
            }
            let both = events.contains("OrderPlaced") && events.contains("OrderFailed");
            let from_basket = accepted
                .get(id.as_str())
                .is_some_and(|bought| bought.purchase.route == super::plan::Route::Basket);
            if both && from_basket {
                findings.push(format!("the checkout of {id} was answered in both ways"));
            }
        }
        let figures = format!("{told} of {} ends were taken by the bus", self.world.orders.len());
        verdict("0 untold", figures, findings)
    }

    fn mispriced(&self) -> Verdict {
        let mut findings = Vec::new();
        for (id, bought) in self.accepted() {
            let Some(order) = self.world.orders.get(id) else {
                continue;
            };
            let meant: BTreeMap<_, _> = bought
                .purchase
                .lines
                .iter()
                .filter_map(|(place, pieces)| {
                    let price = self.plan.goods.get(*place)?.price;
                    Some((self.goods.get(*place)?.clone(), (u64::from(*pieces), price)))
                })
                .collect();
            if order.lines != meant || order.total != self.plan.total(&bought.purchase.lines) {
                findings.push(format!(
                    "{id} is for {:?} at {}, and meant were {meant:?}",
                    order.lines, order.total
                ));
            }
        }
        let figures = format!("{} orders as they were meant", self.accepted().len());
        verdict("0 mispriced", figures, findings)
    }

    /// Customers were told nothing that did not come true.
    fn misled(&self) -> Verdict {
        let of = |bought: &Bought| bought.complaints.clone();
        let mut findings: Vec<_> = self.bought.iter().flat_map(of).collect();
        for bought in self.bought {
            let order = bought.order.as_ref().and_then(|id| self.world.orders.get(id));
            let now = order.map(|order| order.status.as_str());
            if now.is_some_and(|now| now != bought.status) && bought.status != "given up" {
                findings.push(format!(
                    "{:?} ended as {}, and is {now:?} now",
                    bought.order, bought.status
                ));
            }
        }
        let (internal, samples) = self.internal;
        if *internal > 0 {
            findings.push(format!(
                "{internal} answers were a 500, such as {}",
                samples.join(" / ")
            ));
        }
        let figures = format!("{} journeys, {internal} answers of status 500", self.bought.len());
        verdict("0 misled", figures, findings)
    }

    /// A service that is away delays orders, and fails none.
    fn failed(&self) -> Verdict {
        let others = self
            .world
            .orders
            .iter()
            .filter(|(_, order)| order.status != "confirmed");
        let findings: Vec<_> = others.map(|(id, order)| format!("{id} is {}", order.status)).collect();
        verdict(
            "0 failed",
            format!("{} orders confirmed", self.confirmed().count()),
            findings,
        )
    }

    /// Exactly as many orders as there were pieces.
    fn left_over(&self) -> Verdict {
        let pieces: usize = self
            .plan
            .goods
            .iter()
            .filter_map(|good| usize::try_from(good.on_hand).ok())
            .sum();
        let wanted = pieces.min(self.plan.purchases().count());
        let confirmed = self.confirmed().count();
        let mut findings = Vec::new();
        if confirmed != wanted {
            findings.push(format!("{confirmed} orders for {pieces} pieces"));
        }
        verdict(
            "none too many, none left over",
            format!("{confirmed} orders for {pieces} pieces"),
            findings,
        )
    }
}

fn verdict(name: &'static str, figures: String, findings: Vec<String>) -> Verdict {
    Verdict {
        name,
        figures,
        findings,
    }
}
