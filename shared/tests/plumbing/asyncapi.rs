//! The AsyncAPI document: who publishes and who consumes which event. It is made from the contract's
//! types and the bodies that are checked in, and refers to the schemas.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::contract::{self, Consumer, Kind};
use shared::testing::{assert_checked_in, conformance};

use crate::schemas::{checked_in, examples};

const DESCRIPTION: &str = "\
What the services of the ordering backend tell each other on one EventBridge bus, and what others may subscribe to.

Every event is told at least once, and may come twice, late, and out of order. `id` tells one event from another; told \
again, it has the same id, time and sequence. `sequence` counts up for each order (0 is `CheckoutRequested`), or is the \
product's version, or counts how often its stock ran out and came back: what is older than what a consumer has, it ignores. \
Within a version events only gain optional fields, and enumerations that have the value `other` further values: ignore what \
you do not know.

`CheckoutRequested` carries an address and a payment token. It is for the order service alone: no other rule may match it, \
and nothing may archive it. No other event holds an address, an e-mail or a token.";

/// The document.
fn document() -> Value {
    let kinds = contract::kinds();
    let mut operations = Map::new();
    for kind in &kinds {
        let sends = operation(
            "send",
            kind.source,
            kind,
            format!("{} is told by the {}", kind.name, kind.source),
        );
        operations.insert(format!("{}.sends.{}", kind.source, kind.name), sends);
        for consumer in kind.consumers {
            let receives = operation("receive", consumer.service(), kind, summary(*consumer));
            operations.insert(format!("{}.receives.{}", consumer.name(), kind.name), receives);
        }
    }
    let channels: Map<_, _> = kinds.iter().map(|kind| (kind.name.to_owned(), channel(kind))).collect();
    let messages: Map<_, _> = kinds.iter().map(|kind| (kind.name.to_owned(), message(kind))).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Commerce events",
            "version": "1.0.0",
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"bus": {
            "host": "events.{region}.amazonaws.com",
            "protocol": "https",
            "title": "Amazon EventBridge",
            "description": "Events are published by `PutEvents` to the bus that is output `EventBus` of the stack \
                in deploy/aws/platform.yaml, and delivered by rules to queues, topics and API destinations. A target gets the \
                event in EventBridge's own frame, with `source`, `detail-type` and `resources`; the message here is its `detail`.",
            "variables": {"region": {"description": "AWS region.", "default": "eu-central-1"}},
        }},
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "correlationIds": {"subject": {
                "description": "The order or product that the event is about.",
                "location": "$message.payload#/correlation_id",
            }},
        },
    })
}

fn summary(consumer: Consumer) -> String {
    match consumer {
        Consumer::OrderIntake => "Makes an order of the checkout, once however often it comes",
        Consumer::BasketSettle => "Settles the checkout, or gives its lines back; only its first answer counts",
        Consumer::Notifications => "Tells it people in a sentence, by the topic that e-mails are sent from",
    }
    .to_owned()
}

/// The bus itself, narrowed to one event by what rules match.
fn channel(kind: &Kind) -> Value {
    json!({
        "address": "{bus}",
        "title": kind.name,
        "summary": format!("The bus, where a rule matches `{}` from `{}`.", kind.name, kind.source),
        "servers": [{"$ref": "#/servers/bus"}],
        "parameters": {"bus": {"description": "Name of the bus.", "default": "commerce"}},
        "messages": {kind.name: {"$ref": format!("#/components/messages/{}", kind.name)}},
        "x-eventbridge-pattern": {"source": [kind.source], "detail-type": [kind.name]},
    })
}

fn operation(action: &str, service: &str, kind: &Kind, summary: String) -> Value {
    json!({
        "action": action,
        "summary": summary,
        "channel": {"$ref": format!("#/channels/{}", kind.name)},
        "messages": [{"$ref": format!("#/channels/{0}/messages/{0}", kind.name)}],
        "tags": [{"name": service}],
    })
}

fn message(kind: &Kind) -> Value {
    let schema = kind.schema.as_value();
    let body = schema["properties"]["data"]["$ref"].as_str().unwrap();
    let words = schema.pointer(body.trim_start_matches('#')).unwrap()["description"]
        .as_str()
        .unwrap();
    let first = words
        .split_inclusive(['.', ':'])
        .next()
        .unwrap()
        .trim_end_matches(['.', ':']);
    let shown: Vec<_> = examples(kind.name)
        .into_iter()
        .enumerate()
        .map(|(n, body)| json!({"name": format!("{}/{}.json", kind.name, n + 1), "payload": body}))
        .collect();
    json!({
        "name": kind.name,
        "title": kind.name,
        "summary": first,
        "description": words,
        "contentType": "application/json",
        "correlationId": {"$ref": "#/components/correlationIds/subject"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": format!("./{}.json", kind.name)},
        },
        "examples": shown,
        "tags": [{"name": format!("version {}", kind.version)}],
    })
}

#[test]
fn the_document_of_who_tells_whom_is_checked_in() {
    let text = serde_json::to_string_pretty(&document()).unwrap();
    assert_checked_in(&conformance::folder().join("asyncapi.json"), &text);
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(elements) => elements.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let schemas: BTreeSet<_> = checked_in().into_keys().map(|name| format!("./{name}.json")).collect();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 4 * schemas.len());
    for reference in found {
        let leads = match reference.strip_prefix('#') {
            Some(pointer) => document.pointer(pointer).is_some(),
            None => schemas.contains(reference),
        };
        assert!(leads, "{reference}");
    }
}
