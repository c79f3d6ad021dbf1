//! Notification of what the services of one test do, so that the test re-checks a condition when it may
//! have changed, and not at a short interval.
//!
//! Use: one [`Activity`] for each test application. Hand it to the faults under each service that is started
//! ([`Faults::report_to`](super::faults::Faults::report_to)) and its [`Activity::sweep_signal`] to the service's
//! sweeper, whose own pause can then be long. Replace each loop with a sleep by [`Activity::wait_for`].

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Effects of a test's services on everything outside them: writes, messages, events, calls of other services. It sits
/// where the calls leave the process, so that it works with tables and queues at any address.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    effects: watch::Sender<()>,
    sweep: Arc<Notify>,
}

/// State of a condition that does not hold yet.
#[derive(Debug)]
pub struct Pending {
    shown: String,
    due_in: Option<Duration>,
}

/// Interval of re-checks without a notification. It covers changes that no answered call of a service brings: a deadline,
/// a message that becomes visible, a call whose effect comes before its answer.
const IDLE: Duration = Duration::from_millis(250);

impl Activity {
    /// Starts the next round of a sweeper that waits on it.
    #[must_use]
    pub fn sweep_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.0.sweep)
    }

    /// Returns the outcome of `check`, which runs at once and after each effect. When an item for which it waits becomes
    /// due, a sweeper is woken.
    ///
    /// # Panics
    /// The condition does not hold `within` the time; the message has `what` and the last state.
    #[track_caller]
    pub fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        check: impl AsyncFn() -> Result<T, Pending>,
    ) -> impl Future<Output = T> {
        let called_at = std::panic::Location::caller();
        let mut effects = self.0.effects.subscribe();
        async move {
            let deadline = Instant::now() + within;
            loop {
                // Before the check: an effect during it leads to another one.
                effects.mark_unchanged();
                let pending = match check().await {
                    Ok(outcome) => return outcome,
                    Err(pending) => pending,
                };
                assert!(
                    Instant::now() < deadline,
                    "{called_at}: no {what} within {within:?}; last state: {}",
                    pending.shown
                );
                self.next(&mut effects, pending.due_in).await;
            }
        }
    }

    /// Wakes the waiting checks.
    pub(super) fn notify(&self) {
        self.0.effects.send_replace(());
    }

    async fn next(&self, effects: &mut watch::Receiver<()>, due_in: Option<Duration>) {
        if due_in == Some(Duration::ZERO) {
            self.0.sweep.notify_one();
        }
        let idle = due_in
            .filter(|left| !left.is_zero())
            .map_or(IDLE, |left| left.min(IDLE));
        let _ = tokio::time::timeout(idle, effects.changed()).await;
    }
}

impl Pending {
    /// A state, as it is shown when the time is over.
    #[must_use]
    pub fn new(state: impl Debug) -> Self {
        Self {
            shown: format!("{state:#?}"),
            due_in: None,
        }
    }

    /// A table's item, with the time at which a sweeper has to resume it.
    #[must_use]
    pub fn from_item(item: &Value) -> Self {
        let due_at = item.get("due_at").and_then(Value::as_i64);
        let due_in = due_at.map(|at| at.saturating_sub(Timestamp::now().as_millisecond()).max(0));
        Self {
            shown: format!("{item:#}"),
            due_in: due_in
                .and_then(|left| u64::try_from(left).ok())
                .map(Duration::from_millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn effect_during_a_check_leads_to_another_check() {
        let (activity, checks) = (Activity::default(), AtomicU32::new(0));
        let began = Instant::now();
        let second = async || {
            if checks.fetch_add(1, Ordering::Relaxed) == 0 {
                activity.notify();
                return Err(Pending::new("first check"));
            }
            Ok(())
        };
        activity.wait_for("second check", SOON, second).await;
        assert!(began.elapsed() < IDLE);
    }

    #[tokio::test]
    async fn item_that_is_due_wakes_the_sweeper() {
        let activity = Activity::default();
        let sweep = activity.sweep_signal();
        let (swept, _) = tokio::join!(
            tokio::time::timeout(SOON, sweep.notified()),
            tokio::time::timeout(
                Duration::from_millis(1),
                activity.wait_for("end", SOON, async || {
                    Err::<(), _>(Pending::from_item(&json!({"due_at": 0})))
                })
            )
        );
        assert!(swept.is_ok());
    }

    #[tokio::test]
    #[should_panic(expected = "no second order within 1ns; last state: \"one order\"")]
    async fn end_of_the_time_shows_the_condition_and_its_last_state() {
        let one = async || Err::<(), _>(Pending::new("one order"));
        Activity::default()
            .wait_for("second order", Duration::from_nanos(1), one)
            .await;
    }
}
