//! What the other services ask: stock held, sold, given back; everything for reconciliation.

use actix_web::{HttpResponse, get, post, put, web};
use deserr::Deserr;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::auth::{ReadService, StockService};
use shared::body::{FieldErrors, Invalid, Json, Query};
use shared::documented::{Any, OfABody, WithToken};
use shared::ids::{OrderId, ProductId};
use shared::page::{Limit, Page};
use shared::problem::{FieldError, Problem, ProblemBody};
use shared::quantity::Quantity;
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};

use super::list::{Ids, InvalidIds, each_once};
use super::{OrderPath, Shop, error};
use crate::domain::reservation::{Lines, Reservation, State};
use crate::inventory::Inventory;
use crate::store::{Counters, HeldBefore, Store};

/// What an order wants held.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct HoldRequest {
    /// 1 to 99; lines of one product are summed.
    lines: Vec<HoldLine>,
    /// For so long, in seconds: 1 to 2,592,000, which is 30 days.
    expires_in_s: Lifetime,
}

/// So many of a product.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(super) struct HoldLine {
    product_id: ProductId,
    quantity: Quantity,
}

#[derive(Clone, Copy, Debug, Deserr, ToSchema)]
#[deserr(try_from(i64) = Lifetime::try_from -> InvalidLifetime, error = FieldErrors)]
#[schema(value_type = u32, minimum = 1, maximum = 2_592_000)]
struct Lifetime(i64);

#[derive(Debug, Error)]
#[error("a hold lasts from 1 to {} seconds", Lifetime::MAX)]
struct InvalidLifetime;

impl Lifetime {
    const MAX: i64 = 30 * 24 * 60 * 60;
}

impl Invalid for InvalidLifetime {
    fn code(&self) -> &'static str {
        "invalid_lifetime"
    }
}

impl TryFrom<i64> for Lifetime {
    type Error = InvalidLifetime;

    fn try_from(seconds: i64) -> Result<Self, InvalidLifetime> {
        if (1..=Self::MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidLifetime)
        }
    }
}

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(super) struct ReservationView {
    order_id: OrderId,
    state: State,
    /// Each product once; none where the order was released before it held anything.
    lines: Vec<ReservationLine>,
    /// When a hold is given up by itself; null where nothing ever was held.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// So many of a product.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReservationLine {
    product_id: ProductId,
    quantity: u32,
}

impl From<Reservation> for ReservationView {
    fn from(reservation: Reservation) -> Self {
        let line = |(product_id, quantity)| ReservationLine { product_id, quantity };
        Self {
            order_id: reservation.order_id,
            state: reservation.state,
            lines: reservation.lines.iter().map(line).collect(),
            expires_at: reservation.expires_at,
        }
    }
}

/// Hold stock for all lines of an order, or for none. Asked again with the same lines it is held for
/// longer, never shorter. An archived product's stock can still be held: its price was agreed.
#[utoipa::path(
    tag = "internal",
    params(("order_id" = Uuid, Path, description = "The order")),
    request_body = HoldRequest,
    responses(
        Any, WithToken, OfABody,
        (status = 200, description = "Held, or committed, before", body = ReservationView),
        (status = 201, description = "Held", body = ReservationView),
        (status = 403, description = "`forbidden`: not a service with the scope `internal/stock`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: that cannot be an order's id", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`out_of_stock` with `lines: [{product_id, requested, available}]`, `reservation_closed` with `state`, `reservation_differs`: the order holds other lines", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[put("/internal/v1/reservations/{order_id}")]
pub(super) async fn hold(
    _: StockService,
    inventory: web::Data<Inventory>,
    order_id: web::Path<OrderPath>,
    Json(asked): Json<HoldRequest>,
) -> Result<HttpResponse, Problem> {
    order_id.note();
    let lines: Vec<_> = asked
        .lines
        .iter()
        .map(|line| (line.product_id, line.quantity))
        .collect();
    let lines = Lines::summed(&lines).map_err(|limit| {
        error::invalid(vec![FieldError {
            pointer: "#/lines".to_owned(),
            code: "line_limit",
            detail: limit.to_string(),
        }])
    })?;
    let now = Timestamp::now();
    let until = now + SignedDuration::from_secs(asked.expires_in_s.0);
    let held = inventory.hold(order_id.0, &lines, until, now).await;
    let (reservation, held_before) = held.map_err(error::hold)?;
    let mut answer = match held_before {
        HeldBefore::No => HttpResponse::Created(),
        HeldBefore::Yes => HttpResponse::Ok(),
    };
    Ok(answer.json(ReservationView::from(reservation)))
}

/// Make an order's hold a sale: the pieces leave the stock. Committed before, it stays so; a hold
/// whose time is over can be committed as long as it was not given back.
#[utoipa::path(
    tag = "internal",
    params(("order_id" = Uuid, Path, description = "The order")),
    responses(
        Any, WithToken,
        (status = 200, description = "Committed, now or before", body = ReservationView),
        (status = 403, description = "`forbidden`: not a service with the scope `internal/stock`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: the order never held anything", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`reservation_closed` with `state`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/internal/v1/reservations/{order_id}/commit")]
pub(super) async fn commit(
    _: StockService,
    inventory: web::Data<Inventory>,
    order_id: web::Path<OrderPath>,
) -> Result<web::Json<ReservationView>, Problem> {
    order_id.note();
    let reservation = inventory
        .commit(order_id.0, Timestamp::now())
        .await
        .map_err(error::step)?;
    Ok(web::Json(reservation.into()))
}

/// Give back whatever an order holds or has bought, from any state. An order that never held
/// anything is remembered as released, so that a late hold is refused.
#[utoipa::path(
    tag = "internal",
    params(("order_id" = Uuid, Path, description = "The order")),
    responses(
        Any, WithToken,
        (status = 200, description = "Released or returned, now or before", body = ReservationView),
        (status = 403, description = "`forbidden`: not a service with the scope `internal/stock`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`: that cannot be an order's id", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/internal/v1/reservations/{order_id}/release")]
pub(super) async fn release(
    _: StockService,
    inventory: web::Data<Inventory>,
    order_id: web::Path<OrderPath>,
) -> Result<web::Json<ReservationView>, Problem> {
    order_id.note();
    let reservation = inventory
        .release(order_id.0, Timestamp::now())
        .await
        .map_err(error::store)?;
    Ok(web::Json(reservation.into()))
}

/// Which reservations: a page of all, a page of those that are held, or some by their orders' ids.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(super) struct ReservationQuery {
    /// `held`: those alone. What was held a moment ago may be missing.
    #[deserr(default)]
    #[param(value_type = Option<String>, pattern = "^held$")]
    state: Option<Held>,
    /// Up to 100 orders' ids, separated by commas: their reservations as they are now, in no order. Goes
    /// with nothing else.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    ids: Option<OrderIds>,
    /// Entries of a page: 1 to 100.
    #[deserr(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[deserr(default)]
    cursor: Option<String>,
}

/// Which stocks: a page of all, or some by their products' ids.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(super) struct StockQuery {
    /// Up to 100 products' ids, separated by commas: their stocks as they are now, in no order. Goes with
    /// nothing else.
    #[deserr(default)]
    #[param(value_type = Option<String>)]
    ids: Option<Ids>,
    /// Entries of a page: 1 to 100.
    #[deserr(default)]
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[deserr(default)]
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(rename_all = lowercase)]
enum Held {
    #[deserr(rename = "held")]
    Held,
}

/// Each id once.
#[derive(Debug, Deserr)]
#[deserr(try_from(String) = OrderIds::try_from -> InvalidIds, error = FieldErrors)]
struct OrderIds(Vec<OrderId>);

impl TryFrom<String> for OrderIds {
    type Error = InvalidIds;

    fn try_from(text: String) -> Result<Self, InvalidIds> {
        Ok(Self(each_once(&text)?))
    }
}

/// The counters of a stock as they lie in the table, whether they agree or not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StockCounters {
    product_id: ProductId,
    /// Pieces that lie there.
    on_hand: u32,
    /// Pieces of these that are held for orders.
    reserved: u32,
    /// Pieces that can be bought: the difference of the two, or something is wrong.
    available: u32,
    /// Moved by counts and adjustments.
    version: u64,
}

impl From<(ProductId, Counters)> for StockCounters {
    fn from((product_id, counters): (ProductId, Counters)) -> Self {
        let Counters {
            on_hand,
            reserved,
            available,
            version,
        } = counters;
        Self {
            product_id,
            on_hand,
            reserved,
            available,
            version,
        }
    }
}

/// Every reservation that the table remembers, in no order that means anything, for reconciliation: all,
/// those that are held, or those of some orders. A page may be short and not the last: `next_cursor` tells.
#[utoipa::path(
    tag = "internal",
    params(ReservationQuery),
    responses(
        Any, WithToken,
        (status = 200, description = "A page; with `ids`, those of them that there are", body = Page<ReservationView>),
        (status = 400, description = "`invalid_request`, `invalid_cursor`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: not a service with the scope `internal/read`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/internal/v1/reservations")]
pub(super) async fn reservations(
    _: ReadService,
    store: web::Data<Store>,
    shop: web::Data<Shop>,
    Query(query): Query<ReservationQuery>,
) -> Result<web::Json<Page<ReservationView>>, Problem> {
    let ReservationQuery {
        state,
        ids,
        limit,
        cursor,
    } = query;
    let (found, next_cursor) = match (ids, state) {
        (Some(ids), None) => {
            alone(limit, cursor.as_deref())?;
            (store.reservations_of(&ids.0).await.map_err(error::store)?, None)
        }
        (Some(_), Some(_)) => return Err(ids_go_alone()),
        (None, Some(Held::Held)) => {
            const SCOPE: &str = "internal/reservations?state=held";
            let at = position(&shop, SCOPE, cursor.as_deref())?;
            let (found, next) = store.held(of(limit), at).await.map_err(error::store)?;
            (found, next.and_then(|next| shop.cursors.seal(SCOPE, &next)))
        }
        (None, None) => {
            const SCOPE: &str = "internal/reservations";
            let at = position(&shop, SCOPE, cursor.as_deref())?;
            let (found, next) = store.all_reservations(of(limit), at).await.map_err(error::store)?;
            (found, next.and_then(|next| shop.cursors.seal(SCOPE, &next)))
        }
    };
    Ok(web::Json(Page {
        data: found.into_iter().map(ReservationView::from).collect(),
        next_cursor,
    }))
}

/// Every stock, archived products' too, in no order that means anything, for reconciliation; or those of
/// some products. A page may be short and not the last: `next_cursor` tells.
#[utoipa::path(
    tag = "internal",
    params(StockQuery),
    responses(
        Any, WithToken,
        (status = 200, description = "A page; with `ids`, those of them that there are", body = Page<StockCounters>),
        (status = 400, description = "`invalid_request`, `invalid_cursor`, `idempotency_key_unsupported`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: not a service with the scope `internal/read`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/internal/v1/stock")]
pub(super) async fn stock(
    _: ReadService,
    store: web::Data<Store>,
    shop: web::Data<Shop>,
    Query(query): Query<StockQuery>,
) -> Result<web::Json<Page<StockCounters>>, Problem> {
    const SCOPE: &str = "internal/stock";
    let StockQuery { ids, limit, cursor } = query;
    let (found, next_cursor) = match ids {
        Some(ids) => {
            alone(limit, cursor.as_deref())?;
            (store.counters_of(ids.get()).await.map_err(error::store)?, None)
        }
        None => {
            let at = position(&shop, SCOPE, cursor.as_deref())?;
            let (found, next) = store.all_stock(of(limit), at).await.map_err(error::store)?;
            (found, next.and_then(|next| shop.cursors.seal(SCOPE, &next)))
        }
    };
    Ok(web::Json(Page {
        data: found.into_iter().map(StockCounters::from).collect(),
        next_cursor,
    }))
}

fn of(limit: Option<Limit>) -> u8 {
    limit.unwrap_or_default().get()
}

fn position<T: DeserializeOwned>(shop: &Shop, scope: &str, cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let at = cursor.map(|cursor| shop.cursors.open(scope, cursor));
    at.transpose().map_err(error::invalid_cursor)
}

/// What is asked for by ids is one page.
fn alone(limit: Option<Limit>, cursor: Option<&str>) -> Result<(), Problem> {
    if limit.is_some() || cursor.is_some() {
        return Err(ids_go_alone());
    }
    Ok(())
}

fn ids_go_alone() -> Problem {
    error::invalid(vec![FieldError {
        pointer: "#/ids".to_owned(),
        code: "not_with_ids",
        detail: "ids go with no other parameter".to_owned(),
    }])
}
