//! What all users together were answered, and how soon.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::StatusCode;

use super::shop::bars;
use crate::console::millis;

/// A step of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    ListProducts,
    ReadProduct,
    Add,
    ReadBasket,
    CheckOut,
    /// May be held by the server until there is something to tell; 404 before the order has been taken in.
    Await,
    ReadOrder,
}

impl Step {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListProducts => "list products",
            Self::ReadProduct => "read a product",
            Self::Add => "add a line",
            Self::ReadBasket => "read the basket",
            Self::CheckOut => "check out",
            Self::Await => "wait for the order",
            Self::ReadOrder => "read the order",
        }
    }
}

/// Of one step.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Of all requests, in microseconds; without an answer, until it was given up.
    pub(super) latencies: Histogram<u64>,
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Counts>);

/// Everything so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) steps: BTreeMap<Step, Measured>,
    /// From an accepted checkout to the order's end, in microseconds.
    pub(super) settled: Option<Histogram<u64>>,
    /// 4xx but those who are not let in, by step, status and code.
    pub(super) refusals: BTreeMap<String, u64>,
    /// 429 among them.
    pub(super) limited: u64,
    /// 401, 403, 5xx and no answers, likewise.
    pub(super) failures: BTreeMap<String, u64>,
    under_way: u64,
    /// The most requests that were under way at once.
    pub(super) at_once: u64,
}

/// Beyond this they count as this: a client would have given up.
const LONGEST: Duration = Duration::from_secs(120);

impl Meter {
    /// A request has left.
    pub(super) fn left(&self) {
        self.with(|counts| {
            counts.under_way += 1;
            counts.at_once = counts.at_once.max(counts.under_way);
        });
    }

    /// An answer of that status, and of that code where it is a problem.
    pub(super) fn answered(&self, step: Step, took: Duration, status: StatusCode, code: &str) {
        self.with(|counts| {
            let measured = counts.came_back(step, took);
            measured.answered += 1;
            let what = || format!("{}: {} {code}", step.name(), status.as_u16());
            if status.is_server_error() || bars(status) {
                measured.failed += 1;
                *counts.failures.entry(what()).or_default() += 1;
            } else if status.is_client_error() && !(step == Step::Await && status == StatusCode::NOT_FOUND) {
                measured.refused += 1;
                *counts.refusals.entry(what()).or_default() += 1;
                counts.limited += u64::from(status == StatusCode::TOO_MANY_REQUESTS);
            }
        });
    }

    /// No answer, or none that could be read: its user waited for it all the same.
    pub(super) fn unanswered(&self, step: Step, took: Duration, why: &str) {
        self.with(|counts| {
            counts.came_back(step, took).failed += 1;
            *counts.failures.entry(format!("{}: {why}", step.name())).or_default() += 1;
        });
    }

    /// An order has come to its end so long after its checkout was accepted.
    pub(super) fn settled(&self, took: Duration) {
        self.with(|counts| record(counts.settled.get_or_insert_with(histogram), took));
    }

    pub(super) fn counts(&self) -> Counts {
        self.with(|counts| counts.clone())
    }

    /// One line about it.
    pub(super) fn so_far(&self, elapsed: Duration) -> impl fmt::Display {
        let counts = self.counts();
        let mut all = histogram();
        // What the server holds on purpose says nothing of its speed.
        for (_, measured) in counts.steps.iter().filter(|(step, _)| **step != Step::Await) {
            // Of the same bounds.
            let _ = all.add(&measured.latencies);
        }
        let answered = counts.answered();
        let orders = counts.settled.as_ref().map_or(0, Histogram::len);
        let sum = |kinds: &BTreeMap<String, u64>| kinds.values().sum::<u64>();
        format!(
            "{:>7} s  {answered} answers, {:.1} a second; p50 {} ms, p99 {} ms; {orders} orders settled; {} refused, {} failed",
            elapsed.as_secs(),
            per_second(answered, elapsed),
            millis(all.value_at_quantile(0.5)),
            millis(all.value_at_quantile(0.99)),
            sum(&counts.refusals),
            sum(&counts.failures),
        )
    }

    fn with<T>(&self, action: impl FnOnce(&mut Counts) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counts {
    fn came_back(&mut self, step: Step, took: Duration) -> &mut Measured {
        self.under_way = self.under_way.saturating_sub(1);
        let measured = self.steps.entry(step).or_insert_with(Measured::new);
        record(&mut measured.latencies, took);
        measured
    }

    pub(super) fn answered(&self) -> u64 {
        self.steps.values().map(|measured| measured.answered).sum()
    }
}

impl Measured {
    fn new() -> Self {
        Self {
            latencies: histogram(),
            answered: 0,
            refused: 0,
            failed: 0,
        }
    }
}

/// To three digits, from a microsecond to [`LONGEST`].
#[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes one")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, micros(LONGEST), 3).expect("from 1 to more than twice that, and three digits")
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn record(into: &mut Histogram<u64>, took: Duration) {
    into.saturating_record(micros(took));
}

/// To a thousandth.
pub(super) fn per_second(many: u64, elapsed: Duration) -> f64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let thousandths = many.saturating_mul(1_000_000).checked_div(millis).unwrap_or(0);
    // Which a duration can tell as a fraction.
    Duration::from_millis(thousandths).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_told_as_it_was_to_three_digits() {
        let meter = Meter::default();
        for millis in 1..=100 {
            meter.answered(Step::Add, Duration::from_millis(millis), StatusCode::OK, "");
        }
        let counts = meter.counts();
        let latencies = &counts.steps[&Step::Add].latencies;
        let near = |quantile, wanted: u64| latencies.value_at_quantile(quantile).abs_diff(wanted) <= wanted / 500;
        assert!(
            near(0.5, 50_000) && near(0.99, 99_000) && near(1.0, 100_000),
            "{latencies:?}"
        );
        meter.answered(Step::Add, Duration::from_secs(3_600), StatusCode::OK, "");
        let longest = meter.counts().steps[&Step::Add].latencies.max();
        assert!(longest.abs_diff(120_000_000) <= 120_000_000 / 500, "{longest}");
    }

    #[test]
    fn what_is_refused_and_what_fails_is_counted_by_its_code() {
        let meter = Meter::default();
        let soon = Duration::from_millis(1);
        meter.answered(Step::Add, soon, StatusCode::CONFLICT, "too_many_lines");
        meter.answered(Step::CheckOut, soon, StatusCode::SERVICE_UNAVAILABLE, "busy");
        meter.answered(Step::Await, soon, StatusCode::NOT_FOUND, "not_found");
        meter.answered(Step::Add, soon, StatusCode::TOO_MANY_REQUESTS, "rate_limited");
        meter.answered(Step::Add, soon, StatusCode::UNAUTHORIZED, "unauthenticated");
        meter.answered(Step::Await, soon, StatusCode::FORBIDDEN, "forbidden");
        meter.unanswered(Step::Add, soon, "no connection");
        let counts = meter.counts();
        let refusals = ["add a line: 409 too_many_lines", "add a line: 429 rate_limited"];
        assert_eq!(counts.refusals, refusals.map(|what| (what.to_owned(), 1)).into());
        let failures = [
            "add a line: 401 unauthenticated",
            "add a line: no connection",
            "check out: 503 busy",
            "wait for the order: 403 forbidden",
        ];
        assert_eq!(counts.failures, failures.map(|what| (what.to_owned(), 1)).into());
        let add = &counts.steps[&Step::Add];
        assert_eq!((add.refused, add.failed, counts.limited), (2, 2, 1));
    }

    #[test]
    fn who_waited_for_an_answer_in_vain_waited_all_the_same() {
        let meter = Meter::default();
        meter.answered(Step::Add, Duration::from_millis(10), StatusCode::OK, "");
        meter.unanswered(Step::Add, Duration::from_secs(30), "no answer in time");
        let counts = meter.counts();
        let slowest = counts.steps[&Step::Add].latencies.max();
        assert!(slowest.abs_diff(30_000_000) <= 30_000_000 / 500, "{slowest}");
        assert_eq!((counts.steps[&Step::Add].latencies.len(), counts.answered()), (2, 1));
    }

    #[test]
    fn how_many_were_under_way_at_once_is_told() {
        let meter = Meter::default();
        let came_back = || meter.answered(Step::Add, Duration::ZERO, StatusCode::OK, "");
        meter.left();
        meter.left();
        came_back();
        meter.unanswered(Step::Add, Duration::ZERO, "no connection");
        meter.left();
        assert_eq!(meter.counts().at_once, 2);
    }

    #[test]
    fn a_rate_is_told_to_a_thousandth() {
        assert!((per_second(1, Duration::from_secs(8)) - 0.125).abs() < 1e-9);
        assert!((per_second(1_200, Duration::from_secs(24)) - 50.0).abs() < 1e-9);
        assert!(per_second(3, Duration::ZERO).abs() < 1e-9);
    }
}
