//! What every value answers, whatever its type.
//!
//! The idea: a value is a root block that the server points to, and as many further blocks as its
//! type likes. The floors above place, move, count, save and free values without knowing types;
//! commands know theirs. So the trait has two halves: questions about *bytes* (where, how many,
//! how hot, to which node), which can be asked through `dyn Value`, and the making of values,
//! which needs the type.
//!
//! Invariants that each type keeps:
//! * every byte comes from the pool, and `memory` is the exact sum of its blocks' sizes;
//! * a call that fails has changed nothing;
//! * half moved is a legal state: each block knows its own node, so [`Value::relocate`] may stop
//!   after any block and go on later, with reads and writes in between, and a second target simply
//!   takes over;
//! * [`Value::save`] and all looks write nothing, lock nothing and ask the pool for nothing: a
//!   forked child runs them.
//!
//! Rejected: an enum of the five types, which would make every command pay for a match that its
//! own name has decided already, and every new type a change in each file that places bytes.

use super::codec::{BadPayload, Sink, Source};
use super::root::Root;
use crate::heat::{Clock, Heat};
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::ptr::NonNull;

/// How far one slice of a move came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Bytes that this slice moved.
    pub bytes: usize,
    /// Whether every block lies on the target now.
    pub done: bool,
}

/// How far one slice of a compaction came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compacted {
    /// Bytes that this slice made anew.
    pub bytes: usize,
    /// Where the next slice goes on; nothing behind the last block.
    pub next: Option<u64>,
}

impl Compacted {
    /// A value that one slice was enough for.
    pub(super) const fn whole(bytes: usize) -> Self {
        Self { bytes, next: None }
    }
}

/// Where a value that is read from a file may land.
pub trait Landing {
    /// The pool that it lands in.
    fn pool(&self) -> PoolHandle;
    /// The nodes to try for a value of about that many bytes, best first.
    fn order(&mut self, size: usize) -> Vec<NodeId>;
    /// Runs `work` as if no node had a limit: a file that was written is never refused for one.
    fn beyond_limits(&mut self, work: &mut dyn FnMut());
}

/// Makes a part of a loaded value: within the limits if that goes, else beyond them.
///
/// # Errors
/// [`BadPayload::OutOfMemory`] where there is no memory at all.
pub fn insist<R>(
    landing: &mut dyn Landing,
    mut work: impl FnMut() -> Result<R, OutOfMemory>,
) -> Result<R, BadPayload> {
    let mut made = work();
    if made.is_err() {
        landing.beyond_limits(&mut || made = work());
    }
    made.map_err(|OutOfMemory| BadPayload::OutOfMemory)
}

/// See the head of the file.
pub trait Value {
    /// The block that the server points to.
    fn root(&self) -> &Root;

    /// The same, for heat, pin and what the type writes.
    fn root_mut(&mut self) -> &mut Root;

    /// All bytes that it takes from its nodes.
    fn memory(&self) -> usize;

    /// Bytes of the user, roughly: what a policy that looks at sizes is told.
    fn weight(&self) -> usize;

    /// How many blocks it has: what freeing it costs.
    fn blocks(&self) -> usize;

    /// The node that holds most of its bytes.
    fn node(&self) -> NodeId;

    /// Goes on moving blocks to exactly that node until about `budget` bytes were moved or all
    /// are there; to look at what need not move counts too. At least one block is looked at in a
    /// call, whatever its size. The root may move.
    ///
    /// # Errors
    /// [`OutOfMemory`] where the node has no room: the value is whole, and lies where it lay but
    /// for the blocks that were moved before.
    fn relocate(&mut self, to: NodeId, budget: usize) -> Result<Step, OutOfMemory>;

    /// Goes on from `from`, which is 0 or what the last slice answered, making those blocks anew,
    /// within their nodes, that lie in slabs which are to empty, and closing up what deletes left
    /// between its entries; about `budget` bytes a slice. The root may move. What a write in
    /// between shifts past the place is left for another time, and so is what has no memory.
    fn compact(&mut self, from: u64, budget: usize) -> Compacted;

    /// Shows each of its blocks, until `visit` answers false.
    fn visit_blocks(&self, visit: &mut dyn FnMut(&Block) -> bool);

    /// Shows about `most` of its many blocks, spread evenly over the value. What it costs follows
    /// `most`, not the value's size.
    fn spread_blocks(&self, most: usize, visit: &mut dyn FnMut(&Block));

    /// Shows each of its blocks, or about `most` of them where there are more.
    fn sample_blocks(&self, most: usize, visit: &mut dyn FnMut(&Block)) {
        if self.blocks() > most {
            return self.spread_blocks(most, visit);
        }
        self.visit_blocks(&mut |block| {
            visit(block);
            true
        });
    }

    /// Writes what [`Value::load`] reads; heat and pin are written by the caller (`codec`).
    fn save(&self, sink: &mut dyn Sink);

    /// A value without content.
    ///
    /// # Errors
    /// [`OutOfMemory`] where no node of `order` has room.
    fn empty(pool: PoolHandle, order: &[NodeId], heat: Heat) -> Result<Self, OutOfMemory>
    where
        Self: Sized;

    /// The value that lies behind a root.
    fn from_root(root: Root) -> Self
    where
        Self: Sized;

    /// The address of the root alone: what a server keeps. `raw::take` makes a value of it again.
    fn into_raw(self) -> NonNull<u8>
    where
        Self: Sized;

    /// The same content and heat under another key, without the pin: that belongs to the key that
    /// was named.
    ///
    /// # Errors
    /// [`OutOfMemory`] where no node of `order` has room.
    fn duplicate(&self, order: &[NodeId]) -> Result<Self, OutOfMemory>
    where
        Self: Sized;

    /// Reads what [`Value::save`] wrote; the value is born with `heat`.
    ///
    /// # Errors
    /// [`BadPayload`]; nothing stays behind.
    fn load<S: Source>(
        source: &mut S,
        heat: Heat,
        landing: &mut dyn Landing,
    ) -> Result<Self, BadPayload>
    where
        Self: Sized;

    /// How hot it is.
    fn heat(&self) -> Heat {
        self.root().heat()
    }

    /// Writes the heat in place.
    fn set_heat(&mut self, heat: Heat) {
        self.root_mut().set_heat(heat);
    }

    /// Counts one access in place.
    fn touch(&mut self, clock: &Clock, dice: u32) {
        let mut heat = self.heat();
        heat.touch(clock, dice);
        self.set_heat(heat);
    }

    /// Whether the user bound it to its node.
    fn pinned(&self) -> bool {
        self.root().pinned()
    }

    /// Binds it to its node, or lets it go, in place.
    fn set_pinned(&mut self, pinned: bool) {
        self.root_mut().set_pinned(pinned);
    }
}
