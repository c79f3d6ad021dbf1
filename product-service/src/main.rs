//! The process of the product service.

use std::process::ExitCode;

use product_service::app::Application;
use product_service::config::Settings;

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
