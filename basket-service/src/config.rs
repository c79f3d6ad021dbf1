//! Settings of the basket service, parsed once at the start.

use clap::Parser;
use shared::config::CommonSettings;
use shared::queue::QueueTiming;

use crate::clients::product::ProductSettings;

/// The basket service's settings.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "basket-service",
    version,
    about = "Baskets of guests and customers, and the checkouts that become orders",
    after_help = shared::health::HELP
)]
pub struct Settings {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub common: CommonSettings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub products: ProductSettings,
    /// DynamoDB table of baskets.
    #[arg(long, env = "BASKETS_TABLE")]
    pub baskets_table: String,
    /// Queue of the order service's answers to checkouts.
    #[arg(long, env = "BASKET_SETTLE_QUEUE_URL")]
    pub basket_settle_queue_url: String,
    /// Dead-letter queue of answers that could not be processed.
    #[arg(long, env = "BASKET_SETTLE_DLQ_URL")]
    pub basket_settle_dlq_url: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub queue: QueueTiming,
    /// Limit of answers processed at the same time.
    #[arg(long, env = "SETTLE_IN_FLIGHT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub settle_in_flight: u16,
    /// Time without an answer after which `CheckoutRequested` is published again; doubled with each attempt, up to 15 minutes.
    #[arg(long, env = "CHECKOUT_RETRY_S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub checkout_retry_s: u32,
    /// Validity of a checkout's prices. A later order fails as `expired`.
    #[arg(long, env = "CHECKOUT_VALID_S", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    pub checkout_valid_s: u32,
    /// Interval of the sweeper, which looks for checkouts without an answer.
    #[arg(long, env = "SWEEP_INTERVAL_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub sweep_interval_ms: u64,
}
