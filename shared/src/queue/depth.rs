//! How much waits in a queue and among its dead letters, measured while it is consumed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use opentelemetry::{KeyValue, global};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Queue;

/// There is a dead letter more: nobody has to wait for the next look to hear of it. A process consumes one queue, and where it is
/// another's letter, that one is measured once more for nothing.
pub(super) static BURIED: Notify = Notify::const_new();

/// Messages, waiting and in work; SQS's figures are approximate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depths {
    /// Of the queue itself.
    pub queue: u64,
    /// Of its dead letters.
    pub dead_letters: u64,
}

const MEASURED_EVERY: Duration = Duration::from_secs(30);

/// What is older than this says nothing of the queue any more, and is not told.
const KNOWN_FOR: Duration = Duration::from_secs(90);

/// What was measured last, and when, by queue.
static MEASURED: Mutex<BTreeMap<String, (Instant, Depths)>> = Mutex::new(BTreeMap::new());

fn known(now: Instant) -> Vec<([KeyValue; 1], Depths)> {
    let measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = measured
        .iter()
        .filter(|(_, (at, _))| now.duration_since(*at) < KNOWN_FOR);
    fresh
        .map(|(queue, (_, depths))| ([KeyValue::new("queue", queue.clone())], *depths))
        .collect()
}

fn note(queue: &str, depths: Depths) {
    static TOLD: Once = Once::new();
    TOLD.call_once(observe);
    let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    measured.insert(queue.to_owned(), (Instant::now(), depths));
}

fn observe() {
    let meter = global::meter("shared");
    meter
        .u64_observable_gauge("messaging.queue.depth")
        .with_callback(|told| {
            for (attributes, depths) in known(Instant::now()) {
                told.observe(depths.queue, &attributes);
            }
        })
        .build();
    meter
        .u64_observable_gauge("messaging.dead_letters")
        .with_callback(|told| {
            for (attributes, depths) in known(Instant::now()) {
                told.observe(depths.dead_letters, &attributes);
            }
        })
        .build();
}

impl Queue {
    /// Measures now. Two calls to SQS.
    ///
    /// # Errors
    /// SQS does not answer.
    pub async fn depths(&self) -> anyhow::Result<Depths> {
        Ok(Depths {
            queue: depth(&self.client, &self.url).await?,
            dead_letters: depth(&self.client, &self.dead_letters_url).await?,
        })
    }

    pub(super) async fn watch_depths(self: Arc<Self>, stop: CancellationToken) {
        let (mut letters, mut buried) = (0, false);
        loop {
            match self.depths().await {
                Ok(depths) => {
                    note(name(&self.url), depths);
                    // Of one that was just put there its burial has told.
                    if depths.dead_letters > letters && !buried {
                        tracing::warn!(
                            messaging.dead_letters = depths.dead_letters,
                            "there are dead letters: see the admins' route for them"
                        );
                    }
                    letters = depths.dead_letters;
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "queues could not be measured"),
            }
            buried = tokio::select! {
                () = tokio::time::sleep(MEASURED_EVERY) => false,
                () = BURIED.notified() => true,
                () = stop.cancelled() => return,
            };
        }
    }
}

/// Messages of a queue, waiting and in work.
pub(crate) async fn depth(client: &aws_sdk_sqs::Client, url: &str) -> anyhow::Result<u64> {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let request = client.get_queue_attributes().queue_url(url);
    let answer = request
        .set_attribute_names(Some(names.to_vec()))
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("{}: {}", name(url), DisplayErrorContext(error)))?;
    let attributes = answer.attributes.unwrap_or_default();
    let count = |name| attributes.get(name).and_then(|count| count.parse::<u64>().ok());
    Ok(names.iter().filter_map(count).sum())
}

/// A queue's name is its URL's last part.
pub(crate) fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_long_ago_is_not_told() {
        let depths = Depths {
            queue: 3,
            dead_letters: 1,
        };
        note("of-this-test", depths);
        let told = |now| {
            let all = known(now).into_iter();
            all.filter(|([queue], _)| queue.value.as_str() == "of-this-test")
                .map(|(_, depths)| depths)
                .next()
        };
        let now = Instant::now();
        assert_eq!(told(now), Some(depths));
        assert_eq!(told(now + KNOWN_FOR), None);
    }
}
