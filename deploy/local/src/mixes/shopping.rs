//! What people do in each mix: purchases from the basket to the end, and others that are begun in one mix and ended in the
//! next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::customer::{Customer, succeeded};
use crate::chaos::patience::{Answer, Counted, Desk, Session};
use crate::chaos::{address, money};
use crate::dice::Dice;
use crate::{Part, System, loopback, reconcile};

const SEED: u64 = 20_261_120;
const ON_HAND: u32 = 1_000;
const FIRST_PRICE: i64 = 1_250;
const DEARER_BY: i64 = 50;
const VISA: &str = "pm_card_visa";
const DECLINED: &str = "pm_card_chargeDeclined";
const ASKS_THE_HOLDER: &str = "pm_card_authenticationRequired";
const LEFT_IN_BASKET: i64 = 3;
const RECONCILE_EVERY: Duration = Duration::from_millis(500);

/// The customers and the merchant of a run.
pub(super) struct Shopping {
    gateway: String,
    patience: Duration,
    /// Buys one thing after the other.
    regular: Customer,
    /// Whose bank asks, while the services are replaced.
    careful: Customer,
    merchant: Session,
    admin: Session,
    counted: Arc<Counted>,
    product: Product,
    begun: Option<Begun>,
    visits: usize,
}

/// What is bought.
struct Product {
    id: String,
    /// For one, in minor units.
    price: i64,
}

/// What the next mix has to end.
struct Begun {
    /// The careful customer's, and the page on which they say yes.
    unauthenticated: (String, String),
    to_deliver: String,
    to_cancel: String,
    to_accept: String,
    /// Where the regular customer's list of orders goes on.
    cursor: String,
}

impl Shopping {
    pub(super) async fn open(system: &System, patience: Duration) -> anyhow::Result<Self> {
        let deployment = system.deployment()?;
        let gateway = system.url(Part::Gateway);
        let desk = Desk {
            cognito: deployment.cognito()?,
            client_id: deployment.setting("SHOP_CLIENT_ID")?.to_owned(),
            counted: Arc::default(),
            http: loopback::http()?,
            patience,
        };
        let session = |name: &str, token| desk.session(name.to_owned(), token, Dice::of(SEED, name, 0));
        let customer = |name, token| Customer::new(session(name, token), &gateway, patience);
        let merchant = session("merchant", system.token("merchant").await?);
        Ok(Self {
            regular: customer("customer", system.token("customer").await?),
            careful: customer("customer2", system.token("customer2").await?),
            product: new_product(&merchant, &gateway, 0).await?,
            merchant,
            admin: session("admin", system.token("admin").await?),
            counted: Arc::clone(&desk.counted),
            begun: None,
            visits: 0,
            gateway,
            patience,
        })
    }

    /// How many orders ended how.
    pub(super) fn told(&self) -> BTreeMap<&'static str, usize> {
        let mut ends = BTreeMap::new();
        for status in self.regular.told().chain(self.careful.told()) {
            *ends.entry(status).or_default() += 1;
        }
        ends
    }

    /// All that is done in a mix: what the one before began is ended, purchases are made, and others begun.
    pub(super) async fn visit(&mut self) -> anyhow::Result<()> {
        self.visits += 1;
        self.end_what_was_begun().await?;
        self.buy_and_keep().await.context("a purchase")?;
        self.buy_declined().await.context("a declined purchase")?;
        self.buy_and_cancel().await.context("a cancelled purchase")?;
        self.begun = Some(self.begin().await.context("what the next mix is to end")?);
        self.sound().await
    }

    /// Ends what is begun, and has everything held against each other.
    pub(super) async fn conclude(&mut self) -> anyhow::Result<()> {
        self.end_what_was_begun().await?;
        self.sound().await?;
        for owner in ["baskets", "orders"] {
            let letters = format!("{}/v1/{owner}/admin/dead-letters", self.gateway);
            let letters = succeeded(self.admin.ask(self.admin.http().get(letters)).await?)?;
            let none = letters
                .body
                .get("data")
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty);
            ensure!(none, "dead letters of {owner}: {}", letters.body);
        }
        let deadline = Instant::now() + self.patience;
        loop {
            let report = reconcile::run(&self.gateway, &self.admin.token(), |_| {}).await?;
            if report.summary.complete && report.is_clean() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "reconciliation: {report:?}");
            sleep(RECONCILE_EVERY).await;
        }
    }

    async fn end_what_was_begun(&mut self) -> anyhow::Result<()> {
        match self.begun.take() {
            Some(begun) => self.end(begun).await.context("what the mix before began"),
            None => Ok(()),
        }
    }

    /// Everybody's list of orders is as they were told, and nobody saw a failure inside.
    async fn sound(&self) -> anyhow::Result<()> {
        self.regular.finds_all_orders().await?;
        self.careful.finds_all_orders().await?;
        match self.counted.internal() {
            (0, _) => Ok(()),
            (many, samples) => bail!("{many} answers of 500: {samples:?}"),
        }
    }

    async fn begin(&mut self) -> anyhow::Result<Begun> {
        self.product = new_product(&self.merchant, &self.gateway, self.visits).await?;
        let waiting = check_out(&mut self.careful, &self.product, ASKS_THE_HOLDER).await?;
        let page = |answer: &Answer| answer.text("/payment/next_action/url").map(str::to_owned);
        let path = format!("orders/{waiting}");
        let asked = self
            .careful
            .looks(&path, "waiting for its customer", |answer| page(answer).is_some());
        let page = page(&asked.await?).unwrap_or_default();
        let to_deliver = self.bought().await?;
        let to_cancel = self.bought().await?;
        let to_accept = self.ordered_on_account().await?;
        self.regular.puts(&self.product.id, LEFT_IN_BASKET).await?;
        let first_page = self.regular.gets("orders?customer_id=me&limit=1").await?;
        let cursor = first_page
            .text("/next_cursor")
            .context("a list without a second page")?;
        Ok(Begun {
            unauthenticated: (waiting, page),
            to_deliver,
            to_cancel,
            to_accept,
            cursor: cursor.to_owned(),
        })
    }

    async fn end(&mut self, begun: Begun) -> anyhow::Result<()> {
        let second_page = format!("orders?customer_id=me&limit=1&cursor={}", begun.cursor);
        self.regular.gets(&second_page).await.context("the second page")?;
        let (order, page) = begun.unauthenticated;
        let said_yes = self.admin.http().post(page).form(&[("outcome", "complete")]);
        said_yes.send().await?.error_for_status().context("the bank's page")?;
        self.careful.is_answered(&order, "ordered").await?;
        self.careful.sees(&order, "confirmed").await?;
        let parcel = json!({"carrier": "DHL", "tracking": "JD0001"});
        self.as_merchant(&begun.to_deliver, "ship", Some(parcel)).await?;
        self.as_merchant(&begun.to_deliver, "deliver", None).await?;
        self.regular.sees(&begun.to_deliver, "delivered").await?;
        self.cancel(&begun.to_cancel).await?;
        self.as_merchant(&begun.to_accept, "accept", None).await?;
        self.regular.sees(&begun.to_accept, "confirmed").await?;
        let order = self
            .regular
            .checks_out(VISA, self.product.price * LEFT_IN_BASKET)
            .await?;
        self.regular.is_answered(&order, "ordered").await?;
        self.regular.sees(&order, "confirmed").await?;
        self.change_product().await
    }

    async fn buy_and_keep(&mut self) -> anyhow::Result<()> {
        self.bought().await?;
        let basket = self.regular.gets("baskets/me").await?;
        let lines = basket.body.get("lines").and_then(Value::as_array);
        ensure!(
            lines.is_some_and(Vec::is_empty),
            "the basket is not settled: {}",
            basket.body
        );
        Ok(())
    }

    async fn buy_declined(&mut self) -> anyhow::Result<()> {
        let order = check_out(&mut self.regular, &self.product, DECLINED).await?;
        self.regular.is_answered(&order, "failed").await?;
        self.regular.sees(&order, "failed").await?;
        let basket = self.regular.gets("baskets/me").await?;
        let given_back = basket.text("/lines/0/product_id") == Some(&self.product.id);
        ensure!(given_back, "the basket did not get its line back: {}", basket.body);
        Ok(())
    }

    async fn buy_and_cancel(&mut self) -> anyhow::Result<()> {
        let order = self.bought().await?;
        self.cancel(&order).await
    }

    /// A confirmed order of the regular customer.
    async fn bought(&mut self) -> anyhow::Result<String> {
        let order = check_out(&mut self.regular, &self.product, VISA).await?;
        self.regular.is_answered(&order, "ordered").await?;
        self.regular.sees(&order, "confirmed").await?;
        Ok(order)
    }

    async fn ordered_on_account(&mut self) -> anyhow::Result<String> {
        let items = json!([{"product_id": self.product.id, "quantity": 1}]);
        let body = json!({"customer_id": "me", "items": items, "shipping_address": address()});
        let answer = self.regular.posts("orders", &body).await?;
        let order = answer.text("/id").context("an order without an id")?.to_owned();
        self.regular.sees(&order, "awaiting_acceptance").await?;
        Ok(order)
    }

    /// Cancels a paid order of the regular customer, and waits until all of its money is back.
    async fn cancel(&mut self, order: &str) -> anyhow::Result<()> {
        let reason = json!({"reason": "a change of mind"});
        self.regular
            .posts_without_key(&format!("orders/{order}/cancel"), &reason)
            .await?;
        let amount = |answer: &Answer, of: &str| answer.body.pointer(of).and_then(Value::as_i64);
        let refunded = |answer: &Answer| {
            let total = amount(answer, "/total/amount_minor");
            total.is_some() && amount(answer, "/payment/refunded/amount_minor") == total
        };
        self.regular
            .looks(&format!("orders/{order}"), "refunded", refunded)
            .await?;
        self.regular.sees(order, "cancelled").await
    }

    async fn as_merchant(&self, order: &str, verb: &str, body: Option<Value>) -> anyhow::Result<()> {
        let url = format!("{}/v1/orders/{order}/{verb}", self.gateway);
        let mut request = self.merchant.http().post(url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = self.merchant.ask(request).await?;
        succeeded(answer).with_context(|| format!("{verb} {order}")).map(drop)
    }

    /// What another release made is changed.
    async fn change_product(&mut self) -> anyhow::Result<()> {
        let Product { id, price } = &mut self.product;
        let (merchant, url) = (&self.merchant, format!("{}/v1/products/{id}", self.gateway));
        let patch = json!({"price": money(*price + DEARER_BY)}).to_string();
        let patch = merchant.http().patch(&url).header("If-Match", "*").body(patch);
        let patch = patch.header(CONTENT_TYPE, "application/merge-patch+json");
        succeeded(merchant.ask(patch).await?).context("a new price")?;
        *price += DEARER_BY;
        let found = merchant.http().post(format!("{url}/stock/adjustments"));
        let found = found.json(&json!({"delta": 1, "reason": "found one"}));
        let found = found.header("Idempotency-Key", format!("mixes-{}", self.visits));
        succeeded(merchant.ask(found).await?)
            .context("a change of stock")
            .map(drop)
    }
}

/// Two pieces of it, from a basket that holds nothing else.
async fn check_out(customer: &mut Customer, product: &Product, token: &str) -> anyhow::Result<String> {
    customer.puts(&product.id, 2).await?;
    customer.checks_out(token, product.price * 2).await
}

async fn new_product(merchant: &Session, gateway: &str, number: usize) -> anyhow::Result<Product> {
    let url = format!("{gateway}/v1/products");
    let body = json!({
        "sku": format!("mix-{number}"), "name": "A mug", "category": "kitchen", "price": money(FIRST_PRICE),
    });
    let made = succeeded(merchant.ask(merchant.http().post(&url).json(&body)).await?)?;
    let id = made.text("/id").context("a product without an id")?.to_owned();
    let count = merchant.http().put(format!("{url}/{id}/stock"));
    let count = count.header("If-Match", "*").json(&json!({"on_hand": ON_HAND}));
    succeeded(merchant.ask(count).await?)?;
    Ok(Product { id, price: FIRST_PRICE })
}
