//! The whole system on one machine: what `cargo local` runs, and what tests lean on.
//!
//! Nothing here is part of a service, and no service knows of this crate outside its tests.

pub mod aws;
pub mod catalog;
pub mod chaos;
pub mod cli;
pub mod cloud;
pub mod collector;
pub mod compile;
pub mod console;
pub mod containers;
pub mod deployment;
mod dice;
pub mod doors;
mod edge;
pub mod event_tap;
pub mod instance;
mod judged;
pub mod load;
pub mod localstripe;
pub mod loopback;
mod mail;
pub mod ministack;
pub mod mirror;
pub mod mixes;
pub mod part;
pub mod payment_sandbox;
pub mod ports;
mod process;
pub mod processes;
pub mod reconcile;
pub mod relay;
mod seed;
mod service;
pub mod stacks;
pub mod system;
pub mod tables;
pub mod tools;
pub mod users;

pub use cloud::Cloud;
pub use deployment::Deployment;
pub use event_tap::EventTap;
pub use judged::Judge;
pub use mail::Mailbox;
pub use part::Part;
pub use shared::contract::Published as Event;
pub use stacks::Stack;
pub use system::System;
