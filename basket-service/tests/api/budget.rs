//! What each operation costs: round trips, read units and write units, exactly. A change that makes
//! one of them dearer fails here.

use basket_service::domain::BasketId;
use basket_service::store::{Answered, Due, Store};
use basket_service::sweep::Sweeper;
use deploy_local::Cloud;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::capacity::{Bill, Consumed, units};
use shared::contract::order::FailureReason;
use shared::outbox::Publisher;

use crate::harness::{As, Plan, Shop, to_berlin};

const ADA: As<'static> = As::Customer("ada");

/// Without a sweeper or a consumer that would be in the way.
async fn quiet() -> Shop {
    Shop::open_with(Plan::default().with("--sweep-interval-ms=600000")).await
}

#[tokio::test]
async fn a_basket_costs_what_it_may() {
    let shop = quiet().await;
    let (tea, pot) = (shop.catalog.sells(250), shop.catalog.sells(100));
    let path = "/v1/baskets/me";
    assert_eq!(
        shop.get(ADA, path).await.bill(),
        ("1", "1", "0"),
        "read one that never was"
    );
    assert_eq!(shop.add(ADA, "me", tea, 1).await.bill(), ("1", "0", "1"), "first add");
    assert_eq!(shop.add(ADA, "me", pot, 1).await.bill(), ("1", "0", "1"), "add a line");
    assert_eq!(
        shop.add(ADA, "me", tea, 1).await.bill(),
        ("1", "0", "1"),
        "add to a line"
    );
    assert_eq!(shop.set(ADA, "me", tea, 5).await.bill(), ("1", "0", "1"), "set");
    assert_eq!(
        shop.set(ADA, "me", shop.catalog.sells(1), 5).await.bill(),
        ("1", "0", "1"),
        "set a new line"
    );
    assert_eq!(shop.get(ADA, path).await.bill(), ("1", "1", "0"), "read, strongly");
    let removed = shop.delete(ADA, &format!("{path}/items/{pot}")).await;
    assert_eq!(removed.bill(), ("1", "0", "1"), "remove");
    assert_eq!(
        shop.set(ADA, "me", tea, 0).await.bill(),
        ("1", "0", "1"),
        "set to nothing"
    );
    assert_eq!(shop.delete(ADA, path).await.bill(), ("2", "1", "1"), "empty");
    let made = shop.send(As::Nobody, reqwest::Method::POST, "/v1/baskets", None).await;
    assert_eq!(made.bill(), ("1", "0", "1"), "a guest's");
}

#[tokio::test]
async fn a_merge_costs_what_it_may() {
    let shop = quiet().await;
    let tea = shop.catalog.sells(250);
    shop.add(ADA, "me", tea, 1).await.expect(200);
    let guest = shop.guest().await;
    shop.add(As::Nobody, &guest, tea, 1).await.expect(200);
    let merge = || shop.post(ADA, "/v1/baskets/me/merge", json!({"from": guest}));
    for (round_trips, written) in [("2", "4"), ("1", "0")] {
        let merged = merge().await;
        let (actual_trips, read, actual_written) = merged.bill();
        assert_eq!((actual_trips, actual_written), (round_trips, written));
        // What ministack says of a batch is wrong; dynoxide and DynamoDB say it right.
        if Cloud::for_tests().tables_url() != Cloud::for_tests().ministack_url() {
            assert_eq!(read, "2");
        }
    }
}

#[tokio::test]
async fn a_checkout_costs_what_it_may() {
    let shop = quiet().await;
    shop.add(ADA, "me", shop.catalog.sells(250), 1).await.expect(200);
    assert_eq!(shop.check_out(ADA, "k", to_berlin()).await.bill(), ("2", "1", "2"));
    assert_eq!(
        shop.check_out(ADA, "k", to_berlin()).await.bill(),
        ("1", "1", "0"),
        "again"
    );
    let refused = shop.check_out(ADA, "k2", to_berlin()).await;
    assert_eq!(refused.bill(), ("1", "1", "0"), "refused");
}

#[tokio::test]
async fn settling_giving_back_and_sweeping_cost_what_they_may() {
    let shop = quiet().await;
    let tap = shop.deployment.tap().await.unwrap();
    let aws = shop.aws(&shared::outgoing::Outgoing::new().unwrap()).await;
    let store = Store::new(
        aws.dynamodb(),
        shop.deployment.setting("BASKETS_TABLE").unwrap().to_owned(),
    );
    let tea = shop.catalog.sells(250);
    let now = Timestamp::now();
    let customer = "ada".parse().unwrap();
    let id = BasketId::Customer("ada".parse().unwrap());
    for (key, placed) in [("settle", true), ("give-back", false)] {
        shop.set(ADA, "me", tea, 1).await.expect(200);
        let accepted = shop.check_out(ADA, key, to_berlin()).await.expect(202);
        let order_id = accepted["order_id"].as_str().unwrap();
        let event = crate::harness::requested(&tap, order_id).await;
        let lines = serde_json::from_value(event.detail["data"]["lines"].clone()).unwrap();
        let (order_id, lines) = (order_id.parse().unwrap(), basket_service::events::returned(lines));
        let at = store.read(&id).await.unwrap().unwrap().under_way.unwrap().due_at;
        let (bill, due) = (Bill::default(), Due { id: id.clone(), at });
        let leased = bill
            .clone()
            .scope(store.lease(&due, |under_way| under_way.due_at + SignedDuration::from_secs(1)));
        assert!(leased.await.unwrap().is_some());
        assert_eq!(told(bill.consumed()), (2, "1".to_owned(), "3".to_owned()), "ask again");
        let bill = Bill::default();
        let answered = bill.clone().scope(async {
            if placed {
                store.settle(&customer, order_id, now).await
            } else {
                store
                    .give_back(&customer, order_id, FailureReason::Declined, lines, now)
                    .await
            }
        });
        assert_eq!(answered.await.unwrap(), Answered::Settled);
        assert_eq!(told(bill.consumed()), (1, "0".to_owned(), "2".to_owned()), "{key}");
    }

    let sweeper = Sweeper {
        store,
        publisher: Publisher::new(
            aws.eventbridge(),
            shop.deployment.setting("EVENT_BUS").unwrap().to_owned(),
        ),
        retry: SignedDuration::from_secs(30),
    };
    let bill = Bill::default();
    for shard in 0..shared::due::SHARDS {
        bill.clone().scope(sweeper.shard(shard)).await.unwrap();
    }
    assert_eq!(
        told(bill.consumed()),
        (8, "4".to_owned(), "0".to_owned()),
        "a sweep with nothing due"
    );
}

#[tokio::test]
async fn a_purchase_of_three_lines_costs_little_also_after_ten_others() {
    let shop = Shop::open().await;
    let mut figures = Vec::new();
    for n in 0..12 {
        let mut written = 0.0;
        for _ in 0..3 {
            let answer = shop.add(ADA, "me", shop.catalog.sells(250), 2).await;
            written += answer.bill().2.parse::<f64>().unwrap();
        }
        let accepted = shop.check_out(ADA, &format!("k{n}"), to_berlin()).await;
        written += accepted.bill().2.parse::<f64>().unwrap();
        let order_id = accepted.expect(202)["order_id"].as_str().unwrap().to_owned();
        shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
        shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
        figures.push(written);
    }
    // 3 adds of 1, and a checkout of 2 KB at most with its index entry.
    assert!(figures[0] <= 6.0, "{figures:?}");
    // What the last ten keys remember makes the item larger, and no more than that.
    assert!(figures[11] <= 13.0 && figures[10] == figures[11], "{figures:?}");
    println!("write units of gathering and checking out three lines, once to twelve times: {figures:?}");
}

fn told(consumed: Consumed) -> (u64, String, String) {
    (
        consumed.round_trips,
        units(consumed.milli_rcu),
        units(consumed.milli_wcu),
    )
}
