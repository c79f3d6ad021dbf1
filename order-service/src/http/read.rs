//! `GET /v1/orders/{id}`: an order as it stands, or as soon as it is decided.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use shared::auth::Caller;
use shared::documented::{Any, WithToken};
use shared::etag::{ETag, IfNoneMatch};
use shared::idempotency::Fingerprint;
use shared::ids::OrderId;
use shared::problem::{Problem, ProblemBody};
use tracing::Span;

use super::documented::OfAnOrder;
use super::view::{OrderView, Viewer};
use super::wait::{Wait, until_decided};
use super::{Desk, may_see};
use crate::domain::order::Order;

/// Read an order
///
/// One's own; a merchant, anybody's. Somebody else's is answered like one that does not exist.
#[utoipa::path(
    tag = "orders",
    params(
        ("id" = OrderId, Path, description = "The order"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` holds the answer for up to N seconds (20 at most) while one's own order is pending (RFC 7240)"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag of an earlier answer: 304 if nothing has changed"),
    ),
    responses(
        Any, WithToken, OfAnOrder,
        (status = 200, description = "The order", body = OrderView, headers(
            ("ETag" = String, description = "Of what is shown"),
            ("Preference-Applied" = String, description = "The `wait` that was kept to"),
        )),
        (status = 304, description = "It is as the client has it"),
        (status = 403, description = "`forbidden`: a service's token", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/orders/{id}")]
pub(crate) async fn read_order(
    desk: web::Data<Desk>,
    caller: Caller,
    id: web::Path<OrderId>,
    seen: IfNoneMatch,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Span::current().record("order_id", id.to_string());
    let wait = Wait::asked_for(request.headers());
    // Before the first look, so that no change falls between.
    let changes = desk.fulfilment.changes();
    let mut order = desk.order_for(&caller, &id).await?;
    let waits = wait.filter(|_| order.customer == *caller.id());
    if let Some(wait) = waits {
        order = until_decided(&desk, order, wait, changes).await?;
    }
    let mut answer = shown(&caller, &order, Some(&seen))?;
    if let Some(applied) = waits.and_then(Wait::applied) {
        answer
            .headers_mut()
            .insert(header::HeaderName::from_static("preference-applied"), applied);
    }
    Ok(answer)
}

/// The order as this caller sees it, unless they have `seen` it so.
pub(super) fn shown(caller: &Caller, order: &Order, seen: Option<&IfNoneMatch>) -> Result<HttpResponse, Problem> {
    debug_assert!(may_see(caller, order), "whoever is shown an order may see it");
    let body = serde_json::to_vec(&OrderView::of(order, Viewer::of(caller, order))).map_err(Problem::internal)?;
    let digest = Fingerprint::of(&[&body]);
    let tag = ETag::new(digest.as_str().get(..32).unwrap_or_default());
    if seen.is_some_and(|seen| seen.has(&tag)) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag.header()))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag.header()))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .content_type("application/json")
        .body(body))
}
