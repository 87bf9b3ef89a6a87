//! A counted tree: items in an order that their owner decides, each found by its number.
//!
//! ```text
//!              | 310 | 280 | 295 |            inner nodes know how many items lie below
//!            /         |          \
//!   | 120 | 190 |     ...         ...
//!     |      |
//!   leaf    leaf                              all at one depth; a leaf is the owner's (`Leaf`)
//! ```
//!
//! Finding, inserting and removing by number take one way down. The sorted set keeps links to its
//! elements in the leaves, the list its entries themselves.
//!
//! Invariants, which `check` verifies: a child's `total` is the number of items below it and its
//! `first` is what its first leaf says; every leaf lies `height` nodes below the root; no node but
//! a root leaf is empty. Two neighbours that would fit in three quarters of one are merged when
//! one of them loses an item, so a tree that shrinks gives its blocks back.
//!
//! A node that is full is split on the way down, before anything is inserted. A split changes
//! no item, so if the next one finds no memory the tree is whole and the same; and once the leaf is
//! reached nothing can fail. Removing and merging ask for no memory. Where an item goes to the end
//! or the start of its leaf, the leaf is not halved: whoever appends fills every leaf.
//!
//! Rejected: links from leaf to leaf, which would have to be kept right when blocks move, and save
//! one way down in a hundred items.

mod close_up;
pub(super) mod inner;
mod shrink;

use super::big::Moved;
use super::blocks::{Link, Reader, Writer};
use super::goal::Goal;
use crate::pool::OutOfMemory;
pub(super) use inner::First;
use inner::{Child, Stop};
use std::ops::Range;

/// The most inner nodes on a way down: more than 20 children a node at the least, 20^12 leaves.
const HEIGHT_MAX: usize = 12;

/// What a leaf is to the tree.
pub(super) trait Leaf {
    /// Bytes of a leaf's block.
    const SIZE: usize;
    /// What is inserted.
    type Item<'i>: Copy;

    /// Makes an empty leaf of these bytes.
    fn clear(leaf: &mut [u8]);
    /// How many items there are.
    fn len(leaf: &[u8]) -> usize;
    /// Whether the item fits.
    fn has_room(leaf: &[u8], item: Self::Item<'_>) -> bool;
    /// Puts an item before the one at `at`; it fits.
    fn insert(leaf: &mut [u8], at: usize, item: Self::Item<'_>);
    /// Takes items out.
    fn remove(leaf: &mut [u8], range: Range<usize>);
    /// Where a leaf is halved, so that every item fits in either half.
    fn middle(leaf: &[u8]) -> usize;
    /// Appends the items of a range of another leaf.
    fn append(to: &mut [u8], from: &[u8], range: Range<usize>);
    /// How many of the first items of another leaf it has room for.
    fn fitting(leaf: &[u8], other: &[u8]) -> usize;
    /// How full it is, of 8.
    fn eighths(leaf: &[u8]) -> usize;
    /// What comes first in it.
    fn first(reader: Reader<'_>, leaf: &[u8]) -> First;
}

/// A tree as its owner keeps it: 9 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tree {
    pub(super) root: Link,
    /// How many inner nodes lie between the root and a leaf, the root included.
    pub(super) height: u8,
}

/// The inner nodes from the root to a leaf, and which child was taken in each.
#[derive(Clone, Copy)]
struct Path {
    steps: [(Link, usize); HEIGHT_MAX],
    len: usize,
}

impl Path {
    const fn new() -> Self {
        Self {
            steps: [(Link::NONE, 0); HEIGHT_MAX],
            len: 0,
        }
    }

    fn push(&mut self, node: Link, child: usize) {
        if let Some(step) = self.steps.get_mut(self.len) {
            *step = (node, child);
            self.len += 1;
        }
    }

    /// From the leaf's parent up to the root.
    fn upwards(self) -> impl Iterator<Item = (Link, usize)> {
        self.steps.into_iter().take(self.len).rev()
    }
}

/// A place in a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) leaf: Link,
    pub(super) at: usize,
}

impl Tree {
    /// A tree of one empty leaf.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(super) fn new<L: Leaf>(writer: &mut Writer<'_>) -> Result<Self, OutOfMemory> {
        let root = writer.alloc(L::SIZE)?;
        L::clear(writer.bytes_mut(root));
        Ok(Self { root, height: 0 })
    }

    /// Where item number `rank` of `len` lies; behind the last one it is the end of the last leaf.
    pub(super) fn place(self, reader: Reader<'_>, rank: u64, len: u64) -> Place {
        self.descend(reader, rank, len, |_, _| {})
    }

    /// Goes down to item number `rank` of `len`, and tells of each node and the child taken in it.
    #[inline]
    fn descend(
        self,
        reader: Reader<'_>,
        rank: u64,
        len: u64,
        mut tell: impl FnMut(Link, usize),
    ) -> Place {
        let (mut node, mut rank, mut total) = (self.root, rank, len);
        for _ in 0..self.height {
            let bytes = reader.bytes(node);
            let stop = inner::child_of(bytes, rank, total);
            tell(node, stop.index);
            node = inner::child(bytes, stop.index).link;
            (rank, total) = (stop.rank, stop.total);
        }
        let at = rank as usize;
        Place { leaf: node, at }
    }

    #[inline]
    fn way(self, reader: Reader<'_>, rank: u64, len: u64) -> (Path, Link, usize) {
        let mut path = Path::new();
        let place = self.descend(reader, rank, len, |node, child| path.push(node, child));
        (path, place.leaf, place.at)
    }

    /// Inserts an item as number `rank`; there are `len` of them.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the items are what they were. The tree itself may have changed.
    pub(super) fn insert<L: Leaf>(
        &mut self,
        writer: &mut Writer<'_>,
        (rank, len): (u64, u64),
        item: L::Item<'_>,
    ) -> Result<(), OutOfMemory> {
        if is_full::<L>(writer, self.root, self.height, item) {
            self.grow::<L>(writer)?;
        }
        let way = self.way_with_room::<L>(writer, (rank, len), item);
        if way.is_err() {
            // The new root may have but the one child that it began with.
            self.lower(writer);
        }
        let (path, leaf, at) = way?;
        L::insert(writer.bytes_mut(leaf), at, item);
        refresh::<L>(writer, path, leaf, 1);
        Ok(())
    }

    /// Puts an inner node above the root.
    fn grow<L: Leaf>(&mut self, writer: &mut Writer<'_>) -> Result<(), OutOfMemory> {
        if usize::from(self.height) >= HEIGHT_MAX {
            return Err(OutOfMemory);
        }
        let above = writer.alloc(inner::SIZE)?;
        let child = child_of_link::<L>(writer, self.root, self.height);
        let node = writer.bytes_mut(above);
        inner::clear(node);
        inner::insert(node, 0, child);
        *self = Self {
            root: above,
            height: self.height + 1,
        };
        Ok(())
    }

    /// The way to where item number `rank` goes; every node on it has room.
    fn way_with_room<L: Leaf>(
        self,
        writer: &mut Writer<'_>,
        (rank, len): (u64, u64),
        item: L::Item<'_>,
    ) -> Result<(Path, Link, usize), OutOfMemory> {
        let (mut path, mut node, mut rank, mut total) = (Path::new(), self.root, rank, len);
        for height in (0..self.height).rev() {
            let mut stop = inner::child_of_gap(writer.bytes(node), rank, total);
            let child = inner::child(writer.bytes(node), stop.index).link;
            if is_full::<L>(writer, child, height, item) {
                stop = split_child::<L>(writer, node, stop, height)?;
            }
            path.push(node, stop.index);
            node = inner::child(writer.bytes(node), stop.index).link;
            (rank, total) = (stop.rank, stop.total);
        }
        Ok((path, node, rank as usize))
    }

    /// Writes anew what the inner nodes know of item number `rank`, which was changed in place.
    pub(super) fn changed<L: Leaf>(self, writer: &mut Writer<'_>, rank: u64, len: u64) {
        let (path, leaf, _) = self.way(writer.reader(), rank, len);
        refresh::<L>(writer, path, leaf, 0);
    }

    /// Makes the nodes on the way to item number `rank` anew, where the goal wants that; the leaf's
    /// place, and what was moved.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the tree is whole, and what was moved is moved.
    pub(super) fn moved<L: Leaf>(
        &mut self,
        writer: &mut Writer<'_>,
        (rank, len): (u64, u64),
        goal: Goal,
    ) -> Result<(Place, Moved), OutOfMemory> {
        let (mut above, mut node, mut rank, mut total) = (None, self.root, rank, len);
        let mut moved = Moved::default();
        for height in (0..=self.height).rev() {
            moved.add(Moved::look(goal));
            if let Some(to) = writer.target(node, goal) {
                node = writer.moved(node, to)?;
                moved.add(Moved::block(writer.reader().size(node)));
                match above {
                    None => self.root = node,
                    Some((parent, index)) => set_link(writer, parent, index, node),
                }
            }
            if height > 0 {
                let stop = inner::child_of(writer.bytes(node), rank, total);
                above = Some((node, stop.index));
                node = inner::child(writer.bytes(node), stop.index).link;
                (rank, total) = (stop.rank, stop.total);
            }
        }
        let at = rank as usize;
        Ok((Place { leaf: node, at }, moved))
    }

    /// Shows about `most` places, evenly spread over the `len` items.
    pub(super) fn spread(
        self,
        reader: Reader<'_>,
        len: u64,
        most: usize,
        show: &mut dyn FnMut(Place),
    ) {
        let step = usize::try_from(len / most.max(1) as u64).unwrap_or(usize::MAX);
        (0..len)
            .step_by(step.max(1))
            .for_each(|rank| show(self.place(reader, rank, len)));
    }

    /// Shows every node, each behind what lies below it, until `visit` answers false. What was
    /// shown is not looked at again: `visit` may give it back.
    pub(super) fn visit(
        self,
        reader: Reader<'_>,
        visit: &mut dyn FnMut(Link, bool) -> bool,
    ) -> bool {
        visit_below(reader, self.root, self.height, visit)
    }
}

/// Shows a node and those below it; the second word says whether it is a leaf.
fn visit_below(
    reader: Reader<'_>,
    node: Link,
    height: u8,
    visit: &mut dyn FnMut(Link, bool) -> bool,
) -> bool {
    let all_below = height == 0
        || inner::children(reader.bytes(node))
            .all(|child| visit_below(reader, child.link, height - 1, visit));
    all_below && visit(node, height == 0)
}

fn set_link(writer: &mut Writer<'_>, parent: Link, index: usize, link: Link) {
    let node = writer.bytes_mut(parent);
    let child = inner::child(node, index);
    inner::set_child(node, index, Child { link, ..child });
}

/// Whether a node must be split before the item goes below it.
fn is_full<L: Leaf>(writer: &Writer<'_>, node: Link, height: u8, item: L::Item<'_>) -> bool {
    let bytes = writer.bytes(node);
    if height == 0 {
        !L::has_room(bytes, item)
    } else {
        inner::is_full(bytes)
    }
}

/// What comes first in a node.
fn first_of<L: Leaf>(reader: Reader<'_>, node: Link, height: u8) -> First {
    let bytes = reader.bytes(node);
    if height == 0 {
        L::first(reader, bytes)
    } else {
        inner::child(bytes, 0).first
    }
}

/// A node as its parent should know it.
fn child_of_link<L: Leaf>(writer: &Writer<'_>, link: Link, height: u8) -> Child {
    let bytes = writer.bytes(link);
    let total = if height == 0 {
        L::len(bytes) as u64
    } else {
        inner::total(bytes)
    };
    let first = first_of::<L>(writer.reader(), link, height);
    Child { link, total, first }
}

/// Splits the full child at which an item stops on its way; where it stops now.
fn split_child<L: Leaf>(
    writer: &mut Writer<'_>,
    parent: Link,
    stop: Stop,
    height: u8,
) -> Result<Stop, OutOfMemory> {
    let Stop { index, rank, .. } = stop;
    let left = inner::child(writer.bytes(parent), index).link;
    let size = if height == 0 { L::SIZE } else { inner::SIZE };
    let right = writer.alloc(size)?;
    let (from, to) = writer.pair_mut(left, right);
    let at_end = if height == 0 {
        split_leaf::<L>(from, to, rank as usize)
    } else {
        split_inner(from, to, stop)
    };
    let (left, right) = (
        child_of_link::<L>(writer, left, height),
        child_of_link::<L>(writer, right, height),
    );
    let node = writer.bytes_mut(parent);
    inner::set_child(node, index, left);
    inner::insert(node, index + 1, right);
    let goes_left = rank < left.total || (rank == left.total && !at_end);
    Ok(match goes_left {
        true => Stop {
            index,
            rank,
            total: left.total,
        },
        false => Stop {
            index: index + 1,
            rank: rank - left.total,
            total: right.total,
        },
    })
}

/// Whether the leaf was split behind its last item, so that the new one is the item's.
fn split_leaf<L: Leaf>(left: &mut [u8], right: &mut [u8], at: usize) -> bool {
    let len = L::len(left);
    let middle = match at {
        0 => 0,
        at if at == len => len,
        _ => L::middle(left),
    };
    L::clear(right);
    L::append(right, left, middle..len);
    L::remove(left, middle..len);
    middle == len
}

fn split_inner(left: &mut [u8], right: &mut [u8], stop: Stop) -> bool {
    let len = inner::len(left);
    let next = inner::child_of_gap(left, stop.rank, stop.total);
    let is_last = next.index + 1 == len && next.rank == next.total;
    let middle = match (next.index, next.rank) {
        (0, 0) => 1,
        _ if is_last => len - 1,
        _ => len / 2,
    };
    inner::clear(right);
    inner::split(left, middle, right);
    false
}

/// Adds `more` to the totals on a way, and writes anew what comes first in each of its nodes.
fn refresh<L: Leaf>(writer: &mut Writer<'_>, path: Path, leaf: Link, more: i64) {
    let (mut below, mut height) = (leaf, 0);
    for (node, index) in path.upwards() {
        let first = first_of::<L>(writer.reader(), below, height);
        let bytes = writer.bytes_mut(node);
        let child = inner::child(bytes, index);
        let total = child.total.wrapping_add_signed(more);
        let link = child.link;
        inner::set_child(bytes, index, Child { link, total, first });
        (below, height) = (node, height + 1);
    }
}

#[cfg(test)]
pub(super) mod check;
