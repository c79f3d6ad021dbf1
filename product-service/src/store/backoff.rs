//! Waiting out contention: full jitter, bounded.
//!
//! <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>

use std::time::Duration;

use super::StoreError;

/// Tries of one operation. A third of all transactions refused leaves one in two million without
/// success after so many.
const TRIES: u32 = 12;
const FIRST_MS: u64 = 8;
const LONGEST_MS: u64 = 250;

/// Counts the tries of one operation.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Waits before the next try.
    pub(super) async fn pause(&mut self) -> Result<(), StoreError> {
        self.next_try()?;
        let most = FIRST_MS.saturating_mul(1 << self.tries.min(16)).min(LONGEST_MS);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=most))).await;
        Ok(())
    }

    /// Goes on at once: what refused the try said how the next one can succeed.
    pub(super) fn next_try(&mut self) -> Result<(), StoreError> {
        self.tries += 1;
        if self.tries < TRIES {
            Ok(())
        } else {
            Err(StoreError::Contended)
        }
    }
}
