//! Under the AWS SDK.

use std::future::pending;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};

use super::{Cut, Departure, Fate, Faults};

pub(super) fn under(inner: SharedHttpClient, faults: Faults) -> SharedHttpClient {
    SharedHttpClient::new(Layer { inner, faults })
}

#[derive(Debug)]
struct Layer {
    inner: SharedHttpClient,
    faults: Faults,
}

impl HttpClient for Layer {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            faults: self.faults.clone(),
        })
    }
}

#[derive(Clone, Debug)]
struct Connector {
    inner: SharedHttpConnector,
    faults: Faults,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move { this.departs(request).await })
    }
}

impl Connector {
    async fn departs(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let name = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let fate = match self.faults.departs(&name, &body) {
            Departure::NeverReturns => return pending().await,
            Departure::Cut(cut) => {
                match cut {
                    Cut::Before => {}
                    Cut::After => drop(self.arrives(&name, &body, request).await),
                    Cut::Late => self.is_held_up(&name, &body, request),
                }
                self.faults.die();
                return pending().await;
            }
            Departure::Meets(fate) => fate,
        };
        match fate {
            Fate::Passes => self.arrives(&name, &body, request).await,
            Fate::Slow(delay) => {
                tokio::time::sleep(delay).await;
                self.arrives(&name, &body, request).await
            }
            Fate::Lost => Err(broken()),
            Fate::AnswerLost => {
                self.arrives(&name, &body, request).await?;
                Err(broken())
            }
            Fate::Doubled => {
                let answer = self.arrives(&name, &body, request).await?;
                let mut told: Value =
                    serde_json::from_slice(answer.body().bytes().unwrap_or_default()).unwrap_or_default();
                if let Some(messages) = told.get_mut("Messages").and_then(Value::as_array_mut) {
                    messages.extend(messages.clone());
                }
                response(200, &told)
            }
            Fate::Conflict => response(400, &conflict(&body)),
            Fate::Throttled => response(400, &error("ThrottlingException", "slow down")),
            Fate::Failed => response(500, &error("InternalServerError", "a secret of the table")),
            Fate::Answered(status, told) => {
                let heard = self
                    .faults
                    .mutations()
                    .into_iter()
                    .find_map(|one| one.of_answer(&name, &body, &told));
                response(status, &heard.unwrap_or(told))
            }
        }
    }

    async fn arrives(&self, name: &str, body: &Value, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mutations = self.faults.mutations();
        if let Some(told) = mutations.iter().find_map(|one| one.instead_of_asking(name, body)) {
            self.faults.answered(name, &super::Answer::default());
            return response(200, &told);
        }
        let mut answer = self.inner.call(self.mutated(name, body, request)).await?;
        let told = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let told = ByteStream::new(told).collect().await;
        let told = told.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
        if self
            .faults
            .answered(name, &serde_json::from_slice(&told).unwrap_or_default())
        {
            self.faults.die();
            return pending().await;
        }
        if !mutations.is_empty() {
            let read = serde_json::from_slice(&told).unwrap_or_default();
            if let Some(heard) = mutations.iter().find_map(|one| one.of_answer(name, body, &read)) {
                return response(200, &heard);
            }
        }
        *answer.body_mut() = SdkBody::from(told);
        Ok(answer)
    }

    fn mutated(&self, name: &str, body: &Value, mut request: HttpRequest) -> HttpRequest {
        let mutations = self.faults.mutations();
        if let Some(changed) = mutations.iter().find_map(|one| one.of_request(name, body)) {
            let changed = changed.to_string();
            // The emulators don't look at the signature.
            request
                .headers_mut()
                .insert("content-length", changed.len().to_string());
            *request.body_mut() = SdkBody::from(changed);
        }
        request
    }

    #[expect(clippy::unwrap_used, reason = "what was to be sent can be sent")]
    fn is_held_up(&self, name: &str, body: &Value, request: HttpRequest) {
        let told_nobody = |one: &super::Mutation| one.instead_of_asking(name, body).is_some();
        if self.faults.mutations().iter().any(told_nobody) {
            return;
        }
        let request = self.mutated(name, body, request).try_into_http1x().unwrap();
        let (head, body) = request.into_parts();
        let body = body.bytes().unwrap_or_default().to_vec();
        let request = http::Request::from_parts(head, body);
        self.faults.hold(request.try_into().unwrap());
    }
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}

#[expect(clippy::unwrap_used, reason = "the statuses are those of tests")]
fn response(status: u16, body: &Value) -> Result<HttpResponse, ConnectorError> {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
    response
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    Ok(response)
}

fn error(kind: &str, message: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": message})
}

/// As DynamoDB says it: of a transaction with the reason of each action, of a single write by its
/// own name.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>
#[expect(clippy::indexing_slicing, reason = "indexing a JSON value to write adds the key")]
fn conflict(body: &Value) -> Value {
    let Some(actions) = body.get("TransactItems").and_then(Value::as_array) else {
        return error("TransactionConflictException", "Transaction is ongoing for the item");
    };
    let of_the_first = json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    let of_others = actions.iter().skip(1).map(|_| json!({"Code": "None"}));
    let mut cancelled = error("TransactionCanceledException", "Transaction cancelled");
    cancelled["CancellationReasons"] = std::iter::once(of_the_first).chain(of_others).collect();
    cancelled
}
