//! The sandbox as its clients see it: over HTTP, by Stripe's documentation.

mod disputes;
mod idempotency;
mod journal;
mod late;
mod payments;
mod refunds;
mod requests;
mod webhooks;

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{Intent, Options, PaymentSandbox};
use crate::loopback;

/// A sandbox and a client of it.
struct Shop {
    sandbox: PaymentSandbox,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
struct Response {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

type Form<'a> = &'a [(&'a str, &'a str)];

const AUTHORIZE: Form<'static> = &[
    ("amount", "2000"),
    ("currency", "usd"),
    ("capture_method", "manual"),
    ("payment_method", "pm_card_visa"),
    ("payment_method_types[]", "card"),
    ("confirm", "true"),
    ("metadata[order_id]", "order-1"),
];

impl Shop {
    fn open() -> Self {
        Self::with(Options {
            slow: Duration::from_millis(300),
            ..Options::default()
        })
    }

    fn with(options: Options) -> Self {
        Self {
            sandbox: PaymentSandbox::start(options).unwrap(),
            http: loopback::http().unwrap(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sandbox.url()))
            .bearer_auth("sk_test_sandbox")
    }

    async fn get(&self, path: &str) -> Response {
        Response::of(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, form: Form<'_>) -> Response {
        Response::of(self.request(Method::POST, path).form(form)).await
    }

    async fn post_keyed(&self, path: &str, form: Form<'_>, key: &str) -> Response {
        Response::of(
            self.request(Method::POST, path)
                .form(form)
                .header("Idempotency-Key", key),
        )
        .await
    }

    /// A payment by this method, confirmed; answers it or the error's.
    async fn pay_by(&self, method: &str) -> Response {
        let form: Vec<_> = AUTHORIZE
            .iter()
            .map(|&(name, value)| {
                if name == "payment_method" {
                    (name, method)
                } else {
                    (name, value)
                }
            })
            .collect();
        self.post("/v1/payment_intents", &form).await
    }

    /// An authorized payment of 20 dollars; answers its path.
    async fn authorized(&self) -> String {
        let response = self.post("/v1/payment_intents", AUTHORIZE).await;
        assert_eq!(response.body["status"], "requires_capture", "{response:?}");
        path_of(&response)
    }

    async fn captured(&self) -> String {
        let path = self.authorized().await;
        assert_eq!(
            self.post(&format!("{path}/capture"), &[]).await.body["status"],
            "succeeded"
        );
        path
    }

    fn only_intent(&self) -> Intent {
        let mut intents = self.sandbox.intents();
        assert_eq!(intents.len(), 1, "{intents:?}");
        intents.pop().unwrap()
    }
}

impl Response {
    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.json().await.unwrap(),
        }
    }

    fn is_replayed(&self) -> bool {
        self.headers
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true")
    }

    #[track_caller]
    fn assert_error(&self, status: u16, kind: &str, code: impl Into<Value>) {
        let error = &self.body["error"];
        assert_eq!(
            (self.status, &error["type"], &error["code"]),
            (status, &kind.into(), &code.into()),
            "{self:?}"
        );
        assert!(error["message"].is_string());
    }
}

fn path_of(response: &Response) -> String {
    format!("/v1/payment_intents/{}", id_of(response))
}

fn id_of(response: &Response) -> String {
    response.body["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id in {response:?}"))
        .to_owned()
}

/// Waits for a condition that something else brings about.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "in vain waited for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
