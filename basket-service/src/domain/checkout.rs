//! Checking a basket out: what is looked at, what is frozen, and what goes back when it fails.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use shared::address::Address;
use shared::contract::checkout::{Acceptance, PaymentToken};
use shared::contract::order::FailureReason;
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::money::{Currency, Money, MoneyError};
use shared::quantity::Quantity;
use thiserror::Error;
use uuid::Uuid;

use super::{Basket, MAX_LINES, Snapshot};

/// Settled checkouts that a basket remembers, so that their keys answer the same again.
const REMEMBERED: usize = 10;
/// Lines that the checkouts keep together, the newest one's in any case: each write pays for the whole
/// item, and an item holds 400 KB.
const REMEMBERED_LINES: usize = 12;

/// What the customer asks for.
#[derive(Clone, Debug)]
pub struct CheckoutRequest {
    /// Derived from the customer and the idempotency key.
    pub order_id: OrderId,
    /// Tells this body from another under the same key.
    pub body: BodyHash,
    /// Where it goes.
    pub shipping_address: Address,
    /// What pays for it.
    pub payment_token: Option<PaymentToken>,
    /// What the customer thinks it costs.
    pub expected_total: Option<Money>,
}

/// 128 bits over a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash(pub u128);

/// A checkout, under way or settled: what its first answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Of the checkout and of its order.
    pub order_id: OrderId,
    /// What it costs.
    pub total: Money,
    /// The body that asked for it.
    pub body: BodyHash,
    /// When.
    pub requested_at: Timestamp,
    /// What is bought. Empty once there are too many newer ones to keep it.
    pub lines: Vec<OrderedLine>,
}

/// A line with its price frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedLine {
    /// Which product.
    pub product_id: ProductId,
    /// The merchant's key of it.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// How many.
    pub quantity: Quantity,
    /// For one.
    pub unit_price: Money,
    /// Whether the merchant wants to be asked.
    pub acceptance: Acceptance,
}

/// A checkout that waits for its one answer, with all that is needed to ask for it again.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// What was answered.
    pub checkout: Checkout,
    /// Where it goes.
    pub shipping_address: Address,
    /// What pays for it.
    pub payment_token: Option<PaymentToken>,
    /// Of all that was asked for; the order service knows it again by this.
    pub fingerprint: Fingerprint,
    /// After this it becomes no order at these prices.
    pub valid_until: Timestamp,
    /// What publishing it again must not change.
    pub event: EventIdentity,
    /// How often the sweeper has published it.
    pub republished: u32,
    /// When the sweeper publishes it again.
    pub due_at: Timestamp,
}

/// What tells one event from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdentity {
    /// A UUID v7.
    pub id: Uuid,
    /// W3C trace context of the request.
    pub traceparent: String,
    /// The request that led to it.
    pub causation_id: String,
}

/// A checkout that had its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What was answered when it was asked for.
    pub checkout: Checkout,
    /// The order service's answer.
    pub outcome: Outcome,
    /// When it came.
    pub at: Timestamp,
}

/// The order service's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an order.
    Ordered,
    /// There is none, and the lines went back.
    Failed(FailureReason),
}

/// What the product service says of a product at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is sold.
    Sold {
        /// The merchant's key of it.
        sku: String,
        /// Its name.
        name: String,
        /// Its price for one.
        unit_price: Money,
        /// Whether the merchant wants to be asked.
        acceptance: Acceptance,
    },
    /// It was taken out of the catalog.
    Archived,
}

/// A line that cannot be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnavailableLine {
    /// Which product.
    pub product_id: ProductId,
    /// Why.
    pub why: WhyUnavailable,
}

/// Why a product cannot be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyUnavailable {
    /// It was taken out of the catalog.
    Archived,
    /// There is no such product.
    Unknown,
}

/// Lines with prices of this moment, and their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// In the order of their product ids.
    pub lines: Vec<OrderedLine>,
    /// Of all of them.
    pub total: Money,
}

/// Why nothing was checked out. The basket stays as it is.
#[derive(Debug, Error)]
pub enum CheckoutRefused {
    /// The key has asked for another body before.
    #[error("this key was used for another checkout")]
    KeyReused {
        /// That one.
        order_id: OrderId,
    },
    /// Another checkout waits for its answer.
    #[error("a checkout of this basket is under way")]
    InProgress {
        /// That one.
        order_id: OrderId,
    },
    /// There is nothing to buy.
    #[error("the basket is empty")]
    Empty,
    /// Given back lines made it too many.
    #[error("an order has at most {MAX_LINES} different products, and the basket holds {lines}")]
    TooManyLines {
        /// How many there are.
        lines: usize,
    },
    /// Given back lines made it too many pieces.
    #[error("a line has at most {} pieces; {} lines have more", Quantity::MAX, .products.len())]
    QuantityLimit {
        /// Which products.
        products: Vec<ProductId>,
    },
    /// At least one product is not sold any more.
    #[error("{} products are not sold any more", .unavailable.len())]
    Unavailable {
        /// Which.
        unavailable: Vec<UnavailableLine>,
        /// The others at their prices.
        rest: Priced,
    },
    /// It costs something else than the customer expects.
    #[error("the total is {}, not {expected}", .now.total)]
    PriceChanged {
        /// What was expected.
        expected: Money,
        /// What it is.
        now: Priced,
    },
    /// More than an amount can hold, or not in the shop's currency.
    #[error("the lines have no total")]
    NoTotal(#[source] MoneyError),
}

/// Where a request stands before prices are asked for.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It has been asked for before: this was the answer.
    Repeated(Repeated),
    /// These are to be priced.
    New(BTreeMap<ProductId, Quantity>),
}

/// A request that came before, and the event that it made then.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// What was answered.
    pub checkout: Checkout,
    /// Its event, while it is under way: whoever made this one made the checkout.
    pub event_id: Option<Uuid>,
}

/// What a checkout is given besides the request: nothing of it may be made up in here.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// Until when the prices hold.
    pub valid_until: Timestamp,
    /// When the sweeper asks again.
    pub due_at: Timestamp,
    /// Of the event.
    pub event: EventIdentity,
}

/// A line that goes back into its basket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Which product.
    pub product_id: ProductId,
    /// How many.
    pub quantity: Quantity,
    /// As it looked when it was checked out.
    pub snapshot: Snapshot,
}

impl Basket {
    /// Looks at everything that needs no price.
    ///
    /// # Errors
    /// See [`CheckoutRefused`], down to `QuantityLimit`.
    pub fn standing(&self, order_id: OrderId, body: BodyHash) -> Result<Standing, CheckoutRefused> {
        if let Some(checkout) = self.checkout(order_id) {
            if checkout.body != body {
                return Err(CheckoutRefused::KeyReused { order_id });
            }
            let under_way = self
                .under_way
                .as_ref()
                .filter(|under_way| under_way.checkout.order_id == order_id);
            return Ok(Standing::Repeated(Repeated {
                checkout: checkout.clone(),
                event_id: under_way.map(|under_way| under_way.event.id),
            }));
        }
        if let Some(other) = &self.under_way {
            let order_id = other.checkout.order_id;
            return Err(CheckoutRefused::InProgress { order_id });
        }
        if self.lines.is_empty() {
            return Err(CheckoutRefused::Empty);
        }
        if self.lines.len() > MAX_LINES {
            return Err(CheckoutRefused::TooManyLines {
                lines: self.lines.len(),
            });
        }
        let (mut wanted, mut products) = (BTreeMap::new(), Vec::new());
        for (product, line) in &self.lines {
            match Quantity::try_from(line.pieces) {
                Ok(quantity) => {
                    wanted.insert(*product, quantity);
                }
                Err(_above) => products.push(*product),
            }
        }
        if products.is_empty() {
            Ok(Standing::New(wanted))
        } else {
            Err(CheckoutRefused::QuantityLimit { products })
        }
    }

    /// The basket after its checkout: its lines frozen, and nothing left to buy.
    #[must_use]
    pub fn checked_out(
        &self,
        customer: &CustomerId,
        request: &CheckoutRequest,
        priced: Priced,
        moment: Moment,
    ) -> Basket {
        let mut after = self.clone();
        after.lines.clear();
        after.settled.truncate(REMEMBERED);
        let mut kept = priced.lines.len();
        for settled in &mut after.settled {
            kept += settled.checkout.lines.len();
            if kept > REMEMBERED_LINES {
                settled.checkout.lines.clear();
            }
        }
        after.under_way = Some(UnderWay {
            fingerprint: fingerprint(customer, request, &priced),
            checkout: Checkout {
                order_id: request.order_id,
                total: priced.total,
                body: request.body,
                requested_at: moment.now,
                lines: priced.lines,
            },
            shipping_address: request.shipping_address.clone(),
            payment_token: request.payment_token.clone(),
            valid_until: moment.valid_until,
            event: moment.event,
            republished: 0,
            due_at: moment.due_at,
        });
        after.touch(moment.now);
        after
    }
}

impl Priced {
    /// What these products cost at this moment.
    ///
    /// # Errors
    /// A product is not sold, the total is not what the customer expects, or there is none.
    pub fn of(
        wanted: &BTreeMap<ProductId, Quantity>,
        offers: &HashMap<ProductId, Offer>,
        currency: Currency,
        expected: Option<Money>,
    ) -> Result<Self, CheckoutRefused> {
        let (mut lines, mut unavailable) = (Vec::new(), Vec::new());
        for (product_id, quantity) in wanted {
            let product_id = *product_id;
            match offers.get(&product_id) {
                Some(Offer::Sold {
                    sku,
                    name,
                    unit_price,
                    acceptance,
                }) => lines.push(OrderedLine {
                    product_id,
                    sku: sku.clone(),
                    name: name.clone(),
                    quantity: *quantity,
                    unit_price: *unit_price,
                    acceptance: *acceptance,
                }),
                Some(Offer::Archived) => unavailable.push(UnavailableLine {
                    product_id,
                    why: WhyUnavailable::Archived,
                }),
                None => unavailable.push(UnavailableLine {
                    product_id,
                    why: WhyUnavailable::Unknown,
                }),
            }
        }
        let total = total(&lines, currency).map_err(CheckoutRefused::NoTotal)?;
        let priced = Self { lines, total };
        if !unavailable.is_empty() {
            return Err(CheckoutRefused::Unavailable {
                unavailable,
                rest: priced,
            });
        }
        match expected {
            Some(expected) if expected != total => Err(CheckoutRefused::PriceChanged { expected, now: priced }),
            Some(_) | None => Ok(priced),
        }
    }
}

impl OrderedLine {
    /// Its price, as many times as there are pieces.
    ///
    /// # Errors
    /// It is more than an amount can hold.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.unit_price.checked_mul(self.quantity)
    }

    /// As it goes back into the basket.
    #[must_use]
    pub fn given_back(&self, now: Timestamp) -> Given {
        Given {
            product_id: self.product_id,
            quantity: self.quantity,
            snapshot: Snapshot {
                name: self.name.clone(),
                unit_price: self.unit_price,
                added_at: now,
            },
        }
    }
}

fn total(lines: &[OrderedLine], currency: Currency) -> Result<Money, MoneyError> {
    let totals = lines.iter().map(OrderedLine::total).collect::<Result<Vec<_>, _>>()?;
    Money::sum(currency, totals)
}

/// Over which products and how many of each, in any order: tells whether lines that someone names
/// are those of a checkout.
#[must_use]
pub fn returned_digest<'a>(lines: impl IntoIterator<Item = (&'a ProductId, Quantity)>) -> Fingerprint {
    let sorted: BTreeMap<_, _> = lines.into_iter().collect();
    let text: Vec<_> = sorted.iter().map(|(id, quantity)| format!("{id}:{quantity}")).collect();
    Fingerprint::of(&[text.join(",").as_bytes()])
}

fn fingerprint(customer: &CustomerId, request: &CheckoutRequest, priced: &Priced) -> Fingerprint {
    let lines: Vec<_> = priced
        .lines
        .iter()
        .map(|line| format!("{}:{}:{}", line.product_id, line.quantity, line.unit_price.amount_minor))
        .collect();
    // An address is plain text fields: it always is JSON.
    let address = serde_json::to_vec(&request.shipping_address).unwrap_or_default();
    Fingerprint::of(&[
        customer.as_str().as_bytes(),
        lines.join(",").as_bytes(),
        priced.total.to_string().as_bytes(),
        &address,
        request
            .payment_token
            .as_ref()
            .map_or("", PaymentToken::expose)
            .as_bytes(),
    ])
}

#[cfg(test)]
mod tests;
