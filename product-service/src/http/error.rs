//! What went wrong inside, as clients see it. Problems are made here and nowhere else in the service.

use actix_web::http::StatusCode;
use actix_web::http::header::ETAG;
use serde_json::json;
use shared::cursor::InvalidCursor;
use shared::etag::ETag;
use shared::problem::{FieldError, Problem};

use super::body::{WrongBody, etag};
use crate::catalog::EditError;
use crate::domain::reservation::Refused;
use crate::domain::stock::{BelowReserved, CannotMove};
use crate::store::{AdjustError, CountError, CreateError, HoldError, StepError, StoreError};

const PRODUCT: &str = "product";

/// A path that cannot be an id names nothing that exists.
pub(super) fn no_such_product() -> Problem {
    Problem::not_found(PRODUCT)
}

/// As [`no_such_product`], of reservations.
pub(super) fn no_such_reservation() -> Problem {
    Problem::not_found("reservation")
}

/// Several wrong fields.
pub(super) fn invalid(errors: Vec<FieldError>) -> Problem {
    Problem::invalid(errors)
}

/// A body of another kind.
pub(super) fn unsupported_media_type(expected: &str) -> Problem {
    let detail = format!("send the body as Content-Type: {expected}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

/// A cursor that is none of this list.
pub(super) fn invalid_cursor(error: InvalidCursor) -> Problem {
    Problem::bad_request("invalid_cursor", error.to_string())
}

/// The table's own failures.
pub(super) fn store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Contended | StoreError::OutboxFull => Problem::unavailable(error),
        StoreError::Fault(_) => Problem::internal(error),
    }
}

pub(super) fn body(error: WrongBody) -> Problem {
    match error {
        WrongBody::Fields(errors) => invalid(errors),
        WrongBody::Currency(error) => {
            Problem::bad_request("currency_not_supported", error.detail.clone()).with("errors", [error])
        }
    }
}

pub(super) fn create(error: CreateError) -> Problem {
    match error {
        CreateError::Taken(id) => {
            Problem::conflict("sku_taken", format!("the sku is that of product {id}")).with("product_id", id)
        }
        CreateError::Store(error) => store(error),
    }
}

pub(super) fn edit(error: EditError<WrongBody>) -> Problem {
    match error {
        EditError::NotFound => no_such_product(),
        EditError::Stale(current) => stale(&etag(&current)),
        EditError::Wrong(error) => body(error),
        EditError::Store(error) => store(error),
    }
}

pub(super) fn count(error: CountError) -> Problem {
    match error {
        CountError::NotFound => no_such_product(),
        CountError::Stale(stock) => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "the stock has changed since you read it; read the product again",
        )
        .with("stock_version", stock.version),
        CountError::BelowReserved(error) => below_reserved(error),
        CountError::Store(error) => store(error),
    }
}

/// All but the replay, which is no error to the client.
pub(super) fn adjust(error: AdjustError) -> Problem {
    match error {
        AdjustError::NotFound => no_such_product(),
        AdjustError::KeyReused => Problem::conflict(
            "idempotency_key_reused",
            "this Idempotency-Key belongs to another adjustment of this product",
        ),
        AdjustError::CannotMove(CannotMove::Short { available }) => Problem::conflict(
            "below_reserved",
            format!("only {available} pieces are not held for orders"),
        )
        .with("available", available),
        AdjustError::CannotMove(CannotMove::NotHeld { reserved }) => below_reserved(BelowReserved { reserved }),
        AdjustError::CannotMove(error @ CannotMove::TooMany) => Problem::conflict("stock_limit", error.to_string()),
        AdjustError::Replayed(_) => Problem::internal(error),
        AdjustError::Store(error) => store(error),
    }
}

pub(super) fn hold(error: HoldError) -> Problem {
    match error {
        HoldError::OutOfStock(short) => {
            let lines: Vec<_> = short
                .iter()
                .map(|line| json!({"product_id": line.product_id, "requested": line.requested, "available": line.available}))
                .collect();
            Problem::conflict("out_of_stock", "there is not enough of every line; nothing is held").with("lines", lines)
        }
        HoldError::Refused(refused) => refused_step(refused),
        HoldError::Store(error) => store(error),
    }
}

pub(super) fn step(error: StepError) -> Problem {
    match error {
        StepError::NotFound => no_such_reservation(),
        StepError::Refused(refused) => refused_step(refused),
        StepError::Store(error) => store(error),
    }
}

fn refused_step(refused: Refused) -> Problem {
    match refused {
        Refused::Closed { state } => Problem::conflict("reservation_closed", refused.to_string()).with("state", state),
        Refused::OtherLines => Problem::conflict("reservation_differs", refused.to_string()),
    }
}

fn below_reserved(error: BelowReserved) -> Problem {
    Problem::conflict("below_reserved", error.to_string()).with("reserved", error.reserved)
}

fn stale(current: &ETag) -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "the product has changed since you read it; read it again",
    )
    .header(ETAG, current.header())
}
