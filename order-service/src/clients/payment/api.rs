//! The provider's HTTP: form-encoded requests, idempotency keys, and its errors told apart by type.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Response, StatusCode};
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::PaymentError;
use crate::clients::pause_before;

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
pub(super) enum Fault {
    /// Refused for good, by the issuer or for what the payment is.
    Declined,
    /// The payment is not in a state for it.
    UnexpectedState,
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

#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) data: Vec<Intent>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
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

    /// Tries again where no answer came: every call is keyed, or only looks.
    async fn call(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, Fault> {
        let mut attempt = 1;
        loop {
            let sent = request()
                .timeout(self.timeout)
                .bearer_auth(self.key.expose_secret())
                .send()
                .await;
            let fault: Box<dyn std::error::Error + Send + Sync> = match sent {
                Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
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

async fn read<T: DeserializeOwned>(answer: Response) -> Result<Answered<T>, Fault> {
    let status = answer.status();
    let replayed = answer.headers().get("idempotent-replayed") == Some(&HeaderValue::from_static("true"));
    if status.is_success() {
        let body = answer.json().await;
        return match body {
            Ok(body) => Ok(Answered { body, replayed }),
            Err(fault) => Err(Fault::Other(PaymentError::Unknown(fault.into()))),
        };
    }
    let ErrorBody { error } = answer.json().await.unwrap_or_default();
    Err(fault(status, error))
}

fn fault(status: StatusCode, error: ErrorFields) -> Fault {
    let code = error.code.unwrap_or_default();
    let of_the_method = code == "resource_missing" && error.param.as_deref() == Some("payment_method");
    match (status.as_u16(), code.as_str()) {
        (402, _) => Fault::Declined,
        (409 | 429, _) => Fault::Other(PaymentError::Busy),
        (400, "payment_intent_unexpected_state" | "charge_already_refunded") => Fault::UnexpectedState,
        (400, "amount_too_small" | "amount_too_large" | "payment_intent_authentication_failure") => Fault::Declined,
        _ if error.kind == "card_error" || of_the_method => Fault::Declined,
        (status, _) => Fault::Other(PaymentError::Refused { status, code }),
    }
}
