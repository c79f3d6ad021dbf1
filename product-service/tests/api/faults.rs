//! What can go wrong between the service and AWS, put under the SDK where its HTTP client is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Passes,
    /// It arrives and takes effect; its answer is lost.
    AnswerLost,
    /// It takes half a second.
    Slow,
    /// Somebody else was writing one of its items.
    Conflict,
    /// It is throttled.
    Throttled,
    /// The service answers that it failed.
    Failed,
}

/// A call on its way out.
pub(crate) struct Call<'a> {
    /// Such as `TransactWriteItems` or `PutEvents`.
    pub(crate) operation: &'a str,
    /// Its body.
    pub(crate) body: &'a Value,
    /// Counts the calls of this operation from 0.
    pub(crate) number: u64,
}

/// Decides on the fate of every call.
#[derive(Clone)]
pub(crate) struct Faults {
    decide: Arc<dyn Fn(&Call<'_>) -> Fate + Send + Sync>,
    counts: Arc<[(&'static str, AtomicU64)]>,
}

const OPERATIONS: [&str; 9] = [
    "TransactWriteItems",
    "UpdateItem",
    "DeleteItem",
    "GetItem",
    "BatchGetItem",
    "Query",
    "Scan",
    "PutEvents",
    "PutItem",
];

impl Faults {
    /// Everything goes through.
    pub(crate) fn none() -> Self {
        Self::when(|_| Fate::Passes)
    }

    /// As this says.
    pub(crate) fn when(decide: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static) -> Self {
        Self {
            decide: Arc::new(decide),
            counts: OPERATIONS.map(|operation| (operation, AtomicU64::new(0))).into(),
        }
    }

    /// How many calls of that operation there were.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.counter(operation).load(Ordering::SeqCst)
    }

    fn counter(&self, operation: &str) -> &AtomicU64 {
        let found = self.counts.iter().find(|(name, _)| *name == operation);
        &found
            .unwrap_or_else(|| panic!("an operation that is not counted: {operation}"))
            .1
    }

    /// Over that client.
    pub(crate) fn over(&self, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Layer {
            faults: self.clone(),
            inner,
        })
    }

    fn fate(&self, request: &HttpRequest) -> (Fate, Value) {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let body = serde_json::from_slice(body).unwrap_or_default();
        let number = self.counter(operation).fetch_add(1, Ordering::SeqCst);
        let call = Call {
            operation,
            body: &body,
            number,
        };
        ((self.decide)(&call), body)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faults")
    }
}

#[derive(Debug)]
struct Layer {
    faults: Faults,
    inner: SharedHttpClient,
}

impl HttpClient for Layer {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            faults: self.faults.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct Connector {
    faults: Faults,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (fate, body) = self.faults.fate(&request);
        match fate {
            Fate::Passes => self.inner.call(request),
            Fate::AnswerLost => {
                let arrives = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    arrives.await?;
                    Err(ConnectorError::io("the connection was cut".into()))
                })
            }
            Fate::Slow => {
                let inner = self.inner.clone();
                HttpConnectorFuture::new(async move {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    inner.call(request).await
                })
            }
            Fate::Conflict => answer(400, conflict(&body)),
            Fate::Throttled => answer(400, error("ThrottlingException", "slow down")),
            Fate::Failed => answer(500, error("InternalServerError", "a secret of the table")),
        }
    }
}

fn answer(status: u16, body: Value) -> HttpConnectorFuture {
    let body = SdkBody::from(body.to_string());
    HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body)))
}

fn error(kind: &str, message: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message})
}

/// As DynamoDB says it: of a transaction with the reason of each action, of a single write by its
/// own name.
fn conflict(body: &Value) -> Value {
    let Some(actions) = body["TransactItems"].as_array() else {
        return error("TransactionConflictException", "Transaction is ongoing for the item");
    };
    let mut reasons: Vec<_> = actions.iter().map(|_| json!({"Code": "None"})).collect();
    reasons[0] = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    let mut cancelled = error("TransactionCanceledException", "Transaction cancelled");
    cancelled["CancellationReasons"] = json!(reasons);
    cancelled
}
