//! Chance that comes from a seed: the same seed, name and number give the same throws on every machine, in every release.

use std::time::Duration;

/// A row of throws of its own (SplitMix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The row that belongs to `what` and `number` under this seed. Rows do not touch: how many throws one takes changes
    /// nothing for the others.
    pub(crate) fn of(seed: u64, what: &str, number: u64) -> Self {
        // FNV-1a.
        let name = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut mixed = Self(seed ^ name.rotate_left(17));
        let first = mixed.next();
        Self(first ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// From `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// So many times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// So long, in milliseconds.
    pub(crate) fn milliseconds(&mut self, first: u64, last: u64) -> Duration {
        Duration::from_millis(self.between(first, last))
    }

    /// One of these, each by its weight.
    pub(crate) fn weighed<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let all = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(all);
        choices.iter().find_map(|(weight, choice)| {
            if left < *weight {
                return Some(*choice);
            }
            left -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_another_another() {
        let row = |seed, what, number| {
            let mut dice = Dice::of(seed, what, number);
            [dice.next(), dice.next(), dice.next()]
        };
        assert_eq!(row(7, "calls", 3), row(7, "calls", 3));
        assert_ne!(row(7, "calls", 3), row(8, "calls", 3));
        assert_ne!(row(7, "calls", 3), row(7, "calls", 4));
        assert_ne!(row(7, "calls", 3), row(7, "kills", 3));
    }

    #[test]
    fn chance_comes_near_to_its_measure() {
        let mut dice = Dice::of(1, "chance", 0);
        let hits = (0..10_000).filter(|_| dice.chance(300)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        let heavy = (0..10_000).filter(|_| dice.weighed(&[(1, 'a'), (9, 'b')]) == Some('b'));
        assert!((8_800..9_200).contains(&heavy.count()));
    }
}
