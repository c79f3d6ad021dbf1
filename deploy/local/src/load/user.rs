//! One user: goes on journeys, and keeps the receipts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::meter::Step;
use super::pass::Pass;
use super::receipt::{Content, Ordered, PATIENCE, Receipt, Review, Watched};
use super::shop::{Came, Shop, bars};
use crate::dice::Dice;

/// Tries of a checkout that is turned away.
const TRIES: u32 = 6;
/// Before somebody who was turned away comes again, where the shop names no time.
const TURNED_AWAY: Duration = Duration::from_millis(500);
/// What `Retry-After` may ask for at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
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
            Came::Refused | Came::Barred | Came::Later(_) => None,
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
        let (order, watched) = self.see_through(&id).await;
        if watched == Watched::ToItsEnd {
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
            watched,
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
                Came::Refused | Came::Barred => return CheckedOut::Refused,
                Came::Later(_) => {}
            }
        }
        CheckedOut::Unknown
    }

    /// The order when it is no longer pending, or as it was last seen.
    async fn see_through(&mut self, id: &str) -> (Value, Watched) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Value::Null;
        while Instant::now() < deadline {
            let request = self.shop.get(&format!("orders/{id}")).header("Prefer", "wait=20");
            match self.ask(Step::Await, request).await {
                Came::Fine(order) => {
                    let pending = order.get("status").and_then(Value::as_str) == Some("pending");
                    seen = order;
                    if !pending {
                        return (seen, Watched::ToItsEnd);
                    }
                }
                // Its checkout has been accepted, and it has not been taken in yet.
                Came::Refused => sleep(LOOK_AGAIN).await,
                Came::Barred => return (seen, Watched::AsLongAsLetIn),
                Came::Later(_) => {}
            }
        }
        (seen, Watched::AsLongAsPatient)
    }

    /// A request, and the pause after it.
    async fn step(&mut self, step: Step, request: RequestBuilder) -> Came {
        let came = self.ask(step, request).await;
        self.pause().await;
        came
    }

    /// A request with this user's token. Who is turned away comes back from this when they may come again.
    async fn ask(&self, step: Step, request: RequestBuilder) -> Came {
        let came = self.shop.send(step, request.bearer_auth(self.pass.token())).await;
        if let Came::Later(after) = &came {
            sleep(after.unwrap_or(TURNED_AWAY).min(LONGEST_PAUSE)).await;
        }
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
                Ok(answer) if bars(answer.status()) => return Err(answer.status().to_string()),
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
