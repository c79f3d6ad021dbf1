//! What must hold of every text that outsiders can send to this service; see `shared::testing::fuzzing`,
//! which has those that all services read.

use std::time::Duration;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use secrecy::SecretString;
use shared::body::from_query;
use shared::contract::Delivery;
use shared::contract::checkout::{Acceptance, CheckoutRequested};
use shared::testing::fuzzing::{Amounts, cut, harmless, tells_a_number};
use uuid::Uuid;

use crate::clients::payment::event::{About, Event};
use crate::domain::amount::{from_provider, to_provider};
use crate::domain::order::{Moment, Order};
use crate::domain::placing::Placing;
use crate::domain::timeline::Actor;
use crate::http::OrderQuery;
use crate::http::webhook::signature::{NotSigned, Signatures, hex};
use crate::intake;

/// A `Stripe-Signature` header, and after a line break the body: nobody makes one up, one of ours holds
/// for its body and time alone, and a body makes us look at nothing but an id.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "constant parts")]
pub fn webhook(data: &[u8]) {
    const SECRET: &str = "a secret that the fuzzer does not have";
    const TOLERANCE_S: i64 = 300;
    let (sent, body) = cut(data, b'\n');
    let secret = |text: &str| Signatures::new(&SecretString::from(text), Duration::from_secs(300)).unwrap();
    let ours = secret(SECRET);
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let second = 1_792_774_577;
    if let Ok(header) = str::from_utf8(sent) {
        assert!(ours.verify(Some(header), body, at(second)).is_err());
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = |body: &[u8]| hex(hmac::sign(&key, &[b"1792774577.", body].concat()).as_ref());
    let header = format!("v0=none,t={second},v1={}", signed(body));
    assert_eq!(ours.verify(Some(&header), body, at(second)), Ok(()));
    let later = ours.verify(Some(&header), body, at(second + TOLERANCE_S + 1));
    assert_eq!(later, Err(NotSigned::OutOfTime));
    let another = [body, b" "].concat();
    assert_eq!(
        ours.verify(Some(&header), &another, at(second)),
        Err(NotSigned::Mismatch)
    );
    let theirs = secret("a secret of another endpoint");
    assert_eq!(theirs.verify(Some(&header), body, at(second)), Err(NotSigned::Mismatch));

    let looked_at = match Event::read(body) {
        Ok(event) => match event.about {
            About::Payment { intent, .. } | About::NeedsCustomer { intent, .. } => intent,
            About::Dispute { dispute } => dispute,
            About::Nothing => return,
        },
        Err(fault) => return assert!(!tells_a_number(&fault.to_string()), "{fault}"),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    assert!(
        (1..=255).contains(&looked_at.len()) && looked_at.chars().all(plain),
        "{looked_at:?}"
    );
}

/// A message of the queue of checkouts: it is refused without a word of it, or its order's total is the
/// exact sum of its lines.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "a constant code")]
pub fn checkout(data: &[u8]) {
    let Some(delivery) = str::from_utf8(data).ok().and_then(|text| Delivery::parse(text).ok()) else {
        return;
    };
    if let Err(why) = intake::readable(&delivery) {
        assert!(!tells_a_number(&why.to_string()), "{why}");
    }
    let checkout = match delivery.read::<CheckoutRequested>() {
        Some(Ok(event)) => event.data,
        Some(Err(fault)) => return harmless(&fault),
        None => return,
    };
    let minor = |line: &shared::contract::checkout::Line| {
        i128::from(line.unit_price.amount_minor) * i128::from(line.quantity.get())
    };
    let exact: i128 = checkout.lines.iter().map(minor).sum();
    let placing = Placing {
        id: checkout.order_id,
        customer: checkout.customer_id,
        lines: checkout.lines,
        address: Some(checkout.shipping_address),
        token: checkout.payment_token,
        fingerprint: checkout.fingerprint,
        causation: delivery.detail.id.to_string(),
    };
    let moment = Moment {
        now: Timestamp::UNIX_EPOCH,
        actor: Actor::Customer,
        traceparent: String::new(),
        trace_id: String::new(),
        event_ids: [Uuid::nil(); 3],
    };
    if let Ok(order) = Order::place(placing, "USD".parse().unwrap(), Acceptance::Auto, moment) {
        assert_eq!(i128::from(order.total.amount_minor), exact);
        assert_eq!(order.total.currency.code(), "USD");
    }
}

/// Two amounts, as `shared`'s `money` reads them: what the provider is asked for is never more than the
/// amount, says the same when it is told back, and parts never come to more than the whole.
///
/// # Panics
/// That does not hold.
pub fn amount(data: &[u8]) {
    let Some(Amounts { a, b, .. }) = Amounts::cut(data) else {
        return;
    };
    // Whatever the provider tells is read without a panic.
    let _ = from_provider(a.amount_minor, a.currency);
    if a.amount_minor < 0 || b.amount_minor < 0 {
        return;
    }
    let Some(asked) = to_provider(a) else { return };
    let Some(back) = from_provider(asked, a.currency) else {
        unreachable!("what was asked for cannot be told");
    };
    assert!(back.amount_minor <= a.amount_minor, "{back} for {a}");
    assert_eq!(to_provider(back), Some(asked));
    if let (Ok(both), Some(part)) = (a.checked_add(b), to_provider(b))
        && let Some(whole) = to_provider(both)
    {
        assert!(i128::from(asked) + i128::from(part) <= i128::from(whole), "{a} and {b}");
    }
}

/// The query of a list: within its limits, or refused with what is wrong.
///
/// # Panics
/// That does not hold.
pub fn query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Err(wrong) = from_query::<OrderQuery>(text) {
        let wrong = wrong.into_vec();
        assert!(!wrong.is_empty(), "refused for nothing");
        assert!(wrong.iter().all(|error| error.pointer.starts_with('?')), "{wrong:?}");
    }
}

#[cfg(test)]
mod tests {
    use shared::testing::fuzzing::replay;

    use super::*;

    #[test]
    fn all_that_a_fuzzer_has_found_is_read_as_it_should() {
        replay("webhook", webhook);
        replay("event", checkout);
        replay("money", amount);
        replay("query", query);
    }
}
