//! The objects of Stripe's API as JSON: payment intents, charges, refunds, disputes, lists. All of the fields that a
//! client may look at are there; those that the sandbox has no use for are null, as Stripe sends them.

use serde_json::{Map, Value, json};

use super::charge::{Charge, ChargeState, Dispute, PaymentError, PaymentErrorKind, Refund};
use super::intent::{PaymentIntent, Status};
use super::method;

/// How an answer is to be laid out, beside what it tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    /// Where the pages are that a cardholder is sent to.
    pub(super) url: &'a str,
    /// `expand[]=latest_charge`: the charge itself in the place of its id.
    pub(super) expand_charge: bool,
}

/// <https://docs.stripe.com/api/payment_intents/object>
pub(super) fn intent(intent: &PaymentIntent, layout: Layout<'_>) -> Value {
    let latest_charge = match intent.latest_charge() {
        None => Value::Null,
        Some(latest) if layout.expand_charge => charge(intent, latest),
        Some(latest) => json!(latest.id),
    };
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.capturable(),
        "amount_details": { "tip": {} },
        "amount_received": intent.captured(),
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": null,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method.as_str(),
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": intent.last_error.as_ref().map(payment_error),
        "latest_charge": latest_charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action(intent, layout.url),
        "on_behalf_of": null,
        "payment_method": intent.payment_method,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": intent.status.as_str(),
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// <https://docs.stripe.com/api/charges/object>
///
/// As with Stripe, the release of an authorization shows here as a refund of all of it (`refunded`, with `captured`
/// false), though no money moved and no refund object exists.
pub(super) fn charge(intent: &PaymentIntent, charge: &Charge) -> Value {
    let amount_refunded = match charge.state {
        ChargeState::Released => intent.amount,
        ChargeState::Failed | ChargeState::Authorized | ChargeState::Captured => charge.refunded,
    };
    let taken_back = match charge.state {
        ChargeState::Released => true,
        ChargeState::Captured => charge.refunded == charge.captured,
        ChargeState::Failed | ChargeState::Authorized => false,
    };
    let failed = charge.state == ChargeState::Failed;
    json!({
        "id": charge.id,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": charge.captured,
        "amount_refunded": amount_refunded,
        "balance_transaction": null,
        "billing_details": {},
        "captured": charge.state == ChargeState::Captured,
        "created": charge.created,
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "dispute": charge.dispute,
        "disputed": charge.dispute.is_some(),
        "failure_code": charge.failure.as_ref().map(|failure| &failure.code),
        "failure_message": charge.failure.as_ref().map(|failure| &failure.message),
        "livemode": false,
        "metadata": intent.metadata,
        "outcome": outcome(charge),
        "paid": !failed,
        "payment_intent": intent.id,
        "payment_method": charge.payment_method,
        "payment_method_details": { "type": "card", "card": card(&charge.payment_method) },
        "refunded": taken_back,
        "status": if failed { "failed" } else { "succeeded" },
    })
}

/// <https://docs.stripe.com/api/refunds/object>
pub(super) fn refund(refund: &Refund) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": null,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.payment_intent,
        "reason": refund.reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": "succeeded",
        "transfer_reversal": null,
    })
}

/// <https://docs.stripe.com/api/disputes/object>
pub(super) fn dispute(dispute: &Dispute) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "evidence": {},
        "evidence_details": {
            "due_by": dispute.due_by,
            "has_evidence": false,
            "past_due": false,
            "submission_count": 0,
        },
        "is_charge_refundable": dispute.status.is_charge_refundable(),
        "livemode": false,
        "metadata": {},
        "payment_intent": dispute.payment_intent,
        "reason": dispute.reason,
        "status": dispute.status.as_str(),
    })
}

/// <https://docs.stripe.com/api/events/object>
pub(super) fn event(id: &str, kind: &str, object: &Value, idempotency_key: Option<&str>, now: i64) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": idempotency_key },
        "type": kind,
    })
}

/// The version of Stripe's API that the objects follow.
pub(super) const API_VERSION: &str = "2025-03-31.basil";

/// <https://docs.stripe.com/api/pagination>
pub(super) fn list(url: &str, data: Vec<Value>, more: bool) -> Value {
    json!({ "object": "list", "data": data, "has_more": more, "url": url })
}

/// <https://docs.stripe.com/api/pagination/search>
pub(super) fn search_result(url: &str, data: Vec<Value>, next_page: Option<&str>) -> Value {
    json!({
        "object": "search_result",
        "data": data,
        "has_more": next_page.is_some(),
        "next_page": next_page,
        "url": url,
    })
}

/// `last_payment_error`, and the `error` of an answer.
pub(super) fn payment_error(error: &PaymentError) -> Value {
    let mut body = Map::new();
    let kind = match error.kind {
        PaymentErrorKind::CardError => "card_error",
        PaymentErrorKind::InvalidRequestError => "invalid_request_error",
    };
    body.insert("type".to_owned(), json!(kind));
    body.insert("code".to_owned(), json!(error.code));
    body.insert("message".to_owned(), json!(error.message));
    body.insert("doc_url".to_owned(), json!(doc_url(&error.code)));
    if let Some(decline_code) = &error.decline_code {
        body.insert("decline_code".to_owned(), json!(decline_code));
    }
    if let Some(charge) = &error.charge {
        body.insert("charge".to_owned(), json!(charge));
    }
    let method = json!({
        "id": error.payment_method,
        "object": "payment_method",
        "type": "card",
        "card": card(&error.payment_method),
        "livemode": false,
    });
    body.insert("payment_method".to_owned(), method);
    Value::Object(body)
}

pub(super) fn doc_url(code: &str) -> String {
    format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))
}

/// The page on which the cardholder of a payment authenticates.
pub(super) fn authentication_url(intent: &PaymentIntent, url: &str) -> String {
    format!("{url}/authenticate/{}/{}", intent.id, intent.client_secret)
}

fn next_action(intent: &PaymentIntent, url: &str) -> Value {
    if intent.status != Status::RequiresAction {
        return Value::Null;
    }
    json!({
        "type": "redirect_to_url",
        "redirect_to_url": { "url": authentication_url(intent, url), "return_url": intent.return_url },
    })
}

fn card(token: &str) -> Value {
    method::find(token).map_or(Value::Null, |method| {
        json!({ "brand": method.brand, "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit", "last4": method.last4 })
    })
}

fn outcome(charge: &Charge) -> Value {
    match &charge.failure {
        None => json!({
            "network_status": "approved_by_network",
            "reason": null,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }),
        Some(failure) => json!({
            "network_status": "declined_by_network",
            "reason": failure.decline_code,
            "risk_level": "normal",
            "seller_message": failure.message,
            "type": "issuer_declined",
        }),
    }
}
