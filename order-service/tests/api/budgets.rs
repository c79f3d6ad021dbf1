//! What each operation may cost, exactly.

use deploy_local::Cloud;
use serde_json::{Value, json};
use shared::testing::activity::Pending;

use crate::harness::{SOON, Service, Shop, customer};

fn figures(answer: &reqwest::Response) -> (String, String, String) {
    let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
    (
        header("x-round-trips"),
        header("x-consumed-rcu"),
        header("x-consumed-wcu"),
    )
}

/// Round trips and units are as they should be.
fn assert_cost(answer: &reqwest::Response, round_trips: u32, rcu: &str, wcu: &str) {
    let (trips, read, written) = figures(answer);
    assert_eq!(trips, round_trips.to_string());
    if figures_hold() {
        assert_eq!((read.as_str(), written.as_str()), (rcu, wcu));
    }
}

/// The tables' own emulator tells units as DynamoDB does; ministack's figures are not right.
pub(crate) fn figures_hold() -> bool {
    let cloud = Cloud::for_tests();
    cloud.tables_url() != cloud.ministack_url()
}

/// Write units that the table charged, for each write.
pub(crate) fn written(service: &Service) -> Vec<f64> {
    let charges = service.faults.charges(&["PutItem", "UpdateItem"]);
    charges.iter().map(|charge| charge.write).collect()
}

#[tokio::test]
async fn a_confirmed_order_takes_four_writes_and_four_times_its_size_and_five_units() {
    let (shop, service) = Shop::with_service().await;
    let tea = shop.products.add(500, 100);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    shop.settled(&checkout["order_id"]).await;
    let written = written(&service);
    assert_eq!(written.len(), 4, "{written:?}");
    if !figures_hold() {
        return;
    }
    // Its item grows from under 1 KB to under 2 KB. Creating: an entry each in by_customer and due.
    // Deciding: no index. Confirming: by_customer and by_status. Clearing the outbox: due.
    assert_eq!(written, [1.0 + 2.0, 1.0, 2.0 + 2.0, 2.0 + 1.0]);
    assert!(written.iter().sum::<f64>() <= 4.0 * 2.0 + 5.0);
}

#[tokio::test]
async fn a_sweep_with_nothing_due_takes_eight_reads_of_half_a_unit() {
    let shop = Shop::open().await;
    let service = shop.start(&[("SWEEP_MS", "60000")]);
    let check = async || match service.faults.charges(&["Query"]).len() {
        queries @ ..8 => Err(Pending::new(queries)),
        _ => Ok(()),
    };
    shop.activity.wait_for("whole sweep", SOON, check).await;
    if figures_hold() {
        let queried = service.faults.charges(&["Query"]);
        assert_eq!(queried.iter().map(|charge| charge.read).collect::<Vec<_>>(), [0.5; 8]);
    }
}

#[tokio::test]
async fn placing_reading_and_listing_keep_their_budgets() {
    let shop = Shop::open().await;
    let service = shop.start(&[("ORDER_GRACE_S", "600")]);
    let tea = shop.products.add(500, 100);
    let ada = customer("ada");
    let body =
        json!({"customer_id": "me", "items": [{"product_id": tea, "quantity": 1}], "payment_token": "pm_card_visa"});
    let created = service.try_order(&ada, "a-key", &body).await;
    // Up to 1 KB of item, and an entry each in by_customer and due.
    assert_cost(&created, 1, "0", "3");
    let order: Value = created.json().await.unwrap();
    // A refused write tells no units.
    let replayed = service.try_order(&ada, "a-key", &body).await;
    assert_cost(&replayed, 1, "0", "0");

    let path = format!("/v1/orders/{}", order["id"].as_str().unwrap());
    let read = service.get(&path, &ada).send().await.unwrap();
    assert_cost(&read, 1, "1", "0");

    for n in 0..24 {
        assert_eq!(service.try_order(&ada, &format!("key-{n}"), &body).await.status(), 201);
    }
    let page = service.get("/v1/orders?customer_id=me", &ada).send().await.unwrap();
    // 21 summaries of less than 400 bytes.
    assert_cost(&page, 1, "1", "0");
}
