//! The running service: its HTTP server, the consumer of answers and the sweeper.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::Data;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use jiff::SignedDuration;
use shared::auth::Verifier;
use shared::aws::Aws;
use shared::cursor::CursorKeys;
use shared::dead_letters::DeadLetters;
use shared::docs::Docs;
use shared::health::Readiness;
use shared::money::Currency;
use shared::outbox::Publisher;
use shared::outgoing::Outgoing;
use shared::queue::Queue;
use shared::run::{self, Tasks};
use shared::web::{Edge, ServerSpan};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;
use utoipa_actix_web::AppExt;

use crate::baskets::Baskets;
use crate::checkout::Checkouts;
use crate::clients::product::ProductClient;
use crate::config::Settings;
use crate::http;
use crate::settle::{self, Notices, Settlement};
use crate::store::Store;
use crate::sweep::Sweeper;

/// What the handlers work with.
pub struct State {
    /// Reading and changing.
    pub baskets: Baskets,
    /// Checking out.
    pub checkouts: Checkouts,
    /// The table, for what needs nothing else.
    pub store: Store,
    /// Answers that could not be handled.
    pub dead_letters: DeadLetters,
    /// What sums are in.
    pub currency: Currency,
    /// Of lists.
    pub cursors: CursorKeys,
}

/// The service, bound to its port and not yet running.
pub struct Application {
    /// Where it listens.
    pub port: u16,
    listener: TcpListener,
    settings: Settings,
    state: Data<State>,
    verifier: Data<Verifier>,
    queue: Queue,
    settlement: Settlement,
    sweeper: Sweeper,
    stop: CancellationToken,
}

/// A message is this service's own for so long; it is extended while it is worked on.
const VISIBILITY: Duration = Duration::from_secs(30);
/// Headers of a request have to arrive within this: longer than the gateway gives to an answer, so that of a service that
/// is too busy to read them its 504 tells, and not an empty 408 of ours.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than the gateway keeps idle connections, so that it is not us who cut one it is about to use.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const MAX_CONNECTIONS: usize = 10_000;

impl Application {
    /// Sets everything up and opens the connection to the table.
    ///
    /// # Errors
    /// A setting is wrong, the port is taken, or the table does not answer.
    pub async fn build(settings: Settings, outgoing: Outgoing) -> anyhow::Result<Self> {
        let aws = Aws::load(&settings.common.aws, &outgoing).await;
        Self::with_aws(settings, outgoing, aws).await
    }

    /// As [`Application::build`], with AWS where the caller says.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub async fn with_aws(settings: Settings, outgoing: Outgoing, aws: Aws) -> anyhow::Result<Self> {
        let common = &settings.common;
        let cursors = CursorKeys::parse(&common.cursor_keys).context("CURSOR_KEYS")?;
        let listener =
            TcpListener::bind(common.bind).with_context(|| format!("BIND: cannot listen on {}", common.bind))?;
        let store = Store::new(aws.dynamodb(), settings.baskets_table.clone());
        // The first call otherwise pays for connecting, TLS and credentials.
        store
            .probe()
            .await
            .with_context(|| format!("BASKETS_TABLE {}", settings.baskets_table))?;
        let products = ProductClient::new(settings.products.clone(), outgoing.http.clone());
        let publisher = Publisher::new(aws.eventbridge(), common.event_bus.clone());
        let retry = SignedDuration::from_secs(settings.checkout_retry_s.into());
        let (notices, stop) = (Notices::default(), CancellationToken::new());
        let queue = Queue {
            client: aws.sqs(),
            url: settings.basket_settle_queue_url.clone(),
            dead_letters_url: settings.basket_settle_dlq_url.clone(),
            in_flight: settings.settle_in_flight.into(),
            visibility: VISIBILITY,
        };
        let state = State {
            baskets: Baskets {
                store: store.clone(),
                products: products.clone(),
            },
            checkouts: Checkouts {
                store: store.clone(),
                products,
                publisher: publisher.clone(),
                currency: common.shop_currency,
                valid: SignedDuration::from_secs(settings.checkout_valid_s.into()),
                retry,
                notices: notices.clone(),
                stop: stop.clone(),
            },
            store: store.clone(),
            dead_letters: DeadLetters::of(&queue, settle::readable),
            currency: common.shop_currency,
            cursors,
        };
        Ok(Self {
            port: listener.local_addr()?.port(),
            listener,
            state: Data::new(state),
            verifier: Data::new(Verifier::new(common.auth.clone(), outgoing.http.clone())),
            queue,
            settlement: Settlement {
                store: store.clone(),
                notices,
            },
            sweeper: Sweeper {
                store,
                publisher,
                retry,
            },
            stop,
            settings,
        })
    }

    /// What ends [`Application::run_until_stopped`] from outside, besides the process' signals.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Serves until it is stopped; then finishes what is under way, within `SHUTDOWN_S`.
    ///
    /// # Errors
    /// A task failed, or did not end in time. What it left is in the table and the queue, where the
    /// next process finds it.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let drain = Duration::from_secs(self.settings.common.shutdown_s);
        let mut tasks = Tasks::new(self.stop.clone());
        let server = self.server()?;
        let (handle, stopped) = (server.handle(), self.stop.clone());
        let consumed = CancellationToken::new();
        let drained = consumed.clone();
        tasks.spawn("the HTTP server", async move {
            tokio::select! {
                ended = server => ended.context("serve"),
                () = stopped.cancelled() => {
                    let deadline = Instant::now() + drain;
                    run::stop_server(handle, drained.cancelled(), deadline).await
                }
            }
        });
        let (queue, settlement, stop) = (self.queue, self.settlement, self.stop.clone());
        tasks.spawn("the consumer of answers", async move {
            let handle = move |delivery| {
                let settlement = settlement.clone();
                async move { settlement.handle(delivery).await }
            };
            queue.consume(stop, drain, handle).await;
            consumed.cancel();
            Ok(())
        });
        let (sweeper, stop) = (self.sweeper, self.stop.clone());
        let pause = Duration::from_millis(self.settings.sweep_interval_ms);
        tasks.spawn("the sweeper", async move {
            shared::due::sweep("checkouts", pause, stop, move |shard| {
                let sweeper = sweeper.clone();
                async move { sweeper.shard(shard).await }
            })
            .await;
            Ok(())
        });
        tracing::info!(port = self.port, "ready");
        tasks.run_until_stopped(drain + run::MARGIN).await
    }

    fn server(&self) -> anyhow::Result<actix_web::dev::Server> {
        let common = &self.settings.common;
        let api = http::api();
        let edge = Data::new(Edge::new(&api, http::KEYED, common.expose_capacity));
        let docs = Data::new(Docs::new(&api)?);
        let (store, queue) = (self.state.store.clone(), Arc::new(self.queue.clone()));
        let readiness = Data::new(Readiness::new(move || {
            let (store, queue) = (store.clone(), Arc::clone(&queue));
            async move {
                store.probe().await?;
                queue.probe().await
            }
        }));
        let (state, verifier) = (self.state.clone(), self.verifier.clone());
        let server = HttpServer::new(move || {
            App::new()
                .into_utoipa_app()
                .configure(http::routes)
                .into_app()
                .app_data(state.clone())
                .app_data(verifier.clone())
                .app_data(edge.clone())
                .app_data(docs.clone())
                .app_data(readiness.clone())
                .configure(shared::web::configure)
                .configure(shared::health::configure)
                .configure(shared::docs::configure)
                .default_service(web::to(shared::web::no_such_route))
                .wrap(from_fn(shared::web::around))
                .wrap(TracingLogger::<ServerSpan>::new())
        });
        let server = match common.workers {
            Some(workers) => server.workers(workers.into()),
            None => server,
        };
        let server = server
            .disable_signals()
            .client_request_timeout(REQUEST_TIMEOUT)
            .keep_alive(KEEP_ALIVE)
            .max_connections(MAX_CONNECTIONS)
            .shutdown_timeout(common.shutdown_s)
            .listen(self.listener.try_clone()?)?;
        Ok(server.run())
    }
}
