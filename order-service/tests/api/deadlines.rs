//! Orders that wait for somebody who does not come.

use std::net::TcpListener;

use serde_json::json;
use shared::testing::faults::Faults;

use crate::harness::{Shop, customer};
use crate::products::{State, Stock};

#[tokio::test]
async fn a_provider_that_never_answers_fails_the_order_and_the_payment_is_voided_when_it_is_back() {
    let shop = Shop::open().await;
    let settings = [("PAYMENT_DEADLINE_S", "2")];
    let cut_off = shop.start_behind(Faults::refusing("POST /v1/payment_intents"), &settings);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let order = cut_off
        .shows(&ada, id, |order| {
            order["timeline"].as_array().is_some_and(|changes| changes.len() == 2)
        })
        .await;
    assert_eq!(
        order["status"], "pending",
        "nothing is known of the payment: it is not over"
    );
    let words = order["timeline"][1]["reason"].as_str().unwrap();
    assert!(
        words.starts_with("the payment provider has not answered since "),
        "{words}"
    );
    shop.tried(id, 2).await;
    assert_eq!(cut_off.read(&ada, id).await["status"], "pending");
    assert_eq!(
        shop.products.reservation(id.as_str().unwrap()),
        Some(State::Released),
        "nobody's stock waits with it"
    );
    assert_eq!(cut_off.read(&ada, id).await["actions"], json!([]));
    cut_off.kill();

    let service = shop.start(&settings);
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["failure"]["reason"], "payment_expired");
    assert_eq!(
        shop.paid(id),
        [("canceled", 0, 0)],
        "it can never be authorized any more"
    );
    assert_eq!(shop.told(id).await, ["OrderFailed"]);
    assert_eq!(
        shop.products.stock(tea),
        Stock {
            on_hand: 10,
            reserved: 0
        }
    );
}

#[tokio::test]
async fn a_provider_that_takes_longer_than_a_go_may_is_as_good_as_away() {
    let shop = Shop::open().await;
    // It takes connections and says nothing, for longer than a go lasts.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let stuck = shop.start(&[
        ("PAYMENT_URL", &url),
        ("PAYMENT_DEADLINE_S", "2"),
        ("FAST_PATH_MS", "300"),
    ]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    stuck
        .shows(&ada, id, |order| {
            order["timeline"].as_array().is_some_and(|changes| changes.len() == 2)
        })
        .await;
    assert_eq!(stuck.read(&ada, id).await["status"], "pending");
    stuck.kill();

    let service = shop.start(&[]);
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["failure"]["reason"], "payment_expired");
    assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
}

#[tokio::test]
async fn an_outage_that_ends_in_time_delays_and_takes_no_time_from_the_customer() {
    let shop = Shop::open().await;
    let cut_off = shop.start_behind(Faults::refusing("POST /v1/payment_intents"), &[]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    shop.tried(id, 3).await;
    let ada = customer("ada");
    assert_eq!(cut_off.read(&ada, id).await["status"], "pending");
    cut_off.kill();
    let service = shop.start(&[]);
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
}
