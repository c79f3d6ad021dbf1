//! Every cut: the process dies at each of its outgoing calls, before the call arrives and after, and
//! another one goes on; also where the customer cancels or the hold runs out right then. Always one
//! order, one payment, and the stock right.

use futures_util::StreamExt;
use futures_util::stream::iter;
use serde_json::{Value, json};

use crate::harness::{Service, Shop, customer};
use crate::products::Stock;
use crate::seam::{Cut, Seam};

/// Short goes, so that what a dead process left is due soon.
const QUICK: &[(&str, &str)] = &[("FAST_PATH_MS", "1500")];
/// Shops at once.
const AT_ONCE: usize = 8;

/// What happens while nobody works on the order.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Nothing,
    Cancelled,
    HoldExpired,
}

/// How an order ended, and what is left of its payment and stock.
#[derive(Debug, PartialEq)]
struct End {
    status: String,
    reason: Value,
    paid: Vec<(&'static str, i64, i64)>,
    stock: Stock,
    told: Vec<String>,
}

fn end(status: &str, reason: Value, paid: (&'static str, i64, i64), on_hand: i64, told: &[&str]) -> End {
    End {
        status: status.to_owned(),
        reason,
        paid: vec![paid],
        stock: Stock { on_hand, reserved: 0 },
        told: told.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn confirmed() -> End {
    end(
        "confirmed",
        Value::Null,
        ("succeeded", 1000, 0),
        8,
        &["OrderPlaced", "OrderConfirmed"],
    )
}

fn declined() -> End {
    end("failed", json!("declined"), ("canceled", 0, 0), 10, &["OrderFailed"])
}

/// Runs an order in a shop of its own behind that seam. Says how it ended, and which calls it took
/// until then, or until it was cut.
async fn run(token: &str, seam: Seam, meanwhile: Meanwhile) -> (End, Vec<String>) {
    let shop = Shop::open().await;
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some(token));
    let id = &checkout["order_id"];
    let first = shop.start_behind(seam.clone(), QUICK);
    shop.publish(&checkout).await;
    let cut = tokio::select! {
        () = seam.died() => true,
        _ = shop.settled_and_done(id) => false,
    };
    let service = if cut {
        first.kill();
        if matches!(meanwhile, Meanwhile::HoldExpired) {
            shop.products.expire(id.as_str().unwrap());
        }
        let second = shop.start(QUICK);
        shop.publish_until_taken(&checkout).await;
        second
    } else {
        first
    };
    if matches!(meanwhile, Meanwhile::Cancelled) {
        cancel(&service, id).await;
    }
    shop.settled(id).await;
    let order = service.read(&customer("ada"), id).await;
    let ended = End {
        status: order["status"].as_str().unwrap().to_owned(),
        reason: order["failure"]["reason"].clone(),
        paid: shop.paid(id),
        stock: shop.products.stock(tea),
        told: shop.told(id).await,
    };
    (ended, seam.calls())
}

async fn cancel(service: &Service, id: &Value) {
    let ada = customer("ada");
    service.shows(&ada, id, |order| order["id"] == *id).await;
    let path = format!("/v1/orders/{}/cancel", id.as_str().unwrap());
    let answer = service
        .post(&path, &ada)
        .json(&json!({"reason": "too late"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

/// Runs the order once for each call and kind of cut.
async fn every_cut(token: &'static str, meanwhile: Meanwhile, fine: impl Fn(&End) -> bool) {
    let (_, calls) = run(token, Seam::new(), Meanwhile::Nothing).await;
    assert!(calls.len() >= 12, "the calls are numbered: {calls:?}");
    let cuts = (0..calls.len()).flat_map(|n| [(n, Cut::Before), (n, Cut::After)]);
    let runs = iter(cuts).map(|(n, cut)| async move {
        let (ended, until) = run(token, Seam::cut_at(n, cut), meanwhile).await;
        (n, cut, ended, until)
    });
    let ran: Vec<_> = runs.buffer_unordered(AT_ONCE).collect().await;
    for (n, cut, ended, until) in &ran {
        assert!(until.len() > *n, "it was cut at {n}: {until:?}");
        assert!(
            fine(ended),
            "cut {cut:?} call {n} of {until:?}, meanwhile {meanwhile:?}: {ended:#?}"
        );
    }
}

#[tokio::test]
async fn a_confirmed_order_survives_a_death_at_each_of_its_calls() {
    every_cut("pm_card_visa", Meanwhile::Nothing, |ended| *ended == confirmed()).await;
}

#[tokio::test]
async fn a_declined_order_survives_a_death_at_each_of_its_calls() {
    every_cut("pm_card_chargeDeclined", Meanwhile::Nothing, |ended| {
        *ended == declined()
    })
    .await;
}

#[tokio::test]
async fn an_order_can_be_cancelled_after_a_death_at_each_of_its_calls() {
    every_cut("pm_card_visa", Meanwhile::Cancelled, |ended| {
        let nothing_left = ended.stock
            == Stock {
                on_hand: 10,
                reserved: 0,
            };
        let given_back = matches!(ended.paid.as_slice(), [("canceled", 0, 0) | ("succeeded", 1000, 1000)]);
        ended.status == "cancelled" && nothing_left && given_back && answered_once(ended)
    })
    .await;
}

#[tokio::test]
async fn an_order_whose_hold_runs_out_after_a_death_is_confirmed_or_undone() {
    every_cut("pm_card_visa", Meanwhile::HoldExpired, |ended| {
        let undone = ended.status == "failed"
            && ended.reason == "expired"
            && ended.paid == [("canceled", 0, 0)]
            && ended.stock
                == Stock {
                    on_hand: 10,
                    reserved: 0,
                };
        (*ended == confirmed() || undone)
            && ended
                .told
                .iter()
                .any(|name| name == "OrderPlaced" || name == "OrderFailed")
    })
    .await;
}

/// `OrderPlaced`, or else `OrderFailed`, and not both.
fn answered_once(ended: &End) -> bool {
    let answers = ended
        .told
        .iter()
        .filter(|name| ["OrderPlaced", "OrderFailed"].contains(&name.as_str()));
    answers.count() == 1
}
