//! A product's events that wait to be published, and when the sweeper looks after them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use shared::contract::Entry;
use shared::ids::ProductId;
use uuid::Uuid;

use super::super::StoreError;
use super::super::write::{Item, Write};
use super::{Key, due_shard};

/// Events of one product that may wait. More would mean that the bus has been away for long: then
/// no more is changed than can be told.
const MOST: u32 = 100;

/// An event as it waits: what can be said again from its key and its kind is left away, so that an
/// item stays within a write unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in super::super) struct Waiting {
    id: Uuid,
    detail_type: String,
    resource: String,
    detail: String,
}

const SOURCE: &str = "product-service";

impl From<&Entry> for Waiting {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            detail_type: entry.detail_type.clone(),
            resource: entry.resources.first().cloned().unwrap_or_default(),
            detail: entry.detail.clone(),
        }
    }
}

impl From<Waiting> for Entry {
    fn from(waiting: Waiting) -> Self {
        Self {
            id: waiting.id,
            source: SOURCE.to_owned(),
            detail_type: waiting.detail_type,
            resources: vec![waiting.resource],
            detail: waiting.detail,
        }
    }
}

/// Adds these to what waits, to be looked after from `due_at` on (milliseconds since 1970).
pub(in super::super) fn enqueue(id: ProductId, entries: &[Entry], due_at: i64) -> Result<Write, StoreError> {
    let key = Key::Outbox(id);
    let set = "SET #events = list_append(if_not_exists(#events, :none), :events), #due_shard = :shard, #due_at = :due";
    Ok(Write::update(key.item(), set)
        .when("(attribute_not_exists(#events) OR size(#events) < :most)")
        .value("none", AttributeValue::L(Vec::new()))
        .value("events", waiting(entries)?)
        .number("shard", due_shard(&key))
        .number("due", due_at)
        .number("most", MOST))
}

/// Empties it, if nothing but these waits there.
pub(in super::super) fn clear(id: ProductId, entries: &[Entry]) -> Write {
    let (count, last) = extent(entries);
    let write = Write::delete(Key::Outbox(id).item())
        .when("size(#events) = :count")
        .when(&format!("#events[{}].#id = :last", count.saturating_sub(1)));
    write.number("count", i64::from(count)).text("last", last)
}

/// How many they are, and the id of the last.
pub(in super::super) fn extent(entries: &[Entry]) -> (u32, String) {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let last = entries.last().map(|entry| entry.id.to_string()).unwrap_or_default();
    (count, last)
}

/// As a list attribute.
pub(in super::super) fn waiting(entries: &[Entry]) -> Result<AttributeValue, StoreError> {
    let waiting: Vec<_> = entries.iter().map(Waiting::from).collect();
    serde_dynamo::to_attribute_value(waiting).map_err(StoreError::fault)
}

/// What waits in an item.
pub(in super::super) fn read(item: &Item) -> Result<Vec<Entry>, StoreError> {
    let Some(events) = item.get("events") else {
        return Ok(Vec::new());
    };
    let waiting: Vec<Waiting> = serde_dynamo::from_attribute_value(events.clone()).map_err(StoreError::fault)?;
    Ok(waiting.into_iter().map(Entry::from).collect())
}
