//! The basket service: what customers and guests have gathered, and the checkouts that become orders.
//! Its `README.md` tells what it owns and how it is run.

pub mod app;
pub mod baskets;
mod chain;
pub mod checkout;
pub mod clients;
pub mod clock;
pub mod config;
pub mod domain;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod settle;
pub mod store;
pub mod sweep;
