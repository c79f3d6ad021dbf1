//! How far a run is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counted by all customers.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: AtomicUsize,
    settled: Mutex<BTreeMap<String, usize>>,
    kills: Mutex<BTreeMap<String, usize>>,
    complaints: Mutex<Vec<String>>,
    /// How long a customer goes on with one thing.
    pub(crate) patience: Duration,
    /// Between two looks.
    pub(crate) look_every: Duration,
}

impl Tally {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            begun: AtomicUsize::new(0),
            settled: Mutex::default(),
            kills: Mutex::default(),
            complaints: Mutex::default(),
            patience,
            look_every: Duration::from_millis(250),
        }
    }

    pub(crate) fn begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Purchases that have been begun.
    pub(crate) fn so_far(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn settled(&self, status: &str) {
        count(&self.settled, status);
    }

    /// Purchases that are over, by what became of them.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, usize> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A customer was told what should not be: told on at once, since a run is long.
    pub(crate) fn complain(&self, complaints: &[String]) {
        let mut kept = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(complaints);
    }

    /// The complaints since the last time.
    pub(crate) fn new_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something was done to the system.
    pub(crate) fn disturbed(&self, what: &str) {
        count(&self.kills, what);
    }

    /// What was done to the system, and how often.
    pub(crate) fn disturbances(&self) -> BTreeMap<String, usize> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn count(counts: &Mutex<BTreeMap<String, usize>>, what: &str) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(what.to_owned()).or_default() += 1;
}
