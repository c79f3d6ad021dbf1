//! What went wrong, as clients see it.

use actix_web::http::StatusCode;
use shared::body::FieldErrors;
use shared::dead_letters::DeadLetterError;
use shared::ids::{OrderId, ProductId};
use shared::money::MoneyError;
use shared::problem::Problem;
use uuid::Uuid;

use super::view::Viewer;
use super::webhook::signature::NotSigned;
use crate::clients::payment::PaymentError;
use crate::clients::payment::event::Unreadable;
use crate::clients::product::ProductError;
use crate::domain::order::Refused;
use crate::domain::payment::PaymentRefusal;
use crate::domain::placing::{InvalidOrder, MAX_LINES};
use crate::domain::state::Action;
use crate::fulfil::{ActError, HintError};
use crate::reconcile::AlreadyRunning;
use crate::store::StoreError;

/// When to ask again for a refund that the provider has not answered, in seconds.
const RETRY_IN_FLIGHT_AFTER_S: u32 = 2;
/// Somebody has to change a setting first.
const NO_WEBHOOK_RETRY_S: u32 = 300;

pub(super) fn store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable { .. } => Problem::unavailable(error),
        StoreError::Unreadable(_) | StoreError::Gone(_) => Problem::internal(error),
    }
}

pub(super) fn dead_letters(error: DeadLetterError) -> Problem {
    Problem::unavailable(error)
}

pub(super) fn product(error: ProductError) -> Problem {
    match error {
        ProductError::Unavailable(_) | ProductError::Refused { .. } => Problem::unavailable(error),
    }
}

/// One reads everything; two would read it twice.
pub(super) fn reconciling(error: AlreadyRunning) -> Problem {
    const RETRY_AFTER_S: u32 = 10;
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "reconciliation_running",
        error.to_string(),
    )
    .retry_after(RETRY_AFTER_S)
}

pub(super) fn act(error: ActError, viewer: Viewer) -> Problem {
    match error {
        ActError::Refused(Refused::Transition(refusal)) => {
            Problem::conflict("invalid_transition", format!("{refusal} now"))
                .with("from", refusal.from)
                .with("to", refusal.to)
                .with("allowed", allowed(refusal.allowed, viewer))
        }
        ActError::Refused(Refused::Payment(refusal)) => payment(&refusal),
        ActError::Store(error) => store(error),
        ActError::Overtaken => Problem::unavailable(error),
    }
}

pub(super) fn hint(error: HintError) -> Problem {
    match error {
        HintError::Payment(
            cause @ (PaymentError::Unknown(_) | PaymentError::Busy { .. } | PaymentError::Refused { .. }),
        ) => Problem::unavailable(cause),
        HintError::Store(error) => store(error),
        HintError::Act(error) => act(error, Viewer::Merchant),
    }
}

pub(super) fn not_signed(why: NotSigned) -> Problem {
    match why {
        NotSigned::Malformed | NotSigned::Mismatch | NotSigned::OutOfTime => {
            Problem::bad_request("invalid_signature", why.to_string())
        }
    }
}

/// Whoever set the endpoint up at the provider sees it there; once it is set up here, what was refused
/// comes again.
pub(super) fn no_webhook() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "webhook_not_configured",
        "this service was told no secret of this webhook (PAYMENT_WEBHOOK_SECRET), and takes no events without",
    )
    .retry_after(NO_WEBHOOK_RETRY_S)
}

pub(super) fn unreadable_event(fault: Unreadable) -> Problem {
    match fault {
        Unreadable::Form(_) => {
            Problem::bad_request("invalid_event", "the body is not an event of the payment provider")
        }
        Unreadable::Names(_) => Problem::bad_request("invalid_event", fault.to_string()),
    }
    .because(fault)
}

/// Those that whoever asked could ask for.
fn allowed(mut actions: Vec<Action>, viewer: Viewer) -> Vec<Action> {
    actions.retain(|action| viewer.may_ask(*action));
    actions
}

fn payment(refusal: &PaymentRefusal) -> Problem {
    match refusal {
        PaymentRefusal::TooMuch { left } => {
            Problem::conflict("refund_too_large", refusal.to_string()).with("left", left)
        }
        PaymentRefusal::TooMany => Problem::conflict("too_many_refunds", refusal.to_string()),
        PaymentRefusal::Disputed => Problem::conflict("payment_disputed", refusal.to_string()),
        PaymentRefusal::NotAnAmount => FieldErrors::at("#/amount", "invalid_amount", refusal.to_string()).into(),
    }
}

pub(super) fn invalid_order(error: InvalidOrder) -> Problem {
    match error {
        InvalidOrder::NoLines => no_items().into(),
        InvalidOrder::TooManyLines { .. } => too_many_items().into(),
        InvalidOrder::Money(MoneyError::Overflow) => {
            FieldErrors::at("#/items", "amount_too_large", "all of this together costs too much").into()
        }
        // These come from the product service, not from the client.
        InvalidOrder::Money(MoneyError::CurrencyMismatch { .. })
        | InvalidOrder::RepeatedProduct
        | InvalidOrder::NegativePrice
        | InvalidOrder::TotalMismatch { .. } => Problem::internal(error),
    }
}

pub(super) fn no_items() -> FieldErrors {
    FieldErrors::at("#/items", "no_items", "an order has an item at least")
}

pub(super) fn too_many_items() -> FieldErrors {
    let detail = format!("an order has at most {MAX_LINES} distinct products");
    FieldErrors::at("#/items", "too_many_lines", detail)
}

pub(super) fn no_such_order() -> Problem {
    Problem::not_found("order")
}

pub(super) fn not_your_customer() -> Problem {
    Problem::forbidden("an order is placed and listed for oneself; for somebody else by merchants only")
}

pub(super) fn product_unavailable(products: &[ProductId]) -> Problem {
    Problem::conflict(
        "product_unavailable",
        "products of this order are unknown or no longer sold",
    )
    .with("products", products)
}

pub(super) fn key_reused(order: &OrderId) -> Problem {
    let detail = "this Idempotency-Key belongs to another order, named in `order_id`";
    Problem::conflict("idempotency_key_reused", detail).with("order_id", order)
}

pub(super) fn refund_key_reused(refund: Uuid) -> Problem {
    let detail = "this Idempotency-Key belongs to another refund of this order, named in `refund_id`";
    Problem::conflict("idempotency_key_reused", detail).with("refund_id", refund)
}

pub(super) fn refund_in_flight() -> Problem {
    let detail = "this refund is with the payment provider, which has not answered yet; ask again later";
    Problem::conflict("idempotency_key_in_flight", detail).retry_after(RETRY_IN_FLIGHT_AFTER_S)
}

pub(super) fn not_your_payment() -> Problem {
    Problem::forbidden("an order is paid by its own customer only")
}

pub(super) fn merchants_list_by_status() -> Problem {
    Problem::forbidden("orders are listed by status for merchants only")
}

pub(super) fn no_list() -> FieldErrors {
    FieldErrors::at("?customer_id", "required", "say whose orders, or in which `status`")
}

pub(super) fn two_lists() -> FieldErrors {
    FieldErrors::at(
        "?status",
        "conflicting",
        "orders are listed by `customer_id` or by `status`",
    )
}

/// Too many listen to orders.
#[derive(Debug, thiserror::Error)]
#[error("as many streams of events are open as this process has places for")]
struct TooManyStreams;

pub(super) fn too_many_streams() -> Problem {
    Problem::unavailable(TooManyStreams).retry_after(STREAMS_RETRY_AFTER_S)
}

/// Places come free when clients leave or streams end, which takes longer than most of what is retried.
const STREAMS_RETRY_AFTER_S: u32 = 5;

pub(super) fn invalid_last_event_id() -> Problem {
    Problem::bad_request(
        "invalid_last_event_id",
        "Last-Event-ID is the id of an event of this order",
    )
}

pub(super) fn invalid_cursor() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid_cursor",
        "this cursor does not belong to this list; start again without it",
    )
}
