//! What other services may see: the gateway routes none of it.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use deserr::Deserr;
use shared::auth::ReadService;
use shared::body::{FieldErrors, Query};
use shared::documented::{Any, WithToken};
use shared::page::{Limit, Page};
use shared::problem::{Problem, ProblemBody};
use utoipa::IntoParams;

use super::error;
use super::view::CheckoutUnderWay;
use crate::app::State;
use crate::domain::Basket;

/// Which page.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Entries of a page, 20 unless said.
    #[deserr(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    cursor: Option<String>,
}

const SCOPE: &str = "/internal/v1/checkouts";

/// List the checkouts under way.
///
/// In no order that means anything. One that is asked for again while the list is read may be seen
/// twice; none is left out. A page can have fewer entries than the limit, or none, and not be the last.
#[utoipa::path(
    tag = "internal",
    params(PageQuery),
    security(("bearerAuth" = [])),
    responses(
        Any, WithToken,
        (status = 200, description = "A page", body = Page<CheckoutUnderWay>,
            headers(("Link" = Option<String>, description = "`rel=\"next\"`, unless this is the last page"))),
        (status = 400, description = "The query cannot be read. Codes: `invalid_request`, `invalid_cursor`, `idempotency_key_unsupported`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token lacks the scope `internal/read`. Code: `forbidden`",
            body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
#[get("/internal/v1/checkouts")]
pub(super) async fn checkouts(
    state: Data<State>,
    _service: ReadService,
    query: Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let PageQuery { limit, cursor } = query.0;
    let from = cursor.map(|cursor| state.cursors.open(SCOPE, &cursor)).transpose();
    let from = from.map_err(error::invalid_cursor)?;
    let (baskets, next) = state
        .store
        .under_way(from, limit.get())
        .await
        .map_err(error::of_store)?;
    let next_cursor = next.and_then(|next| state.cursors.seal(SCOPE, &next));
    let mut page = HttpResponse::Ok();
    if let Some(cursor) = &next_cursor {
        let next = format!("<{SCOPE}?limit={}&cursor={cursor}>; rel=\"next\"", limit.get());
        page.insert_header((header::LINK, next));
    }
    let data = baskets.iter().filter_map(entry).collect();
    Ok(page.json(Page::<CheckoutUnderWay> { data, next_cursor }))
}

fn entry(basket: &Basket) -> Option<CheckoutUnderWay> {
    let under_way = basket.under_way.as_ref()?;
    Some(CheckoutUnderWay {
        order_id: under_way.checkout.order_id,
        customer_id: basket.id.to_string(),
        total: under_way.checkout.total,
        requested_at: under_way.checkout.requested_at,
        valid_until: under_way.valid_until,
        republished: under_way.republished,
    })
}
