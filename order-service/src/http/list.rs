//! `GET /v1/orders`: a customer's orders, newest first; or those that wait for a merchant, oldest first.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use deserr::Deserr;
use shared::auth::Caller;
use shared::body::{FieldErrors, Query};
use shared::documented::{Any, WithToken};
use shared::ids::CustomerId;
use shared::page::{Limit, Page};
use shared::problem::{Problem, ProblemBody};
use utoipa::ToSchema;

use super::view::OrderSummary;
use super::{Desk, error};
use crate::domain::state::Status;

/// Which orders.
#[derive(Debug, Deserr)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct OrderQuery {
    #[deserr(default)]
    customer_id: Option<CustomerId>,
    #[deserr(default)]
    status: Option<Waiting>,
    #[deserr(default)]
    limit: Limit,
    #[deserr(default)]
    cursor: Option<String>,
}

/// What a merchant still has to do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr, ToSchema)]
#[deserr(error = FieldErrors)]
#[schema(as = WaitingStatus, rename_all = "snake_case")]
pub(crate) enum Waiting {
    /// To accept or reject.
    #[deserr(rename = "awaiting_acceptance")]
    AwaitingAcceptance,
    /// To ship.
    #[deserr(rename = "confirmed")]
    Confirmed,
    /// To be told delivered.
    #[deserr(rename = "shipped")]
    Shipped,
}

/// One of the lists.
enum List {
    OfCustomer(CustomerId),
    OfStatus(Status),
}

/// List orders
///
/// By `customer_id`, newest first: one's own; a merchant, anybody's. Or by `status`, oldest first, for
/// merchants: what waits for them.
#[utoipa::path(
    tag = "orders",
    params(
        ("customer_id" = Option<String>, Query, description = "`me` or one's own subject; merchants can name anybody. Either this or `status`", min_length = 1, max_length = 128),
        ("status" = Option<Waiting>, Query, description = "For merchants. Either this or `customer_id`"),
        ("limit" = Option<u8>, Query, description = "Entries of the page, 20 unless said", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        Any, WithToken,
        (status = 200, description = "A page", body = Page<OrderSummary>, headers(("Link" = String, description = "`rel=\"next\"`, where there is a next page"))),
        (status = 400, description = "The query cannot be read. Codes: `invalid_request` (`errors` names each wrong parameter), `invalid_cursor`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Somebody else's orders, a list for merchants, or a service's token. Code: `forbidden`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/orders")]
pub(crate) async fn list_orders(
    desk: web::Data<Desk>,
    caller: Caller,
    query: Query<OrderQuery>,
) -> Result<HttpResponse, Problem> {
    let OrderQuery {
        customer_id,
        status,
        limit,
        cursor,
    } = query.0;
    let list = List::asked_for(&caller, customer_id, status)?;
    let scope = format!("orders?{}&caller={}", list.parameter(), caller.id());
    let from = cursor
        .map(|cursor| desk.cursors.open::<String>(&scope, &cursor))
        .transpose();
    let from = from.map_err(|_altered| error::invalid_cursor())?;
    let found = match &list {
        List::OfCustomer(customer) => desk.store().of_customer(customer, limit.get(), from.as_deref()).await,
        List::OfStatus(status) => desk.store().of_status(*status, limit.get(), from.as_deref()).await,
    };
    let found = found.map_err(error::store)?;
    let next_cursor = found.next.and_then(|next| desk.cursors.seal(&scope, &next));
    let mut answer = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let (which, limit) = (list.parameter(), limit.get());
        let next = format!("</v1/orders?{which}&limit={limit}&cursor={cursor}>; rel=\"next\"");
        answer.insert_header((header::LINK, next));
    }
    Ok(answer.json(Page {
        data: found.orders.into_iter().map(OrderSummary::from).collect(),
        next_cursor,
    }))
}

impl List {
    fn asked_for(caller: &Caller, customer: Option<CustomerId>, status: Option<Waiting>) -> Result<Self, Problem> {
        match (customer, status) {
            (None, None) => Err(error::no_list().into()),
            (Some(_), Some(_)) => Err(error::two_lists().into()),
            (Some(customer), None) => {
                let customer = match customer.as_str() {
                    "me" => caller.id().clone(),
                    _ => customer,
                };
                if customer != *caller.id() && !caller.is_merchant() {
                    return Err(error::not_your_customer());
                }
                Ok(Self::OfCustomer(customer))
            }
            (None, Some(_)) if !caller.is_merchant() => Err(error::merchants_list_by_status()),
            (None, Some(waiting)) => Ok(Self::OfStatus(waiting.into())),
        }
    }

    /// As the query names it.
    fn parameter(&self) -> String {
        match self {
            Self::OfCustomer(customer) => format!("customer_id={customer}"),
            Self::OfStatus(status) => format!("status={status}"),
        }
    }
}

impl From<Waiting> for Status {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::AwaitingAcceptance => Self::AwaitingAcceptance,
            Waiting::Confirmed => Self::Confirmed,
            Waiting::Shipped => Self::Shipped,
        }
    }
}
