//! How a basket lies in its table. Nothing outside this file knows an attribute's name or shape.
//!
//! One item a basket. A line is a number `q#<product>` and a snapshot `s#<product>`, beside the set
//! `ids` of all products, so that an add is one update with both limits in its condition. Checkouts,
//! the one under way and those settled, lie in the map `checkouts` by their order's id, and what only
//! the one under way needs, in the map `under_way`: settling removes that and writes the outcome
//! beside the rest, without reading anything.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::address::Address;
use shared::contract::checkout::{Acceptance, PaymentToken};
use shared::contract::order::FailureReason;
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::money::{Currency, Money};
use shared::quantity::Quantity;
use thiserror::Error;
use uuid::Uuid;

use crate::domain::{
    Basket, BasketId, BodyHash, Checkout, EventIdentity, Line, OrderedLine, Outcome, Pieces, Settled, Snapshot,
    UnderWay, returned_digest,
};

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const PK: &str = "pk";
pub(super) const VERSION: &str = "version";
pub(super) const TTL: &str = "ttl";
pub(super) const IDS: &str = "ids";
pub(super) const MERGED_INTO: &str = "merged_into";
pub(super) const CHECKOUTS: &str = "checkouts";
pub(super) const OUTCOME: &str = "o";
pub(super) const REASON: &str = "e";
pub(super) const SETTLED_AT: &str = "d";
pub(super) const UNDER_WAY: &str = "under_way";
pub(super) const ORDER_ID: &str = "order_id";
pub(super) const LINES_DIGEST: &str = "lines_digest";
pub(super) const REPUBLISHED: &str = "republished";
pub(super) const EXPIRES: &str = "expires";
pub(super) const DUE_INDEX: &str = "due";
pub(super) const DUE_SHARD: &str = "due_shard";
pub(super) const DUE_AT: &str = "due_at";

/// The last second of the year 9999. While a checkout is under way, whatever touches the basket sets
/// its `ttl` to `under_way.expires`, which is this, without having to know.
const NEVER: i64 = 253_402_300_799;

/// An item that no release of ours has written so.
#[derive(Debug, Error)]
pub enum Corrupt {
    /// An attribute is missing or of another type.
    #[error("attribute {0} of a basket is missing or cannot be read")]
    Attribute(String),
    /// A map inside cannot be read.
    #[error("attribute {attribute} of a basket cannot be read")]
    Map {
        /// Which.
        attribute: &'static str,
        /// Why.
        #[source]
        fault: serde_dynamo::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct SnapshotRecord {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "u")]
    unit_price: i64,
    #[serde(rename = "c")]
    currency: Currency,
    #[serde(rename = "t")]
    added_at: i64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct CheckoutRecord {
    #[serde(rename = "t")]
    total: i64,
    #[serde(rename = "c")]
    currency: Currency,
    #[serde(rename = "b")]
    body: String,
    #[serde(rename = "r")]
    requested_at: i64,
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineRecord>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeRecord>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    reason: Option<FailureReason>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    settled_at: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeRecord {
    Ordered,
    Failed,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct LineRecord {
    #[serde(rename = "p")]
    product: ProductId,
    #[serde(rename = "k")]
    sku: String,
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "q")]
    quantity: Quantity,
    #[serde(rename = "u")]
    unit_price: i64,
    #[serde(rename = "a", default, skip_serializing_if = "is_auto")]
    acceptance: Acceptance,
}

#[derive(Serialize, Deserialize)]
struct UnderWayRecord {
    order_id: OrderId,
    address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<PaymentToken>,
    fingerprint: Fingerprint,
    lines_digest: Fingerprint,
    valid_until: i64,
    event_id: Uuid,
    #[serde(default)]
    traceparent: String,
    causation_id: String,
    republished: u32,
    expires: i64,
}

/// The key of a basket's item. A guest's request never reaches a `C#`.
pub(super) fn key(id: &BasketId) -> String {
    match id {
        BasketId::Customer(id) => format!("C#{id}"),
        BasketId::Guest(id) => format!("G#{id}"),
    }
}

/// Whose basket lies under this key.
pub(super) fn id_of(item: &Item) -> Result<BasketId, Corrupt> {
    let key = item.get(PK).and_then(|value| value.as_s().ok());
    let id = key.and_then(|key| match key.split_once('#')? {
        ("C", id) => id.parse().ok().map(BasketId::Customer),
        ("G", id) => id.parse().ok().map(BasketId::Guest),
        _ => None,
    });
    id.ok_or_else(|| Corrupt::Attribute(PK.to_owned()))
}

pub(super) fn quantity_of(product: &ProductId) -> String {
    format!("q#{product}")
}

pub(super) fn snapshot_of(product: &ProductId) -> String {
    format!("s#{product}")
}

pub(super) fn number(n: impl ToString) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

pub(super) fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

pub(super) fn ids<'a>(products: impl IntoIterator<Item = &'a ProductId>) -> AttributeValue {
    AttributeValue::Ss(products.into_iter().map(ToString::to_string).collect())
}

pub(super) fn snapshot(snapshot: &Snapshot) -> Result<AttributeValue, Corrupt> {
    let record = SnapshotRecord {
        name: snapshot.name.clone(),
        unit_price: snapshot.unit_price.amount_minor,
        currency: snapshot.unit_price.currency,
        added_at: snapshot.added_at.as_millisecond(),
    };
    to_value("s#", record)
}

pub(super) fn failed() -> Result<AttributeValue, Corrupt> {
    to_value(OUTCOME, OutcomeRecord::Failed)
}

pub(super) fn ordered() -> Result<AttributeValue, Corrupt> {
    to_value(OUTCOME, OutcomeRecord::Ordered)
}

pub(super) fn reason(reason: FailureReason) -> Result<AttributeValue, Corrupt> {
    // A reason that only a later release knows reads back as this one.
    to_value(REASON, reason)
}

/// The whole item of a basket. What an item holds besides is a later release's and stays as it is.
pub(super) fn to_item(basket: &Basket) -> Result<Item, Corrupt> {
    let pk = key(&basket.id);
    let mut item = Item::new();
    item.insert(VERSION.to_owned(), number(basket.version));
    if !basket.lines.is_empty() {
        item.insert(IDS.to_owned(), ids(basket.lines.keys()));
    }
    for (product, line) in &basket.lines {
        item.insert(quantity_of(product), number(line.pieces.get()));
        item.insert(snapshot_of(product), snapshot(&line.snapshot)?);
    }
    if let Some(at) = basket.expires_at {
        item.insert(TTL.to_owned(), number(at.as_second()));
    }
    if let Some(owner) = &basket.merged_into {
        item.insert(MERGED_INTO.to_owned(), text(owner));
    }
    let mut checkouts = BTreeMap::new();
    for settled in &basket.settled {
        let (outcome, reason) = match settled.outcome {
            Outcome::Ordered => (OutcomeRecord::Ordered, None),
            Outcome::Failed(reason) => (OutcomeRecord::Failed, Some(reason)),
        };
        let record = CheckoutRecord {
            outcome: Some(outcome),
            reason,
            settled_at: Some(settled.at.as_millisecond()),
            ..CheckoutRecord::from(&settled.checkout)
        };
        checkouts.insert(settled.checkout.order_id.to_string(), record);
    }
    if let Some(under_way) = &basket.under_way {
        let checkout = &under_way.checkout;
        checkouts.insert(checkout.order_id.to_string(), checkout.into());
        item.insert(
            UNDER_WAY.to_owned(),
            to_value(UNDER_WAY, UnderWayRecord::from(under_way))?,
        );
        item.insert(DUE_SHARD.to_owned(), number(shared::due::shard_of(&pk)));
        item.insert(DUE_AT.to_owned(), number(under_way.due_at.as_millisecond()));
    }
    if !checkouts.is_empty() {
        item.insert(CHECKOUTS.to_owned(), to_value(CHECKOUTS, checkouts)?);
    }
    item.insert(PK.to_owned(), AttributeValue::S(pk));
    Ok(item)
}

/// The basket that an item holds.
pub(super) fn from_item(mut item: Item) -> Result<Basket, Corrupt> {
    let id = id_of(&item)?;
    let mut lines = BTreeMap::new();
    if let Some(ids) = item.remove(IDS) {
        for product in ids.as_ss().map_err(|_other| Corrupt::Attribute(IDS.to_owned()))? {
            let product: ProductId = product.parse().map_err(|_no_id| Corrupt::Attribute(IDS.to_owned()))?;
            lines.insert(product, line(&mut item, &product)?);
        }
    }
    let under_way: Option<UnderWayRecord> = map(&mut item, UNDER_WAY)?;
    let checkouts: BTreeMap<OrderId, CheckoutRecord> = map(&mut item, CHECKOUTS)?.unwrap_or_default();
    let due_at = item.get(DUE_AT).map(|_there| moment(&item, DUE_AT)).transpose()?;
    let under_way = match under_way {
        None => None,
        Some(record) => {
            let frozen = checkouts.get(&record.order_id);
            let frozen = frozen.ok_or_else(|| Corrupt::Attribute(CHECKOUTS.to_owned()))?;
            let due_at = due_at.ok_or_else(|| Corrupt::Attribute(DUE_AT.to_owned()))?;
            let checkout = frozen.to_checkout(record.order_id)?;
            Some(record.into_under_way(checkout, due_at)?)
        }
    };
    let mut settled = Vec::new();
    for (order_id, record) in checkouts {
        settled.extend(record.to_settled(order_id)?);
    }
    settled.sort_by_key(|settled| Reverse((settled.at, settled.checkout.requested_at)));
    let expires_at = match (&under_way, item.get(TTL)) {
        (None, Some(_)) => Some(second(integer(&item, TTL)?, TTL)?),
        (Some(_), _) | (_, None) => None,
    };
    let merged_into = match item.get(MERGED_INTO).map(AttributeValue::as_s) {
        None => None,
        Some(owner) => Some(owner_of(owner)?),
    };
    Ok(Basket {
        id,
        version: integer(&item, VERSION)?
            .try_into()
            .map_err(|_negative| Corrupt::Attribute(VERSION.to_owned()))?,
        lines,
        expires_at,
        merged_into,
        under_way,
        settled,
    })
}

/// When an item of the index `due` is due.
pub(super) fn due_at(item: &Item) -> Result<Timestamp, Corrupt> {
    moment(item, DUE_AT)
}

fn owner_of(value: Result<&String, &AttributeValue>) -> Result<CustomerId, Corrupt> {
    let text = value.map_err(|_other| Corrupt::Attribute(MERGED_INTO.to_owned()))?;
    text.parse()
        .map_err(|_no_id| Corrupt::Attribute(MERGED_INTO.to_owned()))
}

fn line(item: &mut Item, product: &ProductId) -> Result<Line, Corrupt> {
    let name = quantity_of(product);
    let pieces = u32::try_from(integer(item, &name)?).ok().and_then(Pieces::new);
    let pieces = pieces.ok_or(Corrupt::Attribute(name))?;
    let name = snapshot_of(product);
    let value = item.remove(&name).ok_or(Corrupt::Attribute(name))?;
    let record: SnapshotRecord = from_value("s#", value)?;
    Ok(Line {
        pieces,
        snapshot: Snapshot {
            name: record.name,
            unit_price: Money::new(record.unit_price, record.currency),
            added_at: millisecond(record.added_at, "s#")?,
        },
    })
}

fn integer(item: &Item, name: &str) -> Result<i64, Corrupt> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| Corrupt::Attribute(name.to_owned()))
}

fn moment(item: &Item, name: &str) -> Result<Timestamp, Corrupt> {
    millisecond(integer(item, name)?, name)
}

fn millisecond(ms: i64, name: &str) -> Result<Timestamp, Corrupt> {
    Timestamp::from_millisecond(ms).map_err(|_range| Corrupt::Attribute(name.to_owned()))
}

fn second(s: i64, name: &str) -> Result<Timestamp, Corrupt> {
    Timestamp::from_second(s).map_err(|_range| Corrupt::Attribute(name.to_owned()))
}

fn map<T: for<'de> Deserialize<'de>>(item: &mut Item, attribute: &'static str) -> Result<Option<T>, Corrupt> {
    item.remove(attribute)
        .map(|value| from_value(attribute, value))
        .transpose()
}

fn from_value<T: for<'de> Deserialize<'de>>(attribute: &'static str, value: AttributeValue) -> Result<T, Corrupt> {
    serde_dynamo::from_attribute_value(value).map_err(|fault| Corrupt::Map { attribute, fault })
}

fn to_value<T: Serialize>(attribute: &'static str, record: T) -> Result<AttributeValue, Corrupt> {
    serde_dynamo::to_attribute_value(record).map_err(|fault| Corrupt::Map { attribute, fault })
}

fn is_auto(acceptance: &Acceptance) -> bool {
    *acceptance == Acceptance::Auto
}

impl From<&Checkout> for CheckoutRecord {
    fn from(checkout: &Checkout) -> Self {
        Self {
            total: checkout.total.amount_minor,
            currency: checkout.total.currency,
            body: format!("{:032x}", checkout.body.0),
            requested_at: checkout.requested_at.as_millisecond(),
            lines: checkout.lines.iter().map(LineRecord::from).collect(),
            outcome: None,
            reason: None,
            settled_at: None,
        }
    }
}

impl CheckoutRecord {
    fn to_checkout(&self, order_id: OrderId) -> Result<Checkout, Corrupt> {
        let body = u128::from_str_radix(&self.body, 16);
        let currency = self.currency;
        let lines = self.lines.iter().map(|line| OrderedLine {
            product_id: line.product,
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: Money::new(line.unit_price, currency),
            acceptance: line.acceptance,
        });
        Ok(Checkout {
            order_id,
            total: Money::new(self.total, currency),
            body: BodyHash(body.map_err(|_no_hex| Corrupt::Attribute(CHECKOUTS.to_owned()))?),
            requested_at: millisecond(self.requested_at, CHECKOUTS)?,
            lines: lines.collect(),
        })
    }

    fn to_settled(&self, order_id: OrderId) -> Result<Option<Settled>, Corrupt> {
        let outcome = match self.outcome {
            None => return Ok(None),
            Some(OutcomeRecord::Ordered) => Outcome::Ordered,
            Some(OutcomeRecord::Failed) => Outcome::Failed(self.reason.unwrap_or(FailureReason::Other)),
        };
        Ok(Some(Settled {
            checkout: self.to_checkout(order_id)?,
            outcome,
            at: millisecond(self.settled_at.unwrap_or(self.requested_at), CHECKOUTS)?,
        }))
    }
}

impl From<&OrderedLine> for LineRecord {
    fn from(line: &OrderedLine) -> Self {
        Self {
            product: line.product_id,
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price.amount_minor,
            acceptance: line.acceptance,
        }
    }
}

impl From<&UnderWay> for UnderWayRecord {
    fn from(under_way: &UnderWay) -> Self {
        let lines = under_way.checkout.lines.iter();
        Self {
            order_id: under_way.checkout.order_id,
            address: under_way.shipping_address.clone(),
            token: under_way.payment_token.clone(),
            fingerprint: under_way.fingerprint.clone(),
            lines_digest: returned_digest(lines.map(|line| (&line.product_id, line.quantity))),
            valid_until: under_way.valid_until.as_millisecond(),
            event_id: under_way.event.id,
            traceparent: under_way.event.traceparent.clone(),
            causation_id: under_way.event.causation_id.clone(),
            republished: under_way.republished,
            expires: NEVER,
        }
    }
}

impl UnderWayRecord {
    fn into_under_way(self, checkout: Checkout, due_at: Timestamp) -> Result<UnderWay, Corrupt> {
        Ok(UnderWay {
            checkout,
            shipping_address: self.address,
            payment_token: self.token,
            fingerprint: self.fingerprint,
            valid_until: millisecond(self.valid_until, UNDER_WAY)?,
            event: EventIdentity {
                id: self.event_id,
                traceparent: self.traceparent,
                causation_id: self.causation_id,
            },
            republished: self.republished,
            due_at,
        })
    }
}
