//! Whether what a service published is what the contract promises: its checked-in schema, a whole
//! envelope, a sequence that fits what else it told, and nothing that may not travel.
//!
//! The tests of every service hand it everything that came over their bus.

#![expect(
    clippy::indexing_slicing,
    reason = "a member that a JSON value does not have reads as null"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use uuid::{Uuid, Version};

use super::cards::card_number;
use super::schema;
use crate::contract::{self, Event, Kind, Published, checkout::CheckoutRequested};

/// Where the schemas and examples are checked in.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/events")
}

/// Judges everything that `source` published; what others did only tells what its events may not
/// repeat.
pub fn of(source: &'static str) -> impl Fn(&[Published]) -> Vec<String> + Send + Sync + 'static {
    move |events| {
        let own: Vec<_> = events.iter().filter(|event| event.source == source).collect();
        let mut faults: Vec<_> = own.iter().flat_map(|event| faults_of(event)).collect();
        faults.extend(sequences(&own));
        faults.extend(repeated(&own, &confided(events)));
        faults
    }
}

/// What is wrong with one event, looked at by itself.
#[must_use]
pub fn faults_of(event: &Published) -> Vec<String> {
    let Some((kind, schema)) = known(&event.detail_type) else {
        return vec![format!("{}: nobody declared such an event", event.detail_type)];
    };
    let mut faults = schema::faults(schema, &event.detail);
    faults.extend(envelope(kind, event));
    if kind.name != CheckoutRequested::NAME {
        faults.extend(private(&event.detail, ""));
    }
    let told = |fault| format!("{} {}: {fault}", event.detail_type, event.detail["id"]);
    faults.into_iter().map(told).collect()
}

/// The kinds with their schemas as they are checked in, which is what others read.
fn known(name: &str) -> Option<&'static (Kind, Value)> {
    static KNOWN: OnceLock<BTreeMap<&'static str, (Kind, Value)>> = OnceLock::new();
    let read = |kind: Kind| {
        let file = folder().join(format!("{}.json", kind.name));
        // A test of the files tells what is wrong with them; here it is a schema that refuses all.
        let text = std::fs::read_to_string(file).unwrap_or_default();
        (kind.name, (kind, serde_json::from_str(&text).unwrap_or_default()))
    };
    KNOWN
        .get_or_init(|| contract::kinds().into_iter().map(read).collect())
        .get(name)
}

/// What the schema of an envelope does not say.
fn envelope(kind: &Kind, event: &Published) -> Vec<String> {
    let detail = &event.detail;
    let text = |name: &str| detail[name].as_str().unwrap_or_default();
    let about = ["order_id", "product_id"].map(|name| &detail["data"][name]);
    let about = about.into_iter().find_map(Value::as_str).unwrap_or_default();
    let id = Uuid::try_parse(text("id")).ok().and_then(|id| id.get_version());
    let checks = [
        (event.source == kind.source, "comes from another source than its own"),
        (id == Some(Version::SortRand), "its id is no UUID v7"),
        (
            text("correlation_id") == about,
            "its correlation_id is not what its body is about",
        ),
        (
            event.resources.iter().any(|id| id == about),
            "its resources leave out what it is about",
        ),
        (!text("causation_id").is_empty(), "its causation_id is empty"),
        (is_traceparent(&detail["traceparent"]), "its traceparent is none"),
        (
            (kind.name == CheckoutRequested::NAME) == (detail["sequence"] == 0),
            "0 is the sequence of a checkout, and of nothing else",
        ),
    ];
    let broken = checks.into_iter().filter(|(is_so, _)| !is_so);
    broken.map(|(_, what)| what.to_owned()).collect()
}

/// W3C trace context, or empty where there was no trace.
fn is_traceparent(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    text.is_empty() || (parts == [2, 32, 16, 2] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()))
}

/// Which events count their sequence together. Those of one change of a product share its version.
fn counted_with(event: &Published) -> (&str, &str) {
    let name = match event.detail_type.as_str() {
        "StockDepleted" | "StockAvailable" => "stock",
        name if event.source == "product-service" => name,
        _ => "order",
    };
    (name, event.detail["correlation_id"].as_str().unwrap_or_default())
}

/// An event told again is the same event, and two events do not have one place.
fn sequences(events: &[&Published]) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut by_id, mut by_place) = (BTreeMap::new(), BTreeMap::new());
    for event in events {
        let id = event.detail["id"].as_str().unwrap_or_default();
        if *by_id.entry(id).or_insert(event) != event {
            faults.push(format!("{} {id}: was told again as another", event.detail_type));
        }
        // It answers another checkout under the order's id, which the order itself knows nothing of.
        if event.detail["data"]["reason"] == "key_reused" {
            continue;
        }
        let sequence = event.detail["sequence"].as_u64();
        let place = by_place.entry((counted_with(event), sequence)).or_insert(event);
        if place.detail["id"] != event.detail["id"] {
            let (one, other) = (&place.detail_type, &event.detail_type);
            faults.push(format!(
                "{other} {id}: has the sequence {sequence:?} of {one} {}",
                place.detail["id"]
            ));
        }
    }
    for pair in by_place.iter().zip(by_place.iter().skip(1)) {
        let (((before, _), earlier), ((after, _), later)) = pair;
        let time = |event: &Published| {
            event.detail["time"]
                .as_str()
                .and_then(|t| t.parse::<jiff::Timestamp>().ok())
        };
        if before == after && after.0 == "order" && time(later) < time(earlier) {
            faults.push(format!(
                "{} {}: happened before what it follows",
                later.detail_type, later.detail["id"]
            ));
        }
    }
    faults
}

/// What checkouts on this bus carried and nothing else may: addresses and tokens.
fn confided(events: &[Published]) -> BTreeSet<&str> {
    let checkouts = events
        .iter()
        .filter(|event| event.detail_type == CheckoutRequested::NAME);
    let mut confided = BTreeSet::new();
    for checkout in checkouts {
        let data = &checkout.detail["data"];
        texts(&data["shipping_address"], &mut confided);
        texts(&data["payment_token"], &mut confided);
    }
    // A country or a very short name can stand anywhere.
    confided.retain(|text| text.len() >= 6);
    confided
}

fn repeated(events: &[&Published], confided: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    for event in events
        .iter()
        .filter(|event| event.detail_type != CheckoutRequested::NAME)
    {
        let mut said = BTreeSet::new();
        texts(&event.detail, &mut said);
        if said
            .iter()
            .any(|text| confided.iter().any(|secret| text.contains(secret)))
        {
            let id = &event.detail["id"];
            faults.push(format!(
                "{} {id}: repeats an address or a token of a checkout",
                event.detail_type
            ));
        }
    }
    faults
}

fn texts<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) => {
            into.insert(text);
        }
        Value::Array(all) => all.iter().for_each(|value| texts(value, into)),
        Value::Object(all) => all.values().for_each(|value| texts(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Names of fields that hold what no event but a checkout may.
const PRIVATE: [&str; 13] = [
    "shipping_address",
    "address",
    "line1",
    "line2",
    "city",
    "postal_code",
    "email",
    "e_mail",
    "phone",
    "payment_token",
    "token",
    "card",
    "password",
];
/// How what opens or pays for something begins: the payment provider's ids and keys, and JSON Web Tokens.
const SECRETS: [&str; 6] = ["pm_", "tok_", "card_", "sk_", "eyJ", "Bearer "];

/// Everything in there that looks like an address, an e-mail, a token or a card.
fn private(value: &Value, at: &str) -> Vec<String> {
    match value {
        Value::Object(all) => {
            let mut faults = Vec::new();
            for (name, value) in all {
                let at = format!("{at}/{name}");
                if PRIVATE.contains(&name.as_str()) {
                    faults.push(format!("{at}: may not be in it"));
                }
                // A carrier's number looks as it likes.
                if name != "tracking" {
                    faults.extend(private(value, &at));
                }
            }
            faults
        }
        Value::Array(all) => all.iter().flat_map(|value| private(value, at)).collect(),
        Value::String(text) if is_private(text) => vec![format!("{at}: holds an e-mail, a token or a card's number")],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn is_private(text: &str) -> bool {
    let is_email = text.split_whitespace().any(|word| {
        let domain = word.split_once('@').map(|(_, domain)| domain);
        domain.is_some_and(|domain| domain.trim_end_matches('.').contains('.'))
    });
    let is_secret = text
        .split_whitespace()
        .any(|word| SECRETS.iter().any(|begin| word.starts_with(begin.trim())));
    is_email || is_secret || card_number(text).is_some()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const ORDER: &str = "8d3c5f0e-27b1-4c4a-9e66-1f0a2b7d4c90";

    fn cancelled() -> Published {
        Published {
            source: "order-service".to_owned(),
            detail_type: "OrderCancelled".to_owned(),
            resources: vec![ORDER.to_owned()],
            detail: json!({
                "id": "01900000-0000-7000-8000-000000000001", "version": 1, "time": "2026-01-01T00:00:02Z",
                "correlation_id": ORDER, "causation_id": "a-request", "sequence": 3,
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "data": {"order_id": ORDER, "customer_id": "ada", "reason": "changed my mind"},
            }),
        }
    }

    fn judged(events: &[Published]) -> Vec<String> {
        of("order-service")(events)
    }

    #[test]
    fn an_event_as_promised_passes_also_when_it_is_told_again() {
        assert_eq!(judged(&[cancelled(), cancelled()]), Vec::<String>::new());
    }

    #[rstest]
    #[case("/id", json!(null))]
    #[case("/id", json!(ORDER))]
    #[case("/version", json!(2))]
    #[case("/time", json!("today"))]
    #[case("/correlation_id", json!("another"))]
    #[case("/causation_id", json!(""))]
    #[case("/sequence", json!(-1))]
    #[case("/sequence", json!(0))]
    #[case("/traceparent", json!(null))]
    #[case("/traceparent", json!("00-1-2-01"))]
    #[case("/data", json!({}))]
    #[case("/data/order_id", json!("another"))]
    #[case("/data/customer_id", json!(""))]
    #[case("/data/reason", json!(7))]
    #[case("/data/reason", json!("write to ada@example.org."))]
    #[case("/data/reason", json!("paid with pm_card_visa"))]
    #[case("/data/reason", json!("eyJhbGciOiJSUzI1NiJ9.e30.x"))]
    #[case("/data/reason", json!("my card 4242 4242-4242 4242"))]
    fn a_field_that_is_not_as_promised_is_found(#[case] at: &str, #[case] wrong: Value) {
        let mut event = cancelled();
        *event.detail.pointer_mut(at).unwrap() = wrong;
        assert_ne!(judged(&[event]), Vec::<String>::new());
    }

    #[rstest]
    #[case("id")]
    #[case("version")]
    #[case("time")]
    #[case("correlation_id")]
    #[case("causation_id")]
    #[case("sequence")]
    #[case("traceparent")]
    #[case("data")]
    fn an_envelope_that_is_not_whole_is_found(#[case] field: &str) {
        let mut event = cancelled();
        event.detail.as_object_mut().unwrap().remove(field);
        assert_ne!(judged(&[event]), Vec::<String>::new());
    }

    #[test]
    fn what_an_event_may_not_hold_is_found_where_the_schema_lets_it_pass() {
        for (name, value) in [
            ("shipping_address", json!({})),
            ("email", json!("?")),
            ("payment_token", json!("t")),
        ] {
            let mut event = cancelled();
            event.detail["data"][name] = value;
            assert_eq!(judged(&[event]).len(), 1, "{name}");
        }
    }

    #[test]
    fn an_event_of_nobody_or_without_its_resource_is_found() {
        let mut unknown = cancelled();
        unknown.detail_type = "OrderLost".to_owned();
        assert_eq!(judged(&[unknown]).len(), 1);
        let mut without = cancelled();
        without.resources.clear();
        assert_eq!(judged(&[without]).len(), 1);
    }

    #[test]
    fn another_event_in_the_same_place_or_out_of_time_is_found() {
        let other = |sequence: u64, time: &str| {
            let mut other = cancelled();
            other.detail["id"] = json!("01900000-0000-7000-8000-000000000002");
            other.detail["sequence"] = json!(sequence);
            other.detail["time"] = json!(time);
            other
        };
        let with = |other: Published| judged(&[cancelled(), other]).len();
        assert_eq!(with(other(3, "2026-01-01T00:00:02Z")), 1, "the same sequence");
        assert_eq!(with(other(2, "2026-01-01T00:00:03Z")), 1, "before it, but later");
        assert_eq!(with(other(2, "2026-01-01T00:00:01Z")), 0);
        let mut changed = cancelled();
        changed.detail["data"]["reason"] = json!("another reason");
        assert_eq!(with(changed), 1, "told again as another");
    }

    #[test]
    fn what_a_checkout_confided_is_found_in_any_other_event() {
        let checkout = |address: &str| Published {
            source: "basket-service".to_owned(),
            detail_type: "CheckoutRequested".to_owned(),
            resources: Vec::new(),
            detail: json!({"data": {"shipping_address": {"name": address}, "payment_token": "a-token"}}),
        };
        let mut telling = cancelled();
        telling.detail["data"]["reason"] = json!("nobody called Ada Lovelace here");
        assert_eq!(judged(&[checkout("Ada Lovelace"), telling.clone()]).len(), 1);
        assert_eq!(judged(&[checkout("Grace Hopper"), telling]).len(), 0);
    }
}
