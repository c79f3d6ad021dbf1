//! What this process has measured, for unit tests: whoever looks at it begins before it measures anything.

use std::sync::OnceLock;

use opentelemetry::global;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

use super::faults::Faults;
use crate::aws::{Aws, AwsSettings};

/// Figures in the form in which a Prometheus gets them. They are the process': a test asks for attributes that are its own.
pub(crate) struct Measured(&'static Registry);

impl Measured {
    pub(crate) fn begin() -> Self {
        static REGISTRY: OnceLock<Registry> = OnceLock::new();
        Self(REGISTRY.get_or_init(|| {
            let registry = Registry::new();
            let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
            let reader = exporter.scope_info_enabled(false).build().unwrap();
            global::set_meter_provider(SdkMeterProvider::builder().with_reader(reader).build());
            registry
        }))
    }

    /// The series of that name which has all these labels.
    pub(crate) fn figure(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = TextEncoder::new().encode_to_string(&self.0.gather()).unwrap();
        let wanted: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let series = text.lines().filter(|line| line.split('{').next() == Some(name));
        let mut these = series.filter(|line| wanted.iter().all(|label| line.contains(label)));
        Some(these.next()?.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

/// AWS as far as `faults` answers for it: there is nobody behind.
pub(crate) async fn aws(faults: &Faults) -> Aws {
    let settings = AwsSettings {
        aws_call_attempts: 1,
        aws_attempt_timeout_ms: 1_000,
        aws_call_timeout_ms: 1_000,
        aws_call_backoff_ms: 1,
    };
    let nobody = "http://127.0.0.1:9";
    Aws::at(&settings, &faults.outgoing(), nobody, nobody).await
}
