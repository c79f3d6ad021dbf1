//! The pace of the reading: what others need of a table, or of the provider, is left to them.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::clients::pause_before;
use crate::clients::payment::{PaymentClient, PaymentError, PaymentPage};
use crate::domain::reconciliation::Charged;

/// Between two pages.
const PAGES: Duration = Duration::from_millis(20);
/// Between two calls of the provider.
const CALLS: Duration = Duration::from_millis(40);
/// Tries of one of its calls.
const ATTEMPTS: u32 = 6;

/// Ticks no faster than so, however late the one before was.
pub(super) fn pages() -> Interval {
    paced(PAGES)
}

/// The provider, asked no faster than it likes.
pub(super) struct Provider<'a> {
    client: &'a PaymentClient,
    ticks: Interval,
}

impl<'a> Provider<'a> {
    pub(super) fn new(client: &'a PaymentClient) -> Self {
        Self {
            client,
            ticks: paced(CALLS),
        }
    }

    pub(super) async fn list(&mut self, after: Option<&str>) -> Result<PaymentPage, PaymentError> {
        let client = self.client;
        self.patiently(async || client.list(after).await).await
    }

    pub(super) async fn find(&mut self, id: &str) -> Result<Option<Charged>, PaymentError> {
        let client = self.client;
        self.patiently(async || client.find(id).await).await
    }

    /// Comes back later where it is busy with other things.
    async fn patiently<T>(&mut self, call: impl AsyncFn() -> Result<T, PaymentError>) -> Result<T, PaymentError> {
        let mut attempt = 1;
        loop {
            self.ticks.tick().await;
            match call().await {
                Err(PaymentError::Busy { .. } | PaymentError::Unknown(_)) if attempt < ATTEMPTS => {
                    pause_before(attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }
}

fn paced(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
