//! The parameters of a call: Stripe's form encoding (`metadata[order_id]=..`, `expand[]=..`), read one by one by name
//! and type. What nobody has read when a call was understood is refused, as Stripe refuses what it does not know.

use std::collections::BTreeMap;

use actix_web::web;
use aws_lc_rs::digest;

use super::fault::Fault;

/// Parameters not read yet.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

/// More than any call of Stripe's takes.
const MAX_PARAMS: usize = 200;

impl Params {
    pub(super) fn parse(encoded: &str) -> Result<Self, Fault> {
        let mut pairs = web::Query::<Vec<(String, String)>>::from_query(encoded)
            .map_err(|error| Fault::request(400, format!("Invalid form encoding: {error}")))?
            .into_inner();
        if pairs.len() > MAX_PARAMS {
            return Err(Fault::request(400, format!("More than {MAX_PARAMS} parameters")));
        }
        // By name only: of one given twice, the order says which is the last.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { pairs })
    }

    /// What tells this call from another under the same idempotency key; without regard to the parameters' order.
    pub(super) fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for (name, value) in &self.pairs {
            for part in [name, value] {
                // The length first, so that no two lists of pairs run together into one.
                context.update(&part.len().to_be_bytes());
                context.update(part.as_bytes());
            }
        }
        hex(context.finish().as_ref())
    }

    pub(super) fn text(&mut self, name: &str, limit: usize) -> Result<Option<String>, Fault> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        if value.is_empty() {
            return Err(Fault::parameter(
                "parameter_invalid_empty",
                name,
                format!(
                    "You passed an empty string for '{name}'. We assume empty values are an attempt to unset a \
                     parameter; however '{name}' cannot be unset. You should remove '{name}' from your request or \
                     supply a non-empty value."
                ),
            ));
        }
        if value.chars().count() > limit {
            return Err(Fault::parameter(
                "parameter_invalid_string",
                name,
                format!("Invalid string: {name}; must be at most {limit} characters"),
            ));
        }
        Ok(Some(value))
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.text(name, 40)? else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|error| {
            tracing::debug!(%error, "parameter is not an integer");
            Fault::parameter("parameter_invalid_integer", name, format!("Invalid integer: {value}"))
        })
    }

    /// Minor units, at least one.
    pub(super) fn amount(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        match self.integer(name)? {
            Some(amount) if amount < 1 => Err(Fault::parameter(
                "parameter_invalid_integer",
                name,
                "This value must be greater than or equal to 1.".to_owned(),
            )),
            amount => Ok(amount),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Fault> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// One of a few words, each with what it stands for.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, known: &[(&str, T)]) -> Result<Option<T>, Fault> {
        let Some(value) = self.text(name, 100)? else {
            return Ok(None);
        };
        if let Some((_, chosen)) = known.iter().find(|(word, _)| *word == value) {
            return Ok(Some(*chosen));
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        Err(Fault::parameter(
            "parameter_invalid_string",
            name,
            format!("Invalid {name}: must be one of {}", words.join(", ")),
        ))
    }

    /// An absolute web address.
    pub(super) fn web_address(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let Some(value) = self.text(name, 2048)? else {
            return Ok(None);
        };
        match reqwest::Url::parse(&value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(value)),
            Ok(_) | Err(_) => Err(Fault::parameter("url_invalid", name, "Not a valid URL".to_owned())),
        }
    }

    /// `name[]=a&name[]=b`, or numbered.
    pub(super) fn list(&mut self, name: &str) -> Vec<String> {
        self.entries(name).into_iter().map(|(_, value)| value).collect()
    }

    /// `metadata[key]=value`, within the limits of <https://docs.stripe.com/api/metadata>.
    pub(super) fn metadata(&mut self) -> Result<BTreeMap<String, String>, Fault> {
        let metadata: BTreeMap<String, String> = self.entries("metadata").into_iter().collect();
        if metadata.len() > MAX_METADATA {
            return Err(Fault::parameter(
                "parameter_invalid_hash",
                "metadata",
                format!("Metadata can have up to {MAX_METADATA} keys"),
            ));
        }
        for (key, value) in &metadata {
            if key.is_empty() || key.chars().count() > 40 || value.chars().count() > 500 {
                return Err(Fault::parameter(
                    "parameter_invalid_string",
                    &format!("metadata[{key}]"),
                    "Metadata keys must have 1 to 40 characters, and values up to 500.".to_owned(),
                ));
            }
        }
        Ok(metadata)
    }

    /// Reads what Stripe takes and the sandbox has no use for.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
            self.entries(name);
        }
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(Fault::parameter(
                "parameter_unknown",
                name,
                format!("Received unknown parameter: {name}"),
            )),
        }
    }

    /// Of one given twice the last one counts.
    fn take(&mut self, name: &str) -> Option<String> {
        self.pairs
            .extract_if(.., |(given, _)| given == name)
            .last()
            .map(|(_, value)| value)
    }

    fn entries(&mut self, name: &str) -> Vec<(String, String)> {
        let key_of = |given: &str| -> Option<String> {
            Some(
                given
                    .strip_prefix(name)?
                    .strip_prefix('[')?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        };
        self.pairs
            .extract_if(.., |(given, _)| key_of(given).is_some())
            .filter_map(|(given, value)| Some((key_of(&given)?, value)))
            .collect()
    }
}

/// <https://docs.stripe.com/api/metadata>
pub(super) const MAX_METADATA: usize = 50;

/// A value that a call cannot do without.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::parameter("parameter_missing", name, format!("Missing required param: {name}.")))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
