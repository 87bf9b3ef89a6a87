//! Sorted sets in the pool: each member once, in the order of score and member.
//!
//! ```text
//! small   root: | header 16 | chunk of (score, member) |
//! big     root: | header 16 | big.rs | --> tree --> leaf --> element <-- page <-- directory
//! ```
//!
//! A set of up to 128 short members is one block. A bigger one finds a member in one step and a
//! rank, or the element of a rank, in a logarithmic number of them, and grows by a page or a node
//! at a time. It stays big when it shrinks, as in stock.
//!
//! Every change makes room first: a command that runs out of memory has changed nothing.
//! Scores are never NaN: that is the callers' duty, who must say so to a client anyway.

mod big;
mod element;
mod order;
mod small;
#[cfg(test)]
mod tests;

use super::big as body;
use super::big::{Advance, Head, HeadMut};
use super::blocks::Writer;
use super::chunk;
use super::codec::{BadPayload, Sink, Source};
use super::contract::{insist, Landing};
use super::root::Root;
use super::sequence::{self, grown, Found, Sequence, Spread, Visit};
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
pub use order::Bound;

/// See the head of the file.
#[derive(Debug)]
pub struct NumaZset {
    root: Root,
}

/// What setting a score did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scored {
    /// The member is new.
    Added,
    /// The member had that other score.
    Changed(f64),
    /// The member had the score.
    Same,
}

impl NumaZset {
    fn is_big(&self) -> bool {
        body::is_big(&self.root)
    }

    /// How many members there are.
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

    /// The score of a member.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        if !self.is_big() {
            return small::find(self.root.body(), member).map(|(_, score)| score);
        }
        let (head, reader) = Head::of(&self.root);
        let link = big::find(head, reader, member)?;
        Some(element::score(reader.bytes(link)))
    }

    /// Number and score of a member, counted from the lowest.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<(u64, f64)> {
        let score = self.score(member)?;
        Some((self.before(&Bound::Before(score, member)), score))
    }

    /// How many elements lie before a bound.
    #[must_use]
    pub fn before(&self, bound: &Bound<'_>) -> u64 {
        if !self.is_big() {
            return small::rank(self.root.body(), bound) as u64;
        }
        let (head, reader) = Head::of(&self.root);
        big::rank(head, reader, bound)
    }

    /// Shows members and scores from number `from` on, in order, until `visit` answers false.
    pub fn each_from<'z>(&'z self, from: u64, mut visit: impl FnMut(&'z [u8], f64) -> bool) {
        if self.is_big() {
            let (head, reader) = Head::of(&self.root);
            return big::each(head, reader, from, false, &mut visit);
        }
        let mut all = small::elements(self.root.body(), from as usize);
        all.all(|(score, member)| visit(member, score));
    }

    /// The same backwards, from number `from` to the first.
    pub fn each_back_from<'z>(&'z self, from: u64, mut visit: impl FnMut(&'z [u8], f64) -> bool) {
        if self.is_big() {
            let (head, reader) = Head::of(&self.root);
            return big::each(head, reader, from, true, &mut visit);
        }
        let body = self.root.body();
        let numbers = 0..chunk::len(body).min(from as usize + 1);
        let all = numbers.rev().filter_map(|number| chunk::get(body, number));
        all.map(small::parts)
            .all(|(score, member)| visit(member, score));
    }

    /// Member and score of number `rank`.
    #[must_use]
    pub fn at(&self, rank: u64) -> Option<(&[u8], f64)> {
        let mut found = None;
        self.each_from(rank, |member, score| {
            found = Some((member, score));
            false
        });
        found
    }

    /// One step of a walk over all members: shows some of them, and answers where to go on; 0 at
    /// the end. Begun at 0 it shows every member that is there all the while, some perhaps twice.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        if !self.is_big() {
            self.each_from(0, |member, score| {
                visit(member, score);
                true
            });
            return 0;
        }
        let (head, reader) = Head::of(&self.root);
        head.index().walk(reader, cursor, &mut |found| {
            visit(element::member(found), element::score(found));
        })
    }

    /// Gives a member a score.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the set is what it was.
    pub fn set(
        &mut self,
        member: &[u8],
        score: f64,
        order: &[NodeId],
    ) -> Result<Scored, OutOfMemory> {
        if self.is_big() {
            return self.set_big(member, score, order);
        }
        match small::find(self.root.body(), member) {
            Some((_, old)) if old == score => Ok(Scored::Same),
            Some((number, old)) => {
                small::rescore(self.root.body_mut(), number, score);
                Ok(Scored::Changed(old))
            }
            None => self.add_small(member, score, order),
        }
    }

    fn add_small(
        &mut self,
        member: &[u8],
        score: f64,
        order: &[NodeId],
    ) -> Result<Scored, OutOfMemory> {
        let full = chunk::len(self.root.body()) >= small::ENTRIES_MAX;
        if full || member.len() > small::MEMBER_MAX {
            let mut bigger = sequence::as_big(self, order)?;
            let done = bigger.set_big(member, score, order)?;
            *self = bigger;
            return Ok(done);
        }
        let len = small::entry_len(member);
        if !chunk::has_room(self.root.body(), len) {
            let need = chunk::need(self.root.body()) + len + chunk::END_LEN;
            self.root = grown(&self.root, need + need / 8, order)
                .or_else(|OutOfMemory| grown(&self.root, need, order))?;
        }
        small::insert(self.root.body_mut(), score, member);
        Ok(Scored::Added)
    }

    fn set_big(
        &mut self,
        member: &[u8],
        score: f64,
        order: &[NodeId],
    ) -> Result<Scored, OutOfMemory> {
        let (mut head, mut writer) = HeadMut::of(&mut self.root, order);
        let Some(link) = big::find(head.look(), writer.reader(), member) else {
            big::add(&mut head, &mut writer, score, member)?;
            return Ok(Scored::Added);
        };
        let old = element::score(writer.bytes(link));
        if old == score {
            return Ok(Scored::Same);
        }
        big::rescore(&mut head, &mut writer, link, score)?;
        Ok(Scored::Changed(old))
    }

    /// Takes a member out; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let (rank, score) = self.rank(member)?;
        self.remove_ranks(rank, rank + 1);
        Some(score)
    }

    /// Takes the elements from number `from` up to, not including, `to` out.
    pub fn remove_ranks(&mut self, from: u64, to: u64) {
        if self.is_big() {
            let (mut head, mut writer) = HeadMut::of(&mut self.root, &[]);
            big::remove(&mut head, &mut writer, from, to);
        } else {
            chunk::remove(self.root.body_mut(), from as usize..to as usize);
        }
    }

    /// Verifies the invariants that these files state.
    #[cfg(test)]
    pub(crate) fn check(&mut self) -> Result<(), String> {
        if !self.is_big() {
            return small::check(self.root.body());
        }
        sequence::check_account(self)?;
        let (head, writer) = HeadMut::of(&mut self.root, &[]);
        big::check(&head, &writer)
    }
}

impl Sequence for NumaZset {
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
        self.each_from(0, |member, score| {
            done = big::add(head, writer, score, member);
            done.is_ok()
        });
        done
    }

    /// Each member and the bits of its score, lowest first.
    fn save_entries(&self, sink: &mut dyn Sink) {
        self.each_from(0, |member, score| {
            sink.bytes(member);
            sink.unsigned(score.to_bits());
            true
        });
    }

    fn load_entry<S: Source>(
        &mut self,
        source: &mut S,
        order: &[NodeId],
        landing: &mut dyn Landing,
    ) -> Result<(), BadPayload> {
        let member = source.bytes()?;
        let score = f64::from_bits(source.unsigned()?);
        if score.is_nan() {
            return Err(BadPayload::OutOfBounds("score"));
        }
        match insist(landing, || self.set(member.as_ref(), score, order))? {
            Scored::Added => Ok(()),
            Scored::Changed(_) | Scored::Same => Err(BadPayload::OutOfBounds("member")),
        }
    }
}

impl Drop for NumaZset {
    fn drop(&mut self) {
        sequence::release(self);
    }
}
