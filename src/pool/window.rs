//! The window of a bin: up to 256 blocks of its current slab, borrowed, with all that giving a
//! block out and taking it back needs, on two cache lines.
//!
//! ```text
//!   slab record   | group 0 | group 1 | group 2 | group 3 |      the slab's blocks
//!                     |        4 words of its bitmap each
//!                     | lent, 0 there
//!                     v
//!   bin           | words | base ----------------------------->  256 blocks |
//!                 | last: the block that came back last, not in words
//! ```
//!
//! A free into the window finds its block's bit, with one multiplication instead of a division, and
//! sets it. An allocation takes the lowest bit of one word. Neither looks a table or a record up,
//! and still no block is taken back that is free or that does not start there. For most classes a
//! window is a whole slab. Invariant:
//!
//! > the record's group is 0 while it is lent, and its blocks count as live in the record:
//! > `live blocks of the slab = live of the record - set bits of the window - (1 if last)`
//!
//! The block that came back last is kept as an address beside the words and given out next. So a
//! block that goes as it comes never waits for its own way through the bitmap: multiplication, bit,
//! store, load, lowest bit and multiplication follow from each other, twenty cycles or more.
//!
//! The window follows the frees within its slab, and to another slab where two frees in a row go
//! there: what was touched last is given out next, and blocks freed in a row are freed fast.
//!
//! Rejected: a stack of ready addresses a bin, refilled and flushed in batches (the usual
//! magazine). A double free must still be caught, so each push and each pop has to reach the
//! record's bit as well: measured in instructions it costs half as much again, and bytes for each
//! class lie idle. A mark in the freed block instead of a bit touches far lines, and a write after
//! free wipes it. A window of one word: a batch of frees moves it for each 64.

use super::arena::Arena;
use super::class::{divide, SizeClass};
use super::gauge::{NodeGauge, Toll};
use super::loose::Stack;
use super::piece::offset_ptr;
use super::slab::{count, Fault, Group, Place, Slab, Spill, GROUP, NO_SLAB};
use std::ptr::NonNull;

/// Blocks of a window at the most.
const BLOCKS: usize = GROUP * 64;

/// The slabs of one class on one node that have free blocks.
#[derive(Clone)]
#[repr(C, align(128))]
pub(super) struct Bin {
    /// The block that came back last, unless it was given out since.
    last: Option<NonNull<u8>>,
    /// The window's first block.
    base: NonNull<u8>,
    /// See [`SizeClass::reciprocal`].
    reciprocal: u64,
    /// What a block counts there.
    pub(super) toll: Toll,
    /// The gauge of the node.
    pub(super) gauge: &'static NodeGauge,
    /// Bytes of the window; none where there is no window.
    span: u32,
    /// Its blocks.
    blocks: u16,
    /// The word that blocks are given out of.
    at: u8,
    /// The group that is lent, while there is a window.
    group: u8,
    /// Bytes of a block.
    size: u32,
    /// The current slab, in which the window lies; `NO_SLAB` where there is none.
    pub(super) current: u32,
    /// Blocks of a slab.
    slab_blocks: u16,
    /// Blocks kept aside, see `loose.rs`.
    pub(super) loose: u8,
    /// The window's free blocks but the last one.
    words: Group,
    /// The first of the partly used ones.
    pub(super) partial: u32,
    /// The first of those that are to empty.
    pub(super) leaving: u32,
    /// The partly used slab that a block came back to last.
    pub(super) again: u32,
    /// The loose blocks. Elsewhere, so that the address of a bin is a shift away.
    pub(super) stack: Box<Stack>,
}

const _: () = assert!(size_of::<Bin>() == 128, "two cache lines");
const _: () = assert!(
    std::mem::offset_of!(Bin, words) <= 64,
    "the second is for the bits"
);

/// The number of a block of the window. Its bit is made where it is wanted: an instruction each.
#[derive(Clone, Copy)]
pub(super) struct Spot(usize);

impl Spot {
    #[inline]
    const fn word(self) -> usize {
        self.0 / 64
    }

    #[inline]
    const fn bit(self) -> u64 {
        1 << (self.0 % 64)
    }
}

impl Bin {
    /// No slab at all.
    pub(super) fn new(class: SizeClass, gauge: &'static NodeGauge) -> Self {
        Self {
            last: None,
            base: NonNull::dangling(),
            reciprocal: class.reciprocal(),
            toll: gauge.toll(class.size()),
            gauge,
            span: 0,
            blocks: 0,
            at: 0,
            group: 0,
            size: class.size() as u32,
            current: NO_SLAB,
            slab_blocks: class.blocks() as u16,
            loose: 0,
            words: [0; GROUP],
            partial: NO_SLAB,
            leaving: NO_SLAB,
            again: NO_SLAB,
            stack: Box::new(Stack::EMPTY),
        }
    }

    /// The first slab of a list.
    pub(super) const fn head(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Leaving => &mut self.leaving,
            _ => &mut self.partial,
        }
    }

    /// Bytes of a block.
    #[inline]
    pub(super) const fn size(&self) -> usize {
        self.size as usize
    }

    /// Whether a block is free in the window.
    pub(super) fn has_free(&self) -> bool {
        self.free() != 0
    }

    /// Blocks that are free in the window.
    pub(super) fn free(&self) -> usize {
        count(&self.words) + usize::from(self.last.is_some())
    }

    /// The group that is lent; none where there is no window.
    pub(super) fn lent(&self) -> Option<usize> {
        (self.blocks != 0).then_some(usize::from(self.group))
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a number below GROUP")]
    fn word(&mut self, word: usize) -> &mut u64 {
        &mut self.words[word % GROUP]
    }

    /// A free block of the window, counted as it goes out. Nothing where none is at hand or a mark
    /// is met.
    #[inline]
    pub(super) fn take_within(&mut self) -> Option<NonNull<u8>> {
        if let Some(last) = self.last {
            if !self.gauge.take_within(self.toll) {
                return None;
            }
            self.last = None;
            return Some(last);
        }
        let at = usize::from(self.at);
        let bits = *self.word(at);
        if bits == 0 || !self.gauge.take_within(self.toll) {
            return None;
        }
        *self.word(at) = bits & (bits - 1);
        Some(self.block(at, bits))
    }

    /// The block of the lowest bit.
    #[inline]
    fn block(&self, word: usize, bits: u64) -> NonNull<u8> {
        let block = word * 64 + bits.trailing_zeros() as usize;
        offset_ptr(self.base, block * self.size())
    }

    /// Gives out of the next word with a free block from now on; whether there is one.
    pub(super) fn turn(&mut self) -> bool {
        let next = self.words.iter().position(|bits| *bits != 0);
        self.at = next.unwrap_or(0) as u8;
        next.is_some()
    }

    /// A free block of the window, taken; nothing where there is none.
    pub(super) fn take(&mut self) -> Option<NonNull<u8>> {
        if let Some(last) = self.last.take() {
            return Some(last);
        }
        self.turn();
        let at = usize::from(self.at);
        let bits = *self.word(at);
        *self.word(at) = bits & bits.checked_sub(1)?;
        Some(self.block(at, bits))
    }

    /// Which block of the window starts there, if one does.
    #[inline]
    pub(super) fn spot(&self, addr: usize) -> Option<Spot> {
        let offset = addr.wrapping_sub(self.base.addr().get());
        let block = divide(offset, self.reciprocal)?;
        (block < usize::from(self.blocks)).then_some(Spot(block))
    }

    /// Takes a block of the window back, counted as it comes home. Where a mark is met, or the
    /// block is free, nothing happens.
    #[inline]
    pub(super) fn put_within(&mut self, ptr: NonNull<u8>, spot: Spot) -> bool {
        if *self.word(spot.word()) & spot.bit() != 0 {
            return false;
        }
        if self.last.is_none() {
            let within = self.gauge.give_within(self.toll);
            if within {
                self.last = Some(ptr);
            }
            return within;
        }
        let within = self.last != Some(ptr) && self.gauge.give_within(self.toll);
        if within {
            *self.word(spot.word()) |= spot.bit();
        }
        within
    }

    /// Which block of a slab starts `offset` bytes into it, if one does.
    #[inline]
    pub(super) fn block_of_slab(&self, offset: usize) -> Option<usize> {
        let block = divide(offset, self.reciprocal)?;
        (block < usize::from(self.slab_blocks)).then_some(block)
    }

    /// Whether the address lies in the window, at the start of a block or not.
    #[inline]
    pub(super) fn covers(&self, addr: usize) -> bool {
        addr.wrapping_sub(self.base.addr().get()) < self.span as usize
    }

    /// Takes a block of the window back that was counted.
    pub(super) fn put(&mut self, addr: usize) -> Result<(), Fault> {
        let spot = self.spot(addr).ok_or(Fault::ForeignPointer)?;
        let last = self.last.map(|last| last.addr().get());
        let word = self.word(spot.word());
        if *word & spot.bit() != 0 || last == Some(addr) {
            return Err(Fault::DoubleFree);
        }
        *word |= spot.bit();
        Ok(())
    }

    /// Gives the lent group back to its slab, the current one.
    pub(super) fn close(&mut self, slab: &mut Slab, spills: &mut Arena<Spill>) {
        let Some(group) = self.lent() else {
            return;
        };
        if let Some(last) = self.last.take() {
            // It is neither free nor elsewhere: that was seen as it came.
            let _ = self.put(last.addr().get());
        }
        slab.give_back(group, std::mem::take(&mut self.words), spills);
        (self.blocks, self.span) = (0, 0);
    }

    /// Borrows a group of the current slab; there is no window yet.
    pub(super) fn open(&mut self, slab: &mut Slab, group: usize, spills: &mut Arena<Spill>) {
        let first = group * BLOCKS;
        self.words = slab.lend(group, spills);
        self.base = offset_ptr(slab.base, first * self.size());
        self.blocks = slab.class().blocks().saturating_sub(first).min(BLOCKS) as u16;
        self.span = u32::from(self.blocks) * self.size;
        self.group = group as u8;
        self.turn();
    }

    /// The last block lies in the window and is in no word.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(last) = self.last else {
            return Ok(());
        };
        let spot = self.spot(last.addr().get());
        let bits = spot.and_then(|spot| Some(self.words.get(spot.word())? & spot.bit()));
        let right = bits == Some(0);
        right
            .then_some(())
            .ok_or_else(|| format!("{last:?} is no last block"))
    }
}
