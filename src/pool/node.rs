//! What the pool keeps of one node: its regions, and what is known of its room.

use super::room::Room;
use crate::ids::Bytes;

const REGION_MIN: Bytes = Bytes::mib(2);
const REGION_MAX: Bytes = Bytes::mib(256);
/// Regions never get bigger than this share of the node.
const NODE_SHARE: u64 = 64;
/// A new region is at most this share of those there are: untouched address space stays small, and
/// the number of mappings grows with the logarithm of the bytes until the biggest size is reached.
const GROWTH_SHARE: u64 = 8;
/// A run is at most this share of the biggest region, so that runs leave little of one unused and a
/// node has few blocks that are bigger.
const RUN_SHARE: u64 = 8;

/// One node's books.
pub(super) struct NodePool {
    /// Its regions, oldest first.
    pub(super) regions: Vec<u16>,
    /// How many of them nothing lies in.
    pub(super) empty_regions: usize,
    /// Bytes of its regions.
    pub(super) region_bytes: Bytes,
    region_max: Bytes,
    pub(super) room: Room,
}

const fn power_of_two_below(bytes: Bytes) -> Bytes {
    if bytes.0 == 0 {
        Bytes::ZERO
    } else {
        Bytes(1 << bytes.0.ilog2())
    }
}

impl NodePool {
    /// The books of a node that holds `capacity` bytes.
    pub(super) fn new(capacity: Bytes) -> Self {
        let share = power_of_two_below(Bytes(capacity.0 / NODE_SHARE));
        Self {
            regions: Vec::new(),
            empty_regions: 0,
            region_bytes: Bytes::ZERO,
            region_max: share.clamp(REGION_MIN, REGION_MAX),
            room: Room::new(),
        }
    }

    /// How big the next region should be, if it is to hold a slab or a run of `need` bytes.
    pub(super) fn region_want(&self, need: Bytes) -> Bytes {
        let share = power_of_two_below(Bytes(self.region_bytes.0 / GROWTH_SHARE));
        let whole = Bytes(need.0.next_multiple_of(REGION_MIN.0));
        share.clamp(REGION_MIN, self.region_max).max(whole)
    }

    /// The biggest run; a block that takes more has a mapping of its own.
    pub(super) const fn run_max(&self) -> Bytes {
        Bytes(self.region_max.0 / RUN_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_grow_with_use_and_stop_at_a_64th_of_the_node() {
        let mut node = NodePool::new(Bytes::mib(1024));
        let mut sizes = Vec::new();
        while node.region_bytes < Bytes::mib(512) {
            sizes.push(node.region_want(Bytes::kib(16)));
            node.region_bytes += node.region_want(Bytes::kib(16));
        }
        assert_eq!(sizes.first(), Some(&Bytes::mib(2)));
        assert_eq!(sizes.last(), Some(&Bytes::mib(16)));
        assert!(sizes.is_sorted());
        assert_eq!(node.run_max(), Bytes::mib(2));
        let small = NodePool::new(Bytes::ZERO);
        assert_eq!(small.region_want(Bytes(1)), Bytes::mib(2));
        assert_eq!(small.region_want(Bytes::kib(2049)), Bytes::mib(4));
        assert_eq!(small.run_max(), Bytes::kib(256));
        assert_eq!(NodePool::new(Bytes::mib(1 << 20)).run_max(), Bytes::mib(32));
    }
}
