//! A shop for one test: its own bus, queue, table and payment sandbox, and order services that come
//! and go.

mod log;
mod service;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use deploy_local::payment_sandbox::{Options, PaymentSandbox};
use deploy_local::{Cloud, Deployment, Event, EventTap, Stack};
use jiff::Timestamp;
use order_service::app::Application;
use order_service::config::Settings;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::testing::activity::{Activity, Pending};
use shared::testing::faults::Faults;
use shared::testing::process::{Listening, Process};
use shared::testing::{Issuer, conformance};
use uuid::Uuid;

pub(crate) use self::log::logged;
pub(crate) use self::service::Service;
use crate::products::Products;

/// Longer than anything here takes, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Shop {
    pub(crate) deployment: Deployment,
    pub(crate) products: Products,
    pub(crate) payments: PaymentSandbox,
    pub(crate) tap: EventTap,
    /// Activity of all services here.
    pub(crate) activity: Activity,
    http: Client,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let deployment = Cloud::for_tests().deploy(&[Stack::Order]).await.unwrap();
        let deployment = deployment.judged_by(conformance::of("order-service")).await.unwrap();
        let tap = deployment.tap().await.unwrap();
        let payments = Options {
            slow: Duration::from_millis(700),
            ..Options::default()
        };
        Self {
            deployment,
            products: Products::start(),
            payments: PaymentSandbox::start(payments).unwrap(),
            tap,
            activity: Activity::default(),
            http: client(),
        }
    }

    /// A shop with one service in it.
    pub(crate) async fn with_service() -> (Self, Service) {
        let shop = Self::open().await;
        let service = shop.start(&[]);
        (shop, service)
    }

    /// Starts a service with these settings, which come before the usual ones.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> Service {
        self.start_behind(Faults::none(), settings)
    }

    pub(crate) fn start_behind(&self, faults: Faults, own: &[(&str, &str)]) -> Service {
        let process = Process::start_blocking(self.service(&faults, own));
        Service::of(process, faults, self)
    }

    /// The same, while other shops of the same test go on.
    pub(crate) async fn start_beside(&self, faults: Faults, own: &[(&str, &str)]) -> Service {
        let process = Process::start(self.service(&faults, own)).await;
        Service::of(process, faults, self)
    }

    fn service(
        &self,
        faults: &Faults,
        own: &[(&str, &str)],
    ) -> impl Future<Output = anyhow::Result<Listening<impl Future<Output = anyhow::Result<()>> + use<>>>> + use<> {
        let settings = self.settings(own);
        let stated = self.deployment.settings();
        let (tables, others) = (
            stated["AWS_ENDPOINT_URL_DYNAMODB"].clone(),
            stated["AWS_ENDPOINT_URL"].clone(),
        );
        faults.report_to(&self.activity);
        let (outgoing, sweep_signal) = (faults.outgoing(), self.activity.sweep_signal());
        async move {
            let aws = Aws::at(&settings.common.aws, &outgoing, &tables, &others).await;
            let application = Application::with(settings, &outgoing, &aws)?.sweep_on(sweep_signal);
            Ok(Listening {
                port: application.port(),
                stop: application.stopper(),
                run: application.run_until_stopped(),
            })
        }
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    pub(crate) fn settings(&self, own: &[(&str, &str)]) -> Settings {
        let auth = Issuer::shared().settings();
        let mut all: BTreeMap<String, String> = self.deployment.settings();
        all.retain(|name, _| {
            [
                "EVENT_BUS",
                "ORDERS_TABLE",
                "PROCESSING_QUEUE_URL",
                "PROCESSING_DLQ_URL",
            ]
            .contains(&name.as_str())
        });
        let stated = [
            ("BIND", "127.0.0.1:0".to_owned()),
            ("WORKERS", "1".to_owned()),
            ("SHUTDOWN_S", "5".to_owned()),
            ("LINGER_MS", "0".to_owned()),
            ("EXPOSE_CAPACITY", "true".to_owned()),
            ("CURSOR_KEYS", "a-cursor-key-of-thirty-two-letters".to_owned()),
            ("SHOP_CURRENCY", "USD".to_owned()),
            ("AUTH_ISSUER", auth.auth_issuer),
            ("AUTH_JWKS_URL", auth.auth_jwks_url.to_string()),
            ("AUTH_CLIENT_IDS", auth.auth_client_ids.join(",")),
            ("PRODUCT_SERVICE_URL", self.products.url().to_owned()),
            ("AUTH_TOKEN_URL", format!("{}/oauth2/token", self.products.url())),
            ("SERVICE_CLIENT_ID", "services".to_owned()),
            ("SERVICE_CLIENT_SECRET", "secret".to_owned()),
            ("PAYMENT_URL", self.payments.url().to_owned()),
            ("PAYMENT_KEY", "sk_test_sandbox".to_owned()),
            ("RETRY_MS", "50".to_owned()),
            ("SWEEP_MS", "50".to_owned()),
        ];
        all.extend(stated.map(|(name, value)| (name.to_owned(), value)));
        all.extend(
            own.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let flags = all
            .iter()
            .map(|(name, value)| format!("--{}={value}", name.to_lowercase().replace('_', "-")));
        let arguments = std::iter::once("order-service".to_owned()).chain(flags);
        shared::config::try_parse(arguments.map(OsString::from).collect()).unwrap()
    }

    /// A checkout as the basket service asks for it, of so many of each product at its price.
    pub(crate) fn checkout(&self, items: &[(Uuid, i64, i64)], token: Option<&str>) -> Value {
        let lines: Vec<Value> = items
            .iter()
            .map(|(product, quantity, price)| {
                json!({
                    "product_id": product, "sku": format!("sku-{product}"), "name": "A thing", "quantity": quantity,
                    "unit_price": {"amount_minor": price, "currency": "USD"}, "acceptance": "auto",
                })
            })
            .collect();
        let total: i64 = items.iter().map(|(_, quantity, price)| quantity * price).sum();
        let mut checkout = json!({
            "order_id": Uuid::new_v4(), "basket_id": "ada", "customer_id": "ada", "lines": lines,
            "total": {"amount_minor": total, "currency": "USD"}, "shipping_address": address(),
            "fingerprint": Uuid::new_v4().simple().to_string(),
            "valid_until": Timestamp::now() + Duration::from_secs(900),
        });
        if let Some(token) = token {
            checkout["payment_token"] = json!(token);
        }
        checkout
    }

    /// Publishes a checkout again until its order exists, as the basket service does. A message that a dead
    /// process had received, or requested, is received again only when its visibility ends.
    pub(crate) async fn publish_until_taken(&self, checkout: &Value) {
        let order = &checkout["order_id"];
        let publish_again = async {
            let mut pause = Duration::from_millis(400);
            loop {
                self.publish(checkout).await;
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        };
        tokio::select! {
            _order = self.item_when(order, "order of the checkout", |_| true) => {}
            () = publish_again => unreachable!("it does not end"),
        }
    }

    /// Publishes a checkout on the bus.
    pub(crate) async fn publish(&self, checkout: &Value) {
        self.publish_as(checkout, Uuid::now_v7()).await;
    }

    pub(crate) async fn publish_as(&self, checkout: &Value, id: Uuid) {
        let detail = json!({
            "id": id, "version": 1, "time": Timestamp::now(), "correlation_id": checkout["order_id"],
            "causation_id": "a-request", "sequence": 0, "traceparent": "", "data": checkout,
        });
        self.publish_text(&detail.to_string()).await;
    }

    pub(crate) async fn publish_text(&self, detail: &str) {
        let entry = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
            .event_bus_name(self.deployment.setting("EVENT_BUS").unwrap())
            .source("basket-service")
            .detail_type("CheckoutRequested")
            .detail(detail)
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

    /// The event of that name about that order.
    pub(crate) async fn event(&self, name: &str, order: &Value) -> Event {
        let wanted = |event: &Event| event.detail_type == name && event.detail["data"]["order_id"] == *order;
        self.tap.wait_for(SOON, wanted).await.unwrap()
    }

    /// Every event about that order so far, without repeats of the same one.
    pub(crate) async fn told(&self, order: &Value) -> Vec<String> {
        let seen = self.tap.seen().await.unwrap();
        let mut told: Vec<(u64, String)> = seen
            .into_iter()
            .filter(|event| event.source == "order-service" && event.detail["data"]["order_id"] == *order)
            .map(|event| (event.detail["sequence"].as_u64().unwrap(), event.detail_type))
            .collect();
        told.sort();
        told.dedup();
        told.into_iter().map(|(_, name)| name).collect()
    }

    /// The order's item as it lies in the table.
    pub(crate) async fn item(&self, order: &Value) -> Option<Value> {
        let key = aws_sdk_dynamodb::types::AttributeValue::S(format!("ORDER#{}", order.as_str().unwrap()));
        let table = self.deployment.setting("ORDERS_TABLE").unwrap();
        let request = self
            .deployment
            .dynamodb()
            .get_item()
            .table_name(table)
            .key("pk", key)
            .consistent_read(true);
        let item = request.send().await.unwrap().item?;
        Some(serde_dynamo::from_item(item).unwrap())
    }

    /// Waits until an order's item is there and `holds`; `what` names that.
    pub(crate) async fn item_when(&self, order: &Value, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let check = async || match self.item(order).await {
            Some(item) if holds(&item) => Ok(item),
            Some(item) => Err(Pending::from_item(&item)),
            None => Err(Pending::new("no item")),
        };
        self.activity
            .wait_for(&format!("{what} (order {order})"), SOON, check)
            .await
    }

    /// Waits until nothing is left to do about an order.
    pub(crate) async fn settled(&self, order: &Value) -> Value {
        self.item_when(order, "end of all work", |item| item.get("due_at").is_none())
            .await
    }

    /// The same, and its message is gone too.
    pub(crate) async fn settled_and_done(&self, order: &Value) {
        self.settled(order).await;
        self.queue_is_empty().await;
    }

    /// Waits until the intake queue holds nothing, neither waiting nor in work.
    pub(crate) async fn queue_is_empty(&self) {
        self.queue_holds("PROCESSING_QUEUE_URL", 0).await;
    }

    /// Waits until there are that many dead letters.
    pub(crate) async fn dead_letters(&self, count: usize) {
        self.queue_holds("PROCESSING_DLQ_URL", count).await;
    }

    async fn queue_holds(&self, queue: &str, count: usize) {
        let check = async || {
            let request = self.deployment.sqs().get_queue_attributes();
            let answer = request
                .queue_url(self.deployment.setting(queue).unwrap())
                .attribute_names(QueueAttributeName::All)
                .send()
                .await
                .unwrap();
            let held: usize = [
                QueueAttributeName::ApproximateNumberOfMessages,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            ]
            .iter()
            .map(|name| answer.attributes().unwrap()[name].parse::<usize>().unwrap())
            .sum();
            if held == count { Ok(()) } else { Err(Pending::new(held)) }
        };
        self.activity
            .wait_for(&format!("count of {count} in {queue}"), SOON, check)
            .await;
    }

    /// Waits until an order has been tried that often in vain.
    pub(crate) async fn tried(&self, order: &Value, times: u64) {
        let tried = |item: &Value| item["attempts"].as_u64().unwrap_or_default() >= times;
        self.item_when(order, &format!("{times} attempts"), tried).await;
    }

    /// Posts a form, as a customer's browser does.
    pub(crate) async fn browse(&self, url: &str, form: &'static str) -> Response {
        let request = self
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap()
    }

    /// The payments of an order as (status, captured, refunded).
    pub(crate) fn paid(&self, order: &Value) -> Vec<(&'static str, i64, i64)> {
        let intents = self.payments.intents();
        let of_order = intents
            .iter()
            .filter(|intent| intent.order_id.as_deref() == order.as_str());
        of_order
            .map(|intent| (intent.status.as_str(), intent.captured, intent.refunded))
            .collect()
    }
}

pub(crate) fn customer(name: &str) -> String {
    Issuer::shared().customer(name)
}

pub(crate) fn merchant() -> String {
    Issuer::shared().merchant()
}

pub(crate) fn address() -> Value {
    json!({"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH", "country": "GB"})
}

#[expect(clippy::disallowed_methods, reason = "a client of the service, not the service")]
fn client() -> Client {
    // Without the machine's certificates, which take longer to load than most tests to send all their requests.
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
