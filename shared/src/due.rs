//! The loop behind everything that must happen later. An item with something left to do carries
//! `due_shard` and `due_at`; a sweeper asks every shard for what is overdue.
//!
//! What is due, how it is leased and what is then done belongs to the service.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::digest;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use rand::seq::SliceRandom;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::telemetry::chain;

/// Shards of every `due` index. Fixed: changing it strands what is stored.
pub const SHARDS: u8 = 8;

/// The shard of an item, from its key.
#[must_use]
pub fn shard_of(key: &str) -> u8 {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    hash.as_ref().first().map_or(0, |byte| byte % SHARDS)
}

/// What a sweep of one shard found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// All that was overdue.
    Everything,
    /// As much as one batch holds: there may be more.
    FullBatch,
}

/// Pause between two rounds of a sweeper.
#[derive(Clone, Debug)]
pub struct Pause {
    length: Duration,
    wake: Arc<Notify>,
}

impl Pause {
    /// One that ends after `length`, or when `wake` is notified.
    #[must_use]
    pub fn new(length: Duration, wake: Arc<Notify>) -> Self {
        Self { length, wake }
    }
}

impl From<Duration> for Pause {
    fn from(length: Duration) -> Self {
        Self::new(length, Arc::default())
    }
}

/// What does not grow any more is a sweeper that hangs; nobody else would hear of that.
static ROUNDS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("shared")
        .u64_counter("sweeper.rounds")
        .with_description("Looks at every shard, by outcome: done, or failed at one of them")
        .build()
});

/// Sweeps all shards in random order, again and again with `pause` between (and at once while a
/// shard gave a full batch), until `stop`. A sweep that fails is logged and tried again after the
/// pause: whatever it left is still due.
///
/// Where this dies at any point, nothing is lost: an item is due until a write says otherwise.
pub async fn sweep<F, E>(
    name: &'static str,
    pause: impl Into<Pause>,
    stop: CancellationToken,
    mut shard: impl FnMut(u8) -> F,
) where
    F: Future<Output = Result<Swept, E>>,
    E: std::error::Error + 'static,
{
    let pause = pause.into();
    let mut shards: Vec<u8> = (0..SHARDS).collect();
    loop {
        // In random order, so that the sweepers of several replicas don't run after each other.
        shards.shuffle(&mut rand::rng());
        let (mut more, mut outcome) = (false, "done");
        for number in &shards {
            let swept = tokio::select! {
                swept = shard(*number) => swept,
                () = stop.cancelled() => return,
            };
            match swept {
                Ok(Swept::Everything) => {}
                Ok(Swept::FullBatch) => more = true,
                Err(error) => {
                    outcome = "failed";
                    tracing::warn!(
                        sweeper = name,
                        shard = number,
                        error = %chain(&error),
                        "a sweep failed; it is tried again"
                    );
                }
            }
        }
        ROUNDS.add(1, &[KeyValue::new("outcome", outcome)]);
        let jitter = Duration::from_millis(rand::random_range(0..=50));
        let length = if more { Duration::ZERO } else { pause.length + jitter };
        tokio::select! {
            () = tokio::time::sleep(length) => {}
            () = pause.wake.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_over_all_shards_and_stay_there() {
        let mut counts = [0; 8];
        for n in 0..8000 {
            counts[usize::from(shard_of(&format!("ORDER#{n}")))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        // Stored items depend on this very figure.
        assert_eq!(shard_of("ORDER#1"), shard_of("ORDER#1"));
    }
}
