//! What the contracts of all services say alike: the tokens, and the problems that routes answer.
//!
//! The types only describe, for the `responses(..)` of a route's OpenAPI attribute. Of two answers with
//! one status the later counts: name these first, and then what a route says otherwise. Answers that
//! speak of one service's resources are documented in that service.

use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify};

use crate::problem::ProblemBody;

/// Adds the scheme `bearerAuth`, which routes name in their `security(..)`.
#[derive(Debug)]
pub struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token of the shop's user pool, or a service's."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearerAuth", SecurityScheme::Http(token));
    }
}

/// What any route may answer.
#[derive(Debug, IntoResponses)]
pub enum Any {
    /// Not readable.
    #[response(
        status = 400,
        description = "The request cannot be read. Codes: `invalid_request` (`errors` names every wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`",
        content_type = "application/problem+json"
    )]
    BadRequest(ProblemBody),
    /// Our fault.
    #[response(
        status = 500,
        description = "A fault of ours. Code: `internal`",
        content_type = "application/problem+json"
    )]
    Internal(ProblemBody),
    /// Away, or busy.
    #[response(
        status = 503,
        description = "Something that this needs is away or busy; try again after `Retry-After`. Code: `unavailable`",
        content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds"))
    )]
    Unavailable(ProblemBody),
}

/// What a route that looks at tokens may answer besides.
#[derive(Debug, IntoResponses)]
pub enum WithToken {
    /// No token, or one that does not hold.
    #[response(
        status = 401,
        description = "The access token is missing or does not hold. Code: `unauthenticated`",
        content_type = "application/problem+json"
    )]
    Unauthorized(ProblemBody),
}

/// What a route for merchants answers others.
#[derive(Debug, IntoResponses)]
pub enum ForMerchants {
    /// Not a merchant's token.
    #[response(
        status = 403,
        description = "This is for merchants. Code: `forbidden`",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemBody),
}

/// What a route for admins answers others.
#[derive(Debug, IntoResponses)]
pub enum ForAdmins {
    /// Not an admin's token.
    #[response(
        status = 403,
        description = "This is for admins. Code: `forbidden`",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemBody),
}

/// What a route that takes a JSON body may answer besides.
#[derive(Debug, IntoResponses)]
pub enum OfABody {
    /// Too slow.
    #[response(
        status = 408,
        description = "The body did not arrive in time. Code: `timeout`",
        content_type = "application/problem+json"
    )]
    TooSlow(ProblemBody),
    /// Above the limit.
    #[response(
        status = 413,
        description = "The body is too large. Code: `body_too_large`",
        content_type = "application/problem+json"
    )]
    TooLarge(ProblemBody),
    /// Not JSON, or packed.
    #[response(
        status = 415,
        description = "The body is of another media type, or has a content coding. Code: `unsupported_media_type`",
        content_type = "application/problem+json"
    )]
    UnsupportedMediaType(ProblemBody),
}
