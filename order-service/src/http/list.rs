//! `GET /v1/orders`: a customer's orders, newest first.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use deserr::Deserr;
use shared::auth::Caller;
use shared::body::{FieldErrors, Query};
use shared::documented::{Any, WithToken};
use shared::ids::CustomerId;
use shared::page::{Limit, Page};
use shared::problem::{Problem, ProblemBody};

use super::view::OrderSummary;
use super::{Desk, error};

/// Which orders.
#[derive(Debug, Deserr)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct OrderQuery {
    customer_id: CustomerId,
    #[deserr(default)]
    limit: Limit,
    #[deserr(default)]
    cursor: Option<String>,
}

/// List a customer's orders
///
/// One's own; a merchant, anybody's. Newest first.
#[utoipa::path(
    tag = "orders",
    params(
        ("customer_id" = String, Query, description = "`me` or one's own subject; merchants can name anybody", min_length = 1, max_length = 128),
        ("limit" = Option<u8>, Query, description = "Entries of the page, 20 unless said", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ),
    responses(
        Any, WithToken,
        (status = 200, description = "A page", body = Page<OrderSummary>, headers(("Link" = String, description = "`rel=\"next\"`, where there is a next page"))),
        (status = 400, description = "`invalid_request` (`errors` names each wrong parameter), `invalid_cursor`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: somebody else's, or a service's token", body = ProblemBody, content_type = "application/problem+json"),
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
        limit,
        cursor,
    } = query.0;
    let customer = match customer_id.as_str() {
        "me" => caller.id().clone(),
        _ => customer_id,
    };
    if customer != *caller.id() && !caller.is_merchant() {
        return Err(error::not_your_customer());
    }
    let scope = format!("orders?customer={customer}&caller={}", caller.id());
    let from = cursor
        .map(|cursor| desk.cursors.open::<String>(&scope, &cursor))
        .transpose();
    let from = from.map_err(|_altered| error::invalid_cursor())?;
    let found = desk
        .store()
        .of_customer(&customer, limit.get(), from.as_deref())
        .await
        .map_err(error::store)?;
    let next_cursor = found.next.and_then(|next| desk.cursors.seal(&scope, &next));
    let mut answer = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let next = format!(
            "</v1/orders?customer_id={customer}&limit={}&cursor={cursor}>; rel=\"next\"",
            limit.get()
        );
        answer.insert_header((header::LINK, next));
    }
    Ok(answer.json(Page {
        data: found.orders.into_iter().map(OrderSummary::from).collect(),
        next_cursor,
    }))
}
