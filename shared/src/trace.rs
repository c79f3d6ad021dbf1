//! The trace across every hop: out over HTTP and events, in from both. Events carry the W3C's form, which their contract
//! names; requests the form of the setting.
//!
//! The integrations of actix and reqwest with OpenTelemetry lag behind its versions, and two
//! versions in one binary silently cut traces; so the few lines are here.

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, global};
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

/// Makes `span` a child of the span that an event's `traceparent` names, and links it to that one too, as the conventions
/// for messages advise; a malformed one is ignored, as the W3C recommendation asks.
pub fn continue_from(span: &Span, traceparent: &str) {
    let context = TraceContextPropagator::new().extract(&Carrier(traceparent.to_owned()));
    span.add_link(context.span().span_context().clone());
    join(span, context);
}

/// Makes `span`, the next try of what began in the span that a stored `traceparent` names, a child of that one, so that the
/// tries are one trace and are sampled alike; what set off this try is linked. Where that belongs to the same trace already,
/// or nothing is stored, `span` stays as it is.
pub fn go_on(span: &Span, traceparent: &str) {
    let began = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(traceparent.to_owned()));
    let (first, now) = (began.span().span_context().clone(), Span::current().context());
    let now = now.span().span_context().clone();
    if !first.is_valid() || first.trace_id() == now.trace_id() {
        return;
    }
    if now.is_valid() {
        span.add_link(now);
    }
    join(span, began);
}

/// Makes `span` a child of the span that a request's headers name, in the form that `OTEL_PROPAGATORS` says; malformed
/// ones are ignored.
pub fn continue_from_request(span: &Span, headers: &HeaderMap) {
    join(
        span,
        global::get_text_map_propagator(|form| form.extract(&Received(headers))),
    );
}

/// Puts the current span into a call's headers, in the form that `OTEL_PROPAGATORS` says.
pub fn tell(headers: &mut http::HeaderMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|form| form.inject_context(&context, &mut Sent(headers)));
}

fn join(span: &Span, context: Context) {
    // The error says that the span is disabled or already started: then there is nothing to join.
    let _ = span.set_parent(context);
}

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

struct Sent<'a>(&'a mut http::HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), http::HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
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
