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
//! > `live + set bits = blocks`; the blocks of a word that is lent to a window (`window.rs`) count
//! > as live, and its bits are 0.
//!
//! Rejected: a header at the start of the slab with a free list threaded through the free blocks.
//! It costs a far cache line for each allocation and each free of a far block (the list's link),
//! lets the headers of aligned slabs fight over the same cache sets, leaves no whole number of
//! 4 KiB values in a slab, and a stray write into a freed block becomes a wild pointer. Here a
//! write after free damages nothing of ours, and one bit test catches a double free.
//!
//! A record is one cache line for up to 256 blocks; classes with more keep the rest of their
//! bitmap in a [`Spill`]. 64 bytes for 16 KiB are 0.4 %.

use super::arena::Arena;
use super::class::{SizeClass, BLOCKS_MAX};
use super::piece::Piece;
use crate::ids::NodeId;
use std::ptr::NonNull;

const WORDS_INLINE: usize = 4;
const WORDS_SPILLED: usize = BLOCKS_MAX / 64 - WORDS_INLINE;
/// No slab.
pub(super) const NO_SLAB: u32 = u32::MAX;

/// The bitmap words of a slab beyond its 256th block.
pub(super) type Spill = [u64; WORDS_SPILLED];

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
    bits: [u64; WORDS_INLINE],
    /// The number of the [`Spill`], where the class has one.
    pub(super) spill: u32,
    /// Neighbours on the partial list.
    pub(super) next: u32,
    pub(super) previous: u32,
    /// The region it was carved from.
    pub(super) region: u16,
    /// Blocks given out, and those of a lent word.
    live: u16,
    /// Class and node, as [`Piece::tag`] has them.
    pub(super) tag: u16,
    pub(super) place: Place,
    /// Whether one of its blocks is kept aside, see `loose.rs`.
    pub(super) loose: bool,
}

const _: () = assert!(size_of::<Slab>() == 64, "one cache line");

impl Default for Slab {
    fn default() -> Self {
        Self {
            base: NonNull::dangling(),
            bits: [0; WORDS_INLINE],
            spill: 0,
            next: NO_SLAB,
            previous: NO_SLAB,
            region: 0,
            live: 0,
            tag: Piece::tag_of(SizeClass::LARGE.as_byte(), NodeId::FIRST.as_byte()),
            place: Place::Vacant,
            loose: false,
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

/// Clears the lowest set bit and returns its number.
#[inline]
pub(super) fn take_lowest(bits: &mut u64) -> usize {
    let bit = bits.trailing_zeros() as usize;
    *bits &= *bits - 1;
    bit
}

impl Slab {
    /// Whether slabs of the class need a [`Spill`].
    pub(super) fn spills(class: SizeClass) -> bool {
        class.words() > WORDS_INLINE
    }

    /// The spill of an empty slab.
    pub(super) fn fresh_spill(class: SizeClass) -> Spill {
        std::array::from_fn(|word| full_word(word + WORDS_INLINE, class.blocks()))
    }

    /// An empty slab.
    pub(super) fn new(base: NonNull<u8>, class: SizeClass, node: NodeId, region: u16) -> Self {
        Self {
            base,
            bits: std::array::from_fn(|word| full_word(word, class.blocks())),
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

    /// Blocks given out, and those of a lent word.
    #[inline]
    pub(super) const fn live(&self) -> usize {
        self.live as usize
    }

    /// Whether no block is free.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.live() == self.class().blocks()
    }

    /// The lowest word with a free block.
    pub(super) fn first_word(&self, spills: &Arena<Spill>) -> Option<usize> {
        let mut words = 0..self.class().words();
        words.find(|word| self.word(*word, spills).is_some_and(|bits| bits != 0))
    }

    /// Lends a word: its free blocks.
    pub(super) fn lend(&mut self, word: usize, spills: &mut Arena<Spill>) -> u64 {
        let bits = self.word_mut(word, spills).map_or(0, std::mem::take);
        self.live += bits.count_ones() as u16;
        bits
    }

    /// Takes a lent word back with the blocks that are free now.
    pub(super) fn give_back(&mut self, word: usize, bits: u64, spills: &mut Arena<Spill>) {
        if let Some(place) = self.word_mut(word, spills) {
            *place = bits;
            self.live -= bits.count_ones() as u16;
        }
    }

    /// How far an address lies behind the slab's base: beyond the slab's end where it lies
    /// elsewhere.
    #[inline]
    pub(super) fn offset_of(&self, addr: usize) -> usize {
        addr.wrapping_sub(self.base.addr().get())
    }

    /// Whether that block, which does not lie in a lent word, is live.
    #[inline]
    pub(super) fn is_live(&mut self, block: usize, spills: &mut Arena<Spill>) -> bool {
        let bits = self.word_mut(block / 64, spills);
        bits.is_some_and(|bits| *bits & (1 << (block % 64)) == 0)
    }

    /// Takes a live block back.
    #[inline]
    pub(super) fn put_live(&mut self, block: usize, spills: &mut Arena<Spill>) {
        if let Some(bits) = self.word_mut(block / 64, spills) {
            *bits |= 1 << (block % 64);
            self.live -= 1;
        }
    }

    /// Takes the block `offset` bytes into the slab back; its word. It does not lie in a lent one.
    pub(super) fn put(&mut self, offset: usize, spills: &mut Arena<Spill>) -> Result<usize, Fault> {
        let block = self.class().block_at(offset).ok_or(Fault::ForeignPointer)?;
        if !self.is_live(block, spills) {
            return Err(Fault::DoubleFree);
        }
        self.put_live(block, spills);
        Ok(block / 64)
    }

    /// The invariant of the record itself.
    pub(super) fn check(&self, spills: &Arena<Spill>) -> Result<(), String> {
        let mut free = 0;
        for word in 0..self.class().words() {
            let bits = self.word(word, spills).ok_or("a slab lost its spill")?;
            free += bits.count_ones() as usize;
            if bits & !full_word(word, self.class().blocks()) != 0 {
                return Err(format!("slab {:?}: a bit beyond the last block", self.base));
            }
        }
        if free + self.live() != self.class().blocks() {
            return Err(format!(
                "slab {:?}: {free} free + {} live != {} blocks",
                self.base,
                self.live(),
                self.class().blocks()
            ));
        }
        self.check_place()
    }

    fn check_place(&self) -> Result<(), String> {
        let right = match self.place {
            Place::Vacant => false,
            Place::Current => true,
            Place::Partial | Place::Leaving => self.live() > 0 && !self.is_full(),
            Place::Full => self.is_full(),
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
    fn word_mut<'a>(
        &'a mut self,
        word: usize,
        spills: &'a mut Arena<Spill>,
    ) -> Option<&'a mut u64> {
        match self.bits.get_mut(word) {
            Some(bits) => Some(bits),
            None => spills.get_mut(self.spill)?.get_mut(word - WORDS_INLINE),
        }
    }

    pub(super) fn word(&self, word: usize, spills: &Arena<Spill>) -> Option<u64> {
        match self.bits.get(word) {
            Some(bits) => Some(*bits),
            None => spills.get(self.spill)?.get(word - WORDS_INLINE).copied(),
        }
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
    fn every_class_is_lent_word_by_word_and_comes_back() {
        for class in SizeClass::all() {
            let mut spills = Arena::new();
            let mut slab = slab_of(class, &mut spills);
            let mut lent = 0;
            while let Some(word) = slab.first_word(&spills) {
                lent += slab.lend(word, &mut spills).count_ones() as usize;
            }
            assert!(slab.is_full() && lent == class.blocks());
            slab.check(&spills).unwrap();
            for block in (0..class.blocks()).rev() {
                let word = slab.put(block * class.size(), &mut spills);
                assert_eq!(word, Ok(block / 64));
            }
            assert_eq!(slab.live(), 0);
            slab.check(&spills).unwrap();
        }
    }

    #[test]
    fn a_block_comes_back_once_and_whole() {
        let mut spills = Arena::new();
        let mut slab = slab_of(SizeClass::of(48), &mut spills);
        let bits = slab.lend(0, &mut spills);
        slab.give_back(0, bits & !1, &mut spills);
        assert_eq!(slab.live(), 1);
        assert_eq!(slab.put(16, &mut spills), Err(Fault::ForeignPointer));
        assert_eq!(slab.put(48, &mut spills), Err(Fault::DoubleFree));
        assert!(slab.is_live(0, &mut spills) && !slab.is_live(1, &mut spills));
        assert_eq!(slab.put(0, &mut spills), Ok(0));
        assert_eq!(slab.put(0, &mut spills), Err(Fault::DoubleFree));
        slab.check(&spills).unwrap();
    }
}
