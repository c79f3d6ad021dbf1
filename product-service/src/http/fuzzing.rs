//! What must hold of every text that outsiders can send to this service; see `shared::testing::fuzzing`,
//! which has those that all services read.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::body::{from_json, from_query};
use shared::etag::{ETag, IfMatch};
use shared::money::Currency;
use shared::testing::fuzzing::cut;

use super::body::{NewProduct, Part, WrongBody, patched};
use super::list::{Asked, ListQuery};
use super::ndjson::{Line, Lines};
use super::transfer::{exported, row};
use crate::catalog::import::Row;
use crate::domain::merge_patch::merged;
use crate::domain::product::{Content, Product};
use crate::domain::stock::Stock;
use crate::store::{Expected, ProductWithStock};

#[expect(clippy::unwrap_used, reason = "a constant code")]
fn shop() -> Currency {
    "USD".parse().unwrap()
}

/// A patch, and after a line break what it changes, if not the product that there is. By RFC 7396: what
/// is null is gone, what is not named stays, what is an object goes on inside, anything else replaces;
/// and patching again changes nothing more. A product that a patch made is one that could be created.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "a constant product, and what was read can be written")]
pub fn merge_patch(data: &[u8]) {
    let (patch, target) = cut(data, b'\n');
    let Ok(patch) = from_json::<Value>(patch) else { return };
    if let Ok(target) = from_json::<Value>(target) {
        let result = merged(target.clone(), patch.clone());
        as_the_rfc_says(&target, &patch, &result);
        assert_eq!(merged(result.clone(), patch.clone()), result);
    }
    let body = json!({
        "sku": "TEA-1", "name": "Earl Grey", "category": "Tea", "price": {"amount_minor": 1999, "currency": "USD"},
        "attributes": {"origin": "Assam"}, "description": "Black", "image_url": "https://example.com/tea.svg",
    });
    let before = NewProduct::read(body, shop()).unwrap();
    match patched(&before, &patch, shop()) {
        Ok(after) => {
            assert_eq!(after.sku, before.sku, "a sku never changes");
            assert_eq!(patched(&after, &patch, shop()).unwrap(), after);
            taken_again(&after);
        }
        Err(WrongBody::Fields(errors)) => assert!(!errors.is_empty(), "refused for nothing"),
        Err(WrongBody::Currency(error)) => assert_eq!(error.code, "currency_not_supported"),
    }
}

fn as_the_rfc_says(target: &Value, patch: &Value, result: &Value) {
    let Value::Object(changes) = patch else {
        return assert_eq!(result, patch);
    };
    for (name, change) in changes {
        let (before, after) = (target.get(name), result.get(name));
        match (change, after) {
            (Value::Null, _) => assert_eq!(after, None, "{name} is still there"),
            (_, Some(after)) => as_the_rfc_says(before.unwrap_or(&Value::Null), change, after),
            (_, None) => unreachable!("{name} is gone"),
        }
    }
    let before = target.as_object().into_iter().flatten();
    let kept = before.filter(|(name, _)| !changes.contains_key(*name));
    let mut members = changes.values().filter(|change| !change.is_null()).count();
    for (name, value) in kept {
        assert_eq!(result.get(name), Some(value), "{name} was not named");
        members += 1;
    }
    assert_eq!(result.as_object().map(serde_json::Map::len), Some(members));
}

/// What an export tells of a product, an import reads as the same product.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
fn taken_again(content: &Content) {
    let found = ProductWithStock {
        product: Product::new(content.clone(), Timestamp::UNIX_EPOCH),
        stock: Stock::default(),
    };
    let line = Bytes::from(serde_json::to_vec(&exported(&found, None)).unwrap());
    let again = row(1, &Line::Text(line), shop()).unwrap().wanted.unwrap().content;
    let state = content.state;
    assert_eq!(Content { state, ..again }, *content);
}

/// The body of an import, after a byte that says how it is cut on its way: its lines are the same however
/// they arrive and none is lost, and each row that is taken is exported as it was sent.
///
/// # Panics
/// That does not hold.
pub fn import(data: &[u8]) {
    /// As short as that to be reached by a fuzzer.
    const MOST: usize = 512;
    let Some((pace, body)) = data.split_first() else {
        return;
    };
    let arrived = lines(body.chunks(usize::from(*pace) % 61 + 1), MOST);
    assert_eq!(arrived, whole(body, MOST));
    for (number, line) in (1..).zip(&arrived) {
        let Some(Row {
            number: told,
            sku,
            wanted,
        }) = row(number, line, shop())
        else {
            assert!(matches!(line, Line::Text(text) if text.trim_ascii().is_empty()));
            continue;
        };
        assert_eq!(told, number);
        assert!(sku.as_ref().is_none_or(|sku| sku.chars().count() <= 64));
        match wanted {
            Ok(wanted) => {
                assert_eq!(sku.as_deref(), Some(wanted.content.sku.as_str()));
                taken_again(&wanted.content);
            }
            Err(failure) => assert!(!failure.code.is_empty() && !failure.detail.is_empty()),
        }
    }
}

fn lines<'a>(chunks: impl Iterator<Item = &'a [u8]>, most: usize) -> Vec<Line> {
    let chunks = chunks.map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk)));
    let mut lines = Lines::new(stream::iter(chunks), most);
    let mut all = Vec::new();
    loop {
        match pin!(lines.next()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(line)) => all.push(line),
            Poll::Ready(None) => return all,
            Poll::Pending => unreachable!("all of it is there"),
        }
    }
}

/// The same lines, of a body that is there as a whole.
fn whole(body: &[u8], most: usize) -> Vec<Line> {
    let mut parts: Vec<_> = body.split(|byte| *byte == b'\n').collect();
    // After the last end there is no line.
    parts.pop_if(|last| last.is_empty());
    let line = |part: &[u8]| match part.len() {
        long if long > most => Line::TooLong,
        _ => Line::Text(Bytes::copy_from_slice(part.strip_suffix(b"\r").unwrap_or(part))),
    };
    parts.into_iter().map(line).collect()
}

/// An `If-Match` on a product: a tag stands for the version that it tells and for no other text.
///
/// # Panics
/// That does not hold.
pub fn if_match(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let expected = |part: Part| part.expected(IfMatch::Tags(vec![ETag::new(text)]));
    let versions = (expected(Part::Document), expected(Part::Stock));
    let (Expected::Versions(documents), Expected::Versions(stocks)) = versions else {
        unreachable!("a tag is not *");
    };
    if let ([document], [stock]) = (documents.as_slice(), stocks.as_slice()) {
        let (_, available) = text.rsplit_once('.').unwrap_or_default();
        assert_eq!(
            text,
            format!("{document}.{stock}.{available}"),
            "another tag passes for ours"
        );
    } else {
        assert!(documents.is_empty() && stocks.is_empty());
    }
}

/// The query of a list: refused with what is wrong, or within its limits.
///
/// # Panics
/// That does not hold.
pub fn query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let wrong = match from_query::<ListQuery>(text) {
        Ok(query) => match Asked::try_from(query) {
            Ok(Asked::Ids(ids)) => return assert!((1..=100).contains(&ids.len())),
            Ok(Asked::Page(page)) => return assert!((1..=100).contains(&page.limit.get())),
            Err(wrong) => wrong,
        },
        Err(wrong) => wrong.into_vec(),
    };
    assert!(!wrong.is_empty(), "refused for nothing");
    assert!(wrong.iter().all(|error| error.pointer.starts_with('?')), "{wrong:?}");
}

#[cfg(test)]
mod tests {
    use shared::testing::fuzzing::replay;

    use super::*;

    #[test]
    fn all_that_a_fuzzer_has_found_is_read_as_it_should() {
        replay("merge_patch", merge_patch);
        replay("import", import);
        replay("etag", if_match);
        replay("query", query);
    }
}
