//! A merchant's adjustments of stock: by how much, why, and under which key, so that each is made
//! once.

use deserr::Deserr;
use shared::body::{FieldErrors, Invalid};
use shared::idempotency::Fingerprint;
use thiserror::Error;
use utoipa::ToSchema;

use crate::domain::stock::OnHand;
use crate::domain::text::Reason;

/// A change of stock by a merchant: not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr, ToSchema)]
#[deserr(try_from(i64) = Delta::try_from -> InvalidDelta, error = FieldErrors)]
#[schema(value_type = i32, example = -3)]
pub struct Delta(i64);

/// A change of nothing, or of more than a stock may have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a change of stock is from -{most} to {most} pieces, and not 0", most = OnHand::MAX.get())]
pub struct InvalidDelta;

impl Invalid for InvalidDelta {
    fn code(&self) -> &'static str {
        "invalid_delta"
    }
}

impl Delta {
    /// Pieces that come, or go if it is negative.
    #[must_use]
    pub fn pieces(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Delta {
    type Error = InvalidDelta;

    fn try_from(pieces: i64) -> Result<Self, InvalidDelta> {
        if pieces != 0 && pieces.unsigned_abs() <= OnHand::MAX.get().into() {
            Ok(Self(pieces))
        } else {
            Err(InvalidDelta)
        }
    }
}

/// The `Idempotency-Key` of an adjustment, with what was asked for under it, both as hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdjustmentKey {
    key: String,
    body: String,
}

/// A change of stock by a merchant, made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Pieces that come or go.
    pub delta: Delta,
    /// Why: kept with the stock until the next adjustment, for whoever wonders.
    pub reason: Reason,
    /// Under which it is known when it comes again.
    pub key: AdjustmentKey,
}

impl Adjustment {
    /// Of that caller, under that key.
    #[must_use]
    pub fn new(delta: Delta, reason: Reason, caller: &str, key: &str) -> Self {
        let body = format!("{} {reason}", delta.pieces());
        Self {
            delta,
            key: AdjustmentKey::new(caller, key, &body),
            reason,
        }
    }
}

/// What a key stands for in a stock that knows the last adjustments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownKey {
    /// It is not among them.
    No,
    /// It is, with the same request.
    Same,
    /// It is, with another request.
    Reused,
}

impl AdjustmentKey {
    /// Letters of the key's hash: 96 bits tell 16 keys apart.
    const KEY: usize = 24;
    const BODY: usize = 12;

    /// Of that caller, key and request.
    fn new(caller: &str, key: &str, body: &str) -> Self {
        let hash = |parts: &[&[u8]], letters: usize| -> String {
            Fingerprint::of(parts).as_str().chars().take(letters).collect()
        };
        Self {
            key: hash(&[caller.as_bytes(), key.as_bytes()], Self::KEY),
            body: hash(&[body.as_bytes()], Self::BODY),
        }
    }

    /// As it is stored: the key's part first.
    #[must_use]
    pub fn stored(&self) -> String {
        format!("{}{}", self.key, self.body)
    }

    /// One that was stored; none if it is none.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let (key, body) = text.split_at_checked(Self::KEY)?;
        (body.len() == Self::BODY).then(|| Self {
            key: key.to_owned(),
            body: body.to_owned(),
        })
    }

    /// What it stands for where these are known.
    #[must_use]
    pub fn among(&self, known: &[Self]) -> KnownKey {
        match known.iter().find(|one| one.key == self.key) {
            None => KnownKey::No,
            Some(one) if one.body == self.body => KnownKey::Same,
            Some(_) => KnownKey::Reused,
        }
    }

    /// The part that is the same for every request under the key.
    #[must_use]
    pub fn key_part(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_key_is_known_with_its_request() {
        let key = |caller, key, body| AdjustmentKey::new(caller, key, body);
        let known = [AdjustmentKey::from_stored(&key("m", "k", "+1").stored()).unwrap()];
        assert_eq!(key("m", "k", "+1").among(&known), KnownKey::Same);
        assert_eq!(key("m", "k", "+2").among(&known), KnownKey::Reused);
        assert_eq!(key("m", "l", "+1").among(&known), KnownKey::No);
        assert_eq!(key("n", "k", "+1").among(&known), KnownKey::No);
        assert_eq!(AdjustmentKey::from_stored("nonsense"), None);
    }

    #[rstest]
    #[case(0, false)]
    #[case(1, true)]
    #[case(-1_000_000_000, true)]
    #[case(-1_000_000_001, false)]
    #[case(i64::MIN, false)]
    fn a_delta_is_something_within_limits(#[case] pieces: i64, #[case] taken: bool) {
        assert_eq!(Delta::try_from(pieces).is_ok(), taken);
    }
}
