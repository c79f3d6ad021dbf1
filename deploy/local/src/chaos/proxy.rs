//! A wire between the services and what they lean on: an HTTP server on loopback that passes calls on, and has them meet
//! what the weather says. It also is the witness of what went over it: events that the bus took, units that were billed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ledger::Ledger;
use super::weather::{self, Fault, Kind, Weather, Wire};
use super::{bus, refusals};

/// A request of any kind that waits for the other side this long is given up: longer than the longest poll.
const ANSWERS_WITHIN: Duration = Duration::from_secs(40);
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

/// The connection ends without an answer.
#[derive(Debug)]
struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer is given")
    }
}

impl std::error::Error for NoAnswer {}

/// A running wire. It ends when dropped.
pub(crate) struct Proxy {
    port: u16,
    _stopping: DropGuard,
}

struct Line {
    wire: Wire,
    /// Where calls go on to.
    port: u16,
    weather: Arc<Weather>,
    ledger: Arc<Ledger>,
    client: Client<HttpConnector, Full<Bytes>>,
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
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.with_context(|| format!("no port for the wire to {}", wire.name()))?;
        let own = listener.local_addr()?.port();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .build(connector);
        let line = Arc::new(Line {
            wire,
            port,
            weather,
            ledger,
            client,
            ordinals: Mutex::default(),
        });
        let stopping = CancellationToken::new();
        tokio::spawn(stopping.clone().run_until_cancelled_owned(accept(listener, line)));
        Ok(Self {
            port: own,
            _stopping: stopping.drop_guard(),
        })
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&line)));
        }
    }
}

async fn serve(stream: TcpStream, line: Arc<Line>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let line = Arc::clone(&line);
        async move { line.meet(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // It ends with an error wherever no answer is given, which is what was wanted.
    let _ = connection.await;
}

impl Line {
    async fn meet(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_gone| NoAnswer)?.to_bytes();
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
                Ok(bus::with_refusal(others, refused).await)
            }
            Fault::Redelivered => {
                let answer = self.pass_on(&call).await?;
                let (answer, copies) = bus::copies(&call, answer).await;
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
    ) -> tokio::task::JoinHandle<Result<Response<Full<Bytes>>, NoAnswer>> {
        let line = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            line.pass_on(&call).await
        })
    }

    async fn pass_on(&self, call: &Call) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let request = call.to_port(self.port).ok_or(NoAnswer)?;
        let answered = tokio::time::timeout(ANSWERS_WITHIN, async {
            let (mut parts, body) = self.client.request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            parts.headers.remove(CONNECTION);
            parts.headers.remove(TRANSFER_ENCODING);
            parts.headers.remove(CONTENT_LENGTH);
            Some((parts, body))
        });
        let (parts, body) = answered.await.ok().flatten().ok_or(NoAnswer)?;
        self.ledger.witness(call, parts.status.as_u16(), &body);
        Ok(Response::from_parts(parts, Full::new(body)))
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

    fn to_port(&self, port: u16) -> Option<Request<Full<Bytes>>> {
        let path = self.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = format!("http://127.0.0.1:{port}{path}").parse::<Uri>().ok()?;
        *request.headers_mut() = self.parts.headers.clone();
        for own in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            request.headers_mut().remove(own);
        }
        Some(request)
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
