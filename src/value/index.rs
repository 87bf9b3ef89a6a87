//! From a member to its element: an extendible hash table that grows a page at a time.
//!
//! ```text
//! directory    | page | page | page | ...      2^depth links, by the top bits of the hash
//! page         | count, depth | slot 1 | ... | slot 511 |     4 KiB; a slot is a link with a tag
//! ```
//!
//! A page serves every hash that begins with its own `depth` bits, so 2^(depth - page.depth)
//! places of the directory lead to it. A page over three quarters full is split by the next bit:
//! what one insert may cost is a page, whatever the size of the table; only the directory is ever
//! copied whole, 8 bytes for some 300 elements. Pages that would fit in three eighths of one are
//! merged again.
//!
//! Within a page probing is linear. A slot's tag is six bits of the hash, so a slot that does not
//! match is nearly always told without touching its element.
//!
//! Invariants: count = number of links in the page; between the home of an element and its slot no
//! slot is empty; the pages in the order of the directory are in the order of the hashes, so a walk
//! (`walk`) goes by hash, and splitting and merging between two steps neither hides an element nor
//! shows one for ever. Rejected: a table that doubles step by step, with two tables to look at for
//! as long as it takes, and twice the memory at once.

use super::big::Moved;
use super::blocks::{Link, Reader, Writer, TAGS};
use super::field::{get_u16, get_u8, put_u16, put_u8};
use super::goal::Goal;
use crate::pool::OutOfMemory;

/// Bytes of a page's block.
const PAGE: usize = 4096;
/// Slots of a page; slot 0 is its head.
const SLOTS: usize = PAGE / Link::LEN;
/// Links of a page at most.
const FILL_MAX: usize = (SLOTS - 1) * 3 / 4;
/// Two pages with so many links or fewer are merged.
const MERGED_MAX: usize = (SLOTS - 1) * 3 / 8;
/// Two pages with so many links or fewer are merged where a compaction meets them.
const CLOSED_UP_MAX: usize = (SLOTS - 1) * 5 / 8;
/// Bits of the hash that may choose a page; below them lie those for tag and home.
const DEPTH_MAX: u8 = 26;

/// What it costs to place a link anew, in bytes of one long copy: its element is hashed.
const BYTES_TO_HASH: usize = 128;
/// Bits of the hash that a cursor leaves out.
const CURSOR_BITS: u32 = 32;

const _: () = assert!(DEPTH_MAX as u32 + CURSOR_BITS <= u64::BITS);

const COUNT: usize = 0;
const DEPTH: usize = 2;

/// The hash of the member that lies in an element's block.
pub(super) type HashOf = fn(&[u8]) -> u64;

/// An index as its owner keeps it: 9 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Index {
    pub(super) directory: Link,
    pub(super) depth: u8,
}

/// Where a hash belongs within any page.
fn home(hash: u64) -> usize {
    1 + (((hash & 0xFFFF_FFFF) as usize * (SLOTS - 1)) >> 32)
}

fn tag(hash: u64) -> u64 {
    (hash >> 32) & (TAGS - 1)
}

const fn next(slot: usize) -> usize {
    if slot + 1 == SLOTS {
        1
    } else {
        slot + 1
    }
}

/// How far `slot` lies behind `home`.
const fn distance(home: usize, slot: usize) -> usize {
    if slot >= home {
        slot - home
    } else {
        slot + SLOTS - 1 - home
    }
}

fn slot(page: &[u8], slot: usize) -> Link {
    Link::get(page, slot * Link::LEN)
}

fn set_slot(page: &mut [u8], slot: usize, link: Link) {
    link.put(page, slot * Link::LEN);
}

fn count(page: &[u8]) -> usize {
    get_u16(page, COUNT).into()
}

fn set_count(page: &mut [u8], count: usize) {
    put_u16(page, COUNT, count as u16);
}

fn depth_of(page: &[u8]) -> u8 {
    get_u8(page, DEPTH)
}

fn clear(page: &mut [u8], depth: u8) {
    page.fill(0);
    put_u8(page, DEPTH, depth);
}

/// The links of a page.
fn links(page: &[u8]) -> impl Iterator<Item = Link> + '_ {
    let all = (1..SLOTS).map(|at| slot(page, at));
    all.filter(|link| !link.is_none())
}

/// Puts a link into a page that has room.
fn add(page: &mut [u8], hash: u64, link: Link) {
    let mut at = home(hash);
    while !slot(page, at).is_none() {
        at = next(at);
    }
    set_slot(page, at, link.tagged(tag(hash)));
    set_count(page, count(page) + 1);
}

/// The slot of a link.
fn slot_of(page: &[u8], hash: u64, link: Link) -> Option<usize> {
    let wanted = link.tagged(tag(hash));
    find(page, hash, |found| found == wanted)
}

fn find(page: &[u8], hash: u64, mut matches: impl FnMut(Link) -> bool) -> Option<usize> {
    let mut at = home(hash);
    loop {
        let found = slot(page, at);
        if found.is_none() {
            return None;
        }
        if matches(found) {
            return Some(at);
        }
        at = next(at);
    }
}

impl Index {
    /// An index of nothing.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(super) fn new(writer: &mut Writer<'_>) -> Result<Self, OutOfMemory> {
        let directory = writer.alloc(Link::LEN)?;
        let page = match writer.alloc(PAGE) {
            Ok(page) => page,
            Err(error) => {
                writer.free(directory);
                return Err(error);
            }
        };
        clear(writer.bytes_mut(page), 0);
        page.put(writer.bytes_mut(directory), 0);
        Ok(Self {
            directory,
            depth: 0,
        })
    }

    /// The place in the directory of a hash.
    fn place(self, hash: u64) -> usize {
        hash.checked_shr(u64::BITS - u32::from(self.depth))
            .unwrap_or(0) as usize
    }

    fn page_at(self, reader: Reader<'_>, place: usize) -> Link {
        Link::get(reader.bytes(self.directory), place * Link::LEN)
    }

    fn page(self, reader: Reader<'_>, hash: u64) -> Link {
        self.page_at(reader, self.place(hash))
    }

    /// The element with that hash that matches.
    #[inline]
    pub(super) fn find(
        self,
        reader: Reader<'_>,
        hash: u64,
        mut matches: impl FnMut(&[u8]) -> bool,
    ) -> Option<Link> {
        let page = reader.bytes(self.page(reader, hash));
        let tag = tag(hash);
        let same = |link: Link| link.tag() == tag && matches(reader.bytes(link));
        let at = find(page, hash, same)?;
        Some(slot(page, at).untagged())
    }

    /// Makes room for one element of that hash.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the elements are what they were.
    pub(super) fn reserve(
        &mut self,
        writer: &mut Writer<'_>,
        hash: u64,
        hash_of: HashOf,
    ) -> Result<(), OutOfMemory> {
        while count(writer.bytes(self.page(writer.reader(), hash))) >= FILL_MAX {
            self.split(writer, hash, hash_of)?;
        }
        Ok(())
    }

    /// Adds an element, for which there is room.
    pub(super) fn insert(self, writer: &mut Writer<'_>, hash: u64, link: Link) {
        let page = self.page(writer.reader(), hash);
        add(writer.bytes_mut(page), hash, link);
    }

    /// Leads to `new` where it led to `old`.
    pub(super) fn replace(self, writer: &mut Writer<'_>, hash: u64, old: Link, new: Link) {
        let page = self.page(writer.reader(), hash);
        let page = writer.bytes_mut(page);
        let at = slot_of(page, hash, old);
        debug_assert!(at.is_some(), "every element is in the index");
        if let Some(at) = at {
            set_slot(page, at, new.tagged(tag(hash)));
        }
    }

    /// Takes an element out; its block is still there.
    pub(super) fn remove(
        &mut self,
        writer: &mut Writer<'_>,
        hash: u64,
        link: Link,
        hash_of: HashOf,
    ) {
        let page = self.page(writer.reader(), hash);
        let Some(at) = slot_of(writer.bytes(page), hash, link) else {
            debug_assert!(false, "every element is in the index");
            return;
        };
        close_gap(writer, page, at, hash_of);
        let page = writer.bytes_mut(page);
        set_count(page, count(page).saturating_sub(1));
        if count(page) <= MERGED_MAX / 2 {
            self.merge(writer, hash, hash_of, MERGED_MAX);
        }
    }

    /// Splits the page of a hash in two.
    fn split(
        &mut self,
        writer: &mut Writer<'_>,
        hash: u64,
        hash_of: HashOf,
    ) -> Result<(), OutOfMemory> {
        let old = self.page(writer.reader(), hash);
        let depth = depth_of(writer.bytes(old));
        if depth == self.depth {
            self.double(writer)?;
        }
        let new = writer.alloc(PAGE)?;
        clear(writer.bytes_mut(new), depth + 1);
        let kept: Vec<Link> = links(writer.bytes(old)).collect();
        clear(writer.bytes_mut(old), depth + 1);
        for link in kept {
            let hash = hash_of(writer.bytes(link));
            let upper = hash >> (u64::BITS - u32::from(depth) - 1) & 1 == 1;
            let page = if upper { new } else { old };
            add(writer.bytes_mut(page), hash, link);
        }
        let (first, count) = self.places(hash, depth);
        self.lead(writer, first + count / 2, count / 2, new);
        Ok(())
    }

    /// The first of the places that lead to the page of a hash, and how many there are.
    fn places(self, hash: u64, page_depth: u8) -> (usize, usize) {
        let count = 1 << (self.depth - page_depth);
        (self.place(hash) & !(count - 1), count)
    }

    fn lead(self, writer: &mut Writer<'_>, first: usize, count: usize, page: Link) {
        let directory = writer.bytes_mut(self.directory);
        for place in first..first + count {
            page.put(directory, place * Link::LEN);
        }
    }

    /// Makes the directory twice as long.
    fn double(&mut self, writer: &mut Writer<'_>) -> Result<(), OutOfMemory> {
        if self.depth >= DEPTH_MAX {
            return Err(OutOfMemory);
        }
        let places = 1 << self.depth;
        let new = writer.alloc(2 * places * Link::LEN)?;
        let (to, from) = writer.pair_mut(new, self.directory);
        for place in 0..places {
            let page = Link::get(from, place * Link::LEN);
            page.put(to, 2 * place * Link::LEN);
            page.put(to, (2 * place + 1) * Link::LEN);
        }
        writer.free(self.directory);
        *self = Self {
            directory: new,
            depth: self.depth + 1,
        };
        Ok(())
    }

    /// Merges the page of a hash with the one that it was split from, if both together have no more
    /// than `most` links; how many had to be placed anew.
    fn merge(self, writer: &mut Writer<'_>, hash: u64, hash_of: HashOf, most: usize) -> usize {
        let page = self.page(writer.reader(), hash);
        let depth = depth_of(writer.bytes(page));
        let Some(parent) = depth.checked_sub(1) else {
            return 0;
        };
        let other = self.page(
            writer.reader(),
            hash ^ (1 << (u64::BITS - u32::from(depth))),
        );
        let (a, b) = (writer.bytes(page), writer.bytes(other));
        if depth_of(b) != depth || count(a) + count(b) > most {
            return 0;
        }
        let moved: Vec<Link> = links(b).collect();
        let placed = moved.len();
        for link in moved {
            let hash = hash_of(writer.bytes(link));
            add(writer.bytes_mut(page), hash, link);
        }
        put_u8(writer.bytes_mut(page), DEPTH, parent);
        let (first, count) = self.places(hash, parent);
        self.lead(writer, first, count, page);
        writer.free(other);
        placed
    }

    /// Merges the page of a hash with the one that it was split from, if one serves as well; what
    /// was copied for it.
    pub(super) fn close_up(self, writer: &mut Writer<'_>, hash: u64, hash_of: HashOf) -> Moved {
        match self.merge(writer, hash, hash_of, CLOSED_UP_MAX) {
            0 => Moved::default(),
            placed => Moved::block(placed * BYTES_TO_HASH),
        }
    }

    /// Shows the elements of the page at a cursor, and answers the cursor of the next page; 0
    /// behind the last one. Begun at 0 and followed to 0, it shows every element that is there all
    /// the while, some of them perhaps twice. A cursor is the upper half of a hash, so that every
    /// client can hold it, and more bits than ever choose a page.
    pub(super) fn walk<'v>(
        self,
        reader: Reader<'v>,
        cursor: u64,
        visit: &mut dyn FnMut(&'v [u8]),
    ) -> u64 {
        let from = cursor << CURSOR_BITS;
        let page = reader.bytes(self.page(reader, from));
        links(page).for_each(|link| visit(reader.bytes(link)));
        self.after(from, depth_of(page)) >> CURSOR_BITS
    }

    /// Where the hashes of the page behind the one of `from` begin.
    fn after(self, from: u64, depth: u8) -> u64 {
        match u64::BITS - u32::from(depth) {
            u64::BITS => 0,
            bits => ((from >> bits) + 1).checked_shl(bits).unwrap_or(0),
        }
    }

    /// Makes the page of hash `from` anew, and the directory with the first one, where the goal
    /// wants that; where the next page begins, and what was moved.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the index is whole, and what was moved is moved.
    pub(super) fn moved(
        &mut self,
        writer: &mut Writer<'_>,
        from: u64,
        goal: Goal,
    ) -> Result<(u64, Moved), OutOfMemory> {
        let mut moved = Moved::look(goal);
        if let Some(to) = writer.target(self.directory, goal) {
            self.directory = writer.moved(self.directory, to)?;
            moved.add(Moved::block(writer.reader().size(self.directory)));
        }
        let mut page = self.page(writer.reader(), from);
        let depth = depth_of(writer.bytes(page));
        if let Some(to) = writer.target(page, goal) {
            page = writer.moved(page, to)?;
            moved.add(Moved::block(writer.reader().size(page)));
            let (first, count) = self.places(from, depth);
            self.lead(writer, first, count, page);
        }
        Ok((self.after(from, depth), moved))
    }

    /// Shows every page, and the directory last, until `visit` answers false. What was shown is
    /// not looked at again: `visit` may give it back.
    pub(super) fn visit(self, reader: Reader<'_>, visit: &mut dyn FnMut(Link) -> bool) -> bool {
        let mut from = 0;
        loop {
            let page = self.page(reader, from);
            from = self.after(from, depth_of(reader.bytes(page)));
            if !visit(page) {
                return false;
            }
            if from == 0 {
                return visit(self.directory);
            }
        }
    }
}

/// Empties a slot, and moves up what would no longer be found behind it.
fn close_gap(writer: &mut Writer<'_>, page: Link, gap: usize, hash_of: HashOf) {
    let (mut gap, mut at) = (gap, next(gap));
    loop {
        let link = slot(writer.bytes(page), at);
        if link.is_none() {
            break;
        }
        let home = home(hash_of(writer.bytes(link.untagged())));
        if distance(home, at) >= distance(gap, at) {
            set_slot(writer.bytes_mut(page), gap, link);
            gap = at;
        }
        at = next(at);
    }
    set_slot(writer.bytes_mut(page), gap, Link::NONE);
}

/// Verifies the invariants of the head of the file; the number of elements.
#[cfg(test)]
pub(super) fn check(index: Index, reader: Reader<'_>, hash_of: HashOf) -> Result<u64, String> {
    let (mut from, mut elements) = (0, 0);
    loop {
        let link = index.page(reader, from);
        let page = reader.bytes(link);
        let (first, places) = index.places(from, depth_of(page));
        if (first..first + places).any(|place| index.page_at(reader, place) != link) {
            return Err(format!("a place of {first}+{places} leads to another page"));
        }
        if links(page).count() != count(page) || count(page) > FILL_MAX {
            return Err(format!("a page counts {} links", count(page)));
        }
        for link in links(page) {
            let hash = hash_of(reader.bytes(link));
            if index.page(reader, hash) != index.page_at(reader, first)
                || slot_of(page, hash, link).is_none()
            {
                return Err("an element is not where its hash says".into());
            }
        }
        elements += count(page) as u64;
        from = index.after(from, depth_of(page));
        if from == 0 {
            return Ok(elements);
        }
    }
}
