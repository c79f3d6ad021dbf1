//! Where an order goes.

use std::fmt;

use deserr::Deserr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::body::{FieldErrors, Invalid};

/// A postal address. It is personal: no event but `CheckoutRequested`, no log line and no span
/// carries one, which is why `Debug` shows the country alone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub struct Address {
    /// Who receives it.
    pub name: AddressLine,
    /// Street and number.
    pub line1: AddressLine,
    /// Flat, floor, company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub line2: Option<AddressLine>,
    /// Town or city.
    pub city: AddressLine,
    /// As the country writes it.
    pub postal_code: AddressLine,
    /// State, province, region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub region: Option<AddressLine>,
    /// ISO 3166-1 alpha-2, such as `DE`.
    pub country: Country,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("country", &self.country)
            .finish_non_exhaustive()
    }
}

/// One line of an address: 1 to 200 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[deserr(try_from(String) = AddressLine::try_from -> InvalidAddress, error = FieldErrors)]
#[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 200))]
pub struct AddressLine(String);

/// A country, ISO 3166-1 alpha-2 in capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[deserr(try_from(String) = Country::try_from -> InvalidAddress, error = FieldErrors)]
#[schema(value_type = String, example = "DE", pattern = "^[A-Z]{2}$")]
#[schemars(with = "String", extend("pattern" = "^[A-Z]{2}$"))]
pub struct Country(isocountry::CountryCode);

/// What is wrong with a part of an address. It never repeats the text, which is personal.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidAddress {
    /// Empty, too long, or with control characters.
    #[error("a line of an address has 1 to 200 characters, none of them a control character")]
    Line,
    /// Not a country.
    #[error("a country is a code of ISO 3166-1 alpha-2 in capitals, such as DE")]
    Country,
}

impl Invalid for InvalidAddress {
    fn code(&self) -> &'static str {
        match self {
            Self::Line => "invalid_address_line",
            Self::Country => "unknown_country",
        }
    }
}

impl TryFrom<String> for AddressLine {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        if (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAddress::Line)
        }
    }
}

impl From<AddressLine> for String {
    fn from(line: AddressLine) -> Self {
        line.0
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidAddress;

    fn try_from(code: String) -> Result<Self, InvalidAddress> {
        match isocountry::CountryCode::for_alpha2(&code) {
            Ok(country) => Ok(Self(country)),
            Err(_) => Err(InvalidAddress::Country),
        }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0.alpha2().to_owned()
    }
}
