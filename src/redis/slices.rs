//! Values under way: what is too big to move in one piece goes on here, a slice a tick.
//!
//! Whoever moves a key (a strategy, a pass, a command) moves its first slice and is told that the
//! key moved; the rest follows within the budget of the ticks, with reads and writes in between,
//! for half moved is a legal state of a value. Only names are kept: a key that is gone, or has
//! become another, is found out when its turn comes.
//! Invariant: a key is here at most once, with its last target; keys here <= [`KEYS_MAX`]. One
//! more is left half moved, which the next walk finds. Rejected: a command that waits for the
//! last slice; it would hold the server for as long as the copy takes.

use crate::ids::NodeId;
use crate::migrate::KeyRef;
use std::collections::VecDeque;

/// Bytes of one slice: some tens of microseconds, first touch of fresh OS pages included.
pub(super) const SLICE_BYTES: usize = 32 << 10;
/// Keys under way at once.
const KEYS_MAX: usize = 256;

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Slices(VecDeque<(KeyRef, NodeId)>);

impl Slices {
    /// The rest of that key goes on to `to`.
    pub(super) fn push(&mut self, key: &KeyRef, to: NodeId) {
        if let Some(known) = self.0.iter_mut().find(|(known, _)| known == key) {
            known.1 = to;
        } else if self.0.len() < KEYS_MAX {
            self.0.push_back((key.clone(), to));
        }
    }

    /// The key whose turn it is, and where it goes.
    pub(super) fn pop(&mut self) -> Option<(KeyRef, NodeId)> {
        self.0.pop_front()
    }

    /// A key that is whole again, or that was sent elsewhere in one piece.
    pub(super) fn forget(&mut self, key: &KeyRef) {
        self.0.retain(|(known, _)| known != key);
    }

    /// How many keys are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DbIndex;

    #[test]
    fn a_key_is_under_way_once_with_its_last_target() {
        let key = |name: &str| KeyRef::new(DbIndex(0), name.as_bytes());
        let node = |number| NodeId::new(number).unwrap();
        let mut slices = Slices::default();
        slices.push(&key("a"), node(1));
        slices.push(&key("b"), node(1));
        slices.push(&key("a"), node(2));
        assert_eq!(slices.pop(), Some((key("a"), node(2))));
        slices.forget(&key("b"));
        assert_eq!((slices.pop(), slices.len()), (None, 0));
        for n in 0..KEYS_MAX + 5 {
            slices.push(&key(&n.to_string()), node(1));
        }
        assert_eq!(slices.len(), KEYS_MAX);
    }
}
