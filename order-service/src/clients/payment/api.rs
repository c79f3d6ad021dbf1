//! The provider's HTTP: form-encoded requests, idempotency keys, and its errors told apart by type.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::outgoing::Resent;
use url::Url;

use super::PaymentError;
use crate::clients::pause_before;
use crate::metrics;

pub(super) struct Api {
    base: Url,
    http: ClientWithMiddleware,
    key: SecretString,
    timeout: Duration,
}

/// An answer, and whether it is the first one of its key given again.
pub(super) struct Answered<T> {
    pub(super) body: T,
    pub(super) replayed: bool,
}

/// Why a call did not do what was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// Refused for good, by the issuer or for what the payment is.
    Declined,
    /// The payment is not in a state for it.
    UnexpectedState,
    /// A fault of the provider's was its first answer under this key, and is given again for a day: only
    /// how the payment itself stands can tell.
    Stuck,
    /// The cardholder's bank has taken the money back, or may: it is not refunded as well.
    Disputed,
    /// Nothing definite.
    Other(PaymentError),
}

/// <https://docs.stripe.com/api/payment_intents/object>
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) next_action: Option<Action>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
}

/// What we wrote to a payment when it was begun.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) order_id: Option<String>,
}

/// <https://docs.stripe.com/payments/paymentintents/lifecycle>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Action {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Redirect {
    pub(super) url: String,
}

/// <https://docs.stripe.com/api/refunds/object>
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) status: RefundStatus,
    #[serde(default)]
    pub(super) metadata: RefundMetadata,
}

/// What we wrote there, unless the refund was made by hand.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RefundMetadata {
    #[serde(default)]
    pub(super) refund_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStatus {
    Pending,
    RequiresAction,
    Succeeded,
    Failed,
    Canceled,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refunds {
    pub(super) data: Vec<Refund>,
}

/// <https://docs.stripe.com/api/disputes/object>
#[derive(Debug, Deserialize)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) reason: String,
    pub(super) status: DisputeStatus,
    pub(super) is_charge_refundable: bool,
    pub(super) created: i64,
    #[serde(default)]
    pub(super) payment_intent: Option<String>,
    #[serde(default)]
    pub(super) evidence_details: Option<EvidenceDetails>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EvidenceDetails {
    #[serde(default)]
    pub(super) due_by: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    WarningNeedsResponse,
    WarningUnderReview,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
    Prevented,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) data: Vec<Intent>,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorFields,
}

/// <https://docs.stripe.com/api/errors>
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorFields {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    param: Option<String>,
}

/// Tries of one call whose answer did not come. Further ones are the sweeper's.
const ATTEMPTS: u32 = 2;

impl Api {
    pub(super) fn new(base: Url, http: ClientWithMiddleware, key: SecretString, timeout: Duration) -> Self {
        Self {
            base,
            http,
            key,
            timeout,
        }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Fault> {
        let mut url = self.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.call(|| self.http.get(url.clone())).await?;
        Ok(read(answer).await?.body)
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        fields: &[(&str, String)],
    ) -> Result<Answered<T>, Fault> {
        let url = self.at(path);
        let request = || self.http.post(url.clone()).header("idempotency-key", key).form(fields);
        read(self.call(request).await?).await
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    async fn call(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Fault> {
        let began = Instant::now();
        let answer = self.until_answered(request).await;
        let outcome = if answer.is_ok() { "answered" } else { "unanswered" };
        metrics::payment_called(began.elapsed(), outcome);
        answer
    }

    /// Tries again where no answer came: every call is keyed, or only looks.
    async fn until_answered(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Fault> {
        let mut attempt = 1;
        loop {
            let sent = request()
                .with_extension(Resent(attempt - 1))
                .timeout(self.timeout)
                .bearer_auth(self.key.expose_secret())
                .send()
                .await;
            let fault: Box<dyn std::error::Error + Send + Sync> = match sent {
                // It keeps the answer to a key, this one too.
                Ok(answer) if answer.status().is_server_error() && is_replayed(&answer) => {
                    return Err(Fault::Stuck);
                }
                Ok(answer) if !says_nothing(answer.status()) => return Ok(answer),
                Ok(answer) => format!("it answered {}", answer.status()).into(),
                Err(fault) => fault.into(),
            };
            if attempt == ATTEMPTS {
                return Err(Fault::Other(PaymentError::Unknown(fault)));
            }
            pause_before(attempt).await;
            attempt += 1;
        }
    }
}

/// Of such an answer nothing follows: a fault of the provider's, of something in between, or of whom it
/// asked itself.
fn says_nothing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::FAILED_DEPENDENCY)
}

fn is_replayed(answer: &Response) -> bool {
    answer.headers().get("idempotent-replayed") == Some(&HeaderValue::from_static("true"))
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<Answered<T>, Fault> {
    let status = answer.status();
    let replayed = is_replayed(&answer);
    let retry_after = retry_after(&answer);
    let text = answer
        .bytes()
        .await
        .map_err(|fault| Fault::Other(PaymentError::Unknown(fault.into())))?;
    if status.is_success() {
        // Not serde's words: they repeat what stood there.
        let body = serde_json::from_slice(&text).map_err(|fault| {
            let where_ = format!("its answer cannot be read: {:?}", fault.classify());
            Fault::Other(PaymentError::Unknown(where_.into()))
        })?;
        return Ok(Answered { body, replayed });
    }
    let error = serde_json::from_slice::<ErrorBody>(&text).map(|body| body.error);
    Err(fault(status, error.ok(), retry_after))
}

/// Only seconds are understood; the provider sends nothing else.
fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

/// What a refusal means: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>.
/// `None`: it is not in the provider's own words, such as a proxy's.
fn fault(status: StatusCode, error: Option<ErrorFields>, retry_after: Option<Duration>) -> Fault {
    let Some(error) = error else {
        return Fault::Other(match status {
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => PaymentError::Busy { retry_after },
            _ => PaymentError::Refused {
                status: status.as_u16(),
                code: String::new(),
            },
        });
    };
    let code = error.code.unwrap_or_default();
    // What the customer named was refused, whichever way: it is unknown, used up, of another kind.
    let of_the_method = error.kind == "invalid_request_error" && error.param.as_deref() == Some("payment_method");
    match (status.as_u16(), code.as_str()) {
        (401 | 403, _) => Fault::Other(PaymentError::Refused {
            status: status.as_u16(),
            code,
        }),
        // A lock on the payment, another request under the same key, or too many of ours.
        (409 | 429, _) | (400, "lock_timeout" | "idempotency_key_in_use") => {
            Fault::Other(PaymentError::Busy { retry_after })
        }
        (402, _) => Fault::Declined,
        (_, "charge_disputed") => Fault::Disputed,
        (_, "payment_intent_unexpected_state" | "charge_already_refunded" | "charge_already_captured") => {
            Fault::UnexpectedState
        }
        (
            _,
            "amount_too_small"
            | "amount_too_large"
            | "payment_intent_authentication_failure"
            | "payment_intent_incompatible_payment_method"
            | "payment_intent_payment_attempt_expired"
            | "payment_intent_payment_attempt_failed"
            | "charge_expired_for_capture",
        ) => Fault::Declined,
        _ if error.kind == "card_error" || of_the_method => Fault::Declined,
        (status, _) => Fault::Other(PaymentError::Refused { status, code }),
    }
}
