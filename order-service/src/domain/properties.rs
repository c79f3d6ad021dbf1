//! Random sequences of whatever can happen to an order.

use std::collections::HashSet;

use jiff::Timestamp;
use proptest::prelude::*;
use shared::contract::checkout::{Acceptance, Line, PaymentToken};
use shared::idempotency::Fingerprint;
use shared::ids::ProductId;
use shared::money::Money;
use uuid::Uuid;

use crate::domain::dispute::Dispute;
use crate::domain::dispute::tests::an_open_dispute;
use crate::domain::machine::Input;
use crate::domain::order::{Applied, Moment, Order};
use crate::domain::payment::{NextAction, PaymentState, RefundRequest, RefundState};
use crate::domain::placing::Placing;
use crate::domain::state::{Phase, State, Status};
use crate::domain::timeline::Actor;
use crate::domain::told::Told;

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

pub(super) fn moment(second: i64) -> Moment {
    Moment {
        now: Timestamp::from_second(second).unwrap(),
        actor: Actor::System,
        traceparent: String::new(),
        trace_id: String::new(),
        event_ids: std::array::from_fn(|_| Uuid::new_v4()),
    }
}

pub(super) fn order(acceptance: Acceptance) -> Order {
    let line = Line {
        product_id: ProductId::from_uuid(Uuid::nil()),
        sku: "tea".to_owned(),
        name: "Tea".to_owned(),
        quantity: 2.try_into().unwrap(),
        unit_price: usd(500),
        acceptance: Acceptance::Auto,
    };
    let placing = Placing {
        id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap(),
        customer: "ada".parse().unwrap(),
        lines: vec![line],
        address: None,
        token: Some(PaymentToken::try_from("pm_card_visa".to_owned()).unwrap()),
        fingerprint: Fingerprint::of(&[b"one"]),
        causation: "a-request".to_owned(),
    };
    Order::place(placing, "USD".parse().unwrap(), acceptance, moment(0)).unwrap()
}

fn any_input() -> impl Strategy<Value = Input> {
    let text = || "[a-c]";
    let id = || (0_u128..3).prop_map(Uuid::from_u128);
    let time = (0_i64..100).prop_map(|second| Timestamp::from_second(second).unwrap());
    let action = NextAction {
        kind: "redirect_to_url".to_owned(),
        url: None,
    };
    prop_oneof![
        time.clone().prop_map(|answer_by| Input::Authorized { answer_by }),
        time.clone().prop_map(move |until| Input::NeedsCustomer {
            action: action.clone(),
            until
        }),
        prop::option::of(time).prop_map(|another_until| Input::Declined { another_until }),
        Just(Input::OutOfStock(vec![])),
        Just(Input::HoldLost),
        Just(Input::PaymentExpired),
        Just(Input::AcceptanceExpired),
        Just(Input::Fulfilled),
        Just(Input::CaptureRefused),
        prop::option::of((0_i64..=1000).prop_map(usd)).prop_map(|refunded| Input::Undone { refunded }),
        Just(Input::Accept),
        text().prop_map(|reason| Input::Reject { reason }),
        text().prop_map(|reason| Input::Cancel { reason }),
        Just(Input::Pay(PaymentToken::try_from("pm_other".to_owned()).unwrap())),
        Just(Input::Ship {
            carrier: "c".to_owned(),
            tracking: "t".to_owned()
        }),
        Just(Input::Deliver),
        (id(), prop::option::of(-10_i64..1500)).prop_map(|(id, minor)| Input::Refund(RefundRequest {
            id,
            amount: minor.map(usd),
            reason: "r".to_owned()
        })),
        id().prop_map(Input::RefundDone),
        id().prop_map(Input::RefundRefused),
        (text(), any::<bool>()).prop_map(|(id, refundable)| Input::Disputed(Dispute {
            id,
            refundable,
            ..an_open_dispute()
        })),
    ]
}

const fn rank(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::AwaitingAcceptance => 1,
        Status::Confirmed => 2,
        Status::Shipped => 3,
        Status::Delivered => 4,
        Status::Failed | Status::Cancelled => 5,
    }
}

fn given_back(order: &Order) -> i64 {
    let standing = order
        .payment
        .refunds
        .iter()
        .filter(|refund| refund.state != RefundState::Refused);
    standing.map(|refund| refund.amount.amount_minor).sum()
}

/// What holds of every order at any time.
fn check(before: &Order, after: &Order) {
    assert!(
        rank(after.state.status()) >= rank(before.state.status()),
        "it went backwards"
    );
    assert_eq!(after.version, before.version + 1);
    let captured = after.payment.captured(after.total);
    assert!(
        captured == after.total || captured.amount_minor == 0,
        "all is captured, or nothing"
    );
    // Here the provider may say anything, also that it voided what it had captured; what it can truly
    // say is `simulation`'s.
    let refunded = after.payment.refunded(after.total).unwrap();
    assert!(
        given_back(after).max(refunded.amount_minor) <= after.total.amount_minor,
        "more goes back than was captured"
    );
    assert!(after.sequence >= before.sequence);
    assert!(
        after.timeline.starts_with(&before.timeline),
        "what was told of it stays told"
    );
    assert_eq!(
        after.payment.token.is_some(),
        matches!(after.state, State::Pending(_)),
        "a token outlives the decision"
    );
    if after.state.status() == Status::Confirmed && after.state.phase() == Phase::Settled {
        assert_eq!(after.payment.state, PaymentState::Captured);
    }
    assert!(
        after.answer.is_some() || after.answer == before.answer,
        "the answer is kept"
    );
    if before.answer.is_some() {
        assert_eq!(after.answer, before.answer, "a checkout has one answer");
    }
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_an_order_goes_forward_and_is_answered_once(
        manual: bool,
        inputs in prop::collection::vec(any_input(), 0..60),
    ) {
        let mut order = order(if manual { Acceptance::Manual } else { Acceptance::Auto });
        for (second, input) in (1..).zip(inputs) {
            match order.apply(input, moment(second)) {
                Ok(Applied::Changed(after)) => {
                    check(&order, &after);
                    order = *after;
                }
                Ok(Applied::Unchanged) | Err(_) => {}
            }
        }
        let sequences: Vec<_> = order.outbox.iter().map(|event| event.sequence).collect();
        let counted: Vec<u64> = (1..).take(sequences.len()).collect();
        prop_assert_eq!(sequences, counted, "each event is the next one");
        let ids: HashSet<_> = order.outbox.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), order.outbox.len());
        let placed = order.outbox.iter().filter(|event| event.told == Told::Placed).count();
        prop_assert!(placed <= 1);
        let ended = matches!(order.state, State::Failed(_) | State::Cancelled | State::Delivered);
        prop_assert!(!ended || order.answer.is_some(), "an order that ended has answered its checkout");
    }

    #[test]
    fn what_comes_twice_changes_nothing_the_second_time(manual: bool, inputs in prop::collection::vec(any_input(), 0..30)) {
        let mut order = order(if manual { Acceptance::Manual } else { Acceptance::Auto });
        for (second, input) in (1..).zip(inputs) {
            let Ok(Applied::Changed(after)) = order.apply(input.clone(), moment(second)) else { continue };
            order = *after;
            // Another token is another attempt; everything else is known by what it did.
            if matches!(input, Input::Pay(_)) || order.state.phase() == Phase::Placed {
                continue;
            }
            if let Ok(Applied::Changed(again)) = order.apply(input.clone(), moment(second)) {
                prop_assert!(false, "{:?} changed {:?} to {:?} again", input, order.state, again.state);
            }
        }
    }
}
