//! JSON bodies.

use serde_json::Value;

use crate::address::Address;
use crate::body::from_json;
use crate::contract::checkout::PaymentToken;

/// A body: what is taken means the same to another reader, names no key twice, and what a type made of
/// it is written and read as the same.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub fn json(data: &[u8]) {
    let read = from_json::<Value>(data);
    match &read {
        Ok(value) => {
            assert_eq!(serde_json::from_slice::<Value>(data).unwrap(), *value);
            let again = from_json::<Value>(value.to_string().as_bytes());
            assert!(
                again.as_ref() == Ok(value) || fractional(value),
                "{value} is not {again:?}"
            );
            twice(value);
        }
        Err(errors) => assert!(!errors.clone().into_vec().is_empty(), "refused for nothing"),
    }
    if let Ok(address) = from_json::<Address>(data) {
        let written = serde_json::to_vec(&address).unwrap();
        assert!(from_json::<Address>(&written) == Ok(address), "another address");
    }
    if let Ok(token) = from_json::<PaymentToken>(data) {
        let digits = token.expose().bytes().filter(u8::is_ascii_digit).count();
        assert!(
            token.expose().len() > digits || digits < 12,
            "a card's number was taken"
        );
        assert!(!format!("{token:?}").contains(token.expose()) || "PaymentToken(..)".contains(token.expose()));
    }
}

/// Whether some number in it is none that is whole: written and read again, such a one may be off by its last
/// bit, and no field takes any.
fn fractional(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(fractional),
        Value::Object(members) => members.values().any(fractional),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// With its first member once more, an object is refused.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
fn twice(value: &Value) {
    let Some((key, member)) = value.as_object().and_then(|members| members.iter().next()) else {
        return;
    };
    let key = serde_json::to_string(key).unwrap();
    let rest = value.to_string();
    let doubled = format!("{{{key}: {member}, {}", rest.trim_start_matches('{'));
    // Only the outermost brace goes: a key begins with a quotation mark.
    assert!(from_json::<Value>(doubled.as_bytes()).is_err(), "{doubled}");
}
