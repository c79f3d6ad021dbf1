//! The events' schemas are checked in and change only by additions, and every body that was ever
//! checked in beside them is read by today's types.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use shared::contract::{self, Kind};
use shared::testing::schema::resolve;
use shared::testing::{assert_checked_in, conformance, rewrites_checked_in, schema};

use crate::compatibility::breaches;

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Every schema as it is checked in, by its event's name.
pub(crate) fn checked_in() -> BTreeMap<&'static str, Value> {
    let schema = |kind: Kind| {
        let file = conformance::folder().join(format!("{}.json", kind.name));
        (kind.name, read(&file))
    };
    contract::kinds().into_iter().map(schema).collect()
}

/// The bodies of an event that were ever checked in, in their order.
pub(crate) fn examples(event: &str) -> Vec<Value> {
    let folder = conformance::folder().join("examples").join(event);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let count = files.count();
    // Numbered without a gap: a body that is taken away leaves one.
    (1..=count).map(|n| read(&folder.join(format!("{n}.json")))).collect()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_event_has_its_schema_checked_in_and_it_changes_by_additions_only() {
    for kind in contract::kinds() {
        let file = conformance::folder().join(format!("{}.json", kind.name));
        // Before anything is rewritten: no switch turns this off. What has to break a reader is another event.
        if file.exists() || !rewrites_checked_in() {
            let found = breaches(&read(&file), kind.schema.as_value());
            assert!(found.is_empty(), "{} would break who reads it: {found:#?}", kind.name);
        }
        assert_checked_in(&file, &serde_json::to_string_pretty(&kind.schema).unwrap());
    }
}

#[test]
fn nothing_is_checked_in_of_an_event_that_nobody_declares() {
    let known: BTreeSet<String> = contract::kinds().iter().map(|kind| kind.name.to_owned()).collect();
    let files = known.iter().map(|name| format!("{name}.json"));
    let files: BTreeSet<_> = files.chain(["asyncapi.json", "examples"].map(str::to_owned)).collect();
    assert_eq!(names_in(&conformance::folder()), files);
    assert_eq!(names_in(&conformance::folder().join("examples")), known);
}

#[test]
fn every_body_that_was_ever_checked_in_is_read_and_fits_the_schema() {
    let schemas = checked_in();
    for kind in contract::kinds() {
        for (n, body) in examples(kind.name).iter().enumerate() {
            let name = format!("{}/{}.json", kind.name, n + 1);
            assert_eq!(
                schema::faults(&schemas[kind.name], body),
                Vec::<String>::new(),
                "{name}"
            );
            let again = (kind.read)(body).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(
                lost(body, &again, ""),
                Vec::<String>::new(),
                "{name} is not read as a whole"
            );
        }
    }
}

/// What of `body` is not in `again`, which was read from it.
fn lost(body: &Value, again: &Value, at: &str) -> Vec<String> {
    match (body, again) {
        (Value::Object(members), Value::Object(_)) => {
            let under = members
                .iter()
                .map(|(name, value)| lost(value, &again[name], &format!("{at}/{name}")));
            under.flatten().collect()
        }
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            let pairs = elements.iter().zip(others).enumerate();
            pairs
                .flat_map(|(n, (value, other))| lost(value, other, &format!("{at}/{n}")))
                .collect()
        }
        _ if body == again => Vec::new(),
        _ => vec![format!("{at}: {body} became {again}")],
    }
}

#[test]
fn a_consumer_of_any_event_ignores_fields_that_it_does_not_know() {
    fn extend(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.values_mut().for_each(extend);
                members.insert("of_a_later_release".to_owned(), json!({"a": [1, null]}));
            }
            Value::Array(elements) => elements.iter_mut().for_each(extend),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for kind in contract::kinds() {
        for body in examples(kind.name) {
            let mut later = body.clone();
            extend(&mut later);
            let read = (kind.read)(&later).unwrap_or_else(|e| panic!("{} {later:#}: {e}", kind.name));
            assert_eq!(read, (kind.read)(&body).unwrap());
            assert_eq!(schema::faults(&checked_in()[kind.name], &later), Vec::<String>::new());
        }
    }
}

#[test]
fn the_bodies_show_every_field_with_and_without_and_every_value() {
    let mut missing = Vec::new();
    for (name, schema) in checked_in() {
        let bodies = examples(name);
        let bodies: Vec<_> = bodies.iter().collect();
        unseen(&schema, &schema, &bodies, name, &mut missing);
    }
    assert!(
        missing.is_empty(),
        "check in bodies, as the bus carries them, as further files of deploy/events/examples: {missing:#?}"
    );
}

/// Adds what no value in `seen` shows of the schema: optional fields, there and not there, and values of enumerations.
fn unseen(root: &Value, schema: &Value, seen: &[&Value], at: &str, missing: &mut Vec<String>) {
    let schema = resolve(root, schema);
    if seen.is_empty() {
        missing.push(format!("{at}: is nowhere"));
        return;
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        let with: Vec<_> = seen.iter().filter_map(|value| value.get(name)).collect();
        let required = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|required| required == name);
        if !required && with.len() == seen.len() {
            missing.push(format!("{at}: is never left out"));
        }
        unseen(root, inner, &with, &at, missing);
    }
    if schema["items"].is_object() {
        let elements: Vec<_> = seen.iter().filter_map(|value| value.as_array()).flatten().collect();
        unseen(root, &schema["items"], &elements, &format!("{at}/[]"), missing);
    }
    for alternative in ["oneOf", "anyOf"]
        .iter()
        .flat_map(|group| schema[group].as_array().into_iter().flatten())
    {
        match alternative.get("const").map(|value| (value, seen.contains(&value))) {
            // Stands for the values of later releases, and is never told.
            Some((value, false)) if value != "other" => missing.push(format!("{at}: is never {value}")),
            Some(_) => {}
            None => {
                let fits = |value: &&&Value| schema::faults(&within(root, alternative), value).is_empty();
                let fitting: Vec<_> = seen.iter().filter(fits).copied().collect();
                unseen(root, alternative, &fitting, at, missing);
            }
        }
    }
}

/// A part of a schema that can be looked at alone.
fn within(root: &Value, part: &Value) -> Value {
    let mut part = part.clone();
    part["$defs"] = root["$defs"].clone();
    part
}
