//! What the contract says of all routes alike, beyond what all services say.

use shared::documented::Tokens;
use shared::problem::{FieldError, ProblemBody};
use utoipa::{IntoResponses, OpenApi};

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
        (name = "operators", description = "For administrators"),
        (name = "internal", description = "For other services; not reached through the gateway"),
    ),
    components(schemas(ProblemBody, FieldError)),
    modifiers(&Tokens),
)]
struct Contract;

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
