//! The customers of a run. Each goes through their purchases one after the other, as a patient page would: fill the basket,
//! check out under one key until there is an answer, wait for what becomes of it, look at the basket.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::patience::{Answer, Certainty, Session};
use super::plan::{Canceller, Lines, Payment, Plan, Purchase, Route};
use super::tally::Tally;

/// Where an order is over, for the purchases of a run.
pub(crate) const FINAL: [&str; 3] = ["confirmed", "failed", "cancelled"];

/// What all customers see of the shop.
pub(crate) struct Shop {
    pub(crate) gateway: String,
    pub(crate) plan: Arc<Plan>,
    /// Ids of the plan's goods.
    pub(crate) goods: Vec<String>,
    pub(crate) merchant: Arc<Session>,
    pub(crate) tally: Arc<Tally>,
}

/// What became of a purchase, as its customer saw it.
#[derive(Debug, Clone)]
pub(crate) struct Bought {
    /// Whose, and the how manieth of theirs.
    pub(crate) customer: usize,
    pub(crate) number: usize,
    pub(crate) purchase: Purchase,
    /// The order that it was accepted as.
    pub(crate) order: Option<String>,
    /// Where the order stood when its customer turned away.
    pub(crate) status: String,
    /// What should not have been seen.
    pub(crate) complaints: Vec<String>,
}

/// One customer.
pub(crate) struct Shopper {
    pub(crate) number: usize,
    pub(crate) session: Arc<Session>,
    pub(crate) shop: Arc<Shop>,
}

/// A purchase on its way.
struct Journey<'a> {
    shopper: &'a Shopper,
    purchase: &'a Purchase,
    key: String,
    complaints: Vec<String>,
}

impl Shopper {
    /// Everything that this customer means to buy.
    pub(crate) async fn shop(self) -> Vec<Bought> {
        let purchases = self.shop.plan.customers.get(self.number).cloned().unwrap_or_default();
        let mut all = Vec::new();
        for (number, purchase) in purchases.iter().enumerate() {
            self.shop.tally.begun();
            let bought = self.buy(number, purchase).await;
            self.shop.tally.settled(&bought.status);
            self.shop.tally.complain(&bought.complaints);
            all.push(bought);
        }
        all
    }

    async fn buy(&self, number: usize, purchase: &Purchase) -> Bought {
        let mut journey = Journey {
            shopper: self,
            purchase,
            key: format!("chaos-{}-{}-{number}", self.shop.plan.seed, self.number),
            complaints: Vec::new(),
        };
        let mut order = None;
        let status = match journey.go(&mut order).await {
            Ok(status) => status,
            Err(error) => {
                journey.complaints.push(format!("gave up: {error:#}"));
                "given up".to_owned()
            }
        };
        Bought {
            customer: self.number,
            number,
            purchase: purchase.clone(),
            order,
            status,
            complaints: journey.complaints,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.shop.gateway)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.session.http().get(self.url(path))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.session.http().post(self.url(path)).json(body)
    }

    /// What lies in the basket, and whether a checkout is under way.
    async fn basket(&self) -> anyhow::Result<(BTreeMap<String, u64>, bool)> {
        let answer = self.session.ask(self.get("baskets/me")).await?;
        ensure!(answer.status.is_success(), "the basket cannot be read: {answer:?}");
        let lines = answer
            .body
            .get("lines")
            .and_then(Value::as_array)
            .context("a basket without lines")?;
        let line = |line: &Value| {
            let product = line.get("product_id")?.as_str()?.to_owned();
            Some((product, line.get("quantity")?.as_u64()?))
        };
        let under_way = answer.body.get("checkout").is_some_and(|checkout| !checkout.is_null());
        Ok((lines.iter().filter_map(line).collect(), under_way))
    }

    fn by_id(&self, lines: &Lines) -> BTreeMap<String, u64> {
        let line =
            |(place, quantity): (&usize, &u32)| Some((self.shop.goods.get(*place)?.clone(), u64::from(*quantity)));
        lines.iter().filter_map(line).collect()
    }
}

impl Journey<'_> {
    /// From the empty basket to the end; what it was accepted as is left in `order` at once.
    async fn go(&mut self, order: &mut Option<String>) -> anyhow::Result<String> {
        let accepted = match self.purchase.route {
            Route::Basket => self.check_out().await?,
            Route::Direct => self.order_directly().await?,
        };
        let id = accepted;
        *order = Some(id.clone());
        let (cancelled, (), outcome) = tokio::join!(self.cancel(&id), self.answer_as_merchant(&id), self.outcome(&id));
        let (cancelled, outcome) = (cancelled?, outcome?);
        let status = self.end(&id, cancelled).await?;
        if cancelled && status != "cancelled" {
            self.complaints
                .push(format!("{id} was cancelled, says its answer, and is {status}"));
        }
        if let Some(outcome) = outcome {
            self.look_at_basket(&id, &outcome, &status).await?;
        }
        Ok(status)
    }

    /// Fills the basket and checks it out, again and again until it is taken.
    async fn check_out(&mut self) -> anyhow::Result<String> {
        let shopper = self.shopper;
        let total = shopper.shop.plan.total(&self.purchase.lines);
        let mut body = json!({"shipping_address": address(), "expected_total": money(total)});
        if let (Some(token), Some(body)) = (self.purchase.payment.token(), body.as_object_mut()) {
            body.insert("payment_token".to_owned(), json!(token));
        }
        let began = Instant::now();
        loop {
            self.fill().await?;
            let request = shopper
                .post("baskets/me/checkout", &body)
                .header("Idempotency-Key", &self.key);
            let answer = self.twice_perhaps(request, "/order_id").await?;
            match (answer.status, answer.code()) {
                (StatusCode::ACCEPTED, _) => {
                    self.compare_total(&answer, total);
                    return Ok(answer
                        .text("/order_id")
                        .context("a checkout without an order")?
                        .to_owned());
                }
                // A line that was added twice, or came late: look again.
                (StatusCode::CONFLICT, "price_changed" | "basket_empty")
                    if began.elapsed() < shopper.shop.tally.patience => {}
                _ => bail!("the checkout was refused: {} {}", answer.status, answer.body),
            }
        }
    }

    /// Until what is in the basket is what the plan says. The first try adds, the others set.
    async fn fill(&self) -> anyhow::Result<()> {
        let shopper = self.shopper;
        let wanted = shopper.by_id(&self.purchase.lines);
        let deadline = Instant::now() + shopper.shop.tally.patience;
        let mut adds = true;
        loop {
            let (there, _) = shopper.basket().await?;
            if there == wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the basket does not become what it is to be: {there:?}, not {wanted:?}"
            );
            for product in there.keys().filter(|product| !wanted.contains_key(*product)) {
                self.set(product, 0).await?;
            }
            for (product, quantity) in &wanted {
                match there.get(product) {
                    Some(found) if found == quantity => {}
                    None if adds => {
                        let body = json!({"product_id": product, "quantity": quantity});
                        // Not to be repeated: what became of it shows in the basket.
                        match shopper.session.try_once(shopper.post("baskets/me/items", &body)).await {
                            Certainty::Answered(answer) if !answer.status.is_success() => {
                                bail!("a line was not added: {} {}", answer.status, answer.body);
                            }
                            Certainty::Answered(_) | Certainty::Unknown => {}
                        }
                    }
                    Some(_) | None => self.set(product, *quantity).await?,
                }
            }
            adds = false;
        }
    }

    async fn set(&self, product: &str, quantity: u64) -> anyhow::Result<()> {
        let shopper = self.shopper;
        let request = shopper
            .session
            .http()
            .put(shopper.url(&format!("baskets/me/items/{product}")));
        let answer = shopper
            .session
            .ask(request.json(&json!({"quantity": quantity})))
            .await?;
        // A line that is not there need not be removed.
        let gone = quantity == 0 && answer.status == StatusCode::NOT_FOUND;
        ensure!(
            answer.status.is_success() || gone,
            "a line was not set: {} {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    async fn order_directly(&mut self) -> anyhow::Result<String> {
        let shopper = self.shopper;
        let items = shopper.by_id(&self.purchase.lines);
        let items: Vec<_> = items
            .iter()
            .map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}))
            .collect();
        let mut body = json!({"customer_id": "me", "items": items, "shipping_address": address()});
        if let (Some(token), Some(body)) = (self.purchase.payment.token(), body.as_object_mut()) {
            body.insert("payment_token".to_owned(), json!(token));
        }
        let request = shopper.post("orders", &body).header("Idempotency-Key", &self.key);
        let answer = self.twice_perhaps(request, "/id").await?;
        ensure!(
            answer.status == StatusCode::CREATED,
            "the order was refused: {} {}",
            answer.status,
            answer.body
        );
        self.compare_total(&answer, shopper.shop.plan.total(&self.purchase.lines));
        Ok(answer.text("/id").context("an order without an id")?.to_owned())
    }

    /// Sends it twice at once where the plan says so: both have to be told the same.
    async fn twice_perhaps(&mut self, request: RequestBuilder, id: &str) -> anyhow::Result<Answer> {
        let session = &self.shopper.session;
        let Some(second) = request.try_clone().filter(|_| self.purchase.twice) else {
            return session.ask(request).await;
        };
        let (one, other) = tokio::join!(session.ask(request), session.ask(second));
        let (one, other) = (one?, other?);
        let accepted = |answer: &Answer| answer.status.is_success();
        match (accepted(&one), accepted(&other)) {
            (true, true) if one.text(id) != other.text(id) => {
                let what = format!("two orders under one key: {} and {}", one.body, other.body);
                self.complaints.push(what);
                Ok(one)
            }
            (false, true) => Ok(other),
            (true, true | false) | (false, false) => Ok(one),
        }
    }

    fn compare_total(&mut self, answer: &Answer, total: i64) {
        let told = answer.body.pointer("/total/amount_minor").and_then(Value::as_i64);
        if told != Some(total) {
            self.complaints
                .push(format!("told to pay {told:?} for what costs {total}"));
        }
    }

    /// Whether it was cancelled, where the plan says that it is to be.
    async fn cancel(&self, order: &str) -> anyhow::Result<bool> {
        let Some((who, after)) = self.purchase.cancelled else {
            return Ok(false);
        };
        sleep(after).await;
        let shopper = self.shopper;
        let session: &Session = match who {
            Canceller::Customer => &shopper.session,
            Canceller::Merchant => &shopper.shop.merchant,
        };
        let path = format!("orders/{order}/cancel");
        let deadline = Instant::now() + shopper.shop.tally.patience;
        loop {
            let answer = session
                .ask(shopper.post(&path, &json!({"reason": "a change of mind"})))
                .await?;
            match answer.status {
                StatusCode::OK | StatusCode::ACCEPTED => return Ok(true),
                // Over already.
                StatusCode::CONFLICT if answer.code() == "invalid_transition" => return Ok(false),
                // Its checkout has been accepted, and it has not been taken in yet.
                StatusCode::NOT_FOUND if Instant::now() < deadline => sleep(shopper.shop.tally.look_every).await,
                _ => bail!("the cancellation was refused: {} {}", answer.status, answer.body),
            }
        }
    }

    /// The merchant's yes or no, where they are asked.
    async fn answer_as_merchant(&self, order: &str) {
        let action = match self.purchase.payment {
            Payment::OnAccount => json!({"verb": "accept"}),
            Payment::Rejected => json!({"verb": "reject", "body": {"reason": "not today"}}),
            Payment::Approved | Payment::Declined | Payment::Slow | Payment::Lost => return,
        };
        let (shopper, merchant) = (self.shopper, &self.shopper.shop.merchant);
        let deadline = Instant::now() + shopper.shop.tally.patience;
        while Instant::now() < deadline {
            let Ok(seen) = merchant.ask(shopper.get(&format!("orders/{order}"))).await else {
                return;
            };
            match seen.text("/status") {
                Some("awaiting_acceptance") => {
                    let verb = action.get("verb").and_then(Value::as_str).unwrap_or_default();
                    let mut request = merchant.http().post(shopper.url(&format!("orders/{order}/{verb}")));
                    if let Some(body) = action.get("body") {
                        request = request.json(body);
                    }
                    // Whatever is said shows in what becomes of the order.
                    let _ = merchant.ask(request).await;
                    return;
                }
                Some(status) if FINAL.contains(&status) => return,
                Some(_) | None => sleep(shopper.shop.tally.look_every).await,
            }
        }
    }

    /// How the checkout ended, for a basket's.
    async fn outcome(&self, order: &str) -> anyhow::Result<Option<String>> {
        if self.purchase.route == Route::Direct {
            return Ok(None);
        }
        let shopper = self.shopper;
        let deadline = Instant::now() + shopper.shop.tally.patience;
        loop {
            let request = shopper
                .get(&format!("baskets/me/checkouts/{order}"))
                .header("Prefer", "wait=10");
            let answer = shopper.session.ask(request).await?;
            match answer.text("/status") {
                Some("pending") => {}
                Some(outcome) => return Ok(Some(outcome.to_owned())),
                None => bail!("the checkout cannot be read: {} {}", answer.status, answer.body),
            }
            ensure!(
                Instant::now() < deadline,
                "the checkout {order} is pending for too long"
            );
        }
    }

    /// The order's end: `cancelled` where that has been promised.
    async fn end(&self, order: &str, cancelled: bool) -> anyhow::Result<String> {
        let shopper = self.shopper;
        let deadline = Instant::now() + shopper.shop.tally.patience;
        loop {
            let request = shopper.get(&format!("orders/{order}")).header("Prefer", "wait=10");
            let answer = shopper.session.ask(request).await?;
            let status = answer.text("/status").unwrap_or_default();
            if FINAL.contains(&status) && (!cancelled || status != "confirmed") {
                return Ok(status.to_owned());
            }
            if Instant::now() > deadline {
                bail!("{order} has not ended: {} {status}", answer.status);
            }
            sleep(shopper.shop.tally.look_every).await;
        }
    }

    /// Settled, or given back.
    async fn look_at_basket(&mut self, order: &str, outcome: &str, status: &str) -> anyhow::Result<()> {
        let (there, under_way) = self.shopper.basket().await?;
        let given_back = outcome == "failed";
        let wanted = if given_back {
            self.shopper.by_id(&self.purchase.lines)
        } else {
            BTreeMap::new()
        };
        if under_way || there != wanted {
            self.complaints.push(format!(
                "the basket after {order} ({outcome}, {status}) holds {there:?}, not {wanted:?}; under way: {under_way}"
            ));
        }
        if !given_back && status == "failed" && self.purchase.payment.token().is_some() {
            // OrderPlaced went out, so the basket is settled; it may fail later only after an acceptance or a commit.
            self.complaints
                .push(format!("{order} failed after its checkout was answered as ordered"));
        }
        Ok(())
    }
}

pub(crate) fn money(amount: i64) -> Value {
    json!({"amount_minor": amount, "currency": "USD"})
}

pub(crate) fn address() -> Value {
    json!({"name": "A Shopper", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345", "country": "US"})
}
