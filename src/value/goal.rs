//! Which blocks are made anew, and where: what moving and compacting differ in.
//!
//! To move a value is to copy the blocks that lie on another node. To compact it is to copy those
//! that lie in a slab which is to empty (`pool/compact`), each within its own node. The rest is the
//! same, slice after slice: copy, lead the links to the copy, give the old block back.

use crate::ids::NodeId;
use crate::pool::PoolHandle;

/// See the head of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goal {
    /// All blocks lie on that node.
    Move(NodeId),
    /// No block lies in a slab that is to empty.
    Compact,
}

impl Goal {
    /// Where the block at `addr` on `node` is to be made anew; nothing where it stays.
    #[inline]
    pub(super) fn target(self, pool: PoolHandle, node: NodeId, addr: usize) -> Option<NodeId> {
        match self {
            Self::Move(to) => (node != to).then_some(to),
            Self::Compact => pool.is_leaving(addr).then_some(node),
        }
    }

    /// Whether what deletes left half empty is to be closed up as well.
    pub(super) fn closes_up(self) -> bool {
        self == Self::Compact
    }
}
