//! A segment: some hundred entries packed into one piece of bytes.
//!
//! ```text
//! | count | cap | used | dead |  tags (cap x 1) |  offsets (cap x 2) | heap: entries, used bytes |
//!    u16    u16   u16    u16
//!
//! entry = key text [value text]
//! text  = length (1 byte, 0..=64) bytes            or            255 link (8 bytes)
//! ```
//!
//! The index is dense: entry `i` has tag `i` and offset `i`, and a removal puts the last one in the
//! gap. So a lookup is one pass of `memchr` over the tags, a random entry is a random number, and
//! no room is kept empty for probing. A tag is eight bits of the hash: about one entry in 256
//! is compared in vain. What is removed stays in the heap as dead bytes until the segment is made
//! anew.
//!
//! Nothing here knows blocks or nodes; a text that lies outside is eight bytes to copy. Rejected:
//! a hash table of pointers to entries (`hashbrown`): at 16-byte keys and values the pointers, the
//! control bytes, the empty slots and the rounding of each small block are as much as the data.

use super::text::{Cell, Encoded};
use crate::value::link::LINK_LEN;

/// Bytes in front of the tags.
const HEAD: usize = 8;
/// Bytes of the index for one entry.
const INDEXED: usize = 3;
/// Most bytes of a heap: offsets have 16 bits.
pub(super) const HEAP_MAX: usize = u16::MAX as usize;

/// What some entries take: how many they are, and their bytes in the heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Need {
    pub(super) count: usize,
    pub(super) heap: usize,
}

impl Need {
    /// One entry of that many bytes.
    pub(super) const fn one(heap: usize) -> Self {
        Self { count: 1, heap }
    }

    /// Both together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            heap: self.heap + other.heap,
        }
    }

    /// An eighth of it: the room that growth leaves.
    pub(super) const fn eighth(self) -> Self {
        Self {
            count: self.count / 8,
            heap: self.heap / 8,
        }
    }

    /// The size of a segment for it.
    pub(super) const fn size(self) -> usize {
        HEAD + INDEXED * self.count + self.heap
    }
}

/// An entry as it lies there.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) key: Cell<'a>,
    /// The empty text where the table has no values.
    pub(super) value: Cell<'a>,
    raw: &'a [u8],
}

/// A segment to look at.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a, const VALUES: bool>(&'a [u8]);

impl<'a, const VALUES: bool> Segment<'a, VALUES> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn field(&self, at: usize) -> usize {
        let bytes = self.0.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes).into())
    }

    /// How many entries there are.
    pub(super) fn count(&self) -> usize {
        self.field(0)
    }

    fn cap(&self) -> usize {
        self.field(2)
    }

    fn used(&self) -> usize {
        self.field(4)
    }

    fn dead(&self) -> usize {
        self.field(6)
    }

    /// Bytes of the entries that are there.
    pub(super) fn live(&self) -> usize {
        self.used().saturating_sub(self.dead())
    }

    /// Whether so much is dead that a smaller segment would do.
    pub(super) fn is_wasteful(&self) -> bool {
        self.dead() > 128 && self.dead() * 4 > self.used()
    }

    /// Whether so much is dead that it is worth a copy when one looks for what deletes left.
    pub(super) fn is_slack(&self) -> bool {
        self.dead() * 16 > self.used()
    }

    fn tags(&self) -> &'a [u8] {
        self.0.get(HEAD..HEAD + self.count()).unwrap_or(&[])
    }

    /// The tag of entry `index`.
    pub(super) fn tag(&self, index: usize) -> u8 {
        self.tags().get(index).copied().unwrap_or(0)
    }

    /// Entry `index`.
    pub(super) fn entry(&self, index: usize) -> Option<Entry<'a>> {
        if index >= self.count() {
            return None;
        }
        let base = HEAD + INDEXED * self.cap();
        let offset = self.field(HEAD + self.cap() + 2 * index);
        let bytes = self.0.get(base + offset..)?;
        let (key, rest) = Cell::parse(bytes)?;
        let (value, rest) = if VALUES {
            Cell::parse(rest)?
        } else {
            (Cell::EMPTY, rest)
        };
        let raw = bytes.get(..bytes.len() - rest.len())?;
        Some(Entry { key, value, raw })
    }

    /// All entries.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry<'a>> {
        (0..self.count()).filter_map(move |index| self.entry(index))
    }

    /// The entry of that key.
    pub(super) fn find(&self, tag: u8, key: &[u8]) -> Option<(usize, Entry<'a>)> {
        memchr::memchr_iter(tag, self.tags()).find_map(|index| {
            let entry = self.entry(index)?;
            entry.key.is(key).then_some((index, entry))
        })
    }

    /// Writes those of the entries that `keep` keeps into fresh bytes, tight and in their order,
    /// with room for `more`.
    pub(super) fn copy_into<'t>(
        self,
        to: &'t mut [u8],
        more: Need,
        keep: impl Fn(usize) -> bool,
    ) -> SegmentMut<'t, VALUES> {
        let need = self.need_of(&keep).and(more);
        let mut other = SegmentMut::empty(to, need);
        other.append(self, keep);
        other
    }

    /// What the entries that `keep` keeps take.
    pub(super) fn need_of(&self, keep: impl Fn(usize) -> bool) -> Need {
        let kept = (0..self.count()).filter(|index| keep(*index));
        kept.filter_map(|index| self.entry(index))
            .fold(Need::default(), |sum, entry| {
                sum.and(Need::one(entry.raw.len()))
            })
    }
}

/// A segment to change.
pub(super) struct SegmentMut<'a, const VALUES: bool>(&'a mut [u8]);

impl<'a, const VALUES: bool> SegmentMut<'a, VALUES> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// An empty segment in fresh bytes that have room for `need`: what they have to spare is shared
    /// between index and heap in the proportion of the need.
    pub(super) fn empty(bytes: &'a mut [u8], need: Need) -> Self {
        let Need { count, heap } = need;
        let room = bytes.len().saturating_sub(HEAD);
        let each = INDEXED + heap.checked_div(count).unwrap_or(0).max(2);
        let fitting = room / each;
        // The heap must not shrink below what it is known to need.
        let most = room.saturating_sub(heap) / INDEXED;
        let cap = fitting.min(most).clamp(count, usize::from(u16::MAX));
        let mut made = Self(bytes);
        made.set(0, 0);
        made.set(2, cap);
        made.set(4, 0);
        made.set(6, 0);
        made
    }

    /// Adds those entries of another segment that `keep` keeps, as far as they fit.
    pub(super) fn append(&mut self, from: Segment<'_, VALUES>, keep: impl Fn(usize) -> bool) {
        for index in (0..from.count()).filter(|index| keep(*index)) {
            if let Some(entry) = from.entry(index) {
                self.push_raw(from.tag(index), &[entry.raw]);
            }
        }
    }

    pub(super) fn look(&self) -> Segment<'_, VALUES> {
        Segment(self.0)
    }

    fn set(&mut self, at: usize, number: usize) {
        let bytes = self
            .0
            .get_mut(at..)
            .and_then(|bytes| bytes.first_chunk_mut());
        if let Some(bytes) = bytes {
            *bytes = (number as u16).to_le_bytes();
        }
    }

    /// Adds an entry; false where it does not fit, and nothing has changed.
    pub(super) fn push(&mut self, tag: u8, key: &Encoded<'_>, value: &Encoded<'_>) -> bool {
        let (head, body) = key.parts();
        if VALUES {
            let (value_head, value_body) = value.parts();
            self.push_raw(tag, &[head, body, value_head, value_body])
        } else {
            self.push_raw(tag, &[head, body])
        }
    }

    fn push_raw(&mut self, tag: u8, parts: &[&[u8]]) -> bool {
        let seen = self.look();
        let (count, cap, used) = (seen.count(), seen.cap(), seen.used());
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let base = HEAD + INDEXED * cap;
        if count >= cap || used + len > HEAP_MAX || base + used + len > self.0.len() {
            return false;
        }
        let mut at = base + used;
        for part in parts {
            put(self.0, at, part);
            at += part.len();
        }
        put(self.0, HEAD + count, &[tag]);
        self.set(HEAD + cap + 2 * count, used);
        self.set(0, count + 1);
        self.set(4, used + len);
        true
    }

    /// Takes entry `index` away; the last one has its number from now on.
    pub(super) fn remove(&mut self, index: usize) {
        let seen = self.look();
        let Some(len) = seen.entry(index).map(|entry| entry.raw.len()) else {
            return;
        };
        let (last, cap) = (seen.count() - 1, seen.cap());
        let (tag, offset) = (seen.tag(last), seen.field(HEAD + cap + 2 * last));
        let dead = seen.dead() + len;
        put(self.0, HEAD + index, &[tag]);
        self.set(HEAD + cap + 2 * index, offset);
        self.set(0, last);
        self.set(6, dead);
    }

    /// Writes another link over that of an outside text: of the key, or of the value.
    pub(super) fn relink(&mut self, index: usize, of_value: bool, link: [u8; LINK_LEN]) {
        let seen = self.look();
        let Some(entry) = seen.entry(index) else {
            return;
        };
        let base = HEAD + INDEXED * seen.cap();
        let start = base + seen.field(HEAD + seen.cap() + 2 * index);
        let ahead = if of_value { entry.key.encoded_len() } else { 0 };
        put(self.0, start + ahead + 1, &link);
    }

    /// Writes another value over that of entry `index`; false where it has not the same length,
    /// and nothing has changed.
    pub(super) fn overwrite(&mut self, index: usize, value: &Encoded<'_>) -> bool {
        let seen = self.look();
        let Some(entry) = seen.entry(index) else {
            return false;
        };
        let (head, body) = value.parts();
        let len = head.len() + body.len();
        let base = HEAD + INDEXED * seen.cap();
        let start = base + seen.field(HEAD + seen.cap() + 2 * index);
        let (key_len, value_len) = (entry.key.encoded_len(), entry.value.encoded_len());
        if value_len != len {
            return false;
        }
        put(self.0, start + key_len, head);
        put(self.0, start + key_len + head.len(), body);
        true
    }
}

/// Copies `part` to where it belongs; nothing where it does not fit.
fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}
