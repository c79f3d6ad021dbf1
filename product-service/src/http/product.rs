//! One product: created, read, replaced, changed, archived.

use actix_web::http::header::{self, CONTENT_TYPE, LOCATION};
use actix_web::{HttpResponse, delete, get, patch, post, put, web};
use jiff::Timestamp;
use serde_json::Value;
use shared::auth::Merchant;
use shared::body::{Json, MergePatch};
use shared::documented::{Any, ForMerchants, OfABody, WithToken};
use shared::etag::{IfMatch, IfNoneMatch};
use shared::problem::{Problem, ProblemBody};

use super::body::{NewProduct, Part, ProductPatch, ProductView, Replacement, WrongBody, etag, patched};
use super::documented::OfACondition;
use super::{ProductPath, Shop, error};
use crate::catalog::Catalog;
use crate::domain::product::{Content, State};
use crate::store::{Consistency, ProductWithStock, Store};

/// Create a product. It has no stock yet.
#[utoipa::path(
    tag = "products",
    request_body = NewProduct,
    responses(
        Any, WithToken, ForMerchants, OfABody,
        (status = 201, description = "Created", body = ProductView, headers(
            ("Location" = String, description = "The product's address"),
            ("ETag" = String, description = "`\"<document version>.<stock version>.<available>\"`"),
        )),
        (status = 400, description = "`invalid_request` with every wrong field, `currency_not_supported`, `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`sku_taken`, with `product_id`: the sku has a product, perhaps an archived one", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/products")]
pub(super) async fn create(
    _: Merchant,
    catalog: web::Data<Catalog>,
    shop: web::Data<Shop>,
    Json(body): Json<Value>,
) -> Result<HttpResponse, Problem> {
    let content = NewProduct::read(body, shop.currency).map_err(error::body)?;
    let made = catalog.create(content, Timestamp::now()).await.map_err(error::create)?;
    let location = format!("/v1/products/{}", made.product.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .insert_header((header::ETAG, etag(&made).header()))
        .json(ProductView::from(made)))
}

/// Read a product with its availability. Archived products are read too.
#[utoipa::path(
    tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("If-None-Match" = Option<String>, Header, description = "ETags that the client has"),
    ),
    responses(
        Any,
        (status = 200, description = "The product", body = ProductView, headers(
            ("ETag" = String, description = "`\"<document version>.<stock version>.<available>\"`"),
        )),
        (status = 304, description = "The client has it"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(()),
)]
#[get("/v1/products/{id}")]
pub(super) async fn read(
    store: web::Data<Store>,
    id: web::Path<ProductPath>,
    condition: IfNoneMatch,
) -> Result<HttpResponse, Problem> {
    let found = store.product(id.0, Consistency::Strong).await.map_err(error::store)?;
    let found = found.ok_or_else(error::no_such_product)?;
    let tag = etag(&found);
    if condition.has(&tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag.header()))
            .finish());
    }
    Ok(shown(found))
}

/// Replace a product. What is absent is none afterwards, but `state`, which stays as it is; `state:
/// active` brings a product back from the archive.
#[utoipa::path(
    tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("If-Match" = String, Header, description = "ETags of what was read, whose first part counts, or `*`"),
    ),
    request_body = Replacement,
    responses(
        Any, WithToken, ForMerchants, OfABody, OfACondition,
        (status = 200, description = "The product as it is now; the same version if nothing changed", body = ProductView, headers(
            ("ETag" = String, description = "`\"<document version>.<stock version>.<available>\"`"),
        )),
        (status = 400, description = "`invalid_request` with every wrong field, `currency_not_supported`, `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[put("/v1/products/{id}")]
pub(super) async fn replace(
    _: Merchant,
    catalog: web::Data<Catalog>,
    shop: web::Data<Shop>,
    id: web::Path<ProductPath>,
    condition: IfMatch,
    Json(body): Json<Value>,
) -> Result<HttpResponse, Problem> {
    let replacement = Replacement::read(body, shop.currency).map_err(error::body)?;
    edited(&catalog, *id, condition, |before| replacement.of(before))
        .await
        .map(shown)
}

/// Change a product by a JSON merge patch (RFC 7396): a null removes what may be absent; a required
/// field cannot be removed. `state: active` brings a product back from the archive.
#[utoipa::path(
    tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("If-Match" = String, Header, description = "ETags of what was read, whose first part counts, or `*`"),
    ),
    request_body(content = ProductPatch, content_type = "application/merge-patch+json"),
    responses(
        Any, WithToken, ForMerchants, OfABody, OfACondition,
        (status = 200, description = "The product as it is now; the same version if nothing changed", body = ProductView, headers(
            ("ETag" = String, description = "`\"<document version>.<stock version>.<available>\"`"),
        )),
        (status = 400, description = "`invalid_request` with every wrong field, `currency_not_supported`, `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[patch("/v1/products/{id}")]
pub(super) async fn change(
    _: Merchant,
    catalog: web::Data<Catalog>,
    shop: web::Data<Shop>,
    id: web::Path<ProductPath>,
    condition: IfMatch,
    MergePatch(patch): MergePatch,
) -> Result<HttpResponse, Problem> {
    let rewrite = |before: &Content| patched(before, &patch, shop.currency);
    edited(&catalog, *id, condition, rewrite).await.map(shown)
}

/// Archive a product: it leaves the lists and cannot be bought any more, and is still read by its id.
/// What is held of it stays held and may be sold, at the price agreed.
#[utoipa::path(
    tag = "products",
    params(
        ("id" = Uuid, Path, description = "The product"),
        ("If-Match" = String, Header, description = "ETags of what was read, whose first part counts, or `*`"),
    ),
    responses(
        Any, WithToken, ForMerchants, OfACondition,
        (status = 204, description = "Archived, now or before", headers(
            ("ETag" = String, description = "`\"<document version>.<stock version>.<available>\"`"),
        )),
        (status = 404, description = "`not_found`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[delete("/v1/products/{id}")]
pub(super) async fn archive(
    _: Merchant,
    catalog: web::Data<Catalog>,
    id: web::Path<ProductPath>,
    condition: IfMatch,
) -> Result<HttpResponse, Problem> {
    let archived = |before: &Content| {
        Ok(Content {
            state: State::Archived,
            ..before.clone()
        })
    };
    let after = edited(&catalog, *id, condition, archived).await?;
    Ok(HttpResponse::NoContent()
        .insert_header((header::ETAG, etag(&after).header()))
        .finish())
}

async fn edited(
    catalog: &Catalog,
    ProductPath(id): ProductPath,
    condition: IfMatch,
    rewrite: impl Fn(&Content) -> Result<Content, WrongBody>,
) -> Result<ProductWithStock, Problem> {
    let expected = Part::Document.expected(condition);
    catalog
        .edit(id, &expected, Timestamp::now(), rewrite)
        .await
        .map_err(error::edit)
}

fn shown(found: ProductWithStock) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, etag(&found).header()))
        .insert_header((CONTENT_TYPE, "application/json"))
        .json(ProductView::from(found))
}
