//! The product service over HTTP: a real server, its own table, its own bus.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on ends there"
)]

mod harness;

mod budgets;
mod contract;
mod cuts;
mod edge;
mod events;
mod failures;
mod lists;
mod preconditions;
mod process;
mod products;
mod replaced;
mod reservations;
mod stock;
mod transfer;
