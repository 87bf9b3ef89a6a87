//! The big form: a counted tree of links in order, and an index from members to elements.
//!
//! Each element is a block of its own with two links to it, one in a leaf and one in the index; the
//! inner nodes know the score and the element that come first in each child, so the way to a place
//! touches elements only where scores are equal, and in its leaf.
//!
//! Invariants: len = items of the tree = elements of the index; the leaves' elements are in order.
//! A change makes room in the index, then the element, then its place in the tree, and only then
//! what cannot fail: whatever runs out of memory on the way has changed no element.

use super::super::big::{Cursor, Head, HeadMut, Moved};
use super::super::blocks::{Link, Reader, Writer};
use super::super::field::{get_u16, put, put_u16, put_u64, shift, slice};
use super::super::goal::Goal;
use super::super::hash::hash;
use super::super::index::Index;
use super::super::tree::{inner, First, Leaf, Tree};
use super::element;
use super::order::Bound;
use crate::pool::OutOfMemory;
use std::ops::Range;

/// A leaf of links.
///
/// ```text
/// | count u16 | 0 | link | link | ...       126 links in 1 KiB
/// ```
pub(super) struct Links;

const HEAD: usize = 8;
const LINKS_MAX: usize = (Links::SIZE - HEAD) / Link::LEN;

const fn at(index: usize) -> usize {
    HEAD + Link::LEN * index
}

/// The link at `index` of a leaf.
fn link(leaf: &[u8], index: usize) -> Link {
    Link::get(leaf, at(index))
}

/// The links of a leaf.
fn links(leaf: &[u8], range: Range<usize>) -> impl DoubleEndedIterator<Item = Link> + '_ {
    range.map(|index| link(leaf, index))
}

impl Leaf for Links {
    const SIZE: usize = 1024;
    type Item<'i> = Link;

    fn clear(leaf: &mut [u8]) {
        put_u64(leaf, 0, 0);
    }

    fn len(leaf: &[u8]) -> usize {
        get_u16(leaf, 0).into()
    }

    fn has_room(leaf: &[u8], _item: Link) -> bool {
        Self::len(leaf) < LINKS_MAX
    }

    fn insert(leaf: &mut [u8], index: usize, item: Link) {
        let len = Self::len(leaf);
        shift(leaf, at(index)..at(len), at(index + 1));
        item.put(leaf, at(index));
        put_u16(leaf, 0, len as u16 + 1);
    }

    fn remove(leaf: &mut [u8], gone: Range<usize>) {
        let len = Self::len(leaf);
        shift(leaf, at(gone.end)..at(len), at(gone.start));
        put_u16(leaf, 0, len.saturating_sub(gone.len()) as u16);
    }

    fn middle(leaf: &[u8]) -> usize {
        Self::len(leaf) / 2
    }

    fn append(to: &mut [u8], from: &[u8], range: Range<usize>) {
        let len = Self::len(to);
        put(to, at(len), slice(from, at(range.start)..at(range.end)));
        put_u16(to, 0, (len + range.len()) as u16);
    }

    fn fitting(leaf: &[u8], other: &[u8]) -> usize {
        Self::len(other).min(LINKS_MAX - Self::len(leaf))
    }

    fn eighths(leaf: &[u8]) -> usize {
        (Self::len(leaf) * 8).div_ceil(LINKS_MAX)
    }

    fn first(reader: Reader<'_>, leaf: &[u8]) -> First {
        if Self::len(leaf) == 0 {
            return First::default();
        }
        let link = link(leaf, 0);
        First {
            score: element::score(reader.bytes(link)).to_bits(),
            link,
        }
    }
}

/// Gives an empty root its tree and its index.
///
/// # Errors
/// [`OutOfMemory`]: what was made is in the root, and goes with it.
pub(super) fn found(head: &mut HeadMut<'_>, writer: &mut Writer<'_>) -> Result<(), OutOfMemory> {
    head.set_tree(Tree::new::<Links>(writer)?);
    head.set_index(Index::new(writer)?);
    Ok(())
}

/// The element with that member.
#[inline]
pub(super) fn find(head: Head<'_>, reader: Reader<'_>, member: &[u8]) -> Option<Link> {
    let same = |element: &[u8]| element::member(element) == member;
    head.index().find(reader, hash(member), same)
}

/// How many elements lie before a bound.
pub(super) fn rank(head: Head<'_>, reader: Reader<'_>, bound: &Bound<'_>) -> u64 {
    let tree = head.tree();
    let (mut node, mut rank) = (tree.root, 0);
    for _ in 0..tree.height {
        let bytes = reader.bytes(node);
        let (child, before) = child_before(reader, bytes, bound);
        (node, rank) = (child, rank + before);
    }
    let leaf = reader.bytes(node);
    rank + search(0, Links::len(leaf), |index| {
        let element = reader.bytes(link(leaf, index));
        bound.is_behind(element::score(element), || element::member(element))
    }) as u64
}

/// The last child that begins before a bound, or the first one, and how many items come before it.
fn child_before(reader: Reader<'_>, node: &[u8], bound: &Bound<'_>) -> (Link, u64) {
    let is_behind = |index| {
        let first = inner::child(node, index).first;
        let member = || element::member(reader.bytes(first.link));
        bound.is_behind(f64::from_bits(first.score), member)
    };
    let index = search(1, inner::len(node), is_behind) - 1;
    let before = (0..index)
        .map(|index| inner::child(node, index).total)
        .sum();
    (inner::child(node, index).link, before)
}

/// The first number of `from..to` that is not `before`, all that are coming first.
fn search(from: usize, to: usize, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (from, to.max(from));
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Adds an element that is not there.
pub(super) fn add(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    score: f64,
    member: &[u8],
) -> Result<(), OutOfMemory> {
    if member.len() > element::MEMBER_MAX {
        return Err(OutOfMemory);
    }
    let hash = hash(member);
    let mut index = head.look().index();
    let reserved = index.reserve(writer, hash, element::hash_of);
    head.set_index(index);
    reserved?;
    let new = writer.alloc(element::size(member.len()))?;
    element::write(writer.bytes_mut(new), score, member);
    let at = rank(head.look(), writer.reader(), &Bound::Before(score, member));
    if let Err(error) = insert(head, writer, at, new) {
        writer.free(new);
        return Err(error);
    }
    index.insert(writer, hash, new);
    head.inserted(at);
    Ok(())
}

/// Puts a link into the tree; the tree is stored whatever comes of it.
fn insert(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    rank: u64,
    link: Link,
) -> Result<(), OutOfMemory> {
    let mut tree = head.look().tree();
    let inserted = tree.insert::<Links>(writer, (rank, head.look().len()), link);
    head.set_tree(tree);
    inserted
}

fn cut(head: &mut HeadMut<'_>, writer: &mut Writer<'_>, rank: u64, count: u64) {
    let mut tree = head.look().tree();
    tree.remove::<Links>(writer, (rank, head.look().len()), count, |_, _| {});
    head.set_tree(tree);
}

/// Gives an element another score. It gets its new place before it loses its old one.
pub(super) fn rescore(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    link: Link,
    score: f64,
) -> Result<(), OutOfMemory> {
    let (old, new) = {
        let bytes = writer.bytes(link);
        let member = element::member(bytes);
        let rank = |score| rank(head.look(), writer.reader(), &Bound::Before(score, member));
        (rank(element::score(bytes)), rank(score))
    };
    let stays = new == old || new == old + 1;
    if !stays {
        insert(head, writer, new, link)?;
        head.inserted(new);
        let old = if new < old { old + 1 } else { old };
        cut(head, writer, old, 1);
        head.removed(old, 1);
    }
    element::set_score(writer.bytes_mut(link), score);
    let now = if new > old { new - 1 } else { new };
    let len = head.look().len();
    head.look().tree().changed::<Links>(writer, now, len);
    Ok(())
}

/// Takes the elements from number `from` to `to` out.
pub(super) fn remove(head: &mut HeadMut<'_>, writer: &mut Writer<'_>, from: u64, to: u64) {
    let (mut left, mut gone) = (to.min(head.look().len()).saturating_sub(from), Vec::new());
    while left > 0 {
        let (mut tree, len) = (head.look().tree(), head.look().len());
        let count = tree.remove::<Links>(writer, (from, len), left, |leaf, range| {
            gone.extend(links(leaf, range));
        });
        head.set_tree(tree);
        if count == 0 {
            return;
        }
        head.removed(from, count as u64);
        gone.drain(..).for_each(|link| forget(head, writer, link));
        left -= count as u64;
    }
}

/// Takes an element out of the index and gives its block back.
fn forget(head: &mut HeadMut<'_>, writer: &mut Writer<'_>, link: Link) {
    let hash = element::hash_of(writer.bytes(link));
    let mut index = head.look().index();
    index.remove(writer, hash, link, element::hash_of);
    head.set_index(index);
    writer.free(link);
}

/// Shows the elements from number `from` on, forwards or backwards, until `visit` answers false.
pub(super) fn each<'v>(
    head: Head<'v>,
    reader: Reader<'v>,
    from: u64,
    backwards: bool,
    visit: &mut dyn FnMut(&'v [u8], f64) -> bool,
) {
    let mut show = |link| {
        let element = reader.bytes(link);
        visit(element::member(element), element::score(element))
    };
    let mut rank = from;
    while rank < head.len() {
        let place = head.tree().place(reader, rank, head.len());
        let leaf = reader.bytes(place.leaf);
        let (goes_on, shown) = if backwards {
            let all = links(leaf, 0..place.at + 1).rev().all(&mut show);
            (all, place.at + 1)
        } else {
            let end = Links::len(leaf);
            (links(leaf, place.at..end).all(&mut show), end - place.at)
        };
        if !goes_on || shown == 0 {
            return;
        }
        // Behind the first one there is nothing: a number that no set has.
        rank = match backwards {
            true => rank.checked_sub(shown as u64).unwrap_or(u64::MAX),
            false => rank + shown as u64,
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
    match at {
        Cursor::Tree(rank) if rank < head.look().len() => {
            let (next, moved) = move_leaf(head, writer, rank, goal, budget)?;
            Ok((Some(Cursor::Tree(next)), moved))
        }
        Cursor::Tree(_) => Ok((Some(Cursor::Index(0)), Moved::default())),
        Cursor::Index(from) => {
            let mut index = head.look().index();
            let moved = index.moved(writer, from, goal);
            head.set_index(index);
            let (next, mut moved) = moved?;
            if goal.closes_up() {
                moved.add(index.close_up(writer, from, element::hash_of));
            }
            Ok(((next != 0).then_some(Cursor::Index(next)), moved))
        }
    }
}

/// Makes the leaf of an item anew, the nodes above it, and elements from that item on; the item
/// behind them.
fn move_leaf(
    head: &mut HeadMut<'_>,
    writer: &mut Writer<'_>,
    rank: u64,
    goal: Goal,
    budget: usize,
) -> Result<(u64, Moved), OutOfMemory> {
    let (mut tree, len) = (head.look().tree(), head.look().len());
    let moved = tree.moved::<Links>(writer, (rank, len), goal);
    head.set_tree(tree);
    let (place, mut moved) = moved?;
    if goal.closes_up() {
        moved.add(tree.close_up::<Links>(writer, (rank, len)));
        head.set_tree(tree);
    }
    let (mut now, end) = (place.at, Links::len(writer.bytes(place.leaf)));
    while now < end && (now == place.at || moved.cost < budget) {
        moved.add(move_element(head, writer, place.leaf, now, goal)?);
        if now == 0 {
            // What comes first here has a new address.
            tree.changed::<Links>(writer, rank, len);
        }
        now += 1;
    }
    Ok((rank + (now - place.at) as u64, moved))
}

fn move_element(
    head: &HeadMut<'_>,
    writer: &mut Writer<'_>,
    leaf: Link,
    index: usize,
    goal: Goal,
) -> Result<Moved, OutOfMemory> {
    let old = link(writer.bytes(leaf), index);
    let Some(to) = writer.target(old, goal) else {
        return Ok(Moved::look(goal));
    };
    let hash = element::hash_of(writer.bytes(old));
    let new = writer.moved(old, to)?;
    new.put(writer.bytes_mut(leaf), at(index));
    head.look().index().replace(writer, hash, old, new);
    Ok(Moved::block(writer.reader().size(new)))
}

/// Shows every block but the root, those below before those above, until `visit` answers false.
/// What was shown is not looked at again: `visit` may give it back.
pub(super) fn visit(
    head: Head<'_>,
    reader: Reader<'_>,
    visit: &mut dyn FnMut(Link) -> bool,
) -> bool {
    let index = head.index();
    if !index.directory.is_none() && !index.visit(reader, visit) {
        return false;
    }
    let tree = head.tree();
    let mut show = |node, is_leaf| {
        let leaf = if is_leaf { reader.bytes(node) } else { &[] };
        let elements = if is_leaf { Links::len(leaf) } else { 0 };
        links(leaf, 0..elements).all(&mut *visit) && visit(node)
    };
    tree.root.is_none() || tree.visit(reader, &mut show)
}

/// Shows about `most` blocks, evenly spread.
pub(super) fn spread(head: Head<'_>, reader: Reader<'_>, most: usize, show: &mut dyn FnMut(Link)) {
    let tree = head.tree();
    tree.spread(reader, head.len(), most / 2, &mut |place| {
        show(place.leaf);
        show(link(reader.bytes(place.leaf), place.at));
    });
}

/// Verifies the invariants of the head of the file.
#[cfg(test)]
pub(super) fn check(head: &HeadMut<'_>, writer: &Writer<'_>) -> Result<(), String> {
    use super::super::{index, tree};
    let (look, reader) = (head.look(), writer.reader());
    let items = tree::check::check::<Links>(look.tree(), writer)?;
    let indexed = index::check(look.index(), reader, element::hash_of)?;
    if (items, indexed) != (look.len(), look.len()) {
        return Err(format!(
            "{items} items, {indexed} indexed, {} counted",
            look.len()
        ));
    }
    let mut last: Option<(f64, Vec<u8>)> = None;
    let mut wrong = None;
    each(look, reader, 0, false, &mut |member, score| {
        if let Some((before, before_member)) = &last {
            let bound = Bound::Before(score, member);
            if !bound.is_behind(*before, || before_member) {
                wrong = Some(format!(
                    "{before} {before_member:?} before {score} {member:?}"
                ));
            }
        }
        if find(look, reader, member).is_none() {
            wrong = Some(format!("{member:?} is in no index"));
        }
        last = Some((score, member.to_vec()));
        true
    });
    wrong.map_or(Ok(()), Err)
}
