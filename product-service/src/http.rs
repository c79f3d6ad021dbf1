//! The routes: each takes its request apart, calls one function, and shapes the answer.

use actix_web::{HttpRequest, web};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use shared::cursor::{CursorKeys, InvalidCursorKeys};
use shared::documented::Tokens;
use shared::ids::{OrderId, ProductId};
use shared::money::Currency;
use utoipa::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

mod body;
mod documented;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod internal;
mod list;
mod ndjson;
mod product;
mod stock;
mod transfer;

/// What handlers are told of the shop.
pub struct Shop {
    currency: Currency,
    cursors: CursorKeys,
}

impl Shop {
    /// With the one currency that it sells in, and the keys of its cursors.
    ///
    /// # Errors
    /// A key is too short.
    pub fn new(currency: Currency, cursor_keys: &SecretString) -> Result<Self, InvalidCursorKeys> {
        Ok(Self {
            currency,
            cursors: CursorKeys::parse(cursor_keys)?,
        })
    }
}

/// Routes that take an `Idempotency-Key`.
pub const KEYED: &[&str] = &["/v1/products/{id}/stock/adjustments"];

/// Registers every route of the contract.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        // Before the routes with an id, which would take their last segment for one.
        .service(transfer::import)
        .service(transfer::export)
        .service(list::list)
        .service(product::create)
        .service(product::read)
        .service(product::replace)
        .service(product::change)
        .service(product::archive)
        .service(stock::count)
        .service(stock::adjust)
        .service(internal::hold)
        .service(internal::commit)
        .service(internal::release)
        .service(internal::reservations)
        .service(internal::stock);
}

/// What the contract says beside its routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Product service",
        description = "The catalog, its stock, and the stock held for orders. Errors are RFC 9457 problems; `code` \
                       tells programs what went wrong. Every route may answer 400 `idempotency_key_unsupported` to an \
                       `Idempotency-Key` that it takes none of, and 503 `unavailable` with `Retry-After` while the \
                       table is away or too busy.",
    ),
    components(schemas(shared::problem::ProblemBody, list::ProductList, body::ProductPatch, transfer::ImportAnswer, transfer::ImportSummary)),
    modifiers(&Tokens),
    tags(
        (name = "products", description = "The catalog"),
        (name = "stock", description = "What there is"),
        (name = "internal", description = "For the other services; the gateway does not route it"),
    ),
)]
pub struct Contract;

/// A product's id in a path: hyphenated, as its address is written, or nothing that exists.
#[derive(Clone, Copy, Debug)]
struct ProductPath(ProductId);

/// An order's id in a path.
#[derive(Clone, Copy, Debug)]
struct OrderPath(OrderId);

impl OrderPath {
    /// Notes the order on the request's span, by which its trace is found.
    fn note(self) {
        tracing::Span::current().record("order_id", tracing::field::display(self.0));
    }
}

impl<'de> Deserialize<'de> for ProductPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for OrderPath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// What a path that is no id is answered.
pub fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|_, req: &HttpRequest| {
        if req.path().starts_with("/internal/") {
            error::no_such_reservation().into()
        } else {
            error::no_such_product().into()
        }
    })
}
