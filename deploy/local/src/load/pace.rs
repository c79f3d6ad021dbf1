//! When the next request may leave.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Turns at even distances. One that nobody waits for is lost, so that there is never more than the rate.
pub(super) struct Pace {
    distance: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn of(per_second: u32) -> Self {
        Self {
            distance: Duration::from_secs(1) / per_second.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a turn of one's own. Who wakes late from that delays nobody behind.
    pub(super) async fn turn(&self) {
        let own = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let own = (*next).max(Instant::now());
            *next = own + self.distance;
            own
        };
        sleep_until(own).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use tokio::task::{JoinSet, yield_now};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn whoever_wakes_late_delays_nobody_behind() {
        let pace = Arc::new(Pace::of(10));
        let mut turns = JoinSet::new();
        for _ in 0..10 {
            let pace = Arc::clone(&pace);
            turns.spawn(async move { pace.turn().await });
        }
        yield_now().await;
        // A machine that has no time for anybody here.
        thread::sleep(Duration::from_secs(1));
        let woke = Instant::now();
        turns.join_all().await;
        assert!(woke.elapsed() < Duration::from_millis(500), "{:?}", woke.elapsed());
    }

    #[tokio::test]
    async fn turns_that_nobody_took_are_not_made_up_for() {
        let pace = Pace::of(100);
        sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        for _ in 0..=50 {
            pace.turn().await;
        }
        assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    }
}
