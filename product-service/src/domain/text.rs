//! The texts that make up a product, each with its limit.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, Map, MergeWithError, Value, ValueKind, ValuePointerRef,
    take_cf_content,
};
use serde::{Deserialize, Serialize};
use shared::body::{FieldErrors, Invalid};
use thiserror::Error;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A text, or a set of texts, that breaks its rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{detail}")]
pub struct InvalidText {
    code: &'static str,
    detail: String,
}

impl InvalidText {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

impl Invalid for InvalidText {
    fn code(&self) -> &'static str {
        self.code
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:path, $($schema:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Deserr, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[deserr(try_from(String) = $name::try_from -> InvalidText, error = FieldErrors)]
        #[schema(value_type = String, $($schema)*)]
        pub struct $name(String);

        impl $name {
            /// As it was sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The merchant's own key of a product: 1 to 64 of `A-Z a-z 0-9 . _ -`. It never changes.
    Sku, check_sku, example = "TEA-EARL-GREY-100", pattern = "^[A-Za-z0-9._-]{1,64}$"
);
text!(
    /// What a product is called: 1 to 200 characters, not only blanks, no control characters.
    Name, check_name, example = "Earl Grey, 100 g", min_length = 1, max_length = 200, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$"
);
text!(
    /// A product told at length: at most 8 KiB.
    Description, check_description, max_length = 8192
);
text!(
    /// Where a product belongs: 1 to 100 characters, not only blanks, no control characters. Any
    /// other character is taken as it is, and two categories are one only if they are spelled alike.
    Category, check_category, example = "Tea", min_length = 1, max_length = 100, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$"
);
text!(
    /// Where a product's picture is: an `https`, `http` or `data:image/` URL of at most 2,048 characters.
    /// The pattern is of what surely is taken.
    ImageUrl, check_image_url, example = "https://example.com/tea.svg", max_length = 2048,
    pattern = r"^(https?://[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)*(:[0-9]{1,4})?(/[!-~]*)?|data:image/[!-~]*)$"
);

text!(
    /// Why stock was adjusted: 1 to 200 characters, not only blanks, no control characters.
    Reason, check_reason, example = "delivery", min_length = 1, max_length = 200, pattern = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$"
);

fn check_sku(text: &str) -> Result<(), InvalidText> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(InvalidText::new(
            "invalid_sku",
            "a sku is 1 to 64 of the characters A-Z a-z 0-9 . _ -",
        ))
    }
}

fn check_name(text: &str) -> Result<(), InvalidText> {
    check_label(text, 200, "invalid_name", "name_too_long", "a name")
}

fn check_reason(text: &str) -> Result<(), InvalidText> {
    check_label(text, 200, "invalid_reason", "reason_too_long", "a reason")
}

fn check_category(text: &str) -> Result<(), InvalidText> {
    check_label(text, 100, "invalid_category", "category_too_long", "a category")
}

fn check_label(
    text: &str,
    most: usize,
    invalid: &'static str,
    too_long: &'static str,
    what: &str,
) -> Result<(), InvalidText> {
    if text.trim().is_empty() {
        Err(InvalidText::new(invalid, format!("{what} is not blank")))
    } else if text.chars().any(char::is_control) {
        Err(InvalidText::new(invalid, format!("{what} has no control characters")))
    } else if text.chars().count() > most {
        Err(InvalidText::new(
            too_long,
            format!("{what} has at most {most} characters"),
        ))
    } else {
        Ok(())
    }
}

fn check_description(text: &str) -> Result<(), InvalidText> {
    const MOST: usize = 8 * 1024;
    if text.len() > MOST {
        return Err(InvalidText::new(
            "description_too_long",
            format!("a description has at most {MOST} bytes, this one has {}", text.len()),
        ));
    }
    Ok(())
}

fn check_image_url(text: &str) -> Result<(), InvalidText> {
    const MOST: usize = 2048;
    if text.len() > MOST {
        return Err(InvalidText::new(
            "image_url_too_long",
            format!("an image URL has at most {MOST} characters"),
        ));
    }
    let invalid = || {
        InvalidText::new(
            "invalid_image_url",
            "an image URL is absolute, and of https, http, or data:image/",
        )
    };
    let url = url::Url::parse(text).map_err(|_unparsable| invalid())?;
    match url.scheme() {
        "https" | "http" if url.has_host() => Ok(()),
        "data" if url.path().starts_with("image/") => Ok(()),
        _ => Err(invalid()),
    }
}

/// Further properties of a product, by name: at most 50, names of 1 to 64 characters, values of at
/// most 500.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Attributes(BTreeMap<String, String>);

impl ToSchema for Attributes {}

impl PartialSchema for Attributes {
    fn schema() -> RefOr<Schema> {
        let text = |longest| ObjectBuilder::new().schema_type(Type::String).max_length(Some(longest));
        ObjectBuilder::new()
            .description(Some("Further properties of a product, by name."))
            .property_names(Some(text(Self::NAME).min_length(Some(1))))
            .additional_properties(Some(text(Self::VALUE)))
            .max_properties(Some(Self::MOST))
            .examples([serde_json::json!({"origin": "Assam"})])
            .into()
    }
}

impl Attributes {
    const MOST: usize = 50;
    const NAME: usize = 64;
    const VALUE: usize = 500;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// By hand, since deserr's own reading of a map forgets the values that were wrong.
impl Deserr<FieldErrors> for Attributes {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, FieldErrors> {
        let Value::Map(map) = value else {
            let wrong = ErrorKind::IncorrectValueKind {
                actual: value,
                accepted: &[ValueKind::Map],
            };
            return Err(take_cf_content(FieldErrors::error(None, wrong, location)));
        };
        let mut read = BTreeMap::new();
        let mut errors = None;
        for (name, value) in map.into_iter() {
            let place = location.push_key(&name);
            let value: Result<String, FieldErrors> = String::deserialize_from_value(value.into_value(), place);
            match value {
                Ok(value) => {
                    read.insert(name, value);
                }
                Err(wrong) => errors = Some(take_cf_content(FieldErrors::merge(errors, wrong, place))),
            }
        }
        match errors {
            Some(errors) => Err(errors),
            None => Self::try_from(read).map_err(|wrong| take_cf_content(FieldErrors::merge(None, wrong, location))),
        }
    }
}

impl TryFrom<BTreeMap<String, String>> for Attributes {
    type Error = InvalidText;

    fn try_from(all: BTreeMap<String, String>) -> Result<Self, InvalidText> {
        if all.len() > Self::MOST {
            return Err(InvalidText::new(
                "too_many_attributes",
                format!(
                    "a product has at most {} attributes, this one has {}",
                    Self::MOST,
                    all.len()
                ),
            ));
        }
        for (name, value) in &all {
            if !(1..=Self::NAME).contains(&name.chars().count()) {
                return Err(InvalidText::new(
                    "invalid_attribute_name",
                    format!("an attribute's name has 1 to {} characters", Self::NAME),
                ));
            }
            if value.chars().count() > Self::VALUE {
                return Err(InvalidText::new(
                    "attribute_too_long",
                    format!("an attribute's value has at most {} characters: {name}", Self::VALUE),
                ));
            }
        }
        Ok(Self(all))
    }
}

impl From<Attributes> for BTreeMap<String, String> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn code<T>(made: Result<T, InvalidText>) -> Option<&'static str> {
        made.err().map(|e| e.code())
    }

    #[rstest]
    #[case("A.b_c-9", None)]
    #[case(&"x".repeat(64), None)]
    #[case("", Some("invalid_sku"))]
    #[case(&"x".repeat(65), Some("invalid_sku"))]
    #[case("a b", Some("invalid_sku"))]
    #[case("ä", Some("invalid_sku"))]
    #[case("a/b", Some("invalid_sku"))]
    #[case("a#b", Some("invalid_sku"))]
    fn a_sku_is_plain(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(code(text.parse::<Sku>()), expected);
    }

    #[rstest]
    #[case("Schön & gut / <b>", None)]
    #[case(&"ß".repeat(200), None)]
    #[case(&"ß".repeat(201), Some("name_too_long"))]
    #[case(" \t ", Some("invalid_name"))]
    #[case("a\u{0}b", Some("invalid_name"))]
    #[case("two\nlines", Some("invalid_name"))]
    fn a_name_is_a_line_of_text(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(code(text.parse::<Name>()), expected);
    }

    #[rstest]
    #[case("https://example.com/a.png", None)]
    #[case("data:image/svg+xml;utf8,<svg/>", None)]
    #[case("data:text/html,<script>", Some("invalid_image_url"))]
    #[case("javascript:alert(1)", Some("invalid_image_url"))]
    #[case("/a.png", Some("invalid_image_url"))]
    fn an_image_url_can_only_show_an_image(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(code(text.parse::<ImageUrl>()), expected);
    }

    #[test]
    fn a_description_is_limited_in_bytes() {
        assert_eq!(code("x".repeat(8192).parse::<Description>()), None);
        assert_eq!(
            code("ß".repeat(4097).parse::<Description>()),
            Some("description_too_long")
        );
    }

    #[test]
    fn attributes_are_limited_in_number_and_length() {
        let some = |n: usize| {
            (0..n)
                .map(|i| (format!("a{i}"), "v".to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(code(Attributes::try_from(some(50))), None);
        assert_eq!(code(Attributes::try_from(some(51))), Some("too_many_attributes"));
        let long = BTreeMap::from([("a".to_owned(), "v".repeat(501))]);
        assert_eq!(code(Attributes::try_from(long)), Some("attribute_too_long"));
        let nameless = BTreeMap::from([(String::new(), "v".to_owned())]);
        assert_eq!(code(Attributes::try_from(nameless)), Some("invalid_attribute_name"));
    }
}
