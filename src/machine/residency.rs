//! Where bytes really are, in the kernel's own words.
//!
//! Two questions, two sources. "Where is this OS page?" is `move_pages` with no target, exact and
//! cheap (well below a microsecond a page). "How much of the whole process lies on each node?" is
//! `/proc/self/numa_maps`, which walks every page table of the process: complete, the near index
//! and the server's own heap included, but seconds of work on a large server, so never on a tick.

use super::Residency;
use crate::ids::{Bytes, NodeId};
use numa_maps::{NumaMap, Property, Range};
use std::fs::File;
use std::io::Read;
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

/// Whether the kernel keeps the file and lets us read it. One byte is asked for: the kernel then
/// walks the first range only, so that loading into a large server does not stop it.
///
/// # Errors
/// Why not.
pub(super) fn readable(numa_maps: &Path) -> Result<(), String> {
    let read = File::open(numa_maps).and_then(|mut file| file.read(&mut [0]));
    match read {
        Ok(0) => Err("it is empty".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_node_or_says_nowhere() {
        assert_eq!(from_status(3), Residency::On(NodeId::new(3).unwrap()));
        assert_eq!(from_status(-libc::ENOENT), Residency::Absent);
        assert_eq!(from_status(-libc::EFAULT), Residency::Absent);
        assert_eq!(from_status(-libc::EACCES), Residency::Unknown);
        assert_eq!(
            from_status(64),
            Residency::Unknown,
            "more than a node number holds"
        );
        assert_eq!(from_status(i32::MIN), Residency::Unknown);
    }

    #[cfg(not(miri))]
    mod files {
        use super::super::super::fixture::Tree;
        use super::super::*;

        fn totals_of(lines: &str) -> Vec<(usize, Bytes)> {
            let tree = Tree::new();
            tree.file("numa_maps", lines);
            let totals = totals(&tree.root().join("numa_maps")).unwrap();
            totals
                .into_iter()
                .map(|(id, bytes)| (id.index(), bytes))
                .collect()
        }

        #[test]
        fn totals_count_each_range_in_its_own_page_size() {
            let lines = "\
                55d0c8a00000 default file=/usr/bin/redis-server mapped=3 N0=3 kernelpagesize_kB=4\n\
                7f0000000000 prefer:2 anon=7 dirty=7 N0=1 N2=6 kernelpagesize_kB=4\n\
                7f1000000000 bind:1 huge anon=2 dirty=2 N1=2 kernelpagesize_kB=2048\n\
                7f2000000000 default\n";
            let expected = [(0, Bytes::kib(16)), (1, Bytes::mib(4)), (2, Bytes::kib(24))];
            assert_eq!(totals_of(lines), expected);
        }

        #[test]
        fn a_node_beyond_all_numbers_is_left_out() {
            let line = "7f0000000000 default anon=2 N0=1 N64=1 kernelpagesize_kB=4\n";
            assert_eq!(totals_of(line), [(0, Bytes::kib(4))]);
        }

        #[test]
        fn a_missing_or_empty_file_is_named() {
            let tree = Tree::new();
            let path = tree.root().join("numa_maps");
            assert!(readable(&path).unwrap_err().contains("No such file"));
            assert!(totals(&path).is_err());
            tree.file("numa_maps", "");
            assert_eq!(readable(&path).unwrap_err(), "it is empty");
            tree.numa_maps();
            assert_eq!(readable(&tree.root().join("proc/self/numa_maps")), Ok(()));
        }
    }
}
