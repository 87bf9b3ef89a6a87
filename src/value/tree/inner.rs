//! An inner node of the tree: its children, how much lies below each, and what comes first there.
//!
//! ```text
//! 0       8
//! | count | child, total, score, first | ... |     32 bytes a child, 63 children
//!   u16     link   u64    u64    link
//! ```
//!
//! `score` and `first` are the leaf's to define (`Leaf::first`); a sorted set finds its way by
//! them without touching the children, a list leaves them empty.

use crate::value::blocks::Link;
use crate::value::field::{get_u16, get_u64, put, put_u16, put_u64, shift, slice};
use std::ops::Range;

/// Bytes of a node's block.
pub(in crate::value) const SIZE: usize = 2048;
const HEAD: usize = 8;
const ENTRY: usize = 32;
/// The most children.
pub(super) const CHILDREN_MAX: usize = (SIZE - HEAD) / ENTRY;

/// What comes first in a subtree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::value) struct First {
    pub(in crate::value) score: u64,
    pub(in crate::value) link: Link,
}

/// A child as its parent knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::value) struct Child {
    pub(in crate::value) link: Link,
    /// Items below it.
    pub(in crate::value) total: u64,
    pub(in crate::value) first: First,
}

const fn at(index: usize) -> usize {
    HEAD + ENTRY * index
}

/// Makes an empty node of these bytes.
pub(super) fn clear(node: &mut [u8]) {
    put_u64(node, 0, 0);
}

/// How many children there are.
#[inline]
pub(in crate::value) fn len(node: &[u8]) -> usize {
    get_u16(node, 0).into()
}

fn set_len(node: &mut [u8], len: usize) {
    put_u16(node, 0, len as u16);
}

/// Whether no child more fits.
pub(super) fn is_full(node: &[u8]) -> bool {
    len(node) >= CHILDREN_MAX
}

/// The child at `index`; one of nothing where there is none.
#[inline]
pub(in crate::value) fn child(node: &[u8], index: usize) -> Child {
    let at = at(index);
    Child {
        link: Link::get(node, at),
        total: get_u64(node, at + 8),
        first: First {
            score: get_u64(node, at + 16),
            link: Link::get(node, at + 24),
        },
    }
}

/// Writes the child at `index`.
pub(super) fn set_child(node: &mut [u8], index: usize, child: Child) {
    let at = at(index);
    child.link.put(node, at);
    put_u64(node, at + 8, child.total);
    put_u64(node, at + 16, child.first.score);
    child.first.link.put(node, at + 24);
}

/// Every child.
pub(in crate::value) fn children(node: &[u8]) -> impl Iterator<Item = Child> + '_ {
    (0..len(node)).map(|index| child(node, index))
}

/// Items below the node.
pub(super) fn total(node: &[u8]) -> u64 {
    children(node).map(|child| child.total).sum()
}

/// Puts a child before the one at `index`.
pub(super) fn insert(node: &mut [u8], index: usize, child: Child) {
    let count = len(node);
    shift(node, at(index)..at(count), at(index + 1));
    set_child(node, index, child);
    set_len(node, count + 1);
}

/// Takes the child at `index` out.
pub(super) fn remove(node: &mut [u8], index: usize) {
    let count = len(node);
    shift(node, at(index + 1)..at(count), at(index));
    set_len(node, count.saturating_sub(1));
}

/// Moves the children from `index` on to the end of another node.
pub(super) fn split(left: &mut [u8], index: usize, right: &mut [u8]) {
    append(right, left, index..len(left));
    set_len(left, index);
}

/// Appends children of one node to another.
pub(super) fn append(to: &mut [u8], from: &[u8], range: Range<usize>) {
    let count = len(to);
    put(to, at(count), slice(from, at(range.start)..at(range.end)));
    set_len(to, count + range.len());
}

/// A child on the way to an item, the item's number in it, and how many items it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stop {
    pub(super) index: usize,
    pub(super) rank: u64,
    pub(super) total: u64,
}

/// The child with item number `rank` of `total`, looked for from the nearer end.
#[inline]
pub(super) fn child_of(node: &[u8], rank: u64, total: u64) -> Stop {
    match total.checked_sub(rank + 1) {
        Some(behind) if behind < rank => from_the_back(node, behind, |behind, of| behind < of, 1),
        _ => from_the_front(node, rank, |before, of| before < of),
    }
}

/// The child in which a new item number `rank` goes: the first in which there is such a gap.
pub(super) fn child_of_gap(node: &[u8], rank: u64, total: u64) -> Stop {
    match total.checked_sub(rank) {
        Some(behind) if behind < rank => from_the_back(node, behind, |behind, of| behind < of, 0),
        _ => from_the_front(node, rank, |before, of| before <= of),
    }
}

fn from_the_front(node: &[u8], rank: u64, is_in: impl Fn(u64, u64) -> bool) -> Stop {
    let (mut before, last) = (rank, len(node).saturating_sub(1));
    for index in 0..last {
        let total = child(node, index).total;
        if is_in(before, total) {
            let rank = before;
            return Stop { index, rank, total };
        }
        before -= total;
    }
    Stop {
        index: last,
        rank: before,
        total: child(node, last).total,
    }
}

/// `item` is 1 where an item is looked for, which has `behind` others behind it in the node, and 0
/// for a gap.
fn from_the_back(node: &[u8], behind: u64, is_in: impl Fn(u64, u64) -> bool, item: u64) -> Stop {
    let mut behind = behind;
    for index in (1..len(node)).rev() {
        let total = child(node, index).total;
        if is_in(behind, total) {
            let rank = total - behind - item;
            return Stop { index, rank, total };
        }
        behind -= total;
    }
    let total = child(node, 0).total;
    Stop {
        index: 0,
        rank: total.saturating_sub(behind + item),
        total,
    }
}
