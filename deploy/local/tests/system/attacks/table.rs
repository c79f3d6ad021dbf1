//! A row of the table: what somebody sends, and what they have to be answered on each way in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use deploy_local::Part;
use serde_json::Value;

use super::wire::{self, Got, Sent};

/// The OWASP API Security Top 10 of 2023: <https://owasp.org/API-Security/editions/2023/en/0x11-t10/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owasp {
    /// API1: somebody else's things by their ids.
    ObjectLevel,
    /// API2: whoever is not who they say.
    Authentication,
    /// API3: fields that are not the caller's to set.
    PropertyLevel,
    /// API4: requests that cost more than they should.
    Consumption,
    /// API5: what only others may do.
    FunctionLevel,
    /// API6: steps of the business out of their order, or twice.
    BusinessFlows,
    /// API7: addresses that we are to call for somebody.
    RequestForgery,
    /// API8: what a parser, a proxy or a header gives away.
    Misconfiguration,
    /// API9: routes that are for nobody outside.
    Inventory,
    /// API10: what pretends to come from a service that we use.
    UnsafeApis,
}

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Through the gateway, over HTTP/1.1.
    Http1,
    /// Through the gateway, over HTTP/2.
    Http2,
    /// To the service itself, as somebody in the private network would. The services speak HTTP/1.1.
    Direct,
}

pub(crate) const WAYS: [Way; 3] = [Way::Http1, Way::Http2, Way::Direct];

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// For people who read a failure.
    pub(crate) name: &'static str,
    pub(crate) token: Option<String>,
}

/// What is to come back.
#[derive(Clone, Debug)]
enum Want {
    /// A problem with this code.
    Problem(u16, &'static str),
    /// No problem, or none with a body.
    Status(u16),
    /// The row means nothing on this way; why.
    Nothing(&'static str),
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Attack {
    pub(crate) category: Owasp,
    name: String,
    who: &'static str,
    sent: Sent,
    raw: Option<Vec<u8>>,
    part: Part,
    wanted: BTreeMap<Way, Want>,
    /// Something that does not exist, which has to be answered in the very same words.
    twin: Option<String>,
    with_headers: Vec<(&'static str, &'static str)>,
    without_headers: Vec<&'static str>,
    says: Vec<String>,
    never_says: Vec<String>,
}

/// Where the ways lead.
pub(crate) struct Doors {
    pub(crate) gateway: SocketAddr,
    pub(crate) services: BTreeMap<Part, SocketAddr>,
}

impl Attack {
    pub(crate) fn new(
        category: Owasp,
        name: impl Into<String>,
        who: &Caller,
        method: &'static str,
        path: impl Into<String>,
    ) -> Self {
        let path = path.into();
        let part = match path.as_str() {
            basket if basket.starts_with("/v1/baskets") => Part::BasketService,
            order if order.starts_with("/v1/orders") || order.starts_with("/webhooks") => Part::OrderService,
            _ => Part::ProductService,
        };
        let token = who
            .token
            .iter()
            .map(|token| ("authorization".to_owned(), format!("Bearer {token}").into_bytes()));
        Self {
            category,
            name: name.into(),
            who: who.name,
            sent: Sent {
                method,
                path,
                headers: token.collect(),
                body: Vec::new(),
                within: wire::DEADLINE,
            },
            raw: None,
            part,
            wanted: BTreeMap::new(),
            twin: None,
            with_headers: Vec::new(),
            without_headers: Vec::new(),
            says: Vec::new(),
            never_says: Vec::new(),
        }
    }

    /// What comes of it once more is known.
    pub(crate) fn named(mut self, more: &str) -> Self {
        self.name = format!("{} {more}", self.name);
        self
    }

    /// Which service it is sent to directly, where the path does not tell.
    pub(crate) fn part(self, part: Part) -> Self {
        Self { part, ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.sent.headers.push((name.to_owned(), value.into()));
        self
    }

    /// At another path.
    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.sent.path);
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.sent.body = body.into();
        self.header("content-type", media_type)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// It takes a while, on a busy machine longer than others.
    pub(crate) fn patiently(mut self) -> Self {
        self.sent.within = Duration::from_secs(60);
        self
    }

    /// These bytes on a connection over HTTP/1.1, in place of method, path, headers and body.
    pub(crate) fn raw(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// A problem, on each way.
    pub(crate) fn refused(self, status: u16, code: &'static str) -> Self {
        self.on(&WAYS, &Want::Problem(status, code))
    }

    /// No problem, on each way.
    pub(crate) fn answered(self, status: u16) -> Self {
        self.on(&WAYS, &Want::Status(status))
    }

    /// Another problem from the service itself.
    pub(crate) fn directly(self, status: u16, code: &'static str) -> Self {
        self.on(&[Way::Direct], &Want::Problem(status, code))
    }

    /// This status, and no problem, from the service itself.
    pub(crate) fn directly_answered(self, status: u16) -> Self {
        self.on(&[Way::Direct], &Want::Status(status))
    }

    /// Another problem where HTTP/1.1 cannot even be read.
    pub(crate) fn over_http1(self, status: u16, code: &'static str) -> Self {
        self.on(&[Way::Http1], &Want::Problem(status, code))
    }

    pub(crate) fn only_directly(self, reason: &'static str) -> Self {
        self.on(&[Way::Http1, Way::Http2], &Want::Nothing(reason))
    }

    pub(crate) fn only_through_the_gateway(self, reason: &'static str) -> Self {
        self.on(&[Way::Direct], &Want::Nothing(reason))
    }

    pub(crate) fn not_over_http2(self, reason: &'static str) -> Self {
        self.on(&[Way::Http2], &Want::Nothing(reason))
    }

    fn on(mut self, ways: &[Way], want: &Want) -> Self {
        self.wanted.extend(ways.iter().map(|way| (*way, want.clone())));
        self
    }

    pub(crate) fn just_like(self, missing: impl Into<String>) -> Self {
        let twin = Some(missing.into());
        Self { twin, ..self }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &'static str) -> Self {
        self.with_headers.push((header, value));
        self
    }

    pub(crate) fn without(mut self, header: &'static str) -> Self {
        self.without_headers.push(header);
        self
    }

    pub(crate) fn says(mut self, text: impl Into<String>) -> Self {
        self.says.push(text.into());
        self
    }

    pub(crate) fn never_says(mut self, text: impl Into<String>) -> Self {
        self.never_says.push(text.into());
        self
    }

    /// The ways on which it means something.
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way> {
        let meant = self.wanted.iter().filter(|(_, want)| !matches!(want, Want::Nothing(_)));
        meant.map(|(way, _)| *way)
    }

    /// Why it means nothing on the others.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = (Way, &'static str)> {
        self.wanted.iter().filter_map(|(way, want)| match want {
            Want::Nothing(reason) => Some((*way, *reason)),
            Want::Problem(..) | Want::Status(_) => None,
        })
    }

    /// A row has to say what is wanted on each way, or why nothing is.
    pub(crate) fn is_complete(&self) -> bool {
        self.wanted.len() == WAYS.len() && self.ways().next().is_some()
    }

    /// Sends it, and says what is wrong with the answer.
    pub(crate) async fn tried(&self, way: Way, doors: &Doors) -> Result<(), String> {
        let outcome = self.try_it(way, doors).await;
        outcome.map_err(|wrong| format!("{self} over {way:?}: {wrong:#}"))
    }

    async fn try_it(&self, way: Way, doors: &Doors) -> anyhow::Result<()> {
        let got = self.send(&self.sent, way, doors).await?;
        self.judge(way, &got)?;
        if let Some(twin) = &self.twin {
            let sent = Sent {
                path: twin.clone(),
                ..self.sent.clone()
            };
            let missing = self.send(&sent, way, doors).await?;
            let (this, that) = (untraced(&got.body), untraced(&missing.body));
            ensure!(
                got.status == missing.status && this == that,
                "{} {this} can be told from {} {that} of {twin}",
                got.status,
                missing.status
            );
        }
        Ok(())
    }

    async fn send(&self, sent: &Sent, way: Way, doors: &Doors) -> anyhow::Result<Got> {
        let direct = doors.services[&self.part];
        match (&self.raw, way) {
            (Some(bytes), Way::Direct) => wire::bytes(direct, bytes, false, sent.within).await,
            (Some(bytes), _) => wire::bytes(doors.gateway, bytes, false, sent.within).await,
            (None, Way::Http1) => wire::http1(doors.gateway, sent).await,
            (None, Way::Http2) => wire::http2(doors.gateway, sent).await,
            (None, Way::Direct) => wire::http1(direct, sent).await,
        }
    }

    fn judge(&self, way: Way, got: &Got) -> anyhow::Result<()> {
        let body = String::from_utf8_lossy(&got.body);
        let shown: String = body.chars().take(400).collect();
        match &self.wanted[&way] {
            Want::Nothing(_) => {}
            Want::Status(status) => ensure!(got.status == *status, "{status} expected, got {} {shown}", got.status),
            Want::Problem(status, code) => {
                ensure!(
                    got.status == *status,
                    "{status} {code} expected, got {} {shown}",
                    got.status
                );
                if self.sent.method != "HEAD" {
                    is_problem(got, *status, code)?;
                }
            }
        }
        ensure!(
            got.rest.is_empty(),
            "two answers: {:?}",
            String::from_utf8_lossy(&got.rest)
        );
        for (name, value) in &self.with_headers {
            ensure!(
                got.header(name) == Some(value),
                "{name} is {:?} and not {value}",
                got.header(name)
            );
        }
        let gateways = [
            "server",
            "x-powered-by",
            "x-envoy-upstream-service-time",
            "x-envoy-decorator-operation",
        ];
        for name in self.without_headers.iter().chain(&gateways) {
            ensure!(got.header(name).is_none(), "{name} is {:?}", got.header(name));
        }
        // What cannot be read as a request gets no further than the codec.
        if way != Way::Direct && self.raw.is_none() && ![400, 431].contains(&got.status) {
            let sniffed = got.header("x-content-type-options");
            ensure!(sniffed == Some("nosniff"), "x-content-type-options is {sniffed:?}");
        }
        for text in &self.says {
            ensure!(body.contains(text), "{text:?} is missing in {shown}");
        }
        for text in self.never_says.iter().map(String::as_str).chain(INSIDE) {
            ensure!(!body.contains(text), "{text:?} stands in {shown}");
        }
        Ok(())
    }
}

/// What no answer tells: where the code is, what the store said, where things listen.
const INSIDE: [&str; 7] = [
    "panicked",
    ".rs:",
    "dynamodb",
    "DynamoDB",
    "ConditionalCheck",
    "stack backtrace",
    "sqlite",
];

fn is_problem(got: &Got, status: u16, code: &str) -> anyhow::Result<()> {
    let kind = got.header("content-type");
    ensure!(kind == Some("application/problem+json"), "the content type is {kind:?}");
    let problem: Value = serde_json::from_slice(&got.body)?;
    ensure!(problem["code"] == code, "{code} expected, got {problem}");
    ensure!(problem["status"] == status, "another status inside: {problem}");
    ensure!(
        problem["type"] == format!("urn:problem:{code}"),
        "another type: {problem}"
    );
    let texts = ["title", "detail", "instance"];
    ensure!(
        texts.iter().all(|name| problem[name].is_string()),
        "not whole: {problem}"
    );
    let waits = got.header("retry-after").is_some();
    ensure!(waits || ![429, 503].contains(&status), "when to come again is not said");
    Ok(())
}

/// A problem without what is different each time.
fn untraced(body: &[u8]) -> Value {
    let mut problem: Value = serde_json::from_slice(body).unwrap_or_default();
    for name in ["trace_id", "instance"] {
        problem.as_object_mut().map(|problem| problem.remove(name));
    }
    problem
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.sent.path.chars().take(120).collect();
        let Self {
            category,
            name,
            who,
            sent,
            ..
        } = self;
        write!(f, "{category:?}: {name} ({who}: {} {path})", sent.method)
    }
}
