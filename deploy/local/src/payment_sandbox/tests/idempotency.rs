//! The same call again, and another under the same key.

use serde_json::json;

use super::{AUTHORIZE, Shop};

const CREATE: &str = "/v1/payment_intents";

#[tokio::test]
async fn the_same_call_again_gets_the_first_answer_and_does_nothing() {
    let shop = Shop::open();
    let first = shop.post_keyed(CREATE, AUTHORIZE, "k1").await;
    let reordered: Vec<_> = AUTHORIZE.iter().rev().copied().collect();
    let again = shop.post_keyed(CREATE, &reordered, "k1").await;
    assert!(!first.is_replayed() && again.is_replayed());
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(again.headers["original-request"], first.headers["request-id"]);
    assert_eq!(shop.sandbox.intents().len(), 1);

    // Also when the payment has moved on.
    let capture = format!("{CREATE}/{}/capture", first.body["id"].as_str().unwrap());
    let captured = shop.post_keyed(&capture, &[], "k2").await;
    assert_eq!(shop.post_keyed(&capture, &[], "k2").await.body, captured.body);
    assert_eq!(
        shop.post_keyed(CREATE, AUTHORIZE, "k1").await.body["status"],
        "requires_capture"
    );
}

#[tokio::test]
async fn a_key_is_for_one_call_only() {
    let shop = Shop::open();
    let first = shop.post_keyed(CREATE, AUTHORIZE, "k").await;
    let other = shop
        .post_keyed(CREATE, &[AUTHORIZE, &[("description", "x")]].concat(), "k")
        .await;
    other.assert_error(400, "idempotency_error", ());
    let capture = format!("{CREATE}/{}/capture", first.body["id"].as_str().unwrap());
    shop.post_keyed(&capture, &[], "k")
        .await
        .assert_error(400, "idempotency_error", ());
    assert_eq!(shop.only_intent().captured, 0);
}

#[tokio::test]
async fn a_decline_and_a_refusal_by_state_are_kept() {
    let shop = Shop::open();
    let form = [AUTHORIZE, &[("payment_method", "pm_card_chargeDeclined")]].concat();
    let declined = shop.post_keyed(CREATE, &form, "k1").await;
    let again = shop.post_keyed(CREATE, &form, "k1").await;
    assert!(again.is_replayed());
    assert_eq!((again.status, &again.body), (402, &declined.body));

    let capture = format!(
        "{CREATE}/{}/capture",
        declined.body["error"]["payment_intent"]["id"].as_str().unwrap()
    );
    let refused = shop.post_keyed(&capture, &[], "k2").await;
    refused.assert_error(400, "invalid_request_error", "payment_intent_unexpected_state");
    assert!(shop.post_keyed(&capture, &[], "k2").await.is_replayed());
}

#[tokio::test]
async fn a_call_that_is_wrong_by_itself_leaves_its_key_free() {
    let shop = Shop::open();
    let wrong = [AUTHORIZE, &[("payment_method", "pm_card_nobody")]].concat();
    shop.post_keyed(CREATE, &wrong, "k")
        .await
        .assert_error(400, "invalid_request_error", "resource_missing");
    let right = shop.post_keyed(CREATE, AUTHORIZE, "k").await;
    assert_eq!((right.status, right.is_replayed()), (200, false));

    let unknown = shop.post_keyed("/v1/payment_intents/pi_none/capture", &[], "k2").await;
    unknown.assert_error(404, "invalid_request_error", "resource_missing");
    let path = shop.captured().await;
    assert_eq!(
        shop.post_keyed(
            "/v1/refunds",
            &[("payment_intent", path.rsplit('/').next().unwrap())],
            "k2"
        )
        .await
        .status,
        200
    );
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_refused() {
    let shop = Shop::open();
    let long = "k".repeat(256);
    for key in ["", &long] {
        shop.post_keyed(CREATE, AUTHORIZE, key)
            .await
            .assert_error(400, "invalid_request_error", json!(null));
    }
    assert!(shop.sandbox.intents().is_empty());
}
