//! Whether a value is as a JSON Schema says, for the schemas that are made from our types.
//!
//! It knows the keywords that occur in those and calls any other a fault, so that nothing in a schema
//! is passed over. The `jsonschema` crate knows them all, but turns on a feature of `serde_json` that
//! would change it, and compile it and nearly everything else again, for every test; `.ci/run` holds
//! the same bodies against the same schemas with another validator.

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What in `value` is not as `schema` says, each with its place; empty where all is.
#[must_use]
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut check = Check {
        root: schema,
        faults: Vec::new(),
    };
    check.value(schema, value, "");
    check.faults
}

/// What a schema's `$ref` leads to within its document; the schema itself where it has none, and one that still has a
/// `$ref` where that leads nowhere.
#[must_use]
pub fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    // No chain of references is that long; one without an end leads nowhere.
    for _ in 0..16 {
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            return schema;
        };
        match reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
            Some(target) => schema = target,
            None => return schema,
        }
    }
    schema
}

struct Check<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(members) = schema.as_object() else {
            self.fault(at, "its schema is no object");
            return;
        };
        for (keyword, says) in members {
            match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "default" => {}
                "$ref" => match resolve(self.root, schema) {
                    target if target.get("$ref").is_some() => self.fault(at, &format!("{says} leads nowhere")),
                    target => self.value(target, value, at),
                },
                "type" if !has_type(says, value) => self.fault(at, &format!("is no {says}")),
                "const" if says != value => self.fault(at, &format!("is not {says}")),
                "enum" if !array(says).contains(value) => self.fault(at, &format!("is none of {says}")),
                "type" | "const" | "enum" => {}
                "properties" => self.properties(says, value, at),
                "required" => self.required(says, value, at),
                "items" => self.items(says, value, at),
                "oneOf" => self.alternatives(says, value, at, |fitting| fitting == 1),
                "anyOf" => self.alternatives(says, value, at, |fitting| fitting >= 1),
                "format" => self.format(says, value, at),
                "pattern" => self.pattern(says, value, at),
                "minimum" | "maximum" | "minLength" | "maxLength" => self.bound(keyword, says, value, at),
                _ => self.fault(at, &format!("the keyword {keyword} is not known to this check")),
            }
        }
    }

    fn fault(&mut self, at: &str, what: &str) {
        self.faults
            .push(format!("{}: {what}", if at.is_empty() { "/" } else { at }));
    }

    fn properties(&mut self, says: &Value, value: &Value, at: &str) {
        for (name, schema) in object(says) {
            if let Some(value) = value.get(name) {
                self.value(schema, value, &format!("{at}/{name}"));
            }
        }
    }

    fn required(&mut self, says: &Value, value: &Value, at: &str) {
        for name in array(says).iter().filter_map(Value::as_str) {
            if value.is_object() && value.get(name).is_none() {
                self.fault(&format!("{at}/{name}"), "is missing");
            }
        }
    }

    fn items(&mut self, schema: &Value, value: &Value, at: &str) {
        for (n, item) in array(value).iter().enumerate() {
            self.value(schema, item, &format!("{at}/{n}"));
        }
    }

    fn alternatives(&mut self, says: &Value, value: &Value, at: &str, enough: impl Fn(usize) -> bool) {
        let fits = |schema: &&Value| {
            let mut check = Check {
                root: self.root,
                faults: Vec::new(),
            };
            check.value(schema, value, at);
            check.faults.is_empty()
        };
        let fitting = array(says).iter().filter(fits).count();
        if !enough(fitting) {
            self.fault(at, &format!("fits {fitting} of the {} alternatives", array(says).len()));
        }
    }

    fn format(&mut self, says: &Value, value: &Value, at: &str) {
        let is_so = match (says.as_str().unwrap_or_default(), value) {
            ("uuid", Value::String(text)) => text.len() == 36 && Uuid::try_parse(text).is_ok(),
            ("date-time", Value::String(text)) => text.parse::<Timestamp>().is_ok(),
            ("uint16", Value::Number(number)) => number.as_u64().is_some_and(|n| u16::try_from(n).is_ok()),
            ("uint32", Value::Number(number)) => number.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
            ("uint64", Value::Number(number)) => number.is_u64(),
            ("int64", Value::Number(number)) => number.is_i64(),
            ("uuid" | "date-time" | "uint16" | "uint32" | "uint64" | "int64", _) => true,
            _ => return self.fault(at, &format!("the format {says} is not known to this check")),
        };
        if !is_so {
            self.fault(at, &format!("has not the format {says}"));
        }
    }

    fn pattern(&mut self, says: &Value, value: &Value, at: &str) {
        let Some((letters, times)) = says.as_str().and_then(letters_and_times) else {
            return self.fault(at, &format!("the pattern {says} is not known to this check"));
        };
        let Value::String(text) = value else { return };
        if text.chars().count() != times || !text.chars().all(|c| letters.contains(&c)) {
            self.fault(at, &format!("does not match {says}"));
        }
    }

    fn bound(&mut self, keyword: &str, says: &Value, value: &Value, at: &str) {
        let found = match (keyword, value) {
            ("minimum" | "maximum", Value::Number(number)) => number.as_i128(),
            ("minLength" | "maxLength", Value::String(text)) => i128::try_from(text.chars().count()).ok(),
            _ => return,
        };
        let Some((bound, found)) = says.as_i64().map(i128::from).zip(found) else {
            return self.fault(at, &format!("{keyword} {says} cannot be held against it"));
        };
        let is_so = if keyword.starts_with("min") {
            found >= bound
        } else {
            found <= bound
        };
        if !is_so {
            self.fault(at, &format!("breaks {keyword} {says}"));
        }
    }
}

fn has_type(says: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match says {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Of a pattern such as `^[A-Z]{3}$`; no other kind occurs.
fn letters_and_times(pattern: &str) -> Option<(std::ops::RangeInclusive<char>, usize)> {
    let (letters, times) = pattern.strip_prefix("^[")?.strip_suffix("}$")?.split_once("]{")?;
    let (first, last) = letters.split_once('-')?;
    Some((first.parse().ok()?..=last.parse().ok()?, times.parse().ok()?))
}

/// The elements of an array; none of anything else.
fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The members of an object; none of anything else.
fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["id", "amount"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "at": {"type": "string", "format": "date-time"},
                "amount": {"$ref": "#/$defs/Amount"},
                "note": {"type": ["string", "null"], "maxLength": 3},
                "why": {"oneOf": [{"type": "string", "const": "a"}, {"enum": ["b", "c"]}]},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Amount"}},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            },
            "$defs": {"Amount": {"type": "integer", "format": "uint16", "minimum": 1, "maximum": 999}},
        })
    }

    #[rstest]
    #[case(json!({"at": "2026-01-01T00:00:00Z", "note": null, "why": "c", "parts": [1, 2], "currency": "USD"}), "")]
    #[case(json!({"unknown": 1}), "")]
    #[case(json!({"id": "8d3c5f0e27b14c4a9e661f0a2b7d4c90"}), "/id")]
    #[case(json!({"id": null}), "/id")]
    #[case(json!({"at": "yesterday"}), "/at")]
    #[case(json!({"amount": 0}), "/amount")]
    #[case(json!({"amount": 1000}), "/amount")]
    #[case(json!({"amount": 1.5}), "/amount")]
    #[case(json!({"amount": "1"}), "/amount")]
    #[case(json!({"note": "long"}), "/note")]
    #[case(json!({"note": 1}), "/note")]
    #[case(json!({"why": "d"}), "/why")]
    #[case(json!({"parts": [1, 0]}), "/parts/1")]
    #[case(json!({"parts": 1}), "/parts")]
    #[case(json!({"currency": "usd"}), "/currency")]
    fn a_fault_is_found_and_told_with_its_place(#[case] changes: Value, #[case] at: &str) {
        let mut value = json!({"id": "8d3c5f0e-27b1-4c4a-9e66-1f0a2b7d4c90", "amount": 5});
        for (name, changed) in object(&changes) {
            value[name] = changed.clone();
        }
        let faults = faults(&schema(), &value);
        let told: Vec<_> = faults.iter().filter_map(|fault| fault.split(": ").next()).collect();
        assert!(
            if at.is_empty() {
                told.is_empty()
            } else {
                told.contains(&at)
            },
            "{faults:?}"
        );
    }

    #[test]
    fn what_is_missing_is_told_with_its_name() {
        assert_eq!(faults(&schema(), &json!({"id": "x"})).len(), 2);
        assert_eq!(faults(&schema(), &json!([])), ["/: is no \"object\""]);
    }

    #[rstest]
    #[case(json!({"multipleOf": 2}))]
    #[case(json!({"format": "hostname"}))]
    #[case(json!({"$ref": "#/$defs/Nobody"}))]
    #[case(json!({"$ref": "#"}))]
    #[case(json!({"$ref": "#/$defs/Any", "multipleOf": 2, "$defs": {"Any": {}}}))]
    #[case(json!({"pattern": "("}))]
    #[case(json!(true))]
    fn what_this_check_does_not_know_never_passes(#[case] schema: Value) {
        assert_eq!(faults(&schema, &json!(2)).len(), 1);
    }
}
