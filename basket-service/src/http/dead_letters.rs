//! `/v1/baskets/admin/dead-letters`: answers to checkouts that could not be handled, looked at and sent
//! again.

use actix_web::web::Data;
use actix_web::{HttpResponse, get, post};
use shared::auth::Admin;
use shared::body::Json;
use shared::dead_letters::{DeadLetterList, RedriveBody, Redriven};
use shared::documented::{Any, ForAdmins, OfABody, WithToken};
use shared::problem::Problem;

use super::error;
use crate::app::State;

/// List the answers that could not be handled.
///
/// Up to a hundred, with what the last try of each came to. They are hidden from other calls for the
/// moment that this takes, and are not changed by it.
#[utoipa::path(
    tag = "operators",
    security(("bearerAuth" = [])),
    responses(
        Any, WithToken, ForAdmins,
        (status = 200, description = "What there is", body = DeadLetterList),
    ),
)]
#[get("/v1/baskets/admin/dead-letters")]
pub(super) async fn list(state: Data<State>, _admin: Admin) -> Result<HttpResponse, Problem> {
    let found: DeadLetterList = state.dead_letters.list().await.map_err(error::of_dead_letters)?;
    Ok(HttpResponse::Ok().json(found))
}

/// Handle dead answers again.
///
/// Those named, or up to a hundred. An answer to a checkout that is over changes nothing. To repeat this
/// is harmless: what was sent again is no longer there.
#[utoipa::path(
    tag = "operators",
    security(("bearerAuth" = [])),
    request_body = RedriveBody,
    responses(
        Any, WithToken, ForAdmins, OfABody,
        (status = 200, description = "How many went back to their queue", body = Redriven),
    ),
)]
#[post("/v1/baskets/admin/dead-letters/redrive")]
pub(super) async fn redrive(
    state: Data<State>,
    _admin: Admin,
    which: Json<RedriveBody>,
) -> Result<HttpResponse, Problem> {
    let redriven: Redriven = state
        .dead_letters
        .redrive(which.0)
        .await
        .map_err(error::of_dead_letters)?;
    Ok(HttpResponse::Ok().json(redriven))
}
