//! Publishing events to EventBridge. Which events are waiting, and what removes them, is kept with
//! the state they tell of, in each service's own table.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use jiff::Timestamp;
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, global};
use thiserror::Error;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use crate::contract::Entry;

/// Entries of one `PutEvents` call at most.
const MAX_ENTRIES: usize = 10;
/// Bytes of all entries of one call at most, as AWS counts them: 256 KB.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
const MAX_BYTES: usize = 256 * 1024;
/// A request's own publishing waits no longer; what it did not publish, the sweeper does.
const DEADLINE: Duration = Duration::from_secs(5);

/// Publishes to one bus.
#[derive(Clone, Debug)]
pub struct Publisher {
    client: Client,
    bus: String,
    refusing: Arc<Refusing>,
}

/// What the age of an event's id tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// How long it has lain in its outbox.
    OfOutbox,
    /// Nothing of an outbox: the bus may have taken it long ago.
    OfEvent,
}

/// Since when the bus has taken nothing of what this process sent.
#[derive(Debug, Default)]
struct Refusing(Mutex<Option<Instant>>);

impl Refusing {
    fn ends(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// It has refused now; and for how long it has by now.
    fn goes_on(&self) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// What became of the entries: those the bus took, by id. The others are still to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published(HashSet<Uuid>);

impl Published {
    /// Whether the bus took this one.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        self.0.contains(&entry.id)
    }

    /// Whether the bus took all of these.
    #[must_use]
    pub fn all<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> bool {
        entries.into_iter().all(|entry| self.has(entry))
    }
}

#[derive(Debug, Error)]
enum PublishError {
    #[error("EventBridge cannot be reached: {words}")]
    Call { code: String, words: String },
    #[error("no answer from EventBridge within {} s", DEADLINE.as_secs())]
    Late,
    #[error("EventBridge refused an entry: {code}: {message}")]
    Refused { code: String, message: String },
}

impl PublishError {
    /// For `error.type`: AWS's name for it, where it has one.
    fn kind(&self) -> &str {
        match self {
            Self::Call { code, .. } | Self::Refused { code, .. } => code,
            Self::Late => "timeout",
        }
    }
}

static PUBLISHED: LazyLock<Counter<u64>> =
    LazyLock::new(|| global::meter("shared").u64_counter("events.published").build());
static FAILED: LazyLock<Counter<u64>> =
    LazyLock::new(|| global::meter("shared").u64_counter("events.publish_failed").build());

const AGES_S: [f64; 11] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

static AGE: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("events.publish.age")
        .with_unit("s")
        .with_description("From an event's making until the bus took it, by event")
        .with_boundaries(AGES_S.to_vec())
        .build()
});

static KEPT_AGE: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("shared")
        .f64_histogram("events.unpublished.age")
        .with_unit("s")
        .with_description("From an event's making until a try at which the bus did not take it, by event")
        .with_boundaries(AGES_S.to_vec())
        .build()
});

/// The bus took it.
fn taken(entry: &Entry, tells: Age) {
    let event = [KeyValue::new("event", entry.detail_type.clone())];
    PUBLISHED.add(1, &event);
    match (tells, age(entry)) {
        (Age::OfOutbox, Some(age)) => AGE.record(age.as_secs_f64(), &event),
        (Age::OfOutbox, None) | (Age::OfEvent, _) => {}
    }
}

/// The bus did not take it: it stays where it is kept. Of one that it may have taken before, no more is told than for how long
/// it has taken nothing.
fn kept(entry: &Entry, tells: Age, refusing: Duration) {
    let age = age(entry).map(|age| match tells {
        Age::OfOutbox => age,
        Age::OfEvent => age.min(refusing),
    });
    if let Some(age) = age {
        KEPT_AGE.record(age.as_secs_f64(), &[KeyValue::new("event", entry.detail_type.clone())]);
    }
}

/// When an event was made, its id tells, which is of version 7.
fn age(entry: &Entry) -> Option<Duration> {
    let (seconds, nanos) = entry.id.get_timestamp()?.to_unix();
    let now = Timestamp::now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    Some(now.saturating_sub(Duration::new(seconds, nanos)))
}

impl Publisher {
    /// To that bus.
    #[must_use]
    pub fn new(client: Client, bus: String) -> Self {
        Self {
            client,
            bus,
            refusing: Arc::default(),
        }
    }

    /// Publishes all of them, in as few calls as their number and size allow, and says which were
    /// taken. A failure is logged here, counted, and otherwise only shows in the answer: whoever
    /// calls keeps what was not taken.
    pub async fn publish(&self, entries: &[Entry]) -> Published {
        self.publish_as(entries, Age::OfOutbox).await
    }

    /// [`Publisher::publish`] of events which the bus may have taken before, as somebody who got no answer asks for them: that
    /// they are old is no outbox's fault, and not told as its age.
    pub async fn publish_again(&self, entries: &[Entry]) -> Published {
        self.publish_as(entries, Age::OfEvent).await
    }

    async fn publish_as(&self, entries: &[Entry], tells: Age) -> Published {
        let mut published = Published::default();
        for batch in batches(entries) {
            let span = self.span_of(batch);
            let outcome = self.put(batch, &mut published).instrument(span.clone()).await;
            let (took, left): (Vec<_>, Vec<_>) = batch.iter().partition(|entry| published.has(entry));
            if !took.is_empty() {
                self.refusing.ends();
            }
            for entry in took {
                taken(entry, tells);
            }
            if let Err(error) = outcome {
                FAILED.add(1, &[]);
                span.record("error.type", error.kind());
                span.record("otel.status_code", "ERROR");
                tracing::warn!(error = %error, "events were not published; they are kept and tried again");
                let refusing = self.refusing.goes_on();
                for entry in left {
                    kept(entry, tells, refusing);
                }
            }
        }
        published
    }

    async fn put(&self, batch: &[Entry], published: &mut Published) -> Result<(), PublishError> {
        let request = self
            .client
            .put_events()
            .set_entries(Some(batch.iter().map(|e| self.request(e)).collect()))
            .send();
        let answer = match tokio::time::timeout(DEADLINE, request).await {
            Ok(answer) => answer.map_err(|error| PublishError::Call {
                // How a call failed that was not answered, the span of the call itself tells.
                code: error.code().unwrap_or("unreachable").to_owned(),
                words: DisplayErrorContext(&error).to_string(),
            })?,
            Err(_late) => return Err(PublishError::Late),
        };
        // A call can succeed with entries that failed: each outcome stands at its entry's place.
        let mut refused = None;
        for (entry, outcome) in batch.iter().zip(answer.entries()) {
            match outcome.error_code() {
                None => {
                    published.0.insert(entry.id);
                }
                Some(code) => {
                    let message = outcome.error_message().unwrap_or_default().to_owned();
                    refused = Some(PublishError::Refused {
                        code: code.to_owned(),
                        message,
                    });
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// By <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>; none for what a sweep publishes, which is
    /// part of no request.
    fn span_of(&self, batch: &[Entry]) -> Span {
        if !Context::current().span().span_context().is_valid() {
            return Span::none();
        }
        let span = info_span!(
            "messaging.send",
            otel.name = format!("send {}", self.bus),
            otel.kind = "producer",
            otel.status_code = Empty,
            messaging.system = "aws_eventbridge",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = self.bus,
            messaging.message.id = Empty,
            messaging.batch.message_count = Empty,
            event = Empty,
            error.type = Empty,
        );
        match batch {
            [one] => {
                span.record("messaging.message.id", one.id.to_string());
                span.record("event", &one.detail_type);
            }
            several => {
                span.record("messaging.batch.message_count", several.len());
            }
        }
        span
    }

    fn request(&self, entry: &Entry) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(&entry.source)
            .detail_type(&entry.detail_type)
            .set_resources(Some(entry.resources.clone()))
            .detail(&entry.detail)
            .build()
    }
}

/// Cuts them up, in order, so that each batch may be one call. An entry that is too large by itself
/// goes alone, and is refused alone.
fn batches(entries: &[Entry]) -> Vec<&[Entry]> {
    let mut batches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        let size = size(entry);
        if at > from && (at - from == MAX_ENTRIES || bytes + size > MAX_BYTES) {
            batches.extend(entries.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes += size;
    }
    batches.extend(entries.get(from..).filter(|rest| !rest.is_empty()));
    batches
}

fn size(entry: &Entry) -> usize {
    let resources: usize = entry.resources.iter().map(String::len).sum();
    entry.source.len() + entry.detail_type.len() + entry.detail.len() + resources
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(feature = "testing")]
    fn made_ago(seconds: u64, event: &str) -> Entry {
        let now = Timestamp::now().duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
        Entry {
            id: Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, now.as_secs() - seconds, 0)),
            source: String::new(),
            detail_type: event.to_owned(),
            resources: vec![],
            detail: "{}".to_owned(),
        }
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn what_was_published_before_makes_no_outbox_old() {
        use std::slice::from_ref;

        use serde_json::json;

        use crate::testing::faults::{Fate, Faults};
        use crate::testing::measured::{self, Measured};

        let measured = Measured::begin();
        let faults = Faults::none();
        let publisher = Publisher::new(measured::aws(&faults).await.eventbridge(), "bus".to_owned());
        let took = |count: usize| {
            Fate::Answered(
                200,
                json!({"FailedEntryCount": 0, "Entries": vec![json!({"EventId": "1"}); count]}),
            )
        };
        faults.on("PutEvents", 2, took(1));
        let (first, again) = (made_ago(300, "First"), made_ago(300, "Again"));
        assert!(publisher.publish(from_ref(&first)).await.has(&first));
        assert!(publisher.publish_again(from_ref(&again)).await.has(&again));
        let told = |metric: &str, event: &str| measured.figure(metric, &[("event", event)]);
        assert_eq!(told("events_published_total", "First"), Some(1.0));
        assert_eq!(told("events_published_total", "Again"), Some(1.0));
        assert_eq!(told("events_publish_age_seconds_count", "First"), Some(1.0));
        assert_eq!(told("events_publish_age_seconds_count", "Again"), None);

        // It tells how long the bus has taken nothing: a moment.
        faults.lift();
        faults.on(
            "PutEvents",
            usize::MAX,
            Fate::Answered(400, json!({"__type": "AccessDeniedException"})),
        );
        assert!(!publisher.publish(from_ref(&first)).await.has(&first));
        assert!(!publisher.publish_again(from_ref(&again)).await.has(&again));
        assert!(told("events_unpublished_age_seconds_sum", "First").unwrap() >= 300.0);
        assert!(told("events_unpublished_age_seconds_sum", "Again").unwrap() < 60.0);
    }

    #[test]
    fn a_bus_refuses_since_its_first_refusal_after_it_took_something() {
        let refusing = Refusing::default();
        assert!(refusing.goes_on() < Duration::from_secs(1));
        *refusing.0.lock().unwrap() = Instant::now().checked_sub(Duration::from_secs(90));
        assert!(refusing.goes_on() >= Duration::from_secs(90));
        refusing.ends();
        assert!(refusing.goes_on() < Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn batches_keep_order_and_limits(sizes in prop::collection::vec(1_usize..150_000, 0..40)) {
            let entry = |bytes: &usize| Entry {
                id: Uuid::new_v4(),
                source: String::new(),
                detail_type: String::new(),
                resources: vec![],
                detail: "x".repeat(*bytes),
            };
            let entries: Vec<_> = sizes.iter().map(entry).collect();
            let batches = batches(&entries);
            for batch in &batches {
                let bytes: usize = batch.iter().map(size).sum();
                prop_assert!(!batch.is_empty() && batch.len() <= MAX_ENTRIES && bytes <= MAX_BYTES);
            }
            prop_assert_eq!(batches.concat(), entries);
        }
    }
}
