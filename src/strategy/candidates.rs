//! Far keys seen hot, and how often.
//!
//! One access says little: a walk over the keyspace touches every key once. A far key becomes ripe
//! when it was seen hot `stability_count` times; until then it is one line of a bounded memory,
//! which forgets keys that are not seen again.

use super::recent::Recent;
use crate::migrate::KeyRef;

/// The far keys seen hot of late.
#[derive(Debug)]
pub(super) struct Candidates {
    sightings: Recent<u8>,
}

impl Candidates {
    /// None yet, and never more than `capacity`.
    pub(super) fn new(capacity: u16) -> Self {
        Self {
            sightings: Recent::new(usize::from(capacity)),
        }
    }

    /// Changes how many are remembered.
    pub(super) fn set_capacity(&mut self, capacity: u16) {
        self.sightings.set_capacity(usize::from(capacity));
    }

    /// Notes that a key was seen hot, and says whether it is ripe: it is forgotten then.
    pub(super) fn see(&mut self, key: &KeyRef, stability_count: u8) -> bool {
        let seen = self.sightings.take(key).unwrap_or(0).saturating_add(1);
        let ripe = seen >= stability_count;
        if !ripe {
            self.sightings.put(key.clone(), seen);
        }
        ripe
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.sightings.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DbIndex;

    #[test]
    fn ripe_when_seen_often_enough_and_then_forgotten() {
        let mut candidates = Candidates::new(8);
        let key = KeyRef::new(DbIndex(0), b"k");
        for _ in 0..2 {
            assert!(!candidates.see(&key, 3));
            assert!(!candidates.see(&key, 3));
            assert!(candidates.see(&key, 3));
        }
        assert!(candidates.see(&key, 1));
    }

    #[test]
    fn a_walk_over_many_keys_ripens_none() {
        let mut candidates = Candidates::new(8);
        for _ in 0..3 {
            for number in 0..100_u8 {
                assert!(!candidates.see(&KeyRef::new(DbIndex(0), &[number]), 2));
            }
        }
    }
}
