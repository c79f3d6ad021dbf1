//! What a refused call answers: Stripe's error object and its statuses (<https://docs.stripe.com/api/errors>).

use serde_json::{Map, Value, json};

use super::charge::{PaymentError, PaymentErrorKind};
use super::present;
use super::refusal::Refusal;

/// An error as it goes out.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
}

impl Fault {
    /// A parameter that cannot be what it is.
    pub(super) fn parameter(code: &'static str, param: &str, message: String) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: Some(code),
            message,
            param: Some(param.to_owned()),
        }
    }

    /// A request that is wrong as a whole.
    pub(super) fn request(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
        }
    }

    /// The resource in the path.
    pub(super) fn no_such(resource: &str, param: &str, id: &str) -> Self {
        let mut fault = Self::no_such_parameter(resource, param, id);
        fault.status = 404;
        fault
    }

    /// A resource that a parameter names.
    pub(super) fn no_such_parameter(resource: &str, param: &str, id: &str) -> Self {
        Self::parameter("resource_missing", param, format!("No such {resource}: '{id}'"))
    }

    /// The key belongs to another request.
    pub(super) fn key_reused(key: &str, first_used_for: KeyUse<'_>) -> Self {
        let message = match first_used_for {
            KeyUse::OtherParameters => format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            ),
            KeyUse::OtherEndpoint(path) => format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for \
                 ('{path}'). Try using a key other than '{key}' if you meant to execute a different request."
            ),
        };
        Self {
            status: 400,
            kind: "idempotency_error",
            code: None,
            message,
            param: None,
        }
    }

    /// The key's first request has not been answered yet.
    pub(super) fn key_in_use(key: &str) -> Self {
        Self {
            status: 409,
            kind: "invalid_request_error",
            code: Some("idempotency_key_in_use"),
            message: format!(
                "There is currently another in-progress request using this Idempotent Key (that probably means you \
                 submitted twice, and the other request is still going through): {key}. Please try again later."
            ),
            param: None,
        }
    }

    /// More than the sandbox is ready to hold at once.
    pub(super) fn rate_limit() -> Self {
        Self {
            status: 429,
            kind: "invalid_request_error",
            code: Some("rate_limit"),
            message: "Request rate limit exceeded. Retry with exponential back-off.".to_owned(),
            param: None,
        }
    }

    /// The sandbox' own failure; what it was stands in its log.
    pub(super) fn internal() -> Self {
        Self {
            status: 500,
            kind: "api_error",
            code: None,
            message: "An unknown error occurred".to_owned(),
            param: None,
        }
    }

    /// What a state does not allow.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let (status, code, param) = match refusal {
            Refusal::UnexpectedStatus { .. } | Refusal::UnexpectedState { .. } => {
                (400, Some("payment_intent_unexpected_state"), None)
            }
            Refusal::Busy => (429, Some("lock_timeout"), None),
            Refusal::CaptureTooLarge { .. } => (400, Some("amount_too_large"), Some("amount_to_capture")),
            Refusal::RefundTooLarge { .. } => (400, None, Some("amount")),
            Refusal::AlreadyRefunded { .. } => (400, Some("charge_already_refunded"), None),
            Refusal::Disputed { .. } => (400, Some("charge_disputed"), None),
            Refusal::DisputeClosed => (400, None, None),
        };
        Self {
            status,
            kind: "invalid_request_error",
            code,
            message: refusal.to_string(),
            param: param.map(str::to_owned),
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// `{"error": {..}}`, with the payment that it is about.
    pub(super) fn body(&self, intent: Option<Value>) -> Value {
        let mut error = Map::new();
        error.insert("type".to_owned(), json!(self.kind));
        error.insert("message".to_owned(), json!(self.message));
        if let Some(code) = self.code {
            error.insert("code".to_owned(), json!(code));
            error.insert("doc_url".to_owned(), json!(present::doc_url(code)));
        }
        if let Some(param) = &self.param {
            error.insert("param".to_owned(), json!(param));
        }
        if let Some(intent) = intent {
            error.insert("payment_intent".to_owned(), intent);
        }
        json!({ "error": error })
    }
}

/// What a reused key was first used for.
#[derive(Debug)]
pub(super) enum KeyUse<'a> {
    OtherParameters,
    OtherEndpoint(&'a str),
}

/// The answer to an attempt that came to nothing: status and body.
pub(super) fn declined(error: &PaymentError, intent: Value) -> (u16, Value) {
    let status = match error.kind {
        PaymentErrorKind::CardError => 402,
        PaymentErrorKind::InvalidRequestError => 400,
    };
    let mut body = present::payment_error(error);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("payment_intent".to_owned(), intent);
    }
    (status, json!({ "error": body }))
}
