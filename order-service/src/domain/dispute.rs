//! Disputes: a customer has their bank take a payment back. The provider decides nothing of it, and the
//! shop neither: what is known is noted, and shown.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::contract::order::DisputeStatus;
use shared::money::Money;
use utoipa::ToSchema;

/// A dispute of an order's payment, as the provider told it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// How much is contested; in the currency of the payment, and not always the whole of it.
    pub amount: Money,
    /// What the customer's bank says.
    pub reason: DisputeReason,
    /// Where it stands.
    pub status: DisputeStatus,
    /// Whether the provider would still make refunds of the payment.
    pub refundable: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Until when the merchant can answer it at the provider, while that is so.
    pub respond_by: Option<Timestamp>,
}

/// Why a payment is disputed, in the provider's word, such as `fraudulent`: small letters, digits and
/// underscores, 40 at most, so that it fits into any text. Another word is `general`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(from = "String", into = "String")]
#[schema(value_type = String, example = "fraudulent")]
pub struct DisputeReason(String);

const LONGEST_REASON: usize = 40;

impl From<String> for DisputeReason {
    fn from(word: String) -> Self {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if (1..=LONGEST_REASON).contains(&word.len()) && word.chars().all(plain) {
            Self(word)
        } else {
            Self("general".to_owned())
        }
    }
}

impl From<DisputeReason> for String {
    fn from(reason: DisputeReason) -> Self {
        reason.0
    }
}

impl fmt::Display for DisputeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Dispute {
    /// What the timeline says of it.
    pub(super) fn words(&self) -> String {
        let Self {
            amount, reason, status, ..
        } = self;
        match (status, self.respond_by) {
            (DisputeStatus::Inquiry, _) => format!("the customer's bank inquires about {amount} ({reason})"),
            (DisputeStatus::Open | DisputeStatus::Other, Some(by)) => {
                format!("{amount} of the payment are disputed ({reason}); to be answered at the provider until {by}")
            }
            (DisputeStatus::Open | DisputeStatus::Other, None) => {
                format!("{amount} of the payment are disputed ({reason})")
            }
            (DisputeStatus::Won, _) => format!("the dispute of {amount} was won"),
            (DisputeStatus::Lost, _) => format!("the dispute of {amount} was lost"),
            (DisputeStatus::Closed, _) => format!("the dispute of {amount} was closed; nothing was taken back by it"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn an_open_dispute() -> Dispute {
        Dispute {
            id: "dp_1".to_owned(),
            amount: Money::new(1000, "USD".parse().unwrap()),
            reason: "fraudulent".to_owned().into(),
            status: DisputeStatus::Open,
            refundable: false,
            opened_at: Timestamp::UNIX_EPOCH,
            respond_by: None,
        }
    }

    #[test]
    fn only_plain_words_are_taken_for_reasons() {
        for word in ["fraudulent", "product_not_received", "cardholder_2"] {
            assert_eq!(DisputeReason::from(word.to_owned()).to_string(), word);
        }
        for other in ["", "He said \"no\"", "Ärger", &"a".repeat(41)] {
            assert_eq!(DisputeReason::from(other.to_owned()).to_string(), "general");
        }
    }
}
