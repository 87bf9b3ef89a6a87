//! What the tests of the types share: a pool on three nodes, and a berth for what is loaded.

use super::contract::{Landing, Value};
use crate::heat::{Heat, Level};
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, SimNode, SimulatedMachine};
use crate::pool::{Meter, PoolHandle, Turn};
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

pub(crate) const NODES: usize = 3;

#[derive(Default)]
struct Charged(AtomicI64);

impl Meter for Charged {
    fn charge(&self, delta: i64) {
        self.0.fetch_add(delta, Relaxed);
    }
}

pub(crate) fn id(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A pool on three made-up nodes of that capacity; the test thread owns it.
pub(crate) fn pool_of(capacity: Bytes) -> PoolHandle {
    let node = |number| SimNode {
        id: id(number),
        capacity,
        latency_ns: 100 * (number as u32 + 1),
        cpuless: number == 2,
    };
    let nodes: Vec<_> = (0..NODES).map(node).collect();
    let machine: &'static dyn Machine = Box::leak(Box::new(SimulatedMachine::new(&nodes).unwrap()));
    PoolHandle::new(machine, Box::leak(Box::<Charged>::default()))
}

pub(crate) fn pool() -> PoolHandle {
    pool_of(Bytes::mib(64))
}

pub(crate) fn live(pool: PoolHandle) -> u64 {
    (0..NODES).map(|n| pool.usage(id(n)).live.0).sum()
}

pub(crate) fn assert_all_home(pool: PoolHandle) {
    assert_eq!(pool.check(), Ok(()));
    assert_eq!(live(pool), 0, "every block came home");
}

/// One round of compaction of that value, in slices of about `budget` bytes.
pub(crate) fn compact(pool: PoolHandle, value: &mut dyn Value, budget: usize) {
    let mut turn = Some(Turn::default());
    while let Some(next) = turn {
        turn = pool.choose_leaving(next);
    }
    let mut next = Some(0);
    // A slice comes further by an entry at the least, and none takes less than a byte.
    for _ in 0..=value.memory() {
        let Some(from) = next else { break };
        next = value.compact(from, budget).next;
    }
    assert_eq!(next, None, "a compaction comes to its end");
    pool.recall_leaving();
}

pub(crate) fn hot() -> Heat {
    Heat {
        stamp: 7,
        accesses: 9,
        counter: 100,
        level: Level::clamped(5),
    }
}

/// A sample of a value shows different blocks of it, about as many as were asked for; all where it
/// has no more.
pub(crate) fn assert_sampled(value: &dyn Value) {
    let blocks = value.blocks();
    assert!(blocks > 600);
    for most in [64, blocks] {
        let (mut seen, mut own) = (HashSet::new(), HashSet::new());
        value.sample_blocks(most, &mut |block| {
            seen.insert(block.addr());
        });
        value.visit_blocks(&mut |block| own.insert(block.addr()));
        assert!(seen.is_subset(&own));
        let count = seen.len();
        assert!(
            count >= most / 2 && count <= 2 * most + 2,
            "{count} of {most}"
        );
    }
}

/// A landing that always names the same nodes and knows no limits.
pub(crate) struct Berth {
    pub(crate) pool: PoolHandle,
    pub(crate) nodes: Vec<NodeId>,
}

impl Berth {
    pub(crate) fn on(pool: PoolHandle, node: usize) -> Self {
        Self {
            pool,
            nodes: vec![id(node)],
        }
    }
}

impl Landing for Berth {
    fn pool(&self) -> PoolHandle {
        self.pool
    }

    fn order(&mut self, _size: usize) -> Vec<NodeId> {
        self.nodes.clone()
    }

    fn beyond_limits(&mut self, work: &mut dyn FnMut()) {
        work();
    }
}
