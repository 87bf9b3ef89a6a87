//! The window of a bin: one word of its current slab's bitmap, borrowed, with all that giving a
//! block out and taking it back needs, on one cache line.
//!
//! ```text
//!   slab record   | word 0 | word 1 | word 2 | word 3 |      the slab's blocks
//!                                |
//!                 lent, 0 there  v
//!   bin           | bits | base ------------------------->  64 blocks | span = 64 x size |
//! ```
//!
//! An allocation takes the lowest bit; a free into the window sets one. Neither looks a table or a
//! record up, so a block that goes as it comes costs some thirty instructions each way, and still
//! no block is taken back that is free or that does not start there. Invariant:
//!
//! > the record's word is 0 while it is lent, and its blocks count as live in the record:
//! > `live blocks of the slab = live of the record - set bits of the window`
//!
//! The window follows the frees within its slab, and to another slab where two frees in a row go
//! there: what was touched last is given out next, and blocks freed in a row are freed fast.
//!
//! Rejected: a stack of ready addresses a bin, refilled and flushed in batches (the usual
//! magazine). A double free must still be caught, so each push and each pop has to reach the
//! record's bit as well: measured in instructions it costs half as much again, and bytes for each
//! class lie idle. A mark in the freed block instead of a bit touches far lines, and a write after
//! free wipes it.

use super::arena::Arena;
use super::class::{divide, SizeClass};
use super::piece::offset_ptr;
use super::slab::{take_lowest, Fault, Place, Slab, Spill, NO_SLAB};
use std::ptr::NonNull;

/// The slabs of one class on one node that have free blocks.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Bin {
    /// The window's first block.
    base: NonNull<u8>,
    /// Its free blocks.
    bits: u64,
    /// The current slab's first block.
    slab: usize,
    /// See [`SizeClass::reciprocal`].
    reciprocal: u64,
    /// Bytes of the window; none where there is no window.
    span: u32,
    /// Bytes of a block.
    size: u32,
    /// The current slab, in which the window lies; `NO_SLAB` where there is none.
    pub(super) current: u32,
    /// The first of the partly used ones.
    pub(super) partial: u32,
    /// The first of those that are to empty.
    pub(super) leaving: u32,
    /// The partly used slab that a block came back to last.
    pub(super) last: u32,
    /// Blocks of a slab.
    blocks: u16,
    /// The word that is lent, while there is a window.
    word: u8,
    /// Blocks kept aside, see `loose.rs`.
    pub(super) loose: u8,
}

const _: () = assert!(size_of::<Bin>() == 64, "one cache line");

impl Bin {
    /// No slab at all.
    pub(super) fn new(class: SizeClass) -> Self {
        Self {
            base: NonNull::dangling(),
            bits: 0,
            slab: 0,
            reciprocal: class.reciprocal(),
            span: 0,
            size: class.size() as u32,
            current: NO_SLAB,
            partial: NO_SLAB,
            leaving: NO_SLAB,
            last: NO_SLAB,
            blocks: class.blocks() as u16,
            word: 0,
            loose: 0,
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
    #[inline]
    pub(super) const fn has_free(&self) -> bool {
        self.bits != 0
    }

    /// Blocks that are free in the window.
    pub(super) const fn free(&self) -> usize {
        self.bits.count_ones() as usize
    }

    /// The word that is lent; none where there is no window.
    pub(super) fn lent(&self) -> Option<usize> {
        (self.span != 0).then_some(usize::from(self.word))
    }

    /// The lowest free block of the window, taken; there must be one.
    #[inline]
    pub(super) fn take(&mut self) -> NonNull<u8> {
        let block = take_lowest(&mut self.bits);
        offset_ptr(self.base, block * self.size())
    }

    /// How far the address lies behind the window's base, if it lies in the window.
    #[inline]
    pub(super) fn offset_in_window(&self, addr: usize) -> Option<usize> {
        let offset = addr.wrapping_sub(self.base.addr().get());
        (offset < self.span as usize).then_some(offset)
    }

    /// Whether the address lies in the slab that the window lies in.
    #[inline]
    pub(super) fn is_in_slab(&self, addr: usize) -> bool {
        let bytes = usize::from(self.blocks) * self.size();
        self.span != 0 && addr.wrapping_sub(self.slab) < bytes
    }

    /// The number of the block that starts there in a slab or a window; nothing where none does.
    #[inline]
    pub(super) fn block_at(&self, offset: usize) -> Option<usize> {
        let block = divide(offset, self.reciprocal)?;
        (block < usize::from(self.blocks)).then_some(block)
    }

    /// The bit of the block that starts `offset` bytes into the window.
    #[inline]
    pub(super) fn bit_at(&self, offset: usize) -> Result<u64, Fault> {
        let block = divide(offset, self.reciprocal).ok_or(Fault::ForeignPointer)?;
        let bit = 1 << (block % 64);
        if self.bits & bit == 0 {
            Ok(bit)
        } else {
            Err(Fault::DoubleFree)
        }
    }

    /// Takes the block of that bit back.
    #[inline]
    pub(super) fn put(&mut self, bit: u64) {
        self.bits |= bit;
    }

    /// Gives the lent word back to its slab, the current one.
    pub(super) fn close(&mut self, slab: &mut Slab, spills: &mut Arena<Spill>) {
        if let Some(word) = self.lent() {
            slab.give_back(word, self.bits, spills);
            (self.bits, self.span) = (0, 0);
        }
    }

    /// Borrows a word of the current slab; there is no window yet.
    pub(super) fn open(&mut self, slab: &mut Slab, word: usize, spills: &mut Arena<Spill>) {
        let blocks = usize::from(self.blocks).saturating_sub(word * 64).min(64);
        self.bits = slab.lend(word, spills);
        self.slab = slab.base.addr().get();
        self.base = offset_ptr(slab.base, word * 64 * self.size());
        self.span = (blocks * self.size()) as u32;
        self.word = word as u8;
    }
}
