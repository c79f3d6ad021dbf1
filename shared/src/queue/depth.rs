//! How much waits in a queue and among its dead letters, measured while it is consumed.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use opentelemetry::metrics::Gauge;
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

static DEPTH: LazyLock<Gauge<u64>> =
    LazyLock::new(|| global::meter("shared").u64_gauge("messaging.queue.depth").build());

static DEAD_LETTERS: LazyLock<Gauge<u64>> =
    LazyLock::new(|| global::meter("shared").u64_gauge("messaging.dead_letters").build());

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
        let (mut known, mut buried) = (0, false);
        loop {
            match self.depths().await {
                Ok(depths) => {
                    let of = [KeyValue::new("queue", name(&self.url).to_owned())];
                    DEPTH.record(depths.queue, &of);
                    DEAD_LETTERS.record(depths.dead_letters, &of);
                    // Of one that was just put there its burial has told.
                    if depths.dead_letters > known && !buried {
                        tracing::warn!(
                            messaging.dead_letters = depths.dead_letters,
                            "there are dead letters: see the admins' route for them"
                        );
                    }
                    known = depths.dead_letters;
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
