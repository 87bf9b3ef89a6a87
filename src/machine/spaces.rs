//! Address space that a simulated machine has reserved for the arenas of the server's allocator.
//!
//! It is reserved for good and far larger than its node, so it cannot stand in the ledger, where
//! what is mapped is what is used: who carves it up says now and then how much is held.
//! Invariant: spaces do not overlap, and a node's share of the books is what was said of it last.

use super::Mapping;
use crate::ids::{Bytes, NodeId};
use std::ops::Range;

#[derive(Debug)]
struct Space {
    range: Range<usize>,
    node: NodeId,
    held: Bytes,
}

/// The spaces, a few: one a node.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    list: Vec<Space>,
}

impl Spaces {
    pub(super) fn enter(&mut self, mapping: &Mapping) {
        let start = mapping.base.as_ptr().addr();
        self.list.push(Space {
            range: start..start + mapping.len.as_usize(),
            node: mapping.node,
            held: Bytes::ZERO,
        });
    }

    /// Takes what is held of the node's space now.
    pub(super) fn note_held(&mut self, node: NodeId, held: Bytes) {
        if let Some(space) = self.list.iter_mut().find(|space| space.node == node) {
            space.held = held;
        }
    }

    /// Bytes held on the node.
    pub(super) fn held(&self, node: NodeId) -> Bytes {
        let of_node = self.list.iter().filter(|space| space.node == node);
        of_node.map(|space| space.held).sum()
    }

    /// The node of the space that the address lies in.
    pub(super) fn node_of(&self, address: usize) -> Option<NodeId> {
        let found = self
            .list
            .iter()
            .find(|space| space.range.contains(&address));
        found.map(|space| space.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::NonNull;

    #[test]
    fn a_space_names_its_node_and_holds_what_was_said_last() {
        let base = NonNull::new(std::ptr::without_provenance_mut(0x10_000)).unwrap();
        let node = NodeId::new(3).unwrap();
        let len = Bytes(0x1000);
        let mut spaces = Spaces::default();
        spaces.enter(&Mapping { base, len, node });
        assert_eq!(spaces.node_of(0x10_fff), Some(node));
        assert_eq!(spaces.node_of(0x11_000), None);
        assert_eq!(spaces.held(node), Bytes::ZERO);
        spaces.note_held(node, Bytes(7));
        spaces.note_held(node, Bytes(5));
        assert_eq!(spaces.held(node), Bytes(5));
        assert_eq!(spaces.held(NodeId::FIRST), Bytes::ZERO);
    }
}
