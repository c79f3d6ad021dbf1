//! Stock counted and adjusted by merchants.

use actix_web::{HttpResponse, post, put, web};
use deserr::Deserr;
use jiff::Timestamp;
use shared::auth::Merchant;
use shared::body::{FieldErrors, Json};
use shared::documented::{Any, ForMerchants, OfABody, WithToken};
use shared::etag::IfMatch;
use shared::idempotency::{IDEMPOTENT_REPLAYED, IdempotencyKey};
use shared::problem::{Problem, ProblemBody};
use utoipa::ToSchema;

use super::body::{Part, StockView};
use super::{ProductPath, error};
use crate::domain::adjustment::{Adjustment, Delta};
use crate::domain::stock::OnHand;
use crate::domain::text::Reason;
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
pub(super) struct AdjustmentRequest {
    /// Pieces that came, or went if it is negative.
    delta: Delta,
    /// Why; kept with the stock until the next adjustment.
    reason: Reason,
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
        Any, WithToken, ForMerchants, OfABody,
        (status = 200, description = "The stock as it is now", body = StockView),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`below_reserved`, with `reserved`: more is held for orders", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`precondition_failed`, with `stock_version`: counted or adjusted since", body = ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`precondition_required`: send If-Match", body = ProblemBody, content_type = "application/problem+json"),
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
    request_body = AdjustmentRequest,
    responses(
        Any, WithToken, ForMerchants, OfABody,
        (status = 200, description = "The stock as it is now", body = StockView, headers(
            ("Idempotent-Replayed" = Option<bool>, description = "`true` where it was adjusted before"),
        )),
        (status = 400, description = "`invalid_request` with every wrong field, `idempotency_key_required`, `invalid_idempotency_key`, `invalid_json`, `incomplete_body`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`below_reserved`, with `available`; `stock_limit`; `idempotency_key_reused`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/products/{id}/stock/adjustments")]
pub(super) async fn adjust(
    Merchant(merchant): Merchant,
    inventory: web::Data<Inventory>,
    id: web::Path<ProductPath>,
    key: IdempotencyKey,
    Json(asked): Json<AdjustmentRequest>,
) -> Result<HttpResponse, Problem> {
    let adjustment = Adjustment::new(asked.delta, asked.reason, merchant.id().as_str(), key.as_str());
    match inventory.adjust(id.0, &adjustment, Timestamp::now()).await {
        Ok(stock) => Ok(HttpResponse::Ok().json(StockView::new(id.0, &stock))),
        Err(AdjustError::Replayed(stock)) => Ok(HttpResponse::Ok()
            .insert_header((IDEMPOTENT_REPLAYED, "true"))
            .json(StockView::new(id.0, &stock))),
        Err(refused) => Err(error::adjust(refused)),
    }
}
