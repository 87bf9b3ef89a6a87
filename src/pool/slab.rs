//! A slab: an aligned piece of a region that holds blocks of one size class.
//!
//! ```text
//!   near memory (here)                          the slab's own node
//!   +------------------------------+           +-------+-------+-------+--- ... --+------+
//!   | base, bitmap, live, links    | --------> | block | block | block |          | tail |
//!   +------------------------------+  64 bytes +-------+-------+-------+--- ... --+------+
//! ```
//!
//! The record lies OUT of the slab, in near memory, with one bit a block (set: free). Invariant:
//!
//! > `live + set bits = blocks + loose` (`loose.rs`); the blocks of a group of words that is lent
//! > to a window (`window.rs`) count as live, and their bits are 0.
//!
//! Rejected: a header at the start of the slab with a free list threaded through the free blocks.
//! It costs a far cache line for each allocation and each free of a far block (the list's link),
//! lets the headers of aligned slabs fight over the same cache sets, leaves no whole number of
//! 4 KiB values in a slab, and a stray write into a freed block becomes a wild pointer. Here a
//! write after free damages nothing of ours, and one bit test catches a double free.
//!
//! A record is one cache line for up to 256 blocks; classes with more keep the rest of their
//! bitmap in a [`Spill`], by groups of 256 as well.

use super::arena::Arena;
use super::class::{SizeClass, BLOCKS_MAX};
use super::piece::Piece;
use crate::ids::NodeId;
use std::ptr::NonNull;

/// Words of a bitmap that are lent together.
pub(super) const GROUP: usize = 4;
const GROUPS_SPILLED: usize = BLOCKS_MAX / 64 / GROUP - 1;
/// Free blocks, one bit each, of 256 in a row.
pub(super) type Group = [u64; GROUP];
/// No slab.
pub(super) const NO_SLAB: u32 = u32::MAX;

/// The bitmap of a slab beyond its 256th block.
pub(super) type Spill = [Group; GROUPS_SPILLED];

/// Where a slab stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Place {
    /// The record is unused.
    #[default]
    Vacant,
    /// Allocations of its class on its node come from here; full, partly used or empty.
    Current,
    /// Some blocks live, some free: on the list of its node and class.
    Partial,
    /// No block free.
    Full,
    /// It is to empty: nothing is given out of it, and whoever owns its blocks moves them.
    Leaving,
}

/// Why a block did not come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// No block of that class and node starts there.
    ForeignPointer,
    /// The block is free already.
    DoubleFree,
}

/// One slab's record.
#[repr(align(64))]
pub(super) struct Slab {
    /// The first block.
    pub(super) base: NonNull<u8>,
    /// One bit a block, set where it is free.
    bits: Group,
    /// The number of the [`Spill`], where the class has one.
    pub(super) spill: u32,
    /// Neighbours on the partial list.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// The region it was carved from.
    pub(super) region: u16,
    /// Blocks given out, and those of a lent group.
    live: u16,
    /// Class and node, as [`Piece::tag`] has them.
    pub(super) tag: u16,
    pub(super) place: Place,
    /// How many of its blocks are kept aside, see `loose.rs`.
    pub(super) loose: u8,
}

const _: () = assert!(size_of::<Slab>() == 64, "one cache line");

impl Default for Slab {
    fn default() -> Self {
        Self {
            base: NonNull::dangling(),
            bits: [0; GROUP],
            spill: 0,
            next: NO_SLAB,
            previous: NO_SLAB,
            region: 0,
            live: 0,
            tag: Piece::tag_of(SizeClass::LARGE.as_byte(), NodeId::FIRST.as_byte()),
            place: Place::Vacant,
            loose: 0,
        }
    }
}

/// The bits of word `word` that stand for blocks, of `blocks` in all.
fn full_word(word: usize, blocks: usize) -> u64 {
    let below = blocks.saturating_sub(word * 64);
    if below >= 64 {
        u64::MAX
    } else {
        (1 << below) - 1
    }
}

fn full_group(group: usize, blocks: usize) -> Group {
    std::array::from_fn(|word| full_word(group * GROUP + word, blocks))
}

/// Set bits of a group.
pub(super) fn count(group: &Group) -> usize {
    group.iter().map(|word| word.count_ones() as usize).sum()
}

impl Slab {
    /// Whether slabs of the class need a [`Spill`].
    pub(super) fn spills(class: SizeClass) -> bool {
        class.words() > GROUP
    }

    /// The spill of an empty slab.
    pub(super) fn fresh_spill(class: SizeClass) -> Spill {
        std::array::from_fn(|at| full_group(at + 1, class.blocks()))
    }

    /// An empty slab.
    pub(super) fn new(base: NonNull<u8>, class: SizeClass, node: NodeId, region: u16) -> Self {
        Self {
            base,
            bits: full_group(0, class.blocks()),
            region,
            tag: Piece::tag_of(class.as_byte(), node.as_byte()),
            ..Self::default()
        }
    }

    /// The class of its blocks.
    #[inline]
    pub(super) const fn class(&self) -> SizeClass {
        Piece::tagged(self.base, self.tag).class()
    }

    /// The node that it lies on.
    #[inline]
    pub(super) const fn node(&self) -> NodeId {
        Piece::tagged(self.base, self.tag).node()
    }

    /// Blocks given out, and those of a lent group.
    #[inline]
    pub(super) const fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether one more of its live blocks may become loose: never the last, so that it empties.
    #[inline]
    pub(super) fn may_be_loose(&self) -> bool {
        let stays = matches!(self.place, Place::Full | Place::Partial);
        stays && self.live > u16::from(self.loose) + 1
    }

    /// Whether no block is free.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.live() == self.class().blocks()
    }

    /// The lowest group with a free block.
    pub(super) fn first_group(&self, spills: &Arena<Spill>) -> Option<usize> {
        let mut groups = 0..self.class().words().div_ceil(GROUP);
        groups.find(|at| {
            self.group(*at, spills)
                .is_some_and(|group| count(group) != 0)
        })
    }

    /// Lends a group: its free blocks.
    pub(super) fn lend(&mut self, at: usize, spills: &mut Arena<Spill>) -> Group {
        let group = self.group_mut(at, spills).map(std::mem::take);
        let group = group.unwrap_or_default();
        self.live += count(&group) as u16;
        group
    }

    /// Takes a lent group back with the blocks that are free now.
    pub(super) fn give_back(&mut self, at: usize, group: Group, spills: &mut Arena<Spill>) {
        if let Some(place) = self.group_mut(at, spills) {
            *place = group;
            self.live -= count(&group) as u16;
        }
    }

    /// How far an address lies behind the slab's base: beyond the slab's end where it lies
    /// elsewhere.
    #[inline]
    pub(super) fn offset_of(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.base.addr().get())
    }

    /// Sets the bit of a live block, which lies in no lent group; whether it was live.
    #[inline]
    pub(super) fn set(&mut self, block: usize, spills: &mut Arena<Spill>) -> bool {
        let Some(bits) = self.word_mut(block / 64, spills) else {
            return false;
        };
        let was_live = *bits & (1 << (block % 64)) == 0;
        *bits |= 1 << (block % 64);
        was_live
    }

    /// Clears the bit of a block.
    #[inline]
    pub(super) fn clear(&mut self, block: usize, spills: &mut Arena<Spill>) {
        if let Some(bits) = self.word_mut(block / 64, spills) {
            *bits &= !(1 << (block % 64));
        }
    }

    /// So many more blocks count as live.
    pub(super) const fn count_live(&mut self, more: i16) {
        self.live = self.live.wrapping_add_signed(more);
    }

    /// Its loose blocks are free as others are.
    pub(super) fn set_loose_free(&mut self) {
        self.live -= u16::from(self.loose);
        self.loose = 0;
    }

    /// Takes the block `offset` bytes into the slab back, which is not in a lent group.
    pub(super) fn put(&mut self, offset: usize, spills: &mut Arena<Spill>) -> Result<(), Fault> {
        let block = self.class().block_at(offset).ok_or(Fault::ForeignPointer)?;
        if !self.set(block, spills) {
            return Err(Fault::DoubleFree);
        }
        self.live -= 1;
        Ok(())
    }

    /// The invariant of the record itself.
    pub(super) fn check(&self, spills: &Arena<Spill>) -> Result<(), String> {
        let mut free = 0;
        for word in 0..self.class().words() {
            let bits = *self.word(word, spills).ok_or("a slab lost its spill")?;
            free += bits.count_ones() as usize;
            if bits & !full_word(word, self.class().blocks()) != 0 {
                return Err(format!("slab {:?}: a bit beyond the last block", self.base));
            }
        }
        if free + self.live() != self.class().blocks() + usize::from(self.loose) {
            return Err(format!(
                "slab {:?}: {free} free + {} live != {} blocks + {} loose",
                self.base,
                self.live(),
                self.class().blocks(),
                self.loose
            ));
        }
        self.check_place()
    }

    fn check_place(&self) -> Result<(), String> {
        let right = match self.place {
            Place::Vacant => false,
            Place::Current => self.loose == 0,
            Place::Partial => self.live > self.loose.into() && !self.is_full(),
            Place::Leaving => self.loose == 0 && self.live() > 0 && !self.is_full(),
            Place::Full => self.live > self.loose.into() && self.is_full(),
        };
        let said = || {
            format!(
                "slab {:?}: {:?} with {}",
                self.base,
                self.place,
                self.live()
            )
        };
        right.then_some(()).ok_or_else(said)
    }

    #[inline]
    fn group_mut<'a>(
        &'a mut self,
        at: usize,
        spills: &'a mut Arena<Spill>,
    ) -> Option<&'a mut Group> {
        match at {
            0 => Some(&mut self.bits),
            _ => spills.get_mut(self.spill)?.get_mut(at - 1),
        }
    }

    /// The free blocks of a group.
    pub(super) fn group<'a>(&'a self, at: usize, spills: &'a Arena<Spill>) -> Option<&'a Group> {
        match at {
            0 => Some(&self.bits),
            _ => spills.get(self.spill)?.get(at - 1),
        }
    }

    /// A word of the bitmap.
    #[inline]
    pub(super) fn word_mut<'a>(
        &'a mut self,
        word: usize,
        spills: &'a mut Arena<Spill>,
    ) -> Option<&'a mut u64> {
        self.group_mut(word / GROUP, spills)?.get_mut(word % GROUP)
    }

    pub(super) fn word<'a>(&'a self, word: usize, spills: &'a Arena<Spill>) -> Option<&'a u64> {
        self.group(word / GROUP, spills)?.get(word % GROUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    fn slab_of(class: SizeClass, spills: &mut Arena<Spill>) -> Slab {
        let base = NonNull::<u8>::dangling().map_addr(|_| NonZeroUsize::new(1 << 30).unwrap());
        let mut slab = Slab::new(base, class, NodeId::FIRST, 0);
        slab.spill = spills.insert(Slab::fresh_spill(class)).unwrap();
        slab.place = Place::Current;
        slab
    }

    #[test]
    fn every_class_is_lent_group_by_group_and_comes_back() {
        for class in SizeClass::all() {
            let mut spills = Arena::new();
            let mut slab = slab_of(class, &mut spills);
            let mut lent = 0;
            while let Some(at) = slab.first_group(&spills) {
                lent += count(&slab.lend(at, &mut spills));
            }
            assert!(slab.is_full() && lent == class.blocks());
            slab.check(&spills).unwrap();
            for block in (0..class.blocks()).rev() {
                assert_eq!(slab.put(block * class.size(), &mut spills), Ok(()));
            }
            assert_eq!(slab.live(), 0);
            slab.check(&spills).unwrap();
        }
    }

    #[test]
    fn a_block_comes_back_once_and_whole() {
        let mut spills = Arena::new();
        let mut slab = slab_of(SizeClass::of(48), &mut spills);
        let mut group = slab.lend(0, &mut spills);
        group[0] &= !1;
        slab.give_back(0, group, &mut spills);
        assert_eq!(slab.live(), 1);
        assert_eq!(slab.put(16, &mut spills), Err(Fault::ForeignPointer));
        assert_eq!(slab.put(48, &mut spills), Err(Fault::DoubleFree));
        assert_eq!(slab.put(0, &mut spills), Ok(()));
        assert_eq!(slab.put(0, &mut spills), Err(Fault::DoubleFree));
        slab.check(&spills).unwrap();
    }
}
