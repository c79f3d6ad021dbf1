//! What is told on the thread of a test, while it runs: log lines, and spans that have ended.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

pub(crate) struct Told {
    lines: Lines,
    spans: Spans,
    _here: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl Write for Lines {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Told {
    /// From now on. A test's tasks have to run on its own thread.
    pub(crate) fn here() -> Self {
        let (lines, spans) = (Lines::default(), Spans::default());
        let ours = || Targets::new().with_target("shared", tracing::Level::INFO);
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .with_writer(move || writer.clone())
                    .with_filter(ours()),
            )
            .with(
                tracing_opentelemetry::layer()
                    .with_tracer(provider.tracer("test"))
                    .with_filter(ours().with_target("plumbing", tracing::Level::INFO)),
            );
        Self {
            lines,
            spans,
            _here: tracing::subscriber::set_default(subscriber),
        }
    }

    /// What an operator has been told, by level and message, oldest first.
    pub(crate) fn heard(&self) -> Vec<String> {
        let told = self.lines.0.lock().unwrap().clone();
        let lines = String::from_utf8(told).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .map(|line| {
                let text = |pointer: &str| line.pointer(pointer).unwrap().as_str().unwrap().to_owned();
                format!("{} {}", text("/level"), text("/fields/message"))
            })
            .collect()
    }

    /// What has been done, by the span's name.
    pub(crate) fn done(&self) -> Vec<String> {
        let spans = self.spans.0.lock().unwrap();
        spans.iter().map(|span| span.name.to_string()).collect()
    }

    /// The trace of the span of that name, the span that caused it, and those that it is linked to.
    pub(crate) fn place(&self, name: &str) -> (String, String, Vec<String>) {
        let spans = self.spans.0.lock().unwrap();
        let span = spans.iter().find(|span| span.name == name);
        let span = span.unwrap_or_else(|| panic!("there is no span {name}: {spans:#?}"));
        let links = span.links.iter().map(|link| link.span_context.span_id().to_string());
        (
            span.span_context.trace_id().to_string(),
            span.parent_span_id.to_string(),
            links.collect(),
        )
    }

    /// An attribute of the span of that name, as text, and whether that span says that it failed.
    pub(crate) fn said(&self, name: &str, attribute: &str) -> (Option<String>, bool) {
        let spans = self.spans.0.lock().unwrap();
        let span = spans.iter().find(|span| span.name == name);
        let span = span.unwrap_or_else(|| panic!("there is no span {name}: {spans:#?}"));
        let said = span.attributes.iter().find(|pair| pair.key.as_str() == attribute);
        let failed = matches!(span.status, Status::Error { .. });
        (said.map(|pair| pair.value.to_string()), failed)
    }
}
