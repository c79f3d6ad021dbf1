//! `POST /webhooks/stripe`, and what follows from the provider's events.

use std::time::Duration;

use deploy_local::payment_sandbox::{Webhook, signature};
use jiff::Timestamp;
use reqwest::Response;
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Service, Shop, customer, logged};

pub(crate) const SECRET: &str = "whsec_of_the_tests";
const OTHER: &str = "whsec_of_the_last_year";
/// An order that waits looks by itself only after the tests have lost their patience.
const SELDOM: (&str, &str) = ("RETRY_MS", "60000");
pub(crate) const SECRETS: (&str, &str) = ("PAYMENT_WEBHOOK_SECRET", SECRET);

impl Shop {
    /// A service that the sandbox tells its events to, and that looks by itself but seldom.
    pub(crate) fn start_hearing(&self, settings: &[(&str, &str)]) -> Service {
        let service = self.start(&[&[SECRETS, SELDOM], settings].concat());
        self.told_by_provider(&service.url);
        service
    }

    /// From now on the sandbox tells its events there, also those that nobody took where it told them before.
    pub(crate) fn told_by_provider(&self, service: &str) {
        self.payments.deliver_to(Webhook {
            url: format!("{service}/webhooks/stripe"),
            secret: SECRET.to_owned(),
        });
    }
}

impl Service {
    /// Tells an event as the provider does.
    pub(crate) async fn hears(&self, kind: &str, object: &Value) -> Response {
        let event = json!({"id": "evt_1", "object": "event", "type": kind, "data": {"object": object}});
        self.hears_text(&event.to_string()).await
    }

    async fn hears_text(&self, body: &str) -> Response {
        let header = signature(SECRET, Timestamp::now().as_second(), body);
        self.hears_signed(&header, body).await
    }

    async fn hears_signed(&self, header: &str, body: &str) -> Response {
        let request = self.post("/webhooks/stripe", "").header("stripe-signature", header);
        let mut request = request.body(body.to_owned()).build().unwrap();
        request.headers_mut().remove("authorization");
        self.send(request).await
    }
}

async fn outcome(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let word = if status == 200 { &body["outcome"] } else { &body["code"] };
    (status, word.clone())
}

fn payment_of(order: impl ToString) -> Value {
    json!({"id": "pi_1", "object": "payment_intent", "metadata": {"order_id": order.to_string()}})
}

#[tokio::test]
async fn an_order_goes_on_as_soon_as_its_customer_has_completed_the_payment() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let waiting = service
        .shows(&ada, id, |order| order["payment"]["state"] == "requires_action")
        .await;
    assert_eq!(waiting["status"], "pending");
    let page = waiting["payment"]["next_action"]["url"].as_str().unwrap();
    shop.browse(page, "outcome=complete").await;

    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["payment"]["next_action"], json!(null));
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
    assert_eq!(shop.told(id).await, ["OrderPlaced", "OrderConfirmed"]);
}

#[tokio::test]
async fn an_order_fails_as_soon_as_its_customer_has_failed_to_authenticate() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_threeDSecure2Required"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let waits = |order: &Value| order["payment"]["state"] == "requires_action";
    let waiting = service.shows(&ada, id, waits).await;
    let page = waiting["payment"]["next_action"]["url"].as_str().unwrap();
    shop.browse(page, "outcome=fail").await;

    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["failure"]["reason"], "declined");
    assert_eq!(shop.paid(id), [("canceled", 0, 0)]);
}

#[tokio::test]
async fn an_event_is_a_hint_that_says_nothing_of_how_the_payment_stands() {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let waits = |order: &Value| order["payment"]["state"] == "requires_action";
    service.shows(&ada, id, waits).await;

    // Whoever could sign would like it to be paid.
    let mut lie = payment_of(id.as_str().unwrap());
    lie["status"] = json!("succeeded");
    lie["amount_received"] = json!(1000);
    for kind in [
        "payment_intent.payment_failed",
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
    ] {
        assert_eq!(outcome(service.hears(kind, &lie).await).await, (200, json!("gone_on")));
    }
    shop.tried(id, 2).await;
    let order = service.read(&ada, id).await;
    assert_eq!(order["status"], "pending");
    assert_eq!(order["payment"]["state"], "requires_action");
    assert_eq!(shop.paid(id), [("requires_action", 0, 0)]);
}

#[tokio::test]
async fn what_comes_again_late_or_unasked_changes_nothing() {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_visa"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let before = shop.settled(id).await;
    let payment = payment_of(id.as_str().unwrap());
    for kind in [
        "payment_intent.amount_capturable_updated",
        "payment_intent.amount_capturable_updated",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
    ] {
        assert_eq!(
            outcome(service.hears(kind, &payment).await).await,
            (200, json!("nothing_new")),
            "{kind}"
        );
    }
    assert_eq!(shop.item(id).await.unwrap(), before);
}

#[tokio::test]
async fn what_is_no_business_of_this_shop_is_taken_and_left() {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS]);
    let ours = json!("not_ours");
    let cases = [
        ("payment_intent.canceled", payment_of(Uuid::new_v4()), &ours),
        ("payment_intent.canceled", json!({"id": "pi_1", "metadata": {}}), &ours),
        ("payment_intent.canceled", payment_of("an order of another shop"), &ours),
        ("charge.dispute.created", json!({"id": "dp_1"}), &ours),
        (
            "payment_intent.succeeded",
            payment_of(Uuid::new_v4()),
            &json!("ignored"),
        ),
        ("refund.updated", json!({"id": "re_1"}), &json!("ignored")),
        ("customer.created", json!({"id": "cus_1"}), &json!("ignored")),
        ("v3.of_a_later_year", json!([]), &json!("ignored")),
    ];
    for (kind, object, expected) in cases {
        let answered = outcome(service.hears(kind, &object).await).await;
        assert_eq!(answered, (200, expected.clone()), "{kind} {object}");
    }
}

#[tokio::test]
async fn nothing_that_is_not_signed_by_the_provider_is_taken() {
    let shop = Shop::open().await;
    let both = format!("{SECRET},{OTHER}");
    let service = shop.start(&[("PAYMENT_WEBHOOK_SECRET", &both), ("PAYMENT_WEBHOOK_TOLERANCE_S", "60")]);
    let body = json!({"id": "evt_1", "type": "customer.created", "data": {"object": {}}}).to_string();
    let now = Timestamp::now().as_second();
    for secret in [SECRET, OTHER] {
        let answer = service.hears_signed(&signature(secret, now, &body), &body).await;
        assert_eq!(answer.status(), 200);
    }
    let refused = [
        signature("whsec_of_nobody_here", now, &body),
        signature(SECRET, now, "{}"),
        signature(SECRET, now - 90, &body),
        signature(SECRET, now + 90, &body),
        format!("t={now}"),
        String::new(),
    ];
    for header in refused {
        let answer = service.hears_signed(&header, &body).await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        assert_eq!(outcome(answer).await, (400, json!("invalid_signature")), "{header}");
    }
}

#[rstest]
#[case::no_json("{", "invalid_event")]
#[case::no_event("{}", "invalid_event")]
#[case::about_nothing(
    r#"{"id": "evt_1", "type": "payment_intent.canceled", "data": {"object": {}}}"#,
    "invalid_event"
)]
#[case::a_path(
    r#"{"id": "evt_1", "type": "charge.dispute.created", "data": {"object": {"id": "../x"}}}"#,
    "invalid_event"
)]
#[tokio::test]
async fn a_signed_body_that_is_no_event_is_refused_clearly(#[case] body: &str, #[case] code: &str) {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS]);
    assert_eq!(outcome(service.hears_text(body).await).await, (400, json!(code)));
}

#[tokio::test]
async fn an_event_beyond_the_limit_is_refused() {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS]);
    let long = json!({"id": "evt_1", "type": "customer.created", "data": {"object": "x".repeat(256 * 1024)}});
    assert_eq!(
        outcome(service.hears_text(&long.to_string()).await).await,
        (413, json!("body_too_large"))
    );
}

#[tokio::test]
async fn without_a_secret_no_event_is_taken_and_the_start_says_so() {
    let log = logged();
    let shop = Shop::open().await;
    let service = shop.start(&[]);
    let answer = service
        .hears("payment_intent.canceled", &payment_of(Uuid::new_v4()))
        .await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(outcome(answer).await, (503, json!("webhook_not_configured")));
    assert!(log.text().contains("PAYMENT_WEBHOOK_SECRET is not set"));
}

#[tokio::test]
async fn while_the_table_is_away_the_provider_is_asked_to_come_again() {
    let shop = Shop::open().await;
    let service = shop.start(&[SECRETS, ("ORDERS_TABLE", "no-such-table")]);
    let answer = service
        .hears("payment_intent.canceled", &payment_of(Uuid::new_v4()))
        .await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(outcome(answer).await, (503, json!("unavailable")));
}

#[tokio::test]
async fn while_the_provider_itself_does_not_answer_it_is_asked_to_come_again() {
    let shop = Shop::open().await;
    // Nobody listens there.
    let service = shop.start(&[SECRETS, ("PAYMENT_URL", "http://127.0.0.1:9/")]);
    let answer = service.hears("charge.dispute.created", &json!({"id": "dp_1"})).await;
    assert_eq!(outcome(answer).await, (503, json!("unavailable")));
}

#[tokio::test]
async fn a_storm_of_one_event_makes_one_order_and_one_payment() {
    let shop = Shop::open().await;
    let service = shop.start_hearing(&[]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 2, 500)], Some("pm_card_authenticationRequired"));
    let id = &checkout["order_id"];
    shop.publish(&checkout).await;
    let ada = customer("ada");
    let waits = |order: &Value| order["payment"]["state"] == "requires_action";
    let waiting = service.shows(&ada, id, waits).await;
    shop.browse(
        waiting["payment"]["next_action"]["url"].as_str().unwrap(),
        "outcome=complete",
    )
    .await;
    let payment = payment_of(id.as_str().unwrap());
    let storm = (0..20).map(|_| service.hears("payment_intent.amount_capturable_updated", &payment));
    for answer in futures_util::future::join_all(storm).await {
        assert_eq!(answer.status(), 200);
    }
    let order = service.settles(&shop, &ada, id).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(shop.paid(id), [("succeeded", 1000, 0)]);
    assert_eq!(shop.told(id).await, ["OrderPlaced", "OrderConfirmed"]);
    assert_eq!(order["timeline"].as_array().unwrap().len(), 3, "{order:#}");
}

#[tokio::test]
async fn neither_the_providers_key_nor_the_webhooks_secret_is_ever_logged() {
    const KEY: &str = "sk_test_that_must_stay_here";
    let log = logged();
    let shop = Shop::open().await;
    let service = shop.start(&[("PAYMENT_KEY", KEY), SECRETS, ("RETRY_MS", "50")]);
    let tea = shop.products.add(500, 10);
    // The sandbox does not know that key: the failure is logged, with its causes.
    let checkout = shop.checkout(&[(tea, 1, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    shop.tried(&checkout["order_id"], 2).await;
    let ada = customer("ada");
    assert_eq!(
        service.read(&ada, &checkout["order_id"]).await["status"],
        "pending",
        "it is not the customer's fault"
    );
    service.hears("charge.dispute.created", &json!({"id": "dp_1"})).await;
    service
        .hears("payment_intent.canceled", &payment_of(Uuid::new_v4()))
        .await;
    service.hears_signed(&signature(OTHER, 1, "{}"), "{}").await;
    // The provider is away, too.
    let elsewhere = shop.start(&[("PAYMENT_KEY", KEY), SECRETS, ("PAYMENT_URL", "http://127.0.0.1:9/")]);
    elsewhere.hears("charge.dispute.created", &json!({"id": "dp_1"})).await;

    let text = log.text();
    assert!(
        text.contains("the payment provider refuses this service"),
        "the log is read"
    );
    assert!(text.contains("a request failed"), "the log is read");
    for secret in [KEY, "must_stay_here", SECRET, OTHER, "whsec", "Bearer sk_"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in: {line:?}");
    }
    let settings = format!("{:?}", shop.settings(&[("PAYMENT_KEY", KEY), SECRETS]));
    assert!(!settings.contains("must_stay_here") && !settings.contains(SECRET));
}

#[tokio::test]
async fn a_provider_that_asks_to_be_left_alone_is() {
    let shop = Shop::open().await;
    let provider = wiremock::MockServer::start().await;
    let busy = wiremock::ResponseTemplate::new(429).insert_header("retry-after", "40");
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(busy)
        .mount(&provider)
        .await;
    let _service = shop.start(&[("PAYMENT_URL", &provider.uri())]);
    let tea = shop.products.add(500, 10);
    let checkout = shop.checkout(&[(tea, 1, 500)], Some("pm_card_visa"));
    shop.publish(&checkout).await;
    shop.tried(&checkout["order_id"], 1).await;
    let item = shop.item(&checkout["order_id"]).await.unwrap();
    let due = Timestamp::from_millisecond(item["due_at"].as_i64().unwrap()).unwrap();
    assert!(due > Timestamp::now() + Duration::from_secs(30), "due at {due}");
}
