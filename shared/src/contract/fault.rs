//! Why a message cannot be read: where in it, and what should have been there, without a word of what
//! stands there instead. A parser's own text can repeat an address or a card's number; this is logged,
//! and shown to operators.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;
use thiserror::Error;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{at}: {what}")]
pub struct Fault {
    at: String,
    what: String,
}

/// More of a type's own words than any of ours has.
const LONGEST: usize = 80;

impl Fault {
    fn of(within: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let mut at = within.to_owned();
        for segment in error.path() {
            match segment {
                Segment::Seq { index } => at.push_str(&format!("[{index}]")),
                Segment::Map { key: name } | Segment::Enum { variant: name } => {
                    if !at.is_empty() {
                        at.push('.');
                    }
                    at.push_str(if is_name(name) { name } else { "?" });
                }
                // It could not be told where.
                Segment::Unknown => {}
            }
        }
        if at.is_empty() {
            "the message".clone_into(&mut at);
        }
        Self {
            at,
            what: what(error.inner()),
        }
    }
}

/// Reads a text.
pub(super) fn of_text<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| Fault::of("", &error))?;
    reader.end().map_err(|error| Fault {
        at: "the message".to_owned(),
        what: what(&error),
    })?;
    Ok(value)
}

/// Reads a part of a message that has been read in general; `within` says which.
pub(super) fn of_value<T: DeserializeOwned>(within: &str, value: serde_json::Value) -> Result<T, Fault> {
    serde_path_to_error::deserialize(value).map_err(|error| Fault::of(within, &error))
}

fn what(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Io => "it cannot be read".to_owned(),
        Category::Syntax => format!("no JSON from line {} column {}", error.line(), error.column()),
        Category::Eof => "it ends in the middle".to_owned(),
        Category::Data => words(&error.to_string()),
    }
}

/// Of serde's text the part that comes from our types, and nothing that comes from the message.
fn words(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _position)| text);
    let field = text
        .strip_prefix("missing field `")
        .and_then(|name| name.strip_suffix('`'));
    if let Some(field) = field.filter(|name| is_name(name)) {
        return format!("missing field `{field}`");
    }
    for kind in ["invalid type", "invalid value", "invalid length", "unknown variant"] {
        // What was found stands first and in quotes: the last "expected" is the type's.
        if let Some((_found, expected)) = text.strip_prefix(kind).and_then(|rest| rest.rsplit_once(", expected ")) {
            let expected: String = expected.chars().take(LONGEST).collect();
            return format!("{kind}, expected {expected}");
        }
    }
    "a value that may not be there".to_owned()
}

/// Of a field of ours.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::Deserialize;

    use super::*;
    use crate::ids::OrderId;
    use crate::money::Money;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Some {
        order_id: OrderId,
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Line {
        price: Money,
        kind: Kind,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Tea,
        Cup,
    }

    #[rstest]
    #[case("{no event", "the message: no JSON from line 1 column 2")]
    #[case("", "the message: it ends in the middle")]
    #[case("{}", "the message: missing field `order_id`")]
    #[case(r#"{"order_id": "4242"}"#, "order_id: ")]
    #[case(r#"{"order_id": 4242}"#, "order_id: invalid type, expected ")]
    #[case(r#"{"4242": nothing}"#, "?: no JSON from line 1 column 11")]
    #[case(
        r#"{"order_id": "00000000-0000-0000-0000-000000000000", "lines": [{"price": {"amount_minor": "4242, expected 4242", "currency": "USD"}}]}"#,
        "lines[0].price.amount_minor: invalid type, expected i64"
    )]
    #[case(
        r#"{"order_id": "00000000-0000-0000-0000-000000000000", "lines": [{"kind": "4242, expected 4242"}]}"#,
        "lines[0].kind: unknown variant, expected `tea` or `cup`"
    )]
    fn a_fault_says_where_and_what_was_expected_and_nothing_of_what_is_there(#[case] text: &str, #[case] says: &str) {
        let fault = of_text::<Some>(text).unwrap_err().to_string();
        assert!(fault.starts_with(says), "{fault}");
        assert!(!fault.contains("4242"), "{fault}");
    }
}
