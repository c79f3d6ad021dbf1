//! Pages of a list: how many at most, and what comes next.

use deserr::Deserr;
use serde::Serialize;
use thiserror::Error;
use utoipa::ToSchema;

use crate::body::{FieldErrors, Invalid};

/// Entries of a page: 1 to 100, 20 where the client does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(try_from(String) = Limit::try_from -> InvalidLimit, error = FieldErrors)]
pub struct Limit(u8);

/// Not a number from 1 to 100.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a page has 1 to 100 entries")]
pub struct InvalidLimit;

impl Invalid for InvalidLimit {
    fn code(&self) -> &'static str {
        "invalid_limit"
    }
}

impl Limit {
    /// The number of entries.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<String> for Limit {
    type Error = InvalidLimit;

    fn try_from(text: String) -> Result<Self, InvalidLimit> {
        match text.parse() {
            Ok(n @ 1..=100) => Ok(Self(n)),
            Ok(_) | Err(_) => Err(InvalidLimit),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries, in the list's order.
    pub data: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}
