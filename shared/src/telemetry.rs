//! Logs, traces and metrics of the process: set up once, flushed once.

mod exposition;
mod logs;
mod process;
pub(crate) mod runtime;
mod traces;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use uuid::Uuid;

use self::exposition::Exposition;
pub use self::logs::{LevelSwitch, Levels};
pub use self::traces::{NoRatio, Propagator, Ratio, SamplerName};
use crate::config::TelemetrySettings;

/// Keep it until the process ends, then [`Telemetry::shutdown`] it.
#[derive(Debug)]
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    levels: LevelSwitch,
    exposition: Option<Exposition>,
}

/// Sets up the process' telemetry. Spans get their trace ids whether they are exported or not, so
/// that every log line and every problem can name one.
///
/// # Errors
/// It was set up before, or the exporter cannot be made.
pub fn init(service: &'static str, version: &'static str, settings: &TelemetrySettings) -> anyhow::Result<Telemetry> {
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", version))
        // Replicas that look the same would overwrite each other's figures.
        .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
        .build();
    let traces = SdkTracerProvider::builder().with_resource(resource.clone());
    let mut traces = traces::configure(traces, settings);
    let mut metrics = SdkMeterProvider::builder().with_resource(resource);
    if let Some(endpoint) = &settings.otlp_endpoint {
        let base = endpoint.as_str().trim_end_matches('/');
        let spans = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{base}/v1/traces"))
            .build()?;
        let figures = opentelemetry_otlp::MetricExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{base}/v1/metrics"))
            .build()?;
        traces = traces.with_batch_exporter(spans);
        metrics = metrics.with_periodic_exporter(figures);
    }
    let exposition = match settings.metrics_listen {
        Some(address) => {
            let (reader, exposition) = exposition::new(address)?;
            metrics = metrics.with_reader(reader);
            Some(exposition)
        }
        None => None,
    };
    let (lines, levels) = logs::layer(&settings.log_level, settings.log_format, std::io::stdout);
    let telemetry = Telemetry {
        traces: traces.build(),
        metrics: metrics.build(),
        levels,
        exposition,
    };
    global::set_meter_provider(telemetry.metrics.clone());
    global::set_text_map_propagator(traces::propagator(&settings.otel_propagators));
    process::observe(&global::meter("shared"));
    runtime::observe(&global::meter("shared"));

    // The exporter's own HTTP calls must not make spans that are exported in turn.
    let exported = tracing_subscriber::filter::filter_fn(|meta| {
        !["hyper", "h2", "reqwest", "rustls", "opentelemetry"]
            .iter()
            .any(|own| meta.target().starts_with(own))
            && *meta.level() <= tracing::Level::INFO
    });
    tracing_subscriber::registry()
        .with(lines)
        .with(
            tracing_opentelemetry::layer()
                .with_tracer(telemetry.traces.tracer(service))
                .with_filter(exported),
        )
        .try_init()?;
    Ok(telemetry)
}

impl Telemetry {
    /// What changes the levels of log lines.
    #[must_use]
    pub fn levels(&self) -> LevelSwitch {
        self.levels.clone()
    }

    /// What serves the metrics to whoever asks for them, where the settings have an address for that.
    pub(crate) fn exposition(&self) -> Option<Exposition> {
        self.exposition.clone()
    }

    /// Sends what has not been sent. It blocks: call it last, outside the runtime or on a thread of
    /// its own.
    pub fn shutdown(self) {
        // Nobody is left to be told of a failure but the log, which has been flushed line by line.
        if let Err(fault) = self.traces.shutdown() {
            tracing::warn!(error = %fault, "the last traces were not sent");
        }
        if let Err(fault) = self.metrics.shutdown() {
            tracing::warn!(error = %fault, "the last metrics were not sent");
        }
    }
}

/// An error with all that is behind it, in one line. The log's own way of telling an error leaves its
/// sources out when it writes JSON.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(behind) = source {
        text.push_str(": ");
        text.push_str(&behind.to_string());
        source = behind.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_tells_all_that_is_behind_an_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);

        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }
}
