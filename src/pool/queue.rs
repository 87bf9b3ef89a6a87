//! The queue: blocks that were freed outside the window wait here while their slab's record is on
//! its way into the cache.
//!
//! ```text
//!   free ---> prefetch its record; | 16 blocks, a ring | ---> the oldest goes back to its slab
//! ```
//!
//! The record of a random block is in no cache near the processor, and with a million blocks live
//! neither is the page table's entry for it. Waiting for it is most of what such a free costs. So
//! a block is only noted, its record is asked for, and the block that was noted 16 frees ago goes
//! back, whose record is there by now. The gauge counts a block as it is noted. Invariant:
//!
//! > blocks of the gauge = blocks that the slabs' records say live - blocks that wait
//!
//! Whether a block was live is seen as it goes back. So nobody may be given a block that waits: a
//! second free of it would by then be one of its new owner's. Whoever gives a block out that may
//! have been free for long asks [`Queue::may_hold`] or empties the queue first, as does what needs
//! every block in its slab (a new window, trimming, checks). A double free is found 16 frees later
//! at the most, before it does harm.

use super::class::BLOCK_ALIGN;
use super::piece::Piece;
use std::ptr::NonNull;

/// How many blocks wait: as many as a processor has loads under way, about.
const WAITING: usize = 16;

/// A block that waits, and the number of its slab as the address table had it.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    ptr: NonNull<u8>,
    pub(super) slab: u32,
    tag: u16,
}

const _: () = assert!(
    size_of::<Option<Waiting>>() == 16,
    "the ring is four cache lines"
);

impl Waiting {
    /// The block.
    #[inline]
    pub(super) const fn piece(self) -> Piece {
        Piece::tagged(self.ptr, self.tag)
    }
}

#[inline]
fn mark_of(ptr: NonNull<u8>) -> u32 {
    (ptr.addr().get() / BLOCK_ALIGN) as u32
}

/// See the head of the file.
pub(super) struct Queue {
    ring: [Option<Waiting>; WAITING],
    /// A piece of the address of each block in the ring, and of some that have gone.
    marks: [u32; WAITING],
    at: usize,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            ring: [None; WAITING],
            marks: [0; WAITING],
            at: 0,
        }
    }

    /// Notes a block; the oldest, which must go back now.
    #[inline]
    pub(super) fn push(&mut self, piece: Piece, slab: u32) -> Option<Waiting> {
        self.at = (self.at + 1) % WAITING;
        *self.marks.get_mut(self.at)? = mark_of(piece.ptr);
        let place = self.ring.get_mut(self.at)?;
        place.replace(Waiting {
            ptr: piece.ptr,
            slab,
            tag: piece.tag(),
        })
    }

    /// Whether the block may wait here: always where it does. Looks at all places, for the sake of
    /// instructions that compare several at once.
    #[inline]
    pub(super) fn may_hold(&self, ptr: NonNull<u8>) -> bool {
        let wanted = mark_of(ptr);
        let same = |found: bool, mark: &u32| found | (*mark == wanted);
        self.marks.iter().fold(false, same)
    }

    /// Whether a block of that slab waits here.
    pub(super) fn waits_for(&self, slab: u32) -> bool {
        let mut waiting = self.ring.iter().flatten();
        waiting.any(|waiting| waiting.slab == slab)
    }

    /// Forgets what has gone; nothing waits.
    pub(super) fn forget(&mut self) {
        self.marks = [0; WAITING];
    }

    /// Takes some block out.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        let waiting = self.ring.iter_mut().find_map(Option::take)?;
        Some(waiting.piece())
    }
}
