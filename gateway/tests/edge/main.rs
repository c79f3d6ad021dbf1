//! What the gateway promises, seen from outside: a real Envoy with the rendered configuration, in front of small servers
//! that tell what reached them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends there"
)]

mod access;
mod answers;
mod browser;
mod calm;
mod configuration;
mod envoy;
mod harness;
mod http1;
mod http2;
mod limits;
mod paths;
mod replicas;
mod restart;
mod retries;
mod streams;
mod tls;
mod upstream;
mod wire;
