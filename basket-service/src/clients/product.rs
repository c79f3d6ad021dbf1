//! The product service: names, prices and availability, of up to a hundred products at once.
//!
//! For display an answer may be a second old, and whoever asks for what somebody is asking for
//! already waits for that answer; at a checkout everything is asked for afresh.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Args;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use moka::future::Cache;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use reqwest::StatusCode;
use reqwest_middleware::ClientWithMiddleware;
use serde::Deserialize;
use shared::contract::checkout::Acceptance;
use shared::ids::ProductId;
use shared::money::Money;
use shared::outgoing::Resent;
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::Instrument;
use url::Url;

use crate::chain::chain;
use crate::domain::Offer;

/// Address and time-outs of the product service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Product service")]
pub struct ProductSettings {
    /// Base URL of the product service, without a path.
    #[arg(long, env = "PRODUCT_SERVICE_URL")]
    pub product_service_url: Url,
    /// Time-out of one attempt to call the product service.
    #[arg(long, env = "PRODUCT_ATTEMPT_TIMEOUT_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
    pub product_attempt_timeout_ms: u64,
    /// Time-out of a call to the product service, all its attempts included.
    #[arg(long, env = "PRODUCT_CALL_TIMEOUT_MS", default_value_t = 2_500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub product_call_timeout_ms: u64,
}

/// A client of the product service. Cloned, it is the same one.
#[derive(Clone)]
pub struct ProductClient {
    caller: Arc<Caller>,
    recent: Cache<ProductId, Asked>,
    asking: Arc<Mutex<()>>,
}

/// A product as the product service shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The merchant's key of it.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Its price for one.
    pub price: Money,
    /// Whether it is sold.
    pub state: State,
    /// Whether the merchant wants to be asked.
    pub acceptance: Acceptance,
    /// Pieces that can be bought now.
    pub available: i64,
}

/// Whether a product is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Active,
    /// It is not, nor in any state that a later release knows.
    #[serde(other)]
    Archived,
}

/// Those products that there are, of those asked for.
pub type Found = HashMap<ProductId, Product>;

/// The product service gave no usable answer. It says nothing about any product.
#[derive(Clone, Debug, Error)]
pub enum Unavailable {
    /// It could not be reached, or not in time.
    #[error("the product service cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with a failure.
    #[error("the product service answered {0}")]
    Failed(StatusCode),
    /// Its answer cannot be read.
    #[error("the product service's answer cannot be read: {0}")]
    Unreadable(String),
    /// All tries together took too long.
    #[error("the product service did not answer in time")]
    Late,
}

type Asked = Shared<BoxFuture<'static, Result<Arc<Found>, Unavailable>>>;

/// What the service takes in one call.
const MOST_IDS: usize = 100;
const TRIES: u32 = 3;
/// What is shown may be this old.
const FRESH: Duration = Duration::from_secs(1);
/// Products kept for that second.
const KEPT: u64 = 10_000;

struct Caller {
    http: ClientWithMiddleware,
    settings: ProductSettings,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    id: ProductId,
    sku: String,
    name: String,
    price: Money,
    state: State,
    #[serde(default)]
    acceptance: Acceptance,
    stock: Stock,
}

#[derive(Deserialize)]
struct Stock {
    available: i64,
}

impl ProductClient {
    /// Nothing is asked before the first call.
    #[must_use]
    pub fn new(settings: ProductSettings, http: ClientWithMiddleware) -> Self {
        Self {
            caller: Arc::new(Caller { http, settings }),
            recent: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
            asking: Arc::default(),
        }
    }

    /// These products as they are now. 1 call for each hundred, tried 3 times within the deadline.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn fresh(&self, ids: impl IntoIterator<Item = ProductId>) -> Result<Found, Unavailable> {
        Arc::clone(&self.caller).ask(ids.into_iter().collect()).await
    }

    /// These products as they were within the last second.
    ///
    /// # Errors
    /// See [`Unavailable`].
    pub async fn recent(&self, ids: impl IntoIterator<Item = ProductId>) -> Result<Found, Unavailable> {
        let mut found = Found::new();
        for (id, asked) in self.asked(ids.into_iter().collect()).await {
            if let Some(product) = asked.await?.get(&id) {
                found.insert(id, product.clone());
            }
        }
        Ok(found)
    }

    /// For each product the answer that there is or will be. Those that nobody has asked for within
    /// the last second are asked for together.
    async fn asked(&self, ids: Vec<ProductId>) -> Vec<(ProductId, Asked)> {
        let (mut all, mut unknown) = (Vec::new(), Vec::new());
        // So that two who miss the same product don't both ask.
        let _one_at_a_time = self.asking.lock().await;
        for id in ids {
            match self.recent.get(&id).await {
                Some(asked) => all.push((id, asked)),
                None => unknown.push(id),
            }
        }
        count("cached", all.len());
        count("asked", unknown.len());
        if unknown.is_empty() {
            return all;
        }
        let call = Arc::clone(&self.caller).ask(unknown.clone());
        // A task of its own: whoever began it may go away, and others wait for it.
        let task = tokio::spawn(call.in_current_span());
        let asked = async move {
            let outcome = task.await.map_err(|died| Unavailable::Unreachable(died.to_string()));
            outcome.flatten().map(Arc::new)
        };
        let asked: Asked = asked.boxed().shared();
        for id in unknown {
            self.recent.insert(id, asked.clone()).await;
            all.push((id, asked.clone()));
        }
        all
    }
}

static LOOKUPS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("basket-service")
        .u64_counter("products.lookups")
        .with_description("Products looked up to show a basket, by outcome: cached, asked (of the product service)")
        .build()
});

fn count(outcome: &'static str, products: usize) {
    if products > 0 {
        let products = u64::try_from(products).unwrap_or(u64::MAX);
        LOOKUPS.add(products, &[KeyValue::new("outcome", outcome)]);
    }
}

impl Caller {
    async fn ask(self: Arc<Self>, ids: Vec<ProductId>) -> Result<Found, Unavailable> {
        let deadline = Duration::from_millis(self.settings.product_call_timeout_ms);
        let all = async {
            let mut found = Found::new();
            for some in ids.chunks(MOST_IDS) {
                found.extend(self.ask_some(some).await?);
            }
            Ok(found)
        };
        // Whoever asked tells of a failure: as that of its request, or as what it goes on without.
        tokio::time::timeout(deadline, all)
            .await
            .unwrap_or(Err(Unavailable::Late))
    }

    async fn ask_some(&self, ids: &[ProductId]) -> Result<Found, Unavailable> {
        let mut tries = 1;
        loop {
            match self.ask_once(ids, Resent(tries - 1)).await {
                // The request itself is wrong: it does not get better.
                Err(Unavailable::Failed(status))
                    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
                {
                    return Err(Unavailable::Failed(status));
                }
                Err(_) if tries < TRIES => {
                    let longest = 50 << tries;
                    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=longest))).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn ask_once(&self, ids: &[ProductId], resent: Resent) -> Result<Found, Unavailable> {
        let unreachable = |error: reqwest_middleware::Error| Unavailable::Unreachable(chain(&error));
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let mut url = self.settings.product_service_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "products"]);
        }
        url.query_pairs_mut().append_pair("ids", &ids.join(","));
        let request = self.http.get(url).with_extension(resent);
        let request = request.timeout(Duration::from_millis(self.settings.product_attempt_timeout_ms));
        let response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::OK {
            return Err(Unavailable::Failed(response.status()));
        }
        let text = response.bytes().await.map_err(|error| unreachable(error.into()))?;
        // The text of a JSON error tells a position and a type, and nothing here is secret.
        let answer: Answer =
            serde_json::from_slice(&text).map_err(|error| Unavailable::Unreadable(error.to_string()))?;
        Ok(answer
            .data
            .into_iter()
            .map(|record| (record.id, record.into()))
            .collect())
    }
}

impl From<Record> for Product {
    fn from(record: Record) -> Self {
        Self {
            sku: record.sku,
            name: record.name,
            price: record.price,
            state: record.state,
            acceptance: record.acceptance,
            available: record.stock.available,
        }
    }
}

impl From<&Product> for Offer {
    fn from(product: &Product) -> Self {
        match product.state {
            State::Active => Self::Sold {
                sku: product.sku.clone(),
                name: product.name.clone(),
                unit_price: product.price,
                acceptance: product.acceptance,
            },
            State::Archived => Self::Archived,
        }
    }
}
