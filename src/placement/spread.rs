//! Two ways to spread values evenly: by hash, and in turn.

use crate::ids::NodeId;

/// The node that the hash falls on; all nodes are equally likely.
///
/// The hash is mixed first: callers hand in whatever hash they have, and a weak one whose high
/// bits hardly move would otherwise send all keys to one node.
pub(super) fn by_hash(nodes: impl Iterator<Item = NodeId> + Clone, hash: u64) -> Option<NodeId> {
    let count = nodes.clone().count() as u128;
    let place = (u128::from(mixed(hash)) * count) >> u64::BITS;
    nodes.into_iter().nth(place as usize)
}

/// The node after `last`, the first one after the last one. It goes by node, not by place, so
/// that a changed set of nodes neither skips one nor gives one twice.
pub(super) fn next_after(
    nodes: impl Iterator<Item = NodeId> + Clone,
    last: Option<NodeId>,
) -> Option<NodeId> {
    let mut later = nodes
        .clone()
        .filter(|&node| last.is_none_or(|last| node > last));
    let mut all = nodes;
    later.next().or_else(|| all.next())
}

/// The finalizer of splitmix64: each bit of the input moves half of the output.
const fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
