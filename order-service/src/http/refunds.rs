//! `POST /v1/orders/{id}/refunds`: money back, whole or in parts. The order keeps its refunds for ever,
//! and is the record of their keys.

use actix_web::http::header;
use actix_web::{HttpResponse, post, web};
use deserr::Deserr;
use shared::auth::Merchant;
use shared::body::{FieldErrors, Invalid, Json};
use shared::documented::{Any, ForMerchants, OfABody, WithToken};
use shared::idempotency::{IDEMPOTENT_REPLAYED, IdempotencyKey};
use shared::ids::OrderId;
use shared::money::{Currency, Money};
use shared::problem::{Problem, ProblemBody};
use thiserror::Error;
use tracing::Span;
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::actor;
use super::documented::OfAnOrder;
use super::text::{Reason, Text};
use super::view::{RefundView, Viewer};
use super::{Desk, error};
use crate::domain::machine::Input;
use crate::domain::order::Order;
use crate::domain::payment::{Refund, RefundRequest, RefundState};
use crate::fulfil::Acted;

/// Money that is to go back.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = RefundRequest)]
pub(crate) struct RefundBody {
    /// More than nothing, in the order's currency; all that is left of what was captured, unless said.
    #[deserr(default)]
    #[schema(value_type = Option<RefundAmount>)]
    amount: Option<Amount>,
    /// 1 to 500 characters, none of them a control character. It is told to the customer.
    #[schema(value_type = String, min_length = 1, max_length = 500, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$")]
    reason: Text<Reason>,
}

/// An amount above nothing.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described; it is read as the amount that it is")]
struct RefundAmount {
    #[schema(minimum = 1)]
    amount_minor: i64,
    currency: Currency,
}

/// An amount above nothing.
#[derive(Clone, Copy, Debug, Deserr)]
#[deserr(try_from(Money) = Amount::try_from -> NotAnAmount, error = FieldErrors)]
struct Amount(Money);

#[derive(Debug, Error)]
#[error("a refund is of more than nothing")]
struct NotAnAmount;

impl Invalid for NotAnAmount {
    fn code(&self) -> &'static str {
        "invalid_amount"
    }
}

impl TryFrom<Money> for Amount {
    type Error = NotAnAmount;

    fn try_from(money: Money) -> Result<Self, NotAnAmount> {
        if money.amount_minor > 0 {
            Ok(Self(money))
        } else {
            Err(NotAnAmount)
        }
    }
}

/// Refund an order
///
/// All of what was captured, or a part; several times, never more together. Answered when the refund is
/// stored and the provider has answered, or does not for a while: then its `state` is `pending`, and it
/// is tried until the answer is definite.
#[utoipa::path(
    tag = "orders",
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters; the same for a repeat, which gets the refund as it stands", min_length = 1, max_length = 255),
    ),
    request_body = RefundBody,
    responses(
        Any, WithToken, ForMerchants, OfABody, OfAnOrder,
        (status = 201, description = "The refund as it stands", body = RefundView, headers(
            ("Location" = String, description = "The order, which shows its refunds"),
            ("Idempotent-Replayed" = bool, description = "`true` where the key had made it before"),
        )),
        (status = 400, description = "The request cannot be read. Codes: `invalid_request` (`errors` names every wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_required`, `invalid_idempotency_key`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Nothing new is refunded. Codes: `invalid_transition` (`from`, `to`, `allowed`), `refund_too_large` (`left`), `too_many_refunds`, `idempotency_key_reused` (`refund_id`), `idempotency_key_in_flight`, with `Retry-After`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/refunds")]
pub(crate) async fn refund_order(
    desk: web::Data<Desk>,
    merchant: Merchant,
    id: web::Path<OrderId>,
    key: IdempotencyKey,
    body: Json<RefundBody>,
) -> Result<HttpResponse, Problem> {
    let route = format!("orders/{}/refunds", *id);
    let request = RefundRequest {
        id: *OrderId::derive(merchant.0.id(), &route, key.as_str()).as_uuid(),
        amount: body.0.amount.map(|amount| amount.0),
        reason: body.0.reason.into(),
    };
    Span::current().record("order_id", id.to_string());
    let order = desk.order_for(&merchant.0, &id).await?;
    if let Some(known) = order.payment.refund_of(request.id) {
        return replay(&id, known, &request);
    }
    let (viewer, actor) = (Viewer::of(&merchant.0, &order), actor(&merchant.0, &order));
    let acted = desk.fulfilment.act(order, Input::Refund(request.clone()), actor).await;
    match acted.map_err(|fault| error::act(fault, viewer))? {
        Acted::Now(order) => Ok(created(&id).json(RefundView::of(of(&order, request.id)?))),
        // The same request came twice at once.
        Acted::Before(order) => replay(&id, of(&order, request.id)?, &request),
    }
}

fn of(order: &Order, id: Uuid) -> Result<&Refund, Problem> {
    let refund = order.payment.refund_of(id);
    refund.ok_or_else(|| Problem::internal(LostRefund(id)))
}

/// Refunds never leave their order.
#[derive(Debug, Error)]
#[error("the refund {0} was taken in and is not there")]
struct LostRefund(Uuid);

fn replay(order: &OrderId, refund: &Refund, request: &RefundRequest) -> Result<HttpResponse, Problem> {
    if !refund.is_what(request) {
        return Err(error::refund_key_reused(refund.id));
    }
    match refund.state {
        RefundState::Pending => Err(error::refund_in_flight()),
        RefundState::Done | RefundState::Refused => Ok(created(order)
            .insert_header((IDEMPOTENT_REPLAYED, "true"))
            .json(RefundView::of(refund))),
    }
}

fn created(order: &OrderId) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, format!("/v1/orders/{order}")));
    answer
}
