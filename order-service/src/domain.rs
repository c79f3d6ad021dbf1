//! What an order is and what may become of it. Nothing here knows HTTP, AWS, a clock or chance: times
//! and ids come in as arguments.

pub mod amount;
pub mod dispute;
pub mod machine;
pub mod order;
pub mod payment;
pub mod placing;
pub mod reconciliation;
pub mod state;
pub mod step;
pub mod timeline;
pub mod told;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
