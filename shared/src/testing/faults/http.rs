//! Under reqwest: the other services, the payment provider, the user pool.

use std::future::pending;

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};
use serde_json::{Value, json};

use super::{Answer, Cut, Departure, Fate, Faults, Mutation};

#[async_trait::async_trait]
impl Middleware for Faults {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let name = format!("{} {}", request.method(), without_ids(request.url().path()));
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if self.mutations().contains(&Mutation::Unkeyed) {
            request.headers_mut().remove("idempotency-key");
        }
        let fate = match self.departs(&name, &body) {
            Departure::NeverReturns => return pending().await,
            Departure::Cut(cut) => {
                match cut {
                    Cut::Before => {}
                    Cut::After => drop(next.run(request, extensions).await?.bytes().await),
                    Cut::Late => self.hold(request),
                }
                self.die();
                return pending().await;
            }
            Departure::Meets(fate) => fate,
        };
        let answer = match fate {
            Fate::Passes | Fate::Doubled => next.run(request, extensions).await?,
            Fate::Slow(delay) => {
                tokio::time::sleep(delay).await;
                next.run(request, extensions).await?
            }
            Fate::Lost => return Err(broken()),
            Fate::AnswerLost => {
                let _ = next.run(request, extensions).await?.bytes().await;
                return Err(broken());
            }
            Fate::Conflict => response(409, &json!({})),
            Fate::Throttled => response(429, &json!({})),
            Fate::Failed => response(500, &json!({})),
            Fate::Answered(status, body) => response(status, &body),
        };
        self.answered(&name, &Answer::default());
        Ok(answer)
    }
}

fn broken() -> Error {
    Error::middleware(std::io::Error::other("the connection broke"))
}

#[expect(clippy::unwrap_used, reason = "the statuses are those of tests")]
fn response(status: u16, body: &Value) -> Response {
    let response = http::Response::builder().status(status);
    response.body(body.to_string()).unwrap().into()
}

/// An id is long and has a digit in it; a version is short.
fn without_ids(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let is_id = segment.len() > 8 && segment.bytes().any(|byte| byte.is_ascii_digit());
        if is_id { "{}" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_left_out_of_names() {
        let order = "/internal/v1/reservations/0197a6c0-5bd5-7d21-9f8a-111111111111/commit";
        assert_eq!(without_ids(order), "/internal/v1/reservations/{}/commit");
        assert_eq!(without_ids("/v1/payment_intents"), "/v1/payment_intents");
        assert_eq!(
            without_ids("/v1/payment_intents/pi_3abc4def5"),
            "/v1/payment_intents/{}"
        );
    }
}
