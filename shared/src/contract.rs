//! The events that the services tell each other, as they travel on the bus.
//!
//! Within a version only optional fields may be added, and a consumer ignores what it does not know:
//! these types are read by the previous and the next release of the others. Schemas made from them
//! are checked in under `deploy/events`, with a document of who publishes and who consumes what, and
//! with bodies that every later release has to read.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub mod checkout;
mod fault;
pub mod order;
pub mod product;

pub use fault::Fault;

/// A kind of event.
pub trait Event: Serialize + DeserializeOwned + JsonSchema {
    /// Its `DetailType` on the bus.
    const NAME: &'static str;
    /// Its `Source`: the service that publishes it.
    const SOURCE: &'static str;
    /// Of the body's shape. What would break a reader is another event, or another version beside
    /// this one for as long as anybody reads this one.
    const VERSION: u32 = 1;
    /// Whom the rules in `deploy/aws` hand it to. Others may subscribe.
    const CONSUMERS: &'static [Consumer];
}

/// Who takes events off the bus within the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumer {
    /// The order service, from its queue of checkouts.
    OrderIntake,
    /// The basket service, from its queue of answers.
    BasketSettle,
    /// The topic that tells people of orders. It gets a sentence, not the event.
    Notifications,
}

impl Consumer {
    /// Its name, as its queue or topic bears it after the deployment's prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrderIntake => "order-intake",
            Self::BasketSettle => "basket-settle",
            Self::Notifications => "order-notifications",
        }
    }

    /// Whose it is.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::OrderIntake | Self::Notifications => "order-service",
            Self::BasketSettle => "basket-service",
        }
    }
}

macro_rules! events {
    ($source:literal: $($event:ident -> [$($consumer:ident),*]),* $(,)?) => {
        $(impl crate::contract::Event for $event {
            const NAME: &'static str = stringify!($event);
            const SOURCE: &'static str = $source;
            const CONSUMERS: &'static [crate::contract::Consumer] = &[$(crate::contract::Consumer::$consumer),*];
        })*
    };
}
pub(crate) use events;

/// The `Detail` of an entry: what is told, and what telling it again must not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    /// Of this event, a UUID v7. Publishing it again keeps it.
    pub id: Uuid,
    /// Of the body's shape.
    pub version: u32,
    /// When it happened.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The order or product that it is about.
    pub correlation_id: String,
    /// The event or request that led to it.
    pub causation_id: String,
    /// Counts up for each order (0 is `CheckoutRequested`), or is the product's version: what is
    /// older than what a consumer has, it ignores.
    pub sequence: u64,
    /// W3C trace context of where it happened.
    #[serde(default)]
    pub traceparent: String,
    /// The body.
    pub data: T,
}

/// An event in the form in which it is stored with the state it tells of, and published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The envelope's id, by which a consumer and an outbox know it.
    pub id: Uuid,
    /// Who tells it.
    pub source: String,
    /// The event's name.
    pub detail_type: String,
    /// The ids that it speaks of.
    pub resources: Vec<String>,
    /// The envelope as JSON text.
    pub detail: String,
}

impl Entry {
    /// The entry of this event. `resources` are the ids that it speaks of.
    ///
    /// # Errors
    /// The body is no JSON, which its type's own tests would show first.
    pub fn new<T: Event>(envelope: &Envelope<T>, resources: Vec<String>) -> serde_json::Result<Self> {
        Ok(Self {
            id: envelope.id,
            source: T::SOURCE.to_owned(),
            detail_type: T::NAME.to_owned(),
            resources,
            detail: serde_json::to_string(envelope)?,
        })
    }
}

/// An event as EventBridge hands it to a queue, its body not yet read.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    /// The event's name.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// Who tells it.
    pub source: String,
    /// The envelope.
    pub detail: Envelope<Value>,
}

impl Delivery {
    /// Reads a queue's message.
    ///
    /// # Errors
    /// It is no event of the bus; the fault says nothing of what it holds.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        fault::of_text(text)
    }

    /// The body, where this is an event of that kind and from its own source; `None` where it is
    /// another.
    ///
    /// # Errors
    /// It is of that kind, but its body cannot be read; the fault says nothing of what it holds.
    pub fn read<T: Event>(&self) -> Option<Result<Envelope<T>, Fault>> {
        if self.detail_type != T::NAME || self.source != T::SOURCE {
            return None;
        }
        let Envelope {
            id,
            version,
            time,
            correlation_id,
            causation_id,
            sequence,
            traceparent,
            data,
        } = self.detail.clone();
        let data = fault::of_value("detail.data", data);
        Some(data.map(|data| Envelope {
            id,
            version,
            time,
            correlation_id,
            causation_id,
            sequence,
            traceparent,
            data,
        }))
    }
}

/// An event as the bus hands it to a target, its `Detail` as it came.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Published {
    /// Who published it.
    pub source: String,
    /// Its name.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// The ids that it speaks of.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The envelope with the body.
    pub detail: Value,
}

/// What there is to know of a kind of event.
#[derive(Clone, Debug)]
pub struct Kind {
    /// [`Event::NAME`].
    pub name: &'static str,
    /// [`Event::SOURCE`].
    pub source: &'static str,
    /// [`Event::VERSION`].
    pub version: u32,
    /// [`Event::CONSUMERS`].
    pub consumers: &'static [Consumer],
    /// Of its `Detail`.
    pub schema: schemars::Schema,
    /// Reads a `Detail` as a consumer of this release does, and writes it again.
    pub read: fn(&Value) -> serde_json::Result<Value>,
}

impl Kind {
    fn of<T: Event>() -> Self {
        let mut schema = schemars::schema_for!(Envelope<T>);
        schema.insert("title".to_owned(), T::NAME.into());
        if let Some(version) = schema.pointer_mut("/properties/version") {
            *version =
                serde_json::json!({"description": "Of the body's shape.", "type": "integer", "const": T::VERSION});
        }
        Self {
            name: T::NAME,
            source: T::SOURCE,
            version: T::VERSION,
            consumers: T::CONSUMERS,
            schema,
            read: |detail| serde_json::to_value(Envelope::<T>::deserialize(detail)?),
        }
    }
}

/// Every kind of event.
#[must_use]
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<checkout::CheckoutRequested>(),
        Kind::of::<order::OrderPlaced>(),
        Kind::of::<order::OrderFailed>(),
        Kind::of::<order::OrderAwaitingAcceptance>(),
        Kind::of::<order::OrderConfirmed>(),
        Kind::of::<order::OrderRejected>(),
        Kind::of::<order::OrderCancelled>(),
        Kind::of::<order::OrderShipped>(),
        Kind::of::<order::OrderDelivered>(),
        Kind::of::<order::OrderRefunded>(),
        Kind::of::<order::OrderDisputed>(),
        Kind::of::<product::ProductCreated>(),
        Kind::of::<product::ProductChanged>(),
        Kind::of::<product::ProductArchived>(),
        Kind::of::<product::StockDepleted>(),
        Kind::of::<product::StockAvailable>(),
    ]
}
