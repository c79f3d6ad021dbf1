//! What the contract says of all routes alike: who may call, and the problems that any of them answers.

use shared::problem::{FieldError, ProblemBody};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};

/// The contract without its routes.
#[must_use]
pub fn contract() -> utoipa::openapi::OpenApi {
    Contract::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Basket service",
        description = "Baskets of guests and customers, and the checkouts that become orders.\n\nA basket's id is `me` (or the caller's own subject), or a guest basket's id, which is all that is needed to use that basket.",
    ),
    tags(
        (name = "baskets", description = "Gathering"),
        (name = "checkouts", description = "Buying what was gathered"),
        (name = "internal", description = "For other services; not reached through the gateway"),
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Tokens),
)]
struct Contract;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("An access token of the shop's user pool."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearerAuth", SecurityScheme::Http(token));
    }
}

/// What any route may answer.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum Any {
    #[response(
        status = 400,
        description = "The request cannot be read. Codes: `invalid_request` (`errors` names every wrong field), `invalid_json`, `incomplete_body`, `idempotency_key_unsupported`",
        content_type = "application/problem+json"
    )]
    BadRequest(ProblemBody),
    #[response(
        status = 401,
        description = "The access token is missing or does not hold. Code: `unauthenticated`",
        content_type = "application/problem+json"
    )]
    Unauthorized(ProblemBody),
    #[response(
        status = 500,
        description = "A fault of ours. Code: `internal`",
        content_type = "application/problem+json"
    )]
    Internal(ProblemBody),
    #[response(
        status = 503,
        description = "Something that this needs is away or busy; try again after `Retry-After`. Code: `unavailable`",
        content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "Seconds"))
    )]
    Unavailable(ProblemBody),
}

/// What a route about one basket may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum OfABasket {
    #[response(
        status = 403,
        description = "A service's token, or a guest's basket where only a customer's will do. Codes: `forbidden`, `customers_only`",
        content_type = "application/problem+json"
    )]
    Forbidden(ProblemBody),
    #[response(
        status = 404,
        description = "There is no such basket, product id or checkout, or it is somebody else's. Code: `not_found`",
        content_type = "application/problem+json"
    )]
    NotFound(ProblemBody),
}

/// What a route that takes a body may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum OfABody {
    #[response(
        status = 413,
        description = "The body is too large. Code: `body_too_large`",
        content_type = "application/problem+json"
    )]
    TooLarge(ProblemBody),
    #[response(
        status = 415,
        description = "The body is no `application/json`. Code: `unsupported_media_type`",
        content_type = "application/problem+json"
    )]
    UnsupportedMediaType(ProblemBody),
}
