//! A table of texts, with or without values: what the hash and the set are made of.
//!
//! ```text
//! small:  root | 0 | segment |                                one block
//! big:    root | 1 | directory |  --> page --> segment        linear hashing over segments
//! ```
//!
//! The idea: pack some hundred entries into one block (`segment`), and let linear hashing choose
//! the block. Segment `b` of `n` holds the entries whose hash ends in the bits of `b`; each time
//! the average grows beyond a limit, the next segment in line is split in two, each time it falls
//! below another, the last one is merged into the one it came from. So growing and shrinking cost
//! a few microseconds at a time, whatever the size, and an entry costs its bytes, a length each,
//! three bytes of index and the slack of its block.
//!
//! Invariants: `root.len()` entries in all; `heap` and `outside` of the directory are sums over
//! the segments; a call that fails has changed nothing that can be seen. Splits, merges and
//! compactions are never a reason to fail: where there is no memory for one, the table stays as it
//! is and tries again later.
//!
//! Rejected: a table that rehashes as a whole (a pause of 100 ms at ten million entries), an
//! incremental rehash of two tables (both are in memory meanwhile, and each lookup asks twice),
//! extendible hashing (its directory doubles at once).

mod big;
mod moves;
mod place;
mod scan;
mod segment;
mod text;
mod value;

#[cfg(test)]
mod tests;

use super::hash::hash;
use super::root::Root;
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use big::{Big, Seen, BIG};
use segment::{Need, Segment, SegmentMut};
use std::collections::HashSet;
use std::ptr::NonNull;
use text::{Cell, Encoded};

pub use value::{NumaHash, NumaSet};

/// The first byte of a small body.
const SMALL: u8 = 0;
/// Bytes of the body in front of a small table's segment.
const SMALL_HEAD: usize = 1;
/// A table with more entries than this becomes big.
const SMALL_ENTRIES_MAX: usize = 256;
/// A table with more bytes in its segment than this becomes big.
const SMALL_HEAP_MAX: usize = 12 << 10;
/// A table with more bytes outside than this becomes big: a small one moves in one piece.
const SMALL_OUTSIDE_MAX: usize = 64 << 10;

/// See the head of the file. Dropping it gives every block back.
pub struct Table<const VALUES: bool> {
    root: Root,
}

/// What [`Table::insert`] met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The key was not there before.
    New,
    /// The key was there; its value is the new one now.
    Known,
}

impl<const VALUES: bool> Table<VALUES> {
    /// A table without entries.
    ///
    /// # Errors
    /// [`OutOfMemory`] where no node of `order` has room.
    pub fn new(pool: PoolHandle, order: &[NodeId], heat: Heat) -> Result<Self, OutOfMemory> {
        let need = Need { count: 2, heap: 16 };
        let mut root = Root::new(pool, order, SMALL_HEAD + need.size(), heat)?;
        lay_out_small::<VALUES>(&mut root, need);
        Ok(Self { root })
    }

    /// The table behind a root.
    pub(super) fn from_root(root: Root) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn root_mut(&mut self) -> &mut Root {
        &mut self.root
    }

    pub(super) fn into_raw(mut self) -> NonNull<u8> {
        // What is left behind has no body, so dropping it gives nothing back.
        self.root.take().into_raw()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.root.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    fn is_big(&self) -> bool {
        self.root.body().first() == Some(&BIG)
    }

    fn pool(&self) -> PoolHandle {
        self.root.pool()
    }

    fn seen(&self) -> Seen<'_> {
        Seen(&self.root)
    }

    fn big(&mut self) -> Big<'_> {
        Big(&mut self.root)
    }

    /// How many segments there are.
    fn segments(&self) -> usize {
        if self.is_big() {
            self.seen().segments()
        } else {
            1
        }
    }

    fn segment(&self, index: usize) -> Segment<'_, VALUES> {
        if self.is_big() {
            Segment::new(self.seen().segment(index))
        } else {
            Segment::new(self.root.body().get(SMALL_HEAD..).unwrap_or(&[]))
        }
    }

    fn segment_mut(&mut self, index: usize) -> SegmentMut<'_, VALUES> {
        if self.is_big() {
            SegmentMut::new(Big(&mut self.root).into_segment(index))
        } else {
            SegmentMut::new(
                self.root
                    .body_mut()
                    .get_mut(SMALL_HEAD..)
                    .unwrap_or(&mut []),
            )
        }
    }

    /// The segment that a hash belongs to.
    fn home_of(&self, hash: u64) -> usize {
        if self.is_big() {
            place::segment_of(hash, self.seen().segments())
        } else {
            0
        }
    }

    /// The value of a key, the empty text where the table has no values.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = hash(key);
        let segment = self.segment(self.home_of(hash));
        let (_, entry) = segment.find(place::tag(hash), key)?;
        Some(entry.value.bytes())
    }

    /// Whether a key is there.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let segments = (0..self.segments()).map(|index| self.segment(index));
        segments
            .flat_map(Segment::entries)
            .map(|entry| (entry.key.bytes(), entry.value.bytes()))
    }

    /// An entry, each as likely as any other; `dice` rolls numbers over all of `u64`.
    pub fn random(&self, dice: &mut dyn FnMut() -> u64) -> Option<(&[u8], &[u8])> {
        if self.is_empty() {
            return None;
        }
        let entry = loop {
            let index = below(dice(), self.segments());
            let segment = self.segment(index);
            // The same bound for every segment makes every entry equally likely; what lies beyond
            // a segment's end is rolled again.
            let bound = if self.is_big() {
                self.seen().peak()
            } else {
                segment.count()
            };
            if let Some(entry) = segment.entry(below(dice(), bound)) {
                break entry;
            }
        };
        Some((entry.key.bytes(), entry.value.bytes()))
    }

    /// `count` different entries, every set of them as likely as any other; all where there are no
    /// more.
    pub fn sample(&self, count: usize, dice: &mut dyn FnMut() -> u64) -> Vec<(&[u8], &[u8])> {
        // Few of many are rolled one by one, and what comes twice is rolled again.
        if count < self.len() / 3 {
            let (mut seen, mut found) = (HashSet::new(), Vec::with_capacity(count));
            while found.len() < count {
                match self.random(dice) {
                    Some((key, value)) if seen.insert(key) => found.push((key, value)),
                    Some(_) => {}
                    None => break,
                }
            }
            return found;
        }
        let mut all: Vec<_> = self.iter().collect();
        let count = count.min(all.len());
        if count < all.len() {
            for at in 0..count {
                let other = at + below(dice(), all.len() - at);
                all.swap(at, other);
            }
            all.truncate(count);
        }
        all
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the table is what it was.
    pub fn insert(
        &mut self,
        key: &[u8],
        value: &[u8],
        order: &[NodeId],
    ) -> Result<Inserted, OutOfMemory> {
        let steered = self.steered(order);
        let order = &*steered;
        let hash = hash(key);
        let (home, tag) = (self.home_of(hash), place::tag(hash));
        if let Some((index, _)) = self.segment(home).find(tag, key) {
            if VALUES {
                self.set_value(home, index, value, order)?;
            }
            return Ok(Inserted::Known);
        }
        self.add(home, tag, (key, value), order)?;
        self.grow(order);
        Ok(Inserted::New)
    }

    fn add(
        &mut self,
        home: usize,
        tag: u8,
        (key, value): (&[u8], &[u8]),
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        let pool = self.pool();
        let key = Encoded::new(key, pool, order)?;
        let value = if VALUES {
            Encoded::new(value, pool, order)
        } else {
            Ok(Encoded::NONE)
        };
        let value = value.inspect_err(|_| {
            key.cell().give_back(pool);
        })?;
        let need = Need::one(key.len() + if VALUES { value.len() } else { 0 });
        if let Err(OutOfMemory) = self.push(home, tag, (&key, &value), need, order) {
            key.cell().give_back(pool);
            value.cell().give_back(pool);
            return Err(OutOfMemory);
        }
        self.count_in(&key.cell());
        self.count_in(&value.cell());
        let len = self.len() + 1;
        self.root.set_len(len);
        Ok(())
    }

    /// Adds an entry to a segment, in a bigger block if need be.
    fn push(
        &mut self,
        home: usize,
        tag: u8,
        (key, value): (&Encoded<'_>, &Encoded<'_>),
        need: Need,
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        if !self.segment_mut(home).push(tag, key, value) {
            self.remake(home, need, order)?;
            if !self.segment_mut(home).push(tag, key, value) {
                return Err(OutOfMemory);
            }
        }
        if self.is_big() {
            let count = self.segment(home).count();
            let mut big = self.big();
            big.add_heap(need.heap as i64);
            big.note_count(count);
        }
        Ok(())
    }

    fn set_value(
        &mut self,
        home: usize,
        index: usize,
        value: &[u8],
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        let pool = self.pool();
        let Some(entry) = self.segment(home).entry(index) else {
            return Err(OutOfMemory);
        };
        let (old, old_len) = (entry.value.outside(), entry.value.encoded_len());
        let value = Encoded::new(value, pool, order)?;
        if !self.segment_mut(home).overwrite(index, &value) {
            if let Err(OutOfMemory) = self.exchange(home, index, &value, order) {
                value.cell().give_back(pool);
                return Err(OutOfMemory);
            }
            if self.is_big() {
                self.big().add_heap(value.len() as i64 - old_len as i64);
            }
        }
        self.count_in(&value.cell());
        if let Some(old) = old {
            self.give_back(&old);
        }
        Ok(())
    }

    /// Puts an entry with another value in the place of entry `index`: first the new one, then the
    /// old one goes.
    fn exchange(
        &mut self,
        home: usize,
        index: usize,
        value: &Encoded<'_>,
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        let segment = self.segment(home);
        let entry = segment.entry(index).ok_or(OutOfMemory)?;
        let tag = segment.tag(index);
        let mut room = [0; text::INSIDE_MAX];
        let key = entry.key.encoded(&mut room);
        if !self.segment_mut(home).push(tag, &key, value) {
            self.remake(home, Need::one(key.len() + value.len()), order)?;
            if !self.segment_mut(home).push(tag, &key, value) {
                return Err(OutOfMemory);
            }
        }
        self.segment_mut(home).remove(index);
        Ok(())
    }

    /// Takes an entry away; whether it was there.
    pub fn remove(&mut self, key: &[u8], order: &[NodeId]) -> bool {
        let steered = self.steered(order);
        let order = &*steered;
        let hash = hash(key);
        let home = self.home_of(hash);
        let Some((index, entry)) = self.segment(home).find(place::tag(hash), key) else {
            return false;
        };
        let outside = [entry.key.outside(), entry.value.outside()];
        let heap = entry.key.encoded_len() + if VALUES { entry.value.encoded_len() } else { 0 };
        self.segment_mut(home).remove(index);
        outside
            .iter()
            .flatten()
            .for_each(|cell| self.give_back(cell));
        let len = self.len() - 1;
        self.root.set_len(len);
        if self.is_big() {
            self.big().add_heap(-(heap as i64));
        }
        if self.segment(home).is_wasteful() {
            // Without memory for it the dead bytes stay until the next time.
            let _ = self.remake(home, Need::default(), order);
        }
        self.shrink(order);
        true
    }

    /// Counts the block of a text that came in.
    fn count_in(&mut self, cell: &Cell<'_>) {
        if let (true, Some(block)) = (self.is_big(), cell.block()) {
            let mut big = self.big();
            big.account(block.node(), block.size() as i64);
            big.add_outside(1);
        }
    }

    /// Gives the block of a text back that was taken out.
    fn give_back(&mut self, cell: &Cell<'_>) {
        let left = cell.give_back(self.pool());
        if let (true, Some((node, size))) = (self.is_big(), left) {
            let mut big = self.big();
            big.account(node, -(size as i64));
            big.add_outside(-1);
        }
    }

    /// Makes a segment anew, without what is dead and with room for `more`.
    fn remake(&mut self, home: usize, more: Need, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let segment = self.segment(home);
        let kept = Need {
            count: segment.count(),
            heap: segment.live(),
        };
        let need = kept.and(more);
        if need.heap > segment::HEAP_MAX {
            return Err(OutOfMemory);
        }
        let room = if more == Need::default() {
            need
        } else {
            need.and(need.eighth())
        };
        let more = Need {
            count: room.count - kept.count,
            heap: more.heap,
        };
        if self.is_big() {
            let mut block = self.big().alloc(room.size(), order)?;
            self.segment(home)
                .copy_into(block.bytes_mut(), more, |_| true);
            return self.big().replace(home, block);
        }
        let mut root = self.root.successor(order, SMALL_HEAD + room.size())?;
        if let Some((form, bytes)) = root.body_mut().split_first_mut() {
            *form = SMALL;
            self.segment(home).copy_into(bytes, more, |_| true);
        }
        self.root = root;
        Ok(())
    }

    /// Bytes of the blocks of texts that lie outside; a small table's, which counts none.
    fn outside_bytes(&self) -> usize {
        let mut bytes = 0;
        self.visit_outside(0, &mut |block| {
            bytes += block.size();
            true
        });
        bytes
    }

    /// Shows the blocks of the texts of a segment that lie outside; false where `visit` ended it.
    fn visit_outside(&self, index: usize, visit: &mut dyn FnMut(&Block) -> bool) -> bool {
        let cells = self.segment(index).entries();
        let cells = cells.flat_map(|entry| [entry.key, entry.value]);
        cells
            .filter_map(|cell| cell.block())
            .all(|block| visit(&block))
    }

    /// The nodes to try: where a table is under way, its target first, for what came after the
    /// move had passed would have to be moved again.
    fn steered<'o>(&self, order: &'o [NodeId]) -> std::borrow::Cow<'o, [NodeId]> {
        let target = if self.is_big() {
            self.seen().target()
        } else {
            None
        };
        match target {
            None => order.into(),
            Some(target) => {
                let others = order.iter().copied().filter(|node| *node != target);
                std::iter::once(target).chain(others).collect()
            }
        }
    }
}

/// Writes an empty segment into a small root.
fn lay_out_small<const VALUES: bool>(root: &mut Root, need: Need) {
    if let Some((form, bytes)) = root.body_mut().split_first_mut() {
        *form = SMALL;
        SegmentMut::<VALUES>::empty(bytes, need);
    }
}

/// A number below `bound` of one over all of `u64`; 0 where the bound is.
fn below(roll: u64, bound: usize) -> usize {
    ((u128::from(roll) * bound as u128) >> 64) as usize
}

impl<const VALUES: bool> std::fmt::Debug for Table<VALUES> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("root", &self.root)
            .field("segments", &self.segments())
            .finish()
    }
}

impl<const VALUES: bool> Drop for Table<VALUES> {
    fn drop(&mut self) {
        let pool = self.pool();
        let outside = !self.is_big() || self.seen().outside() > 0;
        for index in 0..self.segments() {
            if outside {
                let cells = self.segment(index).entries();
                cells.for_each(|entry| {
                    entry.key.give_back(pool);
                    entry.value.give_back(pool);
                });
            }
            if self.is_big() {
                if let Some(block) = self.seen().block(index) {
                    pool.free(block);
                }
            }
        }
        if self.is_big() {
            let pages = (0..self.seen().pages()).filter_map(|page| self.seen().page_block(page));
            pages.for_each(|block| pool.free(block));
        }
    }
}
