//! What the provider's answers mean: each status and body, as a server of our own gives it, told apart.
//! <https://docs.stripe.com/api/errors>

use std::time::Duration;

use jiff::Timestamp;
use order_service::clients::payment::{Answer, Authorization, Capture, GivenBack, Of, PaymentClient, PaymentError};
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::contract::checkout::PaymentToken;
use shared::ids::OrderId;
use shared::money::Money;
use shared::outgoing::Outgoing;
use uuid::Uuid;
use wiremock::matchers::{header, method, path, path_regex};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const CREATE: &str = "/v1/payment_intents";
const CONFIRM: &str = "/v1/payment_intents/pi_1/confirm";
const CAPTURE: &str = "/v1/payment_intents/pi_1/capture";
const CANCEL: &str = "/v1/payment_intents/pi_1/cancel";
const REFUNDS: &str = "/v1/refunds";
const READ: &str = "/v1/payment_intents/pi_1";

/// A provider that says what it is told to.
struct Provider {
    server: MockServer,
    client: PaymentClient,
    order: OrderId,
}

/// What a call came to, in a word.
#[derive(Debug, PartialEq)]
enum Came {
    Authorized,
    NeedsCustomer,
    Declined,
    Captured,
    Refused,
    Voided,
    Refunded(i64),
    Contested,
    /// Nothing definite: it is tried again.
    Unknown,
    Busy(Option<u64>),
    /// Nothing definite, and somebody has to look.
    Alarm(u16),
}

impl Provider {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let http = Outgoing::new().unwrap().http;
        let url = server.uri().parse().unwrap();
        let key = SecretString::from("sk_test_of_ours");
        Self {
            client: PaymentClient::new(url, http, key, Duration::from_millis(400), None),
            server,
            order: OrderId::from_uuid(Uuid::new_v4()),
        }
    }

    async fn answers(&self, call: &str, answer: ResponseTemplate) {
        let verb = if call == READ { "GET" } else { "POST" };
        let mock = Mock::given(method(verb)).and(path(call));
        mock.and(header("authorization", "Bearer sk_test_of_ours"))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// A payment that stands so, whatever is done with it.
    async fn has(&self, status: &str) {
        self.answers(CREATE, intent(status)).await;
        self.answers(READ, intent(status)).await;
    }

    fn of(&self) -> Of<'_> {
        self.costing(1000, "USD")
    }

    fn costing(&self, minor: i64, currency: &str) -> Of<'_> {
        let now = Timestamp::now();
        Of {
            order: &self.order,
            total: Money::new(minor, currency.parse().unwrap()),
            intent: None,
            since: now,
            now,
        }
    }

    async fn authorize(&self) -> Came {
        let token = PaymentToken::try_from("pm_card_visa".to_owned()).unwrap();
        came(
            self.client.authorize(self.of(), &token, 1).await,
            |outcome| match outcome {
                Authorization::Authorized => Came::Authorized,
                Authorization::NeedsCustomer(_) => Came::NeedsCustomer,
                Authorization::Declined => Came::Declined,
                Authorization::TooLate => panic!("it is not late"),
            },
        )
    }

    async fn capture(&self) -> Came {
        came(self.client.capture(self.of()).await, |outcome| match outcome {
            Capture::Captured => Came::Captured,
            Capture::Refused => Came::Refused,
        })
    }

    async fn give_back(&self) -> Came {
        came(self.client.give_back(self.of()).await, |outcome| match outcome {
            GivenBack::Voided => Came::Voided,
            GivenBack::Refunded(amount) => Came::Refunded(amount.amount_minor),
            GivenBack::Contested => Came::Contested,
        })
    }

    async fn asked(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

fn came<T>(answer: Result<Answer<T>, PaymentError>, outcome: impl FnOnce(T) -> Came) -> Came {
    match answer {
        Ok(answer) => outcome(answer.outcome),
        Err(PaymentError::Unknown(_)) => Came::Unknown,
        Err(PaymentError::Busy { retry_after }) => Came::Busy(retry_after.map(|pause| pause.as_secs())),
        Err(PaymentError::Refused { status, .. }) => Came::Alarm(status),
    }
}

fn intent(status: &str) -> ResponseTemplate {
    let action = json!({"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds"}});
    let action = if status == "requires_action" {
        action
    } else {
        Value::Null
    };
    ResponseTemplate::new(200).set_body_json(json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "next_action": action, "metadata": {},
    }))
}

fn error(status: u16, kind: &str, code: Option<&str>, param: Option<&str>) -> ResponseTemplate {
    let error = json!({"type": kind, "code": code, "param": param, "message": "In the provider's words."});
    ResponseTemplate::new(status).set_body_json(json!({ "error": error }))
}

fn page(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_string("<html>A proxy's page</html>")
}

const REQUEST: &str = "invalid_request_error";

#[rstest]
// It got on.
#[case::authorized(intent("requires_capture"), Came::Authorized)]
#[case::captured_elsewhere(intent("succeeded"), Came::Authorized)]
#[case::three_d_secure(intent("requires_action"), Came::NeedsCustomer)]
#[case::processing(intent("processing"), Came::Busy(None))]
#[case::a_status_of_a_later_api(intent("resting"), Came::Busy(None))]
#[case::voided_by_somebody(intent("canceled"), Came::Declined)]
// A definite no, whose card it is.
#[case::declined(error(402, "card_error", Some("card_declined"), None), Came::Declined)]
#[case::expired_card(error(402, "card_error", Some("expired_card"), Some("exp_month")), Came::Declined)]
#[case::processing_error(error(402, "card_error", Some("processing_error"), None), Came::Declined)]
#[case::card_error_of_another_status(error(400, "card_error", Some("incorrect_cvc"), None), Came::Declined)]
#[case::failed_authentication(
    error(400, REQUEST, Some("payment_intent_authentication_failure"), None),
    Came::Declined
)]
// A definite no to the token that the customer named.
#[case::unknown_token(
    error(400, REQUEST, Some("resource_missing"), Some("payment_method")),
    Came::Declined
)]
#[case::unknown_token_404(
    error(404, REQUEST, Some("resource_missing"), Some("payment_method")),
    Came::Declined
)]
#[case::used_token(error(400, REQUEST, None, Some("payment_method")), Came::Declined)]
#[case::token_of_another_kind(
    error(400, REQUEST, Some("payment_intent_incompatible_payment_method"), None),
    Came::Declined
)]
// Come again.
#[case::rate_limited(error(429, REQUEST, Some("rate_limit"), None), Came::Busy(None))]
#[case::rate_limited_for_so_long(error(429, REQUEST, Some("rate_limit"), None).insert_header("retry-after", "7"), Came::Busy(Some(7)))]
#[case::rate_limited_by_a_proxy(page(429).insert_header("retry-after", "3"), Came::Busy(Some(3)))]
#[case::locked(error(429, REQUEST, Some("lock_timeout"), None), Came::Busy(None))]
#[case::locked_409(error(409, REQUEST, Some("lock_timeout"), None), Came::Busy(None))]
#[case::key_in_use(
    error(409, "idempotency_error", Some("idempotency_key_in_use"), None),
    Came::Busy(None)
)]
#[case::conflict_of_a_proxy(page(409), Came::Busy(None))]
// Nobody knows.
#[case::their_fault(error(500, "api_error", None, None), Came::Unknown)]
#[case::bad_gateway(page(502), Came::Unknown)]
#[case::away(page(503), Came::Unknown)]
#[case::no_answer_within_the_gateway(page(504), Came::Unknown)]
#[case::whom_they_asked_failed(error(424, "api_error", None, None), Came::Unknown)]
#[case::their_timeout(page(408), Came::Unknown)]
#[case::no_answer_in_time(intent("requires_capture").set_delay(Duration::from_secs(2)), Came::Unknown)]
#[case::an_answer_that_cannot_be_read(page(200), Came::Unknown)]
#[case::an_answer_about_nothing(ResponseTemplate::new(200).set_body_json(json!({})), Came::Unknown)]
// Our fault: neither the customer's, nor anything that waiting would mend.
#[case::wrong_key(error(401, REQUEST, None, None), Came::Alarm(401))]
#[case::restricted_key(error(403, REQUEST, None, None), Came::Alarm(403))]
#[case::wrong_parameter(error(400, REQUEST, Some("parameter_unknown"), Some("colour")), Came::Alarm(400))]
#[case::no_such_payment(error(404, REQUEST, Some("resource_missing"), Some("intent")), Came::Alarm(404))]
#[case::key_of_another_call(error(400, "idempotency_error", None, None), Came::Alarm(400))]
#[case::refused_by_a_proxy(page(403), Came::Alarm(403))]
#[case::moved(page(301), Came::Alarm(301))]
#[tokio::test]
async fn an_answer_to_a_confirmation_is_one_thing(#[case] answer: ResponseTemplate, #[case] came: Came) {
    let provider = Provider::start().await;
    provider.has("requires_payment_method").await;
    provider.answers(CONFIRM, answer).await;
    assert_eq!(provider.authorize().await, came);
}

#[rstest]
#[case::not_the_state_for_it(error(400, REQUEST, Some("payment_intent_unexpected_state"), None))]
#[case::a_fault_that_its_key_keeps(error(500, "api_error", None, None).insert_header("idempotent-replayed", "true"))]
#[tokio::test]
async fn where_an_answer_says_nothing_the_payment_itself_is_looked_at(#[case] answer: ResponseTemplate) {
    let provider = Provider::start().await;
    provider.answers(CREATE, intent("requires_payment_method")).await;
    provider.answers(CONFIRM, answer.clone()).await;
    provider.answers(CAPTURE, answer.clone()).await;
    provider.answers(CANCEL, answer.clone()).await;
    provider.answers(READ, intent("requires_capture")).await;
    assert_eq!(provider.authorize().await, Came::Authorized);
    assert_eq!(
        provider.capture().await,
        Came::Busy(None),
        "not taken, and can be still"
    );
    assert_eq!(provider.give_back().await, Came::Busy(None), "not void");
}

#[rstest]
#[case::too_small(error(400, REQUEST, Some("amount_too_small"), Some("amount")), Came::Declined)]
#[case::too_large(error(400, REQUEST, Some("amount_too_large"), Some("amount")), Came::Declined)]
#[case::currency(error(400, REQUEST, Some("invalid_currency"), Some("currency")), Came::Alarm(400))]
#[case::wrong_key(error(401, REQUEST, None, None), Came::Alarm(401))]
#[case::away(page(503), Came::Unknown)]
#[tokio::test]
async fn an_answer_to_the_beginning_is_one_thing(#[case] answer: ResponseTemplate, #[case] came: Came) {
    let provider = Provider::start().await;
    provider.answers(CREATE, answer).await;
    assert_eq!(provider.authorize().await, came);
}

#[rstest]
#[case::taken(intent("succeeded"), Came::Captured)]
#[case::the_authorization_ran_out(error(400, REQUEST, Some("charge_expired_for_capture"), None), Came::Refused)]
#[case::declined(error(402, "card_error", Some("card_declined"), None), Came::Refused)]
#[case::locked(error(429, REQUEST, Some("lock_timeout"), None), Came::Busy(None))]
#[case::away(page(500), Came::Unknown)]
#[case::wrong_key(error(401, REQUEST, None, None), Came::Alarm(401))]
#[tokio::test]
async fn an_answer_to_a_capture_is_one_thing(#[case] answer: ResponseTemplate, #[case] came: Came) {
    let provider = Provider::start().await;
    provider.has("requires_capture").await;
    provider.answers(CAPTURE, answer).await;
    assert_eq!(provider.capture().await, came);
}

#[rstest]
#[case::refunded(ResponseTemplate::new(200).set_body_json(json!({"id": "re_1", "amount": 1000, "status": "succeeded", "metadata": {}})), Came::Refunded(1000))]
#[case::refunded_before(error(400, REQUEST, Some("charge_already_refunded"), None), Came::Refunded(0))]
#[case::disputed(error(400, REQUEST, Some("charge_disputed"), None), Came::Contested)]
#[case::no_funds(error(402, REQUEST, Some("balance_insufficient"), None), Came::Busy(None))]
#[case::away(page(500), Came::Unknown)]
#[case::wrong_key(error(401, REQUEST, None, None), Came::Alarm(401))]
#[tokio::test]
async fn an_answer_to_a_refund_of_what_was_taken_is_one_thing(#[case] answer: ResponseTemplate, #[case] came: Came) {
    let provider = Provider::start().await;
    provider.has("succeeded").await;
    let refusal = error(400, REQUEST, Some("payment_intent_unexpected_state"), None);
    provider.answers(CANCEL, refusal).await;
    provider.answers(REFUNDS, answer).await;
    assert_eq!(provider.give_back().await, came);
}

#[tokio::test]
async fn what_could_not_be_known_is_asked_once_more_and_a_refusal_is_not() {
    let provider = Provider::start().await;
    provider.answers(CREATE, page(503)).await;
    provider.authorize().await;
    assert_eq!(provider.asked().await.len(), 2);
    for refusal in [
        page(429),
        error(401, REQUEST, None, None),
        error(402, "card_error", None, None),
    ] {
        provider.server.reset().await;
        provider.answers(CREATE, refusal).await;
        provider.authorize().await;
        assert_eq!(provider.asked().await.len(), 1);
    }
}

#[tokio::test]
async fn every_call_that_changes_something_has_a_key_of_its_order_and_step() {
    let provider = Provider::start().await;
    provider.has("requires_payment_method").await;
    let mock = Mock::given(method("POST")).and(path_regex("^/v1/payment_intents/pi_1/(confirm|capture|cancel)$"));
    mock.respond_with(intent("succeeded")).mount(&provider.server).await;
    let refund = ResponseTemplate::new(200)
        .set_body_json(json!({"id": "re_1", "amount": 1000, "status": "succeeded", "metadata": {}}));
    provider.answers(REFUNDS, refund).await;
    provider.authorize().await;
    provider.capture().await;
    assert_eq!(provider.give_back().await, Came::Refunded(1000));

    let asked = provider.asked().await;
    let posts: Vec<_> = asked
        .iter()
        .filter(|request| request.method.as_str() == "POST")
        .collect();
    let key = |request: &Request| request.headers["idempotency-key"].to_str().unwrap().to_owned();
    let of = |call: &str| {
        let mut keys: Vec<_> = posts
            .iter()
            .filter(|request| request.url.path() == call)
            .map(|request| key(request))
            .collect();
        keys.dedup();
        keys
    };
    for (call, step) in [
        (CREATE, "create"),
        (CONFIRM, "confirm-1"),
        (CAPTURE, "capture"),
        (CANCEL, "cancel"),
        (REFUNDS, "refund-rest"),
    ] {
        assert_eq!(of(call), [format!("order-{}-{step}", provider.order)]);
    }
    assert!(
        posts
            .iter()
            .all(|request| request.headers.contains_key("idempotency-key"))
    );
}

#[rstest]
#[case("USD", 1999, "amount=1999&currency=usd")]
#[case("JPY", 500, "amount=500&currency=jpy")]
#[case("KWD", 5124, "amount=5120&currency=kwd")]
#[case("ISK", 5, "amount=500&currency=isk")]
#[case("MGA", 50_000, "amount=500&currency=mga")]
#[tokio::test]
async fn a_payment_is_begun_in_the_minor_units_of_the_provider(
    #[case] currency: &str,
    #[case] minor: i64,
    #[case] written: &str,
) {
    let provider = Provider::start().await;
    provider.answers(CREATE, intent("requires_capture")).await;
    let token = PaymentToken::try_from("pm_card_visa".to_owned()).unwrap();
    let of = provider.costing(minor, currency);
    provider.client.authorize(of, &token, 1).await.unwrap();
    let asked = provider.asked().await;
    let body = String::from_utf8_lossy(&asked[0].body).into_owned();
    assert!(body.starts_with(written), "{body}");
}

#[tokio::test]
async fn an_amount_that_the_provider_cannot_even_be_told_is_refused_without_a_call() {
    let provider = Provider::start().await;
    let token = PaymentToken::try_from("pm_card_visa".to_owned()).unwrap();
    let of = provider.costing(i64::MAX, "ISK");
    let answer = provider.client.authorize(of, &token, 1).await.unwrap();
    assert_eq!(answer.outcome, Authorization::Declined);
    assert!(provider.asked().await.is_empty());
}
