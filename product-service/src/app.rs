//! The process' parts put together: the HTTP server and the sweeper, started and stopped as one.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use shared::auth::Verifier;
use shared::aws::Aws;
use shared::docs::Docs;
use shared::health::Readiness;
use shared::outbox::Publisher;
use shared::outgoing::Outgoing;
use shared::run::Tasks;
use shared::web::{Edge, ServerSpan};
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa::OpenApi as _;
use utoipa_actix_web::AppExt;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::http::{self, Shop};
use crate::inventory::Inventory;
use crate::relay::Relay;
use crate::store::Store;
use crate::sweeper::Sweeper;

/// The service, listening but not yet serving.
pub struct Application {
    port: u16,
    server: Server,
    sweeper: Sweeper,
    sweep_every: Duration,
    shutdown: Duration,
    stop: CancellationToken,
}

/// Headers of a request have to arrive within this: longer than the gateway gives to an answer, so that of a service that
/// is too busy to read them its 504 tells, and not an empty 408 of ours.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// An idle connection is kept so long: longer than the gateway keeps its own.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections of one worker.
const MAX_CONNECTIONS: usize = 10_000;

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
        let common = settings.common;
        let outbox_due = Duration::from_millis(settings.outbox_due_ms);
        let store = Store::new(aws.dynamodb(), settings.products_table, outbox_due);
        let relay = Relay::new(store.clone(), Publisher::new(aws.eventbridge(), common.event_bus));
        if let Err(error) = store.ping().await {
            // Serving goes on without it, as it would if the table went away later: /readyz tells.
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(error, "the table does not answer yet");
        }

        let api = openapi();
        let edge = web::Data::new(Edge::new(&api, http::KEYED, common.expose_capacity));
        let docs = web::Data::new(Docs::new(&api).context("the contract")?);
        let verifier = web::Data::new(Verifier::new(common.auth, outgoing.http));
        let shop = web::Data::new(Shop::new(common.shop_currency, &common.cursor_keys).context("CURSOR_KEYS")?);
        let readiness = web::Data::new(readiness(store.clone()));
        let catalog = web::Data::new(Catalog::new(store.clone(), relay.clone()));
        let inventory = web::Data::new(Inventory::new(store.clone(), relay.clone()));
        let for_reading = web::Data::new(store.clone());

        let listener = TcpListener::bind(common.bind).with_context(|| format!("BIND: listen on {}", common.bind))?;
        let port = listener.local_addr()?.port();
        let shutdown = Duration::from_secs(common.shutdown_s);
        let server = HttpServer::new(move || {
            App::new()
                .into_utoipa_app()
                .app_data(edge.clone())
                .app_data(docs.clone())
                .app_data(verifier.clone())
                .app_data(readiness.clone())
                .app_data(shop.clone())
                .app_data(catalog.clone())
                .app_data(inventory.clone())
                .app_data(for_reading.clone())
                .configure(http::configure)
                .into_app()
                .configure(shared::web::configure)
                .app_data(http::path_config())
                .configure(shared::health::configure)
                .configure(shared::docs::configure)
                .default_service(web::to(shared::web::no_such_route))
                .wrap(from_fn(shared::web::around))
                .wrap(TracingLogger::<ServerSpan>::new())
        })
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .max_connections(MAX_CONNECTIONS)
        // Before the tasks' own deadline, so that streams are cut and the sweeper still ends well.
        .shutdown_timeout(common.shutdown_s.saturating_sub(1).max(1))
        .disable_signals();
        let server = match common.workers {
            Some(workers) => server.workers(workers.into()),
            None => server,
        };
        Ok(Self {
            port,
            server: server.listen(listener)?.run(),
            sweeper: Sweeper::new(store, relay),
            sweep_every: Duration::from_millis(settings.sweep_every_ms),
            shutdown,
            stop: CancellationToken::new(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
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
        let mut tasks = Tasks::new(self.stop.clone());
        let handle = self.server.handle();
        let stop = self.stop.clone();
        let server = self.server;
        tasks.spawn("the HTTP server", async move {
            let serving = tokio::spawn(server);
            stop.cancelled().await;
            handle.stop(true).await;
            Ok(serving.await??)
        });
        let stop = self.stop.clone();
        tasks.spawn("the sweeper", async move {
            self.sweeper.run(self.sweep_every, stop).await;
            Ok(())
        });
        tracing::info!(port = self.port, "the product service is listening");
        tasks.run_until_stopped(self.shutdown).await
    }
}

/// The contract, from the code of its routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut api) = App::new()
        .into_utoipa_app()
        .openapi(http::Contract::openapi())
        .configure(http::configure)
        .split_for_parts();
    api.info.version = env!("CARGO_PKG_VERSION").to_owned();
    api
}

fn readiness(store: Store) -> Readiness {
    Readiness::new(move || {
        let store = store.clone();
        async move { Ok(store.ping().await?) }
    })
}
