//! The process of the basket service.

use std::process::ExitCode;

use basket_service::app::Application;
use basket_service::config::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shared::run::service(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        |settings: &Settings| &settings.common.telemetry,
        async |settings, outgoing| Application::build(settings, outgoing).await?.run_until_stopped().await,
    )
}
