//! Whom the order service calls: the product service, the payment provider, and, to reconcile, the basket
//! service. Each client speaks its
//! peer's language and tells apart what can happen; what follows from it is the saga's business.

pub mod basket;
pub mod inventory;
pub mod payment;
pub mod peer;
pub mod product;

use std::time::Duration;

use rand::RngExt;

/// A pause before the next try: anything up to a limit that doubles with each, so that many callers
/// that failed together don't come back together.
pub(crate) async fn pause_before(attempt: u32) {
    const FIRST_MS: u64 = 50;
    const LONGEST_MS: u64 = 1_000;
    let limit = FIRST_MS.saturating_mul(1 << attempt.min(10)).min(LONGEST_MS);
    let pause = rand::rng().random_range(0..=limit);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
