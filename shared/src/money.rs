//! Money in whole minor units: no floats anywhere, and an overflow is an error, never a wrap.

use std::fmt;
use std::str::FromStr;

use deserr::Deserr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::body::{FieldErrors, Invalid};
use crate::quantity::Quantity;

/// An amount of one currency, in its minor units: `{"amount_minor": 1999, "currency": "USD"}` is
/// 19.99 US dollars. How many decimals a currency has is ISO 4217's to say.
//
// In a request a further field is refused; in an event, which a later release may have told, it is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub struct Money {
    /// Signed, in minor units of the currency.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: Currency,
}

/// An ISO 4217 currency code, three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Deserr, JsonSchema, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[deserr(try_from(String) = Currency::try_from -> UnknownCurrency, error = FieldErrors)]
#[schema(value_type = String, example = "USD", pattern = "^[A-Z]{3}$")]
#[schemars(with = "String", extend("pattern" = "^[A-Z]{3}$"))]
pub struct Currency(iso_currency::Currency);

/// Not a code of ISO 4217.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a currency code of ISO 4217, such as USD")]
pub struct UnknownCurrency(String);

impl Invalid for UnknownCurrency {
    fn code(&self) -> &'static str {
        "unknown_currency"
    }
}

/// Two amounts that do not add up.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MoneyError {
    /// Amounts of different currencies have no sum.
    #[error("{left} and {right} do not add up")]
    CurrencyMismatch {
        /// Of the first amount.
        left: Currency,
        /// Of the second.
        right: Currency,
    },
    /// The result does not fit into 64 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
}

impl Money {
    /// So many minor units of that currency.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// Nothing, in that currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// # Errors
    /// The currencies differ, or the sum overflows.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let sum = self
            .amount_minor
            .checked_add(other.amount_minor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self::new(sum, self.currency))
    }

    /// # Errors
    /// The currencies differ, or the difference overflows.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let rest = self
            .amount_minor
            .checked_sub(other.amount_minor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self::new(rest, self.currency))
    }

    /// A line's total: this unit price, so many times.
    ///
    /// # Errors
    /// The product overflows.
    pub fn checked_mul(self, quantity: Quantity) -> Result<Self, MoneyError> {
        let product = self
            .amount_minor
            .checked_mul(quantity.get().into())
            .ok_or(MoneyError::Overflow)?;
        Ok(Self::new(product, self.currency))
    }

    /// The sum of all, which is nothing of `currency` when there are none.
    ///
    /// # Errors
    /// One of them is in another currency, or the sum overflows.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            })
        }
    }
}

impl fmt::Display for Money {
    /// In whole units, as a person reads it: `19.99 USD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.decimals());
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount_minor.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        match fraction {
            "" => write!(f, "{sign}{whole} {}", self.currency),
            _ => write!(f, "{sign}{whole}.{fraction} {}", self.currency),
        }
    }
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals between the minor unit and the whole one: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn decimals(self) -> u8 {
        self.0.exponent().and_then(|n| u8::try_from(n).ok()).unwrap_or(0)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        iso_currency::Currency::from_code(code)
            .map(Self)
            .ok_or_else(|| UnknownCurrency(code.chars().take(16).collect()))
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, UnknownCurrency> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1999, "USD", "19.99 USD")]
    #[case(-5, "USD", "-0.05 USD")]
    #[case(1999, "JPY", "1999 JPY")]
    #[case(1999, "KWD", "1.999 KWD")]
    #[case(i64::MIN, "USD", "-92233720368547758.08 USD")]
    fn money_reads_as_people_write_it(#[case] minor: i64, #[case] code: &str, #[case] text: &str) {
        assert_eq!(Money::new(minor, code.parse().unwrap()).to_string(), text);
    }

    #[test]
    fn different_currencies_do_not_add_up() {
        let (usd, eur) = ("USD".parse().unwrap(), "EUR".parse().unwrap());
        let error = Money::new(1, usd).checked_add(Money::new(1, eur)).unwrap_err();
        assert_eq!(error, MoneyError::CurrencyMismatch { left: usd, right: eur });
    }

    proptest! {
        #[test]
        fn a_sum_is_exact_or_an_error(a: i64, b: i64, n in 1_i64..=999) {
            let usd = "USD".parse().unwrap();
            let sum = Money::new(a, usd).checked_add(Money::new(b, usd)).map(|m| m.amount_minor);
            prop_assert_eq!(sum.ok(), i64::try_from(i128::from(a) + i128::from(b)).ok());
            let product = Money::new(a, usd).checked_mul(n.try_into().unwrap()).map(|m| m.amount_minor);
            prop_assert_eq!(product.ok(), i64::try_from(i128::from(a) * i128::from(n)).ok());
        }
    }
}
