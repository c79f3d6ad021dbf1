//! What is told on the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use deploy_local::{Event, EventTap};
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{SOON, Shop, tea, with};

async fn told(tap: &EventTap, name: &str) -> Value {
    let found = tap.wait_for(SOON, |event| event.detail_type == name).await.unwrap();
    assert_eq!(found.source, "product-service");
    found.detail
}

fn named<'a>(events: &'a [Event], name: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.detail_type == name).collect()
}

#[tokio::test]
async fn the_catalogs_changes_are_told_with_old_and_new() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let id = shop.product("TEA-1", 0).await;
    let path = format!("/v1/products/{id}");

    let created = told(&tap, "ProductCreated").await;
    assert_eq!(created["correlation_id"], json!(id));
    assert_eq!((&created["version"], &created["sequence"]), (&json!(1), &json!(1)));
    assert_eq!(created["data"]["product"]["sku"], "TEA-1");
    assert_eq!(created["data"]["product_id"], json!(id));

    shop.patch(&path, "*", &json!({"price": {"amount_minor": 899}, "description": "d"}))
        .await;
    let changed = told(&tap, "ProductChanged").await;
    assert_eq!(changed["sequence"], 2);
    assert_eq!(changed["data"]["changed"], json!(["description", "price"]));
    assert_eq!(changed["data"]["old"]["price"]["amount_minor"], 799);
    assert_eq!(changed["data"]["new"]["price"]["amount_minor"], 899);

    shop.delete(&path, "*").await;
    let archived = told(&tap, "ProductArchived").await;
    assert_eq!(archived["sequence"], 3);
    assert_eq!(tap.seen().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_stock_that_runs_out_and_fills_again_tells_so_exactly_once_each_time() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let id = shop.product("TEA-1", 3).await;
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let listed = async || {
        let list = shop.get("/v1/products?category=Tea&in_stock=true").await.json();
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(listed().await, 1);
    shop.hold(one, &[(&id, 1)]).await;
    assert_eq!(listed().await, 1);
    shop.hold(two, &[(&id, 2)]).await;
    assert_eq!(listed().await, 0);
    // Sold is not there again.
    shop.commit(one).await;
    assert_eq!(listed().await, 0);
    shop.release(two).await;
    assert_eq!(listed().await, 1);
    shop.adjust(&id, "k", -2).await;
    assert_eq!(listed().await, 0);
    shop.release(one).await;
    assert_eq!(listed().await, 1);
    shop.count(&id, 0).await;

    tap.wait_for(SOON, |event| {
        event.detail_type == "StockDepleted" && event.detail["sequence"] == 6
    })
    .await
    .unwrap();
    let seen = tap.seen().await.unwrap();
    let of = |name| -> Vec<_> {
        named(&seen, name)
            .iter()
            .map(|e| e.detail["sequence"].as_u64().unwrap())
            .collect()
    };
    // In the order of the crossings, which take turns.
    assert_eq!(of("StockAvailable"), [1, 3, 5]);
    assert_eq!(of("StockDepleted"), [2, 4, 6]);
    let pieces: Vec<_> = named(&seen, "StockAvailable")
        .iter()
        .map(|e| e.detail["data"]["available"].clone())
        .collect();
    assert_eq!(pieces, [json!(3), json!(2), json!(1)]);
}

#[tokio::test]
async fn many_who_take_the_last_pieces_deplete_it_once() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let id = shop.product("TEA-1", 10).await;
    let lines = [(id.as_str(), 1)];
    let all = futures_util::future::join_all((0..16).map(|_| shop.hold(Uuid::new_v4(), &lines))).await;
    assert_eq!(all.iter().filter(|a| a.status == 201).count(), 10);
    told(&tap, "StockDepleted").await;
    assert_eq!(named(&tap.seen().await.unwrap(), "StockDepleted").len(), 1);
}

#[tokio::test]
async fn what_the_bus_did_not_take_the_sweeper_publishes() {
    let away = Arc::new(AtomicBool::new(true));
    let bus = Arc::clone(&away);
    let faults = Faults::when(move |call| {
        let down = call.name == "PutEvents" && bus.load(Ordering::SeqCst);
        if down { Fate::Failed } else { Fate::Passes }
    });
    let shop = Shop::open_with(faults, &["--outbox-due-ms=200"]).await;
    let tap = shop.deployment.tap().await.unwrap();
    let id = shop.product("TEA-1", 1).await;
    let path = format!("/v1/products/{id}");
    shop.patch(&path, "*", &json!({"name": "New"})).await;
    let order = Uuid::new_v4();
    assert_eq!(shop.hold(order, &[(&id, 1)]).await.status, 201);
    assert_eq!(shop.commit(order).await.status, 200);
    assert!(tap.seen().await.unwrap().is_empty());
    away.store(false, Ordering::SeqCst);
    // The lease of a try that failed has to end first.
    let within = Duration::from_secs(60);
    for name in ["ProductCreated", "StockAvailable", "ProductChanged", "StockDepleted"] {
        tap.wait_for(within, |event| event.detail_type == name).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_killed_process_left_the_next_one_publishes() {
    let faults = Faults::when(|call| {
        // The process dies before it has told, or before it has noted that it told.
        let told = ["PutEvents", "DeleteItem"].contains(&call.name);
        if told { Fate::Failed } else { Fate::Passes }
    });
    let mut shop = Shop::open_with(faults, &["--outbox-due-ms=10", "--sweep-every-ms=600000"]).await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.product("TEA-1", 0).await;
    shop.stop().await;
    shop.start(&Faults::none(), &[]).await;
    told(&tap, "ProductCreated").await;
}

#[tokio::test]
async fn an_event_told_twice_is_the_same_event() {
    let faults = Faults::when(|call| {
        let noted = call.name == "DeleteItem" && call.number < 3;
        if noted { Fate::Failed } else { Fate::Passes }
    });
    let shop = Shop::open_with(faults, &["--outbox-due-ms=10"]).await;
    let tap = shop.deployment.tap().await.unwrap();
    shop.product("TEA-1", 0).await;
    shop.eventually("it is told again", async || {
        named(&tap.seen().await.unwrap(), "ProductCreated").len() > 1
    })
    .await;
    let seen = tap.seen().await.unwrap();
    let same = |name: &str| seen.iter().all(|event| event.detail[name] == seen[0].detail[name]);
    assert!(same("id") && same("time") && same("sequence"));
}

#[tokio::test]
async fn an_import_tells_of_every_row_that_changed() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let rows = |n: u32, name: &str| {
        format!(
            "{}\n",
            with(tea(&format!("T-{n}")), json!({"name": name, "on_hand": 1}))
        )
    };
    shop.import(&(0..30).map(|n| rows(n, "a")).collect::<String>()).await;
    shop.import(
        &(0..30)
            .map(|n| rows(n, if n < 5 { "b" } else { "a" }))
            .collect::<String>(),
    )
    .await;
    shop.eventually("everything is told", async || {
        let seen = tap.seen().await.unwrap();
        ["ProductCreated", "StockAvailable", "ProductChanged"].map(|name| named(&seen, name).len()) == [30, 30, 5]
    })
    .await;
}

#[tokio::test]
async fn what_nobody_can_read_keeps_nothing_else_from_being_told_and_is_parked() {
    let faults = Faults::when(|call| {
        let told = call.name == "PutEvents" && call.number == 0;
        if told { Fate::Failed } else { Fate::Passes }
    });
    let shop = Shop::open_with(faults, &["--outbox-due-ms=10", "--sweep-every-ms=100"]).await;
    let tap = shop.deployment.tap().await.unwrap();
    let tables = shop.deployment.dynamodb();
    let table = shop.deployment.setting("PRODUCTS_TABLE").unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |n: i64| AttributeValue::N(n.to_string());
    let broken = format!("PRODUCT#{}", Uuid::new_v4());
    for shard in 0..8 {
        // Of a release to come, and of none.
        for (pk, sk) in [(format!("COUPON#{shard}"), "COUPON"), (broken.clone(), "OUTBOX")] {
            tables
                .put_item()
                .table_name(table)
                .item("pk", text(&pk))
                .item("sk", text(sk))
                .item("events", text("nonsense"))
                .item("attempts", number(99))
                .item("due_shard", number(shard))
                .item("due_at", number(1))
                .send()
                .await
                .unwrap();
        }
    }
    shop.product("TEA-1", 0).await;
    told(&tap, "ProductCreated").await;
    let item = async || {
        let request = tables.get_item().table_name(table).consistent_read(true);
        let request = request.key("pk", text(&broken)).key("sk", text("OUTBOX"));
        request.send().await.unwrap().item.unwrap()
    };
    shop.eventually("it is parked", async || item().await.contains_key("parked_at"))
        .await;
    let parked = item().await;
    assert!(!parked.contains_key("due_at") && parked.contains_key("events"));
}
