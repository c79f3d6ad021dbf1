//! A wire between the services and what they lean on: an HTTP server on loopback that passes calls on, and has them meet
//! what the weather says. It also is the witness of what went over it: events that the bus took, units that were billed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use serde_json::Value;

use super::ledger::Ledger;
use super::weather::{self, Fault, Kind, Weather, Wire};
use super::{bus, refusals};
use crate::relay::{NoAnswer, Onward, Relay};

const AMZ_TARGET: &str = "x-amz-target";
/// By which a sweeper asks for what is overdue.
const SWEEPS: &[u8] = br#""IndexName":"due""#;

/// A call as it came in, whole.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// As `DynamoDB_20120810.UpdateItem orders`, `POST /v1/payment_intents/{id}/confirm`.
    pub(crate) operation: String,
    parts: Parts,
    body: Bytes,
}

/// A running wire. It ends when dropped.
pub(crate) struct Proxy(Relay);

struct Line {
    wire: Wire,
    onward: Onward,
    weather: Arc<Weather>,
    ledger: Arc<Ledger>,
    /// How many of each operation have come so far.
    ordinals: Mutex<BTreeMap<String, u64>>,
}

impl Proxy {
    /// Starts one that passes calls on to `port` of this machine.
    pub(crate) async fn start(
        wire: Wire,
        port: u16,
        weather: Arc<Weather>,
        ledger: Arc<Ledger>,
    ) -> anyhow::Result<Self> {
        let line = Arc::new(Line {
            wire,
            onward: Onward::to(port),
            weather,
            ledger,
            ordinals: Mutex::default(),
        });
        let relay = Relay::start(move |request| Arc::clone(&line).meet(request)).await;
        Ok(Self(relay.with_context(|| format!("the wire to {}", wire.name()))?))
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }
}

impl Line {
    async fn meet(self: Arc<Self>, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let call = Call::new(self.wire, parts, body);
        let ordinal = self.ordinal(&call.operation);
        let (fault, mut dice) = self.weather.over(call.kind, &call.operation, ordinal);
        let Some(fault) = fault.filter(|_| self.weather.is_foul()) else {
            return self.pass_on(&call).await;
        };
        self.ledger.met(self.wire, fault);
        let pause = weather::pause(fault, &mut dice);
        match fault {
            Fault::Delayed => {
                tokio::time::sleep(pause).await;
                self.pass_on(&call).await
            }
            Fault::Throttled => Ok(refusals::throttled(&call, &mut dice)),
            Fault::Failed => Ok(refusals::failed(&call)),
            Fault::Conflict => Ok(refusals::conflict(&call, &mut dice)),
            Fault::Dropped => Err(NoAnswer),
            Fault::AnswerLost => {
                let _ = self.later(call, Duration::ZERO).await;
                Err(NoAnswer)
            }
            Fault::HeldUp => self.later(call, pause).await.unwrap_or(Err(NoAnswer)),
            Fault::Copied => {
                let _ = self.pass_on(&call).await;
                self.pass_on(&call).await
            }
            Fault::Echoed => {
                let answer = self.pass_on(&call).await;
                drop(self.later(call, pause));
                answer
            }
            Fault::EntriesRefused => {
                let (others, refused) = bus::without_one(&call, &mut dice);
                let others = match others {
                    Some(others) => Some(self.pass_on(&others).await?),
                    None => None,
                };
                Ok(bus::with_refusal(others, refused))
            }
            Fault::Redelivered => {
                let answer = self.pass_on(&call).await?;
                let (answer, copies) = bus::copies(&call, answer);
                copies.into_iter().for_each(|copy| drop(self.later(copy, pause)));
                Ok(answer)
            }
        }
    }

    /// Passes it on whether or not the caller is still there.
    fn later(
        self: &Arc<Self>,
        call: Call,
        pause: Duration,
    ) -> tokio::task::JoinHandle<Result<Response<Bytes>, NoAnswer>> {
        let line = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            line.pass_on(&call).await
        })
    }

    async fn pass_on(&self, call: &Call) -> Result<Response<Bytes>, NoAnswer> {
        let request = Request::from_parts(call.parts.clone(), call.body.clone());
        let answer = self.onward.pass(request).await?;
        self.ledger.witness(call, answer.status().as_u16(), answer.body());
        Ok(answer)
    }

    fn ordinal(&self, operation: &str) -> u64 {
        let mut ordinals = self.ordinals.lock().unwrap_or_else(PoisonError::into_inner);
        let next = ordinals.entry(operation.to_owned()).or_default();
        let this = *next;
        *next += 1;
        this
    }
}

impl Call {
    fn new(wire: Wire, parts: Parts, body: Bytes) -> Self {
        let target = parts.headers.get(AMZ_TARGET).and_then(|target| target.to_str().ok());
        let operation = match (wire, target) {
            (Wire::Tables, Some(target)) => format!("{target} {}", table(&body).unwrap_or_default()),
            (_, Some(target)) => target.to_owned(),
            (_, None) => format!("{} {}", parts.method, path_without_ids(parts.uri.path())),
        };
        let action = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        let writes = match action {
            "" => parts.method != Method::GET && parts.method != Method::HEAD && wire != Wire::Cloud,
            "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => false,
            // Long polls, and looks at a queue.
            "ReceiveMessage" | "GetQueueAttributes" | "GetQueueUrl" | "ListQueues" => false,
            _ => true,
        };
        let sweep = action == "Query" && body.windows(SWEEPS.len()).any(|part| part == SWEEPS);
        let kind = Kind {
            wire,
            looks_only: sweep || is_probe(action, &body),
            writes,
            transaction: action == "TransactWriteItems",
            publishes: action == "PutEvents",
            receives: action == "ReceiveMessage",
            basket: wire == Wire::Tables && operation.ends_with("baskets"),
        };
        Self {
            kind,
            operation,
            parts,
            body,
        }
    }

    /// Its body; null where that is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same with another body, and as another operation of the same service where one is named.
    pub(crate) fn with(&self, target: Option<&'static str>, body: &Value) -> Self {
        let mut other = self.clone();
        other.body = Bytes::from(body.to_string());
        if let Some(target) = target {
            other.operation = target.to_owned();
            let value = hyper::header::HeaderValue::from_static(target);
            other.parts.headers.insert(AMZ_TARGET, value);
        }
        other
    }
}

/// The table that a call is about; of a transaction, that of its first item.
fn table(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let named = body.get("TableName").or_else(|| {
        let first = body.get("TransactItems")?.get(0)?.as_object()?;
        first.values().next()?.get("TableName")
    });
    let batch = || body.get("RequestItems")?.as_object()?.keys().next().map(String::as_str);
    named.and_then(Value::as_str).or_else(batch).map(str::to_owned)
}

/// Whether this only asks if somebody is there: long polls, looks at a queue, reads of a key that is no item's.
fn is_probe(action: &str, body: &[u8]) -> bool {
    match action {
        "ReceiveMessage" | "GetQueueAttributes" => true,
        "GetItem" => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            // Every item's key says what it is of: `ORDER#..`, `PRODUCT#..`.
            !body.get("Key").is_some_and(|key| key.to_string().contains('#'))
        }
        _ => false,
    }
}

/// With `{id}` where one stands.
fn path_without_ids(path: &str) -> String {
    let segment = |text: &str| -> String {
        let id = uuid::Uuid::parse_str(text).is_ok() || ["pi_", "re_", "ch_"].iter().any(|kind| text.starts_with(kind));
        if id { "{id}".to_owned() } else { text.to_owned() }
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_apart_without_their_ids() {
        assert_eq!(
            path_without_ids("/v1/payment_intents/pi_1a/confirm"),
            "/v1/payment_intents/{id}/confirm"
        );
        let order = "/internal/v1/reservations/0c53f949-1d06-50d3-b8b5-a04550ad3ddf/commit";
        assert_eq!(path_without_ids(order), "/internal/v1/reservations/{id}/commit");
        assert_eq!(
            table(br#"{"TransactItems": [{"Put": {"TableName": "t"}}]}"#).as_deref(),
            Some("t")
        );
        assert_eq!(table(br#"{"RequestItems": {"b": {}}}"#).as_deref(), Some("b"));
    }
}
