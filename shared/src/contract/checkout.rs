//! What the basket service asks of the order service.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::address::Address;
use crate::contract::events;
use crate::idempotency::Fingerprint;
use crate::ids::{CustomerId, OrderId, ProductId};
use crate::money::Money;
use crate::quantity::Quantity;

/// A basket was checked out: make an order of it, at these prices. Answered by exactly one
/// `OrderPlaced` or `OrderFailed`. It carries an address and a payment token: only the order
/// service's queue may match it, and nothing archives it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutRequested {
    /// Of the checkout and of the order that it becomes.
    pub order_id: OrderId,
    /// The basket.
    pub basket_id: String,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// What is bought, prices frozen; each product once.
    pub lines: Vec<Line>,
    /// The sum of all lines.
    pub total: Money,
    /// Where it goes.
    pub shipping_address: Address,
    /// What pays for it; none when it is not paid through the shop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<PaymentToken>,
    /// Of what was asked for: a second checkout under the same id but with another one is refused.
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// After this moment it becomes no order at these prices, but one that has failed as expired.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub valid_until: Timestamp,
}

/// A line of an order, with the price that was agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Which product.
    pub product_id: ProductId,
    /// The merchant's key of it.
    pub sku: String,
    /// Its name at that time.
    pub name: String,
    /// How many.
    pub quantity: Quantity,
    /// For one.
    pub unit_price: Money,
    /// Whether the merchant wants to be asked before an order with it is confirmed.
    #[serde(default)]
    pub acceptance: Acceptance,
}

/// Whether an order with a product is confirmed by itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, deserr::Deserr, JsonSchema, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[deserr(rename_all = lowercase)]
pub enum Acceptance {
    /// It is.
    #[default]
    Auto,
    /// The merchant is asked.
    Manual,
}

/// What a payment provider gives a shop in place of a card. 1 to 255 visible ASCII characters, and
/// refused where it looks like a card's number. `Debug` shows nothing of it.
#[derive(Clone, JsonSchema)]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 255))]
pub struct PaymentToken(SecretString);

/// Not a payment token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPaymentToken {
    /// Too long, too short, or with other characters.
    #[error("a payment token has 1 to 255 visible ASCII characters")]
    Malformed,
    /// It looks like the number of a card, which must never come here.
    #[error("this looks like a card number: send the payment provider's token for it, never the number")]
    CardNumber,
}

impl crate::body::Invalid for InvalidPaymentToken {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "invalid_payment_token",
            Self::CardNumber => "card_number_refused",
        }
    }
}

impl PaymentToken {
    /// The token, for the payment provider.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl TryFrom<String> for PaymentToken {
    type Error = InvalidPaymentToken;

    fn try_from(text: String) -> Result<Self, InvalidPaymentToken> {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let only_digits = text.bytes().all(|b| b.is_ascii_digit() || b == b' ' || b == b'-');
        if only_digits && digits >= 12 {
            return Err(InvalidPaymentToken::CardNumber);
        }
        if !(1..=255).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidPaymentToken::Malformed);
        }
        Ok(Self(text.into()))
    }
}

impl<E> deserr::Deserr<E> for PaymentToken
where
    E: deserr::DeserializeError + deserr::MergeWithError<InvalidPaymentToken>,
{
    fn deserialize_from_value<V: deserr::IntoValue>(
        value: deserr::Value<V>,
        location: deserr::ValuePointerRef<'_>,
    ) -> Result<Self, E> {
        let text = String::deserialize_from_value(value, location)?;
        Self::try_from(text).map_err(|error| deserr::take_cf_content(E::merge(None, error, location)))
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentToken(..)")
    }
}

impl Serialize for PaymentToken {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for PaymentToken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

events!("basket-service": CheckoutRequested -> [OrderIntake]);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pm_card_visa", None)]
    #[case("4242424242424242", Some(InvalidPaymentToken::CardNumber))]
    #[case("4242 4242 4242 4242", Some(InvalidPaymentToken::CardNumber))]
    #[case("4242-4242-4242-4242", Some(InvalidPaymentToken::CardNumber))]
    #[case("", Some(InvalidPaymentToken::Malformed))]
    #[case("pm card", Some(InvalidPaymentToken::Malformed))]
    fn a_card_number_is_no_token(#[case] text: &str, #[case] refused: Option<InvalidPaymentToken>) {
        assert_eq!(PaymentToken::try_from(text.to_owned()).err(), refused);
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = PaymentToken::try_from("pm_card_visa".to_owned()).unwrap();
        assert!(!format!("{token:?}").contains("visa"));
    }
}
