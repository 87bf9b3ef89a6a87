//! How the tree loses items: out of a leaf, then upwards, merging what has become small.
//!
//! Nothing here asks for memory. Invariant on the way up: below the node that is looked at all is
//! as the head of the floor says, but that a subtree may have lost its last item; such a subtree is
//! cut off where its parent has another child.

use super::inner::{self, Child};
use super::{child_of_link, refresh, Leaf, Path, Tree};
use crate::value::blocks::{Link, Writer};
use std::ops::Range;

/// A node this full, of 8, or less looks for a neighbour to merge with.
const SMALL_EIGHTHS: usize = 2;
/// Two neighbours merge where both together are this full, of 8, or less.
const MERGED_EIGHTHS: usize = 6;

impl Tree {
    /// Takes up to `most` items of `len` out, from number `rank` on, as far as one leaf holds them:
    /// `show` sees the leaf and which they are before they go. How many went.
    pub(in crate::value) fn remove<L: Leaf>(
        &mut self,
        writer: &mut Writer<'_>,
        (rank, len): (u64, u64),
        most: u64,
        show: impl FnOnce(&[u8], Range<usize>),
    ) -> usize {
        let (path, leaf, at) = self.way(writer.reader(), rank, len);
        let bytes = writer.bytes(leaf);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let end = L::len(bytes).min(at.saturating_add(most));
        let gone = at..end.max(at);
        let count = gone.len();
        if count > 0 {
            show(bytes, gone.clone());
            self.take_out::<L>(writer, path, leaf, gone);
        }
        count
    }

    fn take_out<L: Leaf>(
        &mut self,
        writer: &mut Writer<'_>,
        path: Path,
        leaf: Link,
        gone: Range<usize>,
    ) {
        let count = gone.len();
        L::remove(writer.bytes_mut(leaf), gone);
        refresh::<L>(writer, path, leaf, -(count as i64));
        for (height, (node, index)) in path.upwards().enumerate() {
            mend_child::<L>(writer, node, index, height as u8);
        }
        self.lower(writer);
    }

    /// Takes root nodes with one child away.
    pub(super) fn lower(&mut self, writer: &mut Writer<'_>) {
        while self.height > 0 && inner::len(writer.bytes(self.root)) == 1 {
            let child = inner::child(writer.bytes(self.root), 0).link;
            writer.free(self.root);
            *self = Self {
                root: child,
                height: self.height - 1,
            };
        }
    }
}

/// Cuts the child at `index` off if it is empty, or merges it with a neighbour if it is small.
fn mend_child<L: Leaf>(writer: &mut Writer<'_>, parent: Link, index: usize, height: u8) {
    let node = writer.bytes(parent);
    let (children, child) = (inner::len(node), inner::child(node, index));
    if children < 2 {
        return;
    }
    if child.total == 0 {
        free_below(writer, child.link, height);
        inner::remove(writer.bytes_mut(parent), index);
        return;
    }
    if eighths::<L>(writer, child.link, height) > SMALL_EIGHTHS {
        return;
    }
    if index + 1 < children && merge::<L>(writer, parent, index, height) {
        return;
    }
    if let Some(before) = index.checked_sub(1) {
        merge::<L>(writer, parent, before, height);
    }
}

/// Frees a subtree without items.
fn free_below(writer: &mut Writer<'_>, node: Link, height: u8) {
    if height > 0 {
        let children: Vec<Child> = inner::children(writer.bytes(node)).collect();
        for child in children {
            free_below(writer, child.link, height - 1);
        }
    }
    writer.free(node);
}

fn eighths<L: Leaf>(writer: &Writer<'_>, node: Link, height: u8) -> usize {
    let bytes = writer.bytes(node);
    if height == 0 {
        L::eighths(bytes)
    } else {
        (inner::len(bytes) * 8).div_ceil(inner::CHILDREN_MAX)
    }
}

/// Merges the child behind `index` into the one at `index`, if there is room.
fn merge<L: Leaf>(writer: &mut Writer<'_>, parent: Link, index: usize, height: u8) -> bool {
    let node = writer.bytes(parent);
    let (left, right) = (
        inner::child(node, index).link,
        inner::child(node, index + 1).link,
    );
    let full = eighths::<L>(writer, left, height) + eighths::<L>(writer, right, height);
    if full > MERGED_EIGHTHS {
        return false;
    }
    let (to, from) = writer.pair_mut(left, right);
    if height == 0 {
        L::append(to, from, 0..L::len(from));
    } else {
        inner::append(to, from, 0..inner::len(from));
    }
    writer.free(right);
    let merged = child_of_link::<L>(writer, left, height);
    let node = writer.bytes_mut(parent);
    inner::set_child(node, index, merged);
    inner::remove(node, index + 1);
    true
}
