//! The settings of the product service.

use clap::Parser;
use shared::config::CommonSettings;

/// The catalog, its stock, and the stock held for orders.
#[derive(Clone, Debug, Parser)]
#[command(name = "product-service", version, after_help = shared::health::HELP)]
pub struct Settings {
    /// Settings that every service has.
    #[command(flatten)]
    pub common: CommonSettings,
    /// DynamoDB table of products, stock and reservations.
    #[arg(long, env = "PRODUCTS_TABLE")]
    pub products_table: String,
    /// Interval of the sweeper, which publishes overdue events and releases expired holds.
    #[arg(long, env = "SWEEP_EVERY_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub sweep_every_ms: u64,
    /// Time after which the sweeper publishes an event that the request did not publish. Longer than publishing takes, so
    /// that both do not publish at the same time.
    #[arg(long, env = "OUTBOX_DUE_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub outbox_due_ms: u64,
    /// Time for which a sweeper has an item to itself. Longer than an attempt takes: another sweeper resumes it after that.
    #[arg(long, env = "SWEEP_LEASE_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub sweep_lease_ms: u64,
}
