//! One order is one trace: from the gateway over basket, bus, queue, order, product and payment, and back to the basket,
//! as an OTLP collector sees it.

use std::collections::{BTreeMap, BTreeSet};

use deploy_local::collector::{self, Collector, Span};
use deploy_local::system::Catalog;
use deploy_local::{Part, System};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::harness::{self, SOON, http, until};

/// The client's own part of the trace.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// A hop of the trace: whose span it is, what tells it from the others of that service, and the hop that caused it,
/// at whatever distance.
struct Hop {
    name: &'static str,
    service: &'static str,
    is: fn(&Span) -> bool,
    caused_by: Option<&'static str>,
}

const HOPS: [Hop; 9] = [
    Hop {
        name: "gateway",
        service: "gateway",
        is: |span| span.parent_id.as_deref() == Some(CLIENT),
        caused_by: None,
    },
    Hop {
        name: "checkout",
        service: "basket-service",
        is: |span| span.name.starts_with("POST ") && span.name.ends_with("/checkout"),
        caused_by: Some("gateway"),
    },
    Hop {
        name: "prices",
        service: "product-service",
        is: |span| span.name == "GET /v1/products",
        caused_by: Some("checkout"),
    },
    Hop {
        name: "intake",
        service: "order-service",
        is: |span| span.attribute("event") == "CheckoutRequested",
        caused_by: Some("checkout"),
    },
    Hop {
        name: "fulfilment",
        service: "order-service",
        is: |span| span.name == "order.fulfil",
        caused_by: Some("intake"),
    },
    Hop {
        name: "hold",
        service: "product-service",
        is: |span| span.name.starts_with("PUT /internal/v1/reservations/"),
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "payment",
        service: "order-service",
        is: |span| span.name == "POST" && span.attribute("server.address") == "127.0.0.1" && !is_to_products(span),
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "sale",
        service: "product-service",
        is: |span| span.name.starts_with("POST /internal/v1/reservations/") && span.name.ends_with("/commit"),
        caused_by: Some("fulfilment"),
    },
    Hop {
        name: "settlement",
        service: "basket-service",
        is: |span| span.attribute("event") == "OrderPlaced",
        caused_by: Some("intake"),
    },
];

/// A client's span that caused none of another service is to somebody outside; the product service's have their own hops.
fn is_to_products(span: &Span) -> bool {
    span.attributes.contains_key("of.products")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_checkout_is_one_connected_trace() {
    let (_temporary, folder) = harness::folder();
    std::fs::create_dir_all(folder.path()).unwrap();
    let collector = Collector::start(folder.path().join("spans.ndjson")).unwrap();
    let settings = BTreeMap::from(
        [
            (collector::ENDPOINT, collector.url()),
            (collector::SPANS_EVERY_MS, "200"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let system = harness::system_with(&folder, Catalog::Demo, settings).await;
    let order = buy(&system).await;
    let spans = trace(&system, &collector).await;

    assert_eq!(missing(&spans), Vec::<String>::new(), "{spans:#?}");
    let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.as_str()).collect();
    for span in &spans {
        let parent = span
            .parent_id
            .as_deref()
            .unwrap_or_else(|| panic!("a second root: {span:#?}"));
        assert!(
            parent == CLIENT || ids.contains(parent),
            "it hangs in the air: {span:#?}"
        );
    }
    // Without any of its hops it would be noticed.
    for hop in &HOPS {
        let without: Vec<_> = spans.iter().filter(|span| !hop.is_of(span)).cloned().collect();
        assert!(!missing(&without).is_empty(), "{} is not missed", hop.name);
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
    system.stop().await.unwrap();
    collector.stop().await;
}

impl Hop {
    fn is_of(&self, span: &Span) -> bool {
        span.service == self.service && (self.is)(span)
    }
}

/// Buys something with the client's own trace, and comes back with the order when it is confirmed.
async fn buy(system: &System) -> String {
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
        .header("Idempotency-Key", "a-key")
        .header("traceparent", format!("00-{TRACE}-{CLIENT}-01"));
    let accepted = check_out.json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    let accepted: Value = accepted.json().await.unwrap();
    let order = accepted["order_id"].as_str().unwrap().to_owned();
    let read = http().get(format!("{gateway}/v1/orders/{order}")).bearer_auth(&token);
    until(read, "confirmed", |order| order["status"] == "confirmed").await;
    order
}

/// The trace's spans, once all hops are there, or as far as they came.
async fn trace(system: &System, collector: &Collector) -> Vec<Span> {
    let payments = system.url(Part::Payments);
    let payments = payments.rsplit(':').next().unwrap().to_owned();
    let deadline = Instant::now() + SOON;
    loop {
        let mut spans = collector.spans().unwrap();
        spans.retain(|span| span.trace_id == TRACE);
        for span in &mut spans {
            let port = span.attribute("server.port");
            if !port.is_empty() && port != payments {
                span.attributes.insert("of.products".to_owned(), String::new());
            }
        }
        let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
        let connected = |span: &Span| {
            span.parent_id
                .as_deref()
                .is_some_and(|id| id == CLIENT || ids.contains(id))
        };
        if (missing(&spans).is_empty() && spans.iter().all(connected)) || Instant::now() > deadline {
            return spans;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The hops that are not there, or were not caused by what they should be.
fn missing(spans: &[Span]) -> Vec<String> {
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    let causes = |span: &Span| -> Vec<&Span> {
        let first = span.parent_id.clone();
        let mut causes = Vec::new();
        let mut next = first.as_deref().and_then(|id| by_id.get(id));
        while let Some(cause) = next {
            causes.push(*cause);
            next = cause.parent_id.as_deref().and_then(|id| by_id.get(id));
        }
        causes
    };
    let hop_of = |name: &str| HOPS.iter().find(|hop| hop.name == name).unwrap();
    let is_there = |hop: &Hop| {
        spans
            .iter()
            .filter(|span| hop.is_of(span))
            .any(|span| match hop.caused_by {
                None => true,
                Some(cause) => causes(span).into_iter().any(|above| hop_of(cause).is_of(above)),
            })
    };
    HOPS.iter()
        .filter(|hop| !is_there(hop))
        .map(|hop| hop.name.to_owned())
        .collect()
}
