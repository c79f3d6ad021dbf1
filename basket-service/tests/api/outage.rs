//! The product service away, and the table: what still works, and what says honestly that it does not.

use std::collections::HashMap;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use shared::outgoing::Outgoing;
use shared::testing::Issuer;
use shared::testing::activity::Pending;
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::catalog::Mood;
use crate::harness::{Answer, As, Plan, SOON, Shop, quantities, to_berlin, usd};

const ADA: As<'static> = As::Customer("ada");

#[rstest]
#[case::failing(Mood::Failing)]
#[case::babbling(Mood::Babbling)]
#[case::slow(Mood::Slow)]
#[tokio::test]
async fn without_the_product_service_baskets_are_read_and_changed_but_nothing_new_is_bought(#[case] mood: Mood) {
    let shop = Shop::open().await;
    let (tea, pot, new) = (shop.catalog.sells(250), shop.catalog.sells(100), shop.catalog.sells(5));
    shop.add(ADA, "me", tea, 1).await.expect(200);
    shop.add(ADA, "me", pot, 1).await.expect(200);
    shop.catalog.feels(mood);
    let stale = shop.basket_when(ADA, |basket| basket["stale"] == true).await;
    assert_eq!(
        (&stale["subtotal"], &stale["lines"][0]["availability"]),
        (&usd(350), &json!("unknown"))
    );

    assert_eq!(quantities(&shop.set(ADA, "me", tea, 4).await.expect(200))[&tea], 4);
    assert_eq!(quantities(&shop.add(ADA, "me", tea, 1).await.expect(200))[&tea], 5);
    let removed = shop
        .delete(ADA, &format!("/v1/baskets/me/items/{pot}"))
        .await
        .expect(200);
    assert_eq!(quantities(&removed), HashMap::from([(tea, 5)]));
    for answer in [
        shop.add(ADA, "me", new, 1).await,
        shop.set(ADA, "me", new, 1).await,
        shop.check_out(ADA, "k", to_berlin()).await,
    ] {
        come_again(&answer);
    }
    assert_eq!(shop.delete(ADA, "/v1/baskets/me").await.expect(200)["lines"], json!([]));

    shop.catalog.feels(Mood::Well);
    shop.add(ADA, "me", shop.catalog.sells(7), 1).await.expect(200);
    // The refusal did not use the key up.
    shop.check_out(ADA, "k", to_berlin()).await.expect(202);
}

#[tokio::test]
async fn with_nothing_listening_a_basket_is_read_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let shop = Shop::open_with(Plan::default().with(&format!("--product-service-url=http://{free}"))).await;
    come_again(&shop.add(ADA, "me", Uuid::new_v4(), 1).await);
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(basket["lines"], json!([]));
}

#[tokio::test]
async fn an_add_whose_answer_is_lost_is_not_repeated() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(250);
    for lost in [Fate::AnswerLost, Fate::Lost] {
        faults.on("UpdateItem", 1, lost);
        come_again(&shop.add(ADA, "me", tea, 3).await);
    }
    // The first arrived, the second did not; neither was sent twice.
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]));
    assert_eq!(faults.calls("UpdateItem"), 2);
}

#[tokio::test]
async fn an_add_that_the_table_did_not_take_is_tried_again() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(250);
    faults.on("UpdateItem", 2, Fate::Throttled);
    shop.add(ADA, "me", tea, 3).await.expect(200);
    faults.on("UpdateItem", 3, Fate::Conflict);
    let basket = shop.add(ADA, "me", tea, 3).await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 6)]));
    faults.on("UpdateItem", 1000, Fate::Conflict);
    come_again(&shop.add(ADA, "me", tea, 3).await);
}

#[tokio::test]
async fn what_can_be_repeated_is_although_its_answer_was_lost() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(250);
    faults.on("UpdateItem", 1, Fate::AnswerLost);
    let guest = shop.guest().await;
    shop.add(ADA, "me", tea, 3).await.expect(200);
    for quantity in [5, 0] {
        faults.on("UpdateItem", 1, Fate::AnswerLost);
        let basket = shop.set(ADA, "me", tea, quantity).await.expect(200);
        assert_eq!(quantities(&basket).get(&tea).copied().unwrap_or(0), u64::from(quantity));
    }
    shop.add(As::Nobody, &guest, tea, 3).await.expect(200);
    faults.on("UpdateItem", 1, Fate::AnswerLost);
    let path = format!("/v1/baskets/{guest}");
    assert_eq!(shop.delete(As::Nobody, &path).await.expect(200)["lines"], json!([]));
}

#[tokio::test]
async fn a_table_that_is_away_is_never_a_basket_that_is_not_there() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let guest = shop.guest().await;
    for fault in [
        Fate::Lost,
        Fate::Throttled,
        Fate::Answered(500, json!({"message": "secret inside"})),
    ] {
        for operation in ["GetItem", "UpdateItem", "BatchGetItem"] {
            faults.on(operation, 1000, fault.clone());
        }
        come_again(&shop.get(ADA, "/v1/baskets/me").await);
        come_again(&shop.get(As::Nobody, &format!("/v1/baskets/{guest}")).await);
        come_again(&shop.delete(ADA, "/v1/baskets/me").await);
        come_again(&shop.check_out(ADA, "k", to_berlin()).await);
        come_again(&shop.post(ADA, "/v1/baskets/me/merge", json!({"from": guest})).await);
        faults.lift();
    }
    // A fault of ours says no more than that.
    faults.on(
        "GetItem",
        1,
        Fate::Answered(
            400,
            json!({"__type": "x#ValidationException", "message": "secret inside"}),
        ),
    );
    let answer = shop.get(ADA, "/v1/baskets/me").await;
    answer.refused(500, "internal");
    assert!(!answer.text.contains("secret"));
}

#[tokio::test]
async fn readiness_tells_when_the_table_is_away() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    assert_eq!(shop.get(As::Nobody, "/readyz").await.expect(200)["status"], "ready");
    faults.on("GetItem", 100_000, Fate::Lost);
    let unready = async || match shop.get(As::Nobody, "/readyz").await.status.as_u16() {
        200 => Err(Pending::new("ready")),
        _ => Ok(()),
    };
    shop.activity.wait_for("end of its readiness", SOON, unready).await;
    assert_eq!(shop.get(As::Nobody, "/livez").await.expect(200)["status"], "ok");
}

#[track_caller]
fn come_again(answer: &Answer) -> Value {
    assert!(
        answer.header("retry-after").is_some(),
        "{} {}",
        answer.status,
        answer.text
    );
    answer.refused(503, "unavailable")
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_however_little_else_is_to_be_finished() {
    // Longer than the consumer's last poll, with which everything else has ended.
    let under_way = Duration::from_secs(4);
    let faults = Faults::none();
    let mut shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(250);
    shop.add(ADA, "me", tea, 1).await.expect(200);
    let before = faults.calls("UpdateItem");
    faults.on("UpdateItem", 1, Fate::Slow(under_way));
    let request = Outgoing::new()
        .unwrap()
        .http
        .put(format!("{}/v1/baskets/me/items/{tea}", shop.url));
    let request = request.bearer_auth(Issuer::shared().customer("ada"));
    let request = tokio::spawn(request.json(&json!({"quantity": 5})).send());
    let arrived = async || match faults.calls("UpdateItem") {
        calls if calls == before => Err(Pending::new(calls)),
        _ => Ok(()),
    };
    shop.activity.wait_for("call of the table", SOON, arrived).await;
    shop.stop().await;
    // Nothing of the process is left that could answer now.
    let answer = tokio::time::timeout(Duration::from_secs(1), request).await;
    assert_eq!(answer.unwrap().unwrap().unwrap().status(), 200);
}
