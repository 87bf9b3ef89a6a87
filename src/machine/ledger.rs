//! What a machine has given out, and what of it is still out.
//!
//! The fields of a [`Mapping`] are open to all, so safe code could make one up. A machine that
//! unmapped whatever it is handed would then let safe code pull memory from under the process. So
//! each machine writes down what it gave out and takes back only that: a mapping that does not
//! stand here, or not with that length, is left alone. The simulated machine also answers
//! residency from here.
//!
//! Invariant: entries do not overlap, and for each node
//! `mapped(node) == sum of the lengths of its entries`.
//!
//! Rejected: private fields and a drop guard. The pool keeps mappings for as long as the process
//! lives and wants plain data, and a guard would need the machine inside each mapping.

use super::Mapping;
use crate::ids::{Bytes, NodeId};
use std::collections::BTreeMap;
use std::ops::Range;

/// One mapping that is out.
#[derive(Clone, Copy, Debug)]
struct Entry {
    len: usize,
    node: NodeId,
}

/// The mappings that are out, by their first address.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<usize, Entry>,
    /// The sums by node, kept: each mapping and each INFO asks for one, and large values have a
    /// mapping each.
    mapped: BTreeMap<NodeId, Bytes>,
}

impl Ledger {
    /// Writes down that the mapping is out.
    pub(super) fn enter(&mut self, mapping: &Mapping) {
        let entry = Entry {
            len: mapping.len.as_usize(),
            node: mapping.node,
        };
        self.entries.insert(mapping.base.as_ptr().addr(), entry);
        *self.mapped.entry(mapping.node).or_default() += mapping.len;
    }

    /// Strikes the mapping out; false where it was never given out like that.
    pub(super) fn strike(&mut self, mapping: &Mapping) -> bool {
        let known = self.holds(mapping);
        if known {
            self.entries.remove(&mapping.base.as_ptr().addr());
            let left = self.mapped(mapping.node) - mapping.len;
            self.mapped.insert(mapping.node, left);
        }
        known
    }

    /// Whether this very mapping is out.
    pub(super) fn holds(&self, mapping: &Mapping) -> bool {
        self.entries
            .get(&mapping.base.as_ptr().addr())
            .is_some_and(|entry| entry.len == mapping.len.as_usize() && entry.node == mapping.node)
    }

    /// Whether both are out, on one node, and the second could take the place of the first.
    pub(super) fn can_widen(&self, old: &Mapping, wider: &Mapping) -> bool {
        let apart = old.base != wider.base && old.node == wider.node && old.len <= wider.len;
        apart && self.holds(old) && self.holds(wider)
    }

    /// The node of the mapping that the address lies in.
    pub(super) fn node_of(&self, address: usize) -> Option<NodeId> {
        let (base, entry) = self.entries.range(..=address).next_back()?;
        (address - base < entry.len).then_some(entry.node)
    }

    /// Bytes that are out on the node.
    pub(super) fn mapped(&self, node: NodeId) -> Bytes {
        self.mapped.get(&node).copied().unwrap_or_default()
    }

    /// Each mapping that is out: its addresses and its node.
    pub(super) fn each(&self) -> impl Iterator<Item = (Range<usize>, NodeId)> + '_ {
        self.entries
            .iter()
            .map(|(&base, entry)| (base..base + entry.len, entry.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::NonNull;

    fn mapping(base: usize, len: usize, node: usize) -> Mapping {
        Mapping {
            base: NonNull::new(std::ptr::without_provenance_mut(base)).unwrap(),
            len: Bytes::from(len),
            node: NodeId::new(node).unwrap(),
        }
    }

    #[test]
    fn addresses_name_their_node_and_gaps_name_none() {
        let mut ledger = Ledger::default();
        ledger.enter(&mapping(0x1000, 0x1000, 0));
        ledger.enter(&mapping(0x4000, 0x2000, 1));
        assert_eq!(ledger.node_of(0xfff), None);
        assert_eq!(ledger.node_of(0x1000), NodeId::new(0));
        assert_eq!(ledger.node_of(0x1fff), NodeId::new(0));
        assert_eq!(ledger.node_of(0x2000), None);
        assert_eq!(ledger.node_of(0x5fff), NodeId::new(1));
        assert_eq!(ledger.node_of(0x6000), None);
        assert_eq!(ledger.each().count(), 2);
    }

    #[test]
    fn the_kept_sums_are_the_sums_of_the_entries() {
        let mut ledger = Ledger::default();
        for at in 1..200_usize {
            let made = mapping(at << 20, (at % 7 + 1) << 12, at % 3);
            ledger.enter(&made);
            if at % 4 == 0 {
                assert!(ledger.strike(&made));
                assert!(!ledger.strike(&made), "twice");
            }
        }
        for node in (0..4).filter_map(NodeId::new) {
            let on_node = ledger.each().filter(|(_, on)| *on == node);
            let sum: Bytes = on_node.map(|(range, _)| Bytes::from(range.len())).sum();
            assert_eq!(ledger.mapped(node), sum);
        }
    }

    #[test]
    fn only_what_was_given_out_comes_back() {
        let mut ledger = Ledger::default();
        ledger.enter(&mapping(0x1000, 0x1000, 0));
        assert!(!ledger.strike(&mapping(0x1000, 0x2000, 0)), "a longer one");
        assert!(!ledger.strike(&mapping(0x1000, 0x1000, 1)), "another node");
        assert!(!ledger.strike(&mapping(0x2000, 0x1000, 0)), "elsewhere");
        assert_eq!(ledger.mapped(NodeId::new(0).unwrap()), Bytes(0x1000));
        assert!(ledger.strike(&mapping(0x1000, 0x1000, 0)));
        assert!(!ledger.strike(&mapping(0x1000, 0x1000, 0)), "twice");
        assert_eq!(ledger.mapped(NodeId::new(0).unwrap()), Bytes::ZERO);
    }
}
