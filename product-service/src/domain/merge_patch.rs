//! JSON Merge Patch (RFC 7396): what a PATCH makes of a document.

use serde_json::{Map, Value};

/// `target` as `patch` changes it: a null removes, an object goes on inside, anything else replaces.
#[must_use]
pub fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut merged_object = match target {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            merged_object.remove(&name);
        } else {
            let before = merged_object.remove(&name).unwrap_or_default();
            merged_object.insert(name, merged(before, value));
        }
    }
    Value::Object(merged_object)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The test cases of RFC 7396, appendix A.
    #[rstest]
    #[case(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#)]
    #[case(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#)]
    #[case(r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#)]
    #[case(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#)]
    #[case(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#)]
    #[case(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#)]
    #[case(r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#)]
    #[case(r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#)]
    #[case(r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#)]
    #[case(r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#)]
    #[case(r#"{"a":"foo"}"#, "null", "null")]
    #[case(r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#)]
    #[case(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#)]
    #[case("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#)]
    #[case("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#)]
    fn a_patch_merges_as_the_rfc_shows(#[case] target: &str, #[case] patch: &str, #[case] result: &str) {
        let parsed = |text| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(merged(parsed(target), parsed(patch)), parsed(result));
    }
}
