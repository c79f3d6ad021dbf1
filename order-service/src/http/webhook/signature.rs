//! Who sent a webhook: <https://docs.stripe.com/webhooks#verify-manually>.
//!
//! `Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>`, where each `v1` is the HMAC-SHA256 of `<t>.<body>`
//! under one of the endpoint's secrets: several while a secret is being changed. Other schemes (`v0`)
//! are passed over, as Stripe says, so that nobody can ask for a weaker one.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// The endpoint's secrets, and how old a signature may be.
#[derive(Clone)]
pub(crate) struct Signatures {
    keys: Vec<hmac::Key>,
    tolerance: SignedDuration,
}

/// The secrets are none.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum InvalidSecrets {
    #[error("a secret has {SHORTEST_SECRET} characters at least; several are separated by commas")]
    TooShort,
    #[error("there are {MOST_SECRETS} secrets at most")]
    TooMany,
}

/// It does not show that the provider sent this.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotSigned {
    #[error("the Stripe-Signature header is missing, or is not `t=<seconds>,v1=<hex>`")]
    Malformed,
    #[error("no signature in the Stripe-Signature header is of this body under a secret of this endpoint")]
    Mismatch,
    #[error("the signature is too old, or of a time to come")]
    OutOfTime,
}

/// Stripe's have 38.
const SHORTEST_SECRET: usize = 16;
/// Two are in use while one is being changed.
const MOST_SECRETS: usize = 8;
/// Each of Stripe's secrets in use makes one.
const MOST_SIGNATURES: usize = 16;

impl Signatures {
    /// Secrets separated by commas: a signature under any of them holds.
    ///
    /// # Errors
    /// One is too short to be a secret, or there are too many.
    pub(crate) fn new(secrets: &SecretString, tolerance: Duration) -> Result<Self, InvalidSecrets> {
        let secrets: Vec<&str> = secrets.expose_secret().split(',').map(str::trim).collect();
        if secrets.len() > MOST_SECRETS {
            return Err(InvalidSecrets::TooMany);
        }
        if secrets.iter().any(|secret| secret.len() < SHORTEST_SECRET) {
            return Err(InvalidSecrets::TooShort);
        }
        let key = |secret: &&str| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Ok(Self {
            keys: secrets.iter().map(key).collect(),
            tolerance: SignedDuration::try_from(tolerance).unwrap_or(SignedDuration::MAX),
        })
    }

    /// # Errors
    /// The header does not show that somebody who knows a secret sent this body lately.
    pub(crate) fn verify(&self, header: Option<&str>, body: &[u8], now: Timestamp) -> Result<(), NotSigned> {
        let stated = Stated::read(header.ok_or(NotSigned::Malformed)?).ok_or(NotSigned::Malformed)?;
        let mut signed = false;
        for key in &self.keys {
            let mut context = hmac::Context::with_key(key);
            context.update(stated.time.as_bytes());
            context.update(b".");
            context.update(body);
            let tag = hex(context.sign().as_ref());
            for given in &stated.signatures {
                // Each is compared, whole, whatever came of the others.
                signed |= constant_time::verify_slices_are_equal(tag.as_bytes(), given.as_bytes()).is_ok();
            }
        }
        if !signed {
            return Err(NotSigned::Mismatch);
        }
        // Only now is the time somebody's word.
        let time = stated.time.parse().ok().and_then(|s| Timestamp::from_second(s).ok());
        let time = time.ok_or(NotSigned::Malformed)?;
        if now.duration_since(time).abs() > self.tolerance {
            return Err(NotSigned::OutOfTime);
        }
        Ok(())
    }
}

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures")
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// What a header says, not believed yet.
struct Stated<'a> {
    /// As it is written, since that is what is signed.
    time: &'a str,
    signatures: Vec<&'a str>,
}

impl<'a> Stated<'a> {
    fn read(header: &'a str) -> Option<Self> {
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=')? {
                ("t", _) if time.is_some() => return None,
                ("t", seconds) => time = Some(seconds),
                ("v1", _) if signatures.len() >= MOST_SIGNATURES => return None,
                ("v1", signature) => signatures.push(signature),
                _ => {}
            }
        }
        let time = time.filter(|time| !time.is_empty())?;
        (!signatures.is_empty()).then_some(Self { time, signatures })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const OTHER: &str = "whsec_other_secret";
    const AT: i64 = 1_492_774_577;
    const BODY: &str = r#"{"id": "evt_1"}"#;

    fn signatures(secrets: &str) -> Signatures {
        Signatures::new(&SecretString::from(secrets), Duration::from_secs(300)).unwrap()
    }

    fn v1(secret: &str, time: &str, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex(hmac::sign(&key, format!("{time}.{body}").as_bytes()).as_ref())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn good() -> String {
        format!("t={AT},v1={}", v1(SECRET, &AT.to_string(), BODY))
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // printf '1492774577.{}' | openssl dgst -sha256 -hmac whsec_test_secret
        let header = "t=1492774577,v1=53140ab8fa70c511cc40d5c9198af7dde7bbaee877038c056d8250c3bd3b2e11";
        assert_eq!(signatures(SECRET).verify(Some(header), b"{}", at(AT)), Ok(()));
    }

    #[test]
    fn any_of_the_secrets_and_any_of_the_signatures_will_do() {
        let both = format!("{OTHER}, {SECRET}");
        assert_eq!(signatures(&both).verify(Some(&good()), BODY.as_bytes(), at(AT)), Ok(()));
        let (time, zeros) = (AT.to_string(), "0".repeat(64));
        let header = format!(
            "t={time},v0={zeros},v1={zeros},v1={},v1={}",
            v1(OTHER, &time, BODY),
            v1(SECRET, &time, BODY)
        );
        assert_eq!(
            signatures(SECRET).verify(Some(&header), BODY.as_bytes(), at(AT)),
            Ok(())
        );
    }

    #[rstest]
    #[case(-300, Ok(()))]
    #[case(300, Ok(()))]
    #[case(-301, Err(NotSigned::OutOfTime))]
    #[case(301, Err(NotSigned::OutOfTime))]
    fn a_signature_holds_for_as_long_as_the_tolerance(#[case] after: i64, #[case] verdict: Result<(), NotSigned>) {
        let verified = signatures(SECRET).verify(Some(&good()), BODY.as_bytes(), at(AT + after));
        assert_eq!(verified, verdict);
    }

    #[test]
    fn what_is_not_of_this_body_time_secret_or_scheme_does_not_hold() {
        let (time, later) = (AT.to_string(), (AT + 1).to_string());
        let right = v1(SECRET, &time, BODY);
        let refused = [
            format!("t={time},v1={}", v1(OTHER, &time, BODY)),
            format!("t={time},v1={}", v1(SECRET, &time, "{}")),
            format!("t={later},v1={right}"),
            format!("t={time},v1={}", right.get(..63).unwrap()),
            format!("t={time},v1="),
        ];
        for header in refused {
            let verified = signatures(SECRET).verify(Some(&header), BODY.as_bytes(), at(AT));
            assert_eq!(verified, Err(NotSigned::Mismatch), "{header}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        let right = v1(SECRET, &AT.to_string(), BODY);
        let refused = [
            String::new(),
            "t".to_owned(),
            format!("t={AT}"),
            format!("v1={right}"),
            format!("t=,v1={right}"),
            format!("t={AT},v0={right}"),
            format!("t={AT},t={AT},v1={right}"),
            format!("t={AT}{}", format!(",v1={right}").repeat(17)),
            format!("t=soon,v1={}", v1(SECRET, "soon", BODY)),
            format!("t={},v1={}", i64::MAX, v1(SECRET, &i64::MAX.to_string(), BODY)),
        ];
        for header in refused {
            let verified = signatures(SECRET).verify(Some(&header), BODY.as_bytes(), at(AT));
            assert_eq!(verified, Err(NotSigned::Malformed), "{header}");
        }
        let verified = signatures(SECRET).verify(None, BODY.as_bytes(), at(AT));
        assert_eq!(verified, Err(NotSigned::Malformed));
    }

    #[rstest]
    #[case("", InvalidSecrets::TooShort)]
    #[case("whsec_test_secret,", InvalidSecrets::TooShort)]
    #[case("whsec_short", InvalidSecrets::TooShort)]
    fn what_is_no_secret_is_refused_at_the_start(#[case] secrets: &str, #[case] why: InvalidSecrets) {
        let refused = Signatures::new(&SecretString::from(secrets), Duration::from_secs(300));
        assert_eq!(refused.unwrap_err(), why);
    }
}
