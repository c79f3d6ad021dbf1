//! Lines of a basket: add, set, remove.

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, delete, post, put};
use deserr::Deserr;
use serde::Deserialize;
use shared::body::{FieldErrors, Invalid, Json};
use shared::documented::{Any, OfABody, WithToken};
use shared::ids::ProductId;
use shared::problem::{Problem, ProblemBody};
use shared::quantity::{Quantity, QuantityOutOfRange};
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};

use super::documented::OfABasket;
use super::error;
use super::view::{self, BasketBody};
use super::whose::Usable;
use crate::app::State;

/// What to add.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = AddItem)]
pub(super) struct AddBody {
    product_id: ProductId,
    quantity: Quantity,
}

/// How many there are to be.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = SetItem)]
pub(super) struct SetBody {
    #[schema(value_type = u16, minimum = 0, maximum = 999)]
    quantity: Wanted,
}

/// A quantity, or 0 for no line.
#[derive(Clone, Copy, Debug, Deserr)]
#[deserr(try_from(i64) = Wanted::try_from -> WantedOutOfRange, error = FieldErrors)]
enum Wanted {
    None,
    Some(Quantity),
}

#[derive(Debug, Error)]
#[error("a quantity is from 0, which removes the line, to {max}", max = Quantity::MAX)]
struct WantedOutOfRange(#[source] QuantityOutOfRange);

impl Invalid for WantedOutOfRange {
    fn code(&self) -> &'static str {
        self.0.code()
    }
}

impl TryFrom<i64> for Wanted {
    type Error = WantedOutOfRange;

    fn try_from(pieces: i64) -> Result<Self, WantedOutOfRange> {
        match pieces {
            0 => Ok(Self::None),
            _ => Quantity::try_from(pieces).map(Self::Some).map_err(WantedOutOfRange),
        }
    }
}

/// Which line.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LinePath {
    /// `me`, the caller's subject, or a guest basket's id.
    #[expect(dead_code, reason = "`Usable` reads it; here it is documented")]
    basket_id: String,
    /// The line's product.
    product_id: ProductId,
}

/// Add to a basket.
///
/// So many are added to what is there, however many add at once. An add that is not answered must not
/// simply be repeated: read the basket, or set the quantity instead.
#[utoipa::path(
    tag = "baskets",
    params(("basket_id" = String, Path, description = "`me`, the caller's subject, or a guest basket's id")),
    request_body = AddBody,
    security((), ("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket, OfABody,
        (status = 200, description = "The basket after it", body = BasketBody, headers(("ETag" = String))),
        (status = 409, description = "Nothing was added. Codes: `product_unavailable`, `too_many_lines`, `quantity_limit`, `basket_merged`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[post("/v1/baskets/{basket_id}/items")]
pub(super) async fn add(state: Data<State>, basket: Usable, body: Json<AddBody>) -> Result<HttpResponse, Problem> {
    let added = state.baskets.add(&basket.0, body.0.product_id, body.0.quantity).await;
    Ok(view::answer(
        HttpResponse::Ok(),
        &added.map_err(error::of_basket)?,
        state.currency,
    ))
}

/// Set how many of a product a basket holds.
///
/// Can be repeated. 0 removes the line.
#[utoipa::path(
    tag = "baskets",
    params(LinePath),
    request_body = SetBody,
    security((), ("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket, OfABody,
        (status = 200, description = "The basket after it", body = BasketBody, headers(("ETag" = String))),
        (status = 409, description = "Nothing was set. Codes: `product_unavailable`, `too_many_lines`, `basket_merged`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[put("/v1/baskets/{basket_id}/items/{product_id}")]
pub(super) async fn set(
    state: Data<State>,
    basket: Usable,
    line: Path<LinePath>,
    body: Json<SetBody>,
) -> Result<HttpResponse, Problem> {
    let set = match body.0.quantity {
        Wanted::Some(quantity) => state.baskets.set(&basket.0, line.product_id, quantity).await,
        Wanted::None => state.baskets.remove(&basket.0, line.product_id).await,
    };
    Ok(view::answer(
        HttpResponse::Ok(),
        &set.map_err(error::of_basket)?,
        state.currency,
    ))
}

/// Remove a line.
///
/// Can be repeated.
#[utoipa::path(
    tag = "baskets",
    params(LinePath),
    security((), ("bearerAuth" = [])),
    responses(
        Any, WithToken, OfABasket,
        (status = 200, description = "The basket without it", body = BasketBody, headers(("ETag" = String))),
        (status = 409, description = "A customer's basket took it over. Code: `basket_merged`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[delete("/v1/baskets/{basket_id}/items/{product_id}")]
pub(super) async fn remove(state: Data<State>, basket: Usable, line: Path<LinePath>) -> Result<HttpResponse, Problem> {
    let removed = state.baskets.remove(&basket.0, line.product_id).await;
    Ok(view::answer(
        HttpResponse::Ok(),
        &removed.map_err(error::of_basket)?,
        state.currency,
    ))
}
