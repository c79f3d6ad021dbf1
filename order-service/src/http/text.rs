//! Short texts that people write, with their limits.

use std::fmt;
use std::marker::PhantomData;

use deserr::{DeserializeError, Deserr, IntoValue, MergeWithError, Value, ValuePointerRef, take_cf_content};
use shared::body::{FieldErrors, Invalid};
use thiserror::Error;
use utoipa::ToSchema;

/// Why somebody decides so.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
pub(crate) struct Because {
    /// 1 to 500 characters, none of them a control character. It is told to the other side.
    #[schema(value_type = String, min_length = 1, max_length = 500, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$")]
    reason: Text<Reason>,
}

/// A text of as many characters as its kind allows, none of them a control character, without the space
/// around it.
pub(super) struct Text<K>(String, PhantomData<K>);

/// Which text.
pub(super) trait Kind {
    /// Its longest, in characters.
    const MAX: usize;
    /// The code of one that is wrong.
    const CODE: &'static str;
}

/// Why.
pub(super) struct Reason;
/// Who carries an order.
pub(super) struct Carrier;
/// Under which number.
pub(super) struct Tracking;

impl Kind for Reason {
    const MAX: usize = 500;
    const CODE: &'static str = "invalid_reason";
}

impl Kind for Carrier {
    const MAX: usize = 100;
    const CODE: &'static str = "invalid_carrier";
}

impl Kind for Tracking {
    const MAX: usize = 100;
    const CODE: &'static str = "invalid_tracking";
}

/// Not such a text.
#[derive(Debug, Error)]
#[error("this has 1 to {max} characters, none of them a control character")]
pub(super) struct InvalidText {
    max: usize,
    code: &'static str,
}

impl Because {
    pub(super) fn into_reason(self) -> String {
        self.reason.into()
    }
}

impl<K: Kind> TryFrom<String> for Text<K> {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let text = text.trim();
        if (1..=K::MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned(), PhantomData))
        } else {
            Err(InvalidText {
                max: K::MAX,
                code: K::CODE,
            })
        }
    }
}

impl<K> From<Text<K>> for String {
    fn from(text: Text<K>) -> Self {
        text.0
    }
}

impl<K: Kind, E> Deserr<E> for Text<K>
where
    E: DeserializeError + MergeWithError<InvalidText>,
{
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, location: ValuePointerRef<'_>) -> Result<Self, E> {
        let text = String::deserialize_from_value(value, location)?;
        Self::try_from(text).map_err(|fault| take_cf_content(E::merge(None, fault, location)))
    }
}

impl<K> fmt::Debug for Text<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl Invalid for InvalidText {
    fn code(&self) -> &'static str {
        self.code
    }
}
