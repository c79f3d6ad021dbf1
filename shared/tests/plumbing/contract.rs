//! What a consumer makes of what the bus hands it.

use serde_json::{Value, json};
use shared::contract::{self, Delivery};

fn delivery() -> Value {
    json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "account": "123456789012", "region": "us-east-1",
        "time": "2026-01-01T00:00:00Z", "source": "order-service", "detail-type": "OrderPlaced",
        "resources": ["8d3c5f0e-27b1-4c4a-9e66-1f0a2b7d4c90"],
        "detail": {
            "id": "01900000-0000-7000-8000-000000000000", "version": 1, "time": "2026-01-01T00:00:00Z",
            "correlation_id": "8d3c5f0e-27b1-4c4a-9e66-1f0a2b7d4c90", "causation_id": "x", "sequence": 1,
            "traceparent": "", "of_a_later_release": true,
            "data": {
                "order_id": "8d3c5f0e-27b1-4c4a-9e66-1f0a2b7d4c90", "customer_id": "c",
                "total": {"amount_minor": 1, "currency": "USD"}, "of_a_later_release": {"a": 1},
            },
        },
    })
}

#[test]
fn a_consumer_ignores_fields_it_does_not_know() {
    let delivery: Delivery = serde_json::from_value(delivery()).unwrap();
    let placed = delivery.read::<contract::order::OrderPlaced>().unwrap().unwrap();
    assert_eq!(placed.data.total.amount_minor, 1);
    assert!(delivery.read::<contract::order::OrderFailed>().is_none());
}

#[test]
fn an_event_from_another_source_is_not_taken_for_ours() {
    let mut forged = delivery();
    forged["source"] = json!("somebody-else");
    let delivery: Delivery = serde_json::from_value(forged).unwrap();
    assert!(delivery.read::<contract::order::OrderPlaced>().is_none());
}

#[test]
fn a_reason_of_a_later_release_is_still_a_failure() {
    let reason: contract::order::FailureReason = serde_json::from_value(json!("eaten_by_the_dog")).unwrap();
    assert_eq!(reason, contract::order::FailureReason::Other);
}
