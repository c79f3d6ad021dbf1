//! W3C trace context across every hop: out over HTTP and events, in from both.
//!
//! The integrations of actix and reqwest with OpenTelemetry lag behind its versions, and two
//! versions in one binary silently cut traces; so the few lines are here.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The current span as a `traceparent`, the form in which it travels in events and headers.
/// Empty outside a recorded span.
#[must_use]
pub fn current_traceparent() -> String {
    let mut out = Carrier(String::new());
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut out);
    out.0
}

/// The id of the current trace, 32 hex digits; zeros outside a recorded span.
#[must_use]
pub fn current_trace_id() -> String {
    Span::current().context().span().span_context().trace_id().to_string()
}

/// Makes `span` a child of the span that `traceparent` names; a malformed one is ignored, as the
/// W3C recommendation asks.
pub fn continue_from(span: &Span, traceparent: &str) {
    let context = TraceContextPropagator::new().extract(&Carrier(traceparent.to_owned()));
    // The error says that the span is disabled or already started: then there is nothing to join.
    let _ = span.set_parent(context);
}

struct Carrier(String);

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = value;
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
