//! Baskets and checkouts as clients see them.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use jiff::Timestamp;
use serde::Serialize;
use shared::contract::order::FailureReason;
use shared::etag::{ETag, IfNoneMatch};
use shared::idempotency::Fingerprint;
use shared::ids::{OrderId, ProductId};
use shared::money::{Currency, Money};
use shared::quantity::Quantity;
use utoipa::ToSchema;

use crate::baskets::Priced;
use crate::checkout::Progress;
use crate::clients::product::{Product, State};
use crate::domain::{Checkout, Line, OrderedLine, Outcome};

/// A basket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Basket)]
pub(super) struct BasketBody {
    /// A customer's subject, or a guest basket's id.
    id: String,
    /// `merged`: a customer's basket took this guest basket over, and it takes nothing more.
    state: StateBody,
    /// Counts the basket's changes.
    version: u64,
    /// What is in it, in the order in which it was added.
    lines: Vec<LineBody>,
    /// The sum of all lines; null where it is more than an amount can hold.
    subtotal: Option<Money>,
    /// Whether names and prices are those of when the lines were added, because the product service is
    /// away.
    stale: bool,
    /// The checkout that waits for its answer, if there is one.
    checkout: Option<CheckoutReference>,
    /// When it expires if nobody touches it; null while it is untouched or a checkout is under way.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BasketState)]
#[serde(rename_all = "snake_case")]
enum StateBody {
    Active,
    Merged,
}

/// A line of a basket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BasketLine)]
struct LineBody {
    product_id: ProductId,
    name: String,
    /// More than 999 only where a checkout that failed gave its lines back.
    #[schema(minimum = 1)]
    quantity: u32,
    /// The price for one, now.
    unit_price: Money,
    /// Null where it is more than an amount can hold.
    line_total: Option<Money>,
    availability: Availability,
    #[schema(value_type = String, format = DateTime)]
    added_at: Timestamp,
    status: LineStatus,
    /// The price for one when it was added.
    price_when_added: Money,
}

/// Whether so many can be bought now.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Availability {
    /// They can.
    InStock,
    /// Some can, but not so many.
    Insufficient,
    /// None can.
    OutOfStock,
    /// The product is not sold any more.
    Unavailable,
    /// The product service is away.
    Unknown,
}

/// Whether a line has been ordered.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum LineStatus {
    /// It lies in the basket.
    Pending,
    /// It is part of a checkout.
    Ordered,
}

/// The checkout under way.
#[derive(Debug, Serialize, ToSchema)]
struct CheckoutReference {
    /// Of the checkout, and of the order that it becomes.
    order_id: OrderId,
    status: AwaitedStatus,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AwaitedStatus {
    Pending,
}

/// A checkout that was accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedCheckout)]
pub(super) struct AcceptedBody {
    /// Of the checkout, and of the order that it becomes.
    pub(super) order_id: OrderId,
    /// As when it was accepted, also when the answer is repeated later.
    status: AwaitedStatus,
    /// What is bought. Null only in a repeated answer, where many newer checkouts have followed: the
    /// order shows them.
    lines: Option<Vec<OrderedLineBody>>,
    total: Money,
}

/// A line with its price frozen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderedLine)]
pub(super) struct OrderedLineBody {
    product_id: ProductId,
    sku: String,
    name: String,
    quantity: Quantity,
    unit_price: Money,
    line_total: Option<Money>,
    status: LineStatus,
}

/// Where a checkout stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkout)]
pub(super) struct ProgressBody {
    order_id: OrderId,
    status: ProgressStatus,
    /// Why there is no order, where there is none.
    reason: Option<FailureReason>,
    total: Money,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    /// When its answer came.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = CheckoutStatus)]
#[serde(rename_all = "snake_case")]
enum ProgressStatus {
    /// Its answer has not come.
    Pending,
    /// There is an order.
    Ordered,
    /// There is none; the lines are in the basket again.
    Failed,
}

/// A checkout under way, for reconciliation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckoutUnderWay {
    pub(super) order_id: OrderId,
    pub(super) customer_id: String,
    pub(super) total: Money,
    #[schema(value_type = String, format = DateTime)]
    pub(super) requested_at: Timestamp,
    /// After this it becomes no order at its prices.
    #[schema(value_type = String, format = DateTime)]
    pub(super) valid_until: Timestamp,
    /// How often it was asked for again.
    pub(super) republished: u32,
}

/// The answer with a basket, or 304 where the client has it.
pub(super) fn answer(status: HttpResponseBuilder, priced: &Priced, currency: Currency) -> HttpResponse {
    tagged(status, priced, currency).0
}

/// As [`answer`], for a read.
pub(super) fn answer_unless(known: &IfNoneMatch, priced: &Priced, currency: Currency) -> HttpResponse {
    let (response, tag) = tagged(HttpResponse::Ok(), priced, currency);
    if known.has(&tag) {
        let mut response = HttpResponse::NotModified();
        return response.insert_header((header::ETAG, tag.header())).finish();
    }
    response
}

fn tagged(mut status: HttpResponseBuilder, priced: &Priced, currency: Currency) -> (HttpResponse, ETag) {
    // Only texts, numbers and lists of them: it always is JSON.
    let body = serde_json::to_vec(&basket(priced, currency)).unwrap_or_default();
    let hash = Fingerprint::of(&[&body]);
    let tag = ETag::new(hash.as_str().get(..32).unwrap_or_default());
    let response = status
        .insert_header((header::ETAG, tag.header()))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .content_type("application/json")
        .body(body);
    (response, tag)
}

fn basket(priced: &Priced, currency: Currency) -> BasketBody {
    let basket = &priced.basket;
    let mut lines: Vec<_> = basket
        .lines
        .iter()
        .map(|(id, line)| line_body(*id, line, priced))
        .collect();
    lines.sort_by_key(|line| (line.added_at, line.product_id));
    let totals: Option<Vec<_>> = lines.iter().map(|line| line.line_total).collect();
    let under_way = basket.under_way.as_ref();
    BasketBody {
        id: basket.id.to_string(),
        state: if basket.merged_into.is_some() {
            StateBody::Merged
        } else {
            StateBody::Active
        },
        version: basket.version,
        subtotal: totals.and_then(|totals| Money::sum(currency, totals).ok()),
        lines,
        stale: priced.products.is_none(),
        checkout: under_way.map(|under_way| CheckoutReference {
            order_id: under_way.checkout.order_id,
            status: AwaitedStatus::Pending,
        }),
        expires_at: basket.expires_at,
    }
}

fn line_body(product_id: ProductId, line: &Line, priced: &Priced) -> LineBody {
    let product = priced.products.as_ref().map(|products| products.get(&product_id));
    let now = product.flatten();
    let unit_price = now.map_or(line.snapshot.unit_price, |product| product.price);
    LineBody {
        product_id,
        name: now.map_or(&line.snapshot.name, |product| &product.name).clone(),
        quantity: line.pieces.get(),
        unit_price,
        line_total: line.pieces.times(unit_price),
        availability: product.map_or(Availability::Unknown, |product| availability(product, line)),
        added_at: line.snapshot.added_at,
        status: LineStatus::Pending,
        price_when_added: line.snapshot.unit_price,
    }
}

fn availability(product: Option<&Product>, line: &Line) -> Availability {
    match product {
        Some(Product {
            state: State::Active,
            available,
            ..
        }) if *available >= i64::from(line.pieces.get()) => Availability::InStock,
        Some(Product {
            state: State::Active,
            available: 1..,
            ..
        }) => Availability::Insufficient,
        Some(Product {
            state: State::Active, ..
        }) => Availability::OutOfStock,
        Some(Product {
            state: State::Archived, ..
        })
        | None => Availability::Unavailable,
    }
}

pub(super) fn accepted(checkout: &Checkout) -> AcceptedBody {
    let lines: Vec<_> = checkout
        .lines
        .iter()
        .map(|line| ordered_line(line, LineStatus::Ordered))
        .collect();
    AcceptedBody {
        order_id: checkout.order_id,
        status: AwaitedStatus::Pending,
        lines: (!lines.is_empty()).then_some(lines),
        total: checkout.total,
    }
}

pub(super) fn ordered_line(line: &OrderedLine, status: LineStatus) -> OrderedLineBody {
    OrderedLineBody {
        product_id: line.product_id,
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        line_total: line.total().ok(),
        status,
    }
}

pub(super) fn progress(progress: &Progress) -> ProgressBody {
    let (status, reason) = match progress.outcome {
        None => (ProgressStatus::Pending, None),
        Some((Outcome::Ordered, _)) => (ProgressStatus::Ordered, None),
        Some((Outcome::Failed(reason), _)) => (ProgressStatus::Failed, Some(reason)),
    };
    ProgressBody {
        order_id: progress.checkout.order_id,
        status,
        reason,
        total: progress.checkout.total,
        requested_at: progress.checkout.requested_at,
        settled_at: progress.outcome.map(|(_, at)| at),
    }
}
