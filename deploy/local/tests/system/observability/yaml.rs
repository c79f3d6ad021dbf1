//! Writes YAML, in the form that people write it in: a key a line, sorted, texts quoted only where they have to be.

use std::collections::BTreeMap;

use serde_json::Value;

/// As a block, ending with a line's end.
pub(crate) fn written(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields.iter().collect::<BTreeMap<_, _>>() {
                text.push_str(&format!("{indent}{key}:"));
                nested(value, depth + 1, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, depth + 1, &mut inner);
                text.push_str(&format!("{indent}- {}", inner.trim_start()));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            text.push_str(&format!("{indent}{}\n", plain(value)));
        }
    }
}

fn nested(value: &Value, depth: usize, text: &mut String) {
    let holds = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if holds {
        text.push('\n');
        block(value, depth, text);
    } else {
        text.push_str(&format!(" {}\n", plain(value)));
    }
}

/// JSON's form is YAML's too; a text that is a word needs no quotes, and one with quotes in it reads better in single ones.
fn plain(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let word = |letter: char| letter.is_ascii_alphanumeric() || "-_/.#".contains(letter);
    let sign = |first: char| first.is_ascii_alphabetic();
    if text.starts_with(sign)
        && text.chars().all(word)
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.as_str())
    {
        text.clone()
    } else if text.contains(['\n', '\\']) {
        value.to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
