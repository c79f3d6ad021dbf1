//! What whole workflows cost in the orders table and on the bus, exactly.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::budgets::{figures_hold, written};
use crate::harness::{Service, Shop, merchant};

/// What an order took from its checkout to its end, or to where it rests.
#[derive(Debug, PartialEq)]
struct Cost {
    /// Write units of each write, in order.
    written: Vec<f64>,
    /// Read units of each thing that people asked for: the saga reads nothing.
    read: Vec<f64>,
    /// Calls to the bus.
    published: u64,
    /// Events told.
    told: Vec<String>,
}

impl Cost {
    fn of(written: &[f64], read: &[f64], published: u64, told: &[&str]) -> Self {
        Self {
            written: written.to_vec(),
            read: read.to_vec(),
            published,
            told: told.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

/// An order of one line, about 2 KB at its end, with what people ask of it once it is confirmed.
async fn cost(token: &str, in_stock: i64, asked: &[(&str, Option<Value>)]) -> Cost {
    let shop = Shop::open().await;
    let service = shop.start(&[]);
    let tea = shop.products.add(500, in_stock);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.settled_and_done(id).await;
    let mut read = Vec::new();
    for (action, body) in asked {
        read.push(ask(&service, id, action, body.as_ref()).await);
        shop.settled(id).await;
    }
    Cost {
        written: written(&service),
        read,
        published: service.faults.calls("PutEvents"),
        told: shop.told(id).await,
    }
}

/// Says what was read for it.
async fn ask(service: &Service, order: &Value, action: &str, body: Option<&Value>) -> f64 {
    let path = format!("/v1/orders/{}/{action}", order.as_str().unwrap());
    let mut request = service.post(&path, &merchant());
    if action == "refunds" {
        request = request.header("idempotency-key", Uuid::new_v4().to_string());
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{action}: {}", answer.status());
    answer.headers()["x-consumed-rcu"].to_str().unwrap().parse().unwrap()
}

/// Creating: up to 1 KB, and an entry each in by_customer and due. Deciding. Its end: up to 2 KB, and
/// by_customer. Clearing the outbox: due.
const FAILED: [f64; 4] = [1.0 + 2.0, 1.0, 2.0 + 1.0, 2.0 + 1.0];

fn assert_costs(cost: Cost, expected: Cost) {
    if figures_hold() {
        assert_eq!(cost, expected);
    } else {
        // Round trips and events are the same anywhere.
        assert_eq!(cost.written.len(), expected.written.len());
        assert_eq!((cost.published, cost.told), (expected.published, expected.told));
    }
}

#[tokio::test]
async fn an_order_that_is_declined() {
    let cost = cost("pm_card_chargeDeclined", 10, &[]).await;
    assert_costs(cost, Cost::of(&FAILED, &[], 1, &["OrderFailed"]));
}

#[tokio::test]
async fn an_order_for_more_than_there_is() {
    let cost = cost("pm_card_visa", 1, &[]).await;
    assert_costs(cost, Cost::of(&FAILED, &[], 1, &["OrderFailed"]));
}

#[tokio::test]
async fn a_confirmed_order_that_is_cancelled_and_refunded() {
    let cancel = ("cancel", Some(json!({"reason": "no longer"})));
    let cost = cost("pm_card_visa", 10, &[cancel]).await;
    let told = ["OrderPlaced", "OrderConfirmed", "OrderRefunded", "OrderCancelled"];
    // The decision makes it due; its end changes both lists, by_status as one that leaves it.
    let written = [3.0, 1.0, 4.0, 3.0, 2.0 + 1.0, 2.0 + 2.0, 2.0 + 1.0];
    assert_costs(cost, Cost::of(&written, &[1.0], 3, &told));
}

#[tokio::test]
async fn a_confirmed_order_that_is_shipped_and_delivered() {
    let ship = ("ship", Some(json!({"carrier": "DHL", "tracking": "JD0001"})));
    let cost = cost("pm_card_visa", 10, &[ship, ("deliver", None)]).await;
    let told = ["OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderDelivered"];
    // Shipping changes by_customer, the key of by_status, and due; delivering takes it off by_status.
    let written = [3.0, 1.0, 4.0, 3.0, 2.0 + 4.0, 2.0 + 1.0, 2.0 + 3.0, 2.0 + 1.0];
    assert_costs(cost, Cost::of(&written, &[1.0, 1.0], 4, &told));
}

#[tokio::test]
async fn a_confirmed_order_that_is_refunded_in_part() {
    let part = json!({"amount": {"amount_minor": 300, "currency": "USD"}, "reason": "a dent"});
    let cost = cost("pm_card_visa", 10, &[("refunds", Some(part))]).await;
    let told = ["OrderPlaced", "OrderConfirmed", "OrderRefunded"];
    // Taken in, and due; made; cleared.
    let written = [3.0, 1.0, 4.0, 3.0, 2.0 + 1.0, 2.0, 2.0 + 1.0];
    assert_costs(cost, Cost::of(&written, &[1.0], 3, &told));
}
