//! The service as its clients and peers see it: a real server, its own table, bus and queue, the
//! payment sandbox, and stand-ins for the product and the basket service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on ends there"
)]

mod acceptance;
mod access;
mod baskets;
mod budgets;
mod cancel;
mod confirmed;
mod cuts;
mod dead_letters;
mod deadlines;
mod disputes;
mod events;
mod failures;
mod harness;
mod intake;
mod keys;
mod lists;
mod openapi;
mod payments;
mod products;
mod provider;
mod reconciliation;
mod refunds;
mod second_opinion;
mod shipping;
mod tamper;
mod together;
mod tokens;
mod webhook;
mod workflows;
