//! Nobody writes down what is nobody's business: all logs, the access log, mails, spans and metrics of a whole day are looked
//! through for tokens, keys, addresses, names and cards.

use std::collections::BTreeMap;

use deploy_local::Part;
use shared::testing::cards::card_number;

use crate::workday::Day;

/// What looks like a secret whoever's it is: how it begins, and how many letters of its own follow.
const SHAPES: [(&str, &str, usize); 8] = [
    ("a token", "eyj", 8),
    ("a payment token", "pm_", 4),
    ("a payment key", "sk_test_", 4),
    ("a payment key", "sk_live_", 4),
    ("a webhook secret", "whsec_", 4),
    ("a payment's secret", "_secret_", 4),
    ("a guest's basket id", "g_", 32),
    ("a signature", "v1=", 32),
];

/// Everything in a text that ought not to be there, each with the words around it.
fn found(written: &str, day: &Day) -> Vec<String> {
    let written = written.to_lowercase();
    let known = day.known.all().iter();
    let known = known.filter_map(|secret| Some((secret.what, written.find(&secret.text)?)));
    let shaped = SHAPES
        .iter()
        .filter_map(|(what, begins, letters)| Some((*what, shape(&written, begins, *letters)?)));
    let others = [
        ("an e-mail address", e_mail(&written)),
        ("a card's number", card_number(&written)),
    ];
    let others = others.into_iter().filter_map(|(what, at)| Some((what, at?)));
    known
        .chain(shaped)
        .chain(others)
        .map(|(what, at)| format!("{what}: {}", around(&written, at)))
        .collect()
}

/// The text before and after the line feed in the middle, each of about this many bytes.
const WINDOW: usize = 4_096;

fn window(text: &str) -> (&str, &str) {
    let half = text.floor_char_boundary(text.len() / 2);
    let middle = text[..half].rfind('\n').unwrap_or(0);
    let first = text.ceil_char_boundary(middle.saturating_sub(WINDOW));
    // A line that is cut could look like something else.
    let first = text[..first].rfind('\n').map_or(0, |feed| feed + 1).min(middle);
    let last = text.floor_char_boundary((middle + WINDOW).min(text.len()));
    let last = text[last..].find('\n').map_or(text.len(), |feed| last + feed);
    (&text[first..middle], &text[middle..last])
}

fn around(text: &str, at: usize) -> String {
    let line = text[..at].rfind('\n').map_or(0, |feed| feed + 1);
    let end = text[at..].find('\n').map_or(text.len(), |feed| at + feed);
    let first = text[line..at]
        .char_indices()
        .rev()
        .nth(120)
        .map_or(line, |(place, _)| line + place);
    text[first..end].chars().take(300).collect()
}

fn shape(text: &str, begins: &str, letters: usize) -> Option<usize> {
    let own = |letter: char| letter.is_ascii_alphanumeric() || "_-+/".contains(letter);
    text.match_indices(begins)
        .find(|(at, _)| {
            let before = text[..*at].chars().next_back();
            let inside = before.is_some_and(|letter| letter.is_ascii_alphanumeric());
            let follow = text[at + begins.len()..]
                .chars()
                .take_while(|letter| own(*letter))
                .count();
            (begins.starts_with('_') || !inside) && follow >= letters
        })
        .map(|(at, _)| at)
}

fn e_mail(text: &str) -> Option<usize> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || "._-+".contains(letter);
    let at = text.match_indices('@').map(|(at, _)| at);
    at.into_iter().find(|at| {
        let before = text[..*at].chars().next_back().is_some_and(part);
        let host: String = text[at + 1..].chars().take_while(|letter| part(*letter)).collect();
        before
            && host
                .split_once('.')
                .is_some_and(|(name, end)| !name.is_empty() && end.len() >= 2)
    })
}

pub(crate) fn written_texts_hold_no_secret(day: &Day) {
    let mut all = Vec::new();
    for (who, written) in &day.written {
        all.extend(found(written, day).into_iter().map(|what| format!("{who} has {what}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

pub(crate) fn written_texts_are_complete(day: &Day) {
    for part in Part::SERVICES {
        let log = &day.written[part.name()];
        let lines = log.lines().filter(|line| line.contains("\"level\":")).count();
        assert!(lines > 20, "{part} has written {lines} lines");
        assert!(log.contains("a request was refused"), "{part} tells of no refusal");
        assert!(log.contains("a request failed"), "{part} tells of no failure");
    }
    let gateway = &day.written["gateway"];
    for route in ["baskets-checkout", "webhooks-stripe", "orders-read"] {
        assert!(gateway.contains(route), "the access log has no {route}");
    }
    assert!(gateway.lines().count() > 100);
    let mails = day.written["mail"].matches("confirmed").count();
    assert!(mails > 3, "{mails} mails");
    let told = &day.written["spans and metrics"];
    for what in Part::SERVICES.map(Part::name).into_iter().chain([
        "POST /v1/baskets/{basket_id}/checkout",
        "messaging.system",
        "http.server.request.duration",
        "gateway",
    ]) {
        assert!(told.contains(what), "no span or metric tells of {what}");
    }
}

/// Plants each secret between lines of each text. A window of the text is enough: [`written_texts_hold_no_secret`] scans all
/// of them whole.
pub(crate) fn planted_secrets_are_found(day: &Day) {
    let windows: BTreeMap<_, _> = day
        .written
        .iter()
        .map(|(writer, written)| (writer, window(written)))
        .collect();
    for (writer, (before, after)) in &windows {
        let clean = found(&format!("{before}{after}"), day);
        assert!(clean.is_empty(), "{writer} without a planted secret: {clean:?}");
    }
    let planted = day.known.all().iter().map(|secret| secret.text.clone());
    let shaped = [
        "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        "pm_1Q2w3E4r",
        "sk_live_abcd1234",
        "whsec_abcd1234",
        "pi_3_secret_abcd1234",
        "g_0123456789abcdef0123456789abcdef",
        "t=1,v1=0123456789abcdef0123456789abcdef",
        "somebody@shop.example",
        "5555555555554444",
        "number: 4000 0566 5566 5556.",
        "6011-1111-1111-1117",
        "378282246310005",
    ];
    for secret in planted.chain(shaped.map(str::to_owned)) {
        for (writer, (before, after)) in &windows {
            let with = format!("{before}\n{{\"message\":\"it is {secret}\"}}{after}");
            assert!(
                !found(&with, day).is_empty(),
                "{secret} is not found in what {writer} wrote"
            );
        }
    }
}
