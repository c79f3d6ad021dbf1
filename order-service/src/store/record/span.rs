//! A span in 25 bytes of an item, of which each KB begun is billed at each write.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The ids of a trace and of a span in it, and its flags, as in a `traceparent` of version 00.
/// <https://www.w3.org/TR/trace-context/#traceparent-header-field-values>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRecord {
    trace: u128,
    span: u64,
    flags: u8,
}

const BYTES: usize = 25;

impl SpanRecord {
    /// None where nothing was traced.
    pub(super) fn of(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.strip_prefix("00-")?.split('-');
        Some(Self {
            trace: u128::from_str_radix(parts.next()?, 16).ok()?,
            span: u64::from_str_radix(parts.next()?, 16).ok()?,
            flags: u8::from_str_radix(parts.next()?, 16).ok()?,
        })
    }

    pub(super) fn traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let &[flags] = rest else { return None };
        Some(Self {
            trace: u128::from_be_bytes(*trace),
            span: u64::from_be_bytes(*span),
            flags,
        })
    }
}

/// Of a `traceparent`, the id of its trace.
pub(super) fn trace_of(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

impl Serialize for SpanRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(self.trace.to_be_bytes());
        bytes.extend(self.span.to_be_bytes());
        bytes.push(self.flags);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for SpanRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = SpanRecord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BYTES} bytes of a span")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<SpanRecord, E> {
        SpanRecord::read(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde_dynamo::AttributeValue;

    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    #[test]
    fn a_span_is_25_bytes_and_comes_back_as_it_was() {
        let span = SpanRecord::of(TRACEPARENT).unwrap();
        let stored: AttributeValue = serde_dynamo::to_attribute_value(span).unwrap();
        let AttributeValue::B(bytes) = &stored else {
            panic!("{stored:?}")
        };
        assert_eq!(bytes.len(), BYTES);
        let read: SpanRecord = serde_dynamo::from_attribute_value(stored).unwrap();
        assert_eq!(read.traceparent(), TRACEPARENT);
        assert_eq!(trace_of(TRACEPARENT), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn what_is_no_span_is_none() {
        for nothing in [
            "",
            "00-",
            "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7",
            "01-a-b-c",
        ] {
            assert_eq!(SpanRecord::of(nothing), None, "{nothing}");
        }
        let short = AttributeValue::B(vec![0; BYTES - 1]);
        assert!(serde_dynamo::from_attribute_value::<_, SpanRecord>(short).is_err());
    }
}
