//! The service as a whole: its HTTP server, the intake and the sweeper, built and stopped together.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use anyhow::Context;
use shared::aws::Aws;
use shared::cursor::CursorKeys;
use shared::dead_letters::DeadLetters;
use shared::due::Pause;
use shared::health::Readiness;
use shared::outbox::Publisher;
use shared::outgoing::Outgoing;
use shared::queue::Queue;
use shared::run::{self, Tasks};
use shared::server::{Routes, Server};
use shared::service_token::ServiceToken;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::clients::basket::BasketClient;
use crate::clients::inventory::InventoryClient;
use crate::clients::payment::PaymentClient;
use crate::clients::product::ProductClient;
use crate::config::Settings;
use crate::fulfil::{Fulfilment, Pace, Peers};
use crate::http::webhook::signature::Signatures;
use crate::http::{self, Contract, Desk, Streams};
use crate::intake::{self, Intake};
use crate::reconcile::Reconciliation;
use crate::store::Store;
use crate::sweeper;

/// A service that listens, and works once it is run.
pub struct Application {
    server: Server,
    fulfilment: Arc<Fulfilment>,
    intake: Intake,
    queue: Queue,
    sweep_every: Duration,
    sweep_signal: Arc<Notify>,
    drain: Duration,
    stop: CancellationToken,
}

/// Messages worked on at once: each is done with once its order is stored.
const MESSAGES_IN_FLIGHT: usize = 20;

impl Application {
    /// Makes everything and listens.
    ///
    /// # Errors
    /// A setting does not hold, or the address is taken.
    pub async fn build(settings: Settings, outgoing: Outgoing) -> anyhow::Result<Self> {
        let aws = Aws::load(&settings.common.aws, &outgoing).await;
        Self::with(settings, &outgoing, &aws)
    }

    /// The same with AWS wherever `aws` says.
    ///
    /// # Errors
    /// As [`Application::build`].
    pub fn with(settings: Settings, outgoing: &Outgoing, aws: &Aws) -> anyhow::Result<Self> {
        let fulfilment = Arc::new(Fulfilment::new(
            peers(&settings, outgoing, aws),
            settings.terms(),
            pace(&settings),
        ));
        let acceptance = settings.saga.order_acceptance.into();
        let stop = CancellationToken::new();
        let queue = Queue {
            client: aws.sqs(),
            url: settings.processing_queue_url.clone(),
            dead_letters_url: settings.processing_dlq_url.clone(),
            in_flight: MESSAGES_IN_FLIGHT,
            timing: settings.queue,
        };
        let desk = Desk {
            fulfilment: Arc::clone(&fulfilment),
            dead_letters: DeadLetters::of(&queue, intake::readable),
            streams: Streams::new(
                settings.event_streams,
                Duration::from_secs(settings.event_stream_s),
                Duration::from_millis(settings.event_heartbeat_ms),
            ),
            products: fulfilment.products(),
            cursors: Arc::new(CursorKeys::parse(&settings.common.cursor_keys).context("CURSOR_KEYS")?),
            currency: settings.common.shop_currency,
            acceptance,
            signatures: signatures(&settings)?,
            stopping: stop.clone(),
        };
        let intake = Intake {
            fulfilment: Arc::clone(&fulfilment),
            currency: settings.common.shop_currency,
            acceptance,
        };
        let (desk, reconciliation) = (
            web::Data::new(desk),
            web::Data::new(reconciliation(&settings, outgoing, aws, &stop)),
        );
        let routes = Routes {
            api: contract(),
            keyed: http::KEYED,
            readiness: readiness(&fulfilment, &queue),
            configure: move |config: &mut ServiceConfig<'_>| {
                config
                    .app_data(desk.clone())
                    .app_data(reconciliation.clone())
                    .configure(http::routes);
            },
        };
        Ok(Self {
            server: Server::listen(&settings.common, outgoing, routes, &stop)?,
            fulfilment,
            intake,
            queue,
            sweep_every: Duration::from_millis(settings.saga.sweep_ms),
            sweep_signal: Arc::default(),
            drain: Duration::from_secs(settings.common.shutdown_s),
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

    /// What stops it, beside the signals.
    #[must_use]
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Works until it is told to stop; then takes nothing more, and finishes what it has begun within
    /// the deadline. What it does not finish is due, and its messages come again.
    ///
    /// # Errors
    /// A part failed, ended by itself, or did not end in time.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let (stop, drain) = (self.stop.clone(), self.drain);
        let mut tasks = Tasks::new(stop.clone());
        let consumed = CancellationToken::new();
        let leaning = {
            let (consumed, fulfilment) = (consumed.clone(), Arc::clone(&self.fulfilment));
            async move {
                consumed.cancelled().await;
                fulfilment.drain().await;
            }
        };
        self.server.run(&mut tasks, leaning);
        tasks.spawn("intake", {
            let (intake, stop, consumed) = (self.intake, stop.clone(), consumed.clone());
            let take = move |delivery| {
                let intake = intake.clone();
                async move { intake.take(delivery).await }
            };
            async move {
                self.queue.consume(stop, drain, take).await;
                consumed.cancel();
                Ok(())
            }
        });
        tasks.spawn("sweeper", async move {
            let pause = Pause::new(self.sweep_every, self.sweep_signal);
            sweeper::run(self.fulfilment, pause, stop).await;
            Ok(())
        });
        tasks.run_until_stopped(drain + run::MARGIN).await
    }
}

fn peers(settings: &Settings, outgoing: &Outgoing, aws: &Aws) -> Peers {
    let token = ServiceToken::new(settings.service_token.clone(), outgoing.http.clone());
    let products = ProductClient::new(
        settings.product_service_url.clone(),
        outgoing.http.clone(),
        token,
        Duration::from_millis(settings.product_timeout_ms),
    );
    Peers {
        store: Store::new(aws.dynamodb(), settings.orders_table.clone()),
        products: Arc::new(products),
        payments: payments(settings, outgoing),
        publisher: Publisher::new(aws.eventbridge(), settings.common.event_bus.clone()),
    }
}

fn payments(settings: &Settings, outgoing: &Outgoing) -> PaymentClient {
    let payment = &settings.payment;
    PaymentClient::new(
        payment.payment_url.clone(),
        outgoing.http.clone(),
        payment.payment_key.clone(),
        Duration::from_millis(payment.payment_timeout_ms),
        payment.payment_return_url.clone(),
    )
}

/// A page of everything looks at up to 10,000 items, which takes longer than what orders wait for.
const LISTS_TIMEOUT: Duration = Duration::from_secs(20);

fn reconciliation(settings: &Settings, outgoing: &Outgoing, aws: &Aws, stop: &CancellationToken) -> Reconciliation {
    let http = || outgoing.http.clone();
    let token = Arc::new(ServiceToken::new(settings.service_token.clone(), http()));
    let products = settings.product_service_url.clone();
    let baskets = settings.basket_service_url.clone();
    Reconciliation {
        store: Store::new(aws.dynamodb(), settings.orders_table.clone()),
        inventory: InventoryClient::new(products, http(), Arc::clone(&token), LISTS_TIMEOUT),
        baskets: baskets.map(|url| BasketClient::new(url, http(), token, LISTS_TIMEOUT)),
        payments: payments(settings, outgoing),
        stopping: stop.clone(),
        one: Reconciliation::one_at_a_time(),
    }
}

fn signatures(settings: &Settings) -> anyhow::Result<Option<Signatures>> {
    let payment = &settings.payment;
    let Some(secrets) = &payment.payment_webhook_secret else {
        tracing::warn!(
            "PAYMENT_WEBHOOK_SECRET is not set: the payment provider's events are refused, so that disputes are not \
             heard of, and what customers complete is seen late"
        );
        return Ok(None);
    };
    let tolerance = Duration::from_secs(payment.payment_webhook_tolerance_s);
    Ok(Some(
        Signatures::new(secrets, tolerance).context("PAYMENT_WEBHOOK_SECRET")?,
    ))
}

fn pace(settings: &Settings) -> Pace {
    Pace {
        go: Duration::from_millis(settings.saga.fast_path_ms),
        retry: Duration::from_millis(settings.saga.retry_ms),
        in_work: settings.saga.orders_in_work.into(),
    }
}

fn readiness(fulfilment: &Arc<Fulfilment>, queue: &Queue) -> Readiness {
    let (fulfilment, queue) = (Arc::clone(fulfilment), queue.clone());
    Readiness::new(move || {
        let (fulfilment, queue) = (Arc::clone(&fulfilment), queue.clone());
        async move {
            fulfilment.store().probe().await?;
            queue.probe().await
        }
    })
}

/// The service's whole contract.
#[must_use]
pub fn contract() -> utoipa::openapi::OpenApi {
    shared::server::contract(Contract::openapi(), http::routes)
}
