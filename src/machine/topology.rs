//! The shape of the machine: what does not change while the process runs.

use crate::ids::{Bytes, NodeId};

/// One node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// The kernel's number.
    pub id: NodeId,
    /// The CPUs of the node, by the kernel's numbers; none on a CPU-less (CXL) node.
    pub cpus: Vec<usize>,
    /// All memory of the node.
    pub capacity: Bytes,
    /// The tier by rank of latency: 0 is the fastest on this machine.
    pub tier: u32,
    /// Relative distances (10 is local) to each node, in the order of [`Topology::nodes`].
    pub distances: Vec<u32>,
    /// Read latency in ns from each node's CPUs, in the order of [`Topology::nodes`], where the
    /// machine reports it (HMAT) or the simulation names it.
    pub latency_ns: Vec<Option<u32>>,
    /// Read bandwidth in MB/s as seen from the nearest CPUs, where the machine reports it.
    pub bandwidth_mbps: Option<u32>,
    /// Whether this process may allocate there (`cpuset.mems`, `--membind`).
    pub allowed: bool,
}

/// The nodes of the machine, in the order of their numbers. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    /// The nodes that have memory.
    pub nodes: Vec<NodeInfo>,
}
