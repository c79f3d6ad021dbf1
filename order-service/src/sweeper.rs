//! Goes on with every order that is due: what a fast path left, a deadline, an event not published.

use std::sync::Arc;

use shared::due::{Pause, Swept, sweep};
use tokio_util::sync::CancellationToken;

use crate::fulfil::{Fulfilment, now};
use crate::store::StoreError;

/// Orders taken from a shard at once.
const BATCH: u8 = 25;

/// Sweeps until `stop`. Where this dies, what it had taken is due again when its lease ends.
pub(crate) async fn run(fulfilment: Arc<Fulfilment>, pause: Pause, stop: CancellationToken) {
    sweep("orders", pause, stop, move |shard| {
        let fulfilment = Arc::clone(&fulfilment);
        async move { one_shard(&fulfilment, shard).await }
    })
    .await;
}

async fn one_shard(fulfilment: &Arc<Fulfilment>, shard: u8) -> Result<Swept, StoreError> {
    let overdue = fulfilment.store().overdue(shard, now(), BATCH).await?;
    for order in &overdue {
        fulfilment.resume(order).await?;
    }
    Ok(if overdue.len() < usize::from(BATCH) {
        Swept::Everything
    } else {
        Swept::FullBatch
    })
}
