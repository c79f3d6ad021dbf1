//! The basket service as its clients see it: a real server on a free port, a table, a bus and a queue
//! of its own for each test, and a stand-in for the product service.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod access;
mod budget;
mod catalog;
mod checkout;
mod contract;
mod cuts;
mod dead_letters;
mod harness;
mod lines;
mod merge;
mod model;
mod outage;
mod reading;
mod settling;
mod sweeping;
