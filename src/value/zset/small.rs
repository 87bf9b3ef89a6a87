//! The small form: one chunk in the root, its entries in order.
//!
//! ```text
//! entry = score f64, member
//! ```
//!
//! A member is found by looking at all entries: there are [`ENTRIES_MAX`] at most, and no member
//! is longer than [`MEMBER_MAX`] bytes. A set that outgrows either becomes big, and stays so.

use super::super::chunk::{self, Entry};
use super::super::field::{get_u64, slice};
use super::order::Bound;

/// The most entries of a small set.
pub(super) const ENTRIES_MAX: usize = 128;
/// The longest member of a small set, in bytes.
pub(super) const MEMBER_MAX: usize = 64;

const SCORE_LEN: usize = 8;

/// Bytes of an entry.
pub(super) const fn entry_len(member: &[u8]) -> usize {
    SCORE_LEN + member.len()
}

/// Score and member of an entry.
pub(super) fn parts(entry: Entry<'_>) -> (f64, &[u8]) {
    let score = f64::from_bits(get_u64(entry.bytes, 0));
    (score, slice(entry.bytes, SCORE_LEN..entry.bytes.len()))
}

/// The elements from number `from` on, in order.
pub(super) fn elements(chunk: &[u8], from: usize) -> impl DoubleEndedIterator<Item = (f64, &[u8])> {
    chunk::entries(chunk, from).map(parts)
}

/// The number and the score of a member.
pub(super) fn find(chunk: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let mut all = elements(chunk, 0).enumerate();
    all.find(|(_, (_, found))| *found == member)
        .map(|(number, (score, _))| (number, score))
}

/// How many elements lie before a bound.
pub(super) fn rank(chunk: &[u8], bound: &Bound<'_>) -> usize {
    let before = |(score, member): &(f64, &[u8])| !bound.is_behind(*score, || member);
    elements(chunk, 0)
        .position(|element| before(&element))
        .unwrap_or_else(|| chunk::len(chunk))
}

/// Inserts an element that is not there; it must fit.
pub(super) fn insert(chunk: &mut [u8], score: f64, member: &[u8]) {
    let at = rank(chunk, &Bound::Before(score, member));
    let score = score.to_bits().to_le_bytes();
    chunk::insert(chunk, at, &[&score, member], false);
}

/// Gives the element at `number` another score.
pub(super) fn rescore(chunk: &mut [u8], number: usize, score: f64) {
    let Some(entry) = chunk::get(chunk, number) else {
        return;
    };
    let member = parts(entry).1.to_vec();
    chunk::remove(chunk, number..number + 1);
    insert(chunk, score, &member);
}

/// Verifies that the elements are in order; for tests.
#[cfg(test)]
pub(super) fn check(chunk: &[u8]) -> Result<(), String> {
    chunk::check(chunk)?;
    let all: Vec<_> = elements(chunk, 0).collect();
    let sorted =
        all.is_sorted_by(|a, b| super::order::compare(a.0, b.0).then(a.1.cmp(b.1)).is_lt());
    sorted.then_some(()).ok_or_else(|| format!("{all:?}"))
}
