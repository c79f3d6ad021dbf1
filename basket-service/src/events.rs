//! What the basket service tells on the bus, made of what a basket holds: each time the same.

use shared::contract::checkout::{CheckoutRequested, Line};
use shared::contract::{Entry, Envelope, Event};
use shared::ids::CustomerId;

use crate::domain::{OrderedLine, UnderWay};

/// The request for an order that a checkout under way stands for. Asked again, it is the very same
/// event: its id, time and sequence come from what was stored with the checkout.
///
/// # Errors
/// The event is no JSON, which its type's own tests would show first.
pub fn checkout_requested(customer: &CustomerId, under_way: &UnderWay) -> serde_json::Result<Entry> {
    let checkout = &under_way.checkout;
    let order_id = checkout.order_id;
    let envelope = Envelope {
        id: under_way.event.id,
        version: CheckoutRequested::VERSION,
        time: checkout.requested_at,
        correlation_id: order_id.to_string(),
        causation_id: under_way.event.causation_id.clone(),
        sequence: 0,
        traceparent: under_way.event.traceparent.clone(),
        data: CheckoutRequested {
            order_id,
            basket_id: customer.to_string(),
            customer_id: customer.clone(),
            lines: checkout.lines.iter().map(line).collect(),
            total: checkout.total,
            shipping_address: under_way.shipping_address.clone(),
            payment_token: under_way.payment_token.clone(),
            fingerprint: under_way.fingerprint.clone(),
            valid_until: under_way.valid_until,
        },
    };
    Entry::new(&envelope, vec![order_id.to_string(), customer.to_string()])
}

/// Lines that an answer gives back.
#[must_use]
pub fn returned(lines: Vec<Line>) -> Vec<OrderedLine> {
    let ordered = |line: Line| OrderedLine {
        product_id: line.product_id,
        sku: line.sku,
        name: line.name,
        quantity: line.quantity,
        unit_price: line.unit_price,
        acceptance: line.acceptance,
    };
    lines.into_iter().map(ordered).collect()
}

fn line(line: &OrderedLine) -> Line {
    Line {
        product_id: line.product_id,
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        acceptance: line.acceptance,
    }
}
