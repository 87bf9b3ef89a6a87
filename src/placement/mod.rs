//! Floor 1: which node new bytes go to.
//!
//! A **placement policy** is asked once for each new value and answers one node. It is pure: what
//! it must know of the machine comes in a [`Scene`], what it must remember lies in [`Placement`].
//! It answers a *wish*; where that node is full, the pool goes on along [`Placement::order`] and
//! counts a fallback, so that a wish that could not be had stays visible.
//!
//! ```text
//! local_first     the start node (numa-default-node, else home)
//! interleaved     even over the nodes, by the hash of the key: the same key, the same node
//! round_robin     the next node each time
//! weighted        smooth weighted round-robin, exact
//! pressure_aware  the node with the largest share free
//! cxl_optimized   small values at the start node, others on CPU-less nodes, else the farthest
//! ```
//!
//! A node that the process may not use is never answered.
//!
//! With `cxl_optimization` on, the four spreading policies leave the CPU-less nodes to values of
//! `min_allocation_size` and more: a small value is fetched whole by one access, so it gains most
//! from a near node, and it fills little of it.
//!
//! `min_allocation_size` 0 draws no line between small and large, so nothing is large: both the
//! flag and `cxl_optimized` then keep everything near. The other reading, "no value is below 0,
//! so all go far", is what an operator who switches a limit off least expects.

mod orders;
mod spread;
mod weighted;

pub use crate::config::PolicyName as Policy;
use crate::ids::{Bytes, NodeId};
use crate::machine::Topology;
use orders::Orders;
use spread::{by_hash, next_after};
use weighted::SmoothRoundRobin;

/// What a policy may look at.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The machine.
    pub topology: &'a Topology,
    /// The node of the main thread.
    pub home: NodeId,
    /// Where placement begins: `numa-default-node`, else home.
    pub start: NodeId,
    /// `min_allocation_size` in bytes.
    pub min_allocation_size: u64,
    /// `cxl_optimization`.
    pub cxl_optimization: bool,
    /// The weight of each node, as set, else [`default_weight`].
    pub weights: &'a dyn Fn(NodeId) -> u32,
    /// What is free on each node and what it could hold at most. The caller keeps it fresh: it
    /// takes off what went there since it last asked the machine.
    pub room: &'a dyn Fn(NodeId) -> (Bytes, Bytes),
}

impl Scene<'_> {
    /// Whether a value is one that the far side may have.
    fn is_large(&self, size: usize) -> bool {
        self.min_allocation_size > 0 && size as u64 >= self.min_allocation_size
    }

    /// The usable nodes that a spreading policy may give a value of that size.
    fn candidates(&self, size: usize) -> impl Iterator<Item = NodeId> + Clone + '_ {
        let with_cpus_only = self.cxl_optimization && !self.is_large(size) && self.has_cpu_node();
        let nodes = self
            .topology
            .nodes
            .iter()
            .filter(move |node| node.allowed && !(with_cpus_only && node.is_cpuless()));
        nodes.map(|node| node.id)
    }

    fn has_cpu_node(&self) -> bool {
        let mut nodes = self.topology.nodes.iter();
        nodes.any(|node| node.allowed && !node.is_cpuless())
    }

    /// The usable nodes that have no CPU.
    fn cpuless(&self) -> impl Iterator<Item = NodeId> + Clone + '_ {
        let nodes = self.topology.nodes.iter();
        let cpuless = nodes.filter(|node| node.allowed && node.is_cpuless());
        cpuless.map(|node| node.id)
    }
}

/// The policy in force and what it remembers from one value to the next.
#[derive(Debug, Default)]
pub struct Placement {
    policy: Policy,
    last: Option<NodeId>,
    weighted: SmoothRoundRobin,
    orders: Orders,
}

impl Placement {
    /// Placement by that policy, from its beginning.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Puts another policy in force; it starts from its beginning.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.last = None;
        self.weighted = SmoothRoundRobin::default();
    }

    /// The node that a new value of `size` bytes shall go to; `key_hash` is any hash of its key.
    pub fn choose(&mut self, scene: &Scene<'_>, size: usize, key_hash: u64) -> NodeId {
        let chosen = match self.policy {
            Policy::LocalFirst => None,
            Policy::Interleaved => by_hash(scene.candidates(size), key_hash),
            Policy::RoundRobin => {
                self.last = next_after(scene.candidates(size), self.last);
                self.last
            }
            Policy::Weighted => self.weighted.next(scene.candidates(size), scene.weights),
            Policy::PressureAware => self.freest(scene, size),
            Policy::CxlOptimized if scene.is_large(size) => self.far(scene, key_hash),
            Policy::CxlOptimized => None,
        };
        chosen.unwrap_or_else(|| self.near(scene))
    }

    /// The way that the pool goes for a value: `first`, then the nearest from there. Usable nodes
    /// only, each once. The topology must be the same at each call.
    #[must_use]
    pub fn order(&self, topology: &Topology, first: NodeId) -> &[NodeId] {
        self.orders.from(topology, first)
    }

    /// The start node, or the nearest usable one.
    fn near(&self, scene: &Scene<'_>) -> NodeId {
        let order = self.orders.from(scene.topology, scene.start);
        order.first().copied().unwrap_or(scene.start)
    }

    /// The node with the largest share free; of equals the nearest.
    fn freest(&self, scene: &Scene<'_>, size: usize) -> Option<NodeId> {
        let mut best: Option<(NodeId, (Bytes, Bytes))> = None;
        for &node in self.orders.from(scene.topology, scene.start) {
            let room = (scene.room)(node);
            let is_freer = best.is_none_or(|(_, held)| has_larger_share(room, held));
            if is_freer && scene.candidates(size).any(|candidate| candidate == node) {
                best = Some((node, room));
            }
        }
        best.map(|(node, _)| node)
    }

    /// Any CPU-less node by hash, or the farthest from home where there is none.
    fn far(&self, scene: &Scene<'_>, key_hash: u64) -> Option<NodeId> {
        by_hash(scene.cpuless(), key_hash).or_else(|| {
            let order = self.orders.from(scene.topology, scene.home);
            order.last().copied()
        })
    }
}

/// Whether free/capacity of `a` is larger than that of `b`; a node of no capacity has no share.
fn has_larger_share(a: (Bytes, Bytes), b: (Bytes, Bytes)) -> bool {
    let cross = |free: Bytes, of: Bytes| u128::from(free.0) * u128::from(of.0);
    match (a.1, b.1) {
        (Bytes::ZERO, _) => false,
        (_, Bytes::ZERO) => a.0 > Bytes::ZERO,
        _ => cross(a.0, b.1) > cross(b.0, a.1),
    }
}

/// The weight of the node with the largest bandwidth.
const WEIGHT_FULL: u32 = 100;

/// The weight of a node that was given none: its share of the largest bandwidth that the machine
/// reports, the fastest node at 100, none below 1; 100 where its bandwidth is not reported.
#[must_use]
pub fn default_weight(topology: &Topology, node: NodeId) -> u32 {
    let reported = |id| topology.node(id).and_then(|node| node.bandwidth_mbps);
    let most = topology.usable().filter_map(reported).max().unwrap_or(0);
    match reported(node) {
        Some(own) if most > 0 => {
            let share = u64::from(own) * u64::from(WEIGHT_FULL) / u64::from(most);
            (share as u32).clamp(1, WEIGHT_FULL)
        }
        _ => WEIGHT_FULL,
    }
}

#[cfg(test)]
mod tests;
