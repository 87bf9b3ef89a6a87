//! A walk over a table in slices, with the table growing and shrinking in between.
//!
//! A **position** is the 32 low bits of an entry's hash, read backwards. It never changes, and the
//! entries of one segment, which share the end of their hashes, are one run of positions:
//!
//! ```text
//! segment b, decided by k bits:  positions  reverse(b) .. reverse(b) + 2^(32-k)
//! ```
//!
//! So a cursor that is a position means the same whatever the number of segments: an entry that is
//! there throughout a whole walk is passed exactly once, however the table changes. The stock
//! cursor promises at least once. A walk may stop inside a segment, between two positions.

use super::place::{bits_of, segment_of};
use super::Table;
use crate::value::hash::hash;

/// One more than the last position.
const END: u64 = 1 << 32;

fn position(key: &[u8]) -> u64 {
    u64::from((hash(key) as u32).reverse_bits())
}

impl<const VALUES: bool> Table<VALUES> {
    /// Goes on with a walk: shows about `count` entries from `cursor` on, 0 being the beginning;
    /// where to go on, 0 at the end. A small table is shown as a whole.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        if !self.is_big() {
            self.iter().for_each(|(key, value)| visit(key, value));
            return 0;
        }
        let (mut at, mut left) = (cursor, count);
        while at < END {
            at = self.scan_segment(at, &mut left, visit);
            if left == 0 {
                break;
            }
        }
        if at < END {
            at
        } else {
            0
        }
    }

    /// Shows entries of the segment that position `at` belongs to, from there on; the position to
    /// go on from.
    fn scan_segment(&self, at: u64, left: &mut usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        let segments = self.segments();
        let place = u64::from((at as u32).reverse_bits());
        let index = segment_of(place, segments);
        let start = u64::from((index as u32).reverse_bits());
        let end = start + (END >> bits_of(index, segments));
        let entries = self.segment(index).entries();
        let mut run: Vec<_> = entries
            .map(|entry| (position(entry.key.bytes()), entry))
            .filter(|(position, _)| *position >= at)
            .collect();
        run.sort_unstable_by_key(|(position, _)| *position);
        let mut last = None;
        for (position, entry) in run {
            // Entries of one position stay together, or the rest of them would be passed over.
            if *left == 0 && last != Some(position) {
                return position;
            }
            visit(entry.key.bytes(), entry.value.bytes());
            *left = left.saturating_sub(1);
            last = Some(position);
        }
        end
    }
}
