//! What went wrong, as clients see it. Problems are made here and nowhere else, each variant by name.

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use shared::cursor::InvalidCursor;
use shared::dead_letters::DeadLetterError;
use shared::ids::OrderId;
use shared::money::MoneyError;
use shared::problem::Problem;
use shared::quantity::Quantity;

use super::view::{self, LineStatus, OrderedLineBody};
use crate::baskets::{BasketError, MergeError};
use crate::checkout::CheckoutError;
use crate::domain::{ChangeRefused, CheckoutRefused, MAX_LINES, MergeRefused, Priced, UnavailableLine, WhyUnavailable};
use crate::store::StoreError;

pub(super) fn no_such_basket() -> Problem {
    Problem::not_found("basket")
}

pub(super) fn no_such_checkout() -> Problem {
    Problem::not_found("checkout")
}

pub(super) fn token_required() -> Problem {
    Problem::unauthenticated("send an access token: Authorization: Bearer ...")
}

pub(super) fn customers_only() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "customers_only",
        "a guest's basket cannot do this: merge it into your own, and use that",
    )
}

pub(super) fn invalid_cursor(cause: InvalidCursor) -> Problem {
    Problem::bad_request("invalid_cursor", cause.to_string())
}

pub(super) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(_) | StoreError::Contended(_) => Problem::unavailable(error),
        StoreError::Refused(_) | StoreError::Corrupt(_) => Problem::internal(error),
    }
}

pub(super) fn of_dead_letters(error: DeadLetterError) -> Problem {
    Problem::unavailable(error)
}

pub(super) fn of_basket(error: BasketError) -> Problem {
    match error {
        BasketError::Refused(why) => match why {
            ChangeRefused::NotFound => no_such_basket(),
            ChangeRefused::Merged => merged(),
            // A line that is not there and may not be made: the product is not sold.
            ChangeRefused::NoSuchLine => product_unavailable(),
            ChangeRefused::TooManyLines => too_many_lines(),
            ChangeRefused::QuantityLimit { had } => Problem::conflict("quantity_limit", why.to_string())
                .with("limit", Quantity::MAX)
                .with("quantity", had.get()),
        },
        BasketError::ProductUnavailable => product_unavailable(),
        BasketError::Products(error) => Problem::unavailable(error),
        BasketError::Store(error) => of_store(error),
        BasketError::Contended => Problem::unavailable(error),
    }
}

pub(super) fn of_merge(error: MergeError) -> Problem {
    match error {
        MergeError::NotFound => no_such_basket(),
        MergeError::Refused(why) => match why {
            MergeRefused::MergedElsewhere => merged(),
            MergeRefused::TooManyLines { .. } => {
                Problem::conflict("too_many_lines", why.to_string()).with("limit", MAX_LINES)
            }
            MergeRefused::QuantityLimit { ref products } => Problem::conflict("quantity_limit", why.to_string())
                .with("limit", Quantity::MAX)
                .with("products", products),
        },
        MergeError::Store(error) => of_store(error),
        MergeError::Contended => Problem::unavailable(error),
    }
}

pub(super) fn of_checkout(error: CheckoutError) -> Problem {
    match error {
        CheckoutError::Refused(refused) => of_refused(refused),
        CheckoutError::Products(error) => Problem::unavailable(error),
        CheckoutError::Store(error) => of_store(error),
        CheckoutError::Contended => Problem::unavailable(error),
    }
}

fn of_refused(refused: CheckoutRefused) -> Problem {
    let told = refused.to_string();
    let of_order = |code, order_id: OrderId| Problem::conflict(code, told.clone()).with("order_id", order_id);
    match refused {
        CheckoutRefused::KeyReused { order_id } => of_order("idempotency_key_reused", order_id),
        CheckoutRefused::InProgress { order_id } => of_order("checkout_in_progress", order_id),
        CheckoutRefused::Empty => Problem::conflict("basket_empty", told),
        CheckoutRefused::TooManyLines { .. } => Problem::conflict("too_many_lines", told).with("limit", MAX_LINES),
        CheckoutRefused::QuantityLimit { products } => Problem::conflict("quantity_limit", told)
            .with("limit", Quantity::MAX)
            .with("products", products),
        CheckoutRefused::Unavailable { unavailable, rest } => {
            let unavailable: Vec<_> = unavailable.iter().map(unavailable_line).collect();
            figures(Problem::conflict("product_unavailable", told), rest).with("unavailable", unavailable)
        }
        CheckoutRefused::PriceChanged { expected, now } => {
            figures(Problem::conflict("price_changed", told), now).with("expected_total", expected)
        }
        CheckoutRefused::NoTotal(MoneyError::Overflow) => {
            Problem::conflict("amount_too_large", "the total is more than an amount can hold")
        }
        CheckoutRefused::NoTotal(fault @ MoneyError::CurrencyMismatch { .. }) => Problem::internal(fault),
    }
}

/// What it would cost now.
fn figures(problem: Problem, priced: Priced) -> Problem {
    // Nothing was ordered: they lie in the basket as before.
    let line = |line| view::ordered_line(line, LineStatus::Pending);
    let lines: Vec<OrderedLineBody> = priced.lines.iter().map(line).collect();
    problem.with("lines", lines).with("total", priced.total)
}

fn unavailable_line(line: &UnavailableLine) -> Value {
    let why = match line.why {
        WhyUnavailable::Archived => "archived",
        WhyUnavailable::Unknown => "unknown",
    };
    json!({"product_id": line.product_id, "reason": why})
}

fn merged() -> Problem {
    Problem::conflict(
        "basket_merged",
        "this guest basket was merged into a customer's and takes nothing more",
    )
}

fn product_unavailable() -> Problem {
    Problem::conflict(
        "product_unavailable",
        "there is no such product, or it is not sold any more",
    )
}

fn too_many_lines() -> Problem {
    Problem::conflict("too_many_lines", ChangeRefused::TooManyLines.to_string()).with("limit", MAX_LINES)
}
