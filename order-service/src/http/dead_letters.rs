//! `/v1/orders/admin/dead-letters`: checkouts that could not be taken in, looked at and sent again.

use actix_web::{HttpResponse, get, post, web};
use shared::auth::Admin;
use shared::body::Json;
use shared::dead_letters::{DeadLetterList, RedriveBody, Redriven};
use shared::documented::{Any, ForAdmins, OfABody, WithToken};
use shared::problem::Problem;

use super::{Desk, error};

/// List the checkouts that could not be taken in
///
/// Up to a hundred, with what the last try of each came to. They are hidden from other calls for the
/// moment that this takes, and are not changed by it.
#[utoipa::path(
    tag = "operators",
    responses(
        Any, WithToken, ForAdmins,
        (status = 200, description = "What there is", body = DeadLetterList),
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
    tag = "operators",
    request_body = RedriveBody,
    responses(
        Any, WithToken, ForAdmins, OfABody,
        (status = 200, description = "How many went back to their queue", body = Redriven),
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
