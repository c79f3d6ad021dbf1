//! What each route may cost: round trips, read units, write units. A row that changes here changes the
//! bill of whoever runs it.

use deploy_local::Cloud;
use serde_json::{Value, json};
use shared::testing::faults::Faults;
use uuid::Uuid;

use crate::harness::{Answer, Shop, tea, with};

/// No sweep in between: it has a bill of its own.
async fn shop() -> Shop {
    Shop::open_with(Faults::none(), &["--sweep-every-ms=600000"]).await
}

#[track_caller]
fn costs(answer: &Answer, round_trips: u64, rcu: f64, wcu: f64) {
    assert!(answer.status.is_success(), "{}", answer.text);
    assert_eq!(answer.bill().0, round_trips);
    if units_are_right() {
        assert_eq!(answer.bill(), (round_trips, rcu, wcu));
    }
}

/// What ministack says of single reads and batches is wrong; dynoxide and DynamoDB say it right.
fn units_are_right() -> bool {
    let cloud = Cloud::for_tests();
    cloud.tables_url() != cloud.ministack_url()
}

#[tokio::test]
async fn reading_a_product_costs_one_strong_read() {
    let shop = shop().await;
    let id = shop.product("TEA-1", 5).await;
    costs(&shop.get(&format!("/v1/products/{id}")).await, 1, 1.0, 0.0);
    let missing = shop.get(&format!("/v1/products/{}", Uuid::new_v4())).await;
    assert_eq!(missing.bill().0, 1);
}

#[tokio::test]
async fn creating_a_product_costs_a_transaction_and_the_outbox() {
    let shop = shop().await;
    // The transaction: 2 each for document, stock and outbox, 1 for each index entry; the outbox
    // cleared: the item and its entry.
    costs(&shop.post("/v1/products", &tea("TEA-1")).await, 2, 0.0, 11.0);
}

#[tokio::test]
async fn changing_a_product_costs_a_read_a_transaction_and_the_outbox() {
    let shop = shop().await;
    let id = shop.product("TEA-1", 5).await;
    let path = format!("/v1/products/{id}");
    let patch = async |body: Value| shop.patch(&path, "*", &body).await;
    costs(&patch(json!({"description": "d"})).await, 3, 0.5, 9.0);
    // Another price is another place in one index.
    costs(&patch(json!({"price": {"amount_minor": 5}})).await, 3, 0.5, 10.0);
    // Above the budget's 11: another name is another place in three lists, and the stock knows it.
    costs(&patch(json!({"name": "Assam"})).await, 3, 0.5, 14.0);
    // A document of 3 KB.
    costs(&patch(json!({"description": "d".repeat(2_200)})).await, 3, 0.5, 13.0);
    // What changes nothing is read strongly, to be sure.
    costs(&patch(json!({})).await, 2, 1.5, 0.0);
    // It leaves every list.
    costs(&shop.delete(&path, "*").await, 3, 0.5, 16.0);
}

#[tokio::test]
async fn counting_and_adjusting_stock_costs_one_write() {
    let shop = shop().await;
    let id = shop.product("TEA-1", 5).await;
    costs(&shop.count(&id, 8).await, 1, 0.0, 1.0);
    for n in 0..20 {
        costs(&shop.adjust(&id, &format!("key-{n}"), 1).await, 1, 0.0, 1.0);
    }
    // Empty: the try that is refused, the transaction with the event, its clearing.
    costs(&shop.count(&id, 0).await, 3, 0.0, 8.0);
    costs(&shop.adjust(&id, "more", 1).await, 3, 0.0, 8.0);
}

#[tokio::test]
async fn a_reservation_costs_its_lines_and_itself() {
    let shop = shop().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(shop.product(&format!("S-{n}"), 10).await);
    }
    let lines: Vec<_> = ids.iter().map(|id| (id.as_str(), 2)).collect();
    let order = Uuid::new_v4();
    // 2 (3 + 1) + 1: three stocks, the reservation, its entry in `due`.
    costs(&shop.hold(order, &lines).await, 1, 0.0, 9.0);
    costs(&shop.commit(order).await, 2, 1.0, 9.0);
    // Nothing is due any more.
    costs(&shop.release(order).await, 2, 1.0, 8.0);
    costs(&shop.release(order).await, 1, 1.0, 0.0);
    let other = Uuid::new_v4();
    shop.hold(other, &lines).await;
    costs(&shop.release(other).await, 2, 1.0, 9.0);
    // A refusal is one round trip; its units are billed but not told.
    let refused = shop.hold(Uuid::new_v4(), &[(&ids[0], 11)]).await;
    assert_eq!((refused.status.as_u16(), refused.bill().0), (409, 1));
    // The last piece: refused once, then with the event, which is cleared.
    let last = shop.hold(Uuid::new_v4(), &[(&ids[0], 10)]).await;
    assert_eq!((last.status.as_u16(), last.bill().0), (201, 3));
}

#[tokio::test]
async fn products_by_id_cost_one_read_unit_each_and_a_round_trip_for_fifty() {
    let shop = shop().await;
    let body: String = deploy_local::catalog::ndjson(deploy_local::catalog::generated(100)).collect();
    shop.import(&body).await;
    let listed = shop.get("/v1/products?limit=100").await.json();
    let ids: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["id"].as_str().unwrap())
        .collect();
    let by_id = async |n: usize| shop.get(&format!("/v1/products?ids={}", ids[..n].join(","))).await;
    costs(&by_id(3).await, 1, 3.0, 0.0);
    costs(&by_id(50).await, 1, 50.0, 0.0);
    costs(&by_id(100).await, 2, 100.0, 0.0);
}

#[tokio::test]
async fn a_page_of_twenty_costs_the_same_in_a_catalog_of_any_size() {
    let shop = shop().await;
    let row = |n: u32| {
        let product = with(
            tea(&format!("T-{n:05}")),
            json!({"name": format!("Tea number {n:05}"), "on_hand": 3}),
        );
        format!("{product}\n")
    };
    let lists = ["", "?category=Tea", "?category=Tea&sort=price"];
    let mut bills = Vec::new();
    for size in [0..100, 100..2_000] {
        shop.import(&size.map(row).collect::<String>()).await;
        for list in lists {
            let page = shop.get(&format!("/v1/products{list}")).await;
            assert_eq!(page.json()["data"].as_array().unwrap().len(), 20);
            let (round_trips, rcu, wcu) = page.bill();
            let cheap = (0.5..=2.5).contains(&rcu) && wcu == 0.0;
            assert!(
                round_trips == 1 && (cheap || !units_are_right()),
                "{list}: {:?}",
                page.bill()
            );
            bills.push(page.bill());
        }
        let expanded = shop.get("/v1/products?category=Tea&expand=availability").await;
        let in_stock = shop.get("/v1/products?category=Tea&in_stock=true").await;
        for page in [expanded, in_stock] {
            let (round_trips, rcu, wcu) = page.bill();
            assert!(round_trips == 2 && rcu <= 12.5 && wcu == 0.0, "{:?}", page.bill());
            bills.push(page.bill());
        }
    }
    let (small, large) = bills.split_at(5);
    assert_eq!(small, large);
}

#[tokio::test]
async fn a_sweep_with_nothing_due_costs_half_a_unit_a_shard() {
    let faults = Faults::none();
    let shop = Shop::open_with(faults.clone(), &["--sweep-every-ms=100"]).await;
    shop.eventually("it swept twice", async || faults.calls("Query") >= 16)
        .await;
    drop(shop);
    let others = ["UpdateItem", "TransactWriteItems", "BatchGetItem", "Scan", "DeleteItem"];
    assert!(others.iter().all(|operation| faults.calls(operation) == 0));
    assert_eq!(faults.calls("GetItem"), 1);
}
