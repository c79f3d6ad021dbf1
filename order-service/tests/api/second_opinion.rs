//! The client of the payment provider against localstripe, a Stripe that we did not write: what our own sandbox and our
//! client could have got wrong in the same way.
//!
//! Not judged by it, since it does not know them: idempotency keys (each call is made once here; the sandbox judges
//! repeats), search, disputes, the codes of most errors (only what status and card errors tell), webhooks signed as
//! Stripe's, and a 3-D Secure page to be sent to. A confirmation that names its payment method is added to it by
//! `deploy/local/src/localstripe/launch.py`.

use std::time::Duration;

use deploy_local::localstripe::LocalStripe;
use jiff::Timestamp;
use order_service::clients::payment::{Answer, Authorization, Capture, GivenBack, Of, PaymentClient, PaymentError};
use secrecy::SecretString;
use serde_json::Value;
use shared::contract::checkout::PaymentToken;
use shared::ids::OrderId;
use shared::money::Money;
use shared::outgoing::Outgoing;
use uuid::Uuid;

const KEY: &str = "sk_test_second_opinion";

struct Till {
    stripe: LocalStripe,
    client: PaymentClient,
    http: reqwest::Client,
    order: OrderId,
}

impl Till {
    async fn open() -> Self {
        let stripe = LocalStripe::start().await.unwrap();
        let (url, http) = (stripe.url().parse().unwrap(), Outgoing::new().unwrap().http);
        Self {
            client: PaymentClient::new(url, http, SecretString::from(KEY), Duration::from_secs(5), None),
            stripe,
            http: deploy_local::loopback::http().unwrap(),
            order: OrderId::from_uuid(Uuid::new_v4()),
        }
    }

    fn of<'a>(&'a self, intent: &'a Option<String>) -> Of<'a> {
        let now = Timestamp::now();
        Of {
            order: &self.order,
            total: Money::new(1000, "USD".parse().unwrap()),
            intent: intent.as_deref(),
            since: now,
            now,
        }
    }

    async fn authorize(&self, token: &str, attempt: u16, intent: &Option<String>) -> Answer<Authorization> {
        let token = PaymentToken::try_from(token.to_owned()).unwrap();
        let answer = self.client.authorize(self.of(intent), &token, attempt).await.unwrap();
        assert!(answer.intent.is_some());
        answer
    }

    /// The payment as it says itself.
    async fn book(&self, intent: &Option<String>) -> Value {
        let url = format!(
            "{}/v1/payment_intents/{}",
            self.stripe.url(),
            intent.as_deref().unwrap()
        );
        let answer = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// What it has given back.
    async fn refunds(&self, intent: &Option<String>) -> Vec<i64> {
        let id = intent.as_deref().unwrap();
        let url = format!("{}/v1/refunds?payment_intent={id}", self.stripe.url());
        let answer = self.http.get(url).bearer_auth(KEY).send().await.unwrap();
        let list: Value = answer.json().await.unwrap();
        let refunds = list["data"].as_array().unwrap().iter();
        refunds.map(|refund| refund["amount"].as_i64().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_payment_is_authorized_captured_and_refunded() {
    let till = Till::open().await;
    let authorized = till.authorize("pm_card_visa", 1, &None).await;
    assert_eq!(authorized.outcome, Authorization::Authorized);
    let intent = authorized.intent;
    let book = till.book(&intent).await;
    assert_eq!(book["status"], "requires_capture");
    assert_eq!(book["amount"], 1000);
    assert_eq!(book["currency"], "usd");
    assert_eq!(book["metadata"]["order_id"], till.order.to_string());
    assert_eq!(
        till.client.order_of(intent.as_deref().unwrap()).await.unwrap(),
        Some(till.order)
    );

    let again = till.authorize("pm_card_visa", 1, &intent).await;
    assert_eq!(
        again.outcome,
        Authorization::Authorized,
        "a known payment is looked at first"
    );
    let captured = till.client.capture(till.of(&intent)).await.unwrap();
    assert_eq!(captured.outcome, Capture::Captured);
    assert_eq!(till.book(&intent).await["status"], "succeeded");
    let captured = till.client.capture(till.of(&intent)).await.unwrap();
    assert_eq!(
        captured.outcome,
        Capture::Captured,
        "it refuses that, and shows that it is so"
    );

    let given_back = till.client.give_back(till.of(&intent)).await.unwrap().outcome;
    assert_eq!(
        given_back,
        GivenBack::Refunded(Money::new(1000, "USD".parse().unwrap()))
    );
    assert_eq!(till.refunds(&intent).await, [1000]);
    till.stripe.stop().await.unwrap();
}

#[tokio::test]
async fn an_authorization_is_voided_and_never_captured_after() {
    let till = Till::open().await;
    let intent = till.authorize("pm_card_visa", 1, &None).await.intent;
    let given_back = till.client.give_back(till.of(&intent)).await.unwrap().outcome;
    assert_eq!(given_back, GivenBack::Voided);
    assert_eq!(till.book(&intent).await["status"], "canceled");
    let given_back = till.client.give_back(till.of(&intent)).await.unwrap().outcome;
    assert_eq!(given_back, GivenBack::Voided);
    let late = till.authorize("pm_card_visa", 1, &intent).await;
    assert_eq!(late.outcome, Authorization::Declined);
    till.stripe.stop().await.unwrap();
}

#[tokio::test]
async fn a_declined_card_is_a_definite_no_after_which_another_can_pay() {
    let till = Till::open().await;
    let declined = till.authorize("pm_card_chargeCustomerFail", 1, &None).await;
    assert_eq!(declined.outcome, Authorization::Declined);
    let intent = declined.intent;
    assert_eq!(till.book(&intent).await["status"], "requires_payment_method");
    let paid = till.authorize("pm_card_visa", 2, &intent).await;
    assert_eq!(paid.outcome, Authorization::Authorized);
    assert_eq!(paid.intent, intent);
    till.stripe.stop().await.unwrap();
}

#[tokio::test]
async fn a_card_that_needs_its_holder_waits_and_is_seen_to_be_authenticated() {
    let till = Till::open().await;
    let form = [
        ("type", "card"),
        ("card[number]", "4000002760003184"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2034"),
        ("card[cvc]", "123"),
    ];
    let url = format!("{}/v1/payment_methods", till.stripe.url());
    let made: Value = till
        .http
        .post(url)
        .bearer_auth(KEY)
        .form(&form)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let waiting = till.authorize(made["id"].as_str().unwrap(), 1, &None).await;
    assert!(
        matches!(waiting.outcome, Authorization::NeedsCustomer(_)),
        "{waiting:?}"
    );
    let intent = waiting.intent;

    let secret = till.book(&intent).await["client_secret"].as_str().unwrap().to_owned();
    let id = intent.as_deref().unwrap();
    let url = format!("{}/v1/payment_intents/{id}/_authenticate", till.stripe.url());
    let form = [("client_secret", secret.as_str()), ("success", "true")];
    let answer = till.http.post(url).bearer_auth(KEY).form(&form).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let seen = till.client.look_up(till.of(&intent)).await.unwrap().outcome;
    assert_eq!(seen, Authorization::Authorized);
    till.stripe.stop().await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_none_is_no_answer_about_the_payment() {
    let till = Till::open().await;
    let (url, http) = (till.stripe.url().parse().unwrap(), Outgoing::new().unwrap().http);
    let client = PaymentClient::new(url, http, SecretString::from("nothing"), Duration::from_secs(5), None);
    let token = PaymentToken::try_from("pm_card_visa".to_owned()).unwrap();
    let refused = client.authorize(till.of(&None), &token, 1).await;
    assert!(
        matches!(refused, Err(PaymentError::Refused { status: 401, .. })),
        "{refused:?}"
    );
    till.stripe.stop().await.unwrap();
}
