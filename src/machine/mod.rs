//! Floor 0: the machine as we see it.
//!
//! Words. A **node** is a kernel NUMA node. A **tier** is a set of nodes of like latency. A
//! **mapping** is an aligned piece of address space whose OS pages the kernel was asked to put on
//! one node. **Residency** is the kernel's answer to where OS pages really are.
//!
//! The machine is a trait, so that a laptop with one node can exercise every decision on a
//! simulated one (`simulated`), while `linux` speaks to the kernel.
//!
//! ```text
//! linux       system calls, the real machine       simulated   made-up nodes
//! sysfs       nodes, CPUs, HMAT, free memory       cgroup      limits, cpuset
//! topology    what does not change                 tiers       ranking nodes
//! residency   where bytes really are               ledger      what was given out
//! degraded    causes and cures in one line         home        the main thread's node
//! spaces      address space of the server's arenas on made-up nodes
//! ```

mod cgroup;
pub mod cpulist;
mod degraded;
#[cfg(test)]
#[cfg(not(miri))]
mod fixture;
pub mod home;
mod ledger;
pub mod linux;
mod residency;
pub mod simulated;
mod spaces;
mod sysfs;
mod tiers;
pub mod topology;

use crate::ids::{Bytes, NodeId};
use std::fmt;
use std::ptr::NonNull;

pub use home::{HomeChoice, HomeTracker};
pub use linux::{empty_space, open_space, os_page, unbound, LinuxMachine};
pub use simulated::{SimNode, SimulatedMachine};
pub use topology::{NodeInfo, Topology};

/// A piece of address space that the machine gave out. Whoever holds it owns it; it goes back
/// through [`Machine::unmap`]. Its bytes read as zero until they are written.
#[derive(Debug)]
pub struct Mapping {
    /// The first byte, aligned as asked.
    pub base: NonNull<u8>,
    /// The length, a multiple of the OS page size.
    pub len: Bytes,
    /// The node that the kernel was asked for.
    pub node: NodeId,
}

// SAFETY: a mapping is address space of the whole process, valid on every thread.
unsafe impl Send for Mapping {}

/// Why address space could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// The kernel (or the simulated node) has none left.
    OutOfMemory,
    /// No such node, or the process may not use it.
    NodeUnavailable(NodeId),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::NodeUnavailable(node) => write!(f, "node {node} is not available"),
        }
    }
}

/// The kernel's answer for one OS page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Residency {
    /// It lies on that node.
    On(NodeId),
    /// It was never touched, or is swapped out: nowhere.
    Absent,
    /// The kernel would not say.
    Unknown,
}

/// What the module asks of the machine it runs on.
///
/// Contract: every call may come from any thread; none takes a lock that a reader of a value
/// could wait for. `map` and `unmap` are system calls and stay off the path of a read.
pub trait Machine: Send + Sync {
    /// Nodes, CPUs, distances, latencies, tiers, as read at load.
    fn topology(&self) -> &Topology;

    /// Maps `len` bytes (rounded up to OS pages), aligned to `align` (a power of two), preferring
    /// `node`: when that node is full the kernel may spill to another, it does not fail.
    ///
    /// # Errors
    /// [`MapError`] where there is no address space or no such node; nothing is mapped then.
    fn map(&self, len: Bytes, align: Bytes, node: NodeId) -> Result<Mapping, MapError>;

    /// Gives the address space back.
    fn unmap(&self, mapping: Mapping);

    /// Makes a mapping longer: the OS pages of `old`, with their bytes and on their nodes, become
    /// the beginning of `wider`, which is of the same node, as long at least, and was never written
    /// to; nothing is copied. The addresses of `old` are gone then.
    ///
    /// # Errors
    /// The old mapping, untouched, where the kernel does not do it; the wider one went back.
    fn widen(&self, old: Mapping, wider: Mapping) -> Result<Mapping, Mapping> {
        self.unmap(wider);
        Err(old)
    }

    /// Reserves `len` bytes of address space for good, preferring `node`, none of it usable before
    /// [`open_space`]: what an allocator that calls us from any thread is given to carve up, since
    /// address space by the piece would need books, and books a lock.
    ///
    /// # Errors
    /// [`MapError`] where the kernel refuses, or the machine does not do it.
    fn reserve(&self, _len: Bytes, _node: NodeId) -> Result<Mapping, MapError> {
        Err(MapError::OutOfMemory)
    }

    /// Hears how many bytes of the reserved space of a node are in use now; a real machine asks the
    /// kernel.
    fn note_held(&self, _node: NodeId, _held: Bytes) {}

    /// Gives the OS pages of `range` (byte offsets into the mapping, OS-page aligned) back while
    /// the address space stays; they read as zero afterwards.
    fn discard(&self, mapping: &Mapping, range: std::ops::Range<usize>);

    /// What is really to be had on the node now: free bytes of the node, no more than the cgroup
    /// and the cpuset allow this process. System calls and files: at most once a tick.
    fn room(&self, node: NodeId) -> Bytes;

    /// How much less the node holds than at load: memory that was taken offline, all of it where
    /// the node is gone. Reads a file.
    fn lost(&self, _node: NodeId) -> Bytes {
        Bytes::ZERO
    }

    /// The kernel's answer for the OS page of each address; `pages` and `answers` of one length.
    fn residency(&self, pages: &[usize], answers: &mut [Residency]);

    /// Asks the kernel to move the OS pages of these addresses to `node`; their addresses and bytes
    /// stay. What cannot be moved (no room, shared with a child, never touched) stays where it is:
    /// ask [`Machine::residency`]. Some microseconds a page, so only a few of them in a tick.
    fn bring(&self, _pages: &[usize], _node: NodeId) {}

    /// Bytes of the whole process on each node (`/proc/self/numa_maps`), nodes in order.
    ///
    /// # Errors
    /// The kernel's word where it does not keep that file.
    fn process_bytes(&self) -> Result<Vec<(NodeId, Bytes)>, String>;

    /// The node of the CPU that the calling thread runs on now.
    fn current_cpu_node(&self) -> Option<NodeId>;

    /// Why placement is weaker than it should be (no permission, no such call, one node), in one
    /// line for the log and INFO; nothing where all is well.
    fn degraded(&self) -> Option<&str>;

    /// Whether this is a simulated machine; every report says so.
    fn is_simulated(&self) -> bool;
}
