//! What an order tells, in the form in which the bus carries it. The figures come from the order and
//! from what was recorded with the event, so that telling it again tells the same.

use serde_json::Value;
use shared::contract::order::{
    FailureReason, OrderAwaitingAcceptance, OrderCancelled, OrderConfirmed, OrderDelivered, OrderDisputed, OrderFailed,
    OrderPlaced, OrderRefunded, OrderRejected, OrderShipped,
};
use shared::contract::{Entry, Envelope, Event};
use shared::idempotency::Fingerprint;
use uuid::Uuid;

use crate::domain::order::Order;
use crate::domain::told::{Recorded, Told};

/// The entry of an event of this order.
pub(crate) fn entry(order: &Order, event: &Recorded) -> serde_json::Result<Entry> {
    let (order_id, customer_id, total) = (order.id, order.customer.clone(), order.total);
    match event.told.clone() {
        Told::Placed => with(
            order,
            event,
            OrderPlaced {
                order_id,
                customer_id,
                total,
            },
        ),
        Told::AwaitingAcceptance { answer_by } => with(
            order,
            event,
            OrderAwaitingAcceptance {
                order_id,
                customer_id,
                total,
                answer_by,
            },
        ),
        Told::Confirmed => with(
            order,
            event,
            OrderConfirmed {
                order_id,
                customer_id,
                lines: order.lines.clone(),
                total,
            },
        ),
        Told::Failed { reason, short } => with(
            order,
            event,
            OrderFailed {
                order_id,
                customer_id,
                reason,
                short,
                lines: order.lines.clone(),
            },
        ),
        Told::Rejected { reason } => with(
            order,
            event,
            OrderRejected {
                order_id,
                customer_id,
                reason,
            },
        ),
        Told::Cancelled { reason } => with(
            order,
            event,
            OrderCancelled {
                order_id,
                customer_id,
                reason,
            },
        ),
        Told::Shipped { carrier, tracking } => with(
            order,
            event,
            OrderShipped {
                order_id,
                customer_id,
                carrier,
                tracking,
            },
        ),
        Told::Delivered => with(order, event, OrderDelivered { order_id, customer_id }),
        Told::Refunded {
            amount,
            refunded_total,
            reason,
        } => with(
            order,
            event,
            OrderRefunded {
                order_id,
                customer_id,
                amount,
                refunded_total,
                reason,
            },
        ),
        Told::Disputed(dispute) => with(
            order,
            event,
            OrderDisputed {
                order_id,
                customer_id,
                dispute_id: dispute.id,
                amount: dispute.amount,
                reason: dispute.reason.into(),
                status: dispute.status,
                respond_by: dispute.respond_by,
            },
        ),
    }
}

fn with<T: Event>(order: &Order, event: &Recorded, data: T) -> serde_json::Result<Entry> {
    let envelope = Envelope {
        id: event.id,
        version: T::VERSION,
        time: event.at,
        correlation_id: order.id.to_string(),
        causation_id: order.causation.clone(),
        sequence: event.sequence,
        traceparent: event.traceparent.clone(),
        data,
    };
    Entry::new(&envelope, vec![order.id.to_string()])
}

/// The answer to a checkout whose id belongs to an order that was made of another one; `order` is
/// what would have been made of it. It is stored nowhere; made of the request alone, it is the same
/// each time.
pub(crate) fn key_reused(order: &Order, request: &Envelope<Value>) -> serde_json::Result<Entry> {
    let event = Recorded {
        id: id_after(request.time.as_millisecond(), &order.fingerprint),
        at: request.time,
        sequence: request.sequence.saturating_add(1),
        traceparent: request.traceparent.clone(),
        told: Told::Failed {
            reason: FailureReason::KeyReused,
            short: Vec::new(),
        },
    };
    entry(order, &event)
}

/// A UUID v7 of that time, its random part taken from the fingerprint.
fn id_after(millisecond: i64, fingerprint: &Fingerprint) -> Uuid {
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, fingerprint.as_str().as_bytes());
    let mut random = [0; 10];
    for (to, from) in random.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    let millisecond = u64::try_from(millisecond).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millisecond, &random).into_uuid()
}
