//! All that the sandbox knows: payments, refunds, disputes, idempotency keys, events not delivered yet. Changed only through
//! [`Ledger::commit`], which writes to the journal first.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use super::charge::{Dispute, Refund};
use super::intent::PaymentIntent;
use super::journal::{Entry, Journal};
use super::keys::Keys;
use super::webhook::Event;

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    journal: Journal,
    pub(super) intents: Shelf<PaymentIntent>,
    pub(super) refunds: Shelf<Refund>,
    pub(super) disputes: Shelf<Dispute>,
    pub(super) keys: Keys,
    pub(super) undelivered: BTreeMap<String, Event>,
}

impl Ledger {
    pub(super) fn in_memory() -> Self {
        Self {
            journal: Journal::Memory,
            intents: Shelf::default(),
            refunds: Shelf::default(),
            disputes: Shelf::default(),
            keys: Keys::default(),
            undelivered: BTreeMap::new(),
        }
    }

    /// Continues with what the file holds; makes it where there is none.
    pub(super) fn open(path: &Path, now: i64) -> anyhow::Result<Self> {
        let mut ledger = Self::in_memory();
        for entry in Journal::read(path)? {
            ledger.apply(entry);
        }
        ledger.journal = Journal::rewrite(path, ledger.entries(now))?;
        Ok(ledger)
    }

    /// Stores a change, then makes it visible. After an error nothing has changed.
    pub(super) fn commit(&mut self, entry: Entry) -> io::Result<()> {
        self.journal.append(&entry)?;
        self.apply(entry);
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        if let Some(intent) = entry.intent {
            self.intents.put(intent.id.clone(), intent);
        }
        if let Some(refund) = entry.refund {
            self.refunds.put(refund.id.clone(), refund);
        }
        if let Some(dispute) = entry.dispute {
            self.disputes.put(dispute.id.clone(), dispute);
        }
        if let Some(key) = entry.key {
            self.keys.put(key);
        }
        for event in entry.events {
            self.undelivered.insert(event.id.clone(), event);
        }
        for id in entry.settled {
            self.undelivered.remove(&id);
        }
    }

    /// The shortest journal that leads to what is known now.
    fn entries(&self, now: i64) -> impl Iterator<Item = Entry> {
        let intents = self.intents.oldest_first().map(|intent| Entry {
            intent: Some(intent.clone()),
            ..Entry::default()
        });
        let refunds = self.refunds.oldest_first().map(|refund| Entry {
            refund: Some(refund.clone()),
            ..Entry::default()
        });
        let disputes = self.disputes.oldest_first().map(|dispute| Entry {
            dispute: Some(dispute.clone()),
            ..Entry::default()
        });
        let keys = self.keys.live(now).map(|key| Entry {
            key: Some(key.clone()),
            ..Entry::default()
        });
        let events = Entry {
            events: self.undelivered.values().cloned().collect(),
            ..Entry::default()
        };
        intents
            .chain(refunds)
            .chain(disputes)
            .chain(keys)
            .chain(std::iter::once(events))
    }
}

/// Things by id, in the order in which they came.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    by_place: BTreeMap<u64, T>,
    places: HashMap<String, u64>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            by_place: BTreeMap::new(),
            places: HashMap::new(),
        }
    }
}

impl<T> Shelf<T> {
    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.by_place.get(self.places.get(id)?)
    }

    /// Replaces the one of this id in its place, or adds it at the end.
    pub(super) fn put(&mut self, id: String, thing: T) {
        let next = self
            .by_place
            .last_key_value()
            .map_or(0, |(last, _)| last.saturating_add(1));
        let place = *self.places.entry(id).or_insert(next);
        self.by_place.insert(place, thing);
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &T> {
        self.by_place.values()
    }

    /// From the newest, or from just before the one named.
    pub(super) fn newest_first(&self, after: Option<&str>) -> impl Iterator<Item = &T> {
        let end = after.and_then(|id| self.places.get(id)).copied().unwrap_or(u64::MAX);
        self.by_place.range(..end).rev().map(|(_, thing)| thing)
    }
}
