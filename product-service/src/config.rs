//! The settings of the product service.

use clap::Parser;
use shared::config::CommonSettings;

/// The catalog, its stock, and the stock held for orders.
#[derive(Clone, Debug, Parser)]
#[command(name = "product-service", version, after_help = shared::health::HELP)]
pub struct Settings {
    /// What every service is told.
    #[command(flatten)]
    pub common: CommonSettings,
    /// The table.
    #[arg(long, env = "PRODUCTS_TABLE")]
    pub products_table: String,
    /// Milliseconds between two looks at what is overdue: events not published, holds expired.
    #[arg(long, env = "SWEEP_EVERY_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub sweep_every_ms: u64,
    /// Milliseconds after which the sweeper publishes what the request itself did not. Longer than
    /// publishing takes, so that the two don't race.
    #[arg(long, env = "OUTBOX_DUE_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub outbox_due_ms: u64,
}
