//! The whole system on one machine: what `cargo local` runs, and what tests lean on.
//!
//! Nothing here is part of a service, and no service knows of this crate outside its tests.

pub mod aws;
pub mod catalog;
pub mod console;
pub mod loopback;
pub mod ministack;
pub mod mirror;
pub mod payment_sandbox;
pub mod stacks;
pub mod tables;
pub mod testing;
pub mod tools;

pub use stacks::Stack;
pub use testing::{Cloud, Deployment, EventTap};
