//! Errors as clients see them: RFC 9457 `application/problem+json`.
//!
//! A [`Problem`] is made at the very edge, in a service's `http/error.rs` or by the plumbing here;
//! what went wrong inside has error types of its own. A 5xx has a fixed text, and its cause goes to
//! the log only.

use std::fmt;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::trace;

/// An answer that says what went wrong. Boxed, since it travels as the error of small results.
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body as a URI fragment (`#/items/0/quantity`), `?name` for a
    /// query parameter, or a header's name.
    pub pointer: String,
    /// What, for programs.
    pub code: &'static str,
    /// What, for people.
    pub detail: String,
}

/// RFC 9457's members, and ours. Some codes bring further members, named where the code is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `urn:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong, for programs; it never changes its meaning.
    pub code: &'static str,
    /// What went wrong this time, for people.
    pub detail: String,
    /// `urn:trace:` and the trace id: this very occurrence.
    pub instance: String,
    /// The W3C trace id under which the logs tell more. Absent where the gateway could not read the request
    /// so far as to trace it.
    #[schema(required = false)]
    pub trace_id: String,
    /// Every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// How long a client waits before it tries again after a 503, in seconds.
const RETRY_AFTER_S: u32 = 1;

impl Problem {
    /// `code` is for programs and stays; `detail` is for people and may name values of the request,
    /// never of the inside.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
        }))
    }

    /// 400 with every wrong field.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields of the request are wrong; `errors` names each", many.len()),
        };
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail);
        problem.0.errors = errors;
        problem
    }

    /// 400 with a code of its own, for what is wrong with the request as a whole.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401: no token, or one that does not hold.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the caller is known and may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A 404: what exists but is not the caller's gives the very same bytes (but for the trace id): the
    /// text depends on the kind of thing alone.
    pub fn not_found(kind: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {kind}"))
    }

    /// 409 with a code of its own.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 503: something that this needs is away or overloaded; nothing was lost, try again.
    pub fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "something that this needs is away or busy; try again in a moment",
        )
        .header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
        .because(cause)
    }

    /// 500: a fault of ours.
    pub fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "this failed through a fault of ours; it has been noted",
        )
        .because(cause)
    }

    /// A further member of the answer: what the code's reader needs to go on.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        // A value that cannot be JSON would be a fault of ours; the answer goes out without it.
        self.0
            .members
            .insert(member.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// A header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// What is behind it, for the log alone.
    #[must_use]
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Arc::new(cause));
        self
    }

    /// The code, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The text, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is behind it.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync)> {
        self.0.cause.as_deref()
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let trace_id = trace::current_trace_id();
        let mut response = HttpResponse::build(self.0.status);
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        let body = ProblemBody {
            kind: format!("urn:problem:{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            code: self.0.code,
            detail: self.0.detail.clone(),
            instance: format!("urn:trace:{trace_id}"),
            trace_id,
            errors: self.0.errors.clone(),
        };
        let mut body = serde_json::to_value(&body).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.extend(self.0.members.clone());
        }
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .content_type("application/problem+json")
            .body(body.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.code, self.0.detail)
    }
}

impl fmt::Debug for Problem {
    /// With its causes: this is what a failed test and the log show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause: Option<&dyn std::error::Error> = match self.cause() {
            Some(cause) => Some(cause),
            None => None,
        };
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
