//! The coldest near keys known: who leaves when room is wanted.
//!
//! The survey offers every near key it passes; the set keeps the coldest. What it knows of a key
//! is as old as the survey's visit, so whoever takes a victim looks at it again first.
//!
//! `by_key` and `by_density` hold the same keys: `by_key[k] == d  <=>  (d, k) in by_density`.
//!
//! A key that is offered when the set is full takes the place of the hottest one in it, if it is
//! colder. Scores fall as time goes by, so fresh sightings of cold keys displace old ones of the
//! same keys' equals: the set renews itself without an age in it.

use super::density::Density;
use crate::migrate::KeyRef;
use std::collections::{BTreeSet, HashMap};

/// A bounded set of near keys, the coldest of those offered.
#[derive(Debug)]
pub(super) struct Victims {
    capacity: usize,
    by_key: HashMap<KeyRef, Density>,
    by_density: BTreeSet<(Density, KeyRef)>,
}

impl Victims {
    /// None known, and never more than `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            by_key: HashMap::new(),
            by_density: BTreeSet::new(),
        }
    }

    /// Considers a near key of that density, known before or not.
    pub(super) fn offer(&mut self, key: &KeyRef, density: Density) {
        self.forget(key);
        if self.by_key.len() >= self.capacity {
            match self.by_density.last() {
                Some((hottest, _)) if density < *hottest => self.drop_hottest(),
                _ => return,
            }
        }
        self.by_key.insert(key.clone(), density);
        self.by_density.insert((density, key.clone()));
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The density of the coldest, as it was last seen.
    pub(super) fn coldest(&self) -> Option<Density> {
        self.by_density.first().map(|(density, _)| *density)
    }

    /// Takes the coldest away.
    pub(super) fn take_coldest(&mut self) -> Option<KeyRef> {
        let (_, key) = self.by_density.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Removes a key.
    pub(super) fn forget(&mut self, key: &KeyRef) {
        if let Some(density) = self.by_key.remove(key) {
            self.by_density.remove(&(density, key.clone()));
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_key.clear();
        self.by_density.clear();
    }

    fn drop_hottest(&mut self) {
        if let Some((_, key)) = self.by_density.pop_last() {
            self.by_key.remove(&key);
        }
    }

    /// Checks the equation at the head of the file.
    #[cfg(test)]
    fn check(&self) {
        assert!(self.by_key.len() <= self.capacity);
        assert_eq!(self.by_key.len(), self.by_density.len());
        for (density, key) in &self.by_density {
            assert_eq!(self.by_key.get(key), Some(density));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::Score;
    use crate::ids::{Bytes, DbIndex, Level, NodeId};
    use crate::migrate::{KeyInfo, Kind, Plane};
    use proptest::prelude::*;

    fn key(number: u8) -> KeyRef {
        KeyRef::new(DbIndex(0), &[number])
    }

    fn density(score: u16) -> Density {
        Density::of(&KeyInfo {
            node: NodeId::new(0).unwrap(),
            bytes: Bytes(64),
            level: Level::default(),
            score: Score(score),
            idle_ms: 0,
            accesses: 0,
            pinned: false,
            kind: Kind::String,
            plane: Plane::Numa,
        })
    }

    #[test]
    fn keeps_the_coldest_and_gives_them_coldest_first() {
        let mut victims = Victims::new(3);
        for (number, score) in [(1, 50), (2, 10), (3, 40), (4, 20), (5, 60), (6, 30)] {
            victims.offer(&key(number), density(score));
            victims.check();
        }
        assert_eq!(victims.coldest(), Some(density(10)));
        let taken: Vec<_> = std::iter::from_fn(|| victims.take_coldest()).collect();
        assert_eq!(taken, [key(2), key(4), key(6)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// After any history the two sides hold the same keys, and what is given is the coldest.
        #[test]
        fn both_sides_stay_in_step(
            steps in proptest::collection::vec((0_u8..20, 0_u16..40, 0_u8..4), 0..200),
            capacity in 0_usize..12,
        ) {
            let mut victims = Victims::new(capacity);
            for (number, score, action) in steps {
                match action {
                    0 => victims.forget(&key(number)),
                    1 => {
                        let coldest = victims.coldest();
                        let taken = victims.take_coldest();
                        prop_assert_eq!(taken.is_some(), coldest.is_some());
                        prop_assert!(victims.coldest() >= coldest || victims.coldest().is_none());
                    }
                    _ => victims.offer(&key(number), density(score)),
                }
                victims.check();
            }
        }
    }
}
