//! What fails between the service and its table: one effect, a right answer, and never a wrong one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use shared::testing::faults::{Fate, Faults};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::harness::{Answer, As, Shop, sent, tea};

/// Loses the answer of the first call of each operation while it is armed.
struct Loss {
    armed: Arc<AtomicBool>,
}

impl Loss {
    fn of(operation: &'static str) -> (Self, Faults) {
        let armed = Arc::new(AtomicBool::new(false));
        let trigger = Arc::clone(&armed);
        let faults = Faults::when(move |call| {
            let lost = call.name == operation && trigger.swap(false, Ordering::SeqCst);
            if lost { Fate::AnswerLost } else { Fate::Passes }
        });
        (Self { armed }, faults)
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    fn has_struck(&self) -> bool {
        !self.armed.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_one_product() {
    let (loss, faults) = Loss::of("TransactWriteItems");
    let shop = Shop::open_with(faults, &[]).await;
    loss.arm();
    let created = shop.post("/v1/products", &tea("TEA-1")).await;
    assert!(loss.has_struck());
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(shop.get(created.header("location")).await.json()["version"], 1);
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_one_change() {
    let (loss, faults) = Loss::of("TransactWriteItems");
    let shop = Shop::open_with(faults, &[]).await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 0).await);
    loss.arm();
    let changed = shop.patch(&path, "\"1.1.0\"", &json!({"name": "New"})).await;
    assert!(loss.has_struck());
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(shop.get(&path).await.json()["version"], 2);
}

#[tokio::test]
async fn an_adjustment_whose_answer_is_lost_is_made_once() {
    let (loss, faults) = Loss::of("UpdateItem");
    let shop = Shop::open_with(faults, &[]).await;
    let id = shop.product("TEA-1", 5).await;
    loss.arm();
    let adjusted = shop.adjust(&id, "key", 10).await;
    assert!(loss.has_struck());
    assert_eq!(
        (adjusted.status.as_u16(), &adjusted.json()["on_hand"]),
        (200, &json!(15))
    );
    assert_eq!(shop.available(&id).await, 15);
}

#[tokio::test]
async fn count_with_lost_response_is_applied_once() {
    let (loss, faults) = Loss::of("UpdateItem");
    let shop = Shop::open_with(faults, &[]).await;
    let path = format!("/v1/products/{}", shop.product("TEA-1", 5).await);
    loss.arm();
    let counted = shop
        .put(&format!("{path}/stock"), "\"1.2.5\"", &json!({"on_hand": 8}))
        .await;
    assert!(loss.has_struck());
    assert_eq!(counted.status, StatusCode::OK, "{}", counted.text);
    assert_eq!(counted.json()["version"], 3);
    assert_eq!(shop.get(&path).await.header("etag"), "\"1.3.8\"");
}

#[tokio::test]
async fn holds_sales_and_returns_whose_answers_are_lost_move_stock_once() {
    let (loss, faults) = Loss::of("TransactWriteItems");
    let shop = Shop::open_with(faults, &[]).await;
    let id = shop.product("TEA-1", 5).await;
    let order = Uuid::new_v4();
    loss.arm();
    let held = shop.hold(order, &[(&id, 2)]).await;
    assert!(loss.has_struck());
    assert_eq!(held.status, StatusCode::CREATED, "{}", held.text);
    assert_eq!(shop.available(&id).await, 3);
    loss.arm();
    assert_eq!(shop.commit(order).await.json()["state"], "committed");
    loss.arm();
    assert_eq!(shop.release(order).await.json()["state"], "returned");
    assert!(loss.has_struck());
    assert_eq!(shop.available(&id).await, 5);
}

#[tokio::test]
async fn a_hold_that_nobody_heard_of_is_found_when_it_is_asked_for_again() {
    // Every try of the first hold arrives, and no answer comes back.
    let deaf = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&deaf);
    let faults = Faults::when(move |call| {
        let lost = call.name == "TransactWriteItems" && trigger.load(Ordering::SeqCst);
        if lost { Fate::AnswerLost } else { Fate::Passes }
    });
    let shop = Shop::open_with(faults, &[]).await;
    let id = shop.product("TEA-1", 5).await;
    let order = Uuid::new_v4();
    deaf.store(true, Ordering::SeqCst);
    assert_eq!(
        shop.hold(order, &[(&id, 4)]).await.problem(),
        (503, "unavailable".to_owned())
    );
    deaf.store(false, Ordering::SeqCst);
    assert_eq!(shop.hold(order, &[(&id, 4)]).await.status, StatusCode::OK);
    assert_eq!(shop.stock(&id).await["reserved"], 4);
}

/// Every write of stock and products, as often as it is tried.
async fn writes(shop: &Shop, id: &str, held: Uuid) -> Vec<Answer> {
    let path = format!("/v1/products/{id}");
    vec![
        shop.post("/v1/products", &tea("TEA-2")).await,
        shop.put(
            &path,
            "*",
            &crate::harness::with(tea("TEA-1"), json!({"name": "Other"})),
        )
        .await,
        shop.patch(&path, "*", &json!({"name": "New"})).await,
        shop.delete(&path, "*").await,
        shop.count(id, 9).await,
        shop.adjust(id, "key", 1).await,
        shop.hold(Uuid::new_v4(), &[(id, 1)]).await,
        shop.commit(held).await,
        shop.release(held).await,
        shop.release(Uuid::new_v4()).await,
    ]
}

async fn refused_writes(fate: Fate) {
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let faults = Faults::when(move |call| {
        let write = ["TransactWriteItems", "UpdateItem"].contains(&call.name);
        if write && trigger.load(Ordering::SeqCst) {
            fate.clone()
        } else {
            Fate::Passes
        }
    });
    let shop = Shop::open_with(faults, &["--sweep-every-ms=600000"]).await;
    let id = shop.product("TEA-1", 5).await;
    let held = Uuid::new_v4();
    shop.hold(held, &[(&id, 1)]).await;
    armed.store(true, Ordering::SeqCst);
    for answer in writes(&shop, &id, held).await {
        assert_eq!(answer.problem(), (503, "unavailable".to_owned()));
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.text.contains("secret"), "{}", answer.text);
    }
    armed.store(false, Ordering::SeqCst);
    assert_eq!(shop.stock(&id).await["reserved"], 1);
    for answer in writes(&shop, &id, held).await {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
}

#[tokio::test]
async fn lasting_contention_is_busy_and_never_missing_or_refused() {
    refused_writes(Fate::Conflict).await;
}

#[tokio::test]
async fn a_throttled_table_is_busy_and_never_missing_or_refused() {
    refused_writes(Fate::Throttled).await;
}

#[tokio::test]
async fn a_table_that_fails_tells_nobody_why() {
    refused_writes(Fate::Failed).await;
}

#[tokio::test]
async fn contention_that_passes_is_not_noticed() {
    // Every second write meets somebody else.
    let faults = Faults::when(|call| {
        let write = ["TransactWriteItems", "UpdateItem"].contains(&call.name);
        if write && call.number % 2 == 0 {
            Fate::Conflict
        } else {
            Fate::Passes
        }
    });
    let shop = Shop::open_with(faults, &["--sweep-every-ms=600000"]).await;
    let id = shop.product("TEA-1", 5).await;
    let held = Uuid::new_v4();
    assert_eq!(shop.hold(held, &[(&id, 1)]).await.status, StatusCode::CREATED);
    for answer in writes(&shop, &id, held).await {
        assert!(answer.status.is_success(), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_away_and_nothing_is_missing() {
    let armed = Arc::new(AtomicBool::new(false));
    let trigger = Arc::clone(&armed);
    let faults = Faults::when(move |_| {
        if trigger.load(Ordering::SeqCst) {
            Fate::Failed
        } else {
            Fate::Passes
        }
    });
    let shop = Shop::open_with(faults, &["--sweep-every-ms=600000"]).await;
    let id = shop.product("TEA-1", 5).await;
    armed.store(true, Ordering::SeqCst);
    for path in [
        format!("/v1/products/{id}"),
        format!("/v1/products?ids={id}"),
        "/v1/products".to_owned(),
        "/v1/products?category=Tea".to_owned(),
        "/v1/products?category=Tea&in_stock=true".to_owned(),
        "/readyz".to_owned(),
    ] {
        let answer = shop.get(&path).await;
        assert_eq!(answer.problem(), (503, "unavailable".to_owned()), "{path}");
        assert!(
            !answer.text.contains("secret") && !answer.text.contains("Internal"),
            "{}",
            answer.text
        );
    }
    assert_eq!(shop.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_ends_well() {
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let faults = Faults::when(move |call| match call.name {
        "TransactWriteItems" => {
            tell.notify_one();
            Fate::Slow(Duration::from_millis(500))
        }
        _ => Fate::Passes,
    });
    let mut shop = Shop::open_with(faults, &["--sweep-every-ms=600000"]).await;
    let request = shop
        .request(As::Merchant, Method::POST, "/v1/products")
        .json(&tea("TEA-1"));
    let under_way = tokio::spawn(sent(request));
    arrived.notified().await;
    shop.stop().await;
    assert_eq!(under_way.await.unwrap().status, StatusCode::CREATED);
}
