//! The order service's one answer: it settles a checkout or gives its lines back, whenever and however
//! often it comes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{As, Plan, SOON, Shop, envelope, quantities, requested, to_berlin};

const ADA: As<'static> = As::Customer("ada");

/// A checkout of these, under way.
async fn checked_out(shop: &Shop, key: &str, lines: &[(Uuid, u32)]) -> String {
    for (product, quantity) in lines {
        shop.add(ADA, "me", *product, *quantity).await.expect(200);
    }
    let accepted = shop.check_out(ADA, key, to_berlin()).await.expect(202);
    accepted["order_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_failed_checkout_gives_its_lines_back_summed_with_what_was_added() {
    let shop = Shop::open().await;
    let tap = shop.deployment.tap().await.unwrap();
    let (tea, pot, cup) = (shop.catalog.sells(1), shop.catalog.sells(2), shop.catalog.sells(3));
    let order_id = checked_out(&shop, "k", &[(tea, 3), (pot, 1)]).await;
    shop.add(ADA, "me", tea, 4).await.expect(200);
    shop.add(ADA, "me", cup, 1).await.expect(200);
    let mut failed = Shop::failed("ada", &order_id, "declined");
    failed["lines"] = requested(&tap, &order_id).await.detail["data"]["lines"].clone();
    shop.answer("OrderFailed", failed).await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(quantities(&basket), HashMap::from([(tea, 7), (pot, 1), (cup, 1)]));
    assert!(basket["expires_at"].is_string());
    let progress = shop
        .get(ADA, &format!("/v1/baskets/me/checkouts/{order_id}"))
        .await
        .expect(200);
    assert_eq!(
        (&progress["status"], &progress["reason"]),
        (&json!("failed"), &json!("declined"))
    );
    // The key answers as it did; another key tries again.
    assert_eq!(
        shop.check_out(ADA, "k", to_berlin()).await.expect(202)["order_id"],
        json!(order_id)
    );
    assert_ne!(
        shop.check_out(ADA, "k2", to_berlin()).await.expect(202)["order_id"],
        json!(order_id)
    );
}

#[tokio::test]
async fn lines_given_back_may_exceed_the_limits_until_the_basket_is_reduced() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let order_id = checked_out(&shop, "k", &[(tea, 999)]).await;
    shop.add(ADA, "me", tea, 500).await.expect(200);
    shop.answer("OrderFailed", Shop::failed("ada", &order_id, "out_of_stock"))
        .await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(quantities(&basket), HashMap::from([(tea, 1499)]));
    let problem = shop
        .check_out(ADA, "k2", to_berlin())
        .await
        .refused(409, "quantity_limit");
    assert_eq!(problem["products"], json!([tea]));
    shop.add(ADA, "me", tea, 1).await.refused(409, "quantity_limit");
    shop.set(ADA, "me", tea, 999).await.expect(200);
    shop.check_out(ADA, "k2", to_berlin()).await.expect(202);
}

#[tokio::test]
async fn what_goes_back_is_what_was_checked_out_whatever_the_answer_says() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(1), shop.catalog.sells(2));
    let line = |product: Uuid| {
        json!({
            "product_id": product, "sku": "s", "name": "N", "quantity": 3,
            "unit_price": {"amount_minor": 2, "currency": "USD"},
        })
    };
    let many: Vec<_> = (0..120).map(|_| line(Uuid::new_v4())).collect();
    for (key, lines) in [
        ("none", json!([])),
        ("others", json!([line(pot)])),
        ("one-twice", json!([line(tea), line(tea)])),
        ("too-many", json!(many)),
    ] {
        let order_id = checked_out(&shop, key, &[(tea, 3)]).await;
        let mut failed = Shop::failed("ada", &order_id, "a reason of the next release");
        failed["lines"] = lines;
        failed["a field of the next release"] = json!(1);
        shop.answer("OrderFailed", failed).await;
        let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
        assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]));
        let progress = shop
            .get(ADA, &format!("/v1/baskets/me/checkouts/{order_id}"))
            .await
            .expect(200);
        assert_eq!(
            (&progress["status"], &progress["reason"]),
            (&json!("failed"), &json!("other"))
        );
        shop.delete(ADA, "/v1/baskets/me").await.expect(200);
    }
}

#[tokio::test]
async fn late_repeated_and_foreign_answers_change_nothing() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let first = checked_out(&shop, "k1", &[(tea, 3)]).await;
    for _ in 0..3 {
        shop.answer("OrderPlaced", Shop::placed("ada", &first)).await;
    }
    shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    let second = checked_out(&shop, "k2", &[(tea, 5)]).await;
    shop.drained().await;
    let before = shop.get(ADA, "/v1/baskets/me").await.expect(200);

    let unknown = Uuid::new_v4().to_string();
    for name in ["OrderPlaced", "OrderFailed"] {
        for (customer, order_id) in [
            ("ada", &first),
            ("ada", &unknown),
            ("bob", &second),
            ("nobody", &unknown),
        ] {
            let mut data = Shop::failed(customer, order_id, "declined");
            data["total"] = crate::harness::usd(1);
            shop.answer(name, data).await;
        }
    }
    shop.drained().await;
    assert_eq!(shop.get(ADA, "/v1/baskets/me").await.expect(200), before);
    assert_eq!(before["checkout"]["order_id"], json!(second));
    let progress = shop
        .get(ADA, &format!("/v1/baskets/me/checkouts/{first}"))
        .await
        .expect(200);
    assert_eq!(progress["status"], "ordered");
    assert!(shop.item("C#bob").await.is_none() && shop.item("C#nobody").await.is_none());

    // Of both answers the first counts, and a repeated one gives nothing back twice.
    for _ in 0..3 {
        shop.answer("OrderFailed", Shop::failed("ada", &second, "declined"))
            .await;
    }
    shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    shop.answer("OrderPlaced", Shop::placed("ada", &second)).await;
    shop.drained().await;
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 5)]));
}

#[tokio::test]
async fn of_the_answers_to_a_checkout_the_first_to_come_counts_whatever_their_sequence() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    // An order that was placed can fail: its events may come in either order, and each twice.
    let (placed, failed) = (("OrderPlaced", 1), ("OrderFailed", 2));
    for (answers, status, left) in [
        ([placed, failed, placed, failed], "ordered", 0),
        ([failed, placed, failed, placed], "failed", 3),
    ] {
        let order_id = checked_out(&shop, status, &[(tea, 3)]).await;
        for (name, sequence) in answers {
            let mut data = Shop::failed("ada", &order_id, "declined");
            data["total"] = crate::harness::usd(3);
            let mut detail = envelope(data);
            detail["sequence"] = json!(sequence);
            shop.publish("order-service", name, detail).await;
            shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
            shop.drained().await;
        }
        let path = format!("/v1/baskets/me/checkouts/{order_id}");
        assert_eq!(shop.get(ADA, &path).await.expect(200)["status"], status);
        let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
        assert_eq!(
            quantities(&basket).get(&tea).copied().unwrap_or_default(),
            left,
            "{status}"
        );
    }
}

#[tokio::test]
async fn an_answer_whose_effect_or_acknowledgement_is_lost_takes_effect_once() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(1);
    for (key, operation, times, fault) in [
        ("lost-once", "UpdateItem", 1, Fate::AnswerLost),
        ("lost-each-time", "UpdateItem", 3, Fate::AnswerLost),
        ("never-arrived", "UpdateItem", 4, Fate::Lost),
        ("in-the-way-of-a-transaction", "UpdateItem", 2, Fate::Conflict),
        ("not-deleted", "DeleteMessage", 3, Fate::Lost),
    ] {
        let order_id = checked_out(&shop, key, &[(tea, 3)]).await;
        faults.on(operation, times, fault);
        shop.answer("OrderFailed", Shop::failed("ada", &order_id, "declined"))
            .await;
        let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
        assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]), "{key}");
        faults.lift();
        shop.delete(ADA, "/v1/baskets/me").await.expect(200);
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_does_not_hold_up_the_others() {
    let shop = Shop::open().await;
    let order_id = checked_out(&shop, "k", &[(shop.catalog.sells(1), 3)]).await;
    for detail in [json!("?"), json!({"id": 5}), envelope(json!({"order_id": "no id"}))] {
        shop.publish("order-service", "OrderPlaced", detail).await;
    }
    shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
    shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
}

#[tokio::test]
async fn who_waits_is_answered_when_the_answer_comes() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let order_id = checked_out(&shop, "k", &[(tea, 3)]).await;
    let began = Instant::now();
    let (answer, ()) = futures_util::join!(wait(&shop, &order_id, "wait=20"), async {
        shop.answer("OrderPlaced", Shop::placed("ada", &order_id)).await;
    });
    assert_eq!(answer.expect(200)["status"], "ordered");
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // What is decided, or is not there, is answered at once.
    let began = Instant::now();
    wait(&shop, &order_id, "wait=20").await.expect(200);
    wait(&shop, &Uuid::new_v4().to_string(), "wait=20")
        .await
        .refused(404, "not_found");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn waiting_ends_with_its_time_or_with_the_service() {
    let mut shop = Shop::open().await;
    let order_id = checked_out(&shop, "k", &[(shop.catalog.sells(1), 3)]).await;
    let began = Instant::now();
    let answer = wait(&shop, &order_id, "wait=1").await;
    assert_eq!(answer.expect(200)["status"], "pending");
    assert!((1..10).contains(&began.elapsed().as_secs()));
    let began = Instant::now();
    let path = format!("{}/v1/baskets/me/checkouts/{order_id}", shop.url);
    let token = shared::testing::Issuer::shared().customer("ada");
    let http = shared::outgoing::Outgoing::new().unwrap().http;
    let waiting = tokio::spawn(http.get(path).bearer_auth(token).header("prefer", "wait=20").send());
    // Until it waits: its read of the table is behind it.
    tokio::time::timeout(SOON, async {
        while shop.get(ADA, "/v1/baskets/me").await.status != 200 {}
    })
    .await
    .unwrap();
    shop.stop().await;
    if let Ok(answer) = waiting.await.unwrap() {
        assert_eq!(answer.status(), 200);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

async fn wait(shop: &Shop, order_id: &str, prefer: &str) -> crate::harness::Answer {
    let path = format!("/v1/baskets/me/checkouts/{order_id}");
    shop.send_with(ADA, Method::GET, &path, None::<Value>, |request| {
        request.header("prefer", prefer)
    })
    .await
}
