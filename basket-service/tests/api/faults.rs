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
    /// Any of the three that a checkout makes, where none is named.
    operation: Option<&'static str>,
    /// Calls that go well before it.
    after: usize,
    times: usize,
    fault: Fault,
}

/// What adding, checking out, publishing and settling call.
const OF_A_CHECKOUT: [&str; 3] = ["GetItem", "UpdateItem", "PutEvents"];

impl Faults {
    /// The service's ways out, with these faults on them.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let faults = self.clone();
        let around = |inner| SharedHttpClient::new(Client { inner, faults });
        Outgoing::with_layers(around, |http| http).unwrap()
    }

    /// The next so many calls of this operation (`UpdateItem`, `PutEvents`, ...) go so.
    pub(crate) fn on(&self, operation: &'static str, times: usize, fault: Fault) {
        self.rule(Some(operation), 0, times, fault);
    }

    /// Of the calls that a checkout makes, so many go well, and the next ones so.
    pub(crate) fn after(&self, after: usize, times: usize, fault: Fault) {
        self.rule(None, after, times, fault);
    }

    fn rule(&self, operation: Option<&'static str>, after: usize, times: usize, fault: Fault) {
        let rule = Rule {
            operation,
            after,
            times,
            fault,
        };
        self.0.lock().unwrap().rules.push(rule);
    }

    /// Whether all faults have happened.
    pub(crate) fn all_done(&self) -> bool {
        self.0.lock().unwrap().rules.iter().all(|rule| rule.times == 0)
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
        let meant = |rule: &Rule| {
            rule.operation
                .map_or(OF_A_CHECKOUT.contains(&operation), |one| one == operation)
        };
        let rule = state.rules.iter_mut().find(|rule| rule.times > 0 && meant(rule))?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
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
