//! The HTTP server of every service: its limits, what all routes share, and its part in a stop. The
//! routes, and what their handlers work with, are the service's own.

pub mod leave;

use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, dev, web};
use anyhow::Context;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa::openapi::OpenApi;
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Verifier;
use crate::body::BodyTimeout;
use crate::config::CommonSettings;
use crate::docs::Docs;
use crate::health::Readiness;
use crate::outgoing::Outgoing;
use crate::run::{self, Tasks};
use crate::server::leave::Leave;
use crate::telemetry;
use crate::web::{Edge, ServerSpan};

/// Idle connections are kept for this long, longer than the gateway keeps its own, so that it is not us who cut one
/// that it is about to use.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Open connections of one worker.
const MAX_CONNECTIONS: usize = 10_000;

/// What a service serves.
pub struct Routes<C> {
    /// Its whole contract, as [`contract`] makes it.
    pub api: OpenApi,
    /// POST routes that take an `Idempotency-Key`, as they are registered.
    pub keyed: &'static [&'static str],
    /// What it cannot do without.
    pub readiness: Readiness,
    /// Registers the routes and what their handlers work with; called once for each worker. What it
    /// registers is stronger than what all services share.
    pub configure: C,
}

/// A server that listens, and answers once it is run.
pub struct Server {
    port: u16,
    server: dev::Server,
    settings: CommonSettings,
    leave: Leave,
    stop: CancellationToken,
}

impl Server {
    /// Listens on `BIND`, or on the socket that it was handed, until `stop`.
    ///
    /// # Errors
    /// The address is taken, or the contract cannot be written down.
    pub fn listen<C>(
        common: &CommonSettings,
        outgoing: &Outgoing,
        routes: Routes<C>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self>
    where
        C: Fn(&mut ServiceConfig<'_>) + Clone + Send + 'static,
    {
        let (listener, leave) = (leave::listen(common)?, Leave::new(common));
        let port = listener.local_addr()?.port();
        let edge = web::Data::new(Edge::new(
            &routes.api,
            routes.keyed,
            common.expose_capacity,
            stop.clone(),
        ));
        let docs = web::Data::new(Docs::new(&routes.api).context("the contract")?);
        let verifier = web::Data::new(Verifier::new(common.auth.clone(), outgoing.http.clone()));
        let readiness = web::Data::new(routes.readiness.until(stop, &leave));
        let request_timeout = Duration::from_millis(common.request_timeout_ms);
        let (configure, connections) = (routes.configure, leave.connections.clone());
        let server = HttpServer::new(move || {
            App::new()
                // The runtime of this thread, for as long as it serves.
                .app_data(telemetry::runtime::watch("http"))
                .app_data(BodyTimeout(request_timeout))
                .app_data(edge.clone())
                .app_data(docs.clone())
                .app_data(verifier.clone())
                .app_data(readiness.clone())
                .configure(crate::web::configure)
                .into_utoipa_app()
                .configure(configure.clone())
                .into_app()
                .configure(crate::health::configure)
                .configure(crate::docs::configure)
                .default_service(web::to(crate::web::no_such_route))
                .wrap(from_fn(crate::web::around))
                .wrap(TracingLogger::<ServerSpan>::new())
        });
        let server = match common.workers {
            Some(workers) => server.workers(workers.into()),
            None => server,
        };
        let drain = Duration::from_secs(common.shutdown_s);
        let server = server
            .on_connect(move |_, connection| connections.hold(connection))
            .disable_signals()
            .client_request_timeout(request_timeout)
            .keep_alive(KEEP_ALIVE)
            .max_connections(MAX_CONNECTIONS)
            // Later than the deadline of `run`, which is the one that counts, and tells.
            .shutdown_timeout((drain + run::MARGIN).as_secs())
            .listen(listener)?
            .run();
        Ok(Self {
            port,
            server,
            settings: common.clone(),
            leave,
            stop: stop.clone(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers until it is told to stop; then it is left as [`leave::stop_server`] says. `leaning` is other work
    /// whose connections the server's threads may have opened: when it is over, requests under way have what
    /// is left of `SHUTDOWN_S`. Requests that take longer are cut, which is a failure of this task.
    pub fn run(self, tasks: &mut Tasks, leaning: impl Future<Output = ()> + Send + 'static) {
        let Self {
            mut server,
            settings,
            leave,
            stop,
            ..
        } = self;
        let drain = Duration::from_secs(settings.shutdown_s);
        let handle = server.handle();
        tasks.spawn("the HTTP server", async move {
            leave::tell_ready(&settings);
            tokio::select! {
                ended = &mut server => return ended.context("serve"),
                () = stop.cancelled() => {}
            }
            // It is the server itself that hears of its stop: dropped here, it would leave its threads alone with
            // their requests, which the end of the process cuts.
            tokio::select! {
                stopped = leave::stop_server(handle, leaning, leave, Instant::now() + drain) => stopped,
                ended = &mut server => ended.context("serve"),
            }
        });
    }
}

/// The contract of what `routes` registers; what belongs to no route is `document`'s.
pub fn contract(document: OpenApi, routes: impl FnOnce(&mut ServiceConfig<'_>)) -> OpenApi {
    let (_, mut api) = App::new()
        .into_utoipa_app()
        .openapi(document)
        .configure(routes)
        .split_for_parts();
    crate::documented::complete(&mut api);
    api
}
