//! A basket is filled, checked out and given back, and cut at each call in turn: before it arrives and
//! after, once and for all of its tries. The end is always the same.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rstest::rstest;
use tokio::time::Instant;

use crate::faults::{Fault, Faults};
use crate::harness::{Answer, As, Plan, SOON, Shop, quantities, requested, to_berlin};

/// Tries of one call by the SDK.
const ALL_TRIES: usize = 3;
/// Set; read, check out, publish; give back. What follows are reads of whoever looks.
const CALLS: usize = 6;

#[rstest]
#[case::not_arrived(Fault::Cut, 1)]
#[case::not_arrived_by_any_try(Fault::Cut, ALL_TRIES)]
#[case::answer_lost(Fault::AnswerLost, 1)]
#[case::all_answers_lost(Fault::AnswerLost, ALL_TRIES)]
#[tokio::test]
async fn wherever_it_is_cut_there_is_one_checkout_and_nothing_is_lost(#[case] fault: Fault, #[case] times: usize) {
    let faults = Faults::default();
    let plan = Plan {
        outgoing: faults.outgoing(),
        ..Plan::default()
    }
    .with("--checkout-retry-s=1");
    let shop = Shop::open_with(plan).await;
    let tap = shop.deployment.tap().await.unwrap();
    let tea = shop.catalog.sells(250);
    for cut in 0..CALLS {
        let customer = format!("customer-{cut}");
        let who = As::Customer(&customer);
        faults.after(cut, times, fault.clone());

        until(200, async || shop.set(who, "me", tea, 3).await).await;
        let accepted = until(202, async || shop.check_out(who, "key", to_berlin()).await).await;
        let order_id = accepted.body()["order_id"].as_str().unwrap().to_owned();
        let event = requested(&tap, &order_id).await;
        let mut failed = Shop::failed(&customer, &order_id, "declined");
        failed["lines"] = event.detail["data"]["lines"].clone();
        shop.answer("OrderFailed", failed).await;
        let deadline = Instant::now() + SOON;
        let basket = loop {
            let read = until(200, async || shop.get(who, "/v1/baskets/me").await).await.body();
            if read["checkout"].is_null() {
                break read;
            }
            assert!(Instant::now() < deadline, "cut at call {cut}: {read}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };

        assert!(faults.all_done(), "the cut at call {cut} never came");
        assert_eq!(quantities(&basket), HashMap::from([(tea, 3)]), "cut at call {cut}");
        let events = tap.seen().await.unwrap();
        let of_ours = events
            .iter()
            .filter(|event| event.source == "basket-service" && event.resources[1] == customer);
        let told: HashSet<_> = of_ours.map(|event| event.detail.to_string()).collect();
        assert_eq!(
            told.len(),
            1,
            "cut at call {cut}: one event, however often it was published"
        );
        let again = shop.check_out(who, "key", to_berlin()).await;
        assert_eq!(again.expect(202), accepted.body(), "cut at call {cut}");
    }
}

/// What a client does: the same request again, for as long as it is told to come again.
async fn until(status: u16, request: impl AsyncFn() -> Answer) -> Answer {
    let deadline = Instant::now() + SOON;
    loop {
        let answer = request().await;
        if answer.status == status {
            return answer;
        }
        answer.refused(503, "unavailable");
        assert!(Instant::now() < deadline, "it never works");
    }
}
