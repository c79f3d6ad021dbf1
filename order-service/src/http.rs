//! The routes. A handler takes the request apart, calls one function, and shapes the answer.

mod actions;
mod create;
mod dead_letters;
mod documented;
mod error;
mod events;
mod list;
mod read;
mod reconciliation;
mod refunds;
mod text;
mod view;
mod wait;
pub(crate) mod webhook;

use std::sync::Arc;

use shared::auth::Caller;
use shared::contract::checkout::Acceptance;
use shared::cursor::CursorKeys;
use shared::dead_letters::DeadLetters;
use shared::documented::Tokens;
use shared::ids::OrderId;
use shared::money::Currency;
use shared::problem::Problem;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) use self::events::Streams;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::list::OrderQuery;
use self::webhook::signature::Signatures;
use crate::clients::product::ProductClient;
use crate::domain::order::Order;
use crate::fulfil::Fulfilment;
use crate::store::Store;

/// What the handlers lean on; one for the process, in its app data.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) fulfilment: Arc<Fulfilment>,
    pub(crate) products: Arc<ProductClient>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) streams: Streams,
    pub(crate) cursors: Arc<CursorKeys>,
    pub(crate) currency: Currency,
    pub(crate) acceptance: Acceptance,
    /// Who the provider's events are believed to come from; none are taken without.
    pub(crate) signatures: Option<Signatures>,
    /// Nobody is kept waiting any more.
    pub(crate) stopping: CancellationToken,
}

/// The POST routes that take an `Idempotency-Key`.
pub(crate) const KEYED: &[&str] = &["/v1/orders", "/v1/orders/{id}/refunds"];

/// What is not said by the routes themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orders",
        description = "Orders from their request to confirmed, failed or cancelled. Every error is an RFC 9457 problem.",
    ),
    tags(
        (name = "orders", description = "One's own orders; a merchant's, everybody's"),
        (name = "operators", description = "For administrators"),
        (name = "webhooks", description = "The payment provider's later answers, by signature"),
    ),
    modifiers(&Tokens),
    // A type that only a parameter has is not found by itself.
    components(schemas(shared::problem::ProblemBody, list::Waiting)),
)]
pub(crate) struct Contract;

/// Registers the routes.
pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(create::create_order)
        .service(list::list_orders)
        .service(read::read_order)
        .service(actions::cancel_order)
        .service(reconciliation::reconcile)
        .service(actions::accept_order)
        .service(actions::reject_order)
        .service(actions::pay_order)
        .service(actions::ship_order)
        .service(actions::deliver_order)
        .service(refunds::refund_order)
        .service(webhook::take_event)
        .service(events::order_events)
        .service(dead_letters::list_dead_letters)
        .service(dead_letters::redrive_dead_letters);
}

impl Desk {
    fn store(&self) -> &Store {
        self.fulfilment.store()
    }

    /// An order that the caller may see. Somebody else's is as one that does not exist.
    async fn order_for(&self, caller: &Caller, id: &OrderId) -> Result<Order, Problem> {
        let order = self.store().read(id).await.map_err(error::store)?;
        order
            .filter(|order| may_see(caller, order))
            .ok_or_else(error::no_such_order)
    }
}

fn may_see(caller: &Caller, order: &Order) -> bool {
    caller.is_merchant() || *caller.id() == order.customer
}
