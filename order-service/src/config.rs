//! The service's settings, parsed once at the start.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use shared::config::CommonSettings;
use shared::contract::checkout::Acceptance;
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
    /// The table of orders.
    #[arg(long, env = "ORDERS_TABLE")]
    pub orders_table: String,
    /// The queue of checkouts to take in.
    #[arg(long, env = "PROCESSING_QUEUE_URL")]
    pub processing_queue_url: String,
    /// Where that queue puts what could not be read.
    #[arg(long, env = "PROCESSING_DLQ_URL")]
    pub processing_dlq_url: String,
    /// Clients that may listen to orders at the same time. The gateway has 1024 requests under way to all
    /// replicas together, and each of these is one.
    #[arg(long, env = "EVENT_STREAMS", default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=9_000))]
    pub event_streams: u16,
    /// Seconds for which one may listen without coming back.
    #[arg(long, env = "EVENT_STREAM_S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub event_stream_s: u64,
    /// The product service's base URL.
    #[arg(long, env = "PRODUCT_SERVICE_URL")]
    pub product_service_url: Url,
    /// Bound on one call to the product service, in milliseconds.
    #[arg(long, env = "PRODUCT_TIMEOUT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
    pub product_timeout_ms: u64,
    /// The basket service's base URL; without it reconciliation leaves checkouts out.
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

/// The payment provider.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Payment")]
pub struct PaymentSettings {
    /// The provider's base URL: Stripe's, or the sandbox's.
    #[arg(long, env = "PAYMENT_URL", default_value = "https://api.stripe.com")]
    pub payment_url: Url,
    /// The provider's secret key.
    #[arg(long, env = "PAYMENT_KEY", hide_env_values = true)]
    pub payment_key: SecretString,
    /// Bound on one call to the provider, in milliseconds.
    #[arg(long, env = "PAYMENT_TIMEOUT_MS", default_value_t = 8_000, value_parser = clap::value_parser!(u64).range(10..=30_000))]
    pub payment_timeout_ms: u64,
    /// Where the provider sends a customer back to after authenticating a payment.
    #[arg(long, env = "PAYMENT_RETURN_URL")]
    pub payment_return_url: Option<Url>,
    /// The secrets of the provider's webhook endpoint, separated by commas: several while one is being
    /// changed. Without any the provider's events are refused, and disputes are not heard of.
    #[arg(long, env = "PAYMENT_WEBHOOK_SECRET", hide_env_values = true)]
    pub payment_webhook_secret: Option<SecretString>,
    /// Seconds by which the clock of whoever signs a webhook may differ from this one's.
    #[arg(long, env = "PAYMENT_WEBHOOK_TOLERANCE_S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub payment_webhook_tolerance_s: u64,
    /// Seconds in which a customer may name other tokens, from the first refusal on.
    #[arg(long, env = "PAYMENT_RETRY_S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=36_000))]
    pub payment_retry_s: u64,
    /// Seconds in which a customer has to complete the payment, once asked to, and in which the provider
    /// has to answer, once it does not. Shorter than the 24 hours for which the provider keeps
    /// idempotency keys.
    #[arg(long, env = "PAYMENT_DEADLINE_S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=36_000))]
    pub payment_deadline_s: u64,
}

/// How an order is seen through.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Orders")]
pub struct SagaSettings {
    /// Seconds in which a customer may cancel before anything is done.
    #[arg(long, env = "ORDER_GRACE_S", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub order_grace_s: u64,
    /// Whether the merchant is asked before an order is confirmed.
    #[arg(long, env = "ORDER_ACCEPTANCE", default_value = "auto")]
    pub order_acceptance: AcceptanceSetting,
    /// Seconds in which the merchant has to answer. Stripe holds an authorization for seven days.
    #[arg(long, env = "ACCEPTANCE_DEADLINE_S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=432_000))]
    pub acceptance_deadline_s: u64,
    /// Bound on the first try to see an order through, in milliseconds; what is not done by then, the
    /// sweeper goes on with.
    #[arg(long, env = "FAST_PATH_MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub fast_path_ms: u64,
    /// Orders worked on at the same time.
    #[arg(long, env = "ORDERS_IN_WORK", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub orders_in_work: u16,
    /// Milliseconds between two looks at what is due.
    #[arg(long, env = "SWEEP_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub sweep_ms: u64,
    /// Milliseconds before the second try of an order that does not get on; doubled with each, up to
    /// a minute.
    #[arg(long, env = "RETRY_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub retry_ms: u64,
}

/// Whether the merchant is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AcceptanceSetting {
    /// Only where a product says so, or nothing is paid.
    Auto,
    /// Always.
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
