//! A payment's way through its states.

use reqwest::Method;

use super::{AUTHORIZE, Shop, path_of};
use crate::payment_sandbox::Status;

#[tokio::test]
async fn a_payment_is_created_confirmed_and_captured() {
    let shop = Shop::open();
    let created = shop
        .post(
            "/v1/payment_intents",
            &[("amount", "2000"), ("currency", "USD"), ("capture_method", "manual")],
        )
        .await;
    assert_eq!(
        (created.status, &created.body["status"]),
        (200, &"requires_payment_method".into())
    );
    assert_eq!(created.body["currency"], "usd");
    let path = path_of(&created);

    let updated = shop
        .post(
            &path,
            &[
                ("payment_method", "pm_card_visa"),
                ("metadata[order_id]", "o-7"),
                ("metadata[x]", "y"),
            ],
        )
        .await;
    assert_eq!(updated.body["status"], "requires_confirmation");
    assert_eq!(
        shop.post(&path, &[("metadata[x]", "")]).await.body["metadata"].to_string(),
        r#"{"order_id":"o-7"}"#
    );

    let confirmed = shop.post(&format!("{path}/confirm"), &[]).await;
    assert_eq!(confirmed.body["status"], "requires_capture");
    assert_eq!(
        (&confirmed.body["amount_capturable"], &confirmed.body["amount_received"]),
        (&2000.into(), &0.into())
    );

    let captured = shop
        .post(&format!("{path}/capture"), &[("amount_to_capture", "1500")])
        .await;
    assert_eq!(captured.body["status"], "succeeded");
    assert_eq!(
        (&captured.body["amount_capturable"], &captured.body["amount_received"]),
        (&0.into(), &1500.into())
    );

    let shown = shop.get(&format!("{path}?expand[]=latest_charge")).await.body;
    assert_eq!(shown["latest_charge"]["id"], captured.body["latest_charge"]);
    assert_eq!(shown["latest_charge"]["amount_captured"], 1500);
    let intent = shop.only_intent();
    assert_eq!((intent.amount, intent.captured, intent.refunded), (2000, 1500, 0));
    assert_eq!(
        (intent.order_id.as_deref(), intent.status),
        (Some("o-7"), Status::Succeeded)
    );
}

#[tokio::test]
async fn a_payment_without_manual_capture_takes_the_money_at_once() {
    let shop = Shop::open();
    let form = [
        ("amount", "500"),
        ("currency", "eur"),
        ("payment_method", "pm_card_mastercard"),
        ("confirm", "true"),
    ];
    let paid = shop.post("/v1/payment_intents", &form).await;
    assert_eq!(
        (&paid.body["status"], &paid.body["amount_received"]),
        (&"succeeded".into(), &500.into())
    );
}

#[tokio::test]
async fn a_declined_payment_says_why_and_takes_another_method() {
    let shop = Shop::open();
    for (method, code, decline_code) in [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            "card_declined",
            "insufficient_funds",
        ),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ] {
        let declined = shop.pay_by(method).await;
        declined.assert_error(402, "card_error", code);
        let error = &declined.body["error"];
        assert_eq!(error["decline_code"], decline_code);
        let intent = &error["payment_intent"];
        assert_eq!(
            (&intent["status"], &intent["payment_method"]),
            (&"requires_payment_method".into(), &().into())
        );
        assert_eq!(intent["last_payment_error"]["decline_code"], decline_code);
        assert_eq!(intent["last_payment_error"]["payment_method"]["id"], method);

        let charge = shop
            .get(&format!("/v1/charges/{}", error["charge"].as_str().unwrap()))
            .await
            .body;
        assert_eq!(
            (&charge["status"], &charge["failure_code"]),
            (&"failed".into(), &code.into())
        );

        let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
        let again = shop
            .post(&format!("{path}/confirm"), &[("payment_method", "pm_card_visa")])
            .await;
        assert_eq!(
            (&again.body["status"], &again.body["last_payment_error"]),
            (&"requires_capture".into(), &().into())
        );
    }
}

#[tokio::test]
async fn a_payment_that_needs_its_cardholder_waits_for_them() {
    let shop = Shop::open();
    let return_url = format!("{}/livez?order=1", shop.sandbox.url());
    let waiting = shop
        .post(
            "/v1/payment_intents",
            &[
                AUTHORIZE,
                &[
                    ("payment_method", "pm_card_authenticationRequired"),
                    ("return_url", &return_url),
                ],
            ]
            .concat(),
        )
        .await;
    assert_eq!(
        (waiting.status, &waiting.body["status"]),
        (200, &"requires_action".into())
    );
    let action = &waiting.body["next_action"];
    assert_eq!(
        (&action["type"], &action["redirect_to_url"]["return_url"]),
        (&"redirect_to_url".into(), &return_url.clone().into())
    );
    let page = action["redirect_to_url"]["url"].as_str().unwrap();

    let shown = shop.http.get(page).send().await.unwrap().text().await.unwrap();
    assert!(
        shown.contains("Complete authentication") && shown.contains("2000 USD"),
        "{shown}"
    );
    let back = shop
        .http
        .post(page)
        .form(&[("outcome", "complete")])
        .send()
        .await
        .unwrap();
    let address = back.url().as_str();
    assert!(
        address.starts_with(&return_url) && address.ends_with("redirect_status=succeeded"),
        "{address}"
    );

    let after = shop.get(&path_of(&waiting)).await.body;
    assert_eq!(
        (&after["status"], &after["next_action"]),
        (&"requires_capture".into(), &().into())
    );
    let twice = shop
        .http
        .post(page)
        .form(&[("outcome", "complete")])
        .send()
        .await
        .unwrap();
    assert_eq!(twice.status(), 400);
}

#[tokio::test]
async fn a_failed_authentication_leaves_a_payment_to_try_again() {
    let shop = Shop::open();
    let waiting = shop.pay_by("pm_card_authenticationRequired").await;
    let page = waiting.body["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    shop.http.post(page).form(&[("outcome", "fail")]).send().await.unwrap();
    let after = shop.get(&path_of(&waiting)).await.body;
    assert_eq!(after["status"], "requires_payment_method");
    assert_eq!(
        after["last_payment_error"]["code"],
        "payment_intent_authentication_failure"
    );

    let wrong = page.replace("_secret_", "_secret_0");
    assert_eq!(shop.http.get(wrong).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn without_its_cardholder_a_payment_that_needs_them_is_declined() {
    let shop = Shop::open();
    let declined = shop
        .post(
            "/v1/payment_intents",
            &[
                AUTHORIZE,
                &[
                    ("payment_method", "pm_card_authenticationRequired"),
                    ("off_session", "true"),
                ],
            ]
            .concat(),
        )
        .await;
    declined.assert_error(402, "card_error", "authentication_required");
}

#[tokio::test]
async fn no_more_is_captured_than_was_authorized() {
    let shop = Shop::open();
    let path = shop.authorized().await;
    let refused = shop
        .post(&format!("{path}/capture"), &[("amount_to_capture", "2001")])
        .await;
    refused.assert_error(400, "invalid_request_error", "amount_too_large");
    assert_eq!(refused.body["error"]["param"], "amount_to_capture");
    assert_eq!(
        (shop.only_intent().captured, shop.only_intent().status),
        (0, Status::RequiresCapture)
    );
}

#[tokio::test]
async fn a_canceled_payment_gives_its_authorization_back_and_stays_canceled() {
    let shop = Shop::open();
    let path = shop.authorized().await;
    let canceled = shop
        .post(
            &format!("{path}/cancel"),
            &[("cancellation_reason", "requested_by_customer")],
        )
        .await;
    assert_eq!(
        (&canceled.body["status"], &canceled.body["amount_capturable"]),
        (&"canceled".into(), &0.into())
    );
    assert_eq!(canceled.body["cancellation_reason"], "requested_by_customer");
    assert!(canceled.body["canceled_at"].is_i64());
    let charge = &shop.get(&format!("{path}?expand[]=latest_charge")).await.body["latest_charge"];
    assert_eq!(
        (&charge["captured"], &charge["refunded"], &charge["amount_captured"]),
        (&false.into(), &true.into(), &0.into())
    );

    for call in ["confirm", "capture", "cancel"] {
        let refused = shop.post(&format!("{path}/{call}"), &[]).await;
        refused.assert_error(400, "invalid_request_error", "payment_intent_unexpected_state");
        assert_eq!(refused.body["error"]["payment_intent"]["status"], "canceled");
    }
    let intent = shop.only_intent();
    assert_eq!(
        (intent.captured, intent.refunded, intent.status),
        (0, 0, Status::Canceled)
    );
}

#[tokio::test]
async fn each_state_allows_what_it_should_and_no_more() {
    let shop = Shop::open();
    let new = [("amount", "2000"), ("currency", "usd"), ("capture_method", "manual")];
    let without_method = path_of(&shop.post("/v1/payment_intents", &new).await);
    let with_method = path_of(
        &shop
            .post(
                "/v1/payment_intents",
                &[&new[..], &[("payment_method", "pm_card_visa")]].concat(),
            )
            .await,
    );
    let waiting = path_of(&shop.pay_by("pm_card_authenticationRequired").await);
    let authorized = shop.authorized().await;
    let captured = shop.captured().await;

    let refusals = [
        (&without_method, "confirm"),
        (&without_method, "capture"),
        (&with_method, "capture"),
        (&waiting, "capture"),
        (&authorized, "confirm"),
        (&captured, "confirm"),
        (&captured, "capture"),
        (&captured, "cancel"),
    ];
    for (path, call) in refusals {
        let refused = shop.post(&format!("{path}/{call}"), &[]).await;
        refused.assert_error(400, "invalid_request_error", "payment_intent_unexpected_state");
    }
    for path in [&without_method, &with_method, &waiting] {
        assert_eq!(
            shop.post(&format!("{path}/cancel"), &[]).await.body["status"],
            "canceled"
        );
    }
}

#[tokio::test]
async fn payments_are_listed_newest_first_and_found_by_their_order() {
    let shop = Shop::open();
    let mut ids = Vec::new();
    for order in ["a", "b", "c", "d", "e"] {
        let form = [("amount", "2000"), ("currency", "usd"), ("metadata[order_id]", order)];
        ids.push(super::id_of(&shop.post("/v1/payment_intents", &form).await));
    }
    ids.reverse();

    let mut listed = Vec::new();
    let mut path = "/v1/payment_intents?limit=2".to_owned();
    loop {
        let page = shop.get(&path).await.body;
        let data = page["data"].as_array().unwrap();
        listed.extend(data.iter().map(|intent| intent["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        path = format!("/v1/payment_intents?limit=2&starting_after={}", listed.last().unwrap());
    }
    assert_eq!(listed, ids);

    let query = shop
        .request(Method::GET, "/v1/payment_intents/search")
        .query(&[("query", "metadata['order_id']:'d'")]);
    let found = super::Response::of(query).await.body;
    assert_eq!(
        (&found["object"], &found["data"][0]["id"]),
        (&"search_result".into(), &ids[1].clone().into())
    );
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
}
