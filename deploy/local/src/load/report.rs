//! What a run has to say for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Options;
use super::meter::{Meter, per_second};
use super::receipt::Review;
use crate::console::millis;

/// Wrong orders that are shown.
const SHOWN: usize = 10;

/// A run's outcome. Written out it is for people; as JSON for machines. Latencies are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub url: String,
    /// How many at once.
    pub users: usize,
    /// From the first request to the last.
    pub seconds: u64,
    /// Answers.
    pub answers: u64,
    /// Answers a second.
    pub per_second: f64,
    /// What that was bounded to, if it was.
    pub rate: Option<u32>,
    /// The most requests that were under way at once.
    pub at_once: u64,
    /// 429 among the answers.
    pub limited: u64,
    /// By step.
    pub steps: Vec<StepReport>,
    /// From an accepted checkout to the order's end; none where nobody bought.
    pub settled: Option<Latencies>,
    /// 4xx but those who were not let in, by step, status and code.
    pub refusals: BTreeMap<String, u64>,
    /// 401, 403, 5xx and no answers, likewise.
    pub failures: BTreeMap<String, u64>,
    /// Orders, by how they ended.
    pub orders: BTreeMap<String, u64>,
    /// Orders that are not as their customers were told.
    pub wrong: Vec<String>,
    /// What could not be found out.
    pub unknown: Vec<String>,
}

/// Of one step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Which.
    pub step: &'static str,
    /// Requests a second.
    pub per_second: f64,
    /// Of its requests: to the answer, or until there was to be none.
    pub latencies: Latencies,
    /// 4xx among them, but 401 and 403.
    pub refused: u64,
    /// 401, 403 and 5xx among them, and those without an answer.
    pub failed: u64,
}

/// How long it took, in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    /// How many.
    pub many: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Latencies {
    fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            many: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
        }
    }
}

impl Report {
    pub(super) fn of(options: &Options, users: usize, took: Duration, meter: &Meter) -> Self {
        let counts = meter.counts();
        let step = |(step, measured): (&super::meter::Step, &super::meter::Measured)| StepReport {
            step: step.name(),
            per_second: per_second(measured.latencies.len(), took),
            latencies: Latencies::of(&measured.latencies),
            refused: measured.refused,
            failed: measured.failed,
        };
        let answers = counts.answered();
        let mut unknown = Vec::new();
        if options.payment_token.is_some() && counts.settled.is_none() {
            unknown.push("how an order ends: no order came to its end".to_owned());
        }
        Self {
            url: options.url.clone(),
            users,
            seconds: took.as_secs(),
            answers,
            per_second: per_second(answers, took),
            rate: options.rate,
            at_once: counts.at_once,
            limited: counts.limited,
            steps: counts.steps.iter().map(step).collect(),
            settled: counts.settled.as_ref().map(Latencies::of),
            refusals: counts.refusals,
            failures: counts.failures,
            orders: BTreeMap::new(),
            wrong: Vec::new(),
            unknown,
        }
    }

    pub(super) fn add(&mut self, review: Review) {
        for (end, many) in review.ends {
            *self.orders.entry(end).or_default() += many;
        }
        self.wrong.extend(review.wrong);
        self.unknown.extend(review.unknown);
    }

    /// Whether nothing failed, and every order is as its customer was told: one at least, where there was to be one.
    pub fn holds(&self) -> bool {
        self.failures.is_empty() && self.wrong.is_empty() && self.unknown.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} users, {} s: {} answers, {:.1} a second{}, up to {} at once, {} of them 429",
            self.users,
            self.seconds,
            self.answers,
            self.per_second,
            self.rate.map(|rate| format!(" (at most {rate})")).unwrap_or_default(),
            self.at_once,
            share(self.limited, self.answers)
        )?;
        writeln!(
            f,
            "{:<20} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7}",
            "STEP", "REQUESTS", "PER S", "P50 MS", "P90 MS", "P99 MS", "MAX MS", "REFUSED", "FAILED"
        )?;
        let mut row = |name: &str, of: &Latencies, per_second: &str, refused: &str, failed: &str| {
            let [p50, p90, p99, max] = [of.p50, of.p90, of.p99, of.max].map(millis);
            writeln!(
                f,
                "{name:<20} {:>8} {per_second:>7} {p50:>9} {p90:>9} {p99:>9} {max:>9} {refused:>8} {failed:>7}",
                of.many
            )
        };
        for step in &self.steps {
            row(
                step.step,
                &step.latencies,
                &format!("{:.1}", step.per_second),
                &step.refused.to_string(),
                &step.failed.to_string(),
            )?;
        }
        if let Some(settled) = &self.settled {
            row("checkout to end", settled, "-", "-", "-")?;
        }
        for (name, kinds) in [
            ("orders", &self.orders),
            ("refused", &self.refusals),
            ("failed", &self.failures),
        ] {
            if kinds.is_empty() {
                continue;
            }
            writeln!(f, "{name}:")?;
            for (kind, many) in kinds {
                writeln!(f, "{many:>9}  {kind}")?;
            }
        }
        for (name, findings) in [("wrong", &self.wrong), ("unknown", &self.unknown)] {
            for finding in findings.iter().take(SHOWN) {
                writeln!(f, "{name}: {finding}")?;
            }
            if findings.len() > SHOWN {
                writeln!(f, "{name}: {} more", findings.len() - SHOWN)?;
            }
        }
        let orders: u64 = self.orders.values().sum();
        if self.holds() {
            write!(
                f,
                "no request failed, and {orders} orders are as their customers were told"
            )
        } else {
            write!(
                f,
                "{} requests failed, {} orders are wrong, {} things are not known",
                self.failures.values().sum::<u64>(),
                self.wrong.len(),
                self.unknown.len()
            )
        }
    }
}

/// In percent, with a decimal.
fn share(some: u64, all: u64) -> String {
    let per_mille = some.saturating_mul(1_000).checked_div(all).unwrap_or(0);
    format!("{}.{}%", per_mille / 10, per_mille % 10)
}
