//! The tree's invariants, as equations; for tests.

use super::inner;
use super::{child_of_link, Leaf, Tree};
use crate::value::blocks::{Link, Reader, Writer};

/// Verifies the invariants of the floor's head; the number of items.
pub(in crate::value) fn check<L: Leaf>(tree: Tree, writer: &Writer<'_>) -> Result<u64, String> {
    let items = below::<L>(writer, tree.root, tree.height)?;
    if tree.height > 0 && inner::len(writer.bytes(tree.root)) < 2 {
        return Err("a root node has one child".into());
    }
    Ok(items)
}

fn below<L: Leaf>(writer: &Writer<'_>, node: Link, height: u8) -> Result<u64, String> {
    let bytes = Reader::of(writer).bytes(node);
    if height == 0 {
        return Ok(L::len(bytes) as u64);
    }
    let mut total = 0;
    for (index, child) in inner::children(bytes).enumerate() {
        let items = below::<L>(writer, child.link, height - 1)?;
        let real = child_of_link::<L>(writer, child.link, height - 1);
        if child != real || items != child.total || items == 0 {
            return Err(format!(
                "child {index}: {child:?} is {real:?}, {items} items"
            ));
        }
        total += items;
    }
    Ok(total)
}
