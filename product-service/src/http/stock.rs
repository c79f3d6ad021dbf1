//! Stock counted and adjusted by merchants.

use actix_web::{HttpResponse, post, put, web};
use deserr::Deserr;
use jiff::Timestamp;
use shared::auth::Merchant;
use shared::body::{FieldErrors, Invalid, Json};
use shared::etag::IfMatch;
use shared::idempotency::{IDEMPOTENT_REPLAYED, IdempotencyKey};
use shared::problem::{Problem, ProblemBody};
use thiserror::Error;
use utoipa::ToSchema;

use super::body::{Part, StockView};
use super::{ProductPath, error};
use crate::domain::stock::{AdjustmentKey, Delta, OnHand};
use crate::inventory::Inventory;
use crate::store::AdjustError;

/// A count.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct Count {
    /// Pieces that lie there, those held for orders included.
    on_hand: OnHand,
}

/// A change of stock.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct Adjustment {
    /// Pieces that came, or went if it is negative.
    delta: Delta,
    /// Why, for the log: 1 to 200 characters.
    reason: Reason,
}

#[derive(Debug, Deserr, ToSchema)]
#[deserr(try_from(String) = Reason::try_from -> InvalidReason, error = FieldErrors)]
#[schema(value_type = String, min_length = 1, max_length = 200)]
struct Reason(String);

#[derive(Debug, Error)]
#[error("a reason has 1 to 200 characters and no control characters")]
struct InvalidReason;

impl Invalid for InvalidReason {
    fn code(&self) -> &'static str {
        "invalid_reason"
    }
}

impl TryFrom<String> for Reason {
    type Error = InvalidReason;

    fn try_from(text: String) -> Result<Self, InvalidReason> {
        let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(InvalidReason) }
    }
}

/// Count a product's stock.
#[utoipa::path(
    tag = "stock",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("If-Match" = String, Header, description = "The product's ETags as read, whose second part counts, or `*`"),
    ),
    request_body = Count,
    responses(
        (status = 200, description = "The stock as it is now", body = StockView),
        (status = 400, description = "`invalid_request` with every wrong field, `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`unauthenticated`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: not a merchant", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`below_reserved`, with `reserved`: more is held for orders", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`precondition_failed`, with `stock_version`: counted or adjusted since", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`precondition_required`: send If-Match", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[put("/v1/products/{id}/stock")]
pub(super) async fn count(
    _: Merchant,
    inventory: web::Data<Inventory>,
    id: web::Path<ProductPath>,
    condition: IfMatch,
    Json(count): Json<Count>,
) -> Result<HttpResponse, Problem> {
    let expected = Part::Stock.expected(condition);
    let stock = inventory
        .count(id.0, count.on_hand, &expected, Timestamp::now())
        .await
        .map_err(error::count)?;
    Ok(HttpResponse::Ok().json(StockView::new(id.0, &stock)))
}

/// Change a product's stock by a delta, once for each `Idempotency-Key`: the last 16 keys of a stock
/// are known, and answered with the stock as it is.
#[utoipa::path(
    tag = "stock",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters, the same when this request is repeated"),
    ),
    request_body = Adjustment,
    responses(
        (status = 200, description = "The stock as it is now", body = StockView, headers(
            ("Idempotent-Replayed" = Option<bool>, description = "`true` where it was adjusted before"),
        )),
        (status = 400, description = "`invalid_request` with every wrong field, `idempotency_key_required`, `invalid_idempotency_key`, `invalid_json`, `incomplete_body`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`unauthenticated`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: not a merchant", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`below_reserved`, with `available`; `stock_limit`; `idempotency_key_reused`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/products/{id}/stock/adjustments")]
pub(super) async fn adjust(
    Merchant(merchant): Merchant,
    inventory: web::Data<Inventory>,
    id: web::Path<ProductPath>,
    key: IdempotencyKey,
    Json(asked): Json<Adjustment>,
) -> Result<HttpResponse, Problem> {
    let body = format!("{:?} {}", asked.delta, asked.reason.0);
    let key = AdjustmentKey::new(merchant.id().as_str(), key.as_str(), &body);
    match inventory.adjust(id.0, asked.delta, &key, Timestamp::now()).await {
        Ok(stock) => {
            let reason = asked.reason.0;
            tracing::info!(product_id = %id.0, delta = asked.delta.pieces(), reason, "stock was adjusted");
            Ok(HttpResponse::Ok().json(StockView::new(id.0, &stock)))
        }
        Err(AdjustError::Replayed(stock)) => Ok(HttpResponse::Ok()
            .insert_header((IDEMPOTENT_REPLAYED, "true"))
            .json(StockView::new(id.0, &stock))),
        Err(refused) => Err(error::adjust(refused)),
    }
}
