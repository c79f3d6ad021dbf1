//! Which of many things differ between two lists, of which neither fits into memory.

use std::hash::{BuildHasher, Hash};

/// Sums of things by buckets, of a fixed size whatever is put in: what one list has is added, what the
/// other has is taken away, in any order. A bucket in which both have the same comes to zero, so only
/// the things of buckets that do not have to be looked at one by one. One that comes to zero by chance
/// does so once in 2^64; the hasher's keys have to be random, so that nobody can make it.
#[derive(Clone, Debug)]
pub struct Sketch<S> {
    sums: Vec<u64>,
    hasher: S,
}

/// 128 KiB of sums. With that many things that differ, or are under way, every second thing of a list is
/// looked at by itself; with none, none is.
const BUCKETS: u64 = 16_384;

impl<S: BuildHasher> Sketch<S> {
    /// An empty one.
    #[must_use]
    pub fn new(hasher: S) -> Self {
        let buckets = usize::try_from(BUCKETS).unwrap_or(usize::MAX);
        Self {
            sums: vec![0; buckets],
            hasher,
        }
    }

    /// One list has that much of `thing`, in the bucket of `key`.
    pub fn add(&mut self, key: impl Hash, thing: impl Hash, much: u64) {
        let weighed = self.weigh(thing, much);
        if let Some(sum) = self.bucket(key) {
            *sum = sum.wrapping_add(weighed);
        }
    }

    /// The other list has that much of it.
    pub fn subtract(&mut self, key: impl Hash, thing: impl Hash, much: u64) {
        let weighed = self.weigh(thing, much);
        if let Some(sum) = self.bucket(key) {
            *sum = sum.wrapping_sub(weighed);
        }
    }

    /// Whether the two lists are the same.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.sums.iter().all(|sum| *sum == 0)
    }

    /// Whether what is in the bucket of `key` may differ.
    #[must_use]
    pub fn differs(&self, key: impl Hash) -> bool {
        self.place(key).and_then(|place| self.sums.get(place)) != Some(&0)
    }

    fn weigh(&self, thing: impl Hash, much: u64) -> u64 {
        // Odd, so that no multiple below 2^64 is lost.
        (self.hasher.hash_one(("thing", thing)) | 1).wrapping_mul(much)
    }

    fn bucket(&mut self, key: impl Hash) -> Option<&mut u64> {
        let place = self.place(key)?;
        self.sums.get_mut(place)
    }

    fn place(&self, key: impl Hash) -> Option<usize> {
        usize::try_from(self.hasher.hash_one(("bucket", key)) % BUCKETS).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use proptest::prelude::*;

    use super::*;

    fn things() -> impl Strategy<Value = BTreeMap<u32, u64>> {
        prop::collection::btree_map(0_u32..60, 1_u64..1_000, 0..40)
    }

    fn sketch(ours: &BTreeMap<u32, u64>, theirs: &BTreeMap<u32, u64>) -> Sketch<BuildHasherDefault<DefaultHasher>> {
        let mut sketch = Sketch::new(BuildHasherDefault::default());
        for (thing, much) in theirs {
            sketch.subtract(thing, thing, *much);
        }
        for (thing, much) in ours {
            // As it comes, piece by piece.
            sketch.add(thing, thing, much / 2);
            sketch.add(thing, thing, much - much / 2);
        }
        sketch
    }

    proptest! {
        #[test]
        fn whatever_differs_is_in_a_bucket_that_differs(ours in things(), theirs in things()) {
            let sketch = sketch(&ours, &theirs);
            prop_assert_eq!(sketch.is_even(), ours == theirs);
            for thing in ours.keys().chain(theirs.keys()) {
                if ours.get(thing) != theirs.get(thing) {
                    prop_assert!(sketch.differs(thing));
                }
            }
        }
    }

    #[test]
    fn few_things_beside_one_that_differs_have_to_be_looked_at() {
        let ours = (0..50_000).map(|thing| (thing, 1)).collect();
        let mut theirs: BTreeMap<u32, u64> = BTreeMap::clone(&ours);
        theirs.remove(&7);
        let sketch = sketch(&ours, &theirs);
        let looked_at = ours.keys().filter(|thing| sketch.differs(**thing)).count();
        assert!((1..20).contains(&looked_at), "{looked_at}");
    }
}
