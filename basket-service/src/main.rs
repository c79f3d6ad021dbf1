//! The process: settings, telemetry, the service, and an exit status that tells whether all went well.

use basket_service::app::Application;
use basket_service::config::Settings;
use mimalloc::MiMalloc;
use shared::outgoing::Outgoing;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> anyhow::Result<()> {
    let settings: Settings = shared::config::parse();
    let telemetry = shared::telemetry::init("basket-service", env!("CARGO_PKG_VERSION"), &settings.common.telemetry)?;
    let outcome = actix_web::rt::System::new().block_on(async {
        let application = Application::build(settings, Outgoing::new()?).await?;
        application.run_until_stopped().await
    });
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "the service ends with a failure");
    }
    telemetry.shutdown();
    outcome
}
