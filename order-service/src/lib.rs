//! The order service: takes checkouts and orders in, and sees each through to confirmed or failed.
//!
//! `http` and `intake` lead in, `fulfil` is the saga, `domain` has the rules, `store` the table,
//! `clients` the product service and the payment provider.

pub mod app;
pub mod clients;
pub mod config;
pub mod domain;
mod events;
mod fulfil;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http;
mod intake;
mod metrics;
mod reconcile;
mod store;
mod sweeper;
