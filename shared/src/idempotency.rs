//! The `Idempotency-Key` header (IETF draft `draft-ietf-httpapi-idempotency-key-header`, and
//! Stripe's practice). Where a key is kept, and what a second request gets, is each route's own.

use std::fmt;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use aws_lc_rs::digest;

use crate::problem::Problem;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header that marks an answer as the first one given again.
pub const IDEMPOTENT_REPLAYED: &str = "idempotent-replayed";

/// A key that a client chose for one request: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// As sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Problem;

    fn from_str(key: &str) -> Result<Self, Problem> {
        if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(key.to_owned()))
        } else {
            Err(Problem::bad_request(
                "invalid_idempotency_key",
                "an Idempotency-Key has 1 to 255 visible ASCII characters",
            ))
        }
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut sent = req.headers().get_all(IDEMPOTENCY_KEY);
        ready(match (sent.next(), sent.next()) {
            (Some(key), None) => key.to_str().unwrap_or_default().parse(),
            (Some(_), Some(_)) => Err(Problem::bad_request(
                "invalid_idempotency_key",
                "send one Idempotency-Key",
            )),
            (None, _) => Err(Problem::bad_request(
                "idempotency_key_required",
                "send an Idempotency-Key, a text of your own that stays the same when you repeat this request",
            )),
        })
    }
}

/// SHA-256 over what makes two requests the same, in hex. The parts are told apart by their lengths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of these parts, in this order.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in parts {
            context.update(part.len().to_string().as_bytes());
            context.update(b":");
            context.update(part);
        }
        let hex = context
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(hex)
    }

    /// The hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Fingerprint {
    /// One that was stored.
    fn from(hex: String) -> Self {
        Self(hex)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
