//! Whose basket it is.

use std::fmt::{self, Write};
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use shared::ids::{CustomerId, InvalidId};

/// A basket's id: the customer's own, of which each has one, or a guest's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BasketId {
    /// Of a customer; it is there from the beginning, empty.
    Customer(CustomerId),
    /// Of a guest; it is there once it was given out.
    Guest(GuestId),
}

/// A guest basket's id: `g_` and 32 hex digits of chance. Whoever has it may use the basket, so that
/// `Debug` shows only its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestId(u128);

const GUEST_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
const CUSTOMER_LIFETIME: SignedDuration = SignedDuration::from_hours(180 * 24);

impl BasketId {
    /// When a basket that is touched now expires: a guest's after 7 days, a customer's after 180.
    #[must_use]
    pub fn expiry(&self, now: Timestamp) -> Timestamp {
        let lifetime = match self {
            Self::Customer(_) => CUSTOMER_LIFETIME,
            Self::Guest(_) => GUEST_LIFETIME,
        };
        now.saturating_add(lifetime).unwrap_or(Timestamp::MAX)
    }
}

impl fmt::Display for BasketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(id) => id.fmt(f),
            Self::Guest(id) => id.fmt(f),
        }
    }
}

impl GuestId {
    /// The id that these 128 bits of chance make.
    #[must_use]
    pub const fn from_chance(bits: u128) -> Self {
        Self(bits)
    }
}

impl FromStr for GuestId {
    type Err = InvalidId;

    /// Only small letters: one basket has one address.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix("g_").filter(|digits| {
            digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        digits
            .and_then(|digits| u128::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| InvalidId::new("a guest basket's id (g_ and 32 hex digits)", text))
    }
}

impl TryFrom<String> for GuestId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g_{:032x}", self.0)
    }
}

impl fmt::Debug for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.to_string();
        f.write_str(whole.get(..6).unwrap_or_default())?;
        f.write_char('…')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_guest_id_reads_back_as_itself(bits: u128) {
            let id = GuestId::from_chance(bits);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_guest_id_has_one_spelling() {
        for wrong in [
            "g_0123456789ABCDEF0123456789abcdef",
            "g_+123456789abcdef0123456789abcdef",
            "g_0123",
            "0123456789abcdef0123456789abcdef",
            "me",
            "",
        ] {
            assert!(wrong.parse::<GuestId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_guests_id_is_not_shown_whole_in_logs() {
        let id = GuestId::from_chance(u128::MAX);
        assert_eq!(format!("{id:?}"), "g_ffff…");
    }
}
