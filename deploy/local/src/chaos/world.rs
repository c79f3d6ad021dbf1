//! How things stand at the end of a run, asked of everybody who has a say: services, tables' owners, payment provider.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::patience::Session;
use crate::payment_sandbox::Intent;
use crate::{Part, System};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Everything, as it was told.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Every order of every customer, by its id.
    pub(crate) orders: BTreeMap<String, OrderSeen>,
    /// By product.
    pub(crate) stock: BTreeMap<String, StockSeen>,
    /// By order.
    pub(crate) reservations: BTreeMap<String, ReservationSeen>,
    /// Orders that baskets still wait for.
    pub(crate) under_way: Vec<String>,
    /// The provider's list.
    pub(crate) payments: Vec<Intent>,
}

#[derive(Debug, Clone)]
pub(crate) struct OrderSeen {
    pub(crate) status: String,
    pub(crate) total: i64,
    /// By product: pieces, and the price for one.
    pub(crate) lines: BTreeMap<String, (u64, i64)>,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct StockSeen {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) available: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct ReservationSeen {
    pub(crate) state: String,
    pub(crate) lines: BTreeMap<String, u64>,
}

impl World {
    /// Asks everybody. Takes a request for each order.
    pub(crate) async fn gather(system: &System, sessions: &[std::sync::Arc<Session>]) -> anyhow::Result<Self> {
        let services = Services::of(system).await?;
        let gateway = system.url(Part::Gateway);
        let lists = stream::iter(sessions).map(|session| list(&gateway, session));
        let lists: Vec<_> = lists.buffer_unordered(AT_ONCE).try_collect().await?;
        let ids = lists.into_iter().flatten();
        let read = stream::iter(ids).map(|(session, id)| {
            let url = format!("{gateway}/v1/orders/{id}");
            async move {
                let answer = session.ask(session.http().get(url)).await?;
                let seen = OrderSeen::of(&answer.body).with_context(|| format!("order {id}: {}", answer.body))?;
                anyhow::Ok((id, seen))
            }
        });
        let orders = read.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut world = Self {
            orders,
            payments: system.payments(),
            ..Self::default()
        };
        for stock in services.all(Part::ProductService, "stock").await? {
            let product = text(&stock, "/product_id").context("stock of no product")?;
            world.stock.insert(product, serde_json::from_value(stock)?);
        }
        for reservation in services.all(Part::ProductService, "reservations").await? {
            let order = text(&reservation, "/order_id").context("a reservation of no order")?;
            world.reservations.insert(order, ReservationSeen::of(&reservation));
        }
        for checkout in services.all(Part::BasketService, "checkouts").await? {
            world.under_way.extend(text(&checkout, "/order_id"));
        }
        Ok(world)
    }
}

/// The ids of all orders of this customer.
async fn list<'a>(
    gateway: &str,
    session: &'a std::sync::Arc<Session>,
) -> anyhow::Result<Vec<(&'a std::sync::Arc<Session>, String)>> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let url = format!("{gateway}/v1/orders?customer_id=me&limit=100{cursor}");
        let page = session.ask(session.http().get(url)).await?;
        ensure!(page.status.is_success(), "orders cannot be listed: {}", page.body);
        let data = page
            .body
            .get("data")
            .and_then(Value::as_array)
            .context("a page without data")?;
        found.extend(data.iter().filter_map(|order| Some((session, text(order, "/id")?))));
        match page.text("/next_cursor") {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

/// The services' own routes, which the gateway leads nobody to.
struct Services<'a> {
    system: &'a System,
    http: reqwest::Client,
    token: String,
}

impl<'a> Services<'a> {
    async fn of(system: &'a System) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Token {
            access_token: String,
        }
        let http = crate::loopback::http()?;
        let deployment = system.deployment()?;
        let client = deployment.setting("SERVICE_CLIENT_ID")?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("scope", "internal/read"),
        ];
        let request = http.post(deployment.setting("AUTH_TOKEN_URL")?).form(&form);
        let request = request.basic_auth(client, Some(deployment.setting("SERVICE_CLIENT_SECRET")?));
        let token: Token = request.send().await?.error_for_status()?.json().await?;
        Ok(Self {
            system,
            http,
            token: token.access_token,
        })
    }

    async fn all(&self, part: Part, what: &str) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let url = format!("{}/internal/v1/{what}?limit=100{cursor}", self.system.url(part));
            let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
            let mut page: Value = answer.error_for_status()?.json().await?;
            if let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) {
                found.extend(data);
            }
            match text(&page, "/next_cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(found),
            }
        }
    }
}

impl OrderSeen {
    fn of(body: &Value) -> Option<Self> {
        let amount = |pointer: &str| body.pointer(pointer).and_then(Value::as_i64);
        let line = |item: &Value| {
            let price = item.pointer("/unit_price/amount_minor")?.as_i64()?;
            Some((text(item, "/product_id")?, (item.get("quantity")?.as_u64()?, price)))
        };
        Some(Self {
            status: text(body, "/status")?,
            total: amount("/total/amount_minor")?,
            lines: body.get("items")?.as_array()?.iter().filter_map(line).collect(),
            captured: amount("/payment/captured/amount_minor")?,
            refunded: amount("/payment/refunded/amount_minor")?,
        })
    }
}

impl ReservationSeen {
    fn of(body: &Value) -> Self {
        let line = |line: &Value| Some((text(line, "/product_id")?, line.get("quantity")?.as_u64()?));
        let lines = body.get("lines").and_then(Value::as_array);
        Self {
            state: text(body, "/state").unwrap_or_default(),
            lines: lines.into_iter().flatten().filter_map(line).collect(),
        }
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}
