//! What the contract says of several routes alike, beyond what all services say.

use shared::problem::ProblemBody;
use utoipa::IntoResponses;

/// What a route about one order may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum OfAnOrder {
    #[response(
        status = 404,
        description = "There is no such order, or it is somebody else's. Code: `not_found`",
        content_type = "application/problem+json"
    )]
    NotFound(ProblemBody),
}

/// What a route that changes an order may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum OfAnAction {
    #[response(
        status = 409,
        description = "The order's state does not allow it. Code: `invalid_transition` (`from`, `to`, `allowed`)",
        content_type = "application/problem+json"
    )]
    Conflict(ProblemBody),
}
