//! Reading JSON bodies and query strings so that every wrong field is named at once.
//!
//! serde stops at the first fault; [`deserr`] goes on and collects. Media type, size, syntax and
//! repeated keys are looked at here, the fields' own rules are those of their types.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

use actix_web::body::{BodyStream, to_bytes_limited};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::problem::{FieldError, Problem};

/// The most that a body may hold: 256 KiB.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Time within which a body has to arrive, as app data; without it, the default. Behind the gateway a body arrives at once,
/// since the gateway buffers it until it is complete; a client that bypasses the gateway must not hold a connection by sending
/// a byte now and then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimeout(pub(crate) Duration);

impl Default for BodyTimeout {
    fn default() -> Self {
        Self(Duration::from_secs(20))
    }
}

/// Why a value was refused by the type it should have become.
pub trait Invalid: std::error::Error {
    /// For programs; a field error's `code`.
    fn code(&self) -> &'static str;
}

/// Every wrong field found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// One wrong field, for rules that look at more than one of them.
    pub fn at(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self(vec![FieldError {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }])
    }

    /// The wrong fields, in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    fn and(earlier: Option<Self>, error: FieldError) -> ControlFlow<Self, Self> {
        let mut all = earlier.map_or_else(Vec::new, |e| e.0);
        all.push(error);
        ControlFlow::Continue(Self(all))
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Problem::invalid(errors.0)
    }
}

/// A JSON body of at most 256 KiB, read into `T` with every wrong field named.
pub struct Json<T>(pub T);

impl<T: Deserr<FieldErrors> + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let value = read(req, payload, "application/json");
        Box::pin(async move { Ok(Self(from_value(value.await?)?)) })
    }
}

/// A body of at most 256 KiB as it came, of any media type: for what is signed byte by byte.
#[derive(Debug)]
pub struct Raw(pub Bytes);

impl FromRequest for Raw {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = whole(req, payload);
        Box::pin(async move { body.await.map(Self) })
    }
}

/// The body of a PATCH, `application/merge-patch+json` (RFC 7396), as it came: what it changes is
/// known only beside what is there.
pub struct MergePatch(pub Value);

impl FromRequest for MergePatch {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let value = read(req, payload, "application/merge-patch+json");
        Box::pin(async move { Ok(Self(value.await?)) })
    }
}

/// A query string read into `T`, whose fields are made from texts.
pub struct Query<T>(pub T);

impl<T: Deserr<FieldErrors> + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(from_query(req.query_string()).map(Self).map_err(Problem::from))
    }
}

/// Makes `T` of a JSON value.
///
/// # Errors
/// Every field that is wrong.
pub fn from_value<T: Deserr<FieldErrors>>(value: Value) -> Result<T, FieldErrors> {
    deserr::deserialize(value)
}

/// Makes `T` of JSON text, in which no object may name a key twice.
///
/// # Errors
/// It is not JSON (one error at `#`), or every field that is wrong.
pub fn from_json<T: Deserr<FieldErrors>>(text: &[u8]) -> Result<T, FieldErrors> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(value)) => from_value(value),
        Err(fault) => Err(FieldErrors::at("#", "invalid_json", fault.to_string())),
    }
}

/// Makes `T` of a query string; each of its fields is made of a text.
///
/// # Errors
/// A parameter that is unknown, given twice, or wrong: every one of them.
pub fn from_query<T: Deserr<FieldErrors>>(query: &str) -> Result<T, FieldErrors> {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if fields
            .insert(name.clone().into_owned(), Value::String(value.into_owned()))
            .is_some()
        {
            return Err(FieldErrors::at(
                format!("?{name}"),
                "repeated_parameter",
                "this parameter is given twice",
            ));
        }
    }
    from_value(Value::Object(fields)).map_err(|errors| {
        let as_parameter = |error: FieldError| {
            let name = error.pointer.trim_start_matches("#/").to_owned();
            FieldError {
                pointer: format!("?{name}"),
                ..error
            }
        };
        FieldErrors(errors.0.into_iter().map(as_parameter).collect())
    })
}

fn read(
    req: &HttpRequest,
    payload: &mut Payload,
    media_type: &'static str,
) -> impl Future<Output = Result<Value, Problem>> + use<> {
    let sent = req
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    let right_type = sent.eq_ignore_ascii_case(media_type);
    let plain = plain(req.headers());
    let body = whole(req, payload);
    async move {
        if !right_type {
            let detail = format!("send the body as Content-Type: {media_type}");
            return Err(
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
                    .header(header::ACCEPT, header::HeaderValue::from_static(media_type)),
            );
        }
        plain?;
        match serde_json::from_slice::<Strict>(&body.await?) {
            Ok(Strict(value)) => Ok(value),
            Err(fault) => Err(Problem::bad_request(
                "invalid_json",
                format!("the body is not valid JSON: {fault}"),
            )),
        }
    }
}

/// Whether a body comes as it is. None is unpacked here, so that none can burst; and to read one that says it is packed
/// as if it were not would be to guess (RFC 9110, sections 8.4 and 15.5.16).
///
/// # Errors
/// It has a `Content-Encoding`: 415.
pub fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        let detail = "send the body as it is, without a Content-Encoding";
        let refusal = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
        return Err(refusal.header(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity")));
    }
    Ok(())
}

fn whole(req: &HttpRequest, payload: &mut Payload) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let BodyTimeout(within) = req.app_data().copied().unwrap_or_default();
    let payload = BodyStream::new(payload.take());
    async move {
        match timeout(within, to_bytes_limited(payload, MAX_BODY_BYTES)).await {
            Ok(Ok(Ok(bytes))) => Ok(bytes),
            Ok(Ok(Err(_broken))) => Err(Problem::bad_request("incomplete_body", "the body did not arrive whole")),
            Ok(Err(_too_large)) => Err(too_large()),
            Err(_too_slow) => Err(too_slow()),
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("a body holds at most {MAX_BODY_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).with("limit_bytes", MAX_BODY_BYTES)
}

/// As the gateway says it.
fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "the request took too long to arrive",
    )
}

impl DeserializeError for FieldErrors {
    fn error<V: IntoValue>(
        earlier: Option<Self>,
        error: ErrorKind<'_, V>,
        location: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let at = pointer(location);
        let error = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => FieldError {
                pointer: at,
                code: "wrong_type",
                detail: format!("expected {}, got {}", any_of(accepted), one(actual.kind())),
            },
            ErrorKind::MissingField { field } => FieldError {
                pointer: format!("{at}/{field}"),
                code: "required",
                detail: "this field is required".to_owned(),
            },
            ErrorKind::UnknownKey { key, accepted } => FieldError {
                pointer: format!("{at}/{}", escaped(key)),
                code: "unknown_field",
                detail: format!("there is no such field here; known are {}", accepted.join(", ")),
            },
            ErrorKind::UnknownValue { accepted, .. } => FieldError {
                pointer: at,
                code: "unknown_value",
                detail: format!("expected one of {}", accepted.join(", ")),
            },
            ErrorKind::BadSequenceLen { expected, .. } => FieldError {
                pointer: at,
                code: "wrong_length",
                detail: format!("expected {expected} elements"),
            },
            ErrorKind::Unexpected { msg } => FieldError {
                pointer: at,
                code: "invalid_value",
                detail: msg,
            },
        };
        Self::and(earlier, error)
    }
}

impl MergeWithError<FieldErrors> for FieldErrors {
    fn merge(earlier: Option<Self>, later: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = earlier.map_or_else(Vec::new, |e| e.0);
        all.extend(later.0);
        ControlFlow::Continue(Self(all))
    }
}

impl<E: Invalid> MergeWithError<E> for FieldErrors {
    fn merge(earlier: Option<Self>, error: E, location: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let error = FieldError {
            pointer: pointer(location),
            code: error.code(),
            detail: error.to_string(),
        };
        Self::and(earlier, error)
    }
}

/// RFC 6901, as a URI fragment.
fn pointer(location: ValuePointerRef<'_>) -> String {
    match location {
        ValuePointerRef::Origin => "#".to_owned(),
        ValuePointerRef::Key { key, prev } => format!("{}/{}", pointer(*prev), escaped(key)),
        ValuePointerRef::Index { index, prev } => format!("{}/{index}", pointer(*prev)),
    }
}

fn escaped(key: &str) -> String {
    key.chars()
        .take(80)
        .collect::<String>()
        .replace('~', "~0")
        .replace('/', "~1")
}

fn any_of(kinds: &[ValueKind]) -> String {
    let mut names: Vec<_> = kinds.iter().map(|kind| one(*kind)).collect();
    names.dedup();
    names.join(" or ")
}

fn one(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "null",
        ValueKind::Boolean => "true or false",
        ValueKind::Integer | ValueKind::NegativeInteger => "a whole number",
        ValueKind::Float => "a number with a fraction",
        ValueKind::String => "a text",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "an object",
    }
}

/// A JSON value in which no object names a key twice: which of two values was meant is not ours to
/// guess, and two readers that guess differently are a hole (RFC 8259, section 4).
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_string<E>(self, v: String) -> Result<Strict, E> {
        Ok(Strict(v.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(Strict(Value::Array(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut all = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if all.contains_key(&key) {
                return Err(serde::de::Error::custom(format_args!("the key {key:?} is given twice")));
            }
            all.insert(key, value);
        }
        Ok(Strict(Value::Object(all)))
    }
}

#[cfg(test)]
mod tests {
    use crate::address::Address;
    use crate::money::Money;

    use super::*;

    fn wrong<T: Deserr<FieldErrors>>(text: &str) -> Vec<(String, &'static str)> {
        match from_json::<T>(text.as_bytes()) {
            Ok(_) => panic!("{text} was taken"),
            Err(errors) => errors.0.into_iter().map(|e| (e.pointer, e.code)).collect(),
        }
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let mut all =
            wrong::<Address>(r#"{"name": "", "line1": 5, "city": "C", "country": "xx", "price": 1, "line2": null}"#);
        all.sort();
        let expected = [
            ("#/country", "unknown_country"),
            ("#/line1", "wrong_type"),
            ("#/name", "invalid_address_line"),
            ("#/postal_code", "required"),
            ("#/price", "unknown_field"),
        ];
        assert_eq!(all, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn a_key_given_twice_is_refused_at_any_depth() {
        assert_eq!(
            wrong::<Money>(r#"{"amount_minor": 1, "currency": "USD", "amount_minor": 2}"#),
            [("#".to_owned(), "invalid_json")]
        );
        assert!(from_json::<Money>(br#"{"amount_minor": 1, "currency": "USD"}"#).is_ok());
    }

    #[test]
    fn a_number_with_a_fraction_is_no_amount() {
        assert_eq!(
            wrong::<Money>(r#"{"amount_minor": 19.99, "currency": "usd"}"#),
            [
                ("#/amount_minor".to_owned(), "wrong_type"),
                ("#/currency".to_owned(), "unknown_currency")
            ]
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = "[".repeat(100_000);
        assert_eq!(wrong::<Money>(&deep), [("#".to_owned(), "invalid_json")]);
    }
}
