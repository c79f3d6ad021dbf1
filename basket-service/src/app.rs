//! The running service: its HTTP server, the consumer of answers and the sweeper.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use anyhow::Context;
use jiff::SignedDuration;
use shared::aws::Aws;
use shared::cursor::CursorKeys;
use shared::dead_letters::DeadLetters;
use shared::due::Pause;
use shared::health::Readiness;
use shared::money::Currency;
use shared::outbox::Publisher;
use shared::outgoing::Outgoing;
use shared::queue::Queue;
use shared::run::{self, Tasks};
use shared::server::{Routes, Server};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::service_config::ServiceConfig;

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
    server: Server,
    queue: Queue,
    settlement: Settlement,
    sweeper: Sweeper,
    sweep_interval: Duration,
    sweep_signal: Arc<Notify>,
    drain: Duration,
    stop: CancellationToken,
}

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
            timing: settings.queue,
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
        let state = Data::new(state);
        let routes = Routes {
            api: http::api(),
            keyed: http::KEYED,
            readiness: readiness(&store, &queue),
            configure: move |config: &mut ServiceConfig<'_>| {
                config.app_data(state.clone()).configure(http::routes);
            },
        };
        Ok(Self {
            server: Server::listen(common, &outgoing, routes, &stop)?,
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
            sweep_interval: Duration::from_millis(settings.sweep_interval_ms),
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
        let (port, drain) = (self.server.port(), self.drain);
        let mut tasks = Tasks::new(self.stop.clone());
        let consumed = CancellationToken::new();
        let leaning = consumed.clone().cancelled_owned();
        self.server.run(&mut tasks, leaning);
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
        let pause = Pause::new(self.sweep_interval, self.sweep_signal);
        let (sweeper, stop) = (self.sweeper, self.stop);
        tasks.spawn("the sweeper", async move {
            shared::due::sweep("checkouts", pause, stop, move |shard| {
                let sweeper = sweeper.clone();
                async move { sweeper.shard(shard).await }
            })
            .await;
            Ok(())
        });
        tracing::info!(port, "ready");
        tasks.run_until_stopped(drain + run::MARGIN).await
    }
}

fn readiness(store: &Store, queue: &Queue) -> Readiness {
    let (store, queue) = (store.clone(), Arc::new(queue.clone()));
    Readiness::new(move || {
        let (store, queue) = (store.clone(), Arc::clone(&queue));
        async move {
            store.probe().await?;
            queue.probe().await
        }
    })
}
