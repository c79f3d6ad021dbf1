//! What a run has to say for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::bills::BillLine;
use super::disturb::listed;
use super::invariants::Verdict;
use super::weather::{Fault, Wire};
use super::{Chaos, Scene};

/// The findings of an invariant that are shown; a summary holds all of them.
const SHOWN: usize = 8;

/// A run's outcome. Written out it is for people; as JSON for machines.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where everything that was decided came from.
    pub seed: u64,
    /// What kind of run.
    pub scene: &'static str,
    /// The same for the same plan.
    pub plan: String,
    /// Orders that were meant.
    pub orders: usize,
    /// Customers who made them.
    pub customers: usize,
    /// From the first purchase to the last.
    pub seconds: u64,
    /// How the purchases ended.
    pub outcomes: BTreeMap<String, usize>,
    /// What was done to the system.
    pub disturbances: BTreeMap<String, usize>,
    /// Faults that were met, by `wire: fault`.
    pub faults: BTreeMap<String, u64>,
    /// Calls that were answered on each wire.
    pub calls: BTreeMap<&'static str, u64>,
    /// Requests that customers had to send again.
    pub sent_again: u64,
    /// The invariants.
    pub verdicts: Vec<Verdict>,
    /// What whole orders cost, in [`Scene::Bills`].
    pub bills: Vec<BillLine>,
}

impl Report {
    /// Whether all invariants hold.
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(Verdict::holds)
    }
}

impl Chaos {
    pub(super) fn report(&self, verdicts: Vec<Verdict>) -> Report {
        let fault = |((fault, wire), many): ((Fault, Wire), u64)| (format!("{}: {}", wire.name(), fault.name()), many);
        Report {
            seed: self.options.seed,
            scene: self.options.scene.name(),
            plan: self.plan.digest(),
            orders: self.plan.purchases().count(),
            customers: self.options.customers,
            seconds: self.took.as_secs(),
            outcomes: self.tally.outcomes(),
            disturbances: self.tally.disturbances(),
            faults: self.ledger.faults().into_iter().map(fault).collect(),
            calls: self
                .ledger
                .calls()
                .into_iter()
                .map(|(wire, many)| (wire.name(), many))
                .collect(),
            sent_again: self.counted.again.load(Ordering::Relaxed),
            verdicts,
            bills: self.bills.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.bills.is_empty() {
            return BillLine::write_all(&self.bills, f);
        }
        let rate = Duration::from_secs(self.seconds.max(1));
        let per_minute = u64::try_from(self.orders).unwrap_or(0) * 60 / rate.as_secs();
        writeln!(
            f,
            "\n{} orders in {} s ({per_minute} a minute): {}",
            self.orders,
            self.seconds,
            listed(&self.outcomes)
        )?;
        writeln!(f, "done to the system: {}", listed(&self.disturbances))?;
        let calls: Vec<_> = self.calls.iter().map(|(wire, many)| format!("{wire} {many}")).collect();
        writeln!(
            f,
            "calls answered: {}; requests that customers sent again: {}",
            calls.join(", "),
            self.sent_again
        )?;
        let faults: u64 = self.faults.values().sum();
        writeln!(f, "faults met: {faults}")?;
        for (what, many) in &self.faults {
            writeln!(f, "  {many:>7}  {what}")?;
        }
        writeln!(f, "invariants:")?;
        for verdict in &self.verdicts {
            let outcome = if verdict.holds() { "ok    " } else { "BROKEN" };
            writeln!(f, "  {outcome}  {:<42} {}", verdict.name, verdict.figures)?;
            for finding in verdict.findings.iter().take(SHOWN) {
                writeln!(f, "            {finding}")?;
            }
            if let Some(more) = verdict.findings.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(f, "            and {more} more")?;
            }
        }
        let outcome = if self.holds() { "all of them hold" } else { "BROKEN" };
        let Self {
            seed,
            orders,
            customers,
            ..
        } = self;
        let scene = if self.scene == Scene::Storm.name() {
            String::new()
        } else {
            format!(" --scene {}", self.scene)
        };
        write!(
            f,
            "{outcome}; again: cargo local chaos{scene} --seed {seed} --orders {orders} --customers {customers}"
        )
    }
}
