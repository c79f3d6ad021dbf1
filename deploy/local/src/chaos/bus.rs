//! Faults that only a bus and a queue have: some of the events taken and others not, messages handed out twice.

use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};

use super::proxy::Call;
use super::refusals;
use crate::dice::Dice;

const SEND: &str = "AmazonSQS.SendMessage";

/// A `PutEvents` without one of its entries, if any are left, and the place of that one.
pub(crate) fn without_one(call: &Call, dice: &mut Dice) -> (Option<Call>, usize) {
    let mut body = call.json();
    let entries = body
        .get("Entries")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let refused = dice.below(u64::try_from(entries.len()).unwrap_or(0));
    let refused = usize::try_from(refused).unwrap_or(0);
    let others = entries.iter().enumerate().filter(|(place, _)| *place != refused);
    let others: Vec<_> = others.map(|(_, entry)| entry.clone()).collect();
    let left = !others.is_empty();
    if let Some(place) = body.get_mut("Entries") {
        *place = Value::Array(others);
    }
    (left.then(|| call.with(None, &body)), refused)
}

/// The answer to all of them: a success with a failure in it, at this place. Where the others were not taken, what was said
/// of them.
pub(crate) fn with_refusal(others: Option<Response<Bytes>>, refused: usize) -> Response<Bytes> {
    let mut outcomes = Vec::new();
    if let Some(others) = others {
        let (parts, body) = others.into_parts();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(taken) = said.get("Entries").and_then(Value::as_array) else {
            return Response::from_parts(parts, body);
        };
        outcomes.clone_from(taken);
    }
    let throttled = json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"});
    outcomes.insert(refused.min(outcomes.len()), throttled);
    let failed = outcomes.iter().filter(|outcome| outcome.get("ErrorCode").is_some());
    let body = json!({"FailedEntryCount": failed.count(), "Entries": outcomes});
    refusals::answer(200, "application/x-amz-json-1.1", &body)
}

/// Calls that put the messages of this answer into their queue once more.
pub(crate) fn copies(call: &Call, answer: Response<Bytes>) -> (Response<Bytes>, Vec<Call>) {
    let (parts, body) = answer.into_parts();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let queue = call.json().get("QueueUrl").cloned();
    let messages = said.get("Messages").and_then(Value::as_array).cloned();
    let copy = |message: Value| {
        let body = json!({"QueueUrl": queue.as_ref()?, "MessageBody": message.get("Body")?});
        Some(call.with(Some(SEND), &body))
    };
    let copies = messages.unwrap_or_default().into_iter().filter_map(copy).collect();
    (Response::from_parts(parts, body), copies)
}
