//! The service's settings, parsed once at the start.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use shared::config::CommonSettings;
use shared::contract::checkout::Acceptance;
use shared::queue::QueueTiming;
use shared::service_token::ServiceTokenSettings;
use url::Url;

use crate::domain::step::Terms;

/// Takes orders in and sees them through to confirmed or failed.
#[derive(Clone, Debug, Parser)]
#[command(name = "order-service", version, after_help = shared::health::HELP)]
pub struct Settings {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub common: CommonSettings,
    /// DynamoDB table of orders.
    #[arg(long, env = "ORDERS_TABLE")]
    pub orders_table: String,
    /// Queue of checkouts that become orders.
    #[arg(long, env = "PROCESSING_QUEUE_URL")]
    pub processing_queue_url: String,
    /// Dead-letter queue of checkouts that could not be processed.
    #[arg(long, env = "PROCESSING_DLQ_URL")]
    pub processing_dlq_url: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub queue: QueueTiming,
    /// Limit of open event streams. Each is one of the 1,024 requests that the gateway has under way to all replicas.
    #[arg(long, env = "EVENT_STREAMS", default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=9_000))]
    pub event_streams: u16,
    /// Duration of one event stream; the client then reconnects.
    #[arg(long, env = "EVENT_STREAM_S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub event_stream_s: u64,
    /// Silence after which a comment keeps an open event stream alive.
    #[arg(long, env = "EVENT_HEARTBEAT_MS", hide = true, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub event_heartbeat_ms: u64,
    /// Base URL of the product service.
    #[arg(long, env = "PRODUCT_SERVICE_URL")]
    pub product_service_url: Url,
    /// Time-out of one call to the product service.
    #[arg(long, env = "PRODUCT_TIMEOUT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
    pub product_timeout_ms: u64,
    /// Base URL of the basket service, for reconciliation. When unset, reconciliation omits checkouts.
    #[arg(long, env = "BASKET_SERVICE_URL")]
    pub basket_service_url: Option<Url>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub service_token: ServiceTokenSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub payment: PaymentSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub saga: SagaSettings,
}

/// Address, credentials and deadlines of the payment provider.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Payment")]
pub struct PaymentSettings {
    /// Base URL of the payment provider: Stripe, or the sandbox.
    #[arg(long, env = "PAYMENT_URL", default_value = "https://api.stripe.com")]
    pub payment_url: Url,
    /// Secret key of the payment provider.
    #[arg(long, env = "PAYMENT_KEY", hide_env_values = true)]
    pub payment_key: SecretString,
    /// Time-out of one call to the payment provider.
    #[arg(long, env = "PAYMENT_TIMEOUT_MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
    pub payment_timeout_ms: u64,
    /// Page to which the provider returns the customer after authentication (3-D Secure).
    #[arg(long, env = "PAYMENT_RETURN_URL")]
    pub payment_return_url: Option<Url>,
    /// Secrets of the provider's webhook endpoint, separated by commas, at least 16 characters each; several during a
    /// rotation. When unset, the provider's events are refused, and disputes are not received.
    #[arg(long, env = "PAYMENT_WEBHOOK_SECRET", hide_env_values = true)]
    pub payment_webhook_secret: Option<SecretString>,
    /// Limit of the difference between a webhook's signature time and the service's clock.
    #[arg(long, env = "PAYMENT_WEBHOOK_TOLERANCE_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub payment_webhook_tolerance_s: u64,
    /// Time from the first decline in which the customer may send another payment token.
    #[arg(long, env = "PAYMENT_RETRY_S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=36_000))]
    pub payment_retry_s: u64,
    /// Time in which the customer has to authenticate a payment, from the request on, and in which the provider has to
    /// answer, from its first time-out on. Shorter than the 24 hours for which the provider keeps idempotency keys.
    #[arg(long, env = "PAYMENT_DEADLINE_S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=36_000))]
    pub payment_deadline_s: u64,
}

/// Deadlines and limits of the order workflow.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Orders")]
pub struct SagaSettings {
    /// Time before the order workflow begins, in which the customer may cancel without effects.
    #[arg(long, env = "ORDER_GRACE_S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub order_grace_s: u64,
    /// Acceptance by the merchant before an order is confirmed: for products that require it and orders without a payment
    /// (`auto`), or for all orders (`manual`).
    #[arg(long, env = "ORDER_ACCEPTANCE", default_value = "auto")]
    pub order_acceptance: AcceptanceSetting,
    /// Time in which the merchant has to accept or reject. Stripe holds an authorization for seven days.
    #[arg(long, env = "ACCEPTANCE_DEADLINE_S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=432_000))]
    pub acceptance_deadline_s: u64,
    /// Limit of one run of the order workflow. The sweeper resumes what is left.
    #[arg(long, env = "FAST_PATH_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub fast_path_ms: u64,
    /// Limit of orders processed at the same time.
    #[arg(long, env = "ORDERS_IN_WORK", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub orders_in_work: u16,
    /// Interval of the sweeper, which resumes orders that are due.
    #[arg(long, env = "SWEEP_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub sweep_ms: u64,
    /// Delay before the second attempt of a failed step; doubled with each attempt, up to a minute.
    #[arg(long, env = "RETRY_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub retry_ms: u64,
}

/// Acceptance of orders by the merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AcceptanceSetting {
    /// For products that require it, and orders without a payment.
    Auto,
    /// For all orders.
    Manual,
}

impl From<AcceptanceSetting> for Acceptance {
    fn from(setting: AcceptanceSetting) -> Self {
        match setting {
            AcceptanceSetting::Auto => Self::Auto,
            AcceptanceSetting::Manual => Self::Manual,
        }
    }
}

impl Settings {
    /// How long things may take.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            grace: Duration::from_secs(self.saga.order_grace_s),
            payment_retry: Duration::from_secs(self.payment.payment_retry_s),
            payment_deadline: Duration::from_secs(self.payment.payment_deadline_s),
            acceptance: Duration::from_secs(self.saga.acceptance_deadline_s),
        }
    }
}
