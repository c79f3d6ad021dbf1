//! The process: settings, telemetry, build, run. It ends non-zero if any part of it failed.

use std::process::ExitCode;

use order_service::app::Application;
use order_service::config::Settings;
use shared::outgoing::Outgoing;
use shared::telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let settings = shared::config::parse::<Settings>();
    let telemetry = match telemetry::init("order-service", env!("CARGO_PKG_VERSION"), &settings.common.telemetry) {
        Ok(telemetry) => telemetry,
        Err(error) => return refused(&error),
    };
    let outcome = run(settings);
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "the service failed");
    }
    telemetry.shutdown();
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[tokio::main]
async fn run(settings: Settings) -> anyhow::Result<()> {
    Application::build(settings, Outgoing::new()?)
        .await?
        .run_until_stopped()
        .await
}

#[expect(clippy::print_stderr, reason = "telemetry is what could not be set up")]
fn refused(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::from(2)
}
