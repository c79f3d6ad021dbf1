//! Consuming an SQS queue: bounded work in flight, visibility extended while a message is worked on,
//! deleted only after its effect is stored, handed back at a stop, buried with a note of what its last
//! try came to.
//!
//! Looking at dead letters and sending them again is `dead_letters`'s.

mod depth;
mod note;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, Message, MessageSystemAttributeName};
use clap::Args;
use jiff::Timestamp;
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field::Empty, info_span};

pub use self::depth::Depths;
pub(crate) use self::depth::{depth, name};
pub(crate) use self::note::Note;
pub use self::note::Why;
use crate::capacity::Bill;
use crate::contract::Delivery;
use crate::trace;
use crate::web::DURATION_BOUNDARIES_S;

/// One queue and how it is consumed.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Of the SDK.
    pub client: Client,
    /// The queue's URL.
    pub url: String,
    /// Of the queue where its dead letters are put.
    pub dead_letters_url: String,
    /// Messages worked on at the same time.
    pub in_flight: usize,
    /// Visibility of a received message, and pause after a failed one.
    pub timing: QueueTiming,
}

/// Times of a queue's consumer. SQS counts them in seconds.
#[derive(Args, Clone, Copy, Debug)]
pub struct QueueTiming {
    /// Time for which a message is hidden from other consumers. It is extended while the message is processed.
    #[arg(long, env = "QUEUE_VISIBILITY_S", hide = true, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub queue_visibility_s: u16,
    /// Time after the first failure of a message until it is received again; doubled with each further failure, up to 60 s. A
    /// message that cannot be read is received again after the same time each time, since waiting makes it no more readable.
    #[arg(long, env = "QUEUE_RETRY_S", hide = true, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=60))]
    pub queue_retry_s: u16,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is stored, or it has none: delete it.
    Done,
    /// Not now: let it come again after a pause. It counts as one of the queue's tries.
    Again(Why),
    /// It cannot be read: let it come again soon, perhaps to a release that can.
    Unreadable(Why),
}

/// Tries of a message before it is a dead letter. The queues' redrive policies in `deploy/aws` say the
/// same, for messages over which the process dies; a test holds the two together.
pub const TRIES: u32 = 5;

/// SQS hands out ten messages at most, and takes ten changes at once.
pub(crate) const MAX_BATCH: usize = 10;
/// A stop waits for the poll under way, since a message may be on its way in the answer, and would be
/// hidden for its whole visibility: so this is also what an idle consumer's stop takes at most. It
/// costs 1.3 million requests a month for each consumer, half a dollar; polls of 20 s would cost 5 cents.
const LONG_POLL: Duration = Duration::from_secs(2);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// For handing back, after the time for the work itself is over.
const HAND_BACK: Duration = Duration::from_secs(1);
/// Between tries of a message: doubled with each, up to this.
const LONGEST_PAUSE_S: i32 = 60;

static HANDLED: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("shared")
        .u64_counter("messaging.client.consumed.messages")
        .build()
});

static AGE: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("messaging.queue.age")
        .with_unit("s")
        .with_boundaries(vec![
            0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 14_400.0,
        ])
        .build()
});

static PROCESSING: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("messaging.process.duration")
        .with_unit("s")
        .with_description("Work on a message, by outcome: done, again, unreadable")
        .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
        .build()
});

impl Queue {
    /// Hands each message to `handle` until `stop`; then takes no more, and waits for those in work
    /// for `drain` at most. What has come and was not begun, and what is not done by then, is handed
    /// back: another consumer gets it at once.
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
        // Ends with this, however this ends.
        let mut watching = JoinSet::new();
        watching.spawn(Arc::clone(&queue).watch_depths(stop.clone()));
        let places = Arc::new(Semaphore::new(queue.in_flight));
        let abandon = CancellationToken::new();
        let mut work = JoinSet::new();
        let silent = AtomicBool::new(false);
        let deadline = loop {
            while work.try_join_next().is_some() {}
            // One free place at least; and no more messages than there are places.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = stop.cancelled() => break Instant::now() + drain,
            };
            let Ok(place) = place else { break Instant::now() + drain };
            let free = places.available_permits() + 1;
            let poll = queue.receive(free.min(MAX_BATCH), &silent);
            tokio::pin!(poll);
            let messages = tokio::select! {
                messages = &mut poll => messages,
                () = stop.cancelled() => {
                    let deadline = Instant::now() + drain;
                    queue.hand_back_what_comes(poll, deadline).await;
                    break deadline;
                }
            };
            drop(place);
            let Some(messages) = messages else {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => continue,
                    () = stop.cancelled() => break Instant::now() + drain,
                }
            };
            if stop.is_cancelled() {
                queue.hand_back(&messages).await;
                break Instant::now() + drain;
            }
            for message in messages {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    break;
                };
                let (queue, handle, abandon) = (Arc::clone(&queue), handle.clone(), abandon.clone());
                work.spawn(async move {
                    queue.work_on(message, handle, &abandon).await;
                    drop(place);
                });
            }
        };
        let begun = async { while work.join_next().await.is_some() {} };
        if timeout_at(deadline, begun).await.is_err() {
            tracing::warn!(
                messages = work.len(),
                "messages were still in work at the stop; they are handed back"
            );
            abandon.cancel();
            // Those for which this is too short come again when their visibility ends.
            let _ = timeout(HAND_BACK, async { while work.join_next().await.is_some() {} }).await;
        }
    }

    /// `silent` says whether the queue did not answer last time: that is told when it begins and when it ends.
    async fn receive(&self, at_most: usize, silent: &AtomicBool) -> Option<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(at_most).unwrap_or(1))
            .wait_time_seconds(seconds(LONG_POLL))
            .visibility_timeout(self.timing.queue_visibility_s.into())
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            // The poll itself takes its time: longer than other calls may.
            .customize()
            .config_override(
                aws_sdk_sqs::config::Builder::new().timeout_config(
                    aws_sdk_sqs::config::timeout::TimeoutConfig::builder()
                        .operation_attempt_timeout(LONG_POLL + Duration::from_secs(3))
                        .operation_timeout(LONG_POLL + Duration::from_secs(6))
                        .build(),
                ),
            )
            .send()
            .await;
        match answer {
            Ok(answer) => {
                if silent.swap(false, Ordering::Relaxed) {
                    tracing::info!(queue = name(&self.url), "messages are received again");
                }
                Some(answer.messages.unwrap_or_default())
            }
            Err(error) => {
                let (queue, error) = (name(&self.url), DisplayErrorContext(&error));
                if silent.swap(true, Ordering::Relaxed) {
                    tracing::debug!(queue, %error, "no messages were received this time either");
                } else {
                    tracing::warn!(queue, %error, "no messages can be received; it is tried every second");
                }
                None
            }
        }
    }

    /// Lets the poll under way end, and hands its messages back.
    async fn hand_back_what_comes(&self, poll: impl Future<Output = Option<Vec<Message>>>, deadline: Instant) {
        match timeout_at(deadline, poll).await {
            Ok(messages) => self.hand_back(&messages.unwrap_or_default()).await,
            Err(_late) => tracing::warn!("the last poll did not end; what it was given comes again"),
        }
    }

    async fn hand_back(&self, messages: &[Message]) {
        let url = &self.url;
        hand_back(&self.client, url, messages.iter().filter_map(Message::receipt_handle)).await;
    }

    async fn work_on<F: Future<Output = Outcome>>(
        &self,
        message: Message,
        handle: impl Fn(Delivery) -> F,
        abandon: &CancellationToken,
    ) {
        let Some(receipt) = message.receipt_handle() else {
            return;
        };
        let span = self.span_of(&message);
        let bill = Bill::default();
        let began = Instant::now();
        if let Some(sent) = sent_at(&message) {
            AGE.record(Timestamp::now().duration_since(sent).as_secs_f64().max(0.0), &[]);
        }
        let outcome = match Delivery::parse(message.body().unwrap_or_default()) {
            Ok(delivery) => {
                trace::continue_from(&span, &delivery.detail.traceparent);
                span.record("event", &delivery.detail_type);
                let work = self.while_extended(receipt, bill.clone().scope(handle(delivery)));
                tokio::select! {
                    outcome = work.instrument(span.clone()) => outcome,
                    () = abandon.cancelled() => {
                        self.change_visibility(receipt, 0).await;
                        return;
                    }
                }
            }
            Err(fault) => {
                let _in = span.enter();
                // Told when it is given up.
                tracing::debug!(error = %fault, "a message cannot be read");
                Outcome::Unreadable(fault.into())
            }
        };
        let told = match outcome {
            Outcome::Done => "done",
            Outcome::Again(_) => "again",
            Outcome::Unreadable(_) => "unreadable",
        };
        HANDLED.add(1, &[KeyValue::new("outcome", told)]);
        let of = [
            KeyValue::new("messaging.destination.name", name(&self.url).to_owned()),
            KeyValue::new("outcome", told),
        ];
        PROCESSING.record(began.elapsed().as_secs_f64(), &of);
        bill.consumed().tell(&span);
        if outcome != Outcome::Done {
            span.record("error.type", told);
            span.record("otel.status_code", "ERROR");
        }
        self.settle(&message, receipt, outcome).instrument(span).await;
    }

    /// By <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>; what failed is told by `error.type`, which is
    /// the outcome's name.
    fn span_of(&self, message: &Message) -> Span {
        let queue = name(&self.url);
        info_span!(
            "messaging.process",
            otel.name = format!("process {queue}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = "aws_sqs",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = queue,
            messaging.message.id = message.message_id(),
            error.type = Empty,
            commerce.dynamodb.milli_rcu = Empty,
            commerce.dynamodb.milli_wcu = Empty,
            commerce.dynamodb.round_trips = Empty,
            event = Empty,
            order_id = Empty,
        )
    }

    /// Runs `work` and keeps the message ours for as long as it takes.
    async fn while_extended<T>(&self, receipt: &str, work: impl Future<Output = T>) -> T {
        let visibility = Duration::from_secs(self.timing.queue_visibility_s.into());
        let extend = async {
            loop {
                tokio::time::sleep(visibility / 2).await;
                self.change_visibility(receipt, self.timing.queue_visibility_s.into())
                    .await;
            }
        };
        tokio::select! {
            done = work => done,
            () = extend => unreachable!("it extends for ever"),
        }
    }

    async fn settle(&self, message: &Message, receipt: &str, outcome: Outcome) {
        let (why, pause) = match outcome {
            Outcome::Done => return self.delete(receipt).await,
            Outcome::Again(why) => (why, self.timing.pause_s(tries(message))),
            Outcome::Unreadable(why) => (why, self.timing.queue_retry_s.into()),
        };
        if tries(message) >= TRIES && self.bury(message, why).await {
            return self.delete(receipt).await;
        }
        self.change_visibility(receipt, pause).await;
    }

    /// Puts a message where its dead letters are, with a note of its last try: SQS, which would put it
    /// there by itself, keeps none. Says whether it is there. Where this dies in between, or the message
    /// is not deleted after, SQS does put it there too: sent again, it is handled twice, as any may be.
    async fn bury(&self, message: &Message, why: Why) -> bool {
        let note = Note {
            why,
            first_sent: sent_at(message),
            tries: tries(message),
        };
        let letter = self
            .client
            .send_message()
            .queue_url(&self.dead_letters_url)
            .message_body(message.body().unwrap_or_default())
            .set_message_attributes(Some(note.attributes()));
        match letter.send().await {
            Ok(letter) => {
                tracing::error!(
                    why = %note.why,
                    error = note.why.cause(),
                    tries = note.tries,
                    dead_letter.id = letter.message_id(),
                    "a message is now a dead letter"
                );
                depth::BURIED.notify_one();
                true
            }
            Err(error) => {
                tracing::warn!(
                    error = %DisplayErrorContext(&error),
                    why = %note.why,
                    cause = note.why.cause(),
                    "a message could not be put among the dead letters; the queue does it, without saying why"
                );
                false
            }
        }
    }

    async fn delete(&self, receipt: &str) {
        let request = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt);
        if let Err(error) = request.send().await {
            tracing::warn!(error = %DisplayErrorContext(&error), "a message could not be deleted; it comes again");
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

/// Makes messages visible to others at once. One for which that fails is logged, and visible when its
/// time is over.
pub(crate) async fn hand_back<'a>(client: &Client, url: &str, receipts: impl Iterator<Item = &'a str>) {
    let receipts: Vec<_> = receipts.collect();
    for batch in receipts.chunks(MAX_BATCH) {
        let entry = |(at, receipt): (usize, &&str)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(at.to_string())
                .receipt_handle(*receipt)
                .visibility_timeout(0)
                .build()
        };
        // It fails for an entry without id or receipt only.
        let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>();
        let request = client
            .change_message_visibility_batch()
            .queue_url(url)
            .set_entries(entries.ok());
        match request.send().await {
            // The call succeeds with entries that failed: each has its own outcome.
            Ok(answer) => {
                for failed in answer.failed() {
                    tracing::warn!(
                        code = failed.code(),
                        "a message could not be handed back; it comes later"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = %DisplayErrorContext(&error),
                    messages = batch.len(),
                    "messages could not be handed back; they come later"
                );
            }
        }
    }
}

/// When it was sent to the queue that it is in.
pub(crate) fn sent_at(message: &Message) -> Option<Timestamp> {
    let millis = system_attribute(message, &MessageSystemAttributeName::SentTimestamp)?;
    Timestamp::from_millisecond(millis.parse().ok()?).ok()
}

/// How often it has been received, this time included.
pub(crate) fn tries(message: &Message) -> u32 {
    let received = system_attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount);
    received.and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn system_attribute<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> Option<&'a str> {
    message.attributes()?.get(name).map(String::as_str)
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

impl QueueTiming {
    /// Returns the pause after so many tries.
    fn pause_s(self, tries: u32) -> i32 {
        let factor = 2_i32.saturating_pow(tries.saturating_sub(1));
        i32::from(self.queue_retry_s)
            .saturating_mul(factor)
            .min(LONGEST_PAUSE_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_doubles_with_each_try_up_to_a_minute() {
        let pauses = |queue_retry_s| {
            let timing = QueueTiming {
                queue_visibility_s: 30,
                queue_retry_s,
            };
            [1, 2, 3, 4, 7, 40].map(|tries| timing.pause_s(tries))
        };
        assert_eq!(pauses(1), [1, 2, 4, 8, 60, 60]);
        assert_eq!(pauses(0), [0; 6]);
    }
}
