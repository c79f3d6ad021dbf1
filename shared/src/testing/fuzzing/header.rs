//! Headers that are more than a word: conditions, keys, access tokens.

use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use actix_web::{FromRequest, HttpRequest, web};

use super::cut;
use crate::auth::{MaybeCaller, Verifier};
use crate::etag::{ETag, IfMatch, IfNoneMatch};
use crate::idempotency::{IDEMPOTENCY_KEY, IdempotencyKey};
use crate::ids::OrderId;

fn request(name: &HeaderName, values: &[HeaderValue]) -> HttpRequest {
    let append = |request: TestRequest, value: &HeaderValue| request.append_header((name.clone(), value.clone()));
    values.iter().fold(TestRequest::get(), append).to_http_request()
}

/// What an extractor that waits for nothing makes of a request.
fn extracted<T: FromRequest>(request: &HttpRequest) -> Result<T, T::Error> {
    let mut future = pin!(T::from_request(request, &mut Payload::None));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => unreachable!("it waits for something"),
    }
}

/// `If-Match` or `If-None-Match`, a header a line: a tag that is there is found in each of its forms, one
/// that is not there is not, and what is read is written and read as the same.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "whether there is a condition is what is asked")]
pub fn etag(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let values: Vec<_> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let none_match = extracted::<IfNoneMatch>(&request(&header::IF_NONE_MATCH, &values)).unwrap();
    let Ok(condition) = extracted::<IfMatch>(&request(&header::IF_MATCH, &values)) else {
        assert!(values.is_empty(), "a condition was passed over");
        return;
    };
    let elsewhere = ETag::new("9.of.nothing");
    let IfMatch::Tags(tags) = condition else {
        assert!(none_match.has(&elsewhere), "* is whatever is there");
        return;
    };
    assert_eq!(none_match.has(&elsewhere), tags.contains(&elsewhere));
    for tag in &tags {
        assert!(none_match.has(tag), "{tag} is there");
        let strong = tag.header();
        let weak = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat()).unwrap();
        for form in [strong, weak] {
            let again = extracted::<IfMatch>(&request(&header::IF_MATCH, &[form])).unwrap();
            assert_eq!(again, IfMatch::Tags(vec![tag.clone()]));
        }
    }
}

/// An `Idempotency-Key`: taken as it is or not at all, never one of two, and two keys never make the same
/// order.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "constant parts")]
pub fn idempotency_key(data: &[u8]) {
    let (first, second) = cut(data, b'\n');
    let Ok(value) = HeaderValue::from_bytes(first) else {
        return;
    };
    let name = HeaderName::from_static(IDEMPOTENCY_KEY);
    let read = extracted::<IdempotencyKey>(&request(&name, std::slice::from_ref(&value)));
    assert!(extracted::<IdempotencyKey>(&request(&name, &[value.clone(), value.clone()])).is_err());
    let allowed = (1..=255).contains(&first.len()) && first.iter().all(u8::is_ascii_graphic);
    assert_eq!(read.is_ok(), allowed, "{value:?}");
    let Ok(key) = read else { return };
    assert_eq!(key.as_str().as_bytes(), first);
    if let Ok(other) = str::from_utf8(second).unwrap_or_default().parse::<IdempotencyKey>() {
        let caller = "a-customer".parse().unwrap();
        let order = |key: &IdempotencyKey| OrderId::derive(&caller, "checkout", key.as_str());
        assert_eq!(order(&key) == order(&other), key == other);
    }
}

/// An `Authorization` header, one a line: nobody is let in by it but whom the pool's key vouches for.
///
/// # Panics
/// Somebody is.
pub fn token(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let values: Vec<_> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    static VERIFIER: OnceLock<(web::Data<Verifier>, &str)> = OnceLock::new();
    let (verifier, signed) = VERIFIER.get_or_init(|| {
        let (verifier, signed) = Verifier::of_a_lost_key();
        (web::Data::new(verifier), signed)
    });
    let request = values.iter().fold(TestRequest::get(), |request, value| {
        request.append_header((header::AUTHORIZATION, value.clone()))
    });
    let request = request.app_data(verifier.clone()).to_http_request();
    let Ok(MaybeCaller(Some(caller))) = extracted::<MaybeCaller>(&request) else {
        return;
    };
    let [value] = values.as_slice() else {
        unreachable!("one of several tokens was taken");
    };
    let (_, token) = cut(value.as_bytes(), b' ');
    assert_eq!(token.trim_ascii(), signed.as_bytes(), "a forged token was taken");
    assert_eq!(caller.id().as_str(), "a-customer");
}
