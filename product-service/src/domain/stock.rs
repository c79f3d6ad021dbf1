//! The arithmetic of stock: what lies there, what is held, what can be bought.
//!
//! Every change is a [`Movement`] of two counters or a count; that nothing is ever sold twice is
//! decided here, and the store makes the table decide the same in its conditions.

use deserr::Deserr;
use shared::body::{FieldErrors, Invalid};
use thiserror::Error;
use utoipa::ToSchema;

use crate::domain::adjustment::{AdjustmentKey, Delta, KnownKey};
use crate::domain::product::Listing;

/// Pieces of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    on_hand: u32,
    reserved: u32,
    /// Counts counts and adjustments, not holds: what `If-Match` compares.
    pub version: u64,
    /// Counts how often the last piece went or the first came: orders the events of it.
    pub crossings: u64,
    /// Where it stands among what is in stock; none while the product is archived.
    pub listing: Option<Listing>,
    /// The last adjustments' keys, the newest first.
    pub adjustments: Vec<AdjustmentKey>,
}

/// How many pieces may lie in stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserr, ToSchema)]
#[deserr(try_from(i64) = OnHand::try_from -> StockLimit, error = FieldErrors)]
#[schema(value_type = u32, maximum = 1_000_000_000)]
pub struct OnHand(u32);

/// More pieces than a stock may have, or fewer than none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a stock is from 0 to {} pieces", OnHand::MAX.0)]
pub struct StockLimit;

impl Invalid for StockLimit {
    fn code(&self) -> &'static str {
        "stock_limit"
    }
}

impl OnHand {
    /// No stock is larger.
    pub const MAX: Self = Self(1_000_000_000);

    /// The number of pieces.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for OnHand {
    type Error = StockLimit;

    fn try_from(pieces: i64) -> Result<Self, StockLimit> {
        match u32::try_from(pieces) {
            Ok(n) if n <= Self::MAX.0 => Ok(Self(n)),
            Ok(_) | Err(_) => Err(StockLimit),
        }
    }
}

/// A change of both counters by so many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Pieces that come or go.
    pub on_hand: i64,
    /// Pieces that are held or freed.
    pub reserved: i64,
}

impl Movement {
    /// Held for an order: still there, no longer to be bought.
    #[must_use]
    pub fn hold(pieces: u32) -> Self {
        Self {
            on_hand: 0,
            reserved: pieces.into(),
        }
    }

    /// A hold becomes a sale: the pieces leave.
    #[must_use]
    pub fn sell_held(pieces: u32) -> Self {
        Self {
            on_hand: -i64::from(pieces),
            reserved: -i64::from(pieces),
        }
    }

    /// A hold is given up.
    #[must_use]
    pub fn free_held(pieces: u32) -> Self {
        Self {
            on_hand: 0,
            reserved: -i64::from(pieces),
        }
    }

    /// A sale is taken back.
    #[must_use]
    pub fn take_back_sold(pieces: u32) -> Self {
        Self {
            on_hand: pieces.into(),
            reserved: 0,
        }
    }

    /// A merchant's adjustment.
    #[must_use]
    pub fn adjust(delta: Delta) -> Self {
        Self {
            on_hand: delta.pieces(),
            reserved: 0,
        }
    }

    /// What it does to the pieces that can be bought.
    #[must_use]
    pub fn available(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The last piece that could be bought went, or the first came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// Nothing is left to buy.
    Depleted,
    /// There is something again.
    Available,
}

/// Why a stock does not move.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CannotMove {
    /// More would be bought, held or taken away than can be.
    #[error("{available} pieces are available")]
    Short {
        /// Pieces that can be bought.
        available: u32,
    },
    /// More would be freed or sold than is held: a hold was counted twice, or not at all.
    #[error("only {reserved} pieces are held")]
    NotHeld {
        /// Pieces that are held.
        reserved: u32,
    },
    /// More would lie there than a stock may have.
    #[error("a stock has at most {} pieces", OnHand::MAX.0)]
    TooMany,
}

/// A count below what is held for orders.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{reserved} pieces are held for orders")]
pub struct BelowReserved {
    /// Pieces that are held.
    pub reserved: u32,
}

impl Stock {
    /// How many keys a stock remembers.
    pub const KEYS: usize = 16;

    /// Of a new product.
    #[must_use]
    pub fn new(on_hand: OnHand, listing: Option<Listing>) -> Self {
        let nothing = Self::default();
        let all = Self {
            on_hand: on_hand.0,
            version: 1,
            listing,
            ..Self::default()
        };
        nothing.leading_to(all).0
    }

    /// One with these counters, or none where they contradict each other.
    #[must_use]
    pub fn with_counters(self, on_hand: u32, reserved: u32) -> Option<Self> {
        (reserved <= on_hand).then_some(Self {
            on_hand,
            reserved,
            ..self
        })
    }

    /// Pieces that lie there.
    #[must_use]
    pub fn on_hand(&self) -> u32 {
        self.on_hand
    }

    /// Pieces of these that are held for orders.
    #[must_use]
    pub fn reserved(&self) -> u32 {
        self.reserved
    }

    /// Pieces that can be bought.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.on_hand - self.reserved
    }

    /// The stock after that movement.
    ///
    /// # Errors
    /// It cannot move so; nothing has changed then.
    pub fn moved(&self, by: Movement) -> Result<Self, CannotMove> {
        let reserved = u32::try_from(i64::from(self.reserved) + by.reserved);
        let reserved = reserved.map_err(|_negative| CannotMove::NotHeld {
            reserved: self.reserved,
        })?;
        if by.available() < 0 && i64::from(self.available()) + by.available() < 0 {
            return Err(CannotMove::Short {
                available: self.available(),
            });
        }
        match u32::try_from(i64::from(self.on_hand) + by.on_hand) {
            Ok(on_hand) if on_hand <= OnHand::MAX.0 => Ok(Self {
                on_hand,
                reserved,
                ..self.clone()
            }),
            Ok(_) | Err(_) => Err(CannotMove::TooMany),
        }
    }

    /// The stock after a count.
    ///
    /// # Errors
    /// More is held than was counted.
    pub fn counted(&self, on_hand: OnHand) -> Result<Self, BelowReserved> {
        if on_hand.0 < self.reserved {
            return Err(BelowReserved {
                reserved: self.reserved,
            });
        }
        Ok(Self {
            on_hand: on_hand.0,
            version: self.version + 1,
            ..self.clone()
        })
    }

    /// The stock after a merchant's adjustment.
    ///
    /// # Errors
    /// As [`Stock::moved`].
    pub fn adjusted(&self, delta: Delta) -> Result<Self, CannotMove> {
        let moved = self.moved(Movement::adjust(delta))?;
        Ok(Self {
            version: self.version + 1,
            ..moved
        })
    }

    /// The stock in another place of the lists, or in none.
    #[must_use]
    pub fn relisted(&self, listing: Option<Listing>) -> Self {
        Self {
            listing,
            ..self.clone()
        }
    }

    /// Whether the way from here to `after` empties the stock or fills it again, in the eyes of who
    /// buys: what is archived by then is not bought anyway.
    #[must_use]
    pub fn crossing(&self, after: &Self) -> Option<Crossing> {
        after.listing.as_ref()?;
        match (self.available(), after.available()) {
            (1.., 0) => Some(Crossing::Depleted),
            (0, 1..) => Some(Crossing::Available),
            (0, 0) | (1.., 1..) => None,
        }
    }

    /// `after` with the crossing counted, if the way there is one.
    #[must_use]
    pub fn leading_to(&self, after: Self) -> (Self, Option<Crossing>) {
        let crossing = self.crossing(&after);
        let crossings = self.crossings + u64::from(crossing.is_some());
        (Self { crossings, ..after }, crossing)
    }

    /// What this stock knows of an adjustment's key.
    #[must_use]
    pub fn knows(&self, asked: &AdjustmentKey) -> KnownKey {
        asked.among(&self.adjustments)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn stock(on_hand: u32, reserved: u32) -> Stock {
        let listing = Listing {
            category: "Drinks".to_owned(),
            name_key: "tea".to_owned(),
        };
        let listed = Stock {
            listing: Some(listing),
            ..Stock::default()
        };
        listed.with_counters(on_hand, reserved).unwrap()
    }

    fn delta(pieces: i64) -> Delta {
        Delta::try_from(pieces).unwrap()
    }

    #[test]
    fn what_is_archived_crosses_nothing() {
        let archived = Stock::default().with_counters(5, 0).unwrap();
        let emptied = archived.moved(Movement::hold(5)).unwrap();
        assert_eq!(archived.crossing(&emptied), None);
    }

    #[rstest]
    #[case((5, 0), Movement::hold(5), Ok((5, 5)), Some(Crossing::Depleted))]
    #[case((5, 0), Movement::hold(4), Ok((5, 4)), None)]
    #[case((5, 1), Movement::hold(5), Err(CannotMove::Short { available: 4 }), None)]
    #[case((5, 5), Movement::free_held(1), Ok((5, 4)), Some(Crossing::Available))]
    #[case((5, 5), Movement::sell_held(5), Ok((0, 0)), None)]
    #[case((5, 1), Movement::sell_held(2), Err(CannotMove::NotHeld { reserved: 1 }), None)]
    #[case((0, 0), Movement::take_back_sold(3), Ok((3, 0)), Some(Crossing::Available))]
    #[case((5, 2), Movement::adjust(delta(-3)), Ok((2, 2)), Some(Crossing::Depleted))]
    #[case((5, 2), Movement::adjust(delta(-4)), Err(CannotMove::Short { available: 3 }), None)]
    #[case((1_000_000_000, 0), Movement::adjust(delta(1)), Err(CannotMove::TooMany), None)]
    fn stock_moves_only_as_far_as_it_goes(
        #[case] before: (u32, u32),
        #[case] by: Movement,
        #[case] after: Result<(u32, u32), CannotMove>,
        #[case] crossing: Option<Crossing>,
    ) {
        let before = stock(before.0, before.1);
        let moved = before.moved(by);
        assert_eq!(moved.clone().map(|s| (s.on_hand, s.reserved)), after);
        if let Ok(moved) = moved {
            assert_eq!(before.crossing(&moved), crossing);
        }
    }

    #[test]
    fn a_count_below_what_is_held_is_refused() {
        let count = |n| stock(5, 3).counted(OnHand(n)).map(|s| s.available());
        assert_eq!(count(2), Err(BelowReserved { reserved: 3 }));
        assert_eq!(count(3), Ok(0));
        assert_eq!(count(9), Ok(6));
    }

    fn movements() -> impl Strategy<Value = Movement> {
        prop_oneof![
            (0_u32..50).prop_map(Movement::hold),
            (0_u32..50).prop_map(Movement::sell_held),
            (0_u32..50).prop_map(Movement::free_held),
            (0_u32..50).prop_map(Movement::take_back_sold),
            (1_i64..50).prop_map(|n| Movement::adjust(delta(n))),
            (1_i64..50).prop_map(|n| Movement::adjust(delta(-n))),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_nothing_is_sold_twice(
            on_hand in 0_u32..100,
            steps in prop::collection::vec(movements(), 0..60),
        ) {
            let mut stock = stock(on_hand, 0);
            let mut crossings = Vec::new();
            for step in steps {
                let Ok(after) = stock.moved(step) else { continue };
                prop_assert!(after.reserved <= after.on_hand);
                prop_assert_eq!(i64::from(after.available()), i64::from(stock.available()) + step.available());
                crossings.extend(stock.crossing(&after));
                stock = after;
            }
            // Depleted and available take turns.
            prop_assert!(crossings.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
