//! What is noted of a message that becomes a dead letter: why, how often it was tried, and when it was
//! first sent, in attributes beside its body, since SQS keeps the message and nothing of what became of
//! it. Nothing in a note comes from the message's body.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use jiff::Timestamp;

use crate::contract::Fault;
use crate::telemetry::chain;

/// Why a message was not done, in words for operators. It is shown and stored: it says what did not
/// answer, or where the message cannot be read, and nothing of what the message holds. At most 200
/// characters. What is behind it, if anything, is for the log alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    words: Cow<'static, str>,
    cause: Option<String>,
}

const LONGEST: usize = 200;

impl Why {
    /// These words, and in the log, once the message is given up, the error with all that is behind it.
    #[must_use]
    pub fn of(words: &'static str, error: &dyn Error) -> Self {
        Self {
            words: Cow::Borrowed(words),
            cause: Some(chain(error)),
        }
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    fn owned(words: &str) -> Self {
        Self {
            words: Cow::Owned(words.chars().take(LONGEST).collect()),
            cause: None,
        }
    }
}

impl From<&'static str> for Why {
    fn from(words: &'static str) -> Self {
        Self {
            words: Cow::Borrowed(words),
            cause: None,
        }
    }
}

impl From<Fault> for Why {
    fn from(fault: Fault) -> Self {
        Self::owned(&fault.to_string())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) why: Why,
    pub(crate) first_sent: Option<Timestamp>,
    pub(crate) tries: u32,
}

const WHY: &str = "why";
const FIRST_SENT: &str = "first-sent-ms";
const TRIES: &str = "tries";

impl Note {
    pub(super) fn attributes(&self) -> HashMap<String, MessageAttributeValue> {
        let sent = self.first_sent.map(|sent| sent.as_millisecond().to_string());
        let all = [
            (WHY, Some(self.why.to_string())),
            (FIRST_SENT, sent),
            (TRIES, Some(self.tries.to_string())),
        ];
        let attribute = |(name, value): (&str, Option<String>)| {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value?);
            Some((name.to_owned(), value.build().ok()?))
        };
        all.into_iter().filter_map(attribute).collect()
    }

    /// The note of a dead letter; `None` where SQS put it there, or somebody by hand.
    pub(crate) fn of(letter: &Message) -> Option<Self> {
        let noted = |name: &str| letter.message_attributes()?.get(name)?.string_value();
        let millis = noted(FIRST_SENT).and_then(|millis| millis.parse().ok());
        Some(Self {
            why: Why::owned(noted(WHY)?),
            first_sent: millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
            tries: noted(TRIES)?.parse().ok()?,
        })
    }
}
