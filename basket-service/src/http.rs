//! The HTTP edge: routes, and what they take and give. A handler takes a request apart, calls one
//! function, and shapes the answer.

mod baskets;
mod checkouts;
mod dead_letters;
mod documented;
mod error;
mod internal;
mod items;
mod view;
mod whose;

use utoipa::openapi::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

pub use documented::contract;

/// Routes that take an `Idempotency-Key`.
pub const KEYED: &[&str] = &["/v1/baskets/{basket_id}/checkout"];

/// Registers every route of the contract.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(baskets::create)
        .service(baskets::read)
        .service(baskets::empty)
        .service(baskets::merge)
        .service(items::add)
        .service(items::set)
        .service(items::remove)
        .service(checkouts::check_out)
        .service(checkouts::progress)
        .service(internal::checkouts)
        .service(dead_letters::list)
        .service(dead_letters::redrive);
}

/// The contract of all routes.
#[must_use]
pub fn api() -> OpenApi {
    shared::server::contract(contract(), routes)
}
