//! Consuming an SQS queue: bounded work in flight, visibility extended while a message is worked on,
//! deleted only after its effect is stored, handed back at a stop.

use std::future::Future;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty, info_span};

use crate::contract::Delivery;
use crate::trace;

/// One queue and how it is consumed.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Of the SDK.
    pub client: Client,
    /// The queue's URL.
    pub url: String,
    /// Messages worked on at the same time.
    pub in_flight: usize,
    /// How long a message is ours before it must be extended.
    pub visibility: Duration,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is stored, or it has none: delete it.
    Done,
    /// Not now: let it come again after a pause. It counts as one of the queue's tries.
    Again,
    /// It cannot be read: leave it, and let the queue's limit of tries move it to the dead letters.
    Unreadable,
}

/// SQS hands out ten messages at most.
const MAX_BATCH: usize = 10;
const LONG_POLL_S: i32 = 20;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Between tries of a message: doubled with each, up to this.
const LONGEST_PAUSE_S: i32 = 60;

static HANDLED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("shared")
        .u64_counter("messaging.client.consumed.messages")
        .build()
});

impl Queue {
    /// Hands each message to `handle` until `stop`; then takes no more, waits for those in work for
    /// `drain` at most, and hands the rest back.
    ///
    /// Where this dies, a message not deleted becomes visible again after its visibility timeout and
    /// is handled again: `handle` comes out the same however often it sees one.
    pub async fn consume<F>(
        self,
        stop: CancellationToken,
        drain: Duration,
        handle: impl Fn(Delivery) -> F + Clone + Send + Sync + 'static,
    ) where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let queue = Arc::new(self);
        let places = Arc::new(Semaphore::new(queue.in_flight));
        let mut work = JoinSet::new();
        loop {
            while work.try_join_next().is_some() {}
            // One free place at least; and no more messages than there are places.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = stop.cancelled() => break,
            };
            let Ok(place) = place else { break };
            let free = places.available_permits() + 1;
            let messages = tokio::select! {
                messages = queue.receive(free.min(MAX_BATCH)) => messages,
                () = stop.cancelled() => break,
            };
            drop(place);
            let Some(messages) = messages else {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => continue,
                    () = stop.cancelled() => break,
                }
            };
            for message in messages {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    break;
                };
                let (queue, handle) = (Arc::clone(&queue), handle.clone());
                work.spawn(async move {
                    queue.work_on(message, handle).await;
                    drop(place);
                });
            }
        }
        let drained = async { while work.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, drained).await.is_err() {
            // Their visibility runs out by itself; nothing of them is lost.
            tracing::warn!(
                messages = work.len(),
                "messages were still in work at the stop; they come again"
            );
        }
    }

    async fn receive(&self, at_most: usize) -> Option<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(at_most).unwrap_or(1))
            .wait_time_seconds(LONG_POLL_S)
            .visibility_timeout(i32::try_from(self.visibility.as_secs()).unwrap_or(30))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            // The poll itself takes 20 s: longer than other calls may.
            .customize()
            .config_override(
                aws_sdk_sqs::config::Builder::new().timeout_config(
                    aws_sdk_sqs::config::timeout::TimeoutConfig::builder()
                        .operation_attempt_timeout(Duration::from_secs(25))
                        .operation_timeout(Duration::from_secs(30))
                        .build(),
                ),
            )
            .send()
            .await;
        match answer {
            Ok(answer) => Some(answer.messages.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(error = %DisplayErrorContext(&error), "no messages could be received; trying again");
                None
            }
        }
    }

    async fn work_on<F: Future<Output = Outcome>>(&self, message: Message, handle: impl Fn(Delivery) -> F) {
        let Some(receipt) = message.receipt_handle() else {
            return;
        };
        let delivery = serde_json::from_str::<Delivery>(message.body().unwrap_or_default());
        let span = info_span!(
            "messaging.process",
            otel.name = "process",
            otel.kind = "consumer",
            messaging.system = "aws_sqs",
            messaging.message.id = message.message_id(),
            event = Empty,
            order_id = Empty,
            trace_id = Empty,
        );
        let outcome = match delivery {
            Ok(delivery) => {
                trace::continue_from(&span, &delivery.detail.traceparent);
                span.record("event", &delivery.detail_type);
                span.in_scope(|| span.record("trace_id", trace::current_trace_id()));
                self.while_extended(receipt, handle(delivery))
                    .instrument(span.clone())
                    .await
            }
            Err(error) => {
                let _in = span.enter();
                // The text of a JSON error tells a position, never the message's content.
                tracing::error!(
                    error.line = error.line(),
                    error.column = error.column(),
                    "a message cannot be read"
                );
                Outcome::Unreadable
            }
        };
        let told = match outcome {
            Outcome::Done => "done",
            Outcome::Again => "again",
            Outcome::Unreadable => "unreadable",
        };
        HANDLED.add(1, &[KeyValue::new("outcome", told)]);
        self.settle(&message, receipt, outcome).instrument(span).await;
    }

    /// Runs `work` and keeps the message ours for as long as it takes.
    async fn while_extended<T>(&self, receipt: &str, work: impl Future<Output = T>) -> T {
        let extend = async {
            let visibility = i32::try_from(self.visibility.as_secs()).unwrap_or(30);
            loop {
                tokio::time::sleep(self.visibility / 2).await;
                self.change_visibility(receipt, visibility).await;
            }
        };
        tokio::select! {
            done = work => done,
            () = extend => unreachable!("it extends for ever"),
        }
    }

    async fn settle(&self, message: &Message, receipt: &str, outcome: Outcome) {
        match outcome {
            Outcome::Done => {
                let deleted = self
                    .client
                    .delete_message()
                    .queue_url(&self.url)
                    .receipt_handle(receipt)
                    .send()
                    .await;
                if let Err(error) = deleted {
                    tracing::warn!(error = %DisplayErrorContext(&error), "a message could not be deleted; it comes again");
                }
            }
            Outcome::Again => self.change_visibility(receipt, pause_s(message)).await,
            // Waiting makes it no more readable.
            Outcome::Unreadable => self.change_visibility(receipt, 1).await,
        }
    }

    async fn change_visibility(&self, receipt: &str, seconds: i32) {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt);
        if let Err(error) = request.visibility_timeout(seconds).send().await {
            tracing::warn!(error = %DisplayErrorContext(&error), "a message's visibility could not be changed");
        }
    }

    /// Whether the queue answers; for `/readyz`.
    ///
    /// # Errors
    /// It does not.
    pub async fn probe(&self) -> anyhow::Result<()> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        request
            .send()
            .await
            .map_err(|error| anyhow::anyhow!("queue: {}", DisplayErrorContext(error)))?;
        Ok(())
    }
}

/// 1, 2, 4 ... seconds by how often it has come.
fn pause_s(message: &Message) -> i32 {
    let attributes = message.attributes();
    let received = attributes.and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    let received: u32 = received.and_then(|count| count.parse().ok()).unwrap_or(1);
    1_i32
        .checked_shl(received.saturating_sub(1))
        .filter(|s| (1..=LONGEST_PAUSE_S).contains(s))
        .unwrap_or(LONGEST_PAUSE_S)
}
