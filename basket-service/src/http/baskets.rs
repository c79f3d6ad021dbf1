//! Whole baskets: make, read, empty, merge.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpResponse, delete, get, post};
use deserr::Deserr;
use serde::Serialize;
use shared::auth::MaybeCaller;
use shared::body::{FieldErrors, Json};
use shared::documented::{Any, OfABody, WithToken};
use shared::etag::IfNoneMatch;
use shared::ids::InvalidId;
use shared::problem::{Problem, ProblemBody};
use utoipa::ToSchema;

use super::documented::OfABasket;
use super::error;
use super::view::{self, BasketBody};
use super::whose::{Own, Usable};
use crate::app::State;
use crate::domain::{GuestId, MergeStrategy};

/// Make a guest's basket.
///
/// Its id is all that is needed to use it: it is to be kept like a password. It expires 7 days after it
/// was touched last.
#[utoipa::path(
    tag = "baskets",
    responses(
        Any, WithToken,
        (status = 201, description = "The basket, empty", body = BasketBody,
            headers(("Location" = String, description = "The basket"), ("ETag" = String))),
        (status = 403, description = "A service's token. Code: `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/v1/baskets")]
pub(super) async fn create(state: Data<State>, _whoever: MaybeCaller) -> Result<HttpResponse, Problem> {
    let id = GuestId::from_chance(rand::random());
    let priced = state.baskets.create_guest(id).await.map_err(error::of_basket)?;
    let mut created = HttpResponse::Created();
    created.insert_header((header::LOCATION, format!("/v1/baskets/{id}")));
    Ok(view::answer(created, &priced, state.currency))
}

/// Read a basket.
///
/// A customer's is there from the beginning, empty. Names, prices and availability are those of now (at
/// most a second old); with `stale: true` those of when the lines were added.
#[utoipa::path(
    tag = "baskets",
    params(
        ("basket_id" = String, Path, description = "`me`, the caller's subject, or a guest basket's id"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has"),
    ),
    security((), ("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket,
        (status = 200, description = "The basket", body = BasketBody, headers(("ETag" = String))),
        (status = 304, description = "The client has it already", headers(("ETag" = String))),
    ),
)]
#[get("/v1/baskets/{basket_id}")]
pub(super) async fn read(state: Data<State>, basket: Usable, known: IfNoneMatch) -> Result<HttpResponse, Problem> {
    let priced = state.baskets.read(&basket.0).await.map_err(error::of_basket)?;
    Ok(view::answer_unless(&known, &priced, state.currency))
}

/// Empty a basket.
///
/// A checkout under way goes on.
#[utoipa::path(
    tag = "baskets",
    params(("basket_id" = String, Path, description = "`me`, the caller's subject, or a guest basket's id")),
    security((), ("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket,
        (status = 200, description = "The basket, empty", body = BasketBody, headers(("ETag" = String))),
        (status = 409, description = "A customer's basket took it over. Code: `basket_merged`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[delete("/v1/baskets/{basket_id}")]
pub(super) async fn empty(state: Data<State>, basket: Usable) -> Result<HttpResponse, Problem> {
    let priced = state.baskets.empty(&basket.0).await.map_err(error::of_basket)?;
    Ok(view::answer(HttpResponse::Ok(), &priced, state.currency))
}

/// Which basket to take over, and how.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = Merge)]
pub(super) struct MergeBody {
    /// The guest basket's id.
    #[deserr(try_from(String) = GuestId::try_from -> InvalidId, error = FieldErrors)]
    #[schema(value_type = String, pattern = "^g_[0-9a-f]{32}$")]
    from: GuestId,
    /// What becomes of a product that both hold; `sum` unless said.
    #[deserr(default)]
    strategy: StrategyBody,
}

#[derive(Clone, Copy, Debug, Default, Deserr, Serialize, ToSchema)]
#[deserr(rename_all = lowercase, error = FieldErrors)]
#[serde(rename_all = "snake_case")]
#[schema(as = MergeStrategy)]
enum StrategyBody {
    /// As many as both together.
    #[default]
    Sum,
    /// As many as the one that has more.
    Max,
}

/// Take a guest basket over into one's own.
///
/// All of it or nothing; twice is the same as once. The guest basket is left empty, its `state` is
/// `merged`, and it takes nothing more.
#[utoipa::path(
    tag = "baskets",
    params(("basket_id" = String, Path, description = "`me`, or the caller's subject")),
    request_body = MergeBody,
    security(("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket, OfABody,
        (status = 200, description = "The customer's basket", body = BasketBody, headers(("ETag" = String))),
        (status = 409, description = "Nothing was merged. Codes: `basket_merged` (into another basket), `too_many_lines`, `quantity_limit` (`products` names each)",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/v1/baskets/{basket_id}/merge")]
pub(super) async fn merge(state: Data<State>, own: Own, body: Json<MergeBody>) -> Result<HttpResponse, Problem> {
    let strategy = match body.0.strategy {
        StrategyBody::Sum => MergeStrategy::Sum,
        StrategyBody::Max => MergeStrategy::Max,
    };
    let merged = state.baskets.merge(&own.0, body.0.from, strategy).await;
    Ok(view::answer(
        HttpResponse::Ok(),
        &merged.map_err(error::of_merge)?,
        state.currency,
    ))
}
