//! A bounded memory of keys seen of late, in two generations.
//!
//! ```text
//! young   what was noted since the last turn        at most capacity / 2
//! old     what was noted between the last two turns at most capacity / 2
//! turn    old is forgotten, young becomes old: when young is full, or when asked
//! ```
//!
//! So a key is remembered for one to two generations, nothing is ever searched for the oldest
//! entry, and `len() <= capacity` always. An exact LRU would need links through the table for an
//! order that nobody asks for.

use crate::migrate::KeyRef;
use std::collections::HashMap;

/// Notes about keys, the youngest at most `capacity`.
#[derive(Debug)]
pub(super) struct Recent<T> {
    half: usize,
    young: HashMap<KeyRef, T>,
    old: HashMap<KeyRef, T>,
}

impl<T> Recent<T> {
    /// An empty memory for at least one key, else `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            half: capacity.div_ceil(2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Changes the capacity; what is over it goes with the next turns.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.half = capacity.div_ceil(2).max(1);
    }

    /// Whether there is a note about a key.
    pub(super) fn contains(&self, key: &KeyRef) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Notes something about a key.
    pub(super) fn put(&mut self, key: KeyRef, note: T) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.turn();
        }
        self.young.insert(key, note);
    }

    /// Takes the note about a key away.
    pub(super) fn take(&mut self, key: &KeyRef) -> Option<T> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }

    /// Begins a generation.
    pub(super) fn turn(&mut self) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// How many keys there are notes about.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DbIndex;

    fn key(number: u32) -> KeyRef {
        KeyRef::new(DbIndex(0), &number.to_be_bytes())
    }

    #[test]
    fn never_holds_more_than_its_capacity_and_keeps_the_youngest() {
        let mut recent = Recent::new(10);
        for number in 0..1000 {
            recent.put(key(number), number);
            assert!(recent.len() <= 10);
            assert!(recent.contains(&key(number)));
            assert!(recent.contains(&key(number.saturating_sub(4))));
        }
        assert!(!recent.contains(&key(900)));
    }

    #[test]
    fn a_key_noted_again_stays() {
        let mut recent = Recent::new(4);
        for number in 1..100 {
            recent.put(key(0), number);
            recent.put(key(number), number);
            assert!(recent.contains(&key(0)));
        }
        assert_eq!(recent.take(&key(0)), Some(99));
        assert!(!recent.contains(&key(0)));
    }

    #[test]
    fn two_turns_forget_all() {
        let mut recent = Recent::new(4);
        recent.put(key(1), ());
        recent.turn();
        assert!(recent.contains(&key(1)));
        recent.turn();
        assert!(!recent.contains(&key(1)));
    }
}
