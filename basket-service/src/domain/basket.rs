//! A basket as it stands, and what a change of one line may do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::ids::{CustomerId, OrderId, ProductId};
use shared::quantity::Quantity;
use thiserror::Error;

use super::checkout::{Checkout, Settled, UnderWay};
use super::{BasketId, Line, Pieces, Snapshot};

/// Distinct products that a basket holds at most, so that an order of it fits into one transaction
/// over all of its stock.
pub const MAX_LINES: usize = 99;

/// A basket as it was read.
#[derive(Clone, Debug)]
pub struct Basket {
    /// Whose it is.
    pub id: BasketId,
    /// Counts its changes; 0 before the first.
    pub version: u64,
    /// What is in it. It can hold more than the limits after a checkout that failed gave back its lines.
    pub lines: BTreeMap<ProductId, Line>,
    /// When it expires; never while a checkout is under way.
    pub expires_at: Option<Timestamp>,
    /// The customer whose basket took this guest basket over. Such a basket stays empty.
    pub merged_into: Option<CustomerId>,
    /// The checkout that waits for its answer.
    pub under_way: Option<UnderWay>,
    /// The checkouts that had their answer, newest first.
    pub settled: Vec<Settled>,
}

/// What one request does to one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineChange {
    /// Adds so many to what is there.
    Add {
        /// How many.
        quantity: Quantity,
        /// What a new line would show; without it only a line that is there is changed.
        new: Option<Snapshot>,
    },
    /// Makes it so many.
    Set {
        /// How many.
        quantity: Quantity,
        /// As for adding.
        new: Option<Snapshot>,
    },
    /// Takes the line out.
    Remove,
}

/// Why a line was not changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChangeRefused {
    /// A guest basket that was never given out, or has expired.
    #[error("there is no such basket")]
    NotFound,
    /// The guest basket was taken over by a customer's.
    #[error("the basket was merged into another")]
    Merged,
    /// There is no such line, and none may be made.
    #[error("the basket has no line of this product")]
    NoSuchLine,
    /// It would be one product too many.
    #[error("a basket holds at most {MAX_LINES} different products")]
    TooManyLines,
    /// It would be more than a line holds.
    #[error("a line holds at most {} pieces, and {} are in it", Quantity::MAX, .had.get())]
    QuantityLimit {
        /// Pieces in the line as it is.
        had: Pieces,
    },
}

impl Basket {
    /// A basket that nobody has touched yet.
    #[must_use]
    pub fn fresh(id: BasketId) -> Self {
        Self {
            id,
            version: 0,
            lines: BTreeMap::new(),
            expires_at: None,
            merged_into: None,
            under_way: None,
            settled: Vec::new(),
        }
    }

    /// The basket as it counts at this moment. One that has expired is no more, even where the table
    /// still holds it: for a customer that is an empty one, for a guest none.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Option<Self> {
        if !self.has_expired(now) {
            return Some(self);
        }
        match self.id {
            // The version goes on, so that nobody takes the new basket for the old one.
            BasketId::Customer(_) => Some(Self {
                version: self.version,
                ..Self::fresh(self.id)
            }),
            BasketId::Guest(_) => None,
        }
    }

    /// Whether its time is up.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Without its lines. A checkout under way stays.
    #[must_use]
    pub fn emptied(mut self, now: Timestamp) -> Self {
        self.lines.clear();
        self.touch(now);
        self
    }

    /// Moves its expiry, but for a checkout under way, which must not be lost with its basket.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.expires_at = match self.under_way {
            Some(_) => None,
            None => Some(self.id.expiry(now)),
        };
    }

    /// The checkout of that order, under way or among those settled.
    #[must_use]
    pub fn checkout(&self, order_id: OrderId) -> Option<&Checkout> {
        let settled = self.settled.iter().map(|settled| &settled.checkout);
        let mut all = self
            .under_way
            .iter()
            .map(|under_way| &under_way.checkout)
            .chain(settled);
        all.find(|checkout| checkout.order_id == order_id)
    }
}

impl LineChange {
    /// Why `basket` refuses this change of its line of `product`; none when it takes it. The table
    /// checks the same within the write: this says afterwards which condition it was.
    #[must_use]
    pub fn refusal(&self, basket: &Basket, product: &ProductId) -> Option<ChangeRefused> {
        if basket.merged_into.is_some() {
            return Some(ChangeRefused::Merged);
        }
        let line = basket.lines.get(product);
        let new = match self {
            Self::Add { new, .. } | Self::Set { new, .. } => new.as_ref(),
            Self::Remove => None,
        };
        match (self, line) {
            (Self::Add { quantity, .. }, Some(line)) => {
                let sum = line.pieces.plus((*quantity).into());
                let refused = ChangeRefused::QuantityLimit { had: line.pieces };
                Quantity::try_from(sum).err().map(|_above| refused)
            }
            (Self::Set { .. } | Self::Remove, Some(_)) => None,
            (Self::Add { .. } | Self::Set { .. } | Self::Remove, None) if new.is_none() => {
                Some(ChangeRefused::NoSuchLine)
            }
            (Self::Add { .. } | Self::Set { .. } | Self::Remove, None) => {
                (basket.lines.len() >= MAX_LINES).then_some(ChangeRefused::TooManyLines)
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rstest::rstest;
    use shared::money::Money;
    use uuid::Uuid;

    use super::super::GuestId;
    use super::*;

    pub(in super::super) fn product(n: u128) -> ProductId {
        ProductId::from_uuid(Uuid::from_u128(n))
    }

    pub(in super::super) fn snapshot() -> Snapshot {
        Snapshot {
            name: "Tea".to_owned(),
            unit_price: Money::new(100, "USD".parse().unwrap()),
            added_at: Timestamp::UNIX_EPOCH,
        }
    }

    pub(in super::super) fn basket(lines: &[(u128, u32)]) -> Basket {
        with(Basket::fresh(BasketId::Customer("c".parse().unwrap())), lines)
    }

    pub(in super::super) fn guest(lines: &[(u128, u32)]) -> Basket {
        with(Basket::fresh(BasketId::Guest(GuestId::from_chance(7))), lines)
    }

    fn with(mut basket: Basket, lines: &[(u128, u32)]) -> Basket {
        for (n, pieces) in lines {
            let pieces = Pieces::new(*pieces).unwrap();
            basket.lines.insert(
                product(*n),
                Line {
                    pieces,
                    snapshot: snapshot(),
                },
            );
        }
        basket
    }

    fn add(n: i64, new: Option<Snapshot>) -> LineChange {
        LineChange::Add {
            quantity: n.try_into().unwrap(),
            new,
        }
    }

    fn set(n: i64, new: Option<Snapshot>) -> LineChange {
        LineChange::Set {
            quantity: n.try_into().unwrap(),
            new,
        }
    }

    #[rstest]
    #[case::up_to_the_limit(add(1, None), 998, None)]
    #[case::above_the_limit(add(2, None), 998, Some(ChangeRefused::QuantityLimit { had: Pieces::new(998).unwrap() }))]
    #[case::above_it_already(add(1, None), 1500, Some(ChangeRefused::QuantityLimit { had: Pieces::new(1500).unwrap() }))]
    #[case::down_from_above(set(999, None), 1500, None)]
    #[case::taken_out(LineChange::Remove, 1500, None)]
    fn a_line_that_is_there_changes_within_its_limit(
        #[case] change: LineChange,
        #[case] had: u32,
        #[case] expected: Option<ChangeRefused>,
    ) {
        assert_eq!(change.refusal(&basket(&[(1, had)]), &product(1)), expected);
    }

    #[rstest]
    #[case(add(1, Some(snapshot())), 98, None)]
    #[case(set(1, Some(snapshot())), 98, None)]
    #[case(add(1, Some(snapshot())), 99, Some(ChangeRefused::TooManyLines))]
    #[case(set(1, Some(snapshot())), 99, Some(ChangeRefused::TooManyLines))]
    #[case(add(1, None), 0, Some(ChangeRefused::NoSuchLine))]
    #[case(set(1, None), 0, Some(ChangeRefused::NoSuchLine))]
    #[case(LineChange::Remove, 0, Some(ChangeRefused::NoSuchLine))]
    fn a_new_line_needs_a_place_and_a_product(
        #[case] change: LineChange,
        #[case] lines: u128,
        #[case] expected: Option<ChangeRefused>,
    ) {
        let lines: Vec<_> = (1..=lines).map(|n| (n, 1)).collect();
        assert_eq!(change.refusal(&basket(&lines), &product(1000)), expected);
    }

    #[test]
    fn an_expired_basket_is_empty_for_a_customer_and_gone_for_a_guest() {
        let soon = Timestamp::UNIX_EPOCH;
        let expiring = |basket: Basket| Basket {
            expires_at: Some(soon),
            version: 4,
            ..basket
        };
        let own = expiring(basket(&[(1, 1)])).at(soon).unwrap();
        assert_eq!((own.lines.len(), own.version, own.expires_at), (0, 4, None));
        assert!(expiring(guest(&[(1, 1)])).at(soon).is_none());
        assert!(
            expiring(guest(&[(1, 1)]))
                .at(soon - jiff::SignedDuration::from_secs(1))
                .is_some()
        );
    }
}
