//! The queue: blocks that were freed outside the window wait here while their slab's record is on
//! its way into the cache.
//!
//! ```text
//!   free ---> prefetch its record; | 16 pieces, a ring | ---> the oldest goes back to its slab
//! ```
//!
//! The record of a random block is in no cache near the processor, and with a million blocks live
//! neither is the page table's entry for it. Waiting for it is most of what such a free costs. So
//! a block is only noted, its record is asked for, and the block that was noted 16 frees ago goes
//! back, whose record is there by now. The gauge counts a block as it is noted. Nobody is given a
//! block that waits, so a double free is found before it does harm, 16 frees later at the most.
//! Invariant:
//!
//! > blocks of the gauge = blocks that the slabs' records say live - blocks that wait
//!
//! What needs every block in its slab (a new slab, trimming, checks) empties the queue first.

use super::piece::Piece;

/// How many blocks wait: as many as a processor has loads under way, about.
const WAITING: usize = 16;

/// See the head of the file.
pub(super) struct Queue {
    ring: [Option<Piece>; WAITING],
    at: usize,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            ring: [None; WAITING],
            at: 0,
        }
    }

    /// Notes a block; the oldest, which must go back now.
    #[inline]
    pub(super) fn push(&mut self, piece: Piece) -> Option<Piece> {
        self.at = (self.at + 1) % WAITING;
        let place = self.ring.get_mut(self.at)?;
        place.replace(piece)
    }

    /// Takes some block out.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        self.ring.iter_mut().find_map(Option::take)
    }
}
