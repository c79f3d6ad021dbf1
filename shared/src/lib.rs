//! What the three services have in common: plumbing without business meaning, and the words they
//! speak to each other.
//!
//! Nothing here knows a table, a rule of the shop, a route, or a client of one of the services;
//! each of those lives in the service that owns it.

pub mod address;
pub mod auth;
pub mod aws;
pub mod body;
pub mod capacity;
pub mod config;
pub mod contract;
pub mod cursor;
pub mod dead_letters;
pub mod docs;
pub mod documented;
pub mod due;
pub mod etag;
pub mod health;
pub mod idempotency;
pub mod ids;
pub mod money;
pub mod outbox;
pub mod outgoing;
pub mod page;
pub mod problem;
pub mod quantity;
pub mod queue;
pub mod run;
pub mod server;
pub mod service_token;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
pub mod web;
