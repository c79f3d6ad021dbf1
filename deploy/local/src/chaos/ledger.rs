//! What went over the wires: how often which fault was met, which events the bus took, what the tables billed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::proxy::Call;
use super::weather::{Fault, Wire};

/// Shared by all wires.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    calls: BTreeMap<Wire, u64>,
    faults: BTreeMap<(Fault, Wire), u64>,
    told: Told,
    bill: Option<Bill>,
    last: Option<Instant>,
}

/// For each order, each kind of event that the bus took of it: the ids of its envelopes.
pub(crate) type Told = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What some work was billed by each operation. Capacity is in tenths of a unit: floats add up wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Bill {
    /// By operation and table.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Read, by table.
    pub(crate) read_tenths: BTreeMap<String, u64>,
    /// Written, by table.
    pub(crate) written_tenths: BTreeMap<String, u64>,
    /// Entries that the bus took, by name.
    pub(crate) events: BTreeMap<String, u64>,
    /// Messages that were received.
    pub(crate) messages: u64,
}

impl Ledger {
    pub(crate) fn met(&self, wire: Wire, fault: Fault) {
        *self.entries().faults.entry((fault, wire)).or_default() += 1;
    }

    /// How often each fault was met, and on which wires.
    pub(crate) fn faults(&self) -> BTreeMap<(Fault, Wire), u64> {
        self.entries().faults.clone()
    }

    /// Calls that reached the other side and were answered there, and on which wires.
    pub(crate) fn calls(&self) -> BTreeMap<Wire, u64> {
        self.entries().calls.clone()
    }

    /// Every event that the bus took.
    pub(crate) fn told(&self) -> Told {
        self.entries().told.clone()
    }

    /// Begins a bill, in the place of any other.
    pub(crate) fn begin_bill(&self) {
        self.entries().bill = Some(Bill::default());
    }

    /// The bill since it was begun, without its polls for nothing.
    pub(crate) fn end_bill(&self) -> Bill {
        self.entries().bill.take().unwrap_or_default()
    }

    /// How long ago the last call came that was for something. Time without end where none ever was.
    pub(crate) fn silent_for(&self) -> Duration {
        self.entries().last.map_or(Duration::MAX, |last| last.elapsed())
    }

    /// Takes note of a call that was answered.
    pub(crate) fn witness(&self, call: &Call, status: u16, answer: &[u8]) {
        if !call.kind.looks_only {
            self.entries().last = Some(Instant::now());
        }
        let published = (call.kind.publishes && status == 200).then(|| accepted(call, answer));
        let mut entries = self.entries();
        *entries.calls.entry(call.kind.wire).or_default() += 1;
        for event in published.iter().flatten() {
            let of_order = entries.told.entry(event.about.clone()).or_default();
            of_order.entry(event.name.clone()).or_default().insert(event.id.clone());
        }
        if let Some(bill) = &mut entries.bill
            && (call.kind.receives || !call.kind.looks_only)
        {
            bill.add(call, answer, published.unwrap_or_default());
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Published {
    name: String,
    about: String,
    id: String,
}

/// The entries of a `PutEvents` that the bus took.
fn accepted(call: &Call, answer: &[u8]) -> Vec<Published> {
    let asked = call.json();
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    let list = |value: &Value| {
        value
            .get("Entries")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let outcomes = list(&said);
    let taken = list(&asked).into_iter().zip(outcomes);
    let taken = taken.filter(|(_, outcome)| outcome.get("EventId").is_some() && outcome.get("ErrorCode").is_none());
    taken.filter_map(|(entry, _)| published(&entry)).collect()
}

fn published(entry: &Value) -> Option<Published> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let detail: Value = serde_json::from_str(entry.get("Detail")?.as_str()?).ok()?;
    Some(Published {
        name: text(entry, "DetailType")?,
        about: text(&detail, "correlation_id")?,
        id: text(&detail, "id")?,
    })
}

impl Bill {
    fn add(&mut self, call: &Call, answer: &[u8], published: Vec<Published>) {
        let said: Value = serde_json::from_slice(answer).unwrap_or_default();
        for event in published {
            *self.events.entry(event.name).or_default() += 1;
        }
        if call.kind.receives {
            let received = said.get("Messages").and_then(Value::as_array).map_or(0, Vec::len);
            self.messages += u64::try_from(received).unwrap_or(0);
            return;
        }
        *self.calls.entry(call.operation.clone()).or_default() += 1;
        let consumed = match said.get("ConsumedCapacity") {
            Some(Value::Array(each)) => each.clone(),
            Some(one) => vec![one.clone()],
            None => vec![],
        };
        for capacity in consumed {
            let table = capacity.get("TableName").and_then(Value::as_str).unwrap_or_default();
            let units = capacity.get("CapacityUnits").map(tenths).unwrap_or_default();
            let side = if call.kind.writes {
                &mut self.written_tenths
            } else {
                &mut self.read_tenths
            };
            *side.entry(table.to_owned()).or_default() += units;
        }
    }
}

/// Of a number of JSON, whose text has one digit behind the point at the most where units are counted.
fn tenths(units: &Value) -> u64 {
    let text = units.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    let part = part.chars().next().and_then(|digit| digit.to_digit(10)).unwrap_or(0);
    whole.parse::<u64>().unwrap_or(0) * 10 + u64::from(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn units_are_counted_in_tenths() {
        assert_eq!(tenths(&json!(0.5)), 5);
        assert_eq!(tenths(&json!(11)), 110);
        assert_eq!(tenths(&json!(2.0)), 20);
    }
}
