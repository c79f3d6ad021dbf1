//! `POST /webhooks/stripe`: what the payment provider tells of its own accord. Who sent it shows in its
//! signature; what is true is asked for ([`crate::fulfil`]).

pub(crate) mod signature;

use actix_web::{HttpRequest, post, web};
use serde::Serialize;
use shared::body::Raw;
use shared::documented::Any;
use shared::problem::{Problem, ProblemBody};
use tracing::Span;
use utoipa::ToSchema;

use super::{Desk, error};
use crate::clients::payment::event::{About, Event};
use crate::fulfil::now;
use crate::metrics;

/// What came of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Taken {
    /// `gone_on` (the order is worked on), `due` (it will be, soon), `noted` (a dispute), `nothing_new`,
    /// `not_ours` (it is about no order of this shop), `ignored` (no events of that kind are waited for).
    outcome: String,
}

/// Take an event of the payment provider
///
/// For the provider, which signs it; nobody else can. The event is a hint: what it is about is looked up
/// at the provider. The same event again changes nothing. Kinds that nobody waits for, and payments of no
/// order of this shop, are answered 200, since sending them again would not help.
///
/// Waited for are `payment_intent.amount_capturable_updated`, `.payment_failed`, `.canceled`,
/// `.requires_action`, and `charge.dispute.created`, `.updated`, `.closed`, `.funds_withdrawn`,
/// `.funds_reinstated`.
#[utoipa::path(
    tag = "webhooks",
    params(("Stripe-Signature" = String, Header, description = "`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `<t>.<body>` under a secret of this endpoint; several `v1` are looked at")),
    request_body(content = serde_json::Value, content_type = "application/json", description = "An event object: <https://docs.stripe.com/api/events/object>"),
    responses(
        Any,
        (status = 200, description = "It has been taken", body = Taken),
        (status = 400, description = "`invalid_signature`, `invalid_event`, `incomplete_body`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "`timeout`: the body did not arrive in time", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable` (the table or the provider does not answer: send it again), `webhook_not_configured`", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/webhooks/stripe")]
pub(crate) async fn take_event(
    desk: web::Data<Desk>,
    request: HttpRequest,
    body: Raw,
) -> Result<web::Json<Taken>, Problem> {
    let signatures = desk.signatures.as_ref().ok_or_else(error::no_webhook)?;
    let header = request.headers().get("stripe-signature");
    let header = header.and_then(|value| value.to_str().ok());
    if let Err(why) = signatures.verify(header, &body.0, now()) {
        metrics::webhook("not_signed".to_owned());
        return Err(error::not_signed(why));
    }
    let event = Event::read(&body.0).map_err(error::unreadable_event)?;
    if let About::Payment { order: Some(order), .. } | About::NeedsCustomer { order: Some(order), .. } = &event.about {
        Span::current().record("order_id", order.to_string());
    }
    let heard = desk.fulfilment.hear(&event.about).await.map_err(error::hint)?;
    let outcome = heard.to_string();
    tracing::info!(
        event.id = event.id,
        event.kind = event.kind,
        outcome,
        "the payment provider told something"
    );
    metrics::webhook(outcome.clone());
    Ok(web::Json(Taken { outcome }))
}
