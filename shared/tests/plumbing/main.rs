//! The plumbing as a service meets it: real HTTP, real queues, a real bus.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod asyncapi;
mod compatibility;
mod contract;
mod corpora;
mod dead_letters;
mod edge;
mod gate;
mod health;
mod identity;
mod messages;
mod schemas;
mod settings;
mod stop;
mod told;
mod traces;
