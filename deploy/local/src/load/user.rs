//! One user: goes on journeys, and keeps the receipts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::meter::Step;
use super::pass::Pass;
use super::shop::{Came, Shop};
use crate::dice::Dice;

/// Tries of a checkout that is turned away.
const TRIES: u32 = 6;
/// Between them, where the shop names no time.
const TURNED_AWAY: Duration = Duration::from_millis(500);
/// What `Retry-After` may ask for at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long an order may take to its end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Before an order that is not there yet, or not at its end, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// See the module.
pub(super) struct User {
    shop: Arc<Shop>,
    dice: Dice,
    pass: Pass,
    /// Begins the keys of this user's checkouts.
    key: String,
    /// The newest order before the first journey, or none; not known until there is something to buy.
    newest: Option<String>,
}

/// What somebody was told of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Receipt {
    /// It became this order.
    Order(Box<Ordered>),
    /// Nobody answered, however often it was asked: there may be an order or not.
    Unknown(String),
}

/// What was ordered, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    pub(super) id: String,
    /// What the basket held, and what it was to cost.
    pub(super) meant: Content,
    /// What the order says.
    pub(super) came: Content,
    /// Its last status that was seen, with the reason of a failure.
    pub(super) end: String,
    pub(super) at_its_end: bool,
}

/// Quantities by product, and the total in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) lines: BTreeMap<String, u64>,
    pub(super) total: Option<i64>,
}

/// What a look at a user's orders brought.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// Orders by how they ended.
    pub(super) ends: BTreeMap<String, u64>,
    /// What should not be.
    pub(super) wrong: Vec<String>,
    /// Checkouts of which nobody knows, and lists that could not be read.
    pub(super) unknown: Vec<String>,
}

#[derive(Clone, Copy)]
enum Journey {
    Browse,
    Fill,
    Buy,
}

/// Most people look.
const JOURNEYS: [(u64, Journey); 3] = [(5, Journey::Browse), (3, Journey::Fill), (2, Journey::Buy)];

impl User {
    pub(super) fn new(shop: Arc<Shop>, dice: Dice, pass: Pass, key: String) -> Self {
        Self {
            shop,
            dice,
            pass,
            key,
            newest: None,
        }
    }

    /// Goes on journeys until then. Comes back with what was bought.
    pub(super) async fn live(mut self, until: Instant) -> (Self, Vec<Receipt>) {
        let mut receipts = Vec::new();
        // Not everybody at the same moment.
        self.pause().await;
        self.newest = self
            .orders_after(None, 1)
            .await
            .ok()
            .and_then(|ids| ids.first().cloned());
        while Instant::now() < until {
            self.pass.renew().await;
            let buys = self.shop.payment_token.is_some();
            match self.dice.weighed(&JOURNEYS) {
                Some(Journey::Buy) if buys => {
                    let number = receipts.len();
                    receipts.extend(self.buy(number).await);
                }
                Some(Journey::Fill | Journey::Buy) => {
                    self.fill().await;
                }
                Some(Journey::Browse) | None => self.browse().await,
            }
        }
        (self, receipts)
    }

    /// Holds the user's own list of orders against the receipts.
    pub(super) async fn review(self, receipts: Vec<Receipt>) -> Review {
        let mut review = Review::default();
        for receipt in &receipts {
            match receipt {
                Receipt::Order(ordered) => review.note(ordered),
                Receipt::Unknown(key) => review
                    .unknown
                    .push(format!("nobody knows what became of the checkout {key}")),
            }
        }
        if receipts.is_empty() {
            return review;
        }
        match self.orders_after(self.newest.as_deref(), usize::MAX).await {
            Ok(listed) => review.compare(&listed, &receipts),
            Err(why) => review
                .unknown
                .push(format!("a customer's orders cannot be listed: {why}")),
        }
        review
    }

    async fn browse(&mut self) {
        let limit = self.dice.between(10, 50);
        self.step(Step::ListProducts, self.shop.get(&format!("products?limit={limit}")))
            .await;
        for _ in 0..self.dice.between(1, 3) {
            let number = self.dice.next();
            let path = format!("products/{}", self.shop.good(number));
            self.step(Step::ReadProduct, self.shop.get(&path)).await;
        }
    }

    /// Puts something into the basket, and looks at it.
    async fn fill(&mut self) -> Option<Value> {
        self.browse().await;
        for _ in 0..self.dice.between(1, 2) {
            let number = self.dice.next();
            let body = json!({"product_id": self.shop.good(number), "quantity": self.dice.between(1, 2)});
            self.step(Step::Add, self.shop.post("baskets/me/items", &body)).await;
        }
        match self.step(Step::ReadBasket, self.shop.get("baskets/me")).await {
            Came::Fine(basket) => Some(basket),
            Came::Refused | Came::Later(_) => None,
        }
    }

    /// From the basket to the order's end. Nothing where the shop said no.
    async fn buy(&mut self, number: usize) -> Option<Receipt> {
        let basket = self.fill().await?;
        let meant = Content::of(&basket, "lines", "/subtotal/amount_minor");
        if meant.lines.is_empty() {
            return None;
        }
        let body = json!({
            "shipping_address": {"name": "A User", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"},
            "payment_token": self.shop.payment_token,
            "expected_total": basket.get("subtotal"),
        });
        let key = format!("{}-{number}", self.key);
        let id = match self.check_out(&key, &body).await {
            CheckedOut::As(id) => id,
            CheckedOut::Refused => return None,
            CheckedOut::Unknown => return Some(Receipt::Unknown(key)),
        };
        let accepted = Instant::now();
        let (order, at_its_end) = self.see_through(&id).await;
        if at_its_end {
            self.shop.meter.settled(accepted.elapsed());
            self.step(Step::ReadOrder, self.shop.get(&format!("orders/{id}"))).await;
        }
        let status = order.get("status").and_then(Value::as_str).unwrap_or("unseen");
        let end = match order.pointer("/failure/reason").and_then(Value::as_str) {
            Some(reason) => format!("{status}: {reason}"),
            None => status.to_owned(),
        };
        Some(Receipt::Order(Box::new(Ordered {
            id,
            meant,
            came: Content::of(&order, "items", "/total/amount_minor"),
            end,
            at_its_end,
        })))
    }

    /// Under one key until it is answered.
    async fn check_out(&mut self, key: &str, body: &Value) -> CheckedOut {
        for _ in 0..TRIES {
            let request = self
                .shop
                .post("baskets/me/checkout", body)
                .header("Idempotency-Key", key);
            match self.step(Step::CheckOut, request).await {
                Came::Fine(answer) => match answer.get("order_id").and_then(Value::as_str) {
                    Some(id) => return CheckedOut::As(id.to_owned()),
                    None => return CheckedOut::Unknown,
                },
                Came::Refused => return CheckedOut::Refused,
                Came::Later(after) => sleep(after.unwrap_or(TURNED_AWAY).min(LONGEST_PAUSE)).await,
            }
        }
        CheckedOut::Unknown
    }

    /// The order when it is no longer pending, or when patience is over; and whether it is at its end.
    async fn see_through(&mut self, id: &str) -> (Value, bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Value::Null;
        while Instant::now() < deadline {
            let request = self.shop.get(&format!("orders/{id}")).header("Prefer", "wait=20");
            match self
                .shop
                .send(Step::Await, request.bearer_auth(self.pass.token()))
                .await
            {
                Came::Fine(order) => {
                    let pending = order.get("status").and_then(Value::as_str) == Some("pending");
                    seen = order;
                    if !pending {
                        return (seen, true);
                    }
                }
                // Its checkout has been accepted, and it has not been taken in yet.
                Came::Refused | Came::Later(_) => sleep(LOOK_AGAIN).await,
            }
        }
        (seen, false)
    }

    /// A request with this user's token, and the pause after it.
    async fn step(&mut self, step: Step, request: RequestBuilder) -> Came {
        let came = self.shop.send(step, request.bearer_auth(self.pass.token())).await;
        if let Came::Later(Some(after)) = &came {
            sleep((*after).min(LONGEST_PAUSE)).await;
        }
        self.pause().await;
        came
    }

    async fn pause(&mut self) {
        let usual = u64::try_from(self.shop.pause.as_millis()).unwrap_or(u64::MAX);
        sleep(self.dice.milliseconds(usual / 2, usual.saturating_add(usual / 2))).await;
    }

    /// This customer's orders, newest first, down to that one or so many. Not measured: no part of a journey.
    async fn orders_after(&self, known: Option<&str>, at_most: usize) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let mut path = format!("orders?customer_id=me&limit={}", at_most.min(100));
        loop {
            let page = self.page(&path).await?;
            let orders = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            for order in orders {
                let id = order.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                if Some(id.as_str()) == known || ids.len() >= at_most {
                    return Ok(ids);
                }
                ids.push(id);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(cursor) if ids.len() < at_most => {
                    path = format!("orders?customer_id=me&limit=100&cursor={cursor}");
                }
                Some(_) | None => return Ok(ids),
            }
        }
    }

    async fn page(&self, path: &str) -> Result<Value, String> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let request = self.shop.get(path).bearer_auth(self.pass.token());
            last = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    return answer.json().await.map_err(|fault| fault.to_string());
                }
                Ok(answer) => answer.status().to_string(),
                Err(fault) => fault.to_string(),
            };
            sleep(TURNED_AWAY).await;
        }
        Err(last)
    }
}

enum CheckedOut {
    As(String),
    Refused,
    Unknown,
}

impl Content {
    fn of(body: &Value, lines: &str, total: &str) -> Self {
        let entries = body.get(lines).and_then(Value::as_array);
        let line = |line: &Value| {
            let product = line.get("product_id")?.as_str()?.to_owned();
            Some((product, line.get("quantity")?.as_u64()?))
        };
        Self {
            lines: entries.into_iter().flatten().filter_map(line).collect(),
            total: body.pointer(total).and_then(Value::as_i64),
        }
    }
}

impl Review {
    fn note(&mut self, ordered: &Ordered) {
        *self.ends.entry(ordered.end.clone()).or_default() += 1;
        let Ordered {
            id,
            meant,
            came,
            end,
            at_its_end,
        } = ordered;
        if !at_its_end {
            self.wrong.push(format!("{id} is {end} after {} s", PATIENCE.as_secs()));
        } else if came != meant {
            self.wrong
                .push(format!("{id} is for {came:?}, and its basket held {meant:?}"));
        }
    }

    /// Every receipt is one order, and there is no order without a receipt.
    fn compare(&mut self, listed: &[String], receipts: &[Receipt]) {
        let mut unknown = 0;
        let mut told = BTreeSet::new();
        for receipt in receipts {
            match receipt {
                Receipt::Order(ordered) if !told.insert(&ordered.id) => {
                    self.wrong
                        .push(format!("two checkouts became the one order {}", ordered.id));
                }
                Receipt::Order(_) => {}
                Receipt::Unknown(_) => unknown += 1,
            }
        }
        let there: BTreeSet<_> = listed.iter().collect();
        let lost = told.iter().filter(|id| !there.contains(**id));
        self.wrong
            .extend(lost.map(|id| format!("{id} was accepted, and is not among its customer's orders")));
        let untold: Vec<_> = there.iter().filter(|id| !told.contains(**id)).collect();
        if untold.len() > unknown {
            self.wrong
                .push(format!("there are orders that nobody was told of: {untold:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(product: &str, quantity: u64, total: i64) -> Content {
        Content {
            lines: BTreeMap::from([(product.to_owned(), quantity)]),
            total: Some(total),
        }
    }

    fn ordered(id: &str) -> Ordered {
        Ordered {
            id: id.to_owned(),
            meant: content("tea", 2, 1000),
            came: content("tea", 2, 1000),
            end: "confirmed".to_owned(),
            at_its_end: true,
        }
    }

    fn reviewed(listed: &[&str], receipts: &[Receipt]) -> Review {
        let mut review = Review::default();
        for receipt in receipts {
            if let Receipt::Order(ordered) = receipt {
                review.note(ordered);
            }
        }
        let listed: Vec<_> = listed.iter().map(|id| (*id).to_owned()).collect();
        review.compare(&listed, receipts);
        review
    }

    fn receipt(ordered: Ordered) -> Receipt {
        Receipt::Order(Box::new(ordered))
    }

    #[test]
    fn orders_that_are_as_they_were_meant_are_fine() {
        let review = reviewed(&["2", "1"], &[receipt(ordered("1")), receipt(ordered("2"))]);
        assert_eq!(review.wrong, Vec::<String>::new());
        assert_eq!(review.ends, BTreeMap::from([("confirmed".to_owned(), 2)]));
    }

    #[test]
    fn an_order_that_is_lost_doubled_shared_or_nobody_was_told_of_is_noticed() {
        let one = || receipt(ordered("1"));
        assert_eq!(reviewed(&[], &[one()]).wrong.len(), 1, "lost");
        assert_eq!(reviewed(&["1", "2"], &[one()]).wrong.len(), 1, "doubled");
        assert_eq!(reviewed(&["1"], &[one(), one()]).wrong.len(), 1, "shared");
        let unknown = Receipt::Unknown("a key".to_owned());
        assert!(
            reviewed(&["1", "2"], &[one(), unknown.clone()]).wrong.is_empty(),
            "perhaps the other's"
        );
        assert_eq!(reviewed(&["1", "2", "3"], &[one(), unknown]).wrong.len(), 1, "not two");
    }

    #[test]
    fn an_order_for_something_else_or_without_an_end_is_noticed() {
        for came in [
            content("tea", 1, 1000),
            content("tea", 2, 999),
            content("mug", 2, 1000),
            Content::default(),
        ] {
            let other = Ordered { came, ..ordered("1") };
            assert_eq!(reviewed(&["1"], &[receipt(other)]).wrong.len(), 1);
        }
        let pending = Ordered {
            end: "pending".to_owned(),
            at_its_end: false,
            ..ordered("1")
        };
        assert_eq!(reviewed(&["1"], &[receipt(pending)]).wrong.len(), 1);
    }
}
