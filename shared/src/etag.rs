//! Entity tags and the conditions on them (RFC 9110, sections 8.8.3 and 13.1).
//!
//! Weak forms are taken for the tag itself: the gateway weakens them when it compresses.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest};

use crate::problem::Problem;

/// An entity tag, without its quotes. What stands in it is the resource's own business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// `tag` holds visible ASCII without quotes.
    pub fn new(tag: impl fmt::Display) -> Self {
        Self(tag.to_string())
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a header's value.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        // Only a tag with control characters is no header value, and such a tag matches nothing.
        HeaderValue::from_str(&self.to_string()).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// The `If-Match` of a write: required, so that nobody overwrites what they have not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever is there.
    Any,
    /// One of these.
    Tags(Vec<ETag>),
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match condition(req.headers(), &header::IF_MATCH) {
            Some(Condition::Any) => Ok(Self::Any),
            Some(Condition::Tags(tags)) => Ok(Self::Tags(tags)),
            None => Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition_required",
                "send If-Match with the ETag of what you have read, or * to write over anything",
            )),
        })
    }
}

/// The `If-None-Match` of a read, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfNoneMatch(Option<Condition>);

impl IfNoneMatch {
    /// Whether the client has this already, so that 304 says all.
    #[must_use]
    pub fn has(&self, tag: &ETag) -> bool {
        match &self.0 {
            Some(Condition::Any) => true,
            Some(Condition::Tags(tags)) => tags.contains(tag),
            None => false,
        }
    }
}

impl FromRequest for IfNoneMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(condition(req.headers(), &header::IF_NONE_MATCH))))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Any,
    Tags(Vec<ETag>),
}

fn condition(headers: &HeaderMap, name: &header::HeaderName) -> Option<Condition> {
    let mut tags = Vec::new();
    let mut there = false;
    for value in headers.get_all(name) {
        there = true;
        for tag in value.to_str().unwrap_or_default().split(',') {
            let tag = tag.trim();
            if tag == "*" {
                return Some(Condition::Any);
            }
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            if let Some(inner) = tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
                tags.push(ETag(inner.to_owned()));
            }
        }
    }
    there.then_some(Condition::Tags(tags))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("\"1.2\"", true)]
    #[case("W/\"1.2\"", true)]
    #[case("\"0\", W/\"1.2\"", true)]
    #[case("*", true)]
    #[case("\"1.3\"", false)]
    #[case("1.2", false)]
    #[case("", false)]
    fn a_tag_matches_in_each_of_its_forms(#[case] sent: &str, #[case] matches: bool) {
        let request = TestRequest::get()
            .insert_header((header::IF_NONE_MATCH, sent))
            .to_http_request();
        let condition = IfNoneMatch(condition(request.headers(), &header::IF_NONE_MATCH));
        assert_eq!(condition.has(&ETag::new("1.2")), matches);
    }
}
