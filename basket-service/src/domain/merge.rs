//! Taking a guest basket over at login.

use shared::ids::{CustomerId, ProductId};
use shared::quantity::Quantity;
use thiserror::Error;

use jiff::Timestamp;

use super::{Basket, Line, MAX_LINES, Pieces};

/// What becomes of a product that both baskets hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeStrategy {
    /// As many as both together.
    #[default]
    Sum,
    /// As many as the one that has more.
    Max,
}

/// Why a basket was not taken over.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MergeRefused {
    /// It was taken over by another customer's basket before.
    #[error("the basket was merged into another")]
    MergedElsewhere,
    /// Both together hold too many different products.
    #[error("a basket holds at most {MAX_LINES} different products; both together hold {lines}")]
    TooManyLines {
        /// How many it would be.
        lines: usize,
    },
    /// At least one line would hold too much.
    #[error("a line holds at most {} pieces; {} of both baskets' would hold more", Quantity::MAX, .products.len())]
    QuantityLimit {
        /// Which products.
        products: Vec<ProductId>,
    },
}

/// What a merge makes of both baskets.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The customer's.
    pub target: Basket,
    /// The guest's, empty and marked.
    pub source: Basket,
}

impl Basket {
    /// This customer's basket with the guest basket `source` taken over; none when that has been done
    /// before. A checkout under way stays as it is.
    ///
    /// # Errors
    /// See [`MergeRefused`]; both baskets stay as they are then.
    pub fn take_over(
        &self,
        owner: &CustomerId,
        source: &Basket,
        strategy: MergeStrategy,
        now: Timestamp,
    ) -> Result<Option<Merged>, MergeRefused> {
        match &source.merged_into {
            Some(earlier) if earlier == owner => return Ok(None),
            Some(_) => return Err(MergeRefused::MergedElsewhere),
            None => {}
        }
        let mut target = self.clone();
        let mut above = Vec::new();
        for (product, line) in &source.lines {
            let own = self.lines.get(product).map(|own| own.pieces);
            let pieces = strategy.together(own, line.pieces);
            // A line that is above the limit already (given back so) is not made worse by staying.
            if Quantity::try_from(pieces).is_err() && own != Some(pieces) {
                above.push(*product);
            }
            let snapshot = self.lines.get(product).unwrap_or(line).snapshot.clone();
            target.lines.insert(*product, Line { pieces, snapshot });
        }
        if target.lines.len() > MAX_LINES && target.lines.len() > self.lines.len() {
            return Err(MergeRefused::TooManyLines {
                lines: target.lines.len(),
            });
        }
        if !above.is_empty() {
            return Err(MergeRefused::QuantityLimit { products: above });
        }
        target.touch(now);
        let mut source = source.clone().emptied(now);
        source.merged_into = Some(owner.clone());
        Ok(Some(Merged { target, source }))
    }
}

impl MergeStrategy {
    fn together(self, own: Option<Pieces>, taken: Pieces) -> Pieces {
        match (self, own) {
            (Self::Sum, Some(own)) => own.plus(taken),
            (Self::Max, Some(own)) => own.max(taken),
            (Self::Sum | Self::Max, None) => taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::basket::tests::{basket, guest, product};
    use super::*;

    fn owner() -> CustomerId {
        "c".parse().unwrap()
    }

    fn taken(target: &Basket, source: &Basket, strategy: MergeStrategy) -> Result<Option<Merged>, MergeRefused> {
        target.take_over(&owner(), source, strategy, Timestamp::UNIX_EPOCH)
    }

    #[rstest]
    #[case(MergeStrategy::Sum, &[(1, 7), (2, 3), (3, 4)])]
    #[case(MergeStrategy::Max, &[(1, 5), (2, 3), (3, 4)])]
    fn lines_of_both_come_together(#[case] strategy: MergeStrategy, #[case] expected: &[(u128, u32)]) {
        let (target, source) = (basket(&[(1, 2), (2, 3)]), guest(&[(1, 5), (3, 4)]));
        let merged = taken(&target, &source, strategy).unwrap().unwrap();
        let lines: Vec<_> = merged
            .target
            .lines
            .iter()
            .map(|(id, line)| (*id, line.pieces.get()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(n, pieces)| (product(*n), *pieces)).collect();
        assert_eq!(lines, expected);
        assert!(merged.source.lines.is_empty());
    }

    #[test]
    fn twice_is_the_same_as_once() {
        let merged = taken(&basket(&[(1, 2)]), &guest(&[(1, 5)]), MergeStrategy::Sum)
            .unwrap()
            .unwrap();
        assert!(
            taken(&merged.target, &merged.source, MergeStrategy::Sum)
                .unwrap()
                .is_none()
        );
        let other: CustomerId = "d".parse().unwrap();
        let elsewhere = basket(&[]).take_over(&other, &merged.source, MergeStrategy::Sum, Timestamp::UNIX_EPOCH);
        assert_eq!(elsewhere.unwrap_err(), MergeRefused::MergedElsewhere);
    }

    #[test]
    fn what_would_be_too_much_is_refused_whole() {
        let many = |from: u128, n: u128| (from..from + n).map(|i| (i, 1)).collect::<Vec<_>>();
        let refused = taken(&basket(&many(0, 60)), &guest(&many(50, 60)), MergeStrategy::Sum).unwrap_err();
        assert_eq!(refused, MergeRefused::TooManyLines { lines: 110 });
        let refused = taken(
            &basket(&[(1, 600), (2, 1)]),
            &guest(&[(1, 600), (2, 1)]),
            MergeStrategy::Sum,
        )
        .unwrap_err();
        assert_eq!(
            refused,
            MergeRefused::QuantityLimit {
                products: vec![product(1)]
            }
        );
        assert!(taken(&basket(&[(1, 600)]), &guest(&[(1, 600)]), MergeStrategy::Max).is_ok());
    }

    proptest! {
        #[test]
        fn no_piece_is_lost_or_made(own in lines(), brought in lines()) {
            let own: Vec<_> = own.into_iter().collect();
            let brought: Vec<_> = brought.into_iter().collect();
            let count = |basket: &Basket| basket.lines.values().map(|line| line.pieces.get()).sum::<u32>();
            let (target, source) = (basket(&own), guest(&brought));
            let merged = taken(&target, &source, MergeStrategy::Sum).unwrap().unwrap();
            prop_assert_eq!(count(&merged.target), count(&target) + count(&source));
            let merged = taken(&target, &source, MergeStrategy::Max).unwrap().unwrap();
            for basket in [&target, &source] {
                for (id, line) in &basket.lines {
                    prop_assert!(merged.target.lines[id].pieces >= line.pieces);
                }
            }
        }
    }

    fn lines() -> impl Strategy<Value = std::collections::BTreeMap<u128, u32>> {
        prop::collection::btree_map(0_u128..20, 1_u32..400, 0..20)
    }
}
