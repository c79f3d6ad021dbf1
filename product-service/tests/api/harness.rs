//! What each test stands on: a service of its own, and short ways to talk to it.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use deploy_local::{Cloud, Deployment, Stack};
use product_service::app::Application;
use product_service::config::Settings;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::outgoing::Outgoing;
use shared::testing::activity::{Activity, Pending};
use shared::testing::faults::Faults;
use shared::testing::process::{Listening, Process};
use shared::testing::{CLIENT_ID, Issuer, conformance};
use uuid::Uuid;

/// Long enough for a busy machine; only a test that fails waits for it.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Thousands of rows, on a machine that builds something else meanwhile.
const IMPORT: Duration = Duration::from_secs(300);

/// A running product service with its table and bus.
pub(crate) struct Shop {
    pub(crate) deployment: Deployment,
    pub(crate) url: String,
    /// Activity of all processes of the service.
    pub(crate) activity: Activity,
    /// Sweeps at the start of a process, and when a test that waits sees that something is due.
    sweeps_on_demand: bool,
    http: ClientWithMiddleware,
    process: Option<Process>,
}

/// Who sends a request.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Nobody,
    Customer,
    Merchant,
    Service,
    Token(&'a str),
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(Faults::none(), &[]).await
    }

    /// With faults between the service and AWS, and further arguments.
    pub(crate) async fn open_with(faults: Faults, arguments: &[&str]) -> Self {
        let mut shop = Self::closed(false).await;
        shop.start(&faults, arguments).await;
        shop
    }

    /// The same, with processes that sweep on demand.
    pub(crate) async fn open_swept_on_demand(faults: Faults, arguments: &[&str]) -> Self {
        let mut shop = Self::closed(true).await;
        shop.start(&faults, arguments).await;
        shop
    }

    async fn closed(sweeps_on_demand: bool) -> Self {
        let deployment = Cloud::for_tests().deploy(&[Stack::Product]).await.unwrap();
        let deployment = deployment.judged_by(conformance::of("product-service")).await.unwrap();
        Self {
            deployment,
            url: String::new(),
            activity: Activity::default(),
            sweeps_on_demand,
            http: Outgoing::new().unwrap().http,
            process: None,
        }
    }

    /// Starts the service, again where it was stopped: what it keeps, it keeps in its table.
    pub(crate) async fn start(&mut self, faults: &Faults, arguments: &[&str]) {
        let mut settings = self.settings(arguments);
        faults.report_to(&self.activity);
        let mut sweep_signal = Arc::default();
        if self.sweeps_on_demand {
            settings.sweep_every_ms = 60_000;
            sweep_signal = self.activity.sweep_signal();
        }
        let outgoing = faults.outgoing();
        let process = Process::start(async move {
            let cloud = Cloud::for_tests();
            let (tables, others) = (cloud.tables_url(), cloud.ministack_url());
            let aws = Aws::at(&settings.common.aws, &outgoing, tables, others).await;
            let application = Application::with_aws(settings, outgoing, aws).await?;
            let application = application.sweep_on(sweep_signal);
            Ok(Listening {
                port: application.port(),
                stop: application.stop(),
                run: application.run_until_stopped(),
            })
        })
        .await;
        self.url = process.url();
        self.process = Some(process);
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop().await.unwrap();
        }
    }

    /// Ends all of its tasks wherever they are.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    fn settings(&self, more: &[&str]) -> Settings {
        let of = |name: &str| self.deployment.setting(name).unwrap();
        let auth = Issuer::shared().settings();
        let mut arguments = vec![
            "product-service".to_owned(),
            "--bind=127.0.0.1:0".to_owned(),
            "--workers=2".to_owned(),
            "--expose-capacity=true".to_owned(),
            "--shutdown-s=5".to_owned(),
            "--linger-ms=0".to_owned(),
            "--cursor-keys=a-key-of-tests-that-has-32-letters-or-more".to_owned(),
            "--shop-currency=USD".to_owned(),
            "--sweep-every-ms=100".to_owned(),
            "--sweep-lease-ms=1000".to_owned(),
            "--aws-call-backoff-ms=1".to_owned(),
            format!("--event-bus={}", of("EVENT_BUS")),
            format!("--products-table={}", of("PRODUCTS_TABLE")),
            format!("--auth-issuer={}", auth.auth_issuer),
            format!("--auth-jwks-url={}", auth.auth_jwks_url),
            format!("--auth-client-ids={CLIENT_ID}"),
        ];
        arguments.retain(|usual| !more.iter().any(|own| own.split('=').next() == usual.split('=').next()));
        arguments.extend(more.iter().map(|own| (*own).to_owned()));
        Settings::try_parse_from(arguments).unwrap()
    }

    /// A request, to be changed at will.
    pub(crate) fn request(&self, who: As<'_>, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let issuer = Issuer::shared();
        match who {
            As::Nobody => request,
            As::Customer => request.bearer_auth(issuer.customer("a-customer")),
            As::Merchant => request.bearer_auth(issuer.merchant()),
            As::Service => request.bearer_auth(issuer.service("internal/stock internal/read")),
            As::Token(token) => request.bearer_auth(token),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        sent(self.request(As::Nobody, Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        sent(self.request(As::Merchant, Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, if_match: &str, body: &Value) -> Answer {
        let request = self.request(As::Merchant, Method::PUT, path).json(body);
        sent(request.header("if-match", if_match)).await
    }

    pub(crate) async fn patch(&self, path: &str, if_match: &str, body: &Value) -> Answer {
        let request = self.request(As::Merchant, Method::PATCH, path);
        let request = request.header("content-type", "application/merge-patch+json");
        sent(request.header("if-match", if_match).body(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str, if_match: &str) -> Answer {
        let request = self.request(As::Merchant, Method::DELETE, path);
        sent(request.header("if-match", if_match)).await
    }

    pub(crate) async fn adjust(&self, product: &str, key: &str, delta: i64) -> Answer {
        let path = format!("/v1/products/{product}/stock/adjustments");
        let request = self.request(As::Merchant, Method::POST, &path);
        let body = json!({"delta": delta, "reason": "delivery"});
        sent(request.header("idempotency-key", key).json(&body)).await
    }

    pub(crate) async fn hold(&self, order: Uuid, lines: &[(&str, u32)]) -> Answer {
        self.hold_for(order, lines, 600).await
    }

    pub(crate) async fn hold_for(&self, order: Uuid, lines: &[(&str, u32)], seconds: u32) -> Answer {
        let lines: Vec<_> = lines
            .iter()
            .map(|(product, quantity)| json!({"product_id": product, "quantity": quantity}))
            .collect();
        let request = self.request(As::Service, Method::PUT, &format!("/internal/v1/reservations/{order}"));
        sent(request.json(&json!({"lines": lines, "expires_in_s": seconds}))).await
    }

    pub(crate) async fn commit(&self, order: Uuid) -> Answer {
        let path = format!("/internal/v1/reservations/{order}/commit");
        sent(self.request(As::Service, Method::POST, &path)).await
    }

    pub(crate) async fn release(&self, order: Uuid) -> Answer {
        let path = format!("/internal/v1/reservations/{order}/release");
        sent(self.request(As::Service, Method::POST, &path)).await
    }

    pub(crate) async fn internal(&self, path: &str) -> Answer {
        sent(self.request(As::Service, Method::GET, path)).await
    }

    /// Imports these lines; answers the lines of the answer.
    pub(crate) async fn import(&self, lines: &str) -> Vec<Value> {
        let answer = self.try_import(lines).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.lines()
    }

    pub(crate) async fn try_import(&self, lines: &str) -> Answer {
        let request = self.request(As::Merchant, Method::POST, "/v1/products/import");
        let request = request.header("content-type", "application/x-ndjson");
        sent(request.body(lines.to_owned()).timeout(IMPORT)).await
    }

    /// Creates a product with that stock; its id.
    pub(crate) async fn product(&self, sku: &str, on_hand: u32) -> String {
        let created = self.post("/v1/products", &tea(sku)).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        let id = created.json()["id"].as_str().unwrap().to_owned();
        if on_hand > 0 {
            let counted = self.count(&id, on_hand).await;
            assert_eq!(counted.status, StatusCode::OK, "{}", counted.text);
        }
        id
    }

    pub(crate) async fn count(&self, product: &str, on_hand: u32) -> Answer {
        let path = format!("/v1/products/{product}/stock");
        self.put(&path, "*", &json!({"on_hand": on_hand})).await
    }

    /// Checks at each effect of the service until it is so.
    pub(crate) async fn eventually(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let check = async || {
            if is_so().await {
                Ok(())
            } else {
                Err(Pending::new("not yet"))
            }
        };
        self.activity.wait_for(what, SOON, check).await;
    }

    /// What can be bought of a product.
    pub(crate) async fn available(&self, product: &str) -> u64 {
        let answer = self.get(&format!("/v1/products/{product}")).await;
        answer.json()["stock"]["available"].as_u64().unwrap()
    }

    /// A product's stock as reconciliation sees it.
    pub(crate) async fn stock(&self, product: &str) -> Value {
        let page = self.internal("/internal/v1/stock?limit=100").await.json();
        let found = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["product_id"] == product);
        found.unwrap().clone()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {} {}", self.status, self.text))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn header(&self, name: &'static str) -> &str {
        let value = self.headers.get(HeaderName::from_static(name));
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status and problem code.
    pub(crate) fn problem(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(body["status"], self.status.as_u16());
        (self.status.as_u16(), body["code"].as_str().unwrap().to_owned())
    }

    /// Pointers and codes of all wrong fields, sorted.
    pub(crate) fn wrong_fields(&self) -> Vec<(String, String)> {
        let body = self.json();
        let of = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
        let mut all: Vec<_> = body["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("no errors: {}", self.text))
            .iter()
            .map(|error| (of(error, "pointer"), of(error, "code")))
            .collect();
        all.sort();
        all
    }

    /// Round trips, RCU and WCU, as the answer tells them.
    pub(crate) fn bill(&self) -> (u64, f64, f64) {
        (
            self.header("x-round-trips").parse().unwrap(),
            self.header("x-consumed-rcu").parse().unwrap(),
            self.header("x-consumed-wcu").parse().unwrap(),
        )
    }
}

/// Sends it.
pub(crate) async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A product to be created.
pub(crate) fn tea(sku: &str) -> Value {
    json!({
        "sku": sku,
        "name": "Earl Grey, 100 g",
        "category": "Tea",
        "price": {"amount_minor": 799, "currency": "USD"},
    })
}

/// The same with some fields changed.
pub(crate) fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
