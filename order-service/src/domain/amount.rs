//! Amounts as the provider counts them. Ours are ISO 4217 minor units; Stripe's differ for some
//! currencies: <https://docs.stripe.com/currencies#minor-units>.
//!
//! Where the provider takes nothing as fine as our amount (thousandths of a dinar, hundredths of an
//! ariary), it is rounded down: nobody ever pays more than they agreed to, and parts that are given
//! back never come to more than was taken.

use shared::money::{Currency, Money};

/// How the provider writes amounts of a currency, beside ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scale {
    /// Decimals of the provider's minor unit.
    decimals: u8,
    /// What each amount has to be a multiple of, in the provider's minor units.
    step: i64,
}

/// Those whose amounts the provider takes in whole units.
/// <https://docs.stripe.com/currencies#zero-decimal>
const ZERO_DECIMAL: [&str; 15] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
];
/// Those with thousandths, of which the last digit has to be 0.
/// <https://docs.stripe.com/currencies#three-decimal>
const THREE_DECIMAL: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];
/// Those without hundredths whose amounts are written with two zeros all the same. UGX is on the list
/// of zero-decimal currencies too; this is the rule that holds.
/// <https://docs.stripe.com/currencies#special-cases>
const WHOLE_BUT_WRITTEN_IN_HUNDREDTHS: [&str; 2] = ["ISK", "UGX"];

/// An amount in the provider's minor units, rounded down to what it takes. `None`: it is too large.
#[must_use]
pub fn to_provider(amount: Money) -> Option<i64> {
    let scale = Scale::of(amount.currency);
    let minor = rescaled(amount.amount_minor, amount.currency.decimals(), scale.decimals)?;
    minor.checked_sub(minor.rem_euclid(scale.step))
}

/// An amount that the provider tells. `None`: it is too large.
#[must_use]
pub fn from_provider(amount: i64, currency: Currency) -> Option<Money> {
    let minor = rescaled(amount, Scale::of(currency).decimals, currency.decimals())?;
    Some(Money::new(minor, currency))
}

impl Scale {
    fn of(currency: Currency) -> Self {
        let code = currency.code();
        // HUF and TWD are special for payouts alone, which are none of ours: charges take hundredths.
        let (decimals, step) = if ZERO_DECIMAL.contains(&code) {
            (0, 1)
        } else if THREE_DECIMAL.contains(&code) {
            (3, 10)
        } else if WHOLE_BUT_WRITTEN_IN_HUNDREDTHS.contains(&code) {
            (2, 100)
        } else {
            (2, 1)
        };
        Self { decimals, step }
    }
}

fn rescaled(minor: i64, from: u8, to: u8) -> Option<i64> {
    let factor = 10_i64.checked_pow(from.abs_diff(to).into())?;
    if from <= to {
        minor.checked_mul(factor)
    } else {
        Some(minor.div_euclid(factor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// What the page on currencies says: the currency, a number of our minor units, Stripe's amount.
    #[rstest]
    // "To charge 10 USD, provide an amount value of 1000."
    #[case("USD", 1000, 1000)]
    #[case("EUR", 1999, 1999)]
    // Zero-decimal: "to charge ¥500, provide an amount value of 500."
    #[case("BIF", 500, 500)]
    #[case("CLP", 500, 500)]
    #[case("DJF", 500, 500)]
    #[case("GNF", 500, 500)]
    #[case("JPY", 500, 500)]
    #[case("KMF", 500, 500)]
    #[case("KRW", 500, 500)]
    #[case("PYG", 500, 500)]
    #[case("RWF", 500, 500)]
    #[case("VND", 500, 500)]
    #[case("VUV", 500, 500)]
    #[case("XAF", 500, 500)]
    #[case("XOF", 500, 500)]
    #[case("XPF", 500, 500)]
    // Zero-decimal there, while ISO 4217 gives the ariary hundredths.
    #[case("MGA", 50_000, 500)]
    #[case("MGA", 50_099, 500)]
    // Three decimals: "5.124 KWD must be rounded to 5120 or 5130."
    #[case("KWD", 5124, 5120)]
    #[case("BHD", 5129, 5120)]
    #[case("JOD", 5120, 5120)]
    #[case("OMR", 9, 0)]
    #[case("TND", 10, 10)]
    // Special: "to charge 5 ISK, provide an amount value of 500."
    #[case("ISK", 5, 500)]
    #[case("UGX", 5, 500)]
    // Special for payouts alone: charges take two decimals.
    #[case("HUF", 1045, 1045)]
    #[case("TWD", 80_045, 80_045)]
    fn amounts_are_written_as_the_provider_publishes_it(
        #[case] currency: &str,
        #[case] minor: i64,
        #[case] provider: i64,
    ) {
        let currency = currency.parse().unwrap();
        assert_eq!(to_provider(Money::new(minor, currency)), Some(provider));
        let back = from_provider(provider, currency).unwrap();
        assert_eq!(to_provider(back), Some(provider), "{back}");
        assert!(back.amount_minor <= minor);
    }

    #[test]
    fn an_amount_that_does_not_fit_is_none() {
        let krona = "ISK".parse().unwrap();
        assert_eq!(to_provider(Money::new(i64::MAX, krona)), None);
        assert_eq!(from_provider(i64::MAX, "MGA".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn parts_never_come_to_more_than_the_whole(
            a in 0_i64..1_000_000, b in 0_i64..1_000_000,
            code in prop::sample::select(vec!["USD", "JPY", "KWD", "MGA", "ISK", "HUF"]),
        ) {
            let currency = code.parse().unwrap();
            let at = |minor| to_provider(Money::new(minor, currency)).unwrap();
            prop_assert!(at(a) + at(b) <= at(a + b));
        }
    }
}
