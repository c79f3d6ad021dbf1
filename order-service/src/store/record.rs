//! An order as it lies in the table. Nothing else knows the attributes' names.
//!
//! Only optional attributes may be added: the previous and the next release read these items too.
//! Nested names are short, since a write is billed by the size of the whole item.

mod dispute;
mod event;
mod payment;
mod span;
mod state;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::address::Address;
use shared::contract::checkout::{Acceptance, Line};
use shared::contract::order::{FailureReason, Shortage};
use shared::due::shard_of;
use shared::idempotency::Fingerprint;
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::money::{Currency, Money};
use shared::quantity::Quantity;

use self::event::EventRecord;
use self::payment::PaymentRecord;
use self::span::{SpanRecord, trace_of};
use self::state::StateRecord;
use super::{Overdue, StoreError, Summary};
use crate::domain::order::{Order, Shipment};
use crate::domain::state::{Phase, Standing, State, Status};
use crate::domain::timeline::{Actor, Change};

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const BY_CUSTOMER_INDEX: &str = "by_customer";
pub(super) const BY_STATUS_INDEX: &str = "by_status";
pub(super) const DUE_INDEX: &str = "due";
pub(super) const STATUS_KEY: &str = "status_key";
pub(super) const CUSTOMER_KEY: &str = "customer_key";
pub(super) const DUE_AT: &str = "due_at";
pub(super) const DUE_SHARD: &str = "due_shard";
pub(super) const VERSION: &str = "version";

/// The key of an order's item.
pub(super) fn key(id: &OrderId) -> Item {
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk(id)))])
}

/// A key that no item has.
pub(super) fn no_key() -> Item {
    HashMap::from([("pk".to_owned(), AttributeValue::S("PROBE".to_owned()))])
}

/// Whether an item is an order: what a later release may put beside them is not.
pub(super) fn is_order(item: &Item) -> bool {
    let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
    pk.is_some_and(|pk| pk.starts_with("ORDER#"))
}

pub(super) fn customer_key(customer: &CustomerId) -> String {
    format!("CUSTOMER#{customer}")
}

pub(super) fn status_key(status: Status) -> String {
    format!("STATUS#{status}")
}

/// Where a page of an index goes on after the order of that `created_key`; `key` is the index's own key,
/// of that name.
pub(super) fn position(name: &str, key: &str, created_key: &str) -> Item {
    let id = created_key.split_once('#').map_or("", |(_, id)| id);
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("ORDER#{id}"))),
        (name.to_owned(), AttributeValue::S(key.to_owned())),
        ("created_key".to_owned(), AttributeValue::S(created_key.to_owned())),
    ])
}

fn pk(id: &OrderId) -> String {
    format!("ORDER#{id}")
}

/// Milliseconds in 13 digits last until the year 2286.
fn created_key(at: Timestamp, id: &OrderId) -> String {
    format!("{:013}#{id}", at.as_millisecond())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    pk: String,
    id: OrderId,
    customer_id: CustomerId,
    customer_key: String,
    created_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_key: Option<String>,
    status: Status,
    phase: Phase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standing: Option<Standing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<FailureReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acceptance: Option<Acceptance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_by: Option<i64>,
    total_minor: i64,
    currency: Currency,
    line_count: u32,
    lines: Vec<LineRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    fingerprint: Fingerprint,
    causation: String,
    payment: PaymentRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    short: Vec<Shortage>,
    timeline: Vec<ChangeRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<EventRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outbox: Vec<EventRecord>,
    sequence: u64,
    version: u64,
    /// In which it was taken in, until there is an answer, which keeps its own from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    span: Option<SpanRecord>,
    created_at: i64,
    updated_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipment: Option<ShipmentRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempts: u32,
}

/// Amounts are in the order's currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LineRecord {
    id: ProductId,
    sku: String,
    name: String,
    n: Quantity,
    price: i64,
    #[serde(default, skip_serializing_if = "is_auto")]
    acc: Acceptance,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ChangeRecord {
    status: Status,
    at: i64,
    by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    trace: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ShipmentRecord {
    carrier: String,
    tracking: String,
}

/// What `by_customer` and `by_status` project.
#[derive(Debug, Deserialize)]
pub(super) struct SummaryRecord {
    id: OrderId,
    customer_id: CustomerId,
    status: Status,
    total_minor: i64,
    currency: Currency,
    line_count: u32,
    created_at: i64,
    updated_at: i64,
    pub(super) created_key: String,
}

/// What `due` projects.
#[derive(Debug, Deserialize)]
pub(super) struct DueRecord {
    pk: String,
    due_at: i64,
}

impl OrderRecord {
    pub(super) fn of(item: Item) -> Result<Self, StoreError> {
        read(item)
    }

    pub(super) fn to_item(&self) -> Result<Item, StoreError> {
        serde_dynamo::to_item(self).map_err(|fault| StoreError::Unreadable(fault.into()))
    }

    /// Whether this is what a write left, but for a lease that somebody took since.
    pub(super) fn says_the_same_as(&self, written: &Self) -> bool {
        let lease_aside = Self {
            due_at: written.due_at,
            due_shard: written.due_shard,
            ..self.clone()
        };
        lease_aside == *written
    }
}

impl SummaryRecord {
    pub(super) fn of(item: Item) -> Result<Self, StoreError> {
        read(item)
    }
}

impl DueRecord {
    pub(super) fn of(item: Item) -> Result<Self, StoreError> {
        read(item)
    }
}

fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|fault| StoreError::Unreadable(fault.into()))
}

impl From<&Order> for OrderRecord {
    fn from(order: &Order) -> Self {
        let state = StateRecord::from(order.state);
        let answered_in = order.answer.as_ref().map(|answer| &answer.traceparent);
        let own = trace_of(answered_in.unwrap_or(&order.traceparent));
        Self {
            pk: pk(&order.id),
            id: order.id,
            customer_id: order.customer.clone(),
            customer_key: customer_key(&order.customer),
            created_key: created_key(order.created_at, &order.id),
            status_key: waits_for_merchant(order.state).then(|| status_key(order.state.status())),
            status: order.state.status(),
            phase: order.state.phase(),
            standing: state.standing,
            reason: state.reason,
            acceptance: state.acceptance,
            answer_by: state.answer_by,
            total_minor: order.total.amount_minor,
            currency: order.total.currency,
            line_count: u32::try_from(order.lines.len()).unwrap_or(u32::MAX),
            lines: order.lines.iter().map(LineRecord::from).collect(),
            address: order.address.clone(),
            fingerprint: order.fingerprint.clone(),
            causation: order.causation.clone(),
            payment: PaymentRecord::from(&order.payment),
            short: order.short.clone(),
            timeline: order
                .timeline
                .iter()
                .map(|change| ChangeRecord::of(change, own))
                .collect(),
            answer: order.answer.as_ref().map(EventRecord::from),
            outbox: order.outbox.iter().map(EventRecord::from).collect(),
            sequence: order.sequence,
            version: order.version,
            span: match order.answer {
                None => SpanRecord::of(&order.traceparent),
                Some(_) => None,
            },
            created_at: order.created_at.as_millisecond(),
            updated_at: order.updated_at.as_millisecond(),
            shipment: order.shipment.as_ref().map(ShipmentRecord::from),
            due_shard: order.due_at.map(|_| shard_of(&pk(&order.id))),
            due_at: order.due_at.map(Timestamp::as_millisecond),
            attempts: order.attempts,
        }
    }
}

/// Those alone are in `by_status`.
fn waits_for_merchant(state: State) -> bool {
    match state.status() {
        Status::AwaitingAcceptance | Status::Confirmed | Status::Shipped => true,
        Status::Pending | Status::Delivered | Status::Failed | Status::Cancelled => false,
    }
}

impl TryFrom<OrderRecord> for Order {
    type Error = StoreError;

    fn try_from(record: OrderRecord) -> Result<Self, StoreError> {
        let currency = record.currency;
        let total = Money::new(record.total_minor, currency);
        let state = StateRecord {
            status: record.status,
            phase: record.phase,
            standing: record.standing,
            reason: record.reason,
            acceptance: record.acceptance,
            answer_by: record.answer_by,
        };
        let answer = record.answer.map(|event| event.into_event(currency)).transpose()?;
        let answered_in = answer.as_ref().map(|answer| answer.traceparent.clone());
        let traceparent = answered_in
            .or_else(|| record.span.map(SpanRecord::traceparent))
            .unwrap_or_default();
        let own = trace_of(&traceparent);
        Ok(Self {
            id: record.id,
            customer: record.customer_id,
            lines: record.lines.into_iter().map(|line| line.into_line(currency)).collect(),
            subtotal: total,
            total,
            address: record.address,
            fingerprint: record.fingerprint,
            causation: record.causation,
            state: state.try_into()?,
            payment: record.payment.into_payment(currency)?,
            short: record.short,
            timeline: record
                .timeline
                .into_iter()
                .map(|change| change.into_change(own))
                .collect::<Result<_, _>>()?,
            answer,
            outbox: record
                .outbox
                .into_iter()
                .map(|event| event.into_event(currency))
                .collect::<Result<_, _>>()?,
            sequence: record.sequence,
            version: record.version,
            traceparent,
            created_at: time(record.created_at)?,
            updated_at: time(record.updated_at)?,
            shipment: record.shipment.map(Shipment::from),
            due_at: record.due_at.map(time).transpose()?,
            attempts: record.attempts,
        })
    }
}

impl From<&Line> for LineRecord {
    fn from(line: &Line) -> Self {
        Self {
            id: line.product_id,
            sku: line.sku.clone(),
            name: line.name.clone(),
            n: line.quantity,
            price: line.unit_price.amount_minor,
            acc: line.acceptance,
        }
    }
}

impl LineRecord {
    fn into_line(self, currency: Currency) -> Line {
        Line {
            product_id: self.id,
            sku: self.sku,
            name: self.name,
            quantity: self.n,
            unit_price: Money::new(self.price, currency),
            acceptance: self.acc,
        }
    }
}

impl ChangeRecord {
    /// The order's own trace is left away, which is that of most of its changes.
    fn of(change: &Change, own: &str) -> Self {
        let foreign = Some(&change.trace_id).filter(|trace| *trace != own);
        Self {
            status: change.status,
            at: change.at.as_millisecond(),
            by: change.actor,
            why: change.reason.clone(),
            n: change.attempt,
            trace: foreign.cloned().unwrap_or_default(),
        }
    }

    fn into_change(self, own: &str) -> Result<Change, StoreError> {
        Ok(Change {
            status: self.status,
            at: time(self.at)?,
            actor: self.by,
            reason: self.why,
            attempt: self.n,
            trace_id: if self.trace.is_empty() {
                own.to_owned()
            } else {
                self.trace
            },
        })
    }
}

impl From<&Shipment> for ShipmentRecord {
    fn from(shipment: &Shipment) -> Self {
        Self {
            carrier: shipment.carrier.clone(),
            tracking: shipment.tracking.clone(),
        }
    }
}

impl From<ShipmentRecord> for Shipment {
    fn from(record: ShipmentRecord) -> Self {
        Self {
            carrier: record.carrier,
            tracking: record.tracking,
        }
    }
}

impl TryFrom<SummaryRecord> for Summary {
    type Error = StoreError;

    fn try_from(record: SummaryRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id,
            customer: record.customer_id,
            status: record.status,
            total: Money::new(record.total_minor, record.currency),
            line_count: record.line_count,
            created_at: time(record.created_at)?,
            updated_at: time(record.updated_at)?,
        })
    }
}

impl TryFrom<DueRecord> for Overdue {
    type Error = StoreError;

    fn try_from(record: DueRecord) -> Result<Self, StoreError> {
        let id = record.pk.strip_prefix("ORDER#").unwrap_or_default();
        Ok(Self {
            id: id
                .parse()
                .map_err(|fault: shared::ids::InvalidId| StoreError::Unreadable(fault.into()))?,
            due_at: record.due_at,
        })
    }
}

fn time(millisecond: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millisecond).map_err(|fault| StoreError::Unreadable(fault.into()))
}

fn contradiction(what: &'static str) -> StoreError {
    StoreError::Unreadable(what.into())
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_auto(acceptance: &Acceptance) -> bool {
    *acceptance == Acceptance::Auto
}
