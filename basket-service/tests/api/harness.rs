//! What each test stands on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::types::QueueAttributeName;
use basket_service::app::Application;
use basket_service::config::Settings;
use clap::Parser;
use deploy_local::{Cloud, Deployment, Event, EventTap, Stack};
use reqwest::{Method, StatusCode};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::outgoing::Outgoing;
use shared::testing::activity::{Activity, Pending};
use shared::testing::faults::Faults;
use shared::testing::process::{Listening, Process};
use shared::testing::{CLIENT_ID, Issuer, conformance};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::contract::assert_documented;

/// Long enough for a busy machine; only a test that fails waits for it.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running basket service with all that it needs.
pub(crate) struct Shop {
    pub(crate) deployment: Deployment,
    pub(crate) catalog: Catalog,
    pub(crate) url: String,
    /// Activity of all processes of the service.
    pub(crate) activity: Activity,
    http: ClientWithMiddleware,
    process: Option<Process>,
}

/// How a shop differs from the usual one.
#[derive(Default)]
pub(crate) struct Plan {
    /// Between the service and everything outside it.
    pub(crate) faults: Faults,
    /// Sweeps at the start of a process, and when a test that waits sees that something is due.
    pub(crate) sweeps_on_demand: bool,
    pub(crate) arguments: Vec<String>,
}

impl Plan {
    pub(crate) fn behind(faults: &Faults) -> Self {
        Self {
            faults: faults.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }
}

/// Who sends a request.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Nobody,
    Customer(&'a str),
    Token(&'a str),
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(Plan::default()).await
    }

    pub(crate) async fn open_with(plan: Plan) -> Self {
        shared::testing::telemetry("basket-service");
        let deployment = Cloud::for_tests().deploy(&[Stack::Basket]).await.unwrap();
        let deployment = deployment.judged_by(conformance::of("basket-service")).await.unwrap();
        let catalog = Catalog::start().await;
        let mut shop = Self {
            deployment,
            catalog,
            url: String::new(),
            activity: Activity::default(),
            http: Outgoing::new().unwrap().http,
            process: None,
        };
        shop.start(plan).await;
        shop
    }

    /// Starts the service, again where it was stopped: what it keeps, it keeps outside.
    pub(crate) async fn start(&mut self, plan: Plan) {
        let mut settings = self.settings(&plan.arguments);
        plan.faults.report_to(&self.activity);
        let mut sweep_signal = Arc::default();
        if plan.sweeps_on_demand {
            settings.sweep_interval_ms = 60_000;
            sweep_signal = self.activity.sweep_signal();
        }
        let outgoing = plan.faults.outgoing();
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

    /// AWS as the service sees it, through other ways out.
    pub(crate) async fn aws(&self, outgoing: &Outgoing) -> Aws {
        let (settings, cloud) = (self.settings(&[]), Cloud::for_tests());
        Aws::at(
            &settings.common.aws,
            outgoing,
            cloud.tables_url(),
            cloud.ministack_url(),
        )
        .await
    }

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

    fn settings(&self, more: &[String]) -> Settings {
        let of = |name: &str| self.deployment.setting(name).unwrap();
        let auth = Issuer::shared().settings();
        let mut arguments = vec![
            "basket-service".to_owned(),
            "--bind=127.0.0.1:0".to_owned(),
            "--workers=2".to_owned(),
            "--expose-capacity=true".to_owned(),
            "--shutdown-s=5".to_owned(),
            "--linger-ms=0".to_owned(),
            "--cursor-keys=a-key-of-tests-that-has-32-letters-or-more".to_owned(),
            "--shop-currency=USD".to_owned(),
            format!("--event-bus={}", of("EVENT_BUS")),
            format!("--auth-issuer={}", auth.auth_issuer),
            format!("--auth-jwks-url={}", auth.auth_jwks_url),
            format!("--auth-client-ids={CLIENT_ID}"),
            format!("--product-service-url={}", self.catalog.url()),
            "--product-attempt-timeout-ms=500".to_owned(),
            "--product-call-timeout-ms=1500".to_owned(),
            format!("--baskets-table={}", of("BASKETS_TABLE")),
            format!("--basket-settle-queue-url={}", of("BASKET_SETTLE_QUEUE_URL")),
            format!("--basket-settle-dlq-url={}", of("BASKET_SETTLE_DLQ_URL")),
            "--sweep-interval-ms=100".to_owned(),
            "--aws-call-backoff-ms=1".to_owned(),
        ];
        // The later of two wins.
        arguments.retain(|usual| !more.iter().any(|own| own.split('=').next() == usual.split('=').next()));
        arguments.extend_from_slice(more);
        Settings::try_parse_from(arguments).unwrap()
    }

    pub(crate) async fn send(&self, who: As<'_>, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_with(who, method, path, body, |request| request).await
    }

    pub(crate) async fn send_with(
        &self,
        who: As<'_>,
        method: Method,
        path: &str,
        body: Option<Value>,
        with: impl FnOnce(reqwest_middleware::RequestBuilder) -> reqwest_middleware::RequestBuilder,
    ) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        request = match who {
            As::Nobody => request,
            As::Customer(subject) => request.bearer_auth(Issuer::shared().customer(subject)),
            As::Token(token) => request.bearer_auth(token),
        };
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = with(request).send().await.unwrap();
        assert_documented(&method, path, response.status());
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, who: As<'_>, path: &str) -> Answer {
        self.send(who, Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, who: As<'_>, path: &str) -> Answer {
        self.send(who, Method::DELETE, path, None).await
    }

    pub(crate) async fn post(&self, who: As<'_>, path: &str, body: Value) -> Answer {
        self.send(who, Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, who: As<'_>, path: &str, body: Value) -> Answer {
        self.send(who, Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn add(&self, who: As<'_>, basket: &str, product: Uuid, quantity: u32) -> Answer {
        let body = json!({"product_id": product, "quantity": quantity});
        self.post(who, &format!("/v1/baskets/{basket}/items"), body).await
    }

    pub(crate) async fn set(&self, who: As<'_>, basket: &str, product: Uuid, quantity: u32) -> Answer {
        let path = format!("/v1/baskets/{basket}/items/{product}");
        self.put(who, &path, json!({"quantity": quantity})).await
    }

    pub(crate) async fn check_out(&self, who: As<'_>, key: &str, body: Value) -> Answer {
        let path = "/v1/baskets/me/checkout";
        let keyed = |request: reqwest_middleware::RequestBuilder| request.header("idempotency-key", key);
        self.send_with(who, Method::POST, path, Some(body), keyed).await
    }

    /// A guest basket's id.
    pub(crate) async fn guest(&self) -> String {
        let made = self.send(As::Nobody, Method::POST, "/v1/baskets", None).await;
        made.expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// The customer's basket, as soon as it is as wanted.
    pub(crate) async fn basket_when(&self, who: As<'_>, wanted: impl Fn(&Value) -> bool) -> Value {
        let check = async || {
            let basket = self.get(who, "/v1/baskets/me").await.expect(200);
            if wanted(&basket) {
                Ok(basket)
            } else {
                Err(Pending::new(basket))
            }
        };
        self.activity.wait_for("such a basket", SOON, check).await
    }

    /// Publishes what the order service would.
    pub(crate) async fn answer(&self, name: &str, data: Value) {
        self.publish("order-service", name, envelope(data)).await;
    }

    pub(crate) async fn publish(&self, source: &str, name: &str, detail: Value) {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(self.deployment.setting("EVENT_BUS").unwrap())
            .source(source)
            .detail_type(name)
            .detail(detail.to_string())
            .build();
        let answer = self
            .deployment
            .eventbridge()
            .put_events()
            .entries(entry)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.failed_entry_count(), 0);
    }

    pub(crate) fn placed(customer: &str, order_id: &str) -> Value {
        json!({"order_id": order_id, "customer_id": customer, "total": usd(1)})
    }

    pub(crate) fn failed(customer: &str, order_id: &str, reason: &str) -> Value {
        json!({"order_id": order_id, "customer_id": customer, "reason": reason})
    }

    /// Waits until the service has handled every answer.
    pub(crate) async fn drained(&self) {
        let check = async || {
            let counts = [
                QueueAttributeName::ApproximateNumberOfMessages,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            ];
            let request = self.deployment.sqs().get_queue_attributes();
            let request = request.queue_url(self.deployment.setting("BASKET_SETTLE_QUEUE_URL").unwrap());
            let answer = request.set_attribute_names(Some(counts.to_vec())).send().await.unwrap();
            let counts = answer.attributes.unwrap();
            if counts.values().all(|count| count == "0") {
                Ok(())
            } else {
                Err(Pending::new(counts))
            }
        };
        self.activity.wait_for("empty queue", SOON, check).await;
    }

    /// The item as it lies in the table.
    pub(crate) async fn item(&self, key: &str) -> Option<HashMap<String, AttributeValue>> {
        let request = self.deployment.dynamodb().get_item().consistent_read(true);
        let request = request.table_name(self.deployment.setting("BASKETS_TABLE").unwrap());
        request
            .key("pk", AttributeValue::S(key.to_owned()))
            .send()
            .await
            .unwrap()
            .item
    }

    /// Sets one attribute of an item, such as an expiry that is over.
    pub(crate) async fn overwrite(&self, key: &str, attribute: &str, value: AttributeValue) {
        let request = self.deployment.dynamodb().update_item();
        let request = request.table_name(self.deployment.setting("BASKETS_TABLE").unwrap());
        let request = request.key("pk", AttributeValue::S(key.to_owned()));
        let request = request
            .update_expression("SET #a = :a")
            .expression_attribute_names("#a", attribute);
        request.expression_attribute_values(":a", value).send().await.unwrap();
    }
}

impl Answer {
    /// The body, after a look at the status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body()
    }

    /// The body of a problem, after a look at status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        body
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| Value::String(self.text.clone()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Round trips, read units, write units.
    pub(crate) fn bill(&self) -> (&str, &str, &str) {
        let of = |name| self.header(name).unwrap();
        (of("x-round-trips"), of("x-consumed-rcu"), of("x-consumed-wcu"))
    }

    /// The text without what is this very answer's own.
    pub(crate) fn but_for_its_trace(&self) -> String {
        let mut body = self.body();
        for own in ["trace_id", "instance"] {
            body.as_object_mut().unwrap().remove(own);
        }
        body.to_string()
    }
}

/// The event that asks for an order, as it was published.
pub(crate) async fn requested(tap: &EventTap, order_id: &str) -> Event {
    let wanted = |event: &Event| event.detail["data"]["order_id"] == order_id;
    tap.wait_for(SOON, wanted).await.unwrap()
}

pub(crate) fn envelope(data: Value) -> Value {
    json!({
        "id": Uuid::now_v7(), "version": 1, "time": "2026-11-20T10:00:00Z", "correlation_id": "o",
        "causation_id": "e", "sequence": 1, "traceparent": "", "data": data,
    })
}

pub(crate) fn usd(amount_minor: i64) -> Value {
    json!({"amount_minor": amount_minor, "currency": "USD"})
}

pub(crate) fn to_berlin() -> Value {
    json!({"shipping_address": {
        "name": "Ada", "line1": "Street 1", "city": "Berlin", "postal_code": "10115", "country": "DE",
    }, "payment_token": "pm_card_visa"})
}

/// Quantities by product, of a basket that was answered.
pub(crate) fn quantities(basket: &Value) -> HashMap<Uuid, u64> {
    let line = |line: &Value| {
        (
            line["product_id"].as_str().unwrap().parse().unwrap(),
            line["quantity"].as_u64().unwrap(),
        )
    };
    basket["lines"].as_array().unwrap().iter().map(line).collect()
}
