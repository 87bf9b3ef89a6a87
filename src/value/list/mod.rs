//! Lists in the pool: elements in the order in which they were put.
//!
//! ```text
//! small   root: | header 16 | chunk of elements |
//! big     root: | header 16 | big.rs | --> tree --> leaf of elements [--> block of a long one]
//! ```
//!
//! A list of up to [`SMALL_MAX`] bytes is one block. A bigger one finds, inserts and removes at any
//! index in a logarithmic number of steps, and grows and shrinks by a leaf at a time, at either end
//! by filling and emptying the last one. It stays big when it shrinks.
//!
//! Every change makes room first: a command that runs out of memory has changed nothing.
//!
//! Rejected: stock's chain of chunks, in which LINDEX and LINSERT walk from an end.

mod big;
#[cfg(test)]
mod tests;

use super::big as body;
use super::big::{Advance, Head, HeadMut};
use super::blocks::Writer;
use super::chunk;
use super::codec::{BadPayload, Sink, Source};
use super::contract::{insist, Landing};
use super::field::put;
use super::root::Root;
use super::sequence::{self, grown, Found, Sequence, Spread, Visit};
use crate::ids::NodeId;
use crate::pool::OutOfMemory;

/// The longest body of a small list, in bytes: its root fits the class of 4 KiB.
const SMALL_MAX: usize = 4096 - 16;

/// See the head of the file.
#[derive(Debug)]
pub struct NumaList {
    root: Root,
}

impl NumaList {
    fn is_big(&self) -> bool {
        body::is_big(&self.root)
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        if self.is_big() {
            Head::of(&self.root).0.len()
        } else {
            chunk::len(self.root.body()) as u64
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<&[u8]> {
        if self.is_big() {
            let (head, reader) = Head::of(&self.root);
            return big::get(head, reader, index);
        }
        let index = usize::try_from(index).ok()?;
        chunk::get(self.root.body(), index).map(|entry| entry.bytes)
    }

    /// Shows the elements from number `from` on, until `visit` answers false.
    pub fn each_from<'l>(&'l self, from: u64, mut visit: impl FnMut(&'l [u8]) -> bool) {
        if self.is_big() {
            let (head, reader) = Head::of(&self.root);
            return big::each(head, reader, from, false, &mut visit);
        }
        let mut all = chunk::entries(self.root.body(), from as usize);
        all.all(|entry| visit(entry.bytes));
    }

    /// The same backwards, from number `from` to the first.
    pub fn each_back_from<'l>(&'l self, from: u64, mut visit: impl FnMut(&'l [u8]) -> bool) {
        if self.is_big() {
            let (head, reader) = Head::of(&self.root);
            return big::each(head, reader, from, true, &mut visit);
        }
        let body = self.root.body();
        let numbers = 0..chunk::len(body).min((from as usize).saturating_add(1));
        let mut all = numbers.rev().filter_map(|number| chunk::get(body, number));
        all.all(|entry| visit(entry.bytes));
    }

    /// Inserts an element as number `index`, at most behind the last one.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the list is what it was.
    pub fn insert(
        &mut self,
        index: u64,
        bytes: &[u8],
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        let index = index.min(self.len());
        if !self.is_big() && self.make_room(bytes.len(), order)? {
            chunk::insert(self.root.body_mut(), index as usize, &[bytes], false);
            return Ok(());
        }
        if self.is_big() {
            let (mut head, mut writer) = HeadMut::of(&mut self.root, order);
            return big::insert(&mut head, &mut writer, index, bytes);
        }
        let mut bigger = sequence::as_big(self, order)?;
        bigger.insert(index, bytes, order)?;
        *self = bigger;
        Ok(())
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// As [`NumaList::insert`].
    pub fn push_back(&mut self, bytes: &[u8], order: &[NodeId]) -> Result<(), OutOfMemory> {
        self.insert(self.len(), bytes, order)
    }

    /// Writes over the element at `index`, which is there.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the list is what it was.
    pub fn set(&mut self, index: u64, bytes: &[u8], order: &[NodeId]) -> Result<(), OutOfMemory> {
        if self.is_big() {
            let (mut head, mut writer) = HeadMut::of(&mut self.root, order);
            return big::set(&mut head, &mut writer, index, bytes);
        }
        let at = index as usize;
        let old = chunk::get(self.root.body(), at).map(|entry| entry.bytes.len());
        if old == Some(bytes.len()) {
            put(chunk::get_mut(self.root.body_mut(), at), 0, bytes);
            return Ok(());
        }
        self.insert(index + 1, bytes, order)?;
        self.remove(index, index + 1);
        Ok(())
    }

    /// Takes the elements from number `from` up to, not including, `to` out.
    pub fn remove(&mut self, from: u64, to: u64) {
        if self.is_big() {
            let (mut head, mut writer) = HeadMut::of(&mut self.root, &[]);
            big::remove(&mut head, &mut writer, from, to);
        } else {
            let most = self.len();
            let (from, to) = (from.min(most), to.min(most));
            chunk::remove(self.root.body_mut(), from as usize..to as usize);
        }
    }

    /// Sees to it that one more element of that length fits a small list; false where the list
    /// must become big for it.
    fn make_room(&mut self, len: usize, order: &[NodeId]) -> Result<bool, OutOfMemory> {
        if chunk::has_room(self.root.body(), len) {
            return Ok(true);
        }
        let need = chunk::need(self.root.body()) + len + chunk::END_LEN;
        if len > SMALL_MAX || need > SMALL_MAX {
            return Ok(false);
        }
        let ample = (need + need / 2).min(SMALL_MAX);
        self.root = grown(&self.root, ample, order)
            .or_else(|OutOfMemory| grown(&self.root, need, order))?;
        Ok(true)
    }

    /// Verifies the invariants that these files state.
    #[cfg(test)]
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if !self.is_big() {
            return chunk::check(self.root.body());
        }
        sequence::check_account(self)?;
        let (head, writer) = HeadMut::of(&mut self.root, &[]);
        big::check(&head, &writer)
    }
}

impl Sequence for NumaList {
    const FOUND: Found = big::found;
    const ADVANCE: Advance = big::advance;
    const VISIT: Visit = big::visit;
    const SPREAD: Spread = big::spread;

    fn block(&self) -> &Root {
        &self.root
    }

    fn block_mut(&mut self) -> &mut Root {
        &mut self.root
    }

    fn of_block(root: Root) -> Self {
        Self { root }
    }

    fn entries(&self) -> u64 {
        self.len()
    }

    fn copy_entries(
        &self,
        head: &mut HeadMut<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<(), OutOfMemory> {
        let mut done = Ok(());
        self.each_from(0, |bytes| {
            let end = head.look().len();
            done = big::insert(head, writer, end, bytes);
            done.is_ok()
        });
        done
    }

    fn save_entries(&self, sink: &mut dyn Sink) {
        self.each_from(0, |bytes| {
            sink.bytes(bytes);
            true
        });
    }

    fn load_entry<S: Source>(
        &mut self,
        source: &mut S,
        order: &[NodeId],
        landing: &mut dyn Landing,
    ) -> Result<(), BadPayload> {
        let bytes = source.bytes()?;
        insist(landing, || self.push_back(bytes.as_ref(), order))
    }
}

impl Drop for NumaList {
    fn drop(&mut self) {
        sequence::release(self);
    }
}
