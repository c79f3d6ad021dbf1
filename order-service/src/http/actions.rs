//! What can be asked of an order: cancel, accept, reject. Each can be repeated; the second time it is
//! answered with the order as it stands.

use std::fmt;

use actix_web::{HttpResponse, post, web};
use deserr::Deserr;
use shared::auth::{Caller, Merchant};
use shared::body::{FieldErrors, Invalid, Json};
use shared::documented::{Any, ForMerchants, OfABody, WithToken};
use shared::ids::OrderId;
use shared::problem::{Problem, ProblemBody};
use thiserror::Error;
use tracing::Span;
use utoipa::ToSchema;

use super::documented::{OfAnAction, OfAnOrder};
use super::read::shown;
use super::view::OrderView;
use super::{Desk, error};
use crate::domain::machine::Input;
use crate::domain::order::Actor;

/// Why somebody decides so.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct Because {
    /// 1 to 500 characters, none of them a control character. It is told to the other side.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: Reason,
}

#[derive(Clone, Deserr)]
#[deserr(try_from(String) = Reason::try_from -> InvalidReason, error = FieldErrors)]
struct Reason(String);

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reason(..)")
    }
}

/// Not a reason.
#[derive(Debug, Error)]
#[error("a reason has 1 to 500 characters, none of them a control character")]
struct InvalidReason;

impl Invalid for InvalidReason {
    fn code(&self) -> &'static str {
        "invalid_reason"
    }
}

impl TryFrom<String> for Reason {
    type Error = InvalidReason;

    fn try_from(text: String) -> Result<Self, InvalidReason> {
        let text = text.trim();
        if (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidReason)
        }
    }
}

/// Cancel an order
///
/// Before it ships; stock and payment are given back.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Because,
    responses(
        Any, WithToken, OfABody, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands: cancelled, or soon to be", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
        (status = 403, description = "`forbidden`: a service's token", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/cancel")]
pub(crate) async fn cancel_order(
    desk: web::Data<Desk>,
    caller: Caller,
    id: web::Path<OrderId>,
    body: Json<Because>,
) -> Result<HttpResponse, Problem> {
    let reason = body.0.reason.0;
    desk.act(&caller, &id, Input::Cancel { reason }).await
}

/// Accept an order
///
/// The merchant's yes to an order that waits for it.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses(
        Any, ForMerchants, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands: confirmed, or soon to be", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/accept")]
pub(crate) async fn accept_order(
    desk: web::Data<Desk>,
    merchant: Merchant,
    id: web::Path<OrderId>,
) -> Result<HttpResponse, Problem> {
    desk.act(&merchant.0, &id, Input::Accept).await
}

/// Reject an order
///
/// The merchant's no to an order that waits for an answer; stock and payment are given back.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Because,
    responses(
        Any, ForMerchants, OfABody, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands: failed, or soon to be", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/reject")]
pub(crate) async fn reject_order(
    desk: web::Data<Desk>,
    merchant: Merchant,
    id: web::Path<OrderId>,
    body: Json<Because>,
) -> Result<HttpResponse, Problem> {
    let reason = body.0.reason.0;
    desk.act(&merchant.0, &id, Input::Reject { reason }).await
}

impl Desk {
    async fn act(&self, caller: &Caller, id: &OrderId, input: Input) -> Result<HttpResponse, Problem> {
        Span::current().record("order_id", id.to_string());
        let order = self.order_for(caller, id).await?;
        let actor = if order.customer == *caller.id() {
            Actor::Customer
        } else {
            Actor::Merchant
        };
        let order = self.fulfilment.act(order, input, actor).await.map_err(error::act)?;
        shown(caller, &order, None)
    }
}
