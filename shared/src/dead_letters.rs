//! The messages that a service could not process: looked at, and sent again.
//!
//! **Where the last error is.** SQS keeps none. So whoever gives a message up ([`crate::queue`]) puts it
//! among the dead letters itself, with a note beside the body that says what its last try came to; the
//! queue's own redrive policy is what is left for messages over which processes die, and those have no
//! note. A note in the table would be a write for a thing that belongs to no item, and a second place to
//! forget; reading the message again, which is done as well, tells what would become of it *now*, but not
//! that the table was away at four in the morning.
//!
//! **Looking** takes messages for a few seconds and hands them back; it takes none away, and two who look
//! at once see a part each and are told that there may be more. **Sending again** is receive, send, delete,
//! in this order: what dies in between leaves a message twice, which every consumer bears, and never none.
//! (`StartMessageMoveTask` would do for a whole queue, but moves the hopeless with the others.)

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use deserr::Deserr;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::body::{FieldErrors, Invalid};
use crate::contract::Delivery;
use crate::ids::OrderId;
use crate::queue::{self, MAX_BATCH, Note, Queue, Why};

/// The dead letters of one queue.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    /// Where they came from, and go again.
    queue_url: String,
    url: String,
    /// Whether this release can read a message at all.
    read: fn(&Delivery) -> Result<(), Why>,
}

/// One dead letter. Nothing of its body is shown but the ids in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetter {
    /// By which it can be sent again.
    pub message_id: String,
    /// The event's name; null where it cannot be read.
    pub event: Option<String>,
    /// The order that it is about; null where it cannot be read.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub order_id: Option<OrderId>,
    /// The W3C trace in which it was published, by which the logs tell more; null where it cannot be read.
    pub trace_id: Option<String>,
    /// When it was first sent to the service.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_sent: Option<Timestamp>,
    /// How often it was tried; where nobody noted it, how often it was received, looks at it included.
    pub times_received: u32,
    /// What the last try came to.
    pub why: String,
    /// Whether this release can read it: if not, sending it again will not help.
    pub readable: bool,
}

/// What was found among the dead letters, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetterList {
    /// At most a hundred.
    pub data: Vec<DeadLetter>,
    /// Whether there may be more than these.
    pub more: bool,
}

/// Which dead letters are sent again.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[schema(as = Redrive)]
pub struct RedriveBody {
    /// Those alone, at most a hundred; all, a hundred a call, where it is not given.
    #[deserr(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 100)]
    message_ids: Option<MessageIds>,
}

/// 1 to 100 ids of messages.
#[derive(Clone, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(Vec<String>) = MessageIds::try_from -> InvalidMessageIds, error = FieldErrors)]
struct MessageIds(HashSet<String>);

/// Not 1 to 100 ids.
#[derive(Debug, Error)]
#[error("name 1 to {AT_MOST} messages, or leave this away for all")]
struct InvalidMessageIds;

/// What came of sending dead letters again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Redriven {
    /// How many went back to their queue.
    pub redriven: u32,
    /// Those asked for that were not found: sent again before, somewhere else at the moment, or never here.
    pub not_found: Vec<String>,
    /// Whether some of those asked for may be left: ask again.
    pub more: bool,
}

/// SQS did not do its part. Nothing is lost: what was received is visible again in half a minute.
#[derive(Debug, Error)]
#[error("SQS did not {doing}: {fault}")]
pub struct DeadLetterError {
    doing: &'static str,
    fault: String,
}

/// Shown, or sent again, in one call.
const AT_MOST: usize = 100;
/// Looked through for those that were named.
const LOOKED_THROUGH: usize = 500;
/// The gateway waits for 15 s.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
const REDRIVE_WITHIN: Duration = Duration::from_secs(8);
/// Longer than a call takes, so that none is received twice in it; not longer, for those of whom the
/// answer is lost, or who holds them dies.
const LOOK_VISIBILITY_S: i32 = 15;
const REDRIVE_VISIBILITY_S: i32 = 30;
/// With any wait SQS asks all of its servers; without, a few, and may say that there is nothing.
const WAIT_S: i32 = 1;

impl DeadLetters {
    /// Those of `queue`. `read` says whether the service can read a message, and does nothing else.
    #[must_use]
    pub fn of(queue: &Queue, read: fn(&Delivery) -> Result<(), Why>) -> Self {
        Self {
            client: queue.client.clone(),
            queue_url: queue.url.clone(),
            url: queue.dead_letters_url.clone(),
            read,
        }
    }

    /// Up to a hundred of them, all of which are handed back.
    ///
    /// # Errors
    /// SQS does not answer.
    pub async fn list(&self) -> Result<DeadLetterList, DeadLetterError> {
        let deadline = Instant::now() + LOOK_WITHIN;
        let mut held = Held::of(self, LOOK_VISIBILITY_S);
        let outcome = loop {
            if held.messages.len() >= AT_MOST || Instant::now() >= deadline {
                break Ok(true);
            }
            match held.receive(AT_MOST - held.messages.len()).await {
                Ok(0) => break Ok(false),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        // While they are held they count, so that what others hold shows.
        let there = queue::depth(&self.client, &self.url).await;
        let mut data: Vec<_> = held.messages.iter().map(|message| self.show(message)).collect();
        held.hand_back().await;
        let stopped_early = outcome?;
        data.sort_by(|a, b| (a.first_sent, &a.message_id).cmp(&(b.first_sent, &b.message_id)));
        let seen = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let more = stopped_early || there.is_ok_and(|there| there > seen);
        Ok(DeadLetterList { data, more })
    }

    /// Sends dead letters back to their queue: those named, or up to a hundred. One that becomes a dead
    /// letter while this goes on, as one of those just sent may, is left for another call. Repeated, it
    /// finds nothing left to do.
    ///
    /// # Errors
    /// SQS does not answer, and nothing was sent again. Where it ceased to answer later, the answer says
    /// how many were.
    pub async fn redrive(&self, which: RedriveBody) -> Result<Redriven, DeadLetterError> {
        let began = Timestamp::now();
        let deadline = Instant::now() + REDRIVE_WITHIN;
        let mut wanted = which.message_ids.map(|ids| ids.0);
        let mut held = Held::of(self, REDRIVE_VISIBILITY_S);
        let mut redriven = 0;
        let outcome = loop {
            let found_all = wanted.as_ref().is_some_and(HashSet::is_empty);
            if found_all {
                break Ok(false);
            }
            if redriven >= AT_MOST || held.looked_at >= LOOKED_THROUGH || Instant::now() >= deadline {
                break Ok(true);
            }
            match held
                .receive(if wanted.is_some() {
                    MAX_BATCH
                } else {
                    AT_MOST - redriven
                })
                .await
            {
                // What died meanwhile is held and was not sent.
                Ok(0) => break Ok(wanted.is_none() && !held.messages.is_empty()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
            let was_dead = |message: &Message| queue::sent_at(message).is_none_or(|sent| sent < began);
            let is_wanted = |message: &Message| match (&wanted, message.message_id()) {
                (None, _) => was_dead(message),
                (Some(ids), Some(id)) => ids.contains(id),
                (Some(_), None) => false,
            };
            let (chosen, left) = held.messages.drain(..).partition(is_wanted);
            held.messages = left;
            match self.send_again(chosen, &mut held, wanted.as_mut()).await {
                Ok(sent) => redriven += sent,
                Err(Interrupted { sent, fault }) => {
                    redriven += sent;
                    break Err(fault);
                }
            }
        };
        held.hand_back().await;
        let more = match outcome {
            Ok(more) => more,
            Err(fault) if redriven == 0 => return Err(fault),
            Err(fault) => {
                tracing::warn!(error = %fault, "not all dead letters could be sent again");
                true
            }
        };
        tracing::info!(messages = redriven, more, "dead letters were sent again");
        let mut not_found: Vec<_> = wanted.unwrap_or_default().into_iter().collect();
        not_found.sort();
        Ok(Redriven {
            redriven: u32::try_from(redriven).unwrap_or(u32::MAX),
            not_found,
            more,
        })
    }

    /// Sends them and deletes them, one after the other. What could not be sent is held again.
    async fn send_again(
        &self,
        chosen: Vec<Message>,
        held: &mut Held<'_>,
        mut wanted: Option<&mut HashSet<String>>,
    ) -> Result<usize, Interrupted> {
        let mut sent = 0;
        let mut chosen = chosen.into_iter();
        while let Some(letter) = chosen.next() {
            let send = self.client.send_message().queue_url(&self.queue_url);
            if let Err(error) = send.message_body(letter.body().unwrap_or_default()).send().await {
                held.messages.push(letter);
                held.messages.extend(chosen);
                let fault = DeadLetterError::call("take a message again")(error);
                return Err(Interrupted { sent, fault });
            }
            sent += 1;
            if let (Some(wanted), Some(id)) = (wanted.as_deref_mut(), letter.message_id()) {
                wanted.remove(id);
            }
            let delete = self.client.delete_message().queue_url(&self.url);
            let deleted = delete.set_receipt_handle(letter.receipt_handle).send().await;
            if let Err(error) = deleted {
                tracing::warn!(
                    error = %DisplayErrorContext(&error),
                    "a dead letter was sent again and could not be deleted; it may be sent twice"
                );
            }
        }
        Ok(sent)
    }

    fn show(&self, message: &Message) -> DeadLetter {
        let body = message.body().unwrap_or_default();
        let note = Note::of(message);
        let today = Delivery::parse(body)
            .map_err(Why::from)
            .and_then(|delivery| (self.read)(&delivery));
        let tell = Told::by(body);
        DeadLetter {
            message_id: message.message_id().unwrap_or_default().to_owned(),
            event: tell.event,
            order_id: tell.order_id,
            trace_id: tell.trace_id,
            first_sent: note.as_ref().map_or(queue::sent_at(message), |note| note.first_sent),
            times_received: note.as_ref().map_or(queue::tries(message), |note| note.tries),
            readable: today.is_ok(),
            why: match (note, today) {
                (Some(note), _) => note.why.to_string(),
                (None, Err(today)) => today.to_string(),
                (None, Ok(())) => "nobody noted why: its tries ended without an end, as when a process dies".to_owned(),
            },
        }
    }
}

/// What a body tells of itself however wrong the rest is: nothing but names and ids.
#[derive(Default)]
struct Told {
    event: Option<String>,
    order_id: Option<OrderId>,
    trace_id: Option<String>,
}

impl Told {
    fn by(body: &str) -> Self {
        const LONGEST_NAME: usize = 64;
        let Ok(body) = serde_json::from_str::<Value>(body) else {
            return Self::default();
        };
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let is_name = |name: &&str| name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_alphabetic());
        let is_trace = |id: &&str| id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
        let trace = text("/detail/traceparent").and_then(|trace| trace.split('-').nth(1));
        Self {
            event: text("/detail-type").filter(is_name).map(str::to_owned),
            order_id: text("/detail/data/order_id").and_then(|id| id.parse().ok()),
            trace_id: trace.filter(is_trace).map(str::to_owned),
        }
    }
}

/// Dead letters that nobody else sees at the moment.
struct Held<'a> {
    of: &'a DeadLetters,
    visibility_s: i32,
    messages: Vec<Message>,
    looked_at: usize,
}

impl<'a> Held<'a> {
    fn of(letters: &'a DeadLetters, visibility_s: i32) -> Self {
        Self {
            of: letters,
            visibility_s,
            messages: Vec::new(),
            looked_at: 0,
        }
    }

    /// Takes some more, ten at most. Says how many.
    async fn receive(&mut self, at_most: usize) -> Result<usize, DeadLetterError> {
        let request = self.of.client.receive_message().queue_url(&self.of.url);
        let answer = request
            .max_number_of_messages(i32::try_from(at_most.min(MAX_BATCH)).unwrap_or(1))
            .wait_time_seconds(WAIT_S)
            .visibility_timeout(self.visibility_s)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(DeadLetterError::call("show its dead letters"))?;
        let messages = answer.messages.unwrap_or_default();
        let count = messages.len();
        self.looked_at += count;
        self.messages.extend(messages);
        Ok(count)
    }

    async fn hand_back(self) {
        let receipts = self.messages.iter().filter_map(Message::receipt_handle);
        queue::hand_back(&self.of.client, &self.of.url, receipts).await;
    }
}

/// SQS ceased to answer on the way.
struct Interrupted {
    sent: usize,
    fault: DeadLetterError,
}

impl DeadLetterError {
    fn call<E, R>(doing: &'static str) -> impl Fn(SdkError<E, R>) -> Self
    where
        SdkError<E, R>: std::error::Error,
    {
        move |error| Self {
            doing,
            fault: DisplayErrorContext(&error).to_string(),
        }
    }
}

impl TryFrom<Vec<String>> for MessageIds {
    type Error = InvalidMessageIds;

    fn try_from(ids: Vec<String>) -> Result<Self, InvalidMessageIds> {
        if (1..=AT_MOST).contains(&ids.len()) {
            Ok(Self(ids.into_iter().collect()))
        } else {
            Err(InvalidMessageIds)
        }
    }
}

impl Invalid for InvalidMessageIds {
    fn code(&self) -> &'static str {
        "invalid_message_ids"
    }
}

impl RedriveBody {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self { message_ids: None }
    }
}
