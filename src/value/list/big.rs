//! The big form: a counted tree whose leaves are chunks of entries.
//!
//! ```text
//! entry, inside     the bytes of the element
//! entry, outside    | link | len u64 |  -->  a block with the bytes       from INLINE_MAX on
//! ```
//!
//! An element that is kept outside never moves when its leaf is split or merged, and an entry is
//! never longer than a fifth of a leaf, so a leaf that is halved has room for one more.
//!
//! Invariants: len = items of the tree; every outside entry owns its block. A change makes its
//! block, then its place in the tree; what fails has changed no element.

use super::super::big::{Cursor, Head, HeadMut, Moved};
use super::super::blocks::{Link, Reader, Writer};
use super::super::chunk::{self, Entry};
use super::super::field::{get_u64, put, put_u64, slice};
use super::super::goal::Goal;
use super::super::tree::{First, Leaf, Tree};
use crate::pool::OutOfMemory;
use std::ops::Range;

/// The longest element that lies in a leaf, in bytes.
const INLINE_MAX: usize = 768;
const OUTSIDE_LEN: usize = Link::LEN + 8;

const _: () = assert!(INLINE_MAX * 5 < Chunks::SIZE && OUTSIDE_LEN <= INLINE_MAX);

/// A leaf of entries.
pub(super) struct Chunks;

impl Leaf for Chunks {
    const SIZE: usize = 4096;
    type Item<'i> = Entry<'i>;

    fn clear(leaf: &mut [u8]) {
        chunk::clear(leaf, 0);
    }

    fn len(leaf: &[u8]) -> usize {
        chunk::len(leaf)
    }

    fn has_room(leaf: &[u8], item: Entry<'_>) -> bool {
        chunk::has_room(leaf, item.bytes.len())
    }

    fn insert(leaf: &mut [u8], at: usize, item: Entry<'_>) {
        chunk::insert(leaf, at, &[item.bytes], item.outside);
    }

    fn remove(leaf: &mut [u8], range: Range<usize>) {
        chunk::remove(leaf, range);
    }

    fn middle(leaf: &[u8]) -> usize {
        chunk::middle(leaf)
    }

    fn append(to: &mut [u8], from: &[u8], range: Range<usize>) {
        chunk::append(to, from, range);
    }

    fn fitting(leaf: &[u8], other: &[u8]) -> usize {
        chunk::fitting(leaf, other)
    }

    fn eighths(leaf: &[u8]) -> usize {
        (chunk::need(leaf) * 8).div_ceil(leaf.len().max(1))
    }

    fn first(_reader: Reader<'_>, _leaf: &[u8]) -> First {
        First::default()
    }
}

/// Gives an empty root its tree.
///
/// # Errors
/// [`OutOfMemory`]: nothing was made.
pub(super) fn found(head: &mut HeadMut<'_>, writer: &mut Writer<'_>) -> Result<(), OutOfMemory> {
    head.set_tree(Tree::new::<Chunks>(writer)?);
    Ok(())
}

/// The block of an entry that is kept outside.
fn outside(entry: Entry<'_>) -> Option<Link> {
    entry.outside.then(|| Link::get(entry.bytes, 0))
}

/// The element of an entry.
fn element<'v>(reader: Reader<'v>, entry: Entry<'v>) -> &'v [u8] {
    match outside(entry) {
        Some(link) => {
            let len = get_u64(entry.bytes, Link::LEN) as usize;
            slice(reader.bytes(link), 0..len)
        }
        None => entry.bytes,
    }
}

/// The element at `index`.
pub(super) fn get<'v>(head: Head<'v>, reader: Reader<'v>, index: u64) -> Option<&'v [u8]> {
    if index >= head.len() {
        return None;
    }
    let place = head.tree().place(reader, index, head.len());
    let entry = chunk::get(reader.bytes(place.leaf), place.at)?;
    Some(element(reader, entry))
}

/// Inserts an element as number `index`.
pub(super) fn insert(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    index: u64,
    bytes: &[u8],
) -> Result<(), OutOfMemory> {
    if bytes.len() <= INLINE_MAX {
        let outside = false;
        return insert_entry(head, writer, index, Entry { bytes, outside });
    }
    let link = writer.alloc(bytes.len())?;
    put(writer.bytes_mut(link), 0, bytes);
    let mut entry = [0; OUTSIDE_LEN];
    link.put(&mut entry, 0);
    put_u64(&mut entry, Link::LEN, bytes.len() as u64);
    let (bytes, outside) = (&entry[..], true);
    let inserted = insert_entry(head, writer, index, Entry { bytes, outside });
    if inserted.is_err() {
        writer.free(link);
    }
    inserted
}

fn insert_entry(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    index: u64,
    entry: Entry<'_>,
) -> Result<(), OutOfMemory> {
    let mut tree = head.look().tree();
    let inserted = tree.insert::<Chunks>(writer, (index, head.look().len()), entry);
    head.set_tree(tree);
    inserted?;
    head.inserted(index);
    Ok(())
}

/// Writes over the element at `index`; in place where it is as long as the new one.
pub(super) fn set(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    index: u64,
    bytes: &[u8],
) -> Result<(), OutOfMemory> {
    let place = head
        .look()
        .tree()
        .place(writer.reader(), index, head.look().len());
    let entry = chunk::get(writer.bytes(place.leaf), place.at);
    let fits = entry.is_some_and(|entry| !entry.outside && entry.bytes.len() == bytes.len());
    if fits {
        let leaf = writer.bytes_mut(place.leaf);
        put(chunk::get_mut(leaf, place.at), 0, bytes);
        return Ok(());
    }
    insert(head, writer, index + 1, bytes)?;
    remove(head, writer, index, index + 1);
    Ok(())
}

/// Takes the elements from number `from` up to, not including, `to` out.
pub(super) fn remove(head: &mut HeadMut<'_>, writer: &mut Writer<'_>, from: u64, to: u64) {
    let (mut left, mut gone) = (to.min(head.look().len()).saturating_sub(from), Vec::new());
    while left > 0 {
        let (mut tree, len) = (head.look().tree(), head.look().len());
        let count = tree.remove::<Chunks>(writer, (from, len), left, |leaf, range| {
            for entry in range.filter_map(|at| chunk::get(leaf, at)) {
                gone.extend(outside(entry));
            }
        });
        head.set_tree(tree);
        if count == 0 {
            return;
        }
        head.removed(from, count as u64);
        gone.drain(..).for_each(|link| writer.free(link));
        left -= count as u64;
    }
}

/// Shows the elements from number `from` on, forwards or backwards, until `visit` answers false.
pub(super) fn each<'v>(
    head: Head<'v>,
    reader: Reader<'v>,
    from: u64,
    backwards: bool,
    visit: &mut dyn FnMut(&'v [u8]) -> bool,
) {
    let mut show = |entry| visit(element(reader, entry));
    let mut index = from;
    while index < head.len() {
        let place = head.tree().place(reader, index, head.len());
        let leaf = reader.bytes(place.leaf);
        let (goes_on, shown) = if backwards {
            let mut all = (0..place.at + 1)
                .rev()
                .filter_map(|at| chunk::get(leaf, at));
            (all.all(&mut show), place.at + 1)
        } else {
            let mut all = chunk::entries(leaf, place.at);
            (all.all(&mut show), chunk::len(leaf) - place.at)
        };
        if !goes_on || shown == 0 {
            return;
        }
        // Behind the first one there is nothing: a number that no list has.
        index = match backwards {
            true => index.checked_sub(shown as u64).unwrap_or(u64::MAX),
            false => index + shown as u64,
        };
    }
}

/// Makes some of what lies at a cursor anew: see [`super::super::big::Advance`].
pub(super) fn advance(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    goal: Goal,
    at: Cursor,
    budget: usize,
) -> Result<(Option<Cursor>, Moved), OutOfMemory> {
    let len = head.look().len();
    let index = match at {
        Cursor::Tree(index) if index == 0 || index < len => index,
        _ => return Ok((None, Moved::default())),
    };
    let mut tree = head.look().tree();
    let moved = tree.moved::<Chunks>(writer, (index, len), goal);
    head.set_tree(tree);
    let (place, mut moved) = moved?;
    if goal.closes_up() {
        moved.add(tree.close_up::<Chunks>(writer, (index, len)));
        head.set_tree(tree);
    }
    let (mut now, end) = (place.at, chunk::len(writer.bytes(place.leaf)));
    while now < end && (now == place.at || moved.cost < budget) {
        moved.add(move_outside(writer, place.leaf, now, goal)?);
        now += 1;
    }
    let next = index + (now - place.at) as u64;
    Ok(((next < len).then_some(Cursor::Tree(next)), moved))
}

fn move_outside(
    writer: &mut Writer<'_>,
    leaf: Link,
    at: usize,
    goal: Goal,
) -> Result<Moved, OutOfMemory> {
    let Some(old) = chunk::get(writer.bytes(leaf), at).and_then(outside) else {
        return Ok(Moved::default());
    };
    let Some(to) = writer.target(old, goal) else {
        return Ok(Moved::look(goal));
    };
    let new = writer.moved(old, to)?;
    let moved = Moved::block(writer.reader().size(new));
    new.put(chunk::get_mut(writer.bytes_mut(leaf), at), 0);
    Ok(moved)
}

/// Shows every block but the root, those below before those above, until `visit` answers false.
/// What was shown is not looked at again: `visit` may give it back.
pub(super) fn visit(
    head: Head<'_>,
    reader: Reader<'_>,
    visit: &mut dyn FnMut(Link) -> bool,
) -> bool {
    let tree = head.tree();
    let mut show = |node, is_leaf| {
        let leaf = if is_leaf { reader.bytes(node) } else { &[] };
        let entries = if is_leaf { chunk::len(leaf) } else { 0 };
        let mut links = (0..entries).filter_map(|at| chunk::get(leaf, at).and_then(outside));
        links.all(&mut *visit) && visit(node)
    };
    tree.root.is_none() || tree.visit(reader, &mut show)
}

/// Shows about `most` blocks, evenly spread.
pub(super) fn spread(head: Head<'_>, reader: Reader<'_>, most: usize, show: &mut dyn FnMut(Link)) {
    let tree = head.tree();
    tree.spread(reader, head.len(), most / 2, &mut |place| {
        show(place.leaf);
        let entry = chunk::get(reader.bytes(place.leaf), place.at);
        entry.and_then(outside).into_iter().for_each(&mut *show);
    });
}

/// Verifies the invariants of the head of the file.
#[cfg(test)]
pub(super) fn check(head: &HeadMut<'_>, writer: &Writer<'_>) -> Result<(), String> {
    let (look, reader) = (head.look(), writer.reader());
    let items = super::super::tree::check::check::<Chunks>(look.tree(), writer)?;
    if items != look.len() {
        return Err(format!("{items} items, {} counted", look.len()));
    }
    let mut wrong = Ok(());
    look.tree().visit(reader, &mut |node, is_leaf| {
        if is_leaf {
            wrong = chunk::check(reader.bytes(node));
        }
        wrong.is_ok()
    });
    wrong
}
