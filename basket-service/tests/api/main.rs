//! The basket service as its clients see it: a real server on a free port, a table, a bus and a queue
//! of its own for each test, and a stand-in for the product service.

mod catalog;
mod checkout;
mod harness;
mod lines;
