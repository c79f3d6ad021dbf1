//! Taking a guest basket over at login.

use std::collections::HashMap;

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use shared::testing::faults::{Fate, Faults};
use uuid::Uuid;

use crate::harness::{Answer, As, Plan, Shop, quantities, to_berlin};

const ADA: As<'static> = As::Customer("ada");
const BOB: As<'static> = As::Customer("bob");

async fn merge(shop: &Shop, who: As<'_>, from: &str, strategy: &str) -> Answer {
    shop.post(who, "/v1/baskets/me/merge", json!({"from": from, "strategy": strategy}))
        .await
}

async fn filled(shop: &Shop, lines: &[(Uuid, u32)]) -> String {
    let guest = shop.guest().await;
    for (product, quantity) in lines {
        shop.add(As::Nobody, &guest, *product, *quantity).await.expect(200);
    }
    guest
}

#[rstest]
#[case("sum", 7)]
#[case("max", 5)]
#[tokio::test]
async fn both_baskets_become_one_and_twice_is_as_once(#[case] strategy: &str, #[case] tea_after: u64) {
    let shop = Shop::open().await;
    let (tea, pot, cup) = (shop.catalog.sells(1), shop.catalog.sells(2), shop.catalog.sells(3));
    shop.add(ADA, "me", tea, 2).await.expect(200);
    shop.add(ADA, "me", cup, 1).await.expect(200);
    let guest = filled(&shop, &[(tea, 5), (pot, 1)]).await;
    let expected = HashMap::from([(tea, tea_after), (pot, 1), (cup, 1)]);
    for _ in 0..3 {
        let basket = merge(&shop, ADA, &guest, strategy).await.expect(200);
        assert_eq!(quantities(&basket), expected);
    }
    let source = shop.get(As::Nobody, &format!("/v1/baskets/{guest}")).await.expect(200);
    assert_eq!((&source["state"], &source["lines"]), (&json!("merged"), &json!([])));
    merge(&shop, BOB, &guest, strategy).await.refused(409, "basket_merged");
    shop.add(As::Nobody, &guest, tea, 1).await.refused(409, "basket_merged");
    shop.set(As::Nobody, &guest, tea, 0).await.refused(409, "basket_merged");
    shop.delete(As::Nobody, &format!("/v1/baskets/{guest}"))
        .await
        .refused(409, "basket_merged");
    assert_eq!(quantities(&shop.get(ADA, "/v1/baskets/me").await.expect(200)), expected);
}

#[tokio::test]
async fn many_who_merge_one_basket_merge_it_once() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let guest = filled(&shop, &[(tea, 5)]).await;
    let (ours, theirs) = futures_util::join!(
        join_all((0..6).map(|_| merge(&shop, ADA, &guest, "sum"))),
        join_all((0..6).map(|_| merge(&shop, BOB, &guest, "sum"))),
    );
    let shop = &shop;
    let of_both = [ADA, BOB].map(|who| async move { quantities(&shop.get(who, "/v1/baskets/me").await.expect(200)) });
    let pieces: u64 = join_all(of_both).await.iter().filter_map(|held| held.get(&tea)).sum();
    assert_eq!(pieces, 5);
    for answer in ours.iter().chain(&theirs) {
        assert!([200, 409, 503].contains(&answer.status.as_u16()), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_merge_meets_adds_on_both_sides_and_loses_none() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    let guest = filled(&shop, &[(tea, 5)]).await;
    let (merged, own, brought) = futures_util::join!(
        merge(&shop, ADA, &guest, "sum"),
        join_all((0..10).map(|_| shop.add(ADA, "me", tea, 1))),
        join_all((0..10).map(|_| shop.add(As::Nobody, &guest, tea, 1))),
    );
    // It may have given up under so many writers.
    if merged.status != 200 {
        merge(&shop, ADA, &guest, "sum").await.expect(200);
    }
    let taken =
        |answers: &[Answer]| u64::try_from(answers.iter().filter(|answer| answer.status == 200).count()).unwrap();
    let expected = 5 + taken(&own) + taken(&brought);
    let basket = shop.get(ADA, "/v1/baskets/me").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, expected)]));
}

#[tokio::test]
async fn a_merge_leaves_a_checkout_under_way_alone() {
    let shop = Shop::open().await;
    let (tea, pot) = (shop.catalog.sells(1), shop.catalog.sells(2));
    shop.add(ADA, "me", tea, 2).await.expect(200);
    let checkout = shop.check_out(ADA, "k", to_berlin()).await.expect(202);
    let order_id = checkout["order_id"].as_str().unwrap();
    let guest = filled(&shop, &[(pot, 1)]).await;
    let basket = merge(&shop, ADA, &guest, "sum").await.expect(200);
    assert_eq!(
        (&basket["checkout"]["order_id"], &basket["expires_at"]),
        (&json!(order_id), &Value::Null)
    );
    shop.answer("OrderFailed", Shop::failed("ada", order_id, "declined"))
        .await;
    let basket = shop.basket_when(ADA, |basket| basket["checkout"].is_null()).await;
    assert_eq!(quantities(&basket), HashMap::from([(tea, 2), (pot, 1)]));
}

#[tokio::test]
async fn what_would_be_too_much_is_refused_and_nothing_is_lost() {
    let shop = Shop::open().await;
    let tea = shop.catalog.sells(1);
    shop.add(ADA, "me", tea, 600).await.expect(200);
    let guest = filled(&shop, &[(tea, 600)]).await;
    let problem = merge(&shop, ADA, &guest, "sum").await.refused(409, "quantity_limit");
    assert_eq!(problem["products"], json!([tea]));
    let held = shop.get(As::Nobody, &format!("/v1/baskets/{guest}")).await.expect(200);
    assert_eq!(quantities(&held), HashMap::from([(tea, 600)]));
    merge(&shop, ADA, &guest, "max").await.expect(200);

    let own: Vec<(Uuid, u32)> = (0..60).map(|_| (shop.catalog.sells(1), 1)).collect();
    for answer in join_all(
        own.iter()
            .map(|(product, quantity)| shop.add(BOB, "me", *product, *quantity)),
    )
    .await
    {
        answer.expect(200);
    }
    let brought: Vec<(Uuid, u32)> = (0..40).map(|_| (shop.catalog.sells(1), 1)).collect();
    let guest = filled(&shop, &brought).await;
    assert_eq!(
        merge(&shop, BOB, &guest, "sum").await.refused(409, "too_many_lines")["limit"],
        99
    );
}

#[tokio::test]
async fn what_is_no_guest_basket_is_not_merged() {
    let shop = Shop::open().await;
    merge(&shop, ADA, "g_0123456789abcdef0123456789abcdef", "sum")
        .await
        .refused(404, "not_found");
    let problem = merge(&shop, ADA, "bob", "mix").await.refused(400, "invalid_request");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    let guest = shop.guest().await;
    let body = json!({"from": guest});
    shop.post(As::Nobody, "/v1/baskets/me/merge", body.clone())
        .await
        .refused(401, "unauthenticated");
    shop.post(ADA, &format!("/v1/baskets/{guest}/merge"), body.clone())
        .await
        .refused(403, "customers_only");
    shop.post(ADA, "/v1/baskets/bob/merge", body.clone())
        .await
        .refused(404, "not_found");
    // Without a strategy, into a basket that never was.
    shop.post(ADA, "/v1/baskets/me/merge", body).await.expect(200);
}

#[rstest]
#[case::contention(Fate::Conflict, 3)]
#[case::a_lost_answer(Fate::AnswerLost, 1)]
#[case::a_lost_request(Fate::Lost, 1)]
#[tokio::test]
async fn a_merge_comes_through(#[case] fault: Fate, #[case] times: usize) {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let tea = shop.catalog.sells(1);
    shop.add(ADA, "me", tea, 2).await.expect(200);
    let guest = filled(&shop, &[(tea, 5)]).await;
    faults.on("TransactWriteItems", times, fault);
    let basket = merge(&shop, ADA, &guest, "sum").await.expect(200);
    assert_eq!(quantities(&basket), HashMap::from([(tea, 7)]));
}

#[tokio::test]
async fn lasting_contention_asks_the_client_to_come_again() {
    let faults = Faults::none();
    let shop = Shop::open_with(Plan::behind(&faults)).await;
    let guest = filled(&shop, &[(shop.catalog.sells(1), 5)]).await;
    faults.on("TransactWriteItems", 1000, Fate::Conflict);
    let answer = merge(&shop, ADA, &guest, "sum").await;
    answer.refused(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
}
