//! Loose blocks: the last few that came back to full slabs, kept aside for the next allocations.
//!
//! Where random values are replaced, each free meets a slab that is full and would put it on its
//! bin's list, each allocation takes one off: two slow ways an operation, for one block. So a bin
//! keeps up to [`LOOSE_MAX`] such blocks in a stack, of each slab one at most, marked in the slab's
//! record. The last in is the first out: its lines are still in the caches. Invariant:
//!
//! > a slab is marked <=> one of its blocks is in its bin's stack; that block counts as live in the
//! > record; a current slab is not marked
//!
//! A block of a marked slab that comes back is compared with the stack first, so a double free of
//! a loose block is caught as any other is.
//!
//! Rejected: loose blocks without the mark (each free would have to search the stack), and a stack
//! for all frees (see `window.rs`).

use super::class::SizeClass;
use super::owner::Owner;
use super::piece::{offset_ptr, Piece};
use super::slab::Slab;
use super::window::Bin;
use crate::ids::NodeId;
use std::ptr::NonNull;

/// Loose blocks a bin. The number in the stack is a random walk that is slow at either end.
const LOOSE_MAX: usize = 32;

/// The stacks of all bins; a word is a slab's number and a block's number in it.
pub(super) struct Loose {
    words: Vec<u64>,
}

const fn word_of(id: u32, block: usize) -> u64 {
    (id as u64) << 32 | block as u64
}

impl Loose {
    /// Empty stacks for so many bins; untouched memory until they are used.
    pub(super) fn new(bins: usize) -> Self {
        Self {
            words: vec![0; bins * LOOSE_MAX],
        }
    }

    #[inline]
    fn place(&mut self, bin: usize, at: usize) -> Option<&mut u64> {
        self.words.get_mut(bin * LOOSE_MAX + at)
    }

    /// Keeps a block of a full slab aside, if its bin has room.
    #[inline]
    pub(super) fn keep(&mut self, bin: &mut Bin, slab: &mut Slab, id: u32, block: usize) -> bool {
        let count = usize::from(bin.loose);
        let room = (count < LOOSE_MAX).then(|| self.place(slab.tag.into(), count));
        let Some(place) = room.flatten() else {
            return false;
        };
        *place = word_of(id, block);
        (slab.loose, bin.loose) = (true, bin.loose + 1);
        true
    }

    /// Takes the block of that slab out of a bin's stack.
    fn drop_from(&mut self, bin: &mut Bin, tag: usize, id: u32) -> Option<usize> {
        let count = usize::from(bin.loose);
        let stack = self
            .words
            .get_mut(tag * LOOSE_MAX..tag * LOOSE_MAX + count)?;
        let at = stack.iter().rposition(|word| parts(*word).0 == id)?;
        let (_, block) = parts(*stack.get(at)?);
        stack.copy_within(at + 1.., at);
        bin.loose -= 1;
        Some(block)
    }

    /// The first `count` words of a bin's stack.
    pub(super) fn of(&self, bin: usize, count: usize) -> &[u64] {
        let start = bin * LOOSE_MAX;
        self.words.get(start..start + count).unwrap_or(&[])
    }
}

/// A word, taken apart: the slab's number and the block's.
pub(super) const fn parts(word: u64) -> (u32, usize) {
    ((word >> 32) as u32, word as u32 as usize)
}

impl Owner {
    /// The last block that was kept aside, taken.
    #[inline]
    pub(super) fn take_loose(&mut self, tag: u16) -> Option<NonNull<u8>> {
        let bin = self.bins.get_mut(usize::from(tag))?;
        let count = usize::from(bin.loose).checked_sub(1)?;
        let (id, block) = parts(*self.loose.place(tag.into(), count)?);
        let slab = self.slabs.get_mut(id)?;
        (slab.loose, bin.loose) = (false, count as u8);
        Some(offset_ptr(slab.base, block * bin.size()))
    }

    /// Whether that block is kept aside.
    pub(super) fn is_loose(&self, id: u32, block: usize) -> bool {
        let Some(slab) = self.slabs.get(id).filter(|slab| slab.loose) else {
            return false;
        };
        let tag = usize::from(slab.tag);
        let count = self.bins.get(tag).map_or(0, |bin| bin.loose.into());
        self.loose.of(tag, count).contains(&word_of(id, block))
    }

    /// Gives the loose block of a slab, if it has one, back to it.
    pub(super) fn settle_slab(&mut self, id: u32) {
        let Some(slab) = self.slabs.get_mut(id).filter(|slab| slab.loose) else {
            return;
        };
        let tag = usize::from(slab.tag);
        let bin = self.bins.get_mut(tag);
        if let Some(block) = bin.and_then(|bin| self.loose.drop_from(bin, tag, id)) {
            slab.put_live(block, &mut self.spills);
            slab.loose = false;
        }
    }

    /// Gives the loose blocks of a bin back to their slabs.
    pub(super) fn settle_loose(&mut self, node: NodeId, class: SizeClass) {
        let tag = Piece::tag_of(class.as_byte(), node.as_byte());
        while let Some(ptr) = self.take_loose(tag) {
            // It was checked as it came, and is marked no more.
            let _ = self.put_small(Piece::tagged(ptr, tag));
        }
    }
}
