//! What lists and sorted sets have in common: a chunk while small, the head of a tree when big.
//!
//! The contract of a value is kept here, once for both; a type adds what its entries are. Both
//! forms stand in the one block that the server points to, and its first byte tells which it is.
//!
//! Rejected: one generic type for both. What a list and a sorted set do with their entries has
//! nothing in common but where these lie.

use super::big::{self, Advance, Head, HeadMut, SMALL};
use super::blocks::{self, Link, Reader, Writer};
use super::chunk;
use super::codec::{BadPayload, Sink, Source};
use super::contract::{insist, Compacted, Landing, Step, Value};
use super::root::Root;
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::ptr::NonNull;

/// Bytes of the body of a new value.
const BODY_MIN: usize = 48;

/// Shows every block of a big value but the root, until `show` answers false.
pub(super) type Visit = fn(Head<'_>, Reader<'_>, show: &mut dyn FnMut(Link) -> bool) -> bool;
/// Shows about `most` blocks of a big value, evenly spread.
pub(super) type Spread = fn(Head<'_>, Reader<'_>, most: usize, show: &mut dyn FnMut(Link));
/// Makes the trees of a big value that has none.
pub(super) type Found = fn(&mut HeadMut<'_>, &mut Writer<'_>) -> Result<(), OutOfMemory>;

/// A list or a sorted set.
pub(super) trait Sequence: Sized {
    /// What the big form is made of: see the types.
    const FOUND: Found;
    const ADVANCE: Advance;
    const VISIT: Visit;
    const SPREAD: Spread;

    /// The block that the server points to.
    fn block(&self) -> &Root;

    /// The same, to change.
    fn block_mut(&mut self) -> &mut Root;

    /// The value behind that block.
    fn of_block(block: Root) -> Self;

    /// How many entries there are.
    fn entries(&self) -> u64;

    /// Adds every entry to a big value that has none yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: some of them were added.
    fn copy_entries(
        &self,
        head: &mut HeadMut<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(), OutOfMemory>;

    /// Writes each entry, in order.
    fn save_entries(&self, sink: &mut dyn Sink);

    /// Reads what comes next of them, and adds it at the end.
    ///
    /// # Errors
    /// [`BadPayload`]: the value is to be dropped.
    fn load_entry<S: Source>(
        &mut self,
        source: &mut S,
        order: &[NodeId],
        landing: &mut dyn Landing,
    ) -> Result<(), BadPayload>;
}

/// A small root with room for `need` bytes of body and the content of another.
///
/// # Errors
/// [`OutOfMemory`]: the other is as it was.
pub(super) fn grown(root: &Root, need: usize, order: &[NodeId]) -> Result<Root, OutOfMemory> {
    let mut other = root.successor(order, need)?;
    let from = root.body();
    chunk::clear(other.body_mut(), SMALL);
    chunk::append(other.body_mut(), from, 0..chunk::len(from));
    Ok(other)
}

/// The same root in a block as large as it need be.
fn again(root: &Root, order: &[NodeId]) -> Result<Root, OutOfMemory> {
    grown(root, chunk::need(root.body()), order)
}

/// The same value in the big form.
///
/// # Errors
/// [`OutOfMemory`]: nothing was made.
pub(super) fn as_big<V: Sequence>(value: &V, order: &[NodeId]) -> Result<V, OutOfMemory> {
    let mut root = big::new_root(value.block().pool(), order, value.heat())?;
    root.set_pinned(value.pinned());
    // Whatever fails from here on, its blocks go with it.
    let mut made = V::of_block(root);
    let (mut head, mut writer) = HeadMut::of(made.block_mut(), order);
    (V::FOUND)(&mut head, &mut writer)?;
    value.copy_entries(&mut head, &mut writer)?;
    Ok(made)
}

/// Gives every block of a value that goes back; the root goes by itself.
pub(super) fn release<V: Sequence>(value: &V) {
    let root = value.block();
    if big::is_big(root) {
        let (pool, (head, reader)) = (root.pool(), Head::of(root));
        (V::VISIT)(head, reader, &mut |link| {
            blocks::release(pool, link);
            true
        });
    }
}

/// Verifies that the account of a big value is what its blocks are.
#[cfg(test)]
pub(super) fn check_account<V: Sequence>(value: &V) -> Result<(), String> {
    let (mut memory, mut count) = (0, 0);
    value.visit_blocks(&mut |block| {
        (memory, count) = (memory + block.size(), count + 1);
        true
    });
    if (memory, count) == (value.memory(), value.blocks()) {
        return Ok(());
    }
    Err(format!(
        "{memory} bytes in {count} blocks, by the account not"
    ))
}

impl<V: Sequence> Value for V {
    fn root(&self) -> &Root {
        self.block()
    }

    fn root_mut(&mut self) -> &mut Root {
        self.block_mut()
    }

    fn memory(&self) -> usize {
        let root = self.block();
        big::account_of(root).map_or(root.size(), blocks::memory)
    }

    fn weight(&self) -> usize {
        self.memory()
    }

    fn blocks(&self) -> usize {
        big::account_of(self.block()).map_or(1, blocks::blocks)
    }

    fn node(&self) -> NodeId {
        let node = self.block().node();
        big::account_of(self.block()).map_or(node, |account| blocks::fullest(account, node))
    }

    fn relocate(&mut self, to: NodeId, budget: usize) -> Result<Step, OutOfMemory> {
        let root = self.block_mut();
        if big::is_big(root) {
            return big::relocate(root, to, budget, V::ADVANCE);
        }
        if root.node() != to {
            *root = again(root, &[to])?;
        }
        let bytes = root.size();
        Ok(Step { bytes, done: true })
    }

    fn compact(&mut self, from: u64, budget: usize) -> Compacted {
        let root = self.block_mut();
        if big::is_big(root) {
            return big::compact(root, from, budget, V::ADVANCE);
        }
        let mut bytes = 0;
        if root.is_leaving() {
            if let Ok(anew) = again(root, &[root.node()]) {
                *root = anew;
                bytes = root.size();
            }
        }
        Compacted::whole(bytes)
    }

    fn visit_blocks(&self, visit: &mut dyn FnMut(&Block) -> bool) {
        let root = self.block();
        let goes_on = root.block().is_none_or(&mut *visit);
        if goes_on && big::is_big(root) {
            let (head, reader) = Head::of(root);
            (V::VISIT)(head, reader, &mut |link| reader.show(link, visit));
        }
    }

    fn spread_blocks(&self, most: usize, visit: &mut dyn FnMut(&Block)) {
        let root = self.block();
        root.block().into_iter().for_each(&mut *visit);
        if big::is_big(root) {
            let (head, reader) = Head::of(root);
            (V::SPREAD)(head, reader, most, &mut |link| {
                reader.show(link, &mut |block| {
                    visit(block);
                    true
                });
            });
        }
    }

    /// How many entries there are, then each.
    fn save(&self, sink: &mut dyn Sink) {
        sink.unsigned(self.entries());
        self.save_entries(sink);
    }

    fn empty(pool: PoolHandle, order: &[NodeId], heat: Heat) -> Result<Self, OutOfMemory> {
        let mut root = Root::new(pool, order, BODY_MIN, heat)?;
        chunk::clear(root.body_mut(), SMALL);
        Ok(V::of_block(root))
    }

    fn from_root(root: Root) -> Self {
        V::of_block(root)
    }

    fn into_raw(mut self) -> NonNull<u8> {
        self.block_mut().take().into_raw()
    }

    fn duplicate(&self, order: &[NodeId]) -> Result<Self, OutOfMemory> {
        let mut made = match big::is_big(self.block()) {
            true => as_big(self, order)?,
            false => V::of_block(again(self.block(), order)?),
        };
        made.set_pinned(false);
        Ok(made)
    }

    fn load<S: Source>(
        source: &mut S,
        heat: Heat,
        landing: &mut dyn Landing,
    ) -> Result<Self, BadPayload> {
        let len = source.unsigned()?;
        if len == 0 {
            return Err(BadPayload::OutOfBounds("length"));
        }
        let order = landing.order(usize::try_from(len).unwrap_or(usize::MAX));
        let pool = landing.pool();
        let mut made = insist(landing, || V::empty(pool, &order, heat))?;
        for _ in 0..len {
            made.load_entry(source, &order, landing)?;
        }
        Ok(made)
    }
}
