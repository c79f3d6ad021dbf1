//! Import and export: the catalog as NDJSON, streamed both ways.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use bytes::Bytes;
use deserr::Deserr;
use futures_util::Stream;
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use shared::auth::Merchant;
use shared::body::{self, FieldErrors, MAX_BODY_BYTES, Query, from_json};
use shared::documented::{Any, ForMerchants, WithToken};
use shared::money::Currency;
use shared::problem::{Problem, ProblemBody};
use tokio::task::coop::consume_budget;
use tokio_stream::StreamExt;
use utoipa::{IntoParams, ToSchema};

use super::body::{ImportRow, WrongBody};
use super::ndjson::{Line, Lines};
use super::{Shop, error};
use crate::catalog::Catalog;
use crate::catalog::import::{Answer, Failure, Import, Outcome, Row};
use crate::store::ProductWithStock;

const NDJSON: &str = "application/x-ndjson";
/// As much as any other body may hold.
const MAX_LINE_BYTES: usize = MAX_BODY_BYTES;
/// A batch that is not full waits no longer for more lines, so that answers come while the body is
/// still being sent.
const LINGER: Duration = Duration::from_millis(20);

/// As long as the gateway waits for the next byte: nobody who comes in beside it shall hold a place for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// A row's answer: a line of the response.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportAnswer {
    /// The line of the body, from 1.
    row: u64,
    /// Null where none could be read.
    sku: Option<String>,
    result: Outcome,
    /// Why it failed, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The last line of the response.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct ImportSummary {
    rows: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    failed: u64,
    /// False where the import gave up because the table was away: rows without an answer were not
    /// looked at.
    complete: bool,
}

/// Create and change products by sku, a line each. Answers come while lines are being sent, one a row
/// in the rows' order, then `{"summary": {...}}`; read them meanwhile. An archived sku comes back; of
/// two rows with one sku the later wins; a row that fails stops no other.
#[utoipa::path(
    tag = "products",
    request_body(content = ImportRow, content_type = "application/x-ndjson", description = "One a line, of at most 256 KiB; empty lines are skipped"),
    responses(
        Any, WithToken, ForMerchants,
        (status = 200, description = "A line for each row: `{row, sku, result, code?, detail?}`, then `{\"summary\": {rows, created, updated, unchanged, failed, complete}}`. A failed row's `code` is that of its one wrong field, or `invalid_request`, `invalid_json`, `line_too_long`, `below_reserved`, `currency_not_supported`, `unavailable`, `internal`", body = ImportAnswer, content_type = "application/x-ndjson"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearerAuth" = [])),
)]
#[post("/v1/products/import")]
pub(super) async fn import(
    _: Merchant,
    catalog: web::Data<Catalog>,
    shop: web::Data<Shop>,
    request: HttpRequest,
    sent: web::Payload,
) -> Result<HttpResponse, Problem> {
    if !is_ndjson(request.headers()) {
        return Err(error::unsupported_media_type(NDJSON));
    }
    body::plain(request.headers())?;
    let answers = answers(
        rows(sent, shop.currency, PATIENCE),
        Import::new(Catalog::clone(&catalog)),
    );
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming(answers))
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = sent.and_then(|sent| sent.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(NDJSON)
}

fn rows<E>(body: impl Stream<Item = Result<Bytes, E>>, shop: Currency, patience: Duration) -> impl Stream<Item = Row> {
    // One that falls silent counts as broken off, whatever its own error would be.
    let heard = body.timeout(patience).map(|item| item.map_err(drop)?.map_err(drop));
    let lines = Lines::new(Box::pin(heard), MAX_LINE_BYTES);
    let numbered = stream::unfold((lines, 0_u64), |(mut lines, number)| async move {
        // However many lines have arrived, whoever else this thread serves has a turn between them.
        consume_budget().await;
        let line = lines.next().await?;
        Some(((number + 1, line), (lines, number + 1)))
    });
    numbered.filter_map(move |(number, line)| row(number, &line, shop))
}

pub(super) fn row(number: u64, line: &Line, shop: Currency) -> Option<Row> {
    let text = match line {
        Line::Text(text) if text.trim_ascii().is_empty() => return None,
        Line::Text(text) => text,
        Line::TooLong => {
            let failure = Failure {
                code: "line_too_long",
                detail: format!("a line has at most {MAX_LINE_BYTES} bytes"),
            };
            return Some(Row {
                number,
                sku: None,
                wanted: Err(failure),
            });
        }
    };
    let (sku, wanted) = match from_json::<Value>(text) {
        Ok(value) => {
            let sku = value.get("sku").and_then(Value::as_str);
            let sku = sku.map(|sku| sku.chars().take(64).collect());
            (sku, ImportRow::read(value, shop).map_err(wrong_row))
        }
        Err(errors) => (None, Err(wrong_row(WrongBody::Fields(errors.into_vec())))),
    };
    Some(Row { number, sku, wanted })
}

fn wrong_row(wrong: WrongBody) -> Failure {
    let errors = match wrong {
        WrongBody::Currency(error) => vec![error],
        WrongBody::Fields(errors) => errors,
    };
    let code = match errors.as_slice() {
        [one] => one.code,
        _ => "invalid_request",
    };
    let details: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
    Failure {
        code,
        detail: details.join("; "),
    }
}

/// The lines of the answer, a chunk for each batch. Whoever stops reading stops the import.
fn answers(rows: impl Stream<Item = Row> + 'static, taken_in: Import) -> impl Stream<Item = std::io::Result<Bytes>> {
    let batches = Box::pin(rows.chunks_timeout(Import::BATCH, LINGER));
    let start = Some((batches, taken_in, ImportSummary::default()));
    stream::unfold(start, |state| async move {
        let (mut batches, mut taken_in, mut summary) = state?;
        let batch = if taken_in.gave_up() { None } else { batches.next().await };
        let Some(batch) = batch else {
            taken_in.told().await;
            summary.complete = !taken_in.gave_up();
            return Some((line(&json!({"summary": summary})), None));
        };
        let mut chunk = Vec::new();
        for answer in taken_in.batch(batch, Timestamp::now()).await {
            summary.count(&answer);
            match line(&ImportAnswer::from(answer)) {
                Ok(line) => chunk.extend_from_slice(&line),
                Err(error) => return Some((Err(error), None)),
            }
        }
        Some((Ok(Bytes::from(chunk)), Some((batches, taken_in, summary))))
    })
}

impl ImportSummary {
    fn count(&mut self, answer: &Answer) {
        self.rows += 1;
        match answer.outcome {
            Ok(Outcome::Created) => self.created += 1,
            Ok(Outcome::Updated) => self.updated += 1,
            Ok(Outcome::Unchanged) => self.unchanged += 1,
            Ok(Outcome::Failed) | Err(_) => self.failed += 1,
        }
    }
}

impl From<Answer> for ImportAnswer {
    fn from(answer: Answer) -> Self {
        let (result, failure) = match answer.outcome {
            Ok(outcome) => (outcome, None),
            Err(failure) => (Outcome::Failed, Some(failure)),
        };
        let (code, detail) = failure.map(|failure| (failure.code, failure.detail)).unzip();
        Self {
            row: answer.number,
            sku: answer.sku,
            result,
            code,
            detail,
        }
    }
}

/// What an export tells.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(deny_unknown_fields, error = FieldErrors)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// `on_hand` adds what lies in stock to each row. Importing such a file counts every stock to what
    /// it was when the file was made, so it is left away unless asked for.
    #[deserr(default)]
    #[param(value_type = Option<String>, pattern = "^on_hand$")]
    with: Option<With>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserr)]
#[deserr(rename_all = lowercase)]
pub(super) enum With {
    #[deserr(rename = "on_hand")]
    OnHand,
}

/// Export all active products, a line each, in the import's form.
#[utoipa::path(
    tag = "products",
    params(ExportQuery),
    responses(
        Any, WithToken, ForMerchants,
        (status = 200, description = "The rows of an import. A broken connection is the one sign that it is not whole", body = ImportRow, content_type = "application/x-ndjson"),
    ),
    security(("bearerAuth" = [])),
)]
#[get("/v1/products/export")]
pub(super) async fn export(_: Merchant, catalog: web::Data<Catalog>, Query(query): Query<ExportQuery>) -> HttpResponse {
    let pages = Catalog::clone(&catalog).export();
    let lines = pages.map(move |page| {
        let page = page.map_err(|error| {
            let cause: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(error = cause, "an export broke off");
            std::io::Error::other("the export broke off")
        })?;
        let mut chunk = Vec::new();
        for product in &page {
            chunk.extend_from_slice(&line(&exported(product, query.with))?);
        }
        Ok::<_, std::io::Error>(Bytes::from(chunk))
    });
    HttpResponse::Ok().content_type(NDJSON).streaming(lines)
}

#[derive(Serialize)]
pub(super) struct ExportRow<'a> {
    sku: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    category: &'a str,
    price: shared::money::Money,
    #[serde(skip_serializing_if = "crate::domain::text::Attributes::is_empty")]
    attributes: &'a crate::domain::text::Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    acceptance: shared::contract::checkout::Acceptance,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_hand: Option<u32>,
}

pub(super) fn exported(found: &ProductWithStock, with: Option<With>) -> ExportRow<'_> {
    let content = &found.product.content;
    ExportRow {
        sku: content.sku.as_str(),
        name: content.name.as_str(),
        description: content.description.as_ref().map(|d| d.as_str()),
        category: content.category.as_str(),
        price: content.price.money(),
        attributes: &content.attributes,
        image_url: content.image_url.as_ref().map(|u| u.as_str()),
        acceptance: content.acceptance,
        on_hand: with.map(|With::OnHand| found.stock.on_hand()),
    }
}

fn line(value: &impl Serialize) -> std::io::Result<Bytes> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    fn body(text: String) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::iter([Ok(Bytes::from(text))])
    }

    async fn taken(body: impl Stream<Item = Result<Bytes, Infallible>>) -> Vec<u64> {
        let rows = rows(body, "USD".parse().unwrap(), Duration::from_millis(20));
        rows.map(|row| row.number).collect().await
    }

    #[tokio::test]
    async fn a_body_that_falls_silent_is_broken_off() {
        let silent = body("{}\n\n[]\n{".to_owned()).chain(futures_util::stream::pending());
        assert_eq!(taken(silent).await, [1, 3]);
    }

    /// Otherwise nobody else of this thread would be answered, not even who asks whether the service is alive.
    #[tokio::test]
    async fn others_have_their_turn_between_a_million_lines() {
        let turns = Cell::new(0);
        let others = async {
            for turn in 0_u32.. {
                turns.set(turn);
                tokio::task::yield_now().await;
            }
        };
        let last = tokio::select! {
            biased;
            () = others => vec![],
            rows = taken(body(format!("{}{{}}", "\n".repeat(1_000_000)))) => rows,
        };
        assert_eq!(last, [1_000_001]);
        assert!(turns.get() > 1000, "{} turns", turns.get());
    }
}
