//! The other services, as this one asks them.

pub mod product;
