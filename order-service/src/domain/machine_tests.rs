//! Every pair of state and input, against the table.

use std::collections::BTreeSet;

use strum::IntoEnumIterator;

use super::*;
use crate::domain::dispute::tests::an_open_dispute;
use crate::domain::state::Phase;

const ANSWER_BY: Timestamp = Timestamp::UNIX_EPOCH;

/// One of each, and those of which what they carry matters.
pub(crate) fn inputs() -> Vec<(&'static str, Input)> {
    let usd = |minor| Money::new(minor, "USD".parse().unwrap());
    let action = NextAction {
        kind: "redirect_to_url".to_owned(),
        url: None,
    };
    let text = String::new;
    vec![
        ("authorized", Input::Authorized { answer_by: ANSWER_BY }),
        (
            "needs customer",
            Input::NeedsCustomer {
                action,
                until: Timestamp::MAX,
            },
        ),
        ("declined", Input::Declined { another_until: None }),
        (
            "declined, again allowed",
            Input::Declined {
                another_until: Some(Timestamp::MAX),
            },
        ),
        ("out of stock", Input::OutOfStock(vec![])),
        ("hold lost", Input::HoldLost),
        ("payment expired", Input::PaymentExpired),
        ("acceptance expired", Input::AcceptanceExpired),
        ("fulfilled", Input::Fulfilled),
        ("capture refused", Input::CaptureRefused),
        ("undone", Input::Undone { refunded: None }),
        ("undone, refunded", Input::Undone { refunded: Some(usd(1)) }),
        (
            "undone, refunded in parts before",
            Input::Undone { refunded: Some(usd(0)) },
        ),
        ("accept", Input::Accept),
        ("reject", Input::Reject { reason: text() }),
        ("cancel", Input::Cancel { reason: text() }),
        (
            "pay",
            Input::Pay(PaymentToken::try_from("pm_card_visa".to_owned()).unwrap()),
        ),
        (
            "ship",
            Input::Ship {
                carrier: text(),
                tracking: text(),
            },
        ),
        ("deliver", Input::Deliver),
        (
            "refund",
            Input::Refund(RefundRequest {
                id: Uuid::nil(),
                amount: Some(usd(1)),
                reason: text(),
            }),
        ),
        ("refund done", Input::RefundDone(Uuid::nil())),
        ("refund refused", Input::RefundRefused(Uuid::nil())),
        ("disputed", Input::Disputed(an_open_dispute())),
    ]
}

/// The place of each kind of input in `inputs`; a new kind does not compile until it has one.
const fn kind(input: &Input) -> usize {
    match input {
        Input::Authorized { .. } => 0,
        Input::NeedsCustomer { .. } => 1,
        Input::Declined { .. } => 2,
        Input::OutOfStock(_) => 3,
        Input::HoldLost => 4,
        Input::PaymentExpired => 5,
        Input::AcceptanceExpired => 6,
        Input::Fulfilled => 7,
        Input::CaptureRefused => 8,
        Input::Undone { .. } => 9,
        Input::Accept => 10,
        Input::Reject { .. } => 11,
        Input::Cancel { .. } => 12,
        Input::Pay(_) => 13,
        Input::Ship { .. } => 14,
        Input::Deliver => 15,
        Input::Refund(_) => 16,
        Input::RefundDone(_) => 17,
        Input::RefundRefused(_) => 18,
        Input::Disputed(_) => 19,
    }
}

/// The same of states.
const fn kind_of_state(state: State) -> usize {
    match state {
        State::Pending(_) => 0,
        State::AwaitingAcceptance { .. } => 1,
        State::Confirming(_) => 2,
        State::Failing(..) => 3,
        State::Cancelling(_) => 4,
        State::Confirmed => 5,
        State::Shipped => 6,
        State::Delivered => 7,
        State::Failed(_) => 8,
        State::Cancelled => 9,
    }
}

#[test]
fn no_kind_of_input_or_state_is_left_out() {
    let kinds: BTreeSet<_> = inputs().iter().map(|(_, input)| kind(input)).collect();
    assert_eq!(kinds, (0..=19).collect());
    let kinds: BTreeSet<_> = states().into_iter().map(kind_of_state).collect();
    assert_eq!(kinds, (0..=9).collect());
}

const REASONS: [FailureReason; 10] = [
    FailureReason::OutOfStock,
    FailureReason::Declined,
    FailureReason::PaymentExpired,
    FailureReason::Rejected,
    FailureReason::AcceptanceExpired,
    FailureReason::Expired,
    FailureReason::Cancelled,
    FailureReason::KeyReused,
    FailureReason::Invalid,
    FailureReason::Other,
];

pub(crate) fn states() -> Vec<State> {
    let mut all = vec![
        State::Pending(Acceptance::Auto),
        State::Pending(Acceptance::Manual),
        State::AwaitingAcceptance { answer_by: ANSWER_BY },
        State::Confirmed,
        State::Shipped,
        State::Delivered,
        State::Cancelled,
    ];
    for standing in Standing::iter() {
        all.extend([State::Confirming(standing), State::Cancelling(standing)]);
        all.extend(REASONS.map(|reason| State::Failing(standing, reason)));
    }
    all.extend(REASONS.map(State::Failed));
    all
}

/// The table again, in other words: what goes where and what it tells. `None` with `Ok` is unchanged.
fn expected(state: State, input: &str) -> Result<Option<(State, Vec<Tell>)>, ()> {
    use FailureReason as Why;
    use Standing::{Accepting, Placed, Unplaced};
    use State::{
        AwaitingAcceptance, Cancelled, Cancelling, Confirmed, Confirming, Delivered, Failed, Failing, Pending, Shipped,
    };
    let is_undone = input.starts_with("undone");
    let is_finding = !["accept", "reject", "cancel", "pay", "ship", "deliver", "refund"].contains(&input);
    let go = |to, tells: &[Tell]| Ok(Some((to, tells.to_vec())));
    match (state, input) {
        (Pending(Acceptance::Auto), "authorized") => go(Confirming(Placed), &[Tell::Placed]),
        (Pending(Acceptance::Manual), "authorized") => go(
            AwaitingAcceptance { answer_by: ANSWER_BY },
            &[Tell::Placed, Tell::AwaitingAcceptance],
        ),
        (Pending(_), "needs customer" | "declined, again allowed" | "pay") => go(state, &[]),
        (Pending(_), "declined") => go(Failing(Unplaced, Why::Declined), &[]),
        (Pending(_), "out of stock") => go(Failing(Unplaced, Why::OutOfStock), &[]),
        (Pending(_), "payment expired") => go(Failing(Unplaced, Why::PaymentExpired), &[]),
        (Pending(_), "hold lost") => go(Failing(Unplaced, Why::Expired), &[]),
        (Pending(_), "cancel") => go(Cancelling(Unplaced), &[]),
        (AwaitingAcceptance { .. }, "acceptance expired") => go(Failing(Accepting, Why::AcceptanceExpired), &[]),
        (AwaitingAcceptance { .. }, "accept") => go(Confirming(Accepting), &[]),
        (AwaitingAcceptance { .. }, "reject") => go(Failing(Accepting, Why::Rejected), &[]),
        (AwaitingAcceptance { .. }, "cancel") => go(Cancelling(Accepting), &[]),
        (Confirming(from), "hold lost") => go(Failing(from, Why::Expired), &[]),
        (Confirming(from), "capture refused") => go(Failing(from, Why::Declined), &[]),
        (Confirming(_), "fulfilled") => go(Confirmed, &[Tell::Confirmed]),
        (Confirming(from), "cancel") => go(Cancelling(from), &[]),
        (Confirming(Accepting), "accept") => Ok(None),
        (Failing(_, why @ (Why::Rejected | Why::AcceptanceExpired)), _) if is_undone => {
            go(Failed(why), &[Tell::Rejected])
        }
        (Failing(_, why), _) if is_undone => go(Failed(why), &[Tell::Failed]),
        (Cancelling(Unplaced), _) if is_undone => go(Cancelled, &[Tell::Failed, Tell::Cancelled]),
        (Cancelling(_), "undone" | "undone, refunded in parts before") => go(Cancelled, &[Tell::Cancelled]),
        (Cancelling(_), "undone, refunded") => go(Cancelled, &[Tell::Refunded, Tell::Cancelled]),
        (Failing(_, Why::Rejected) | Failed(Why::Rejected), "reject") => Ok(None),
        (Cancelling(_) | Cancelled, "cancel") => Ok(None),
        (Confirmed, "cancel") => go(Cancelling(Standing::Confirmed), &[]),
        (Confirmed, "ship") => go(Shipped, &[Tell::Shipped]),
        (Shipped, "deliver") => go(Delivered, &[Tell::Delivered]),
        (Confirmed | Shipped | Delivered, "accept") => Ok(None),
        (AwaitingAcceptance { .. } | Confirming(_) | Confirmed | Shipped | Delivered, "pay") => Ok(None),
        (Shipped | Delivered, "ship") | (Delivered, "deliver") => Ok(None),
        (Confirmed | Shipped | Delivered, "refund") => go(state, &[]),
        (Confirmed | Shipped | Delivered | Cancelling(_), "refund done") => go(state, &[Tell::Refunded]),
        (Confirmed | Shipped | Delivered | Cancelling(_), "refund refused") => go(state, &[]),
        (_, "disputed") => go(state, &[Tell::Disputed]),
        _ if is_finding => Ok(None),
        _ => Err(()),
    }
}

#[test]
fn every_pair_of_state_and_input_goes_as_the_table_says() {
    for state in states() {
        for (name, input) in inputs() {
            let got = match state.next(&input) {
                Ok(Verdict::Goes(transition)) => Ok(Some((transition.to, transition.tells))),
                Ok(Verdict::Unchanged) => Ok(None),
                Err(refusal) => {
                    assert_eq!(refusal.from, state.status());
                    Err(())
                }
            };
            assert_eq!(got, expected(state, name), "{state:?} with {name}");
        }
    }
}

#[test]
fn an_order_that_has_ended_goes_nowhere() {
    for end in [State::Delivered, State::Cancelled]
        .into_iter()
        .chain(REASONS.map(State::Failed))
    {
        for (name, input) in inputs() {
            if let Ok(Verdict::Goes(transition)) = end.next(&input) {
                assert_eq!(transition.to, end, "{end:?} with {name}");
            }
        }
    }
}

#[test]
fn what_is_allowed_is_just_what_is_not_refused() {
    let asks = [
        (Action::Accept, "accept"),
        (Action::Reject, "reject"),
        (Action::Cancel, "cancel"),
        (Action::Pay, "pay"),
        (Action::Ship, "ship"),
        (Action::Deliver, "deliver"),
        (Action::Refund, "refund"),
    ];
    for state in states() {
        for (action, name) in asks {
            let (_, input) = inputs().into_iter().find(|(known, _)| *known == name).unwrap();
            let goes = matches!(state.next(&input), Ok(Verdict::Goes(_)));
            assert_eq!(state.allows().contains(&action), goes, "{state:?} with {name}");
        }
    }
}

#[test]
fn nothing_that_cannot_be_undone_is_done_before_a_decision_is_stored() {
    for state in states() {
        let irreversible = state
            .effects()
            .iter()
            .any(|effect| matches!(effect, Effect::Commit | Effect::Capture));
        assert_eq!(irreversible, state.phase() == Phase::Confirming, "{state:?}");
    }
}
