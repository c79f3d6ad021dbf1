//! Calls that are wrong by themselves, and whoever may not call.

use reqwest::Method;

use super::{AUTHORIZE, Form, Response, Shop};

const CREATE: &str = "/v1/payment_intents";

#[tokio::test]
async fn only_the_secret_key_opens_the_door() {
    let shop = Shop::open();
    let bare = |method: Method| shop.http.request(method, format!("{}{CREATE}", shop.sandbox.url()));
    Response::of(bare(Method::GET))
        .await
        .assert_error(401, "invalid_request_error", ());
    let wrong = bare(Method::POST).form(AUTHORIZE).bearer_auth("sk_test_other");
    Response::of(wrong).await.assert_error(401, "invalid_request_error", ());
    let basic = Response::of(
        bare(Method::POST)
            .form(AUTHORIZE)
            .basic_auth("sk_test_sandbox", Some("")),
    )
    .await;
    assert_eq!(basic.status, 200);
    assert_eq!(shop.sandbox.intents().len(), 1);
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let shop = Shop::open();
    let wrong: [(Form<'_>, &str, &str); 13] = [
        (&[("currency", "usd")], "amount", "parameter_missing"),
        (&[("amount", "2000")], "currency", "parameter_missing"),
        (
            &[("amount", ""), ("currency", "usd")],
            "amount",
            "parameter_invalid_empty",
        ),
        (
            &[("amount", "19.99"), ("currency", "usd")],
            "amount",
            "parameter_invalid_integer",
        ),
        (
            &[("amount", "-1"), ("currency", "usd")],
            "amount",
            "parameter_invalid_integer",
        ),
        (&[("amount", "49"), ("currency", "usd")], "amount", "amount_too_small"),
        (
            &[("amount", "100000000"), ("currency", "usd")],
            "amount",
            "amount_too_large",
        ),
        (
            &[("amount", "2000"), ("currency", "dollars")],
            "currency",
            "parameter_invalid_string",
        ),
        (
            &[("amount", "2000"), ("currency", "usd"), ("capture_method", "x")],
            "capture_method",
            "parameter_invalid_string",
        ),
        (
            &[("amount", "2000"), ("currency", "usd"), ("confirm", "yes")],
            "confirm",
            "parameter_invalid_string",
        ),
        (
            &[("amount", "2000"), ("currency", "usd"), ("off_session", "true")],
            "off_session",
            "parameter_unknown",
        ),
        (
            &[
                ("amount", "2000"),
                ("currency", "usd"),
                ("payment_method_types[0]", "sepa_debit"),
            ],
            "payment_method_types",
            "parameter_invalid_string",
        ),
        (
            &[("amount", "2000"), ("currency", "usd"), ("ammount", "1")],
            "ammount",
            "parameter_unknown",
        ),
    ];
    for (form, param, code) in wrong {
        let refused = shop.post(CREATE, form).await;
        refused.assert_error(400, "invalid_request_error", code);
        assert_eq!(refused.body["error"]["param"], param, "{form:?}");
    }
    let return_url = [AUTHORIZE, &[("return_url", "javascript:alert(1)")]].concat();
    shop.post(CREATE, &return_url)
        .await
        .assert_error(400, "invalid_request_error", "url_invalid");
    assert!(shop.sandbox.intents().is_empty());
}

#[tokio::test]
async fn every_page_has_its_limit() {
    let shop = Shop::open();
    for path in ["/v1/payment_intents", "/v1/refunds"] {
        for limit in ["0", "101", "-1", "x"] {
            let refused = shop.get(&format!("{path}?limit={limit}")).await;
            refused.assert_error(400, "invalid_request_error", "parameter_invalid_integer");
        }
        assert_eq!(shop.get(&format!("{path}?limit=100")).await.status, 200);
        let unknown = shop.get(&format!("{path}?starting_after=none")).await;
        unknown.assert_error(400, "invalid_request_error", "resource_missing");
    }
    let huge = "x".repeat(100_000);
    let response = Response::of(shop.request(Method::POST, CREATE).form(&[("description", huge)])).await;
    response.assert_error(400, "invalid_request_error", ());
    let many: Vec<_> = (0..51)
        .map(|number| (format!("metadata[{number}]"), "x".to_owned()))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let refused = shop.post(CREATE, &[AUTHORIZE, &many].concat()).await;
    refused.assert_error(400, "invalid_request_error", "parameter_invalid_hash");
}

#[tokio::test]
async fn what_is_not_there_is_answered_as_stripe_does() {
    let shop = Shop::open();
    for path in [
        "/v1/payment_intents/pi_none",
        "/v1/refunds/re_none",
        "/v1/charges/ch_none",
    ] {
        shop.get(path)
            .await
            .assert_error(404, "invalid_request_error", "resource_missing");
    }
    let unknown = shop.get("/v1/customers").await;
    unknown.assert_error(404, "invalid_request_error", ());
    assert!(
        unknown.body["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Unrecognized request URL (GET: /v1/customers)")
    );
    let method = Response::of(shop.request(Method::DELETE, CREATE)).await;
    method.assert_error(404, "invalid_request_error", ());
    let json = Response::of(shop.request(Method::POST, CREATE).json(&["amount"])).await;
    json.assert_error(400, "invalid_request_error", ());
}
