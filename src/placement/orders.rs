//! The ways from each node to the others, worked out once.
//!
//! The order of nodes is asked for with every new value, and the machine's shape does not change
//! while the process runs. The first value from a node pays for the sort, the rest read a slice.

use crate::ids::NodeId;
use crate::machine::Topology;
use std::sync::OnceLock;

/// Nearest-first orders, by the index of the node they begin at.
#[derive(Debug)]
pub(super) struct Orders([OnceLock<Box<[NodeId]>>; NodeId::COUNT_MAX]);

impl Default for Orders {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl Orders {
    /// The usable nodes, `first` first (where it is usable), then the nearest from there.
    pub(super) fn from(&self, topology: &Topology, first: NodeId) -> &[NodeId] {
        let sorted = || topology.nearest_first(first).into_boxed_slice();
        let order = self.0.get(first.index());
        order.map_or(&[], |order| order.get_or_init(sorted))
    }
}
