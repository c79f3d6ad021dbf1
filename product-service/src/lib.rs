//! The product service: the catalog, its stock, and the stock held for orders.
//!
//! `http -> (catalog | inventory | store) -> domain`. It reads and writes its own table alone, and tells
//! of its changes on the bus.

pub mod app;
pub mod catalog;
pub mod config;
pub mod domain;
pub mod events;
pub mod http;
pub mod inventory;
mod metrics;
pub mod relay;
pub mod store;
pub mod sweeper;
