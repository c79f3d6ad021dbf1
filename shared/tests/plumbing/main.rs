//! The plumbing as a service meets it: real HTTP, real queues, a real bus.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod asyncapi;
mod compatibility;
mod contract;
mod corpora;
mod dead_letters;
mod edge;
mod gate;
mod identity;
mod messages;
mod schemas;
mod stop;

/// Trace ids exist only where telemetry is set up; once for the process.
fn telemetry() {
    use shared::config::{LogFormat, TelemetrySettings};
    static ONCE: std::sync::OnceLock<shared::telemetry::Telemetry> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| {
        let settings = TelemetrySettings {
            log_level: "error".to_owned(),
            log_format: LogFormat::Text,
            otlp_endpoint: None,
        };
        shared::telemetry::init("plumbing", "0", &settings).unwrap()
    });
}
