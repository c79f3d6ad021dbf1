//! What can be asked of an order, but for refunds, which have keys. Each can be repeated; the second time
//! it is answered with the order as it stands.

use actix_web::{HttpResponse, post, web};
use deserr::Deserr;
use shared::auth::{Caller, Merchant};
use shared::body::{FieldErrors, Json};
use shared::contract::checkout::PaymentToken;
use shared::documented::{Any, ForMerchants, OfABody, WithToken};
use shared::ids::OrderId;
use shared::problem::{Problem, ProblemBody};
use tracing::Span;
use utoipa::ToSchema;

use super::documented::{OfAnAction, OfAnOrder};
use super::read::shown;
use super::text::{Because, Carrier, Text, Tracking};
use super::view::{OrderView, Viewer};
use super::{Desk, error};
use crate::domain::machine::Input;
use crate::domain::order::Order;
use crate::domain::state::Action;
use crate::domain::timeline::Actor;

/// Who carries an order.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct Shipping {
    /// 1 to 100 characters, none of them a control character.
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$", example = "DHL")]
    carrier: Text<Carrier>,
    /// The carrier's number: 1 to 100 characters, none of them a control character.
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$")]
    tracking: Text<Tracking>,
}

/// What pays for an order instead.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct AnotherToken {
    /// A token of the payment provider, never a card's number.
    #[schema(value_type = String, min_length = 1, max_length = 255, pattern = "^(?!(?:[ -]*[0-9]){12}[0-9 -]*$)[!-~]{1,255}$")]
    payment_token: PaymentToken,
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
    let reason = body.0.into_reason();
    desk.act(&caller, &id, Input::Cancel { reason }).await
}

/// Accept an order
///
/// The merchant's yes to an order that waits for it.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses(
        Any, WithToken, ForMerchants, OfAnOrder, OfAnAction,
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
        Any, WithToken, ForMerchants, OfABody, OfAnOrder, OfAnAction,
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
    let reason = body.0.into_reason();
    desk.act(&merchant.0, &id, Input::Reject { reason }).await
}

/// Name another payment token
///
/// For one's own order whose payment was declined or waits for its customer, until `payment.deadline`.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = AnotherToken,
    responses(
        Any, WithToken, OfABody, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands, its payment tried with that token unless one had been authorized before", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
        (status = 403, description = "Somebody else's order, which its customer alone pays, or a service's token. Code: `forbidden`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/payment")]
pub(crate) async fn pay_order(
    desk: web::Data<Desk>,
    caller: Caller,
    id: web::Path<OrderId>,
    body: Json<AnotherToken>,
) -> Result<HttpResponse, Problem> {
    desk.act(&caller, &id, Input::Pay(body.0.payment_token)).await
}

/// Ship an order
///
/// It is on its way to its customer, and can no longer be cancelled.
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    request_body = Shipping,
    responses(
        Any, WithToken, ForMerchants, OfABody, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands: shipped. A second carrier or number changes nothing", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/ship")]
pub(crate) async fn ship_order(
    desk: web::Data<Desk>,
    merchant: Merchant,
    id: web::Path<OrderId>,
    body: Json<Shipping>,
) -> Result<HttpResponse, Problem> {
    let Shipping { carrier, tracking } = body.0;
    let (carrier, tracking) = (carrier.into(), tracking.into());
    desk.act(&merchant.0, &id, Input::Ship { carrier, tracking }).await
}

/// Tell that an order has arrived
#[utoipa::path(
    tag = "orders",
    params(("id" = OrderId, Path, description = "The order")),
    responses(
        Any, WithToken, ForMerchants, OfAnOrder, OfAnAction,
        (status = 200, description = "The order as it stands: delivered", body = OrderView, headers(("ETag" = String, description = "Of what is shown"))),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/{id}/deliver")]
pub(crate) async fn deliver_order(
    desk: web::Data<Desk>,
    merchant: Merchant,
    id: web::Path<OrderId>,
) -> Result<HttpResponse, Problem> {
    desk.act(&merchant.0, &id, Input::Deliver).await
}

impl Desk {
    async fn act(&self, caller: &Caller, id: &OrderId, input: Input) -> Result<HttpResponse, Problem> {
        Span::current().record("order_id", id.to_string());
        let order = self.order_for(caller, id).await?;
        let viewer = Viewer::of(caller, &order);
        if matches!(input, Input::Pay(_)) && !viewer.may_ask(Action::Pay) {
            return Err(error::not_your_payment());
        }
        let actor = actor(caller, &order);
        let acted = self.fulfilment.act(order, input, actor).await;
        let order = acted.map_err(|fault| error::act(fault, viewer))?.into_order();
        shown(caller, &order, None)
    }
}

/// As whom the caller acts on an order.
pub(super) fn actor(caller: &Caller, order: &Order) -> Actor {
    if order.customer == *caller.id() {
        Actor::Customer
    } else {
        Actor::Merchant
    }
}
