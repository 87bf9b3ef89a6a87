//! Compaction: which slabs are to empty, so that what deletes left in pieces goes back whole.
//!
//! Deleting half of the values at random leaves every slab half used, and no slab empty. The pool
//! cannot move a block, since its owner keeps the address. So it only chooses: of a bin's partly
//! used slabs the sparsest become Leaving, as many as fit into the free blocks of the rest:
//!
//! > blocks of the slabs that leave <= free blocks of the partly used slabs that stay
//!
//! Nothing is given out of a leaving slab. Whoever walks over the values asks for each
//! [`Owner::is_leaving`] and makes those anew, on the same node; the new block comes from the slabs
//! that stay, and a slab whose last block has left goes back as any empty one does. Where the
//! others are full before that, the leaving slabs are recalled. Sparse slabs, under 30 % use, leave
//! first by construction.
//!
//! One choice looks at [`LOOK_MAX`] slabs of a bin, so that it takes some tenths of a millisecond
//! at the most; where a bin has more, the next round chooses again.
//!
//! Rejected: a list of the blocks' owners (8 bytes a block, to be kept in step with every rename),
//! handles that are looked up on each access (what a handle saves in compaction, each read pays),
//! and a fixed mark of use: half used slabs are what a random delete leaves, and at a mark of 30 %
//! they would stay for good.

use super::class::SizeClass;
use super::owner::Owner;
use super::slab::{Place, NO_SLAB};
use super::OutOfMemory;
use crate::ids::NodeId;

/// Partly used slabs of one bin that one choice looks at.
const LOOK_MAX: usize = 8192;
/// No more blocks than this are free in a bin: it is left alone, by hundredths of its blocks.
const SLACK_MIN_PERCENT: usize = 3;

/// How many of the slabs with these numbers of live blocks, fewest first, may leave: their blocks
/// fit into what is free in the others.
fn leavers(live: impl Iterator<Item = u16> + Clone, blocks: usize) -> usize {
    let free = |live: u16| blocks - usize::from(live);
    let mut room: usize = live.clone().map(free).sum();
    let mut moved = 0;
    let fits = |live: &u16| {
        moved += usize::from(*live);
        room -= free(*live);
        moved <= room
    };
    live.take_while(fits).count()
}

impl Owner {
    /// Chooses among the slabs of that bin; how many are to leave, none where there is no memory to
    /// list them.
    pub(super) fn choose(&mut self, node: NodeId, class: SizeClass) -> usize {
        self.try_to_choose(node, class).unwrap_or(0)
    }

    fn try_to_choose(&mut self, node: NodeId, class: SizeClass) -> Result<usize, OutOfMemory> {
        let Some(head) = self.bin(node, class).map(|bin| bin.partial) else {
            return Ok(0);
        };
        let mut found = self.list(head)?;
        let used: usize = found.iter().map(|(live, _)| usize::from(*live)).sum();
        let all = found.len() * class.blocks();
        if (all - used) * 100 < all * SLACK_MIN_PERCENT {
            return Ok(0);
        }
        found.sort_unstable();
        let count = leavers(found.iter().map(|(live, _)| *live), class.blocks());
        for &(_, id) in found.iter().take(count) {
            self.settle_slab(id);
            self.unlink(id);
            match self.slabs.get(id) {
                Some(slab) if slab.live() == 0 => self.release_slab(id),
                _ => self.link(id, Place::Leaving),
            }
        }
        Ok(count)
    }

    /// The slabs of a list with their live blocks, as far as one choice looks.
    fn list(&self, head: u32) -> Result<Vec<(u16, u32)>, OutOfMemory> {
        let mut found = Vec::new();
        let mut at = head;
        while let Some(slab) = self.slabs.get(at).filter(|_| found.len() < LOOK_MAX) {
            found.try_reserve(1)?;
            found.push((slab.live() as u16, at));
            at = slab.next;
        }
        Ok(found)
    }

    /// Whether the block at that address is to be moved, and has somewhere to go.
    pub(super) fn is_leaving(&self, addr: usize) -> bool {
        let slab = self.slabs.get(self.table.slab_at(addr));
        let Some(slab) = slab.filter(|slab| slab.place == Place::Leaving) else {
            return false;
        };
        let bin = self.bins.get(usize::from(slab.tag));
        bin.is_some_and(|bin| bin.has_free() || bin.loose > 0 || bin.partial != NO_SLAB)
    }

    /// The leaving slabs of a bin stay; whether there were any.
    pub(super) fn recall(&mut self, node: NodeId, class: SizeClass) -> bool {
        let mut any = false;
        while let Some(id) = self.bin(node, class).map(|bin| bin.leaving) {
            if id == NO_SLAB {
                break;
            }
            self.unlink(id);
            self.link(id, Place::Partial);
            any = true;
        }
        any
    }
}

/// A bin by its number in the order of [`Turn::next`]: the classes of a node, node after node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn(usize);

impl Turn {
    /// The bin whose turn it is; nothing after the last.
    pub(super) fn bin(self, nodes: usize) -> Option<(NodeId, SizeClass)> {
        let class = SizeClass::all().nth(self.0 % super::class::CLASS_COUNT)?;
        let node = self.0 / super::class::CLASS_COUNT;
        (node < nodes).then_some((NodeId::new(node)?, class))
    }

    /// The next one.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sparsest_leave_as_long_as_the_rest_can_take_their_blocks() {
        let leavers = |live: &[u16]| super::leavers(live.iter().copied(), 16);
        assert_eq!(leavers(&[8; 10]), 5);
        assert_eq!(leavers(&[1, 1, 15, 15]), 2);
        assert_eq!(leavers(&[15; 16]), 1);
        assert_eq!(leavers(&[15; 15]), 0);
        assert_eq!(leavers(&[]), 0);
        assert_eq!(leavers(&[3]), 0);
    }
}
