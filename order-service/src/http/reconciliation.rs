//! `GET /v1/orders/admin/reconciliation`: everything held against each other, line by line.

use actix_web::web::Bytes;
use actix_web::{HttpResponse, get, web};
use futures_util::StreamExt;
use shared::auth::Admin;
use shared::documented::{Any, ForAdmins, WithToken};
use shared::problem::{Problem, ProblemBody};

use super::error;
use crate::reconcile::{Line, Reconciliation};

/// Hold stock, reservations, orders, checkouts and payments against each other
///
/// The answer is streamed, a JSON object a line: `{"progress": {..}}` every so often, `{"drift": {..}}` for
/// each difference, and `{"summary": {..}}` at the end. What does not agree is read again, strongly, before
/// it is named, so that what is only under way is not. A summary whose `complete` is false says in `reason`
/// why not everything could be compared; a stream without a summary broke off. It reads all tables, at a
/// bounded pace; it goes on as long as somebody reads it, and in a process there is one at a time.
#[utoipa::path(
    tag = "operators",
    responses(
        Any, WithToken, ForAdmins,
        (status = 200, description = "Lines, as they are made", body = Line, content_type = "application/x-ndjson"),
        (status = 429, description = "`reconciliation_running`: another one is being read", body = ProblemBody, content_type = "application/problem+json",
            headers(("Retry-After" = String, description = "Seconds"))),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/orders/admin/reconciliation")]
pub(crate) async fn reconcile(_: Admin, reconciliation: web::Data<Reconciliation>) -> Result<HttpResponse, Problem> {
    let lines = reconciliation.into_inner().begin().map_err(error::reconciling)?;
    let lines = lines.map(|line| line_of(&line));
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header(("cache-control", "no-store"))
        .streaming(lines))
}

fn line_of(line: &Line) -> std::io::Result<Bytes> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text.into())
}
