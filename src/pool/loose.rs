//! Loose blocks: those that came back outside the window, kept for the next allocations.
//!
//! ```text
//!   free ----> | a bin's stack: up to 64 blocks | ----> next allocation outside the window
//!                   | full: the older half        ^ empty: half a stack
//!                   v                             |
//!              slabs, which join the partly used  partly used slabs with few free blocks
//! ```
//!
//! Where random values are replaced, each free meets a slab that is full and would put it on its
//! bin's list, each allocation takes one off: two slow ways an operation, for one block. So a bin
//! keeps such blocks in a stack, and between it and the slabs half a stack passes at a time. The
//! number in the stack is a random walk: it meets an end once in a thousand operations. The bits
//! of loose blocks say free, so that a double free is caught as any other is, but they count as
//! live in the record, so that their slabs stay where they are. Invariant:
//!
//! > a slab's `loose` = its blocks in its bin's stack, whose bits are set;
//! > a current slab, a leaving one, and one without other live blocks has none
//!
//! Rejected, each by measurement:
//! * A queue in which a freed block waits while its record is fetched. It hides that miss, but no
//!   block that waits may be given out, so each allocation compares with all of them: a wide read
//!   of what narrow writes left, which waits until these have left the store buffer, behind the
//!   write of a new value that misses all caches. A fifth of a random replace went there.
//! * Fetching the next block of the stack ahead. What a new value's first write waits for is the
//!   walk through the page table, and a fetch waits for it as well.
//! * A mark in the record instead of the bit, and one such block a slab: each free asks twice as
//!   many questions, which a processor guesses wrong.
//! * A stack for all frees: see `window.rs`.

use super::arena::Arena;
use super::class::SizeClass;
use super::owner::Owner;
use super::piece::{offset_ptr, Piece};
use super::slab::{Place, Slab, Spill, NO_SLAB};
use super::window::Bin;
use crate::ids::NodeId;
use std::ptr::NonNull;

/// Loose blocks a bin.
pub(super) const LOOSE_MAX: u8 = 64;
const STRIDE: usize = LOOSE_MAX as usize;
/// Loose blocks that pass between a bin and its slabs together.
pub(super) const HALF: u8 = LOOSE_MAX / 2;

/// A loose block, and where its bit is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    ptr: NonNull<u8>,
    /// Its slab.
    pub(super) slab: u32,
    /// Its number there.
    block: u32,
}

const NO_ENTRY: Entry = Entry {
    ptr: NonNull::dangling(),
    slab: NO_SLAB,
    block: 0,
};

impl Entry {
    /// The block's number in its slab.
    pub(super) const fn block(self) -> usize {
        self.block as usize
    }
}

/// A bin's loose blocks; how many there are stands in the bin.
#[derive(Clone)]
pub(super) struct Stack([Entry; STRIDE]);

impl Stack {
    pub(super) const EMPTY: Self = Self([NO_ENTRY; STRIDE]);

    /// The first `count` entries.
    pub(super) fn first(&self, count: u8) -> &[Entry] {
        self.0.get(..usize::from(count)).unwrap_or(&[])
    }

    /// Takes every block of that slab out of the first `count`; how many are left.
    fn drop_slab(&mut self, count: u8, slab: u32) -> u8 {
        let mut kept = 0;
        for at in 0..count {
            let entry = *self.at(at);
            if entry.slab != slab {
                *self.at(kept) = entry;
                kept += 1;
            }
        }
        kept
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a number below STRIDE")]
    fn at(&mut self, at: u8) -> &mut Entry {
        &mut self.0[usize::from(at) % STRIDE]
    }
}

impl Bin {
    /// Keeps a block of a slab, whose bit is set; there is room.
    #[inline]
    pub(super) fn keep(&mut self, slab: &mut Slab, id: u32, block: usize, ptr: NonNull<u8>) {
        *self.stack.at(self.loose) = Entry {
            ptr,
            slab: id,
            block: block as u32,
        };
        slab.loose += 1;
        self.loose += 1;
    }

    /// The last block that was kept, taken.
    #[inline]
    pub(super) fn take_loose(
        &mut self,
        slabs: &mut Arena<Slab>,
        spills: &mut Arena<Spill>,
    ) -> Option<NonNull<u8>> {
        let count = self.loose.checked_sub(1)?;
        let entry = *self.stack.at(count);
        let slab = slabs.get_mut(entry.slab)?;
        self.loose = count;
        slab.loose -= 1;
        slab.clear(entry.block(), spills);
        Some(entry.ptr)
    }

    /// Keeps free blocks of a slab that has no loose ones, until half of the stack is full.
    fn gather(&mut self, slab: &mut Slab, id: u32, spills: &Arena<Spill>) {
        for word in 0..slab.class().words() {
            let mut bits = slab.word(word, spills).copied().unwrap_or(0);
            while bits != 0 && self.loose < HALF {
                let block = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                slab.count_live(1);
                let ptr = offset_ptr(slab.base, block * self.size());
                self.keep(slab, id, block, ptr);
            }
        }
    }
}

impl Owner {
    /// Gives the older half of a bin's full stack back to the slabs.
    pub(super) fn spill_loose(&mut self, tag: u16) {
        for at in 0..HALF {
            let bin = self.bins.get_mut(usize::from(tag));
            let Some(Entry { slab: id, .. }) = bin.map(|bin| *bin.stack.at(at)) else {
                return;
            };
            let Some(slab) = self.slabs.get_mut(id) else {
                continue;
            };
            slab.loose -= 1;
            slab.count_live(-1);
            if slab.place == Place::Full {
                self.link(id, Place::Partial);
            }
        }
        if let Some(bin) = self.bins.get_mut(usize::from(tag)) {
            bin.stack.0.copy_within(usize::from(HALF).., 0);
            bin.loose -= HALF;
        }
    }

    /// Makes free blocks of partly used slabs loose, half a stack of them, where the bin has no
    /// loose ones; whether there were any.
    pub(super) fn gather_loose(&mut self, tag: u16) -> bool {
        let at = usize::from(tag);
        while let Some(head) = self.bins.get(at).map(|bin| bin.partial) {
            let (Some(slab), Some(bin)) = (self.slabs.get_mut(head), self.bins.get_mut(at)) else {
                break;
            };
            bin.gather(slab, head, &self.spills);
            if !slab.is_full() {
                break;
            }
            self.unlink(head);
            if let Some(slab) = self.slabs.get_mut(head) {
                slab.place = Place::Full;
            }
        }
        self.bins.get(at).is_some_and(|bin| bin.loose > 0)
    }

    /// Gives the loose blocks of a slab back to it.
    pub(super) fn settle_slab(&mut self, id: u32) {
        let Some(slab) = self.slabs.get_mut(id).filter(|slab| slab.loose > 0) else {
            return;
        };
        if let Some(bin) = self.bins.get_mut(usize::from(slab.tag)) {
            bin.loose = bin.stack.drop_slab(bin.loose, id);
            slab.set_loose_free();
        }
    }

    /// Gives the loose blocks of a bin back to their slabs.
    pub(super) fn settle_loose(&mut self, node: NodeId, class: SizeClass) {
        let tag = usize::from(Piece::tag_of(class.as_byte(), node.as_byte()));
        while let Some(bin) = self.bins.get(tag) {
            let Some(&Entry { slab: id, .. }) = bin.stack.first(bin.loose).last() else {
                break;
            };
            self.settle_slab(id);
            match self.slabs.get(id).map(|slab| slab.place) {
                Some(Place::Full) => self.link(id, Place::Partial),
                _ => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_machine::{bench, node};
    use super::super::Block;
    use super::*;
    use crate::ids::Bytes;
    use std::collections::BTreeSet;

    #[test]
    fn what_lies_aside_goes_to_the_slabs_and_comes_back_before_new_ones() {
        for size in [16, 40, 64, 480, 2048] {
            let bench = bench(&[Bytes::mib(64)]);
            let pool = bench.pool;
            let alloc = |_| pool.alloc(size, &[node(0)]).unwrap();
            let blocks: Vec<Block> = (0..10_000).map(alloc).collect();
            let (mut kept, mut gone) = (Vec::new(), BTreeSet::new());
            for (at, block) in blocks.into_iter().enumerate() {
                // Some of each slab, none in the last one: the window lies there.
                if at % 37 == 5 && at < 8_000 {
                    gone.insert(block.addr());
                    pool.free(block);
                } else {
                    kept.push(block);
                }
            }
            bench.check();
            assert!(gone.len() > 2 * usize::from(LOOSE_MAX));
            let held = pool.usage(node(0)).held;
            while !gone.is_empty() {
                let block = alloc(0);
                gone.remove(&block.addr());
                kept.push(block);
            }
            assert_eq!(
                pool.usage(node(0)).held,
                held,
                "a new slab before free blocks"
            );
            bench.check();
            kept.into_iter().for_each(|block| pool.free(block));
            bench.check_all_home();
        }
    }
}
