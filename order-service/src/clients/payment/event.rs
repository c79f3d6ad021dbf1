//! What the provider tells of its own accord: <https://docs.stripe.com/api/events/object>.
//!
//! An event is a hint: it says which payment or dispute to look at, and nothing of how that stands. It
//! may come late, again, or before an older one; what is true is asked for.

use serde::Deserialize;
use serde_json::Value;
use shared::ids::OrderId;
use thiserror::Error;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The provider's id; the same when it comes again.
    pub id: String,
    /// The provider's name for what happened.
    pub kind: String,
    /// What to look at.
    pub about: About,
}

/// What an event makes one look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A payment that an order may wait for has got on.
    Payment {
        /// The provider's id.
        intent: String,
        /// The order that was written to it, where the event repeats that.
        order: Option<OrderId>,
    },
    /// The customer has to act before a payment gets on, which is news only to who does not know it.
    NeedsCustomer {
        /// The provider's id.
        intent: String,
        /// As above.
        order: Option<OrderId>,
    },
    /// A dispute was opened, or got on.
    Dispute {
        /// The provider's id.
        dispute: String,
    },
    /// Nothing that anybody here waits for.
    Nothing,
}

/// It cannot be read. The texts tell where, never what stood there.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// No JSON, or not the members that every event has.
    #[error("no event: {0}")]
    Form(String),
    /// An event that matters, about nothing that can be looked at.
    #[error("{0:?} names nothing that can be looked at")]
    Names(String),
}

#[derive(Deserialize)]
struct Body {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Value,
}

impl Event {
    /// Reads an event's body.
    ///
    /// # Errors
    /// It is none, or one that matters and does not say what it is about.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let body: Body = serde_json::from_slice(body).map_err(|fault| {
            // serde's own words can repeat a value.
            let (line, column) = (fault.line(), fault.column());
            Unreadable::Form(format!("{:?} at line {line}, column {column}", fault.classify()))
        })?;
        let about = About::of(&body.kind, &body.data.object).ok_or_else(|| {
            // Only kinds that are known come here.
            Unreadable::Names(body.kind.clone())
        })?;
        Ok(Self {
            id: body.id,
            kind: body.kind,
            about,
        })
    }
}

impl About {
    /// `None`: the object lacks the id that it should have.
    fn of(kind: &str, object: &Value) -> Option<Self> {
        match kind {
            "payment_intent.requires_action" => Some(Self::NeedsCustomer {
                intent: id(object.get("id"))?,
                order: order(object),
            }),
            // Not `.succeeded`, nor what tells of refunds: each capture and refund is asked for by this service,
            // which hears the answer or asks again. To read the order for them would cost each one that goes well.
            "payment_intent.amount_capturable_updated"
            | "payment_intent.payment_failed"
            | "payment_intent.canceled" => Some(Self::Payment {
                intent: id(object.get("id"))?,
                order: order(object),
            }),
            "charge.dispute.created"
            | "charge.dispute.updated"
            | "charge.dispute.closed"
            | "charge.dispute.funds_withdrawn"
            | "charge.dispute.funds_reinstated" => Some(Self::Dispute {
                dispute: id(object.get("id"))?,
            }),
            _ => Some(Self::Nothing),
        }
    }
}

/// An id as the provider makes them, and fit for a path.
fn id(value: Option<&Value>) -> Option<String> {
    const LONGEST: usize = 255;
    let id = value?.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    ((1..=LONGEST).contains(&id.len()) && id.chars().all(plain)).then(|| id.to_owned())
}

fn order(object: &Value) -> Option<OrderId> {
    object.get("metadata")?.get("order_id")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const ORDER: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    fn read(kind: &str, object: Value) -> Result<About, Unreadable> {
        let body = json!({"id": "evt_1", "object": "event", "type": kind, "data": {"object": object}});
        Event::read(body.to_string().as_bytes()).map(|event| event.about)
    }

    fn payment(order: Option<&str>) -> About {
        About::Payment {
            intent: "pi_1".to_owned(),
            order: order.map(|id| id.parse().unwrap()),
        }
    }

    #[rstest]
    #[case("payment_intent.amount_capturable_updated", json!({"id": "pi_1", "metadata": {"order_id": ORDER}}), payment(Some(ORDER)))]
    #[case("payment_intent.canceled", json!({"id": "pi_1", "metadata": {"order_id": "12"}}), payment(None))]
    #[case("payment_intent.payment_failed", json!({"id": "pi_1"}), payment(None))]
    #[case("charge.dispute.closed", json!({"id": "dp_1", "charge": "ch_1"}), About::Dispute { dispute: "dp_1".to_owned() })]
    #[case("payment_intent.succeeded", json!({"id": "pi_1", "metadata": {"order_id": ORDER}}), About::Nothing)]
    #[case("refund.updated", json!({"id": "re_1", "payment_intent": "pi_1"}), About::Nothing)]
    #[case("customer.created", json!("whatever"), About::Nothing)]
    fn an_event_says_what_to_look_at(#[case] kind: &str, #[case] object: Value, #[case] about: About) {
        assert_eq!(read(kind, object).unwrap(), about);
    }

    #[rstest]
    #[case("payment_intent.payment_failed", json!({"id": "pi_1/../../v1/accounts"}))]
    #[case("payment_intent.payment_failed", json!({}))]
    #[case("charge.dispute.created", json!({"id": 7}))]
    fn an_event_about_nothing_that_can_be_looked_at_is_refused(#[case] kind: &str, #[case] object: Value) {
        assert!(matches!(read(kind, object), Err(Unreadable::Names(_))));
    }

    #[test]
    fn what_is_no_event_is_refused_without_its_words() {
        let refused = Event::read(br#"{"id": "evt_1", "type": 4242424242424242}"#).unwrap_err();
        assert!(!refused.to_string().contains("4242"), "{refused}");
    }
}
