//! The shop as its users see it: its goods, the way to it, and when the next request may leave.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

use super::Options;
use super::meter::{Meter, Step};
use super::pace::Pace;

/// Longer than the gateway holds an answer back.
const TIME_OUT: Duration = Duration::from_secs(30);
/// Products that users choose among.
const GOODS: usize = 500;
const PAGE: usize = 100;

/// See the module.
pub(super) struct Shop {
    url: Url,
    http: Client,
    goods: Vec<String>,
    pace: Option<Pace>,
    pub(super) meter: Arc<Meter>,
    pub(super) pause: Duration,
    pub(super) payment_token: Option<String>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Came {
    /// 2xx.
    Fine(Value),
    /// It will not do.
    Refused,
    /// 401 or 403: whose it is will not do.
    Barred,
    /// It may do later: turned away, or no answer. How long it is to be left alone, where that was said.
    Later(Option<Duration>),
}

impl Shop {
    /// Looks at what there is to buy.
    pub(super) async fn open(options: &Options, meter: Arc<Meter>) -> anyhow::Result<Self> {
        let url: Url = options
            .url
            .trim_end_matches('/')
            .parse()
            .with_context(|| format!("{:?} is no URL: say --url https://shop.example", options.url))?;
        ensure!(!url.cannot_be_a_base(), "{url} is no URL of a shop");
        let mut shop = Self {
            http: client(&url)?,
            url,
            goods: Vec::new(),
            pace: options.rate.map(Pace::of),
            meter,
            pause: options.pause,
            payment_token: options.payment_token.clone(),
        };
        shop.goods = shop.find_goods().await.context("the catalog cannot be read")?;
        ensure!(
            !shop.goods.is_empty(),
            "nothing is in stock at {}: import a catalog first",
            shop.url
        );
        Ok(shop)
    }

    pub(super) fn goods(&self) -> usize {
        self.goods.len()
    }

    /// One of the goods.
    pub(super) fn good(&self, number: u64) -> &str {
        let many = u64::try_from(self.goods.len()).unwrap_or(u64::MAX);
        let place = number.checked_rem(many).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.goods.get(place)).map_or("", String::as_str)
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.at(path))
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(self.at(path)).json(body)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.url.as_str().trim_end_matches('/'))
    }

    /// Sends it when its turn has come, and notes what came of it.
    pub(super) async fn send(&self, step: Step, request: RequestBuilder) -> Came {
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        self.meter.left();
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return self.unanswered(step, began.elapsed(), &error),
        };
        let status = answer.status();
        let after = answer.headers().get(reqwest::header::RETRY_AFTER);
        let after = after
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = match answer.text().await {
            Ok(body) => body,
            Err(error) => return self.unanswered(step, began.elapsed(), &error),
        };
        let took = began.elapsed();
        let body: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
        self.meter.answered(step, took, status, code);
        if status.is_success() {
            Came::Fine(body)
        } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Came::Later(after)
        } else if bars(status) {
            Came::Barred
        } else {
            Came::Refused
        }
    }

    fn unanswered(&self, step: Step, took: Duration, error: &reqwest::Error) -> Came {
        let why = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        self.meter.unanswered(step, took, why);
        Came::Later(None)
    }

    async fn find_goods(&self) -> anyhow::Result<Vec<String>> {
        let mut goods = Vec::new();
        let first = format!("products?limit={PAGE}&expand=availability");
        let mut path = first.clone();
        loop {
            let answer = self.get(&path).send().await?;
            let status = answer.status();
            let body = answer.text().await?;
            ensure!(status.is_success(), "{} answered {status}: {body}", self.at(&path));
            let page: Value = serde_json::from_str(&body)?;
            let products = page
                .get("data")
                .and_then(Value::as_array)
                .context("a page without data")?;
            let in_stock = |product: &&Value| product.pointer("/stock/in_stock") == Some(&Value::Bool(true));
            let id = |product: &Value| product.get("id")?.as_str().map(str::to_owned);
            goods.extend(products.iter().filter(in_stock).filter_map(id));
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(cursor) if goods.len() < GOODS => path = format!("{first}&cursor={cursor}"),
                Some(_) | None => return Ok(goods),
            }
        }
    }
}

/// Whether it says that somebody is not let in, whatever they want.
pub(super) fn bars(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of its own, outside of any service: no deadlines, traces or faults to share"
)]
fn client(url: &Url) -> anyhow::Result<Client> {
    let client = Client::builder().timeout(TIME_OUT);
    let on_this_machine = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    Ok(if on_this_machine { client.no_proxy() } else { client }.build()?)
}
