//! `/v1/orders/admin/dead-letters`: checkouts that could not be taken in, looked at and sent again.

use actix_web::{HttpResponse, get, post, web};
use shared::auth::Admin;
use shared::body::Json;
use shared::dead_letters::{DeadLetterList, RedriveBody, Redriven};
use shared::problem::{Problem, ProblemBody};

use super::{Desk, error};

/// List the checkouts that could not be taken in
///
/// Up to a hundred, with what the last try of each came to. They are hidden from other calls for the
/// moment that this takes, and are not changed by it.
#[utoipa::path(
    tag = "operations",
    responses(
        (status = 200, description = "What there is", body = DeadLetterList),
        (status = 400, description = "`idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`unauthenticated`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/orders/admin/dead-letters")]
pub(crate) async fn list_dead_letters(desk: web::Data<Desk>, _admin: Admin) -> Result<HttpResponse, Problem> {
    let found: DeadLetterList = desk.dead_letters.list().await.map_err(error::dead_letters)?;
    Ok(HttpResponse::Ok().json(found))
}

/// Take dead checkouts in again
///
/// Those named, or up to a hundred. A checkout whose prices hold no longer becomes an order that has
/// failed (`expired`). To repeat this is harmless: what was sent again is no longer there.
#[utoipa::path(
    tag = "operations",
    request_body = RedriveBody,
    responses(
        (status = 200, description = "How many went back to their queue", body = Redriven),
        (status = 400, description = "`invalid_request` (`errors` names each wrong field), `invalid_json`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`unauthenticated`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`: nothing was sent again", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders/admin/dead-letters/redrive")]
pub(crate) async fn redrive_dead_letters(
    desk: web::Data<Desk>,
    _admin: Admin,
    which: Json<RedriveBody>,
) -> Result<HttpResponse, Problem> {
    let redriven: Redriven = desk.dead_letters.redrive(which.0).await.map_err(error::dead_letters)?;
    Ok(HttpResponse::Ok().json(redriven))
}
