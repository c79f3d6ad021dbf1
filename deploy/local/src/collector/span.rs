//! A span as people and tests look at it.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as Sent, span::SpanKind, status::StatusCode};
use serde::{Deserialize, Serialize};

/// Something that a service did, as part of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// The span that caused it; none of a trace's first.
    pub parent_id: Option<String>,
    /// Whose it is.
    pub service: String,
    /// What was done.
    pub name: String,
    /// Whether it was asked (`server`, `consumer`), asks (`client`, `producer`), or neither (`internal`).
    #[serde(default)]
    pub kind: String,
    /// Spans that it belongs to besides, by id.
    #[serde(default)]
    pub links: Vec<String>,
    /// Since the epoch, in microseconds.
    pub began_us: u64,
    /// For how long, in microseconds.
    pub took_us: u64,
    /// Whether it says that it failed.
    pub failed: bool,
    /// What it says of it, as text.
    pub attributes: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty where it has none of that name.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

pub(super) fn of_resource(sent: ResourceSpans) -> Vec<Span> {
    let service = service(sent.resource.as_ref());
    let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(|span| of(&service, span)).collect()
}

/// The name that a service has for itself.
pub(super) fn service(resource: Option<&Resource>) -> String {
    let attributes = resource
        .map(|resource| resource.attributes.as_slice())
        .unwrap_or_default();
    let name = attributes.iter().find(|attribute| attribute.key == "service.name");
    name.map(text).unwrap_or_default()
}

fn of(service: &str, sent: Sent) -> Span {
    let failed = sent
        .status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error);
    Span {
        trace_id: hex(&sent.trace_id),
        span_id: hex(&sent.span_id),
        parent_id: Some(hex(&sent.parent_span_id)).filter(|id| !id.is_empty()),
        service: service.to_owned(),
        kind: kind(sent.kind()).to_owned(),
        links: sent.links.iter().map(|link| hex(&link.span_id)).collect(),
        name: sent.name,
        began_us: sent.start_time_unix_nano / 1_000,
        took_us: sent.end_time_unix_nano.saturating_sub(sent.start_time_unix_nano) / 1_000,
        failed,
        attributes: sent
            .attributes
            .iter()
            .map(|attribute| (attribute.key.clone(), text(attribute)))
            .collect(),
    }
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    }
}

fn text(attribute: &KeyValue) -> String {
    attribute.value.as_ref().map(value).unwrap_or_default()
}

fn value(any: &AnyValue) -> String {
    use any_value::Value;
    match &any.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(values)) => values.values.iter().map(value).collect::<Vec<_>>().join(", "),
        Some(Value::KvlistValue(pairs)) => {
            let pair = |pair: &KeyValue| format!("{}={}", pair.key, text(pair));
            pairs.values.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
