//! Identifiers that travel between the services. How a service comes by one (a product's from its
//! sku, a guest basket's from chance) is that service's own rule.

use std::fmt;
use std::str::FromStr;

use deserr::Deserr;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::body::{FieldErrors, Invalid};

/// A product, for ever: derived from its sku by the product service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserr, JsonSchema, ToSchema)]
#[serde(transparent)]
#[deserr(try_from(String) = ProductId::try_from -> InvalidId, error = FieldErrors)]
#[schema(value_type = Uuid)]
pub struct ProductId(Uuid);

/// An order, and the checkout that asked for it: the two share one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserr, JsonSchema, ToSchema)]
#[serde(transparent)]
#[deserr(try_from(String) = OrderId::try_from -> InvalidId, error = FieldErrors)]
#[schema(value_type = Uuid)]
pub struct OrderId(Uuid);

/// A customer: the `sub` of their access token. 1 to 128 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[deserr(try_from(String) = CustomerId::try_from -> InvalidId, error = FieldErrors)]
#[schema(value_type = String, min_length = 1, max_length = 128)]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 128))]
pub struct CustomerId(String);

/// The text was not an id of the kind that was asked for.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    expected: &'static str,
    text: String,
}

impl InvalidId {
    /// `expected` reads as the end of a sentence: "a product id (a UUID)".
    pub fn new(expected: &'static str, text: &str) -> Self {
        // What a client sent comes back to it shortened: an answer is no mirror for megabytes.
        Self {
            expected,
            text: text.chars().take(80).collect(),
        }
    }
}

impl Invalid for InvalidId {
    fn code(&self) -> &'static str {
        "invalid_id"
    }
}

macro_rules! uuid_id {
    ($name:ident, $expected:literal) => {
        impl $name {
            /// Takes the UUID as it is.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID behind the id.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Only the hyphenated form is an id: one resource has one address.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    Ok(_) | Err(_) => Err(InvalidId::new($expected, text)),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            /// As a text is read: a path that spells an id in another way is another address.
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(ProductId, "a product id (a UUID)");
uuid_id!(OrderId, "an order id (a UUID)");

impl OrderId {
    /// The id that a keyed request makes, the same however often it is repeated: a UUID v5 of who
    /// asks, by which route, under which `Idempotency-Key`. This is what makes the order itself the
    /// record of its key.
    #[must_use]
    pub fn derive(caller: &CustomerId, route: &str, key: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x8d3c_5f0e_27b1_5c4a_9e66_1f0a_2b7d_4c90);
        // Lengths go in front, so that no two triples run together into the same text.
        let name = format!("{}:{caller}{}:{route}{key}", caller.as_str().len(), route.len());
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

impl CustomerId {
    /// The subject as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CustomerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                "a customer id (1 to 128 visible ASCII characters)",
                text,
            ))
        }
    }
}

impl TryFrom<String> for CustomerId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<CustomerId> for String {
    fn from(id: CustomerId) -> Self {
        id.0
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_tells_caller_route_and_key_apart() {
        let id = |caller: &str, route, key| OrderId::derive(&caller.parse().unwrap(), route, key);
        assert_eq!(id("a", "checkout", "k"), id("a", "checkout", "k"));
        assert_ne!(id("a", "checkout", "k"), id("a", "orders", "k"));
        assert_ne!(id("a", "checkout", "k"), id("b", "checkout", "k"));
        // The same letters, cut elsewhere.
        assert_ne!(id("ab", "c", "k"), id("a", "bc", "k"));
        assert_ne!(id("a", "bc", "k"), id("a", "b", "ck"));
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        assert!("67e55044-10b1-426f-9247-bb680e5fe0c8".parse::<ProductId>().is_ok());
        for wrong in [
            "",
            "67e5504410b1426f9247bb680e5fe0c8",
            "{67e55044-10b1-426f-9247-bb680e5fe0c8}",
            "x",
        ] {
            assert!(wrong.parse::<ProductId>().is_err(), "{wrong}");
            assert!(serde_json::from_value::<OrderId>(wrong.into()).is_err(), "{wrong}");
        }
    }
}
