//! Loose blocks: the last few that came back outside the window, kept for the next allocations.
//!
//! Where random values are replaced, each free meets a slab that is full and would put it on its
//! bin's list, each allocation takes one off: two slow ways an operation, for one block. So a bin
//! keeps up to [`LOOSE_MAX`] such blocks in a stack. Their bits say free, so that a double free is
//! caught as any other is, but they count as live in the record, so that their slabs stay where
//! they are. The last in is the first out: its lines are still in the caches. Invariant:
//!
//! > a slab's `loose` = its blocks in its bin's stack, whose bits are set;
//! > a current slab, a leaving one, and one without other live blocks has none
//!
//! Rejected: a mark in the record instead of the bit, and one such block a slab: each free asks
//! twice as many questions, which a processor guesses wrong. A stack for all frees (`window.rs`).

use super::class::SizeClass;
use super::owner::Owner;
use super::piece::{offset_ptr, Piece};
use super::slab::{Place, Slab};
use super::window::Bin;
use crate::ids::NodeId;
use std::ptr::NonNull;

/// Loose blocks a bin. The number in the stack is a random walk that is slow at either end.
pub(super) const LOOSE_MAX: u8 = 64;
const STRIDE: usize = LOOSE_MAX as usize;

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
            words: vec![0; bins * STRIDE],
        }
    }

    #[inline]
    fn place(&mut self, bin: usize, at: usize) -> Option<&mut u64> {
        self.words.get_mut(bin * STRIDE + at)
    }

    /// Keeps a block whose bit was just set; its bin has room.
    #[inline]
    pub(super) fn keep(&mut self, bin: &mut Bin, slab: &mut Slab, id: u32, block: usize) -> bool {
        let Some(place) = self.place(slab.tag.into(), bin.loose.into()) else {
            return false;
        };
        *place = word_of(id, block);
        (slab.loose, bin.loose) = (slab.loose + 1, bin.loose + 1);
        true
    }

    /// Takes every block of that slab out of its bin's stack.
    fn drop_slab(&mut self, bin: &mut Bin, slab: &mut Slab, id: u32) {
        let (start, count) = (usize::from(slab.tag) * STRIDE, usize::from(bin.loose));
        let stack = self.words.get_mut(start..start + count);
        let stack = stack.unwrap_or_default();
        let mut kept = 0;
        for at in 0..count {
            let word = stack.get(at).copied().unwrap_or_default();
            if parts(word).0 != id {
                if let Some(place) = stack.get_mut(kept) {
                    *place = word;
                }
                kept += 1;
            }
        }
        slab.set_loose_free();
        bin.loose = kept as u8;
    }

    /// The first `count` words of a bin's stack.
    pub(super) fn of(&self, bin: usize, count: usize) -> &[u64] {
        let start = bin * STRIDE;
        self.words.get(start..start + count).unwrap_or(&[])
    }
}

/// A word, taken apart: the slab's number and the block's.
pub(super) const fn parts(word: u64) -> (u32, usize) {
    ((word >> 32) as u32, word as u32 as usize)
}

impl Owner {
    /// The last block that was kept aside.
    #[inline]
    pub(super) fn top_loose(&self, tag: u16) -> Option<NonNull<u8>> {
        let bin = self.bins.get(usize::from(tag))?;
        let at = usize::from(bin.loose).checked_sub(1)?;
        let (id, block) = parts(*self.loose.words.get(usize::from(tag) * STRIDE + at)?);
        let slab = self.slabs.get(id)?;
        Some(offset_ptr(slab.base, block * bin.size()))
    }

    /// The last block that was kept aside, taken.
    #[inline]
    pub(super) fn take_loose(&mut self, tag: u16) -> Option<NonNull<u8>> {
        let bin = self.bins.get_mut(usize::from(tag))?;
        let count = usize::from(bin.loose).checked_sub(1)?;
        let (id, block) = parts(*self.loose.place(tag.into(), count)?);
        let slab = self.slabs.get_mut(id)?;
        bin.loose = count as u8;
        slab.loose -= 1;
        slab.clear(block, &mut self.spills);
        Some(offset_ptr(slab.base, block * bin.size()))
    }

    /// Gives the loose blocks of a slab back to it.
    pub(super) fn settle_slab(&mut self, id: u32) {
        let Some(slab) = self.slabs.get_mut(id).filter(|slab| slab.loose > 0) else {
            return;
        };
        if let Some(bin) = self.bins.get_mut(usize::from(slab.tag)) {
            self.loose.drop_slab(bin, slab, id);
        }
    }

    /// Gives the loose blocks of a bin back to their slabs.
    pub(super) fn settle_loose(&mut self, node: NodeId, class: SizeClass) {
        let tag = usize::from(Piece::tag_of(class.as_byte(), node.as_byte()));
        while let Some(count) = self.bins.get(tag).map(|bin| usize::from(bin.loose)) {
            let Some(&word) = self.loose.of(tag, count).last() else {
                break;
            };
            let (id, _) = parts(word);
            self.settle_slab(id);
            match self.slabs.get(id).map(|slab| slab.place) {
                Some(Place::Full) => self.link(id, Place::Partial),
                _ => continue,
            }
        }
    }
}
