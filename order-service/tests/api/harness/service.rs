//! An order service of a test, and what is asked of it over HTTP.

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use shared::testing::activity::{Activity, Pending};
use shared::testing::faults::Faults;
use shared::testing::process::Process;
use uuid::Uuid;

use super::{SOON, Shop};

/// One that can be killed, and the faults under it.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) faults: Faults,
    process: Process,
    pub(crate) activity: Activity,
    http: Client,
}

impl Service {
    pub(super) fn of(process: Process, faults: Faults, shop: &Shop) -> Self {
        Self {
            url: process.url(),
            faults,
            process,
            activity: shop.activity.clone(),
            http: shop.http().clone(),
        }
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(token)
    }

    pub(crate) fn head(&self, path: &str, token: &str) -> RequestBuilder {
        self.http.head(format!("{}{path}", self.url)).bearer_auth(token)
    }

    pub(crate) fn post(&self, path: &str, token: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).bearer_auth(token)
    }

    /// Places an order under a fresh key.
    pub(crate) async fn order(&self, token: &str, body: &Value) -> Value {
        let answer = self.try_order(token, &Uuid::new_v4().to_string(), body).await;
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub(crate) async fn try_order(&self, token: &str, key: &str, body: &Value) -> Response {
        let request = self.post("/v1/orders", token).header("idempotency-key", key);
        request.json(body).send().await.unwrap()
    }

    pub(crate) async fn read(&self, token: &str, order: &Value) -> Value {
        let path = format!("/v1/orders/{}", order.as_str().unwrap());
        let answer = self.get(&path, token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// The order as soon as its status is that.
    pub(crate) async fn comes_to(&self, token: &str, order: &Value, status: &str) -> Value {
        self.shows(token, order, |shown| shown["status"] == status).await
    }

    /// The order as soon as it is there and looks like that.
    pub(crate) async fn shows(&self, token: &str, order: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/v1/orders/{}", order.as_str().unwrap());
        let check = async || {
            let answer = self.get(&path, token).send().await.unwrap();
            let shown: Value = answer.json().await.unwrap();
            if wanted(&shown) {
                Ok(shown)
            } else {
                Err(Pending::new(shown))
            }
        };
        self.activity.wait_for("such an order", SOON, check).await
    }

    /// The order once nothing is left to do about it.
    pub(crate) async fn settles(&self, shop: &Shop, token: &str, order: &Value) -> Value {
        shop.settled(order).await;
        self.read(token, order).await
    }

    /// A client for whatever is not the service.
    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    pub(crate) async fn send(&self, request: reqwest::Request) -> Response {
        self.http.execute(request).await.unwrap()
    }

    /// Does something at the payment provider by hand, as in its dashboard.
    pub(crate) async fn at_the_provider(&self, shop: &Shop, path: &str, form: String) -> Response {
        let request = self
            .http
            .post(format!("{}{path}", shop.payments.url()))
            .bearer_auth("sk_test_sandbox")
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap()
    }

    /// Stops it as a deployment would.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }

    /// Ends all of its tasks wherever they are.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}
