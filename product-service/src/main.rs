//! Starts the product service and ends with it: non-zero if any part of it failed.

use std::process::ExitCode;

use product_service::app::Application;
use product_service::config::Settings;
use shared::outgoing::Outgoing;
use shared::telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let settings: Settings = shared::config::parse();
    let telemetry = telemetry::init("product-service", env!("CARGO_PKG_VERSION"), &settings.common.telemetry)?;
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(settings));
    let code = match &ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the product service ends with a failure");
            ExitCode::FAILURE
        }
    };
    telemetry.shutdown();
    Ok(code)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    Application::build(settings, Outgoing::new()?)
        .await?
        .run_until_stopped()
        .await
}
