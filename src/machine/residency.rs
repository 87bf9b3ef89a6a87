//! Where bytes really are, in the kernel's own words.
//!
//! Two questions, two sources. "Where is this OS page?" is `move_pages` with no target, exact and
//! cheap (well below a microsecond a page). "How much of the whole process lies on each node?" is
//! `/proc/self/numa_maps`, which walks every page table of the process: complete, the near index
//! and the server's own heap included, but seconds of work on a large server, so never on a tick.

use super::Residency;
use crate::ids::{Bytes, NodeId};
use numa_maps::{NumaMap, Property, Range};
use std::path::Path;

/// What one status of `move_pages` means.
pub(super) fn from_status(status: i32) -> Residency {
    // Not touched, swapped out; or only ever read (the shared zero page), or not mapped at all.
    const NOWHERE: [i32; 2] = [-libc::ENOENT, -libc::EFAULT];
    if NOWHERE.contains(&status) {
        return Residency::Absent;
    }
    usize::try_from(status)
        .ok()
        .and_then(NodeId::new)
        .map_or(Residency::Unknown, Residency::On)
}

/// Bytes of the process on each node, nodes in order.
///
/// # Errors
/// The kernel's word where the file cannot be read (no `CONFIG_NUMA`, a masked `/proc`).
pub(super) fn totals(numa_maps: &Path) -> Result<Vec<(NodeId, Bytes)>, String> {
    let map = NumaMap::from_file(numa_maps).map_err(|error| error.to_string())?;
    let mut sums = [Bytes::ZERO; NodeId::COUNT_MAX];
    for range in map.ranges {
        for (node, bytes) in bytes_by_node(range) {
            if let Some(sum) = sums.get_mut(node) {
                *sum += bytes;
            }
        }
    }
    let by_node = sums.into_iter().enumerate();
    let by_node = by_node.filter(|(_, bytes)| *bytes > Bytes::ZERO);
    Ok(by_node
        .filter_map(|(node, bytes)| Some((NodeId::new(node)?, bytes)))
        .collect())
}

/// A range counts in its own page size (huge pages too); normalising turns counts into bytes. A
/// range without a page size holds no OS page.
fn bytes_by_node(mut range: Range) -> impl Iterator<Item = (usize, Bytes)> {
    let sized = range.properties.iter().any(|p| p.page_size().is_some());
    range.normalize();
    let properties = range.properties.into_iter().filter(move |_| sized);
    properties.filter_map(|property| match property {
        Property::N(node, bytes) => Some((node, Bytes::from(bytes))),
        _ => None,
    })
}
