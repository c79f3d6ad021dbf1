//! What was not published, or not answered, is asked for again.

use std::collections::HashSet;

use basket_service::store::Store;
use basket_service::sweep::Sweeper;
use deploy_local::{Event, EventTap};
use futures_util::future::{join_all, try_join_all};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::outbox::Publisher;
use shared::testing::Issuer;
use shared::testing::activity::Pending;
use shared::testing::faults::{Fate, Faults};

use crate::harness::{As, Plan, SOON, Shop, requested, to_berlin};

const ADA: As<'static> = As::Customer("ada");

async fn checked_out(shop: &Shop, who: As<'_>, key: &str) -> String {
    shop.add(who, "me", shop.catalog.sells(250), 1).await.expect(200);
    let accepted = shop.check_out(who, key, to_berlin()).await.expect(202);
    accepted["order_id"].as_str().unwrap().to_owned()
}

/// The events of this order, as soon as there are so many.
async fn published(shop: &Shop, tap: &EventTap, order_id: &str, at_least: usize) -> Vec<Event> {
    let check = async || {
        let mut events = tap.seen().await.unwrap();
        events.retain(|event| event.detail["data"]["order_id"] == order_id);
        if events.len() >= at_least {
            Ok(events)
        } else {
            Err(Pending::new(events.len()))
        }
    };
    let what = format!("{at_least} events of the order");
    shop.activity.wait_for(&what, SOON, check).await
}

fn entry_failed() -> Fate {
    Fate::Answered(
        200,
        json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "m"}]}),
    )
}

#[tokio::test]
async fn a_checkout_is_accepted_without_the_bus_and_published_when_it_is_back() {
    let faults = Faults::none();
    let plan = || Plan::behind(&faults).with("--checkout-retry-s=1");
    let shop = Shop::open_with(plan()).await;
    let tap = shop.deployment.tap().await.unwrap();
    for (key, fault) in [("away", Fate::Lost), ("entry-refused", entry_failed())] {
        faults.on("PutEvents", 1000, fault);
        let order_id = checked_out(&shop, ADA, key).await;
        assert!(
            tap.seen()
                .await
                .unwrap()
                .iter()
                .all(|event| event.detail["data"]["order_id"] != order_id)
        );
        faults.lift();
        requested(&tap, &order_id).await;
        shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
        shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    }
}

#[tokio::test]
async fn a_checkout_without_an_answer_is_asked_for_again_until_it_comes() {
    let plan = Plan::default()
        .with("--checkout-retry-s=1")
        .with("--checkout-valid-s=1");
    let shop = Shop::open_with(plan).await;
    let tap = shop.deployment.tap().await.unwrap();
    let order_id = checked_out(&shop, ADA, "k").await;
    // The third comes after its prices hold no longer: only the order service ends a checkout.
    let events = published(&shop, &tap, &order_id, 3).await;
    let same: HashSet<String> = events.iter().map(|event| event.detail.to_string()).collect();
    assert_eq!(same.len(), 1, "publishing again changes nothing of an event");
    shop.answer("OrderFailed", Shop::failed("ada", &order_id, "expired"))
        .await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(basket["lines"].as_array().unwrap().len(), 1);
    let item = shop.item("C#ada").await.unwrap();
    assert!(!item.contains_key("due_at") && !item.contains_key("due_shard") && !item.contains_key("under_way"));
}

#[tokio::test]
async fn a_killed_service_leaves_its_work_to_the_next() {
    let faults = Faults::none();
    let plan = || Plan::behind(&faults).with("--checkout-retry-s=1");
    let mut shop = Shop::open_with(plan()).await;
    let tap = shop.deployment.tap().await.unwrap();
    faults.on("PutEvents", 1000, Fate::Lost);
    let order_id = checked_out(&shop, ADA, "k").await;
    shop.stop().await;
    assert!(tap.seen().await.unwrap().is_empty());
    faults.lift();
    shop.start(plan()).await;
    requested(&tap, &order_id).await;
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(basket["checkout"]["order_id"], json!(order_id));
}

#[tokio::test]
async fn of_two_sweepers_one_asks_and_each_time_later() {
    let shop = Shop::open_with(
        Plan::default()
            .with("--sweep-interval-ms=600000")
            .with("--checkout-retry-s=1"),
    )
    .await;
    let order_id = checked_out(&shop, ADA, "k").await;
    let faults = Faults::none();
    let aws = shop.aws(&faults.outgoing()).await;
    let table = shop.deployment.setting("BASKETS_TABLE").unwrap().to_owned();
    let store = Store::new(aws.dynamodb(), table);
    let sweeper = Sweeper {
        store: store.clone(),
        publisher: Publisher::new(
            aws.eventbridge(),
            shop.deployment.setting("EVENT_BUS").unwrap().to_owned(),
        ),
        retry: SignedDuration::from_secs(1),
    };
    let id = basket_service::domain::BasketId::Customer("ada".parse().unwrap());
    let under_way = async || store.read(&id).await.unwrap().unwrap().under_way.unwrap();
    let mut pauses = Vec::new();
    for round in 1..=3 {
        let due_at = under_way().await.due_at;
        while let Ok(left) = std::time::Duration::try_from(due_at.duration_since(jiff::Timestamp::now()))
            && !left.is_zero()
        {
            tokio::time::sleep(left).await;
        }
        let before = faults.calls("PutEvents");
        let sweeps = (0..shared::due::SHARDS).flat_map(|shard| [sweeper.shard(shard), sweeper.shard(shard)]);
        try_join_all(sweeps).await.unwrap();
        assert_eq!(
            (faults.calls("PutEvents") - before, under_way().await.republished),
            (1, round)
        );
        pauses.push(under_way().await.due_at.duration_since(due_at).as_secs());
    }
    assert_eq!(under_way().await.checkout.order_id.to_string(), order_id);
    assert!(pauses.is_sorted() && pauses[0] >= 2 && pauses[2] >= 8, "{pauses:?}");
}

#[tokio::test]
async fn checkouts_under_way_are_listed_page_by_page() {
    let shop = Shop::open().await;
    let token = Issuer::shared().service("internal/read");
    let reader = As::Token(&token);
    let names: Vec<String> = (0..7).map(|n| format!("customer-{n}")).collect();
    let mut expected = HashSet::new();
    for order_id in join_all(names.iter().map(|name| checked_out(&shop, As::Customer(name), "k"))).await {
        expected.insert(order_id);
    }
    let (mut seen, mut path, mut pages) = (Vec::new(), "/internal/v1/checkouts?limit=2".to_owned(), 0);
    let cursor = loop {
        let answer = shop.get(reader, &path).await;
        let page = answer.expect(200);
        pages += 1;
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["order_id"].as_str().unwrap().to_owned()),
        );
        assert!(page["data"].as_array().unwrap().len() <= 2);
        assert!(
            !answer.text.contains("Berlin") && !answer.text.contains("pm_card"),
            "{}",
            answer.text
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert_eq!(answer.header("link"), None);
            break path.rsplit('=').next().unwrap().to_owned();
        };
        path = format!("/internal/v1/checkouts?limit=2&cursor={cursor}");
        assert_eq!(answer.header("link"), Some(format!("<{path}>; rel=\"next\"").as_str()));
    };
    assert_eq!((seen.len(), pages >= 4), (7, true));
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), expected);
    let altered = format!("/internal/v1/checkouts?cursor={}A", &cursor[..cursor.len() - 1]);
    shop.get(reader, &altered).await.refused(400, "invalid_cursor");
    let problem: Value = shop
        .get(reader, "/internal/v1/checkouts?limit=0&page=2")
        .await
        .refused(400, "invalid_request");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
}
