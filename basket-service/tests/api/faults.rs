//! Faults between the service and AWS, put under its SDK clients.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use shared::outgoing::Outgoing;

/// What happens to a call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It does not arrive.
    Cut,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// It is answered so, and does not arrive.
    Refused(u16, Value),
}

/// Faults to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    calls: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    operation: &'static str,
    times: usize,
    fault: Fault,
}

impl Faults {
    /// The service's ways out, with these faults on them.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let faults = self.clone();
        let around = |inner| SharedHttpClient::new(Client { inner, faults });
        Outgoing::with_layers(around, |http| http).unwrap()
    }

    /// The next so many calls of this operation (`UpdateItem`, `PutEvents`, ...) go so.
    pub(crate) fn on(&self, operation: &'static str, times: usize, fault: Fault) {
        self.0.lock().unwrap().rules.push(Rule {
            operation,
            times,
            fault,
        });
    }

    /// All is well from now on.
    pub(crate) fn lift(&self) {
        self.0.lock().unwrap().rules.clear();
    }

    /// How often an operation was called, tries included.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .calls
            .iter()
            .filter(|call| *call == operation)
            .count()
    }

    fn next(&self, request: &HttpRequest) -> Option<Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut state = self.0.lock().unwrap();
        state.calls.push(operation.to_owned());
        let mut rules = state.rules.iter_mut();
        let rule = rules.find(|rule| rule.operation == operation && rule.times > 0)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

/// What DynamoDB says when a transaction is in the way of a plain write.
pub(crate) fn conflict() -> Fault {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
    Fault::Refused(
        400,
        json!({"__type": kind, "message": "Transaction is ongoing for the item"}),
    )
}

/// What DynamoDB says to a transaction of two when something else is writing.
pub(crate) fn cancelled() -> Fault {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let reasons = json!([{"Code": "TransactionConflict", "Message": "ongoing"}, {"Code": "None"}]);
    Fault::Refused(
        400,
        json!({"__type": kind, "Message": "cancelled", "CancellationReasons": reasons}),
    )
}

/// What DynamoDB says when it is asked for too much.
pub(crate) fn throttled() -> Fault {
    let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    Fault::Refused(400, json!({"__type": kind, "message": "slow down"}))
}

#[derive(Debug)]
struct Client {
    inner: SharedHttpClient,
    faults: Faults,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector {
            inner,
            faults: self.faults.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    faults: Faults,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let broken = || ConnectorError::io("the connection broke".into());
        match self.faults.next(&request) {
            None => self.inner.call(request),
            Some(Fault::Cut) => HttpConnectorFuture::ready(Err(broken())),
            Some(Fault::AnswerLost) => {
                let call = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    call.await?;
                    Err(broken())
                })
            }
            Some(Fault::Refused(status, body)) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_string()));
                response
                    .headers_mut()
                    .insert("content-type", "application/x-amz-json-1.0");
                HttpConnectorFuture::ready(Ok(response))
            }
        }
    }
}
