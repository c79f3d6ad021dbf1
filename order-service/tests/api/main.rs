//! The service as its clients and peers see it: a real server, its own table, bus and queue, the
//! payment sandbox, and a stand-in for the product service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on ends there"
)]

mod confirmed;
mod harness;
mod products;
mod seam;
