//! Cursors of lists: opaque, authenticated, and bound to the query and the caller that got them.
//!
//! A cursor holds a table's key, which a client must neither read meaning into nor make up.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The keys that sign cursors: the first signs, all of them verify, so that a new one can be put in
/// front and an old one taken away once its cursors have been used up.
pub struct CursorKeys {
    keys: Vec<hmac::Key>,
}

/// The setting holds no usable key.
#[derive(Debug, Error)]
#[error("cursor keys are texts of at least 32 characters, separated by commas")]
pub struct InvalidCursorKeys;

/// The cursor was altered, made up, or belongs to another query or caller.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("this cursor does not belong to this list; start again without it")]
pub struct InvalidCursor;

const TAG_BYTES: usize = 16;

impl CursorKeys {
    /// Reads the setting `CURSOR_KEYS`: one or more keys, separated by commas.
    ///
    /// # Errors
    /// A key has fewer than 32 characters.
    pub fn parse(setting: &SecretString) -> Result<Self, InvalidCursorKeys> {
        let texts = setting.expose_secret().split(',').map(str::trim);
        let keys = texts
            .map(|text| match text.len() {
                32.. => Ok(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())),
                _ => Err(InvalidCursorKeys),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { keys })
    }

    /// A cursor that stands for `position` in the list that `scope` names: the route, the filters,
    /// and the caller where the list is theirs alone.
    #[must_use]
    pub fn seal<P: Serialize>(&self, scope: &str, position: &P) -> Option<String> {
        let mut sealed = serde_json::to_vec(position).ok()?;
        let tag = hmac::sign(self.keys.first()?, &authenticated(scope, &sealed));
        sealed.extend_from_slice(tag.as_ref().get(..TAG_BYTES)?);
        Some(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The position that a cursor of this very list stands for.
    ///
    /// # Errors
    /// It was not made by one of our keys for this scope.
    pub fn open<P: DeserializeOwned>(&self, scope: &str, cursor: &str) -> Result<P, InvalidCursor> {
        // No position of ours is longer; a longer text is not worth decoding.
        if cursor.len() > 2048 {
            return Err(InvalidCursor);
        }
        let sealed = BASE64_URL_SAFE_NO_PAD
            .decode(cursor)
            .map_err(|_malformed| InvalidCursor)?;
        let at = sealed.len().checked_sub(TAG_BYTES).ok_or(InvalidCursor)?;
        let (position, tag) = sealed.split_at_checked(at).ok_or(InvalidCursor)?;
        let message = authenticated(scope, position);
        let ours = self.keys.iter().any(|key| {
            let expected = hmac::sign(key, &message);
            let expected = expected.as_ref().get(..TAG_BYTES).unwrap_or_default();
            aws_lc_rs::constant_time::verify_slices_are_equal(expected, tag).is_ok()
        });
        if !ours {
            return Err(InvalidCursor);
        }
        serde_json::from_slice(position).map_err(|_other_release| InvalidCursor)
    }
}

/// The length goes in front, so that a scope's end cannot pass for a position's beginning.
fn authenticated(scope: &str, position: &[u8]) -> Vec<u8> {
    let mut message = format!("{}:{scope}", scope.len()).into_bytes();
    message.extend_from_slice(position);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(setting: &str) -> CursorKeys {
        CursorKeys::parse(&SecretString::from(setting)).unwrap()
    }

    const OLD: &str = "an-old-key-of-thirty-two-letters";
    const NEW: &str = "a-new-key-of-more-than-thirty-two-letters";

    #[test]
    fn a_cursor_holds_for_its_own_list_alone() {
        let keys = keys(OLD);
        let cursor = keys.seal("products?category=tea", &("a", 1)).unwrap();
        assert_eq!(keys.open("products?category=tea", &cursor), Ok(("a".to_owned(), 1)));
        assert_eq!(
            keys.open::<(String, i32)>("products?category=coffee", &cursor),
            Err(InvalidCursor)
        );
    }

    #[test]
    fn keys_rotate_without_breaking_cursors_that_are_out() {
        let cursor = keys(OLD).seal("s", &1).unwrap();
        assert_eq!(keys(&format!("{NEW},{OLD}")).open("s", &cursor), Ok(1));
        assert_eq!(keys(NEW).open::<i32>("s", &cursor), Err(InvalidCursor));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(CursorKeys::parse(&SecretString::from("short")).is_err());
        assert!(CursorKeys::parse(&SecretString::from(format!("{NEW},"))).is_err());
    }

    proptest! {
        #[test]
        fn no_altered_cursor_opens(at in 0_usize..64, flip in 1_u8..=255) {
            let keys = keys(OLD);
            let mut sealed = BASE64_URL_SAFE_NO_PAD.decode(keys.seal("s", &("position", 7)).unwrap()).unwrap();
            let at = at % sealed.len();
            sealed[at] ^= flip;
            let altered = BASE64_URL_SAFE_NO_PAD.encode(sealed);
            prop_assert_eq!(keys.open::<(String, i32)>("s", &altered), Err(InvalidCursor));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            prop_assert_eq!(keys(OLD).open::<i32>("s", &text), Err(InvalidCursor));
        }
    }
}
