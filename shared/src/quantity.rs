//! How many of one product a line may hold.

use std::fmt;

use deserr::Deserr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::body::{FieldErrors, Invalid};

/// The quantity of a line: 1 to 999 pieces.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[deserr(try_from(i64) = Quantity::try_from -> QuantityOutOfRange, error = FieldErrors)]
#[schema(value_type = u16, minimum = 1, maximum = 999)]
#[schemars(with = "u16", extend("minimum" = 1, "maximum" = 999))]
pub struct Quantity(u16);

/// Less than one piece, or more than a line holds.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a quantity is from 1 to {max}, not {got}", max = Quantity::MAX.0)]
pub struct QuantityOutOfRange {
    got: i64,
}

impl Invalid for QuantityOutOfRange {
    fn code(&self) -> &'static str {
        "quantity_limit"
    }
}

impl Quantity {
    /// The least: one piece.
    pub const ONE: Self = Self(1);
    /// The most that one line holds.
    pub const MAX: Self = Self(999);

    /// The number of pieces.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The sum of both, when one line may hold it.
    ///
    /// # Errors
    /// The sum is above [`Quantity::MAX`].
    pub fn checked_add(self, other: Self) -> Result<Self, QuantityOutOfRange> {
        Self::try_from(i64::from(self.0) + i64::from(other.0))
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityOutOfRange;

    fn try_from(pieces: i64) -> Result<Self, QuantityOutOfRange> {
        match u16::try_from(pieces) {
            Ok(n) if (Self::ONE.0..=Self::MAX.0).contains(&n) => Ok(Self(n)),
            Ok(_) | Err(_) => Err(QuantityOutOfRange { got: pieces }),
        }
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0.into()
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
