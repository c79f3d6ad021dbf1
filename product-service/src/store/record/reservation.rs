//! The reservation item: what an order holds, until when, and the events of stock that it emptied or
//! filled again.
//!
//! Those events wait here and not in the products' outboxes: a transaction has 100 actions at most,
//! and a reservation of 99 lines needs them all.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::Entry;
use shared::ids::{OrderId, ProductId};

use super::super::StoreError;
use super::super::write::{Item, Write};
use super::outbox::{extent, waiting};
use super::{Key, due_shard};
use crate::domain::reservation::{Lines, Reservation, State};

#[derive(Serialize, Deserialize)]
struct ReservationItem {
    pk: String,
    sk: String,
    order_id: OrderId,
    lines: BTreeMap<ProductId, u32>,
    state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// Counts the writes of this item.
    revision: u64,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

/// A reservation as it was read.
#[derive(Clone, Debug)]
pub(in super::super) struct Stored {
    pub(in super::super) reservation: Reservation,
    pub(in super::super) revision: u64,
    /// Events of it that are not yet published.
    pub(in super::super) waiting: Vec<Entry>,
}

/// Days for which a sale is kept: it can be returned so long.
const COMMITTED_DAYS: i64 = 400;
/// Days for which it is remembered that a hold would come too late.
const CLOSED_DAYS: i64 = 30;
const SECONDS_A_DAY: i64 = 86_400;

/// A hold or a tombstone, where nothing is yet. `due_at` is when the sweeper takes over the events.
pub(in super::super) fn create(
    reservation: &Reservation,
    events: &[Entry],
    now: Timestamp,
    due_at: i64,
) -> Result<Write, StoreError> {
    let key = Key::Reservation(reservation.order_id);
    let due = due(reservation, events, due_at);
    let record = ReservationItem {
        pk: key.pk(),
        sk: super::RESERVATION.to_owned(),
        order_id: reservation.order_id,
        lines: reservation.lines.iter().collect(),
        state: reservation.state,
        expires_at: reservation.expires_at,
        revision: 1,
        created_at: now,
        due_shard: due.map(|_| due_shard(&key)),
        due_at: due,
        ttl: ttl(reservation.state, now),
    };
    let mut item: Item = serde_dynamo::to_item(record).map_err(StoreError::fault)?;
    if !events.is_empty() {
        item.insert("events".to_owned(), waiting(events)?);
    }
    Ok(Write::put(item).when("attribute_not_exists(#pk)"))
}

/// The reservation in its next state or with its next expiry, if it is still as it was read. Its
/// events are those that waited and those that come with this.
pub(in super::super) fn advance(
    before: &Stored,
    next: &Reservation,
    events: &[Entry],
    now: Timestamp,
    due_at: i64,
) -> Result<Write, StoreError> {
    let key = Key::Reservation(next.order_id);
    let mut sets = vec!["#state = :state", "#revision = :next"];
    let mut removes = vec!["#attempts"];
    let due = due(next, events, due_at);
    let ttl = ttl(next.state, now);
    match next.expires_at {
        Some(_) => sets.push("#expires_at = :expires_at"),
        None => removes.push("#expires_at"),
    }
    match events {
        [] => removes.push("#events"),
        [..] => sets.push("#events = :events"),
    }
    match due {
        Some(_) => sets.extend(["#due_shard = :shard", "#due_at = :due"]),
        None => removes.extend(["#due_shard", "#due_at"]),
    }
    match ttl {
        Some(_) => sets.push("#ttl = :ttl"),
        None => removes.push("#ttl"),
    }
    let expression = format!("SET {} REMOVE {}", sets.join(", "), removes.join(", "));
    let mut write = Write::update(key.item(), expression)
        .when("#revision = :was")
        .text("state", next.state.as_ref())
        .number("was", before.revision)
        .number("next", before.revision + 1);
    if let Some(expires_at) = next.expires_at {
        write = write.text("expires_at", expires_at.to_string());
    }
    if !events.is_empty() {
        write = write.value("events", waiting(events)?);
    }
    if let Some(due) = due {
        write = write.number("shard", due_shard(&key)).number("due", due);
    }
    if let Some(ttl) = ttl {
        write = write.number("ttl", ttl);
    }
    Ok(write)
}

/// Takes the events off it, if these are what waits, and leaves it due when it expires.
pub(in super::super) fn clear(order_id: OrderId, entries: &[Entry], held_until: Option<Timestamp>) -> Write {
    let (count, last) = extent(entries);
    let (expression, held) = match held_until {
        Some(_) => ("SET #due_at = :due REMOVE #events, #attempts", "#state = :held"),
        None => ("REMOVE #events, #due_shard, #due_at, #attempts", "#state <> :held"),
    };
    let write = Write::update(Key::Reservation(order_id).item(), expression)
        .when(held)
        .when("size(#events) = :count")
        .when(&format!("#events[{}].#id = :last", count.saturating_sub(1)))
        .text("held", State::Held.as_ref())
        .number("count", i64::from(count))
        .text("last", last);
    match held_until {
        Some(until) => write.number("due", until.as_millisecond()),
        None => write,
    }
}

/// Reads a reservation.
pub(in super::super) fn read(item: Item) -> Result<Stored, StoreError> {
    let waiting = super::outbox::read(&item)?;
    let record: ReservationItem = serde_dynamo::from_item(item).map_err(StoreError::fault)?;
    Ok(Stored {
        waiting,
        revision: record.revision,
        reservation: Reservation {
            order_id: record.order_id,
            lines: Lines::from_stored(record.lines),
            state: record.state,
            expires_at: record.expires_at,
        },
    })
}

/// When the sweeper is to look: at events that were not published, or at a hold that expires.
fn due(reservation: &Reservation, events: &[Entry], publish_by: i64) -> Option<i64> {
    let publish_by = (!events.is_empty()).then_some(publish_by);
    let expires = match reservation.state {
        State::Held => reservation.expires_at.map(Timestamp::as_millisecond),
        State::Committed | State::Released | State::Returned => None,
    };
    [publish_by, expires].into_iter().flatten().min()
}

/// When the table may forget it, in seconds since 1970; never while it is held.
fn ttl(state: State, now: Timestamp) -> Option<i64> {
    let days = match state {
        State::Held => return None,
        State::Committed => COMMITTED_DAYS,
        State::Released | State::Returned => CLOSED_DAYS,
    };
    Some(now.as_second() + days * SECONDS_A_DAY)
}
