//! `POST /v1/orders`: an order without a basket. The order is the record of its key: its id is made of
//! caller and key.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpResponse, post, web};
use deserr::Deserr;
use shared::address::Address;
use shared::auth::Caller;
use shared::body::{FieldErrors, Json};
use shared::contract::checkout::{Line, PaymentToken};
use shared::documented::{Any, OfABody, WithToken};
use shared::idempotency::{Fingerprint, IDEMPOTENT_REPLAYED, IdempotencyKey};
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::problem::{Problem, ProblemBody};
use shared::quantity::Quantity;
use shared::trace;
use tracing::Span;
use utoipa::ToSchema;

use super::view::OrderCreated;
use super::{Desk, error};
use crate::clients::product::{Product, ProductState};
use crate::domain::order::Order;
use crate::domain::placing::{MAX_LINES, Placing};
use crate::domain::timeline::Actor;
use crate::fulfil::now;
use crate::store::Created;

/// An order to be placed. Prices and totals are the shop's to say.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct OrderRequest {
    /// `me` or one's own subject; merchants can order for anybody.
    #[schema(value_type = String, min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$", example = "me")]
    customer_id: CustomerId,
    /// What is bought, 1 to 99 distinct products; the same product twice is one line.
    #[schema(min_items = 1, max_items = 99)]
    items: Vec<OrderedItem>,
    /// Where it goes.
    #[deserr(default)]
    shipping_address: Option<Address>,
    /// What pays for it: a token of the payment provider, never a card's number. Without one the order
    /// is not paid through the shop, and needs the merchant's acceptance.
    #[deserr(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^(?!(?:[ -]*[0-9]){12}[0-9 -]*$)[!-~]{1,255}$")]
    payment_token: Option<PaymentToken>,
}

/// So many of a product.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct OrderedItem {
    /// Which.
    product_id: ProductId,
    /// How many.
    quantity: Quantity,
}

/// The route's name in the ids that it makes.
const ROUTE: &str = "orders";

/// Place an order
///
/// Answered when the order is stored; what becomes of it shows at its own address.
#[utoipa::path(
    tag = "orders",
    params(
        ("Idempotency-Key" = String, Header, description = "1 to 255 visible ASCII characters; the same for a repeat, which gets the first answer again", min_length = 1, max_length = 255),
    ),
    request_body = OrderRequest,
    responses(
        Any, WithToken, OfABody,
        (status = 201, description = "Stored. A repeat gets the same, marked as such.", body = OrderCreated, headers(
            ("Location" = String, description = "The order's own address"),
            ("Idempotent-Replayed" = bool, description = "`true` where this is the first answer given again"),
        )),
        (status = 400, description = "`invalid_request` (`errors` names each wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_required`, `invalid_idempotency_key`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: for somebody else, or by a service", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`product_unavailable` (`products`), `idempotency_key_reused` (`order_id`)", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`: the table or the product service", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/orders")]
pub(crate) async fn create_order(
    desk: web::Data<Desk>,
    caller: Caller,
    key: IdempotencyKey,
    body: Json<OrderRequest>,
) -> Result<HttpResponse, Problem> {
    let id = OrderId::derive(caller.id(), ROUTE, key.as_str());
    Span::current().record("order_id", id.to_string());
    let asked = Asked::of(id, &caller, body.0)?;
    match desk.place(asked).await? {
        Placed::Now(order) => Ok(created(&order).json(OrderCreated::of(&order))),
        Placed::Before(order) => Ok(created(&order)
            .insert_header((IDEMPOTENT_REPLAYED, "true"))
            .json(OrderCreated::of(&order))),
    }
}

fn created(order: &Order) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, format!("/v1/orders/{}", order.id)));
    answer
}

/// A request that is right by itself.
struct Asked {
    id: OrderId,
    customer: CustomerId,
    actor: Actor,
    items: BTreeMap<ProductId, Quantity>,
    address: Option<Address>,
    token: Option<PaymentToken>,
    fingerprint: Fingerprint,
}

enum Placed {
    Now(Box<Order>),
    Before(Box<Order>),
}

impl Asked {
    fn of(id: OrderId, caller: &Caller, body: OrderRequest) -> Result<Self, Problem> {
        let customer = match body.customer_id.as_str() {
            "me" => caller.id().clone(),
            _ => body.customer_id,
        };
        if customer != *caller.id() && !caller.is_merchant() {
            return Err(error::not_your_customer());
        }
        let items = summed(body.items)?;
        let fingerprint = fingerprint(
            &customer,
            &items,
            body.shipping_address.as_ref(),
            body.payment_token.as_ref(),
        )?;
        Ok(Self {
            id,
            actor: if customer == *caller.id() {
                Actor::Customer
            } else {
                Actor::Merchant
            },
            customer,
            items,
            address: body.shipping_address,
            token: body.payment_token,
            fingerprint,
        })
    }

    /// With the prices of now; the products that cannot be bought, where there are any.
    fn priced(self, products: Vec<Product>) -> Result<Placing, Vec<ProductId>> {
        let mut sold: BTreeMap<_, _> = products
            .into_iter()
            .filter(|product| product.state == ProductState::Active)
            .map(|product| (product.id, product))
            .collect();
        let mut lines = Vec::with_capacity(self.items.len());
        let mut missing = Vec::new();
        for (id, quantity) in self.items {
            match sold.remove(&id) {
                Some(product) => lines.push(Line {
                    product_id: id,
                    sku: product.sku,
                    name: product.name,
                    quantity,
                    unit_price: product.price,
                    acceptance: product.acceptance,
                }),
                None => missing.push(id),
            }
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(Placing {
            id: self.id,
            customer: self.customer,
            lines,
            address: self.address,
            token: self.token,
            fingerprint: self.fingerprint,
            causation: trace::current_trace_id(),
        })
    }
}

impl Desk {
    /// Stores the order, or finds it stored before.
    async fn place(&self, asked: Asked) -> Result<Placed, Problem> {
        let (id, actor, fingerprint) = (asked.id, asked.actor, asked.fingerprint.clone());
        let ids: Vec<_> = asked.items.keys().copied().collect();
        let priced = match self.products.products(&ids).await {
            Ok(products) => asked
                .priced(products)
                .map_err(|missing| error::product_unavailable(&missing)),
            Err(fault) => Err(error::product(fault)),
        };
        let placing = match priced {
            Ok(placing) => placing,
            // A repeat gets its first answer, whatever has become of the products since.
            Err(problem) => {
                let there = self.store().read(&id).await.map_err(error::store)?;
                return there.map_or(Err(problem), |there| replay(there, &fingerprint));
            }
        };
        let moment = self.fulfilment.moment(now(), actor);
        let mut order = Order::place(placing, self.currency, self.acceptance, moment).map_err(error::invalid_order)?;
        match self.fulfilment.create(&mut order).await.map_err(error::store)? {
            Created::New => {
                self.fulfilment.begin_if_free(order.clone());
                Ok(Placed::Now(Box::new(order)))
            }
            Created::Exists(there) => replay(*there, &fingerprint),
        }
    }
}

fn replay(there: Order, asked: &Fingerprint) -> Result<Placed, Problem> {
    if there.fingerprint == *asked {
        Ok(Placed::Before(Box::new(there)))
    } else {
        Err(error::key_reused(&there.id))
    }
}

/// Each product once.
fn summed(items: Vec<OrderedItem>) -> Result<BTreeMap<ProductId, Quantity>, Problem> {
    if items.is_empty() {
        return Err(error::no_items().into());
    }
    let mut summed = BTreeMap::new();
    for (n, item) in items.into_iter().enumerate() {
        let sum = match summed.get(&item.product_id) {
            Some(before) => item.quantity.checked_add(*before),
            None => Ok(item.quantity),
        };
        let sum =
            sum.map_err(|fault| FieldErrors::at(format!("#/items/{n}/quantity"), "quantity_limit", fault.to_string()))?;
        summed.insert(item.product_id, sum);
    }
    if summed.len() > MAX_LINES {
        return Err(error::too_many_items().into());
    }
    Ok(summed)
}

/// Of everything that makes two requests the same.
fn fingerprint(
    customer: &CustomerId,
    items: &BTreeMap<ProductId, Quantity>,
    address: Option<&Address>,
    token: Option<&PaymentToken>,
) -> Result<Fingerprint, Problem> {
    let address = serde_json::to_vec(&address).map_err(Problem::internal)?;
    let items: Vec<_> = items.iter().map(|(id, quantity)| format!("{id}:{quantity}")).collect();
    Ok(Fingerprint::of(&[
        customer.as_str().as_bytes(),
        items.join(",").as_bytes(),
        &address,
        token.map_or("", PaymentToken::expose).as_bytes(),
    ]))
}
