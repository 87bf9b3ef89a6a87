//! Many short entries in one run of bytes: a small value's whole content, or a leaf of a big list.
//!
//! ```text
//! 0     1    2       4      6      8                                               capacity
//! | tag | 0  | count | base | gap  | free | entry 0 | entry 1 | free ... | end 1 | end 0 | gap |
//!   u8    u8   u16     u16    u16    base                                  u16, from the back
//! ```
//!
//! An end is where its entry ends, counted from byte 8, so any entry is found in one step and an
//! entry costs two bytes beyond its own. The top bit of an end marks an entry that is kept
//! *outside*: what lies here is for the owner to understand. `tag` is the owner's too.
//!
//! There is room at both sides of the entries and of the ends, so that one that comes or goes at
//! either end moves no other. Where the room lies on the wrong side, all of them are slid over, and
//! left where the next ones will fit too. `gap` counts the ends that have room behind `end 0`.
//!
//! Invariants: base and ends do not decrease, and the last end lies before the ends. Rejected:
//! lengths in front of the entries, as in stock's ziplist, where the way to the middle leads
//! through half of all entries.

use super::field::{get_u16, put, put_u16, put_u64, put_u8, shift, slice, slice_mut};
use std::ops::Range;

/// Bytes before the first entry.
pub(super) const HEAD: usize = 8;
/// Bytes that an entry costs beyond its own.
pub(super) const END_LEN: usize = 2;
/// The longest run of bytes that can be a chunk.
pub(super) const CAPACITY_MAX: usize = OUTSIDE as usize - 1;

const COUNT: usize = 2;
const BASE: usize = 4;
const GAP: usize = 6;
const OUTSIDE: u16 = 1 << 15;

/// An entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry<'c> {
    pub(super) bytes: &'c [u8],
    pub(super) outside: bool,
}

/// Makes an empty chunk of these bytes.
pub(super) fn clear(chunk: &mut [u8], tag: u8) {
    put_u64(chunk, 0, 0);
    put_u8(chunk, 0, tag);
}

/// How many entries there are.
#[inline]
pub(super) fn len(chunk: &[u8]) -> usize {
    get_u16(chunk, COUNT).into()
}

/// Bytes that the entries take.
pub(super) fn used(chunk: &[u8]) -> usize {
    start(chunk, len(chunk)) - base(chunk)
}

fn base(chunk: &[u8]) -> usize {
    get_u16(chunk, BASE).into()
}

#[inline]
fn gap(chunk: &[u8]) -> usize {
    get_u16(chunk, GAP).into()
}

/// Bytes that a chunk of this content needs at least.
pub(super) fn need(chunk: &[u8]) -> usize {
    HEAD + used(chunk) + END_LEN * len(chunk)
}

/// Whether one more entry of that length fits.
pub(super) fn has_room(chunk: &[u8], len: usize) -> bool {
    len <= CAPACITY_MAX && need(chunk) + len + END_LEN <= chunk.len().min(CAPACITY_MAX)
}

#[inline]
fn end_at(chunk: &[u8], index: usize) -> usize {
    chunk
        .len()
        .saturating_sub(END_LEN * (gap(chunk) + index + 1))
}

fn end(chunk: &[u8], index: usize) -> u16 {
    get_u16(chunk, end_at(chunk, index))
}

/// Where entry `index` begins.
#[inline]
fn start(chunk: &[u8], index: usize) -> usize {
    match index.checked_sub(1) {
        Some(before) => (end(chunk, before) & !OUTSIDE).into(),
        None => base(chunk),
    }
}

/// Where the ends of `count` entries begin, counted as entries are.
fn limit(chunk: &[u8], count: usize) -> usize {
    let ends = gap(chunk) + count;
    chunk.len().saturating_sub(HEAD + END_LEN * ends)
}

fn range(chunk: &[u8], index: usize) -> Range<usize> {
    HEAD + start(chunk, index)..HEAD + start(chunk, index + 1)
}

/// The entry at `index`.
#[inline]
pub(super) fn get(chunk: &[u8], index: usize) -> Option<Entry<'_>> {
    if index >= len(chunk) {
        return None;
    }
    Some(Entry {
        bytes: slice(chunk, range(chunk, index)),
        outside: end(chunk, index) & OUTSIDE != 0,
    })
}

/// The bytes of the entry at `index`, for writing.
pub(super) fn get_mut(chunk: &mut [u8], index: usize) -> &mut [u8] {
    if index >= len(chunk) {
        return &mut [];
    }
    let range = range(chunk, index);
    slice_mut(chunk, range)
}

/// All entries, from `from` on.
pub(super) fn entries(chunk: &[u8], from: usize) -> impl DoubleEndedIterator<Item = Entry<'_>> {
    (from..len(chunk)).filter_map(|index| get(chunk, index))
}

/// Puts an entry of these parts before the one at `at`; it must fit.
pub(super) fn insert(chunk: &mut [u8], at: usize, parts: &[&[u8]], outside: bool) {
    let more: usize = parts.iter().map(|part| part.len()).sum();
    let count = len(chunk);
    debug_assert!(at <= count && has_room(chunk, more), "an entry fits");
    if at > count || !has_room(chunk, more) {
        return;
    }
    make_way(chunk, at, more);
    let before = at == 0 && base(chunk) >= more;
    let mut place = match before {
        true => base(chunk) - more,
        false => start(chunk, at),
    };
    if before {
        put_u16(chunk, BASE, place as u16);
    } else {
        let tail = HEAD + place..HEAD + start(chunk, count);
        shift(chunk, tail, HEAD + place + more);
        add_to_ends(chunk, at..count, more as u16);
    }
    if before && count > 0 {
        // The others' numbers grow by one, so their ends stay where they are.
        put_u16(chunk, GAP, (gap(chunk) - 1) as u16);
    } else {
        // The ends of what comes behind lie before its own: they grow from the back.
        let (first, last) = (end_at(chunk, count) + END_LEN, end_at(chunk, at) + END_LEN);
        shift(chunk, first..last, first - END_LEN);
    }
    let flag = if outside { OUTSIDE } else { 0 };
    put_u16(chunk, end_at(chunk, at), (place + more) as u16 | flag);
    put_u16(chunk, COUNT, count as u16 + 1);
    for part in parts {
        put(chunk, HEAD + place, part);
        place += part.len();
    }
}

/// Slides entries and ends over where there is no room on the side of `at` for `more` bytes and an
/// end.
fn make_way(chunk: &mut [u8], at: usize, more: usize) {
    let (count, base, used) = (len(chunk), base(chunk), used(chunk));
    if at == 0 && count > 0 {
        if base >= more && gap(chunk) > 0 {
            return;
        }
        // To the back, behind the room of as many like this one as still fit, and their ends.
        let free = chunk.len().saturating_sub(need(chunk));
        // First out of the way of the ends.
        slide(chunk, 0);
        set_gap(chunk, free / (more + END_LEN));
        slide(chunk, limit(chunk, count).saturating_sub(used));
    } else if base + used + more > limit(chunk, count + 1) {
        set_gap(chunk, 0);
        slide(chunk, 0);
    }
}

/// Moves all ends so that there is room for that many behind the first.
fn set_gap(chunk: &mut [u8], gap: usize) {
    let (first, last) = (limit(chunk, len(chunk)), limit(chunk, 0));
    let old = self::gap(chunk);
    let to = (HEAD + first + END_LEN * old).saturating_sub(END_LEN * gap);
    shift(chunk, HEAD + first..HEAD + last, to);
    put_u16(chunk, GAP, gap as u16);
}

/// Moves all entries so that the first begins at `to`.
fn slide(chunk: &mut [u8], to: usize) {
    let (count, base, used) = (len(chunk), base(chunk), used(chunk));
    shift(chunk, HEAD + base..HEAD + base + used, HEAD + to);
    let delta = to.wrapping_sub(base) as u16;
    add_to_ends(chunk, 0..count, delta);
    put_u16(chunk, BASE, to as u16);
}

/// Adds to the ends of a range of entries; their marks stay.
fn add_to_ends(chunk: &mut [u8], range: Range<usize>, delta: u16) {
    let (first, last) = (
        end_at(chunk, range.end) + END_LEN,
        end_at(chunk, range.start) + END_LEN,
    );
    for end in slice_mut(chunk, first..last.max(first)).chunks_exact_mut(END_LEN) {
        let old = get_u16(end, 0);
        let new = (old & !OUTSIDE).wrapping_add(delta) & !OUTSIDE;
        put_u16(end, 0, new | (old & OUTSIDE));
    }
}

/// Takes the entries of a range out.
pub(super) fn remove(chunk: &mut [u8], gone: Range<usize>) {
    let count = len(chunk);
    let gone = gone.start.min(count)..gone.end.min(count);
    if gone.is_empty() {
        return;
    }
    let (from, to, tail) = (
        start(chunk, gone.start),
        start(chunk, gone.end),
        start(chunk, count),
    );
    if gone.len() == count {
        put_u16(chunk, BASE, 0);
        put_u16(chunk, GAP, 0);
    } else if gone.start == 0 {
        put_u16(chunk, BASE, to as u16);
        put_u16(chunk, GAP, (gap(chunk) + gone.len()) as u16);
    } else {
        shift(chunk, HEAD + to..HEAD + tail, HEAD + from);
        add_to_ends(
            chunk,
            gone.end..count,
            (from as u16).wrapping_sub(to as u16),
        );
    }
    if gone.start > 0 {
        let (first, last) = (
            end_at(chunk, count) + END_LEN,
            end_at(chunk, gone.end) + END_LEN,
        );
        shift(chunk, first..last, first + END_LEN * gone.len());
    }
    put_u16(chunk, COUNT, (count - gone.len()) as u16);
}

/// Appends the entries of a range of one chunk to another, in which they must fit.
pub(super) fn append(to: &mut [u8], from: &[u8], range: Range<usize>) {
    let (first, last) = (start(from, range.start), start(from, range.end));
    let count = len(to);
    debug_assert!(
        need(to) + (last - first) + END_LEN * range.len() <= to.len(),
        "the entries fit"
    );
    if start(to, count) + (last - first) > limit(to, count + range.len()) {
        set_gap(to, 0);
        slide(to, 0);
    }
    let at = start(to, count);
    put(to, HEAD + at, slice(from, HEAD + first..HEAD + last));
    for (index, old) in range.clone().enumerate() {
        let old = end(from, old);
        let moved = (old & !OUTSIDE) as usize - first + at;
        let moved = moved as u16 | (old & OUTSIDE);
        put_u16(to, end_at(to, count + index), moved);
    }
    put_u16(to, COUNT, (count + range.len()) as u16);
}

/// How many of the first entries of one chunk another has room for.
pub(super) fn fitting(chunk: &[u8], other: &[u8]) -> usize {
    let room = chunk.len().min(CAPACITY_MAX).saturating_sub(need(chunk));
    let takes = |count: usize| start(other, count) - base(other) + END_LEN * count;
    let mut counts = (1..=len(other)).rev();
    counts.find(|count| takes(*count) <= room).unwrap_or(0)
}

/// The first entry of the second half, by bytes; at least 1 where there are two entries.
pub(super) fn middle(chunk: &[u8]) -> usize {
    let (count, half) = (len(chunk), base(chunk) + used(chunk) / 2);
    let mut all = 1..count;
    all.find(|index| start(chunk, *index) >= half)
        .unwrap_or(count / 2)
}

/// Verifies the invariants of the head of the file.
#[cfg(test)]
pub(super) fn check(chunk: &[u8]) -> Result<(), String> {
    let starts: Vec<usize> = (0..=len(chunk)).map(|index| start(chunk, index)).collect();
    if !starts.is_sorted() || starts.last() > Some(&limit(chunk, len(chunk))) {
        return Err(format!("ends {starts:?} in {} bytes", chunk.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(usize, Vec<u8>, bool),
        Remove(usize, usize),
        Split(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..20);
        prop_oneof![
            4 => (any::<usize>(), bytes, any::<bool>()).prop_map(|(at, b, o)| Op::Insert(at, b, o)),
            1 => (any::<usize>(), 0_usize..6).prop_map(|(at, n)| Op::Remove(at, n)),
            1 => any::<usize>().prop_map(Op::Split),
        ]
    }

    fn content(chunk: &[u8]) -> Vec<(Vec<u8>, bool)> {
        entries(chunk, 0)
            .map(|entry| (entry.bytes.to_vec(), entry.outside))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn entries_are_those_of_a_vec(ops in proptest::collection::vec(op(), 0..60)) {
            let mut chunk = vec![0xEE; 300];
            clear(&mut chunk, 9);
            let mut model: Vec<(Vec<u8>, bool)> = Vec::new();
            for op in ops {
                match op {
                    Op::Insert(at, bytes, outside) if has_room(&chunk, bytes.len()) => {
                        let at = at % (model.len() + 1);
                        let (a, b) = bytes.split_at(bytes.len() / 2);
                        insert(&mut chunk, at, &[a, b], outside);
                        model.insert(at, (bytes, outside));
                    }
                    Op::Insert(..) => prop_assert!(need(&chunk) + 22 > 300),
                    Op::Remove(at, n) => {
                        let at = at % (model.len() + 1);
                        let to = (at + n).min(model.len());
                        remove(&mut chunk, at..to);
                        model.drain(at..to);
                    }
                    Op::Split(at) => {
                        let at = at % (model.len() + 1);
                        // Room for what goes first, beside all of a full chunk.
                        let mut right = vec![0; 300 + 4 + END_LEN];
                        clear(&mut right, 0);
                        insert(&mut right, 0, &[b"gone"], false);
                        append(&mut right, &chunk, at..model.len());
                        remove(&mut right, 0..1);
                        remove(&mut chunk, at..model.len());
                        prop_assert_eq!(check(&right), Ok(()));
                        prop_assert_eq!(content(&right), &model[at..]);
                        append(&mut chunk, &right, 0..len(&right));
                    }
                }
                prop_assert_eq!(check(&chunk), Ok(()));
                prop_assert_eq!(content(&chunk), model.clone());
                prop_assert_eq!(chunk[0], 9);
                let middle = middle(&chunk);
                prop_assert!(model.len() < 2 || (1..model.len()).contains(&middle));
            }
        }
    }
}
