//! The product service over HTTP: a real server, its own table, its own bus.

mod faults;
mod harness;

mod contract;
mod products;
