//! The process' parts put together: the HTTP server and the sweeper, started and stopped as one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use anyhow::Context;
use shared::aws::Aws;
use shared::due::Pause;
use shared::health::Readiness;
use shared::outbox::Publisher;
use shared::outgoing::Outgoing;
use shared::run::{self, Tasks};
use shared::server::{Routes, Server};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::http::{self, Shop};
use crate::inventory::Inventory;
use crate::relay::Relay;
use crate::store::{Store, Timing};
use crate::sweeper::Sweeper;

/// The service, listening but not yet serving.
pub struct Application {
    server: Server,
    sweeper: Sweeper,
    sweep_every: Duration,
    sweep_signal: Arc<Notify>,
    drain: Duration,
    stop: CancellationToken,
}

impl Application {
    /// Builds it with AWS as the environment says.
    ///
    /// # Errors
    /// A setting does not hold, or the port is taken.
    pub async fn build(settings: Settings, outgoing: Outgoing) -> anyhow::Result<Self> {
        let aws = Aws::load(&settings.common.aws, &outgoing).await;
        Self::with_aws(settings, outgoing, aws).await
    }

    /// Binds the port, and opens the connection to the table so that the first request need not.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub async fn with_aws(settings: Settings, outgoing: Outgoing, aws: Aws) -> anyhow::Result<Self> {
        let common = &settings.common;
        let timing = Timing {
            outbox_due: Duration::from_millis(settings.outbox_due_ms),
            sweep_lease: Duration::from_millis(settings.sweep_lease_ms),
        };
        let store = Store::new(aws.dynamodb(), settings.products_table, timing);
        let relay = Relay::new(
            store.clone(),
            Publisher::new(aws.eventbridge(), common.event_bus.clone()),
        );
        if let Err(error) = store.ping().await {
            // Serving goes on without it, as it would if the table went away later: /readyz tells.
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(error, "the table does not answer yet");
        }

        let shop = web::Data::new(Shop::new(common.shop_currency, &common.cursor_keys).context("CURSOR_KEYS")?);
        let catalog = web::Data::new(Catalog::new(store.clone(), relay.clone()));
        let inventory = web::Data::new(Inventory::new(store.clone(), relay.clone()));
        let for_reading = web::Data::new(store.clone());
        let routes = Routes {
            api: openapi(),
            keyed: http::KEYED,
            readiness: readiness(store.clone()),
            configure: move |config: &mut ServiceConfig<'_>| {
                config
                    .app_data(shop.clone())
                    .app_data(catalog.clone())
                    .app_data(inventory.clone())
                    .app_data(for_reading.clone())
                    .app_data(http::path_config())
                    .configure(http::configure);
            },
        };
        let stop = CancellationToken::new();
        Ok(Self {
            server: Server::listen(common, &outgoing, routes, &stop)?,
            sweeper: Sweeper::new(store, relay),
            sweep_every: Duration::from_millis(settings.sweep_every_ms),
            sweep_signal: Arc::default(),
            drain: Duration::from_secs(common.shutdown_s),
            stop,
        })
    }

    /// Has the sweeper start its next round when `signal` is notified, beside its own interval.
    #[must_use]
    pub fn sweep_on(self, signal: Arc<Notify>) -> Self {
        Self {
            sweep_signal: signal,
            ..self
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Cancelling it stops the service as a signal does.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Serves until a signal or the token says stop; then no request is taken any more, those under
    /// way are finished, and the sweeper ends.
    ///
    /// # Errors
    /// A part failed, or did not end in time.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let (port, stop) = (self.server.port(), self.stop);
        let mut tasks = Tasks::new(stop.clone());
        let swept = CancellationToken::new();
        self.server.run(&mut tasks, swept.clone().cancelled_owned());
        tasks.spawn("the sweeper", async move {
            let pause = Pause::new(self.sweep_every, self.sweep_signal);
            self.sweeper.run(pause, stop).await;
            swept.cancel();
            Ok(())
        });
        tracing::info!(port, "the product service is listening");
        tasks.run_until_stopped(self.drain + run::MARGIN).await
    }
}

/// The contract, from the code of its routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut api = shared::server::contract(http::Contract::openapi(), http::configure);
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    api
}

fn readiness(store: Store) -> Readiness {
    Readiness::new(move || {
        let store = store.clone();
        async move { Ok(store.ping().await?) }
    })
}
