//! What a release may change about an event's schema: it may add optional fields, and values to an
//! enumeration whose readers are told to expect more of them. Everything else breaks somebody who
//! runs the previous release, or reads what it has left in a queue.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;
use shared::testing::schema::resolve;

/// What in `new` breaks those who know `old`, each with its place; empty where nothing does.
pub(crate) fn breaches(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        seen: HashSet::new(),
        breaches: Vec::new(),
    };
    comparison.schemas(old, new, "");
    comparison.breaches
}

/// What only tells people something.
const WORDS: [&str; 5] = ["title", "description", "examples", "$comment", "$defs"];
/// A value that stands for those of later releases makes an enumeration open.
const OPEN: &str = "other";

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs that are, or were, compared: a schema may hold itself.
    seen: HashSet<(*const Value, *const Value)>,
    breaches: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn breach(&mut self, at: &str, what: &str) {
        self.breaches
            .push(format!("{}: {what}", if at.is_empty() { "/" } else { at }));
    }

    fn schemas(&mut self, old: &'a Value, new: &'a Value, at: &str) {
        let (target, other) = (resolve(self.old, old), resolve(self.new, new));
        self.beside_references((old, target), (new, other), at);
        let (old, new) = (target, other);
        if !self.seen.insert((old, new)) {
            return;
        }
        match (values(old), values(new)) {
            (Some(old), Some(new)) => return self.enumerations(&old, &new, at),
            (None, None) => {}
            (Some(_), None) => return self.breach(at, "is no enumeration any more"),
            (None, Some(_)) => return self.breach(at, "is an enumeration now"),
        }
        let keywords = |schema: &'a Value| schema.as_object().into_iter().flat_map(|all| all.keys());
        let keywords: BTreeSet<_> = keywords(old).chain(keywords(new)).collect();
        for keyword in keywords {
            let (was, is) = (&old[keyword], &new[keyword]);
            match keyword.as_str() {
                word if WORDS.contains(&word) || word == "default" => {}
                "properties" => self.properties(was, is, at),
                "required" => self.required(was, is, at),
                "items" if was.is_object() && is.is_object() => self.schemas(was, is, &format!("{at}/[]")),
                "oneOf" | "anyOf" | "allOf" => self.alternatives(keyword, was, is, at),
                "type" if set(was) == set(is) => {}
                _ if was == is => {}
                _ => self.breach(at, &format!("{keyword} was {was} and is {is}")),
            }
        }
    }

    /// What stands beside a reference holds too; a default stands there, or in the target.
    fn beside_references(&mut self, (old, target): (&Value, &Value), (new, other): (&Value, &Value), at: &str) {
        let (was, is) = (beside(old), beside(new));
        if was != is {
            self.breach(at, &format!("beside its reference was {was:?} and is {is:?}"));
        }
        let default = |schema: &Value, target: &Value| schema.get("default").or(target.get("default")).cloned();
        let (was, is) = (default(old, target), default(new, other));
        if was != is {
            self.breach(at, &format!("default was {was:?} and is {is:?}"));
        }
    }

    fn properties(&mut self, was: &'a Value, is: &'a Value, at: &str) {
        for (name, old) in was.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match is.get(name) {
                Some(new) => self.schemas(old, new, &at),
                None => self.breach(&at, "was taken away"),
            }
        }
    }

    fn required(&mut self, was: &Value, is: &Value, at: &str) {
        let (was, is) = (set(was), set(is));
        for name in is.difference(&was) {
            self.breach(&format!("{at}/{name}"), "is required now");
        }
        for name in was.difference(&is) {
            self.breach(&format!("{at}/{name}"), "is required no more");
        }
    }

    fn alternatives(&mut self, keyword: &str, was: &'a Value, is: &'a Value, at: &str) {
        match (was.as_array(), is.as_array()) {
            (Some(was), Some(is)) if was.len() == is.len() => {
                for (n, (old, new)) in was.iter().zip(is).enumerate() {
                    self.schemas(old, new, &format!("{at}/{keyword}/{n}"));
                }
            }
            _ => self.breach(at, &format!("{keyword} has other alternatives")),
        }
    }

    fn enumerations(&mut self, old: &BTreeSet<String>, new: &BTreeSet<String>, at: &str) {
        for value in old.difference(new) {
            self.breach(at, &format!("the value {value} was taken away"));
        }
        if !old.contains(&Value::from(OPEN).to_string()) {
            for value in new.difference(old) {
                self.breach(
                    at,
                    &format!("the value {value} is new, and readers expect no more values"),
                );
            }
        }
    }
}

/// The rules beside a reference; none where there is no reference.
fn beside(schema: &Value) -> BTreeMap<&str, &Value> {
    let members = schema.as_object().filter(|members| members.contains_key("$ref"));
    let is_rule = |keyword: &str| keyword != "$ref" && keyword != "default" && !WORDS.contains(&keyword);
    let members = members
        .into_iter()
        .flatten()
        .map(|(keyword, says)| (keyword.as_str(), says));
    members.filter(|(keyword, _)| is_rule(keyword)).collect()
}

/// The values of an enumeration, in whichever way it is written; `None`: it is none.
fn values(schema: &Value) -> Option<BTreeSet<String>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().map(Value::to_string).collect());
    }
    if let Some(value) = schema.get("const") {
        return Some(BTreeSet::from([value.to_string()]));
    }
    let alternatives = schema["oneOf"].as_array()?;
    let values: Option<Vec<_>> = alternatives.iter().map(values).collect();
    values.map(|all| all.into_iter().flatten().collect())
}

/// The elements of an array, or the one value.
fn set(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        Value::Null => BTreeSet::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => BTreeSet::from([text(value)]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

mod tests {
    use serde_json::json;

    use super::*;
    use crate::schemas::checked_in;

    /// Every schema within a document, by its pointer.
    fn places(schema: &Value) -> Vec<String> {
        fn under(schema: &Value, at: &str, places: &mut Vec<String>) {
            places.push(at.to_owned());
            for group in ["properties", "$defs"] {
                for (name, inner) in schema[group].as_object().into_iter().flatten() {
                    under(inner, &format!("{at}/{group}/{name}"), places);
                }
            }
            for group in ["oneOf", "anyOf"] {
                for (n, inner) in schema[group].as_array().into_iter().flatten().enumerate() {
                    under(inner, &format!("{at}/{group}/{n}"), places);
                }
            }
            if schema["items"].is_object() {
                under(&schema["items"], &format!("{at}/items"), places);
            }
        }
        let mut places = Vec::new();
        under(schema, "", &mut places);
        places
    }

    /// The same schema with one keyword of one place set, or taken away.
    fn set_to(place: &Value, keyword: &str, value: Option<Value>) -> Value {
        let mut changed = place.clone();
        let members = changed.as_object_mut().unwrap();
        match value {
            Some(value) => members.insert(keyword.to_owned(), value),
            None => members.remove(keyword),
        };
        changed
    }

    fn without(list: &Value, n: usize) -> Value {
        let mut list = list.as_array().unwrap().clone();
        list.remove(n);
        Value::Array(list)
    }

    fn with(list: &Value, more: Value) -> Value {
        let mut list = list.as_array().cloned().unwrap_or_default();
        list.push(more);
        Value::Array(list)
    }

    /// Every way in which this schema could be changed so that somebody breaks, told in words.
    fn breaking(place: &Value) -> Vec<(String, Value)> {
        let mut changes = breaking_an_object(place);
        let mut change = |what: &str, changed: Value| changes.push((what.to_owned(), changed));
        for (n, _) in place["oneOf"].as_array().into_iter().flatten().enumerate() {
            change(
                "an alternative less",
                set_to(place, "oneOf", Some(without(&place["oneOf"], n))),
            );
        }
        for (n, _) in place["anyOf"].as_array().into_iter().flatten().enumerate() {
            change(
                "an alternative less",
                set_to(place, "anyOf", Some(without(&place["anyOf"], n))),
            );
            let more = with(&place["anyOf"], json!({"type": "boolean"}));
            change("an alternative more", set_to(place, "anyOf", Some(more)));
        }
        if values(place).is_some_and(|values| !values.contains("\"other\"")) && place["oneOf"].is_array() {
            let more = with(&place["oneOf"], json!({"type": "string", "const": "new"}));
            change(
                "a value more where none is expected",
                set_to(place, "oneOf", Some(more)),
            );
        }
        if !place["const"].is_null() {
            change("another constant", set_to(place, "const", Some(json!("another"))));
        }
        if place["$ref"].is_string() {
            change(
                "another type by reference",
                set_to(place, "$ref", Some(json!("#/$defs/Stranger"))),
            );
        } else if place["oneOf"].is_null() && place["anyOf"].is_null() && place["const"].is_null() {
            change("another type", set_to(place, "type", Some(json!("boolean"))));
            change("any type", set_to(place, "type", None));
            if place["type"].is_string() && place["type"] != "null" {
                change(
                    "perhaps null",
                    set_to(place, "type", Some(json!([place["type"], "null"]))),
                );
            }
            if let Some(types) = place["type"].as_array() {
                change("never null", set_to(place, "type", types.first().cloned()));
            }
            for keyword in ["minimum", "maximum", "minLength", "maxLength"] {
                change("another bound", set_to(place, keyword, Some(json!(7))));
            }
            for keyword in ["format", "pattern"] {
                change("another form", set_to(place, keyword, Some(json!("^x$"))));
            }
            for keyword in [
                "format",
                "pattern",
                "minimum",
                "maximum",
                "minLength",
                "maxLength",
                "items",
            ] {
                if place.get(keyword).is_some() {
                    change("a rule less", set_to(place, keyword, None));
                }
            }
        }
        if place["$ref"].is_string() {
            change("a rule more beside it", set_to(place, "maxLength", Some(json!(7))));
        }
        if place.get("default").is_some() {
            change("no default", set_to(place, "default", None));
            change("another default", set_to(place, "default", Some(json!("another"))));
        }
        changes
    }

    fn breaking_an_object(place: &Value) -> Vec<(String, Value)> {
        let Some(properties) = place["properties"].as_object() else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        let required: Vec<_> = place["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in properties {
            let mut fewer = properties.clone();
            fewer.remove(name);
            let mut gone = set_to(place, "properties", Some(Value::Object(fewer.clone())));
            changes.push((format!("{name} is gone, and still required"), gone.clone()));
            if let Some(n) = required.iter().position(|required| required == name) {
                let fewer = without(&place["required"], n);
                changes.push((
                    format!("{name} is optional"),
                    set_to(place, "required", Some(fewer.clone())),
                ));
                gone["required"] = fewer;
                changes.push((format!("{name} is gone"), gone));
            } else {
                let more = with(&place["required"], json!(name));
                changes.push((format!("{name} is required"), set_to(place, "required", Some(more))));
            }
            fewer.insert(format!("{name}_2"), schema.clone());
            changes.push((
                format!("{name} has another name"),
                set_to(place, "properties", Some(Value::Object(fewer))),
            ));
        }
        let mut more = set_to(place, "required", Some(with(&place["required"], json!("added"))));
        more["properties"]["added"] = json!({"type": "string"});
        changes.push(("a new field is required".to_owned(), more));
        changes.push((
            "no further field is taken".to_owned(),
            set_to(place, "additionalProperties", Some(json!(false))),
        ));
        changes
    }

    /// Every way in which it may be changed.
    fn harmless(root: &Value, place: &Value) -> Vec<(String, Value)> {
        let mut changes = vec![(
            "other words".to_owned(),
            set_to(place, "description", Some(json!("Other words."))),
        )];
        if place["properties"].is_object() {
            let mut more = place.clone();
            more["properties"]["added"] = json!({"type": "string"});
            changes.push(("an optional field more".to_owned(), more));
        }
        for keyword in ["required", "oneOf"] {
            if let Some(list) = place[keyword].as_array() {
                let turned: Vec<_> = list.iter().rev().cloned().collect();
                changes.push((
                    format!("{keyword} in another order"),
                    set_to(place, keyword, Some(turned.into())),
                ));
            }
        }
        if values(place).is_some_and(|values| values.contains("\"other\"")) && place["oneOf"].is_array() {
            let more = with(&place["oneOf"], json!({"type": "string", "const": "new"}));
            changes.push((
                "a value more where more are expected".to_owned(),
                set_to(place, "oneOf", Some(more)),
            ));
        }
        if place["$ref"].is_string() {
            let mut said = resolve(root, place).clone();
            if let Some(default) = place.get("default") {
                said["default"] = default.clone();
            }
            changes.push(("said in its place".to_owned(), said));
        }
        changes
    }

    /// The document with one place changed, and a type beside that nobody uses.
    fn changed(schema: &Value, at: &str, place: Value) -> Value {
        let mut schema = schema.clone();
        *schema.pointer_mut(at).unwrap() = place;
        if !schema["$defs"].is_object() {
            schema["$defs"] = json!({});
        }
        schema["$defs"]["Stranger"] = json!({"type": "boolean"});
        schema
    }

    #[test]
    fn every_change_that_breaks_somebody_is_found_and_no_other() {
        let (mut broken, mut harmed) = (0, 0);
        for (name, schema) in checked_in() {
            for at in places(&schema) {
                let place = schema.pointer(&at).unwrap();
                for (what, mutant) in breaking(place) {
                    if mutant == *place {
                        continue;
                    }
                    let found = breaches(&schema, &changed(&schema, &at, mutant));
                    assert!(!found.is_empty(), "{name}{at}: {what}: nobody noticed");
                    broken += 1;
                }
                for (what, mutant) in harmless(&schema, place) {
                    let found = breaches(&schema, &changed(&schema, &at, mutant));
                    assert!(found.is_empty(), "{name}{at}: {what}: {found:?}");
                    harmed += 1;
                }
            }
        }
        eprintln!("{broken} breaking changes were found, {harmed} harmless ones let pass");
        assert!(broken > 1000 && harmed > 500, "{broken} {harmed}");
    }

    #[test]
    fn a_schema_that_holds_itself_is_compared_to_its_end() {
        let tree = |leaf: &str| {
            json!({
                "$ref": "#/$defs/Tree",
                "$defs": {"Tree": {"type": "object", "properties": {
                    "leaf": {"type": leaf}, "inner": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                }}},
            })
        };
        assert_eq!(breaches(&tree("string"), &tree("string")), Vec::<String>::new());
        assert_eq!(breaches(&tree("string"), &tree("integer")).len(), 1);
    }
}
