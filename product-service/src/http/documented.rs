//! What the contract says of several routes alike, beyond what all services say.

use shared::problem::ProblemBody;
use utoipa::IntoResponses;

/// What a route that compares a product's document with an `If-Match` may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes")]
pub(super) enum OfACondition {
    #[response(
        status = 412,
        description = "Changed since; the ETag header tells the current one. Code: `precondition_failed`",
        content_type = "application/problem+json"
    )]
    Failed(ProblemBody),
    #[response(
        status = 428,
        description = "Send `If-Match`. Code: `precondition_required`",
        content_type = "application/problem+json"
    )]
    Required(ProblemBody),
}
