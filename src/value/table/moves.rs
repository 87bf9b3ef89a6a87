//! How a table's blocks are made anew: on another node, or out of slabs that are to empty.
//!
//! A big table goes by its segments and then, in a move, by its pages, in slices: what need not
//! move costs a look, for a move that meets what moved before would else look at all of it in one
//! go. Where a move has come to lies in the root (`cursor`, `target`); where a compaction has come
//! to is its caller's, for both may be under way at once. Segments that were split or merged in
//! between leave a block behind at worst: a move asks the account at its end, a compaction comes
//! again.

use super::big::copy;
use super::segment::{Need, SegmentMut};
use super::{lay_out_small, Table, SMALL_HEAD};
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory};
use crate::value::goal::Goal;
use crate::value::link::encode;
use crate::value::{Compacted, Step};

/// What it costs to look at a segment, in bytes of one long copy.
const LOOK_COST: usize = 64;
/// The same for each text that lies outside.
const LOOK_OUTSIDE_COST: usize = 32;

impl<const VALUES: bool> Table<VALUES> {
    /// Moves blocks to a node: see [`Value::relocate`](crate::value::Value::relocate).
    pub(super) fn relocate_blocks(
        &mut self,
        to: NodeId,
        budget: usize,
    ) -> Result<Step, OutOfMemory> {
        if !self.is_big() {
            return self.relocate_small(to);
        }
        if self.seen().target() != Some(to) {
            let mut big = self.big();
            big.set_target(Some(to));
            big.set_cursor(0);
        }
        let moved = self.relocate_big(to, budget);
        if moved.is_err() {
            self.big().set_target(None);
        }
        moved
    }

    fn relocate_small(&mut self, to: NodeId) -> Result<Step, OutOfMemory> {
        let bytes = self.renew_small(Goal::Move(to))?;
        Ok(Step { bytes, done: true })
    }

    /// Makes those blocks of a small table anew that the goal wants; their bytes.
    fn renew_small(&mut self, goal: Goal) -> Result<usize, OutOfMemory> {
        let mut bytes = self.renew_outside(0, goal)?;
        if let Some(to) = goal.target(self.pool(), self.root.node(), self.root.addr()) {
            let need = self.segment(0).need_of(|_| true);
            let mut root = self.root.successor(&[to], SMALL_HEAD + need.size())?;
            lay_out_small::<VALUES>(&mut root, need);
            if let Some((_, fresh)) = root.body_mut().split_first_mut() {
                SegmentMut::<VALUES>::new(fresh).append(self.segment(0), |_| true);
            }
            self.root = root;
            bytes += self.root.size();
        }
        Ok(bytes)
    }

    fn relocate_big(&mut self, to: NodeId, budget: usize) -> Result<Step, OutOfMemory> {
        let (mut bytes, mut cost) = (0, 0);
        let more = |bytes| Step { bytes, done: false };
        for at in self.seen().cursor()..self.segments() + self.seen().pages() {
            if cost >= budget {
                self.big().set_cursor(at);
                return Ok(more(bytes));
            }
            let moved = match at.checked_sub(self.segments()) {
                None => self.renew_segment(at, Goal::Move(to)),
                Some(page) => self.renew_page(page, Goal::Move(to)),
            }?;
            bytes += moved;
            cost += moved + self.look_cost(at);
        }
        self.big().set_cursor(0);
        if self.seen().share(to) < self.seen().total() {
            // What came meanwhile found no room there: the next sweep finds it, or says so.
            return Ok(more(bytes));
        }
        if self.root.node() != to {
            self.big().move_root(to)?;
            bytes += self.root.size();
        }
        self.big().set_target(None);
        Ok(Step { bytes, done: true })
    }

    /// Makes blocks anew that lie in slabs which are to empty: see
    /// [`Value::compact`](crate::value::Value::compact).
    pub(super) fn compact_blocks(&mut self, from: u64, budget: usize) -> Compacted {
        if !self.is_big() {
            return Compacted::whole(self.renew_small(Goal::Compact).unwrap_or(0));
        }
        let mut bytes = 0;
        if from == 0 {
            bytes += self.compact_directory();
        }
        let (mut index, mut cost) = (usize::try_from(from).unwrap_or(usize::MAX), bytes);
        while index < self.segments() {
            let Ok(moved) = self.renew_segment(index, Goal::Compact) else {
                break;
            };
            bytes += moved;
            cost += moved + self.look_cost(index);
            index += 1;
            if cost >= budget {
                let next = Some(index as u64);
                return Compacted { bytes, next };
            }
        }
        Compacted::whole(bytes)
    }

    /// The same for the pages and the root of a big table, as far as there is memory; their bytes.
    fn compact_directory(&mut self) -> usize {
        let mut bytes = 0;
        for page in 0..self.seen().pages() {
            bytes += self.renew_page(page, Goal::Compact).unwrap_or(0);
        }
        if self.root.is_leaving() {
            let node = self.root.node();
            if self.big().move_root(node).is_ok() {
                bytes += self.root.size();
            }
        }
        bytes
    }

    /// What it costs to look at a segment, or at a page behind them.
    fn look_cost(&self, at: usize) -> usize {
        if at < self.segments() && self.seen().outside() > 0 {
            LOOK_COST + self.segment(at).count() * LOOK_OUTSIDE_COST
        } else {
            LOOK_COST
        }
    }

    /// Where a block is to be made anew; nothing where it stays.
    fn target(&self, block: &Block, goal: Goal) -> Option<NodeId> {
        goal.target(self.pool(), block.node(), block.addr())
    }

    fn renew_segment(&mut self, index: usize, goal: Goal) -> Result<usize, OutOfMemory> {
        let mut bytes = 0;
        if self.seen().outside() > 0 {
            bytes += self.renew_outside(index, goal)?;
        }
        let Some(old) = self.seen().block(index) else {
            return Ok(bytes);
        };
        if goal.closes_up() && self.segment(index).is_slack() {
            self.remake(index, Need::default(), &[old.node()])?;
            return Ok(bytes + self.seen().block(index).map_or(0, |block| block.size()));
        }
        if let Some(to) = self.target(&old, goal) {
            let mut fresh = self.big().alloc(old.capacity(), &[to])?;
            copy(fresh.bytes_mut(), old.bytes());
            bytes += fresh.size();
            self.big().replace(index, fresh)?;
        }
        Ok(bytes)
    }

    fn renew_page(&mut self, page: usize, goal: Goal) -> Result<usize, OutOfMemory> {
        let Some(old) = self.seen().page_block(page) else {
            return Ok(0);
        };
        let Some(to) = self.target(&old, goal) else {
            return Ok(0);
        };
        let fresh = self.big().alloc(old.capacity(), &[to])?;
        let size = fresh.size();
        self.big().replace_page(page, fresh)?;
        Ok(size)
    }

    /// Makes the texts of a segment anew that lie outside and that the goal wants; their bytes.
    fn renew_outside(&mut self, index: usize, goal: Goal) -> Result<usize, OutOfMemory> {
        let mut bytes = 0;
        for at in 0..self.segment(index).count() {
            for of_value in [false, true] {
                bytes += self.renew_text(index, at, of_value, goal)?;
            }
        }
        Ok(bytes)
    }

    fn renew_text(
        &mut self,
        index: usize,
        at: usize,
        of_value: bool,
        goal: Goal,
    ) -> Result<usize, OutOfMemory> {
        let entry = self.segment(index).entry(at);
        let cell = entry.map(|entry| if of_value { entry.value } else { entry.key });
        let Some(old) = cell.and_then(|cell| cell.block()) else {
            return Ok(0);
        };
        let Some(to) = self.target(&old, goal) else {
            return Ok(0);
        };
        let pool = self.pool();
        let mut fresh = pool.alloc(old.capacity(), &[to])?;
        copy(fresh.bytes_mut(), old.bytes());
        let (size, node, old_size) = (fresh.size(), old.node(), old.size());
        let link = encode(fresh, pool)?;
        self.segment_mut(index).relink(at, of_value, link);
        pool.free(old);
        if self.is_big() {
            let mut big = self.big();
            big.account(to, size as i64);
            big.account(node, -(old_size as i64));
        }
        Ok(size)
    }
}
