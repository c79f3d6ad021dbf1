//! What is counted of stock. The names are what dashboards and alarms ask for: changing one blinds them.

use std::sync::LazyLock;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

use crate::store::{Change, HeldBefore, HoldError};

static RESERVATIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("product-service")
        .u64_counter("reservations.changed")
        .with_description(
            "Stock held for orders and what became of it, by outcome: held, short, sold, released, expired",
        )
        .build()
});

static PARKED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("product-service")
        .u64_counter("sweeper.parked")
        .with_description("Outboxes and holds that were tried too often: they are left lying until somebody looks")
        .build()
});

/// Stock was to be held.
pub(crate) fn held<T>(outcome: &Result<(T, HeldBefore), HoldError>) {
    match outcome {
        Ok((_, HeldBefore::No)) => count("held"),
        Err(HoldError::OutOfStock(_)) => count("short"),
        // Nothing has changed.
        Ok((_, HeldBefore::Yes)) | Err(HoldError::Refused(_) | HoldError::Store(_)) => {}
    }
}

/// A hold was to become a sale: a caller that got no answer asks again.
pub(crate) fn sold(change: Change) {
    changed(change, "sold");
}

/// What was held or sold was to be given back.
pub(crate) fn released(change: Change) {
    changed(change, "released");
}

fn changed(change: Change, outcome: &'static str) {
    match change {
        Change::Made => count(outcome),
        Change::None => {}
    }
}

/// A hold ran out.
pub(crate) fn expired() {
    count("expired");
}

/// An item was tried too often.
pub(crate) fn parked() {
    PARKED.add(1, &[]);
}

fn count(outcome: &'static str) {
    RESERVATIONS.add(1, &[KeyValue::new("outcome", outcome)]);
}
