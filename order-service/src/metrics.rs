//! What is counted of orders. The names are what dashboards and alarms ask for: changing one blinds them.

use std::sync::LazyLock;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};
use shared::contract::order::DisputeStatus;

use crate::domain::order::Order;
use crate::domain::payment::RefundState;
use crate::domain::state::Status;

static CREATED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.created")
        .with_description("Orders stored, each once")
        .build()
});
static SETTLED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.settled")
        .with_description("Orders that were confirmed, failed or cancelled, by outcome and reason")
        .build()
});
static SETTLE_DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("order-service")
        .f64_histogram("orders.settle.duration")
        .with_unit("s")
        .with_description("From the order's creation until it was confirmed, failed or cancelled, by outcome")
        .with_boundaries(vec![
            0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
        ])
        .build()
});
static REFUNDS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.refunds")
        .with_description("Refunds that a merchant asked for, by outcome: asked, made, refused")
        .build()
});
static DELAYED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.delayed")
        .with_description("Tries that did not get on: the order is tried again")
        .build()
});
static PARKED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.parked")
        .with_description("Tries of orders that were tried too often and do not get on: somebody has to look")
        .build()
});

static PAYMENT_REFUSED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("payments.refused")
        .with_description(
            "Calls that the payment provider refused for what this service is or sent: somebody has to look",
        )
        .build()
});
static PAYMENT_CALLS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("order-service")
        .f64_histogram("payments.call.duration")
        .with_unit("s")
        .with_description("Calls of the payment provider with all their tries, by whether it answered")
        .with_boundaries(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
        .build()
});
static DISPUTED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("orders.disputed")
        .with_description("Disputes noted on orders, by where they stand")
        .build()
});
static WEBHOOKS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("order-service")
        .u64_counter("payments.webhooks")
        .with_description("Events of the payment provider, by what came of them")
        .build()
});

/// An order was stored for the first time.
pub(crate) fn created(order: &Order) {
    CREATED.add(1, &[]);
    settled_as(order, None);
}

/// A change of an order was stored.
pub(crate) fn changed(before: &Order, after: &Order) {
    if before.state.status() != after.state.status() {
        settled_as(after, Some(before.state.status()));
    }
    for refund in &after.payment.refunds {
        let was = before.payment.refund_of(refund.id).map(|refund| refund.state);
        if was != Some(refund.state) {
            let outcome = match refund.state {
                RefundState::Pending => "asked",
                RefundState::Done => "made",
                RefundState::Refused => "refused",
            };
            REFUNDS.add(1, &[KeyValue::new("outcome", outcome)]);
        }
    }
}

/// A try did not get on.
pub(crate) fn delayed() {
    DELAYED.add(1, &[]);
}

/// An order was tried too often, and now again.
pub(crate) fn parked() {
    PARKED.add(1, &[]);
}

/// The provider refused a call for what this service is or sent.
pub(crate) fn payment_refused() {
    PAYMENT_REFUSED.add(1, &[]);
}

/// The provider was called.
pub(crate) fn payment_called(taken: Duration, outcome: &'static str) {
    PAYMENT_CALLS.record(taken.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
}

/// A dispute was noted.
pub(crate) fn disputed(status: DisputeStatus) {
    let word = serde_json::to_value(status).ok();
    let word = word
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default();
    DISPUTED.add(1, &[KeyValue::new("status", word)]);
}

/// The provider told something; or somebody did in its name.
pub(crate) fn webhook(outcome: String) {
    WEBHOOKS.add(1, &[KeyValue::new("outcome", outcome)]);
}

/// `before` is what a customer saw until now, of an order that was there: one that is cancelled once confirmed settles twice.
fn settled_as(order: &Order, before: Option<Status>) {
    let status = order.state.status();
    match status {
        Status::Confirmed | Status::Failed | Status::Cancelled => {}
        Status::Pending | Status::AwaitingAcceptance | Status::Shipped | Status::Delivered => return,
    }
    let outcome = KeyValue::new("outcome", status.to_string());
    let taken = order.updated_at.duration_since(order.created_at);
    SETTLE_DURATION.record(taken.as_secs_f64(), std::slice::from_ref(&outcome));
    // The word that clients and events have for it.
    let reason = order.failure().and_then(|reason| serde_json::to_value(reason).ok());
    let reason = reason.and_then(|reason| Some(KeyValue::new("reason", reason.as_str()?.to_owned())));
    let before = before.map(|status| KeyValue::new("before", status.to_string()));
    SETTLED.add(
        1,
        &[Some(outcome), reason, before]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>(),
    );
}
