//! Where new bytes go: the placement policy with the scene it looks at.

use crate::config::Config;
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, Topology};
use crate::placement::{default_weight, Placement, Policy, Scene};
use crate::pool::PoolHandle;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// The policy and what of the configuration it needs.
pub(crate) struct Steering {
    machine: &'static dyn Machine,
    pool: PoolHandle,
    placement: Placement,
    home: NodeId,
    config: Config,
    /// The most that values could take on each node when the machine was asked last, once a
    /// second: what was mapped then and what was free. Empty before the first time.
    mosts: BTreeMap<NodeId, Bytes>,
}

impl Steering {
    pub(crate) fn new(
        machine: &'static dyn Machine,
        pool: PoolHandle,
        home: NodeId,
        config: &Config,
    ) -> Self {
        let placement = Placement::new(config.policy);
        let mut made = Self {
            machine,
            pool,
            placement,
            home,
            config: config.clone(),
            mosts: BTreeMap::new(),
        };
        made.apply(config);
        made
    }

    pub(crate) fn apply(&mut self, config: &Config) {
        // Switched off, the module still has to put new values somewhere: at home.
        let policy = if config.enabled {
            config.policy
        } else {
            Policy::LocalFirst
        };
        if policy != self.placement.policy() {
            self.placement.set_policy(policy);
        }
        self.config = config.clone();
    }

    pub(crate) fn set_home(&mut self, home: NodeId) {
        self.home = home;
    }

    /// Takes what the machine said that each node could hold just now.
    pub(crate) fn set_mosts(&mut self, mosts: &BTreeMap<NodeId, Bytes>) {
        self.mosts.clone_from(mosts);
    }

    /// Hands `work` the nodes to try for a new value of `size` bytes at `key`, best first.
    pub(crate) fn with_order<R>(
        &mut self,
        size: usize,
        key: &[u8],
        work: impl FnOnce(&[NodeId]) -> R,
    ) -> R {
        let topology = self.machine.topology();
        let (pool, config, mosts) = (self.pool, &self.config, &self.mosts);
        let scene = Scene {
            topology,
            home: self.home,
            start: config.default_node.unwrap_or(self.home),
            min_allocation_size: config.min_allocation_size.0,
            cxl_optimization: config.cxl_optimization,
            weights: &|node| weight(config, topology, node),
            room: &|node| room(pool, topology, mosts, node),
        };
        let first = self.placement.choose(&scene, size, hash(key));
        // For the control test of `make test-numa`: the policy is asked and not heeded.
        #[cfg(feature = "broken-policy")]
        let first = if first == self.home { first } else { self.home };
        work(self.placement.order(topology, first))
    }

    /// Hands `work` the nodes to try for bytes that belong on `first`, best first.
    pub(crate) fn with_order_from<R>(
        &mut self,
        first: NodeId,
        work: impl FnOnce(&[NodeId]) -> R,
    ) -> R {
        work(self.placement.order(self.machine.topology(), first))
    }
}

/// Free bytes and capacity of a node as the pool may use it: no more than its limit, and no more
/// than others on the machine leave.
fn room(
    pool: PoolHandle,
    topology: &Topology,
    mosts: &BTreeMap<NodeId, Bytes>,
    node: NodeId,
) -> (Bytes, Bytes) {
    let capacity = topology
        .node(node)
        .map_or(Bytes::ZERO, |node| node.capacity);
    let usage = pool.usage(node);
    let whole = usage.limit.min(capacity);
    let most = mosts.get(&node).map_or(whole, |most| whole.min(*most));
    (most - usage.live, whole)
}

fn weight(config: &Config, topology: &Topology, node: NodeId) -> u32 {
    let given = config.node_weights.get(&node).copied();
    given.unwrap_or_else(|| default_weight(topology, node))
}

/// A hash of the key's name that is the same in each run, so that `interleaved` places a key
/// where it placed it before a restart.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}
