//! Reservations: stock held for an order, sold, or given back.
//!
//! | state | hold | commit | release |
//! | --- | --- | --- | --- |
//! | none | held | (none) | released: a tombstone, so that a late hold is refused |
//! | held | held for longer, if it is the same | committed | released |
//! | committed | as it is, if it is the same | as it is | returned |
//! | released | closed | closed | as it is |
//! | returned | closed | closed | as it is |

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::ids::{OrderId, ProductId};
use shared::quantity::Quantity;
use thiserror::Error;
use utoipa::ToSchema;

/// Stock that an order holds or held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The order's id, and its own.
    pub order_id: OrderId,
    /// What; none in a tombstone.
    pub lines: Lines,
    /// How far it has come.
    pub state: State,
    /// When a hold that is neither committed nor released is given up; none in a tombstone.
    pub expires_at: Option<Timestamp>,
}

/// How far a reservation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::AsRefStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = ReservationState)]
pub enum State {
    /// The stock is set aside.
    Held,
    /// The stock is sold.
    Committed,
    /// It was held, or asked for too late, and is not any more.
    Released,
    /// It was sold and is back.
    Returned,
}

/// Pieces by product: each product once, and never none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<ProductId, u32>);

/// Not as many lines as a reservation has.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a reservation has 1 to {most} lines, this one {0}", most = Lines::MAX)]
pub struct LineLimit(usize);

impl Lines {
    /// The most lines that a reservation has, as an order: with the reservation itself that is one
    /// transaction.
    pub const MAX: usize = 99;

    /// Lines summed by product: one transaction names each stock once.
    ///
    /// # Errors
    /// There are none, or more than [`Lines::MAX`] as sent.
    pub fn summed(lines: &[(ProductId, Quantity)]) -> Result<Self, LineLimit> {
        if !(1..=Self::MAX).contains(&lines.len()) {
            return Err(LineLimit(lines.len()));
        }
        let mut sums = BTreeMap::new();
        for (product, quantity) in lines {
            // 99 lines of 999 fit many times over.
            *sums.entry(*product).or_default() += u32::from(quantity.get());
        }
        Ok(Self(sums))
    }

    /// As they were stored.
    #[must_use]
    pub fn from_stored(lines: BTreeMap<ProductId, u32>) -> Self {
        Self(lines)
    }

    /// Product and pieces, in the products' order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProductId, u32)> + '_ {
        self.0.iter().map(|(product, pieces)| (*product, *pieces))
    }

    /// How many products.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: a tombstone's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A hold or a commit that comes too late, or not for this.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// It was given back: what is given back stays so.
    #[error("the reservation is closed")]
    Closed {
        /// In which state it ended.
        state: State,
    },
    /// The order holds something else.
    #[error("the order holds other lines")]
    OtherLines,
}

/// What a hold comes to where there is a reservation already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It stands as it is.
    Stands,
    /// It is held until then.
    Extend(Timestamp),
}

/// What a commit or a release comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It stands as it is.
    Stands,
    /// It goes to this state, and the stock of every line with it.
    Go(State),
}

impl Reservation {
    /// A hold that is new.
    #[must_use]
    pub fn held(order_id: OrderId, lines: Lines, expires_at: Timestamp) -> Self {
        Self {
            order_id,
            lines,
            state: State::Held,
            expires_at: Some(expires_at),
        }
    }

    /// What remains of an order that was released before it held anything.
    #[must_use]
    pub fn tombstone(order_id: OrderId) -> Self {
        Self {
            order_id,
            lines: Lines::default(),
            state: State::Released,
            expires_at: None,
        }
    }

    /// Hold again, until then at least.
    ///
    /// # Errors
    /// It is closed, or of other lines.
    pub fn hold_again(&self, lines: &Lines, until: Timestamp) -> Result<Hold, Refused> {
        match self.state {
            State::Released | State::Returned => Err(Refused::Closed { state: self.state }),
            State::Held | State::Committed if self.lines != *lines => Err(Refused::OtherLines),
            State::Committed => Ok(Hold::Stands),
            State::Held if self.expires_at >= Some(until) => Ok(Hold::Stands),
            State::Held => Ok(Hold::Extend(until)),
        }
    }

    /// Make the hold a sale. That its time is over does not matter as long as it is held.
    ///
    /// # Errors
    /// It is closed.
    pub fn commit(&self) -> Result<Step, Refused> {
        match self.state {
            State::Held => Ok(Step::Go(State::Committed)),
            State::Committed => Ok(Step::Stands),
            State::Released | State::Returned => Err(Refused::Closed { state: self.state }),
        }
    }

    /// Give back whatever is held or sold.
    #[must_use]
    pub fn release(&self) -> Step {
        match self.state {
            State::Held => Step::Go(State::Released),
            State::Committed => Step::Go(State::Returned),
            State::Released | State::Returned => Step::Stands,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    const T: Timestamp = Timestamp::UNIX_EPOCH;

    fn product(n: u128) -> ProductId {
        ProductId::from_uuid(Uuid::from_u128(n))
    }

    fn lines(quantities: &[(u128, i64)]) -> Lines {
        let all: Vec<_> = quantities
            .iter()
            .map(|(p, q)| (product(*p), Quantity::try_from(*q).unwrap()))
            .collect();
        Lines::summed(&all).unwrap()
    }

    fn reservation(state: State) -> Reservation {
        Reservation {
            state,
            ..Reservation::held(OrderId::from_uuid(Uuid::nil()), lines(&[(1, 2)]), T)
        }
    }

    #[test]
    fn lines_of_one_product_are_summed() {
        let summed = lines(&[(1, 999), (2, 1), (1, 999)]);
        assert_eq!(summed.iter().collect::<Vec<_>>(), [(product(1), 1998), (product(2), 1)]);
    }

    #[test]
    fn there_are_1_to_99_lines() {
        let of = |n: usize| Lines::summed(&vec![(product(1), Quantity::ONE); n]).map(|l| l.len());
        assert_eq!(of(0), Err(LineLimit(0)));
        assert_eq!(of(99), Ok(1));
        assert_eq!(of(100), Err(LineLimit(100)));
    }

    #[rstest]
    #[case(
        State::Held,
        Ok(Hold::Stands),
        Ok(Step::Go(State::Committed)),
        Step::Go(State::Released)
    )]
    #[case(State::Committed, Ok(Hold::Stands), Ok(Step::Stands), Step::Go(State::Returned))]
    #[case(State::Released, Err(Refused::Closed { state: State::Released }), Err(Refused::Closed { state: State::Released }), Step::Stands)]
    #[case(State::Returned, Err(Refused::Closed { state: State::Returned }), Err(Refused::Closed { state: State::Returned }), Step::Stands)]
    fn every_state_has_one_answer_to_everything(
        #[case] state: State,
        #[case] hold: Result<Hold, Refused>,
        #[case] commit: Result<Step, Refused>,
        #[case] release: Step,
    ) {
        let reservation = reservation(state);
        assert_eq!(reservation.hold_again(&reservation.lines, T), hold);
        assert_eq!(reservation.commit(), commit);
        assert_eq!(reservation.release(), release);
    }

    #[test]
    fn holding_again_holds_longer_and_never_shorter() {
        let later = T + std::time::Duration::from_secs(60);
        let held = Reservation {
            expires_at: Some(later),
            ..reservation(State::Held)
        };
        assert_eq!(held.hold_again(&held.lines, T), Ok(Hold::Stands));
        let longer = later + std::time::Duration::from_secs(1);
        assert_eq!(held.hold_again(&held.lines, longer), Ok(Hold::Extend(longer)));
    }

    #[test]
    fn an_order_holds_one_set_of_lines() {
        for state in [State::Held, State::Committed] {
            assert_eq!(
                reservation(state).hold_again(&lines(&[(1, 3)]), T),
                Err(Refused::OtherLines)
            );
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Ask {
        Hold,
        Commit,
        Release,
    }

    proptest! {
        /// Whatever is asked in whatever order, stock is held at most once, sold at most once and
        /// given back at most once.
        #[test]
        fn no_sequence_moves_stock_twice(
            asks in prop::collection::vec(prop_oneof![Just(Ask::Hold), Just(Ask::Commit), Just(Ask::Release)], 0..12),
        ) {
            let order = OrderId::from_uuid(Uuid::nil());
            let mut there: Option<Reservation> = None;
            let mut went = Vec::new();
            for ask in asks {
                let next = match (&there, ask) {
                    (None, Ask::Hold) => Some(Reservation::held(order, lines(&[(1, 2)]), T)),
                    (None, Ask::Release) => Some(Reservation::tombstone(order)),
                    (None, Ask::Commit) => None,
                    (Some(_), Ask::Hold) => None,
                    (Some(r), Ask::Commit) => match r.commit() {
                        Ok(Step::Go(state)) => Some(Reservation { state, ..r.clone() }),
                        Ok(Step::Stands) | Err(_) => None,
                    },
                    (Some(r), Ask::Release) => match r.release() {
                        Step::Go(state) => Some(Reservation { state, ..r.clone() }),
                        Step::Stands => None,
                    },
                };
                if let Some(next) = next {
                    went.push(next.state);
                    there = Some(next);
                }
            }
            let allowed: [&[State]; 5] = [
                &[State::Held],
                &[State::Held, State::Committed],
                &[State::Held, State::Committed, State::Returned],
                &[State::Held, State::Released],
                &[State::Released],
            ];
            prop_assert!(went.is_empty() || allowed.contains(&went.as_slice()), "{:?}", went);
        }
    }
}
