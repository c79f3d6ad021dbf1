//! What a product, its stock and a reservation are, and every rule about them.
//!
//! Nothing here asks a clock, a random source, the table or the network: times and ids come in as
//! arguments.

pub mod adjustment;
pub mod merge_patch;
pub mod product;
pub mod reservation;
pub mod stock;
pub mod text;
