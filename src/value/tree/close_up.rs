//! How the tree closes up: leaves that deletes left half empty draw items from those behind them.
//!
//! Losing items merges only what is nearly empty (`shrink`), for a tree that lives must have room
//! to grow into. What a random half of deletes leaves is every leaf half full and none to merge. A
//! compaction comes by at every leaf, and fills it from the next ones under the same node, as far
//! as items fit; what is empty then is freed.
//!
//! Invariant: no item changes its number, so cursors stay right; nothing above the one parent
//! changes, for its items and the first of them are the same. Nothing here asks for memory.

use super::inner;
use super::{child_of_link, Leaf, Moved, Tree};
use crate::value::blocks::{Link, Writer};

/// A leaf this full, of 8, or less draws from the next ones until it is full.
const SPARSE_EIGHTHS: usize = 6;

impl Tree {
    /// Fills the leaf of item number `rank` of `len`, if it is sparse; what was copied for it.
    pub(in crate::value) fn close_up<L: Leaf>(
        &mut self,
        writer: &mut Writer<'_>,
        (rank, len): (u64, u64),
    ) -> Moved {
        let mut moved = Moved::default();
        let (path, leaf, _) = self.way(writer.reader(), rank, len);
        let Some((parent, index)) = path.upwards().next() else {
            return moved;
        };
        if L::eighths(writer.bytes(leaf)) > SPARSE_EIGHTHS {
            return moved;
        }
        let mut drawn = Drawn::All;
        while drawn == Drawn::All {
            drawn = draw::<L>(writer, parent, index);
            if drawn != Drawn::Nothing {
                moved.add(Moved::block(L::SIZE));
            }
        }
        self.lower(writer);
        moved
    }
}

/// How much of the next leaf was drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drawn {
    Nothing,
    Some,
    /// Everything: it is gone.
    All,
}

/// Draws what fits of the leaf behind the one at `index`.
fn draw<L: Leaf>(writer: &mut Writer<'_>, parent: Link, index: usize) -> Drawn {
    let node = writer.bytes(parent);
    if index + 1 >= inner::len(node) {
        return Drawn::Nothing;
    }
    let (left, right) = (
        inner::child(node, index).link,
        inner::child(node, index + 1).link,
    );
    let (to, from) = writer.pair_mut(left, right);
    let count = L::fitting(to, from);
    if count == 0 {
        return Drawn::Nothing;
    }
    let all = count == L::len(from);
    L::append(to, from, 0..count);
    L::remove(from, 0..count);
    let (left, right) = (
        child_of_link::<L>(writer, left, 0),
        child_of_link::<L>(writer, right, 0),
    );
    let node = writer.bytes_mut(parent);
    inner::set_child(node, index, left);
    if all {
        inner::remove(node, index + 1);
        writer.free(right.link);
        return Drawn::All;
    }
    inner::set_child(node, index + 1, right);
    Drawn::Some
}
