//! Answers that come late, or never.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::{AUTHORIZE, Response, Shop, until};
use crate::payment_sandbox::{Options, Status};

const CREATE: &str = "/v1/payment_intents";

fn by(method: &str) -> Vec<(&str, &str)> {
    [AUTHORIZE, &[("payment_method", method)]].concat()
}

#[tokio::test]
async fn a_slow_payment_is_processing_until_its_answer_comes() {
    let shop = Shop::with(Options {
        slow: Duration::from_secs(2),
        ..Options::default()
    });
    let form = by("pm_slow");
    let started = Instant::now();
    let meanwhile = async {
        until("the payment to be there", async || !shop.sandbox.intents().is_empty()).await;
        let intent = shop.only_intent();
        assert_eq!(intent.status, Status::Processing);
        let repeated = shop.post_keyed(CREATE, &form, "k").await;
        repeated.assert_error(409, "invalid_request_error", "idempotency_key_in_use");
        let cancel = shop
            .post_keyed(&format!("{CREATE}/{}/cancel", intent.id), &[], "c")
            .await;
        cancel.assert_error(429, "invalid_request_error", "lock_timeout");
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "the machine was too slow for this test to mean anything"
        );
    };
    let (answer, ()) = tokio::join!(shop.post_keyed(CREATE, &form, "k"), meanwhile);
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(answer.body["status"], "requires_capture");

    let replayed = shop.post_keyed(CREATE, &form, "k").await;
    assert!(replayed.is_replayed());
    assert_eq!(replayed.body, answer.body);
    // The refusal of a busy payment did not use the key up.
    assert_eq!(
        shop.post_keyed(&format!("{CREATE}/{}/cancel", shop.only_intent().id), &[], "c")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_slow_payment_is_finished_also_when_nobody_waits() {
    let shop = Shop::open();
    let form = by("pm_slow");
    let impatient = shop
        .request(Method::POST, CREATE)
        .form(&form)
        .header("Idempotency-Key", "k")
        .send();
    let impatient = tokio::spawn(impatient);
    until("the payment to be there", async || !shop.sandbox.intents().is_empty()).await;
    impatient.abort();
    until("the payment to be authorized", async || {
        shop.only_intent().status == Status::RequiresCapture
    })
    .await;
    assert_eq!(
        shop.post_keyed(CREATE, &form, "k").await.body["status"],
        "requires_capture"
    );
}

#[tokio::test]
async fn a_lost_answer_is_had_again_under_its_key() {
    let shop = Shop::open();
    let form = by("pm_lost");
    let started = Instant::now();
    let lost = shop
        .request(Method::POST, CREATE)
        .form(&form)
        .header("Idempotency-Key", "k")
        .send()
        .await;
    assert!(lost.is_err(), "{lost:?}");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(shop.only_intent().status, Status::RequiresCapture);

    let repeated = shop.post_keyed(CREATE, &form, "k").await;
    assert!(repeated.is_replayed());
    assert_eq!(
        (repeated.status, &repeated.body["status"]),
        (200, &"requires_capture".into())
    );
    assert_eq!(shop.sandbox.intents().len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_confirmation_gets_lost_too() {
    let shop = Shop::open();
    let created = shop
        .post(
            CREATE,
            &[("amount", "2000"), ("currency", "usd"), ("capture_method", "manual")],
        )
        .await;
    let confirm = format!("{}/confirm", super::path_of(&created));
    let form = [("payment_method", "pm_lost")];
    let request = || {
        shop.request(Method::POST, &confirm)
            .form(&form)
            .header("Idempotency-Key", "k")
    };
    assert!(request().send().await.is_err());
    assert_eq!(Response::of(request()).await.body["status"], "requires_capture");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_late_and_lost_answers() {
    let shop = Shop::with(Options {
        slow: Duration::from_secs(600),
        ..Options::default()
    });
    let calls: Vec<_> = ["pm_slow", "pm_lost"]
        .map(|method| tokio::spawn(shop.request(Method::POST, CREATE).form(&by(method)).send()))
        .into();
    until("both payments to be there", async || shop.sandbox.intents().len() == 2).await;
    let started = Instant::now();
    shop.sandbox.stop().await;
    assert!(started.elapsed() < Duration::from_secs(60));
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
}
