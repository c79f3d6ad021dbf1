//! Each state against whatever can be found beside it.

use rstest::rstest;
use shared::contract::checkout::{Acceptance, Line, PaymentToken};
use shared::contract::order::FailureReason;
use shared::idempotency::Fingerprint;
use shared::money::{Currency, Money};
use strum::IntoEnumIterator;
use uuid::Uuid;

use super::*;
use crate::domain::order::Moment;
use crate::domain::payment::{Asked, PaymentState, Refund};
use crate::domain::placing::Placing;
use crate::domain::state;
use crate::domain::timeline::Actor;
use crate::domain::told::{Recorded, Told};

const PAYMENT: &str = "pi_1";
const TEA: ProductId = ProductId::from_uuid(Uuid::from_u128(1));

fn usd(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn moment(second: i64) -> Moment {
    Moment {
        now: at(second),
        actor: Actor::System,
        traceparent: String::new(),
        trace_id: String::new(),
        event_ids: std::array::from_fn(|_| Uuid::new_v4()),
    }
}

/// Of 2 x 5.00, at second 0.
fn order(state: State, payment: PaymentState) -> Order {
    let line = Line {
        product_id: TEA,
        sku: "tea".to_owned(),
        name: "Tea".to_owned(),
        quantity: 2.try_into().unwrap(),
        unit_price: usd(500),
        acceptance: Acceptance::Auto,
    };
    let placing = Placing {
        id: OrderId::from_uuid(Uuid::from_u128(7)),
        customer: "ada".parse().unwrap(),
        lines: vec![line],
        address: None,
        token: Some(PaymentToken::try_from("pm_card_visa".to_owned()).unwrap()),
        fingerprint: Fingerprint::of(&[b"one"]),
        causation: "a-request".to_owned(),
    };
    let mut order = Order::place(placing, "USD".parse().unwrap(), Acceptance::Auto, moment(0)).unwrap();
    order.state = state;
    order.payment.state = payment;
    order.payment.intent = Some(PAYMENT.to_owned());
    order
}

fn states() -> Vec<State> {
    let standing = state::Standing::Placed;
    vec![
        State::Pending(Acceptance::Auto),
        State::AwaitingAcceptance { answer_by: at(600) },
        State::Confirming(standing),
        State::Failing(standing, FailureReason::Declined),
        State::Cancelling(standing),
        State::Confirmed,
        State::Shipped,
        State::Delivered,
        State::Failed(FailureReason::Declined),
        State::Cancelled,
    ]
}

fn reservation(hold: Hold) -> Reservation {
    Reservation {
        order: OrderId::from_uuid(Uuid::from_u128(7)),
        hold,
        lines: BTreeMap::from([(TEA, 2)]),
        expires_at: Some(at(3_600)),
    }
}

fn charged(standing: Standing, captured: i64, refunded: i64) -> Charged {
    Charged {
        id: PAYMENT.to_owned(),
        order: Some(OrderId::from_uuid(Uuid::from_u128(7))),
        currency: "USD".to_owned(),
        captured,
        refunded,
        standing,
    }
}

fn kind(drift: Option<Drift>) -> Option<Kind> {
    drift.map(|drift| drift.kind)
}

#[test]
fn a_reservation_is_in_a_state_that_its_order_allows() {
    use Hold::{Committed, Held, Released, Returned};
    let everything = [None, Some(Held), Some(Committed), Some(Released), Some(Returned)];
    for state in states() {
        let allowed: &[Option<Hold>] = match state {
            State::Pending(_) => &[None, Some(Held), Some(Released)],
            State::AwaitingAcceptance { .. } => &[Some(Held)],
            State::Confirming(_) => &[Some(Held), Some(Committed), Some(Released)],
            State::Failing(..) | State::Cancelling(_) => &everything,
            State::Confirmed | State::Shipped | State::Delivered => &[Some(Committed)],
            State::Failed(_) | State::Cancelled => &[None, Some(Released), Some(Returned)],
        };
        for hold in everything {
            let found = hold.map(reservation);
            let drift = reservation_drift(&order(state, PaymentState::Open), found.as_ref(), at(60));
            let expected = (!allowed.contains(&hold)).then_some(Kind::ReservationState);
            assert_eq!(kind(drift), expected, "{state:?} {hold:?}");
        }
    }
    assert_eq!(Hold::iter().count() + 1, everything.len());
}

#[test]
fn a_sale_that_the_product_service_may_have_forgotten_is_not_missed() {
    let day = 86_400;
    let order = order(State::Delivered, PaymentState::Captured);
    assert_eq!(
        kind(reservation_drift(&order, None, at(394 * day))),
        Some(Kind::ReservationState)
    );
    assert_eq!(kind(reservation_drift(&order, None, at(396 * day))), None);
}

#[test]
fn a_reservation_has_the_lines_of_its_order_or_none() {
    let confirmed = order(State::Confirmed, PaymentState::Captured);
    let with = |lines: &[(ProductId, u64)], hold| {
        let found = Reservation {
            lines: lines.iter().copied().collect(),
            ..reservation(hold)
        };
        kind(reservation_drift(&confirmed, Some(&found), at(60)))
    };
    let cup = ProductId::from_uuid(Uuid::from_u128(2));
    assert_eq!(with(&[(TEA, 2)], Hold::Committed), None);
    for lines in [&[(TEA, 1)][..], &[(TEA, 2), (cup, 1)], &[(cup, 2)]] {
        assert_eq!(with(lines, Hold::Committed), Some(Kind::ReservationLines), "{lines:?}");
    }
    let tombstone = Reservation {
        lines: BTreeMap::new(),
        ..reservation(Hold::Released)
    };
    let cancelled = order(State::Cancelled, PaymentState::Voided);
    assert_eq!(kind(reservation_drift(&cancelled, Some(&tombstone), at(60))), None);
}

#[test]
fn lines_of_one_product_are_compared_in_sum() {
    let mut order = order(State::Confirmed, PaymentState::Captured);
    order.lines.push(order.lines[0].clone());
    let found = Reservation {
        lines: BTreeMap::from([(TEA, 4)]),
        ..reservation(Hold::Committed)
    };
    assert_eq!(reservation_drift(&order, Some(&found), at(60)), None);
}

#[test]
fn a_hold_is_given_up_when_its_time_is_over() {
    let order = order(
        State::AwaitingAcceptance { answer_by: at(600) },
        PaymentState::Authorized,
    );
    let late = at(3_600) + LATE;
    let look = |now| kind(reservation_drift(&order, Some(&reservation(Hold::Held)), now));
    assert_eq!(look(late), None);
    assert_eq!(look(late + SignedDuration::from_secs(1)), Some(Kind::HoldOverdue));
}

#[rstest]
#[case::nothing_yet(Standing::Open, 0, 0, [None, None, None, Some(Kind::PaymentNotCaptured), Some(Kind::PaymentNotVoided)])]
#[case::authorized(Standing::Authorized, 0, 0, [None, None, None, Some(Kind::PaymentNotCaptured), Some(Kind::PaymentNotVoided)])]
#[case::captured(Standing::Captured, 1_000, 0, [Some(Kind::PaymentTooEarly), None, None, None, Some(Kind::PaymentNotReturned)])]
#[case::another_amount(Standing::Captured, 999, 0, [Some(Kind::PaymentTooEarly), None, None, Some(Kind::PaymentAmount), Some(Kind::PaymentNotReturned)])]
#[case::a_part_refunded(Standing::Captured, 1_000, 1, [Some(Kind::PaymentTooEarly), None, None, Some(Kind::RefundMismatch), Some(Kind::PaymentNotReturned)])]
#[case::all_refunded(Standing::Captured, 1_000, 1_000, [Some(Kind::PaymentTooEarly), None, None, Some(Kind::RefundMismatch), Some(Kind::RefundMismatch)])]
#[case::voided(Standing::Voided, 0, 0, [None, None, None, Some(Kind::PaymentNotCaptured), None])]
fn a_payment_is_what_its_order_says(
    #[case] standing: Standing,
    #[case] captured: i64,
    #[case] refunded: i64,
    #[case] expected: [Option<Kind>; 5],
) {
    let [undecided, confirming, undoing, confirmed, nothing] = expected;
    for state in states() {
        let (expected, payment) = match state {
            State::Pending(_) | State::AwaitingAcceptance { .. } => (undecided, PaymentState::Authorized),
            State::Confirming(_) => (confirming, PaymentState::Authorized),
            State::Failing(..) | State::Cancelling(_) => (undoing, PaymentState::Authorized),
            State::Confirmed | State::Shipped | State::Delivered => (confirmed, PaymentState::Captured),
            State::Failed(_) | State::Cancelled => (nothing, PaymentState::Voided),
        };
        let found = charged(standing, captured, refunded);
        let drift = payment_drift(&order(state, payment), Some(&found));
        assert_eq!(kind(drift), expected, "{state:?}");
    }
}

#[test]
fn a_payment_in_another_currency_is_another_amount() {
    let found = Charged {
        currency: "EUR".to_owned(),
        ..charged(Standing::Captured, 1_000, 0)
    };
    let drift = payment_drift(&order(State::Confirmed, PaymentState::Captured), Some(&found));
    assert_eq!(kind(drift), Some(Kind::PaymentAmount));
}

#[test]
fn a_payment_is_compared_as_the_provider_counts() {
    // Króna have no decimals, and are written with two; dinars have three, of which the last is dropped.
    for (code, total, captured) in [("ISK", 1_000, 100_000), ("KWD", 12_345, 12_340)] {
        let currency: Currency = code.parse().unwrap();
        let mut sold = order(State::Confirmed, PaymentState::Captured);
        sold.total = Money::new(total, currency);
        let taken = |captured| Charged {
            currency: code.to_owned(),
            ..charged(Standing::Captured, captured, 0)
        };
        assert_eq!(kind(payment_drift(&sold, Some(&taken(captured)))), None);
        let less = payment_drift(&sold, Some(&taken(captured - 10)));
        assert_eq!(kind(less), Some(Kind::PaymentAmount));
    }
}

#[test]
fn a_payment_is_missed_where_money_was_taken_and_only_there() {
    for state in states() {
        for payment in [PaymentState::Captured, PaymentState::Returned, PaymentState::NotNeeded] {
            let order = order(state, payment.clone());
            let expected = match state {
                State::Confirmed | State::Shipped | State::Delivered => payment != PaymentState::NotNeeded,
                State::Failed(_) | State::Cancelled => payment == PaymentState::Returned,
                State::Pending(_)
                | State::AwaitingAcceptance { .. }
                | State::Confirming(_)
                | State::Failing(..)
                | State::Cancelling(_) => false,
            };
            let drift = payment_drift(&order, None);
            assert_eq!(
                kind(drift),
                expected.then_some(Kind::PaymentMissing),
                "{state:?} {payment:?}"
            );
            assert_eq!(claimed_payment(&order).is_some(), expected, "{state:?} {payment:?}");
        }
    }
}

#[rstest]
#[case::none(&[], 0, true)]
#[case::done(&[(300, RefundState::Done)], 300, true)]
#[case::done_but_not_made(&[(300, RefundState::Done)], 0, false)]
#[case::made_but_not_asked_for(&[], 300, false)]
#[case::under_way_not_made(&[(300, RefundState::Done), (200, RefundState::Pending)], 300, true)]
#[case::under_way_made(&[(300, RefundState::Done), (200, RefundState::Pending)], 500, true)]
#[case::more_than_asked_for(&[(300, RefundState::Done), (200, RefundState::Pending)], 501, false)]
#[case::refused(&[(300, RefundState::Refused)], 0, true)]
#[case::refused_but_made(&[(300, RefundState::Refused)], 300, false)]
fn what_the_provider_refunded_is_what_the_order_says(
    #[case] refunds: &[(i64, RefundState)],
    #[case] refunded: i64,
    #[case] right: bool,
) {
    for state in [State::Confirmed, State::Shipped, State::Delivered] {
        let mut order = order(state, PaymentState::Captured);
        order.payment.refunds = refunds.iter().map(|(minor, state)| refund(*minor, *state)).collect();
        let drift = payment_drift(&order, Some(&charged(Standing::Captured, 1_000, refunded)));
        assert_eq!(kind(drift), (!right).then_some(Kind::RefundMismatch));
    }
}

#[test]
fn all_of_a_returned_payment_has_gone_back() {
    let cancelled = order(State::Cancelled, PaymentState::Returned);
    let look = |captured, refunded| {
        kind(payment_drift(
            &cancelled,
            Some(&charged(Standing::Captured, captured, refunded)),
        ))
    };
    assert_eq!(look(1_000, 1_000), None);
    assert_eq!(look(1_000, 700), Some(Kind::PaymentNotReturned));
    let voided = charged(Standing::Voided, 0, 0);
    assert_eq!(
        kind(payment_drift(&cancelled, Some(&voided))),
        Some(Kind::RefundMismatch)
    );
}

#[rstest]
#[case::nothing(Standing::Open, 0, 0, false)]
#[case::voided(Standing::Voided, 0, 0, false)]
#[case::all_gone_back(Standing::Captured, 500, 500, false)]
#[case::held(Standing::Authorized, 0, 0, true)]
#[case::taken(Standing::Captured, 500, 0, true)]
#[case::some_gone_back(Standing::Captured, 500, 499, true)]
fn money_belongs_to_an_order(
    #[case] standing: Standing,
    #[case] captured: i64,
    #[case] refunded: i64,
    #[case] has_money: bool,
) {
    let found = charged(standing, captured, refunded);
    let alone = stray_payment(&found, None);
    assert_eq!(kind(alone), has_money.then_some(Kind::PaymentWithoutOrder));
    let own = order(State::Confirmed, PaymentState::Captured);
    assert_eq!(stray_payment(&found, Some(&own)), None, "it is its own");
    let second = Charged {
        id: "pi_2".to_owned(),
        ..found.clone()
    };
    let drift = stray_payment(&second, Some(&own));
    assert_eq!(kind(drift), has_money.then_some(Kind::PaymentUnexpected));
    let mut unpaid = own.clone();
    unpaid.payment.state = PaymentState::NotNeeded;
    let drift = stray_payment(&found, Some(&unpaid));
    assert_eq!(kind(drift), has_money.then_some(Kind::PaymentUnexpected));
    let mut asking = order(State::Pending(Acceptance::Auto), PaymentState::Open);
    asking.payment.intent = None;
    assert_eq!(stray_payment(&found, Some(&asking)), None, "it may become its own");
}

#[test]
fn a_stock_adds_up_and_has_reserved_what_is_held() {
    let counters = |on_hand, reserved, available| Counters {
        product: TEA,
        on_hand,
        reserved,
        available,
    };
    assert_eq!(stock_drift(&counters(10, 3, 7)), None);
    for wrong in [counters(10, 3, 8), counters(10, 11, 0), counters(0, u64::MAX, 1)] {
        assert_eq!(kind(stock_drift(&wrong)), Some(Kind::StockInconsistent));
    }
    assert_eq!(reserved_drift(TEA, 3, 3), None);
    for (reserved, held) in [(3, 2), (2, 3), (0, 1)] {
        assert_eq!(kind(reserved_drift(TEA, reserved, held)), Some(Kind::ReservedMismatch));
    }
}

#[test]
fn a_checkout_has_an_order_in_time_and_is_settled_in_time() {
    let checkout = Checkout {
        order: OrderId::from_uuid(Uuid::from_u128(7)),
        valid_until: at(900),
    };
    let second = SignedDuration::from_secs(1);
    let look = |order: Option<&Order>, now| kind(checkout_drift(&checkout, order, now));
    assert_eq!(look(None, at(900) + LATE), None);
    assert_eq!(look(None, at(900) + LATE + second), Some(Kind::CheckoutWithoutOrder));
    let mut order = order(State::Pending(Acceptance::Auto), PaymentState::Open);
    assert_eq!(look(Some(&order), at(1_000_000)), None, "its order has not answered");
    order.answer = Some(told(at(5_000)));
    assert_eq!(look(Some(&order), at(5_000) + LATE), None);
    assert_eq!(
        look(Some(&order), at(5_000) + LATE + second),
        Some(Kind::CheckoutNotSettled)
    );
}

#[test]
fn what_is_left_to_do_is_due_and_not_for_long() {
    let second = SignedDuration::from_secs(1);
    for state in states() {
        let mut order = order(state, PaymentState::Open);
        order.due_at = Some(at(0));
        assert_eq!(lateness(&order, at(0) + LATE), None);
        let late = at(0) + LATE + second;
        assert_eq!(kind(lateness(&order, late)), Some(Kind::OrderOverdue), "{state:?}");
        order.due_at = None;
        let settled = state.phase() == state::Phase::Settled;
        let expected = (!settled).then_some(Kind::OrderForgotten);
        assert_eq!(kind(lateness(&order, late)), expected, "{state:?}");
        order.outbox = vec![told(at(0))];
        assert_eq!(kind(lateness(&order, at(1))), Some(Kind::OrderForgotten), "{state:?}");
        assert_eq!(kind(lateness(&order, late)), Some(Kind::OutboxOverdue), "{state:?}");
        order.due_at = Some(late);
        assert_eq!(kind(lateness(&order, at(1))), None);
        assert_eq!(kind(lateness(&order, late)), Some(Kind::OutboxOverdue), "{state:?}");
    }
}

#[test]
fn a_refund_under_way_is_something_left_to_do() {
    let mut order = order(State::Delivered, PaymentState::Captured);
    order.payment.refunds = vec![refund(1, RefundState::Pending)];
    assert_eq!(kind(lateness(&order, at(0))), Some(Kind::OrderForgotten));
    order.payment.refunds[0].state = RefundState::Done;
    assert_eq!(lateness(&order, at(0)), None);
}

fn refund(minor: i64, state: RefundState) -> Refund {
    Refund {
        id: Uuid::new_v4(),
        amount: usd(minor),
        asked: Asked::Amount,
        reason: String::new(),
        at: at(0),
        state,
    }
}

fn told(at: Timestamp) -> Recorded {
    Recorded {
        id: Uuid::new_v4(),
        at,
        sequence: 1,
        traceparent: String::new(),
        told: Told::Placed,
    }
}
