//! The client of the payment provider against the sandbox: each answer told apart, and every call
//! repeatable.

use std::time::Duration;

use deploy_local::payment_sandbox::{Options, PaymentSandbox};
use jiff::Timestamp;
use order_service::clients::payment::{Authorization, Capture, GivenBack, Of, PaymentClient, PaymentError, Refunded};
use order_service::domain::payment::{Asked, Refund, RefundState};
use rstest::rstest;
use secrecy::SecretString;
use shared::contract::checkout::PaymentToken;
use shared::ids::OrderId;
use shared::money::Money;
use shared::outgoing::Outgoing;
use uuid::Uuid;

struct Till {
    sandbox: PaymentSandbox,
    client: PaymentClient,
    order: OrderId,
}

impl Till {
    fn open(key: &str, timeout: Duration) -> Self {
        let options = Options {
            slow: Duration::from_millis(600),
            ..Options::default()
        };
        let sandbox = PaymentSandbox::start(options).unwrap();
        let url = sandbox.url().parse().unwrap();
        let http = Outgoing::new().unwrap().http;
        Self {
            client: PaymentClient::new(url, http, SecretString::from(key), timeout, None),
            sandbox,
            order: OrderId::from_uuid(Uuid::new_v4()),
        }
    }

    fn new() -> Self {
        Self::open("sk_test_sandbox", Duration::from_secs(5))
    }

    /// This order's payment of 10 dollars.
    fn of<'a>(&'a self, intent: Option<&'a str>) -> Of<'a> {
        self.amounting(1000, intent)
    }

    fn amounting<'a>(&'a self, minor: i64, intent: Option<&'a str>) -> Of<'a> {
        let now = Timestamp::now();
        Of {
            order: &self.order,
            total: Money::new(minor, "USD".parse().unwrap()),
            intent,
            since: now,
            now,
        }
    }

    /// The same a day later, when the provider has forgotten its keys.
    fn a_day_later<'a>(&'a self) -> Of<'a> {
        let of = self.of(None);
        Of {
            now: of.since + Duration::from_secs(24 * 3600),
            ..of
        }
    }

    /// Every payment at the provider: status, captured, refunded.
    fn book(&self) -> Vec<(&'static str, i64, i64)> {
        let intents = self.sandbox.intents().into_iter();
        intents
            .map(|intent| (intent.status.as_str(), intent.captured, intent.refunded))
            .collect()
    }
}

fn token(text: &str) -> PaymentToken {
    PaymentToken::try_from(text.to_owned()).unwrap()
}

#[tokio::test]
async fn however_often_each_step_is_repeated_there_is_one_payment() {
    let till = Till::new();
    let visa = token("pm_card_visa");
    for _ in 0..3 {
        let answer = till.client.authorize(till.of(None), &visa, 1).await.unwrap();
        assert_eq!(answer.outcome, Authorization::Authorized);
    }
    assert_eq!(till.book(), [("requires_capture", 0, 0)]);
    for _ in 0..3 {
        assert_eq!(
            till.client.capture(till.of(None)).await.unwrap().outcome,
            Capture::Captured
        );
    }
    assert_eq!(till.book(), [("succeeded", 1000, 0)]);
    for _ in 0..3 {
        let given_back = till.client.give_back(till.of(None)).await.unwrap().outcome;
        assert!(matches!(given_back, GivenBack::Refunded(amount) if amount.amount_minor == 1000));
    }
    assert_eq!(till.book(), [("succeeded", 1000, 1000)]);
    assert_eq!(
        till.client.capture(till.of(None)).await.unwrap().outcome,
        Capture::Captured,
        "its first answer"
    );
}

#[rstest]
#[case("pm_card_chargeDeclined")]
#[case("pm_card_chargeDeclinedInsufficientFunds")]
#[case("pm_never_heard_of")]
#[tokio::test]
async fn a_refusal_is_definite_and_another_token_can_follow(#[case] refused: &str) {
    let till = Till::new();
    for _ in 0..2 {
        let answer = till.client.authorize(till.of(None), &token(refused), 1).await.unwrap();
        assert_eq!(answer.outcome, Authorization::Declined);
        assert!(answer.intent.is_some());
    }
    let answer = till
        .client
        .authorize(till.of(None), &token("pm_card_visa"), 2)
        .await
        .unwrap();
    assert_eq!(answer.outcome, Authorization::Authorized);
    assert_eq!(till.book(), [("requires_capture", 0, 0)]);
}

#[tokio::test]
async fn an_amount_that_the_provider_does_not_take_is_a_refusal() {
    let till = Till::new();
    let of = till.amounting(1, None);
    assert_eq!(
        till.client
            .authorize(of, &token("pm_card_visa"), 1)
            .await
            .unwrap()
            .outcome,
        Authorization::Declined
    );
    assert_eq!(till.client.give_back(of).await.unwrap().outcome, GivenBack::Voided);
    assert!(till.book().is_empty());
}

#[tokio::test]
async fn a_payment_that_was_voided_before_it_began_can_never_be_authorized() {
    let till = Till::new();
    assert_eq!(
        till.client.give_back(till.of(None)).await.unwrap().outcome,
        GivenBack::Voided
    );
    let late = till
        .client
        .authorize(till.of(None), &token("pm_card_visa"), 1)
        .await
        .unwrap();
    assert_eq!(late.outcome, Authorization::Declined);
    assert_eq!(
        till.client.capture(till.of(None)).await.unwrap().outcome,
        Capture::Refused
    );
    assert_eq!(till.book(), [("canceled", 0, 0)]);
}

#[rstest]
#[case("pm_slow")]
#[case("pm_lost")]
#[tokio::test]
async fn an_answer_that_is_late_or_lost_is_found_out_by_asking_again(#[case] method: &str) {
    let till = Till::open("sk_test_sandbox", Duration::from_millis(100));
    let first = till.client.authorize(till.of(None), &token(method), 1).await;
    let mut outcome = first.map(|answer| answer.outcome);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while outcome.is_err() {
        assert!(std::time::Instant::now() < deadline, "{outcome:?}");
        let again = till.client.authorize(till.of(None), &token(method), 1).await;
        outcome = again.map(|answer| answer.outcome);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outcome.unwrap(), Authorization::Authorized);
    assert_eq!(till.book(), [("requires_capture", 0, 0)]);
}

#[tokio::test]
async fn an_old_payment_is_looked_up_and_never_begun() {
    let till = Till::new();
    let visa = token("pm_card_visa");
    let late = till.client.authorize(till.a_day_later(), &visa, 1).await.unwrap();
    assert_eq!(late.outcome, Authorization::TooLate);
    assert_eq!(
        till.client.give_back(till.a_day_later()).await.unwrap().outcome,
        GivenBack::Voided
    );
    assert!(till.book().is_empty());

    let begun = till.client.authorize(till.of(None), &visa, 1).await.unwrap();
    let found = till.client.authorize(till.a_day_later(), &visa, 1).await.unwrap();
    assert_eq!(begun, found);
    assert_eq!(
        till.client.give_back(till.a_day_later()).await.unwrap().outcome,
        GivenBack::Voided
    );
    assert_eq!(till.book(), [("canceled", 0, 0)]);
}

#[tokio::test]
async fn a_wrong_key_of_ours_is_no_answer_about_the_payment() {
    let till = Till::open("sk_test_wrong", Duration::from_secs(5));
    let refused = till.client.authorize(till.of(None), &token("pm_card_visa"), 1).await;
    assert!(
        matches!(refused, Err(PaymentError::Refused { status: 401, .. })),
        "{refused:?}"
    );
}

fn part(minor: i64) -> Refund {
    Refund {
        id: Uuid::new_v4(),
        amount: Money::new(minor, "USD".parse().unwrap()),
        asked: Asked::Amount,
        reason: "a dent".to_owned(),
        state: RefundState::Pending,
        at: Timestamp::now(),
    }
}

impl Till {
    /// With its payment captured.
    async fn captured() -> Self {
        let till = Self::new();
        let visa = token("pm_card_visa");
        till.client.authorize(till.of(None), &visa, 1).await.unwrap();
        till.client.capture(till.of(None)).await.unwrap();
        assert_eq!(till.book(), [("succeeded", 1000, 0)]);
        till
    }
}

#[tokio::test]
async fn however_often_a_refund_is_repeated_it_is_made_once() {
    let till = Till::captured().await;
    let (dent, scratch) = (part(300), part(300));
    for refund in [&dent, &dent, &scratch, &dent] {
        let answer = till.client.refund(till.of(None), refund).await.unwrap();
        assert_eq!(answer.outcome, Refunded::Done);
    }
    assert_eq!(till.book(), [("succeeded", 1000, 600)]);
}

#[tokio::test]
async fn a_refund_that_was_asked_for_a_day_ago_is_found_and_not_made_again() {
    let till = Till::captured().await;
    let mut dent = part(300);
    till.client.refund(till.of(None), &dent).await.unwrap();
    let intent = till.client.look_up(till.of(None)).await.unwrap().intent.unwrap();
    // The provider has forgotten the key and would make another one: as under another order's key.
    let other = OrderId::from_uuid(Uuid::new_v4());
    let forgotten = Of {
        order: &other,
        ..till.of(Some(&intent))
    };
    dent.at -= Duration::from_secs(24 * 3600);
    let found = till.client.refund(forgotten, &dent).await.unwrap();
    assert_eq!(found.outcome, Refunded::Done);
    assert_eq!(till.book(), [("succeeded", 1000, 300)]);

    // One that never arrived is made all the same.
    let mut lost = part(200);
    lost.at -= Duration::from_secs(24 * 3600);
    let made = till.client.refund(till.of(Some(&intent)), &lost).await.unwrap();
    assert_eq!(made.outcome, Refunded::Done);
    assert_eq!(till.book(), [("succeeded", 1000, 500)]);
}

#[tokio::test]
async fn more_than_is_left_is_refused_and_what_left_nothing_is_not() {
    let till = Till::captured().await;
    let (whole, more) = (part(1000), part(1));
    let answer = till.client.refund(till.of(None), &whole).await.unwrap();
    assert_eq!(answer.outcome, Refunded::Done);
    let refused = till.client.refund(till.of(None), &more).await.unwrap();
    assert_eq!(refused.outcome, Refunded::Refused);
    let too_much = till.client.refund(till.of(None), &part(1001)).await.unwrap();
    assert_eq!(too_much.outcome, Refunded::Refused);
    // A payment that was never captured has nothing to give back.
    let open = Till::new();
    open.client
        .authorize(open.of(None), &token("pm_card_visa"), 1)
        .await
        .unwrap();
    let nothing = open.client.refund(open.of(None), &part(1)).await.unwrap();
    assert_eq!(nothing.outcome, Refunded::Refused);
    assert_eq!(open.book(), [("requires_capture", 0, 0)]);
}
