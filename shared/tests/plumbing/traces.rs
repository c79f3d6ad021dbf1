//! What is tried again, and to which trace it belongs.

use rstest::rstest;
use shared::trace;
use tracing::{Span, info_span};

use crate::told::Told;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const BEGAN: &str = "00f067aa0ba902b7";

/// Tries again, and says where that try belongs, and which span asked for it.
fn tried_again(told: &Told, stored: &str, because: &Span) -> ((String, String, Vec<String>), String) {
    let asks = because.in_scope(|| {
        let again = info_span!("again");
        trace::go_on(&again, stored);
        again.in_scope(|| {});
        trace::current_traceparent()
    });
    (
        told.place("again"),
        asks.split('-').nth(2).unwrap_or_default().to_owned(),
    )
}

#[rstest]
#[case::by_the_sweeper(false)]
#[case::since_somebody_asked(true)]
fn what_is_tried_again_belongs_to_the_trace_in_which_it_began(#[case] asked: bool) {
    let told = Told::here();
    let because = if asked { info_span!("webhook") } else { Span::none() };
    let (place, asks) = tried_again(&told, &format!("00-{TRACE}-{BEGAN}-01"), &because);
    let links = if asked { vec![asks] } else { Vec::new() };
    assert_eq!(place, (TRACE.to_owned(), BEGAN.to_owned(), links));
}

#[test]
fn what_its_client_did_not_want_told_is_not_told_when_it_is_tried_again() {
    let told = Told::here();
    let again = info_span!("again");
    trace::go_on(&again, &format!("00-{TRACE}-{BEGAN}-00"));
    again.in_scope(|| {});
    drop(again);
    assert_eq!(told.done(), Vec::<String>::new());
}

#[rstest]
#[case::nothing_stored("")]
#[case::nonsense("00-0af7651916cd43dd8448eb211c80319c")]
fn without_a_trace_that_is_stored_it_is_a_part_of_what_asked(#[case] stored: &str) {
    let told = Told::here();
    let (place, asks) = tried_again(&told, stored, &info_span!("request"));
    assert_eq!((place.1, place.2), (asks, Vec::new()));
}
