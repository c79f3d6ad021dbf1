//! One order is one trace: from the gateway over basket, bus, queue, order, product and payment, and back to the basket,
//! as an OTLP collector sees it.

use std::collections::BTreeMap;
use std::fs;
use std::iter::successors;

use deploy_local::collector::{self, Collector, Span};
use deploy_local::instance::Folder;
use deploy_local::system::Catalog;
use deploy_local::{Part, System};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{self, SOON, http, until};

/// The client's own part of the trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The same, of an order that does not get on at first.
const RETRIED: &str = "b9c7c989f97918e1aab7d2f1e6a8f0d3";
/// The trace of a client who does not want it told.
const UNTOLD: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "00f067aa0ba902b7";

/// A hop of the trace: whose span it is, what tells it from the others of that service (the payment provider's port may),
/// and the hop that caused it, at whatever distance.
struct Hop {
    name: &'static str,
    service: &'static str,
    is: fn(&Span, &str) -> bool,
    caused_by: Option<&'static str>,
}

const HOPS: [Hop; 9] = [
    Hop {
        name: "gateway",
        service: "gateway",
        is: |span, _| span.parent_id.as_deref() == Some(CLIENT),
        caused_by: None,
    },
    Hop {
        name: "checkout",
        service: "basket-service",
        is: |span, _| span.name.starts_with("POST ") && span.name.ends_with("/checkout"),
        caused_by: Some("gateway"),
    },
    Hop {
        name: "prices",
        service: "product-service",
        is: |span, _| span.name == "GET /v1/products",
        caused_by: Some("checkout"),
    },
    Hop {
        name: "intake",
        service: "order-service",
        is: |span, _| span.attribute("event") == "CheckoutRequested",
        caused_by: Some("checkout"),
    },
    Hop {
        name: "fulfilment",
        service: "order-service",
        is: |span, _| span.name == "order.fulfil",
        caused_by: Some("intake"),
    },
    Hop {
        name: "hold",
        service: "product-service",
        is: |span, _| span.name.starts_with("PUT /internal/v1/reservations/"),
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "payment",
        service: "order-service",
        is: |span, provider| span.name == "POST" && span.attribute("server.port") == provider,
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "sale",
        service: "product-service",
        is: |span, _| span.name.starts_with("POST /internal/v1/reservations/") && span.name.ends_with("/commit"),
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "settlement",
        service: "basket-service",
        is: |span, _| span.attribute("event") == "OrderPlaced",
        caused_by: Some("intake"),
    },
];

/// What spans of a kind say of themselves, by OpenTelemetry's conventions and names of our own.
struct Said {
    kind: &'static str,
    is: fn(&Span) -> bool,
    /// Each with its value, or with none where that differs.
    attributes: &'static [(&'static str, &'static str)],
}

const UNITS: [&str; 3] = [
    "commerce.dynamodb.milli_rcu",
    "commerce.dynamodb.milli_wcu",
    "commerce.dynamodb.round_trips",
];

const SAID: [Said; 9] = [
    Said {
        kind: "a request at the gateway",
        is: |span| span.kind == "server" && span.service == "gateway",
        attributes: &[
            ("http.route", "baskets-checkout"),
            ("http.request.method", "POST"),
            ("http.response.status_code", "202"),
            // Whose they are is nobody's business.
            ("user_agent", "-"),
            ("peer.address", "127.0.0.0/24"),
        ],
    },
    Said {
        kind: "a request",
        is: |span| span.kind == "server" && span.service != "gateway",
        attributes: &[
            ("http.route", ""),
            ("http.request.method", ""),
            ("http.response.status_code", ""),
            (UNITS[0], ""),
            (UNITS[1], ""),
            (UNITS[2], ""),
        ],
    },
    Said {
        kind: "a message that is worked on",
        is: |span| span.kind == "consumer",
        attributes: &[
            ("messaging.system", "aws_sqs"),
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", ""),
            ("messaging.message.id", ""),
            ("event", ""),
            ("order_id", ""),
            (UNITS[0], ""),
            (UNITS[1], ""),
            (UNITS[2], ""),
        ],
    },
    Said {
        kind: "an order that is seen through",
        is: |span| span.name == "order.fulfil",
        attributes: &[("order_id", ""), (UNITS[0], ""), (UNITS[1], ""), (UNITS[2], "")],
    },
    Said {
        kind: "an event that is published alone",
        is: |span| span.kind == "producer" && span.attribute("messaging.batch.message_count").is_empty(),
        attributes: &[
            ("messaging.system", "aws_eventbridge"),
            ("messaging.operation.name", "send"),
            ("messaging.operation.type", "send"),
            ("messaging.destination.name", ""),
            ("messaging.message.id", ""),
            ("event", ""),
        ],
    },
    Said {
        kind: "a call of a table",
        is: |span| span.attribute("rpc.method").starts_with("DynamoDB/"),
        attributes: &[
            ("rpc.system.name", "aws-api"),
            ("db.system.name", "aws.dynamodb"),
            ("db.operation.name", ""),
            ("aws.dynamodb.table_names", ""),
            ("aws.request_id", ""),
            ("http.response.status_code", ""),
            ("http.request.resend_count", "0"),
        ],
    },
    Said {
        kind: "a message that is deleted",
        is: |span| span.attribute("rpc.method") == "SQS/DeleteMessage",
        attributes: &[
            ("messaging.system", "aws_sqs"),
            ("messaging.operation.name", "DeleteMessage"),
            ("messaging.operation.type", "settle"),
            ("messaging.destination.name", ""),
            ("http.request.resend_count", "0"),
        ],
    },
    Said {
        kind: "a call of the bus",
        is: |span| span.attribute("rpc.method") == "EventBridge/PutEvents",
        attributes: &[("http.response.status_code", "200"), ("http.request.resend_count", "0")],
    },
    Said {
        kind: "a call of another service, or of the payment provider",
        is: |span| span.kind == "client" && span.attribute("rpc.method").is_empty(),
        attributes: &[
            ("http.request.method", ""),
            ("http.response.status_code", ""),
            ("http.request.resend_count", "0"),
            ("server.address", ""),
            ("server.port", ""),
        ],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn one_checkout_is_one_connected_trace() {
    let (_temporary, folder) = harness::folder();
    fs::create_dir_all(folder.path()).unwrap();
    let collector = Collector::start(folder.path().join("spans.ndjson")).unwrap();
    let settings = BTreeMap::from(
        [
            (collector::ENDPOINT, collector.url()),
            (collector::SPANS_EVERY_MS, "200"),
            // Nothing but what a caller tells of.
            (collector::SAMPLER, "parentbased_traceidratio"),
            (collector::SAMPLER_ARG, "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut system = harness::system_with(&folder, Catalog::Demo, settings).await;
    buy(&system, UNTOLD, "00").await;
    let order = buy(&system, TRACE, "01").await;
    let trace = trace(&system, &collector, TRACE).await;

    assert_eq!(trace.missing(), Vec::<&str>::new(), "{:#?}", trace.spans);
    assert_eq!(trace.in_the_air(), Vec::<&Span>::new());
    // What was bought before has been told by now, or is not at all: the caller's word went over the bus too.
    let others = collector
        .spans()
        .unwrap()
        .into_iter()
        .filter(|span| span.trace_id != TRACE);
    assert_eq!(others.collect::<Vec<_>>(), Vec::<Span>::new());
    // Where any hop did not know what caused it, that would be noticed.
    for hop in &HOPS {
        let cut = trace.cut(hop);
        assert!(cut.missing().contains(&hop.name), "{} is not missed", hop.name);
        assert_ne!(cut.in_the_air(), Vec::<&Span>::new(), "{} is not in the air", hop.name);
    }
    assert_eq!(unsaid(&trace.spans), Vec::<String>::new(), "{:#?}", trace.spans);
    // A message's span continues the one that its event was made in, and is linked to it.
    for span in trace.spans.iter().filter(|span| span.kind == "consumer") {
        assert_eq!(span.parent_id.as_slice(), span.links, "{span:#?}");
    }
    // The same, as the command shows it.
    let shown = harness::run_local(&folder, &["trace", &order]).await;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    assert!(
        text.contains(TRACE) && text.contains("order-service: order.fulfil"),
        "{text}"
    );
    let unknown = harness::run_local(&folder, &["trace", "0"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");

    retried(&mut system, &folder, &collector).await;
    system.stop().await.unwrap();
    collector.stop().await;
}

/// An order whose first try fails is one trace too: whoever goes on with it later is a part of it.
async fn retried(system: &mut System, folder: &Folder, collector: &Collector) {
    // Until it has been checked out nobody looks at it.
    system.pause(Part::OrderService).unwrap();
    let order = check_out(system, RETRIED, "01").await;
    // What has not been told dies with the process.
    let priced = || {
        collector.spans().unwrap().into_iter().any(|span| {
            span.trace_id == RETRIED && span.service == Part::ProductService.name() && span.kind == "server"
        })
    };
    harness::holds("its prices are not told of", priced).await;
    system.kill(Part::ProductService).await.unwrap();
    system.resume(Part::OrderService).unwrap();
    let log = folder.log(Part::OrderService.name());
    let waits = || {
        let log = fs::read_to_string(&log).unwrap();
        log.lines()
            .any(|line| line.contains("an order has to wait") && line.contains(&order))
    };
    harness::holds("its first try does not fail", waits).await;
    system.start_part(Part::ProductService).await.unwrap();
    confirmed(system, &order).await;
    let trace = trace(system, collector, RETRIED).await;
    assert_eq!(trace.missing(), Vec::<&str>::new(), "{:#?}", trace.spans);
    assert_eq!(trace.in_the_air(), Vec::<&Span>::new());
    let tries = trace.spans.iter().filter(|span| span.name == "order.fulfil");
    assert!(tries.count() > 1, "{:#?}", trace.spans);
}

/// Buys something with the client's own trace and its flags, and comes back with the order when it is confirmed.
async fn buy(system: &System, trace: &str, flags: &str) -> String {
    let order = check_out(system, trace, flags).await;
    confirmed(system, &order).await;
    order
}

async fn confirmed(system: &System, order: &str) {
    let (gateway, token) = (system.url(Part::Gateway), system.token("customer").await.unwrap());
    let read = http().get(format!("{gateway}/v1/orders/{order}")).bearer_auth(&token);
    until(read, "confirmed", |order| order["status"] == "confirmed").await;
}

async fn check_out(system: &System, trace: &str, flags: &str) -> String {
    let (gateway, token) = (system.url(Part::Gateway), system.token("customer").await.unwrap());
    let page: Value = http()
        .get(format!("{gateway}/v1/products?limit=50&expand=availability"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let products = page["data"].as_array().unwrap();
    let sold_at_once = |product: &&Value| product["stock"]["in_stock"] == true && product["acceptance"] == "auto";
    let product = products.iter().find(sold_at_once).unwrap();
    let add = http()
        .post(format!("{gateway}/v1/baskets/me/items"))
        .bearer_auth(&token);
    let added = add
        .json(&json!({"product_id": product["id"], "quantity": 1}))
        .send()
        .await
        .unwrap();
    assert!(added.status().is_success(), "{}", added.text().await.unwrap());
    let body = json!({
        "payment_token": "pm_card_visa",
        "shipping_address": {"name": "A", "line1": "1 Main Street", "city": "S", "postal_code": "1", "country": "US"},
    });
    let check_out = http()
        .post(format!("{gateway}/v1/baskets/me/checkout"))
        .bearer_auth(&token);
    let check_out = check_out
        .header("Idempotency-Key", trace)
        .header("traceparent", format!("00-{trace}-{CLIENT}-{flags}"));
    let accepted = check_out.json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let accepted: Value = accepted.json().await.unwrap();
    accepted["order_id"].as_str().unwrap().to_owned()
}

/// The trace, once all of it is there, or as far as it came.
async fn trace(system: &System, collector: &Collector, id: &str) -> Trace {
    let provider = system.url(Part::Payments).rsplit(':').next().unwrap().to_owned();
    let deadline = Instant::now() + SOON;
    loop {
        let mut spans = collector.spans().unwrap();
        spans.retain(|span| span.trace_id == id);
        let provider = provider.clone();
        let trace = Trace { spans, provider };
        let whole = trace.missing().is_empty() && trace.in_the_air().is_empty();
        if whole || Instant::now() > deadline {
            return trace;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// What spans do not say that they should.
fn unsaid(spans: &[Span]) -> Vec<String> {
    let mut unsaid = Vec::new();
    for said in &SAID {
        let mut of_kind = spans.iter().filter(|span| (said.is)(span)).peekable();
        if of_kind.peek().is_none() {
            unsaid.push(format!("there is no span of {}", said.kind));
        }
        for span in of_kind {
            let wrong = said.attributes.iter().filter(|(name, value)| {
                let there = span.attribute(name);
                there.is_empty() || !value.is_empty() && there != *value
            });
            unsaid.extend(wrong.map(|(name, _)| format!("{}: {} of {}: {name}", said.kind, span.name, span.service)));
        }
    }
    unsaid
}

/// A trace, and the payment provider's port.
struct Trace {
    spans: Vec<Span>,
    provider: String,
}

impl Trace {
    /// As it would be if those of that hop had not been told what caused them.
    fn cut(&self, hop: &Hop) -> Self {
        let cut = |span: &Span| Span {
            parent_id: span.parent_id.clone().filter(|_| !self.is(hop, span)),
            ..span.clone()
        };
        Self {
            spans: self.spans.iter().map(cut).collect(),
            provider: self.provider.clone(),
        }
    }

    fn is(&self, hop: &Hop, span: &Span) -> bool {
        span.service == hop.service && (hop.is)(span, &self.provider)
    }

    fn parent_of(&self, span: &Span) -> Option<&Span> {
        let parent = span.parent_id.as_ref()?;
        self.spans.iter().find(|other| other.span_id == *parent)
    }

    /// Spans that nothing caused that is there.
    fn in_the_air(&self) -> Vec<&Span> {
        let begun_by_client = |span: &Span| span.parent_id.as_deref() == Some(CLIENT);
        let lost = |span: &&Span| !begun_by_client(span) && self.parent_of(span).is_none();
        self.spans.iter().filter(lost).collect()
    }

    /// The hops that are not there, or were not caused by what they should be.
    fn missing(&self) -> Vec<&'static str> {
        let hop_of = |name: &str| HOPS.iter().find(|hop| hop.name == name).unwrap();
        let is_there = |hop: &&Hop| {
            let mut spans = self.spans.iter().filter(|span| self.is(hop, span));
            spans.any(|span| match hop.caused_by {
                None => true,
                Some(cause) => {
                    let mut causes = successors(self.parent_of(span), |above| self.parent_of(above));
                    causes.any(|above| self.is(hop_of(cause), above))
                }
            })
        };
        let missing = HOPS.iter().filter(|hop| !is_there(hop));
        missing.map(|hop| hop.name).collect()
    }
}
