//! Which segment an entry belongs to, and how the table keeps to its size.
//!
//! ```text
//! n = 2^level + split segments       segment = hash mod 2^level, or mod 2^(level+1) below split
//! hash = | tag 8 | ... | low 32 bits: the place |
//! ```
//!
//! The hash is SipHash under a key of the process: no client can choose keys that share a segment.
//! It is never written to a file. Limits: a segment holds [`GROW_ENTRIES`] entries on average and
//! [`GROW_HEAP`] bytes; below a quarter of that the table shrinks, so a table that sways around a
//! limit does not split and merge by turns.

use super::big::{Big, NEW_BODY};
use super::segment::{Need, SegmentMut, HEAP_MAX};
use super::{
    lay_out_small, Table, SMALL_ENTRIES_MAX, SMALL_HEAD, SMALL_HEAP_MAX, SMALL_OUTSIDE_MAX,
};
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
use crate::value::hash::hash;

/// Entries of a segment, on average, before the next one is split.
const GROW_ENTRIES: usize = 96;
/// Bytes of the entries of a segment, on average, before the next one is split.
const GROW_HEAP: usize = 6 << 10;
/// A table with less than this part of either shrinks.
const SHRINK_PART: usize = 4;
/// A big table of one segment with no more entries than this becomes small again.
const SMALL_AGAIN: usize = SMALL_ENTRIES_MAX / 4;
/// Segments at most: the place has 32 bits.
const SEGMENTS_MAX: usize = 1 << 31;

/// What of a hash the index keeps.
pub(super) const fn tag(hash: u64) -> u8 {
    (hash >> 56) as u8
}

/// The level of `segments` segments, at least one.
const fn level_of(segments: usize) -> u32 {
    (usize::BITS - 1) - segments.leading_zeros()
}

/// The segment, of `segments`, that a hash belongs to.
pub(super) const fn segment_of(hash: u64, segments: usize) -> usize {
    if segments <= 1 {
        return 0;
    }
    let level = level_of(segments);
    let (low, split) = (1 << level, segments - (1 << level));
    let index = hash as usize & (low - 1);
    if index < split {
        hash as usize & (2 * low - 1)
    } else {
        index
    }
}

/// How many bits of a hash decide that it belongs to segment `index` of `segments`.
pub(super) const fn bits_of(index: usize, segments: usize) -> u32 {
    if segments <= 1 {
        return 0;
    }
    let level = level_of(segments);
    let (low, split) = (1 << level, segments - (1 << level));
    if index < split || index >= low {
        level + 1
    } else {
        level
    }
}

impl<const VALUES: bool> Table<VALUES> {
    /// Grows, if it is time to. Where there is no memory for it, another insertion will try again.
    pub(super) fn grow(&mut self, order: &[NodeId]) {
        if !self.is_big() {
            if self.outgrows_small() {
                let _ = self.become_big(order);
            }
            return;
        }
        let (seen, segments) = (self.seen(), self.segments());
        let full = self.len() > segments * GROW_ENTRIES || seen.heap() > segments * GROW_HEAP;
        if full && segments < SEGMENTS_MAX {
            let _ = self.split(order);
        }
    }

    fn outgrows_small(&self) -> bool {
        self.len() > SMALL_ENTRIES_MAX
            || self.segment(0).live() > SMALL_HEAP_MAX
            || self.outside_bytes() > SMALL_OUTSIDE_MAX
    }

    fn become_big(&mut self, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let small = self.segment(0);
        let need = small.need_of(|_| true);
        let mut root = self.root.successor(order, NEW_BODY)?;
        let mut big = Big(&mut root);
        big.begin();
        let mut block = big.alloc(need.size(), order)?;
        small.copy_into(block.bytes_mut(), Need::default(), |_| true);
        if let Err(OutOfMemory) = big.append(block, order) {
            big.drop_pages();
            return Err(OutOfMemory);
        }
        big.add_heap(need.heap as i64);
        big.note_count(need.count);
        for cell in small.entries().flat_map(|entry| [entry.key, entry.value]) {
            if let Some(block) = cell.block() {
                big.account(block.node(), block.size() as i64);
                big.add_outside(1);
            }
        }
        self.root = root;
        Ok(())
    }

    /// Splits the next segment in line into itself and a new last one.
    fn split(&mut self, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let segments = self.segments();
        let level = level_of(segments);
        let from = segments - (1 << level);
        let moves: Vec<bool> = self
            .segment(from)
            .entries()
            .map(|entry| hash(entry.key.bytes()) >> level & 1 == 1)
            .collect();
        let goes = |index: usize| moves.get(index).copied().unwrap_or(false);
        let segment = self.segment(from);
        let sizes = [
            segment.need_of(|index| !goes(index)).size(),
            segment.need_of(goes).size(),
        ];
        let mut stay = self.big().alloc(sizes[0], order)?;
        let go = self.big().alloc(sizes[1], order);
        let mut go = match go {
            Ok(go) => go,
            Err(OutOfMemory) => {
                self.big().free(stay);
                return Err(OutOfMemory);
            }
        };
        let none = Need::default();
        let segment = self.segment(from);
        segment.copy_into(stay.bytes_mut(), none, |index| !goes(index));
        segment.copy_into(go.bytes_mut(), none, goes);
        let mut big = self.big();
        if let Err(OutOfMemory) = big.append(go, order) {
            big.free(stay);
            return Err(OutOfMemory);
        }
        big.replace(from, stay)
    }

    /// Shrinks, if it is time to; as [`Table::grow`].
    pub(super) fn shrink(&mut self, order: &[NodeId]) {
        if !self.is_big() {
            return;
        }
        let (heap, segments) = (self.seen().heap(), self.segments());
        let sparse = self.len() < segments * GROW_ENTRIES / SHRINK_PART
            && heap < segments * GROW_HEAP / SHRINK_PART;
        if segments > 1 && sparse {
            let _ = self.merge(order);
        } else if segments == 1 && self.len() <= SMALL_AGAIN {
            let _ = self.become_small(order);
        }
    }

    /// Merges the last segment into the one that it was split from.
    fn merge(&mut self, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let last = self.segments() - 1;
        let into = last - (1 << level_of(last));
        let need = self
            .segment(into)
            .need_of(|_| true)
            .and(self.segment(last).need_of(|_| true));
        if need.heap > HEAP_MAX {
            return Err(OutOfMemory);
        }
        let mut block = self.big().alloc(need.size(), order)?;
        let mut both = SegmentMut::<VALUES>::empty(block.bytes_mut(), need);
        both.append(self.segment(into), |_| true);
        both.append(self.segment(last), |_| true);
        let mut big = self.big();
        big.replace(into, block)?;
        big.note_count(need.count);
        if let Some(gone) = big.pop() {
            big.free(gone);
        }
        Ok(())
    }

    fn become_small(&mut self, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let segment = self.segment(0);
        let need = segment.need_of(|_| true);
        if need.heap > SMALL_HEAP_MAX / 2 || self.outside_bytes() > SMALL_OUTSIDE_MAX / 2 {
            return Ok(());
        }
        let mut root = self.root.successor(order, SMALL_HEAD + need.size())?;
        lay_out_small::<VALUES>(&mut root, need);
        if let Some((_, bytes)) = root.body_mut().split_first_mut() {
            SegmentMut::<VALUES>::new(bytes).append(segment, |_| true);
        }
        let mut big = self.big();
        if let Some(gone) = big.pop() {
            big.free(gone);
        }
        self.root = root;
        Ok(())
    }
}
