//! What may be checked out, what is frozen, and which key gets which answer.

use rstest::rstest;

use super::*;
use crate::domain::basket::tests::{basket, product};

fn usd() -> Currency {
    "USD".parse().unwrap()
}

fn customer() -> CustomerId {
    "c".parse().unwrap()
}

fn sold(price: i64) -> Offer {
    Offer::Sold {
        sku: "tea".to_owned(),
        name: "Tea".to_owned(),
        unit_price: Money::new(price, usd()),
        acceptance: Acceptance::Auto,
    }
}

fn request(key: &str, body: u128) -> CheckoutRequest {
    let address = r#"{"name":"A","line1":"B","city":"C","postal_code":"1","country":"DE"}"#;
    CheckoutRequest {
        order_id: OrderId::derive(&customer(), "checkout", key),
        body: BodyHash(body),
        shipping_address: serde_json::from_str(address).unwrap(),
        payment_token: None,
        expected_total: None,
    }
}

fn moment() -> Moment {
    Moment {
        now: Timestamp::UNIX_EPOCH,
        valid_until: Timestamp::MAX,
        due_at: Timestamp::MAX,
        event: EventIdentity {
            id: Uuid::nil(),
            traceparent: String::new(),
            causation_id: String::new(),
        },
    }
}

fn priced(basket: &Basket) -> Priced {
    let Standing::New(wanted) = basket.standing(request("other", 0).order_id, BodyHash(0)).unwrap() else {
        panic!("not new")
    };
    let offers = wanted.keys().map(|id| (*id, sold(100))).collect();
    Priced::of(&wanted, &offers, usd(), None).unwrap()
}

fn checked_out(basket: &Basket, key: &str) -> Basket {
    basket.checked_out(&customer(), &request(key, 1), priced(basket), moment())
}

fn settled(mut basket: Basket, at: i64) -> Basket {
    let checkout = basket.under_way.take().unwrap().checkout;
    let at = Timestamp::from_second(at).unwrap();
    basket.settled.insert(
        0,
        Settled {
            checkout,
            outcome: Outcome::Ordered,
            at,
        },
    );
    basket
}

#[test]
fn totals_count_quantities() {
    assert_eq!(priced(&basket(&[(1, 2), (2, 3)])).total, Money::new(500, usd()));
}

#[test]
fn a_checkout_freezes_everything_and_empties_the_basket() {
    let after = checked_out(
        &Basket {
            expires_at: Some(Timestamp::MAX),
            ..basket(&[(1, 2)])
        },
        "k",
    );
    assert!(after.lines.is_empty() && after.expires_at.is_none());
    let frozen = after.under_way.unwrap().checkout;
    assert_eq!((frozen.lines.len(), frozen.total), (1, Money::new(200, usd())));
}

#[test]
fn the_same_request_stands_where_it_stood() {
    let mut after = checked_out(&basket(&[(1, 2)]), "k");
    for _ in ["under way", "settled"] {
        let first = request("k", 1);
        assert!(matches!(
            after.standing(first.order_id, first.body),
            Ok(Standing::Repeated(_))
        ));
        let other_body = after.standing(first.order_id, BodyHash(2)).unwrap_err();
        assert!(matches!(other_body, CheckoutRefused::KeyReused { order_id } if order_id == first.order_id));
        if after.under_way.is_some() {
            after = settled(after, 0);
        }
    }
}

#[rstest]
#[case::empty(&[], "Empty")]
#[case::many(&[(1, 1000), (2, 1)], "QuantityLimit")]
fn what_cannot_be_ordered_is_refused(#[case] lines: &[(u128, u32)], #[case] expected: &str) {
    let refused = basket(lines)
        .standing(request("k", 1).order_id, BodyHash(1))
        .unwrap_err();
    assert!(format!("{refused:?}").starts_with(expected), "{refused:?}");
}

#[test]
fn a_basket_above_its_lines_or_with_a_checkout_under_way_is_refused() {
    let many: Vec<_> = (1..=100).map(|n| (n, 1)).collect();
    let refused = basket(&many)
        .standing(request("k", 1).order_id, BodyHash(1))
        .unwrap_err();
    assert!(matches!(refused, CheckoutRefused::TooManyLines { lines: 100 }));
    let refused = checked_out(&basket(&[(1, 1)]), "a").standing(request("b", 1).order_id, BodyHash(1));
    assert!(matches!(refused.unwrap_err(), CheckoutRefused::InProgress { .. }));
}

#[test]
fn ten_settled_checkouts_answer_their_keys() {
    let mut state = basket(&[]);
    for n in 0..12 {
        state.lines = basket(&[(n, 1)]).lines;
        state = settled(checked_out(&state, &n.to_string()), i64::try_from(n).unwrap());
    }
    state.lines = basket(&[(1, 1)]).lines;
    state = checked_out(&state, "last");
    let remembered = |n: usize| state.checkout(request(&n.to_string(), 1).order_id).is_some();
    assert_eq!(
        (0..12).map(remembered).collect::<Vec<_>>(),
        [vec![false; 2], vec![true; 10]].concat()
    );
}

#[rstest]
#[case::small(3, &[3, 3, 3, 3, 0])]
#[case::large(99, &[99, 0, 0, 0, 0])]
fn lines_are_kept_of_the_newest_and_of_as_many_as_fit(#[case] lines: u128, #[case] expected: &[usize]) {
    let many: Vec<_> = (1..=lines).map(|n| (n, 1)).collect();
    let mut state = basket(&[]);
    for n in 0..5 {
        state.lines = basket(&many).lines;
        state = settled(checked_out(&state, &n.to_string()), n);
    }
    let kept: Vec<_> = state
        .settled
        .iter()
        .map(|settled| settled.checkout.lines.len())
        .collect();
    assert_eq!(kept, expected);
}

#[test]
fn a_price_that_moved_is_told_with_the_new_figures() {
    let wanted = BTreeMap::from([(product(1), Quantity::ONE)]);
    let offers = HashMap::from([(product(1), sold(120))]);
    let refused = Priced::of(&wanted, &offers, usd(), Some(Money::new(100, usd()))).unwrap_err();
    assert!(matches!(refused, CheckoutRefused::PriceChanged { now, .. } if now.total == Money::new(120, usd())));
    assert!(Priced::of(&wanted, &offers, usd(), Some(Money::new(120, usd()))).is_ok());
}

#[test]
fn what_is_not_sold_is_named_each() {
    let wanted = BTreeMap::from([1, 2, 3].map(|n| (product(n), Quantity::ONE)));
    let offers = HashMap::from([(product(1), sold(120)), (product(2), Offer::Archived)]);
    let Err(CheckoutRefused::Unavailable { unavailable, rest }) = Priced::of(&wanted, &offers, usd(), None) else {
        panic!("sold")
    };
    assert_eq!(
        unavailable.iter().map(|line| line.why).collect::<Vec<_>>(),
        [WhyUnavailable::Archived, WhyUnavailable::Unknown]
    );
    assert_eq!(rest.total, Money::new(120, usd()));
}

#[test]
fn a_total_too_large_is_an_error() {
    let wanted = BTreeMap::from([(product(1), Quantity::MAX)]);
    let offers = HashMap::from([(product(1), sold(i64::MAX / 2))]);
    let refused = Priced::of(&wanted, &offers, usd(), None).unwrap_err();
    assert!(matches!(refused, CheckoutRefused::NoTotal(MoneyError::Overflow)));
}

#[test]
fn the_digest_of_lines_knows_no_order() {
    let (a, b) = (product(1), product(2));
    let (one, two) = (Quantity::ONE, Quantity::MAX);
    assert_eq!(
        returned_digest([(&a, one), (&b, two)]),
        returned_digest([(&b, two), (&a, one)])
    );
    assert_ne!(
        returned_digest([(&a, one), (&b, two)]),
        returned_digest([(&a, two), (&b, one)])
    );
}
