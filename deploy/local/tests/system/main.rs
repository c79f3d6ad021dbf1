//! The whole system, with real processes: the documents' commands, crashes, chaos, restarts, attacks, and the errors of a start
//! that fails.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod attacks;
mod chaos;
mod containers;
mod crashes;
mod dead_letters;
mod documents;
mod doors;
mod harness;
mod load;
mod logs;
mod metrics;
mod mixes;
mod observability;
mod privilege;
mod reconcile;
mod refusals;
mod restart;
mod rolling;
mod secrecy;
mod snapshots;
mod tour;
mod traces;
mod workday;
