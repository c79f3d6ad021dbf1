//! How each of the other sides says that it has done nothing: in the words of AWS, of Stripe, of our own services.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

use super::proxy::Call;
use super::weather::Wire;
use crate::dice::Dice;

const AWS_JSON: &str = "application/x-amz-json-1.0";

/// Busy.
pub(crate) fn throttled(call: &Call, dice: &mut Dice) -> Response<Bytes> {
    match call.kind.wire {
        Wire::Tables => {
            let kinds = [
                (
                    1,
                    "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                ),
                (1, "com.amazon.coral.availability#ThrottlingException"),
                (1, "com.amazonaws.dynamodb.v20120810#RequestLimitExceeded"),
            ];
            aws(
                400,
                dice.weighed(&kinds).unwrap_or_default(),
                "The level of configured provisioned throughput was exceeded.",
            )
        }
        Wire::Cloud if call.operation.starts_with("AmazonSQS") => aws(
            400,
            "com.amazonaws.sqs#RequestThrottled",
            "The request was denied due to request throttling.",
        ),
        Wire::Cloud if call.operation.starts_with("AWSEvents") => aws(400, "ThrottlingException", "Rate exceeded"),
        Wire::Cloud => answer(429, AWS_JSON, &json!({"error": "slow_down"})),
        Wire::Payments => answer(
            429,
            "application/json",
            &json!({"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Request rate limit exceeded."}}),
        ),
        Wire::Products => {
            let body = json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "unavailable",
                "detail": "try again in a moment",
            });
            let mut busy = answer(503, "application/problem+json", &body);
            busy.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            busy
        }
    }
}

/// A failure of its own.
pub(crate) fn failed(call: &Call) -> Response<Bytes> {
    match call.kind.wire {
        Wire::Tables => aws(
            500,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
            "Internal server error",
        ),
        Wire::Cloud => aws(500, "InternalFailure", "The request processing has failed."),
        Wire::Payments => answer(
            500,
            "application/json",
            &json!({"error": {"type": "api_error", "message": "Sorry, an error occurred on our side."}}),
        ),
        Wire::Products => {
            let body = json!({
                "type": "about:blank", "title": "Internal Server Error", "status": 500, "code": "internal",
                "detail": "something went wrong",
            });
            answer(500, "application/problem+json", &body)
        }
    }
}

/// Somebody else writes the same item. For a transaction it is said of one of its items.
pub(crate) fn conflict(call: &Call, dice: &mut Dice) -> Response<Bytes> {
    if !call.kind.transaction {
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
        return aws(400, kind, "Transaction is ongoing for the item");
    }
    let items = call
        .json()
        .get("TransactItems")
        .and_then(Value::as_array)
        .map_or(1, Vec::len);
    let met = usize::try_from(dice.below(u64::try_from(items).unwrap_or(1))).unwrap_or(0);
    let reasons: Vec<_> = (0..items)
        .map(|place| match place == met {
            true => json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}),
            false => json!({"Code": "None"}),
        })
        .collect();
    let codes: Vec<_> = reasons
        .iter()
        .filter_map(|reason| reason.get("Code")?.as_str())
        .collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": message,
        "CancellationReasons": reasons,
    });
    answer(400, AWS_JSON, &body)
}

fn aws(status: u16, kind: &str, message: &str) -> Response<Bytes> {
    answer(status, AWS_JSON, &json!({"__type": kind, "message": message}))
}

/// An answer of ours in the other side's place.
pub(crate) fn answer(status: u16, content_type: &'static str, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
