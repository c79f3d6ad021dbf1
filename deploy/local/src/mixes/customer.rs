//! A customer, who remembers what they were told of each of their orders.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::chaos::address;
use crate::chaos::patience::{Answer, Session};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Customer {
    session: Session,
    gateway: String,
    patience: Duration,
    /// By order, the last status that was waited for.
    told: BTreeMap<String, &'static str>,
    keys: usize,
}

impl Customer {
    pub(super) fn new(session: Session, gateway: &str, patience: Duration) -> Self {
        Self {
            session,
            gateway: gateway.to_owned(),
            patience,
            told: BTreeMap::new(),
            keys: 0,
        }
    }

    /// What became of each order.
    pub(super) fn told(&self) -> impl Iterator<Item = &'static str> {
        self.told.values().copied()
    }

    /// So many pieces of it, whatever was there.
    pub(super) async fn puts(&self, product: &str, pieces: i64) -> anyhow::Result<()> {
        let put = self
            .session
            .http()
            .put(self.url(&format!("baskets/me/items/{product}")));
        let put = put.json(&json!({"quantity": pieces}));
        self.asks(put).await.context("a line of the basket").map(drop)
    }

    /// The whole basket, which costs so much. Returns the order's id.
    pub(super) async fn checks_out(&mut self, token: &str, total: i64) -> anyhow::Result<String> {
        let body = json!({"shipping_address": address(), "payment_token": token});
        let answer = self.posts("baskets/me/checkout", &body).await?;
        let told = answer.body.pointer("/total/amount_minor").and_then(Value::as_i64);
        ensure!(told == Some(total), "{total} is to be paid, not {}", answer.body);
        let order = answer.text("/order_id").context("a checkout without an order")?;
        Ok(order.to_owned())
    }

    pub(super) async fn gets(&self, path: &str) -> anyhow::Result<Answer> {
        let get = self.session.http().get(self.url(path));
        self.asks(get).await.with_context(|| path.to_owned())
    }

    /// Under a key of its own.
    pub(super) async fn posts(&mut self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.keys += 1;
        let post = self.session.http().post(self.url(path)).json(body);
        let post = post.header("Idempotency-Key", format!("mixes-{}", self.keys));
        self.asks(post).await.with_context(|| path.to_owned())
    }

    pub(super) async fn posts_without_key(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let post = self.session.http().post(self.url(path)).json(body);
        self.asks(post).await.with_context(|| path.to_owned())
    }

    /// Waits until the checkout has its answer, which has to be this one.
    pub(super) async fn is_answered(&self, order: &str, outcome: &str) -> anyhow::Result<()> {
        let path = format!("baskets/me/checkouts/{order}");
        let answered = |answer: &Answer| answer.text("/status").is_some_and(|status| status != "pending");
        let answer = self.looks(&path, "answered", answered).await?;
        let as_it_should = answer.text("/status") == Some(outcome);
        ensure!(as_it_should, "the checkout is not {outcome}: {}", answer.body);
        Ok(())
    }

    /// Waits until the order is as it is to be, and remembers that it was.
    pub(super) async fn sees(&mut self, order: &str, status: &'static str) -> anyhow::Result<()> {
        let there = |answer: &Answer| answer.text("/status") == Some(status);
        self.looks(&format!("orders/{order}"), status, there).await?;
        self.told.insert(order.to_owned(), status);
        Ok(())
    }

    /// Looks again and again. What is not there yet may come.
    pub(super) async fn looks(
        &self,
        path: &str,
        what: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + self.patience;
        loop {
            let answer = self.session.ask(self.session.http().get(self.url(path))).await?;
            if answer.status.is_success() && wanted(&answer) {
                return Ok(answer);
            }
            ensure!(
                Instant::now() < deadline,
                "{path} is not {what} within {} s: {} {}",
                self.patience.as_secs(),
                answer.status,
                answer.body
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Each order that they were told of is in their list as it was, whichever release made it.
    pub(super) async fn finds_all_orders(&self) -> anyhow::Result<()> {
        let mut listed = BTreeMap::new();
        let mut path = "orders?customer_id=me&limit=20".to_owned();
        loop {
            let page = self.gets(&path).await?;
            let orders = page.body.get("data").and_then(Value::as_array);
            let entry = |order: &Value| Some((text(order, "id")?, text(order, "status")?));
            listed.extend(orders.context("a page without data")?.iter().filter_map(entry));
            match page.text("/next_cursor") {
                Some(cursor) => path = format!("orders?customer_id=me&limit=20&cursor={cursor}"),
                None => break,
            }
        }
        for (order, told) in &self.told {
            let found = listed.get(order).map(String::as_str);
            ensure!(found == Some(*told), "{order} was {told}, and is listed as {found:?}");
        }
        Ok(())
    }

    async fn asks(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        succeeded(self.session.ask(request).await?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.gateway)
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned)
}

/// The answer, where it is one.
pub(super) fn succeeded(answer: Answer) -> anyhow::Result<Answer> {
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    Ok(answer)
}
