//! A simulated machine whose mappings can be made to fail, and a meter that adds up.

use super::faults::fed;
use super::{Meter, PoolHandle};
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, MapError, Mapping, Residency, SimNode, SimulatedMachine, Topology};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

/// Fails the mapping calls it is told to; counts what is asked of it.
pub(super) struct TestMachine {
    inner: SimulatedMachine,
    failing: Mutex<Range<u64>>,
    refusing: Mutex<Range<u64>>,
    pub(super) map_calls: AtomicU64,
    pub(super) widen_calls: AtomicU64,
    pub(super) room_questions: AtomicU64,
    pub(super) discarded: AtomicU64,
    pub(super) mapped: AtomicI64,
}

impl TestMachine {
    fn new(capacities: &[Bytes]) -> Self {
        let sim = |(index, &capacity): (usize, &Bytes)| SimNode {
            id: node(index),
            capacity,
            latency_ns: 100 * (index as u32 + 1),
            cpuless: index > 0,
        };
        let nodes: Vec<SimNode> = capacities.iter().enumerate().map(sim).collect();
        Self {
            inner: SimulatedMachine::new(&nodes).unwrap(),
            failing: Mutex::new(0..0),
            refusing: Mutex::new(0..0),
            widen_calls: AtomicU64::new(0),
            map_calls: AtomicU64::new(0),
            room_questions: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            mapped: AtomicI64::new(0),
        }
    }

    /// Lets these calls of `map`, counted from 0, fail.
    pub(super) fn fail(&self, calls: Range<u64>) {
        *self.failing.lock().unwrap() = calls;
    }

    /// Refuses these calls of `widen`, counted from 0.
    pub(super) fn refuse_to_widen(&self, calls: Range<u64>) {
        *self.refusing.lock().unwrap() = calls;
    }
}

impl Machine for TestMachine {
    fn topology(&self) -> &Topology {
        self.inner.topology()
    }

    fn map(&self, len: Bytes, align: Bytes, node: NodeId) -> Result<Mapping, MapError> {
        let call = self.map_calls.fetch_add(1, Relaxed);
        if self.failing.lock().unwrap().contains(&call) {
            return Err(MapError::OutOfMemory);
        }
        let mapping = fed(|| self.inner.map(len, align, node))?;
        self.mapped.fetch_add(mapping.len.0 as i64, Relaxed);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) {
        self.mapped.fetch_sub(mapping.len.0 as i64, Relaxed);
        fed(|| self.inner.unmap(mapping));
    }

    fn widen(&self, old: Mapping, wider: Mapping) -> Result<Mapping, Mapping> {
        let call = self.widen_calls.fetch_add(1, Relaxed);
        let (len, wide) = (old.len.0 as i64, wider.len.0 as i64);
        if self.refusing.lock().unwrap().contains(&call) {
            self.unmap(wider);
            return Err(old);
        }
        let widened = fed(|| self.inner.widen(old, wider));
        let gone = if widened.is_ok() { len } else { wide };
        self.mapped.fetch_sub(gone, Relaxed);
        widened
    }

    fn discard(&self, mapping: &Mapping, range: Range<usize>) {
        self.discarded.fetch_add(range.len() as u64, Relaxed);
        self.inner.discard(mapping, range);
    }

    fn room(&self, node: NodeId) -> Bytes {
        self.room_questions.fetch_add(1, Relaxed);
        self.inner.room(node)
    }

    fn residency(&self, pages: &[usize], answers: &mut [Residency]) {
        self.inner.residency(pages, answers);
    }

    fn process_bytes(&self) -> Result<Vec<(NodeId, Bytes)>, String> {
        self.inner.process_bytes()
    }

    fn current_cpu_node(&self) -> Option<NodeId> {
        self.inner.current_cpu_node()
    }

    fn degraded(&self) -> Option<&str> {
        self.inner.degraded()
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

/// Adds up.
#[derive(Default)]
pub(super) struct SumMeter {
    pub(super) sum: AtomicI64,
    pub(super) calls: AtomicU64,
}

impl Meter for SumMeter {
    fn charge(&self, delta: i64) {
        self.sum.fetch_add(delta, Relaxed);
        self.calls.fetch_add(1, Relaxed);
    }
}

/// A pool with its machine and its meter.
pub(super) struct Bench {
    pub(super) pool: PoolHandle,
    pub(super) machine: &'static TestMachine,
    pub(super) meter: &'static SumMeter,
}

/// The node of that number.
pub(super) fn node(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A pool over nodes of these capacities, owned by the calling thread.
pub(super) fn bench(capacities: &[Bytes]) -> Bench {
    let machine: &'static TestMachine = Box::leak(Box::new(TestMachine::new(capacities)));
    let meter: &'static SumMeter = Box::leak(Box::default());
    Bench {
        pool: PoolHandle::new(machine, meter),
        machine,
        meter,
    }
}

impl Bench {
    /// Live bytes over all nodes.
    pub(super) fn live(&self) -> u64 {
        self.each(|usage| usage.live.0)
    }

    /// A figure summed over all nodes.
    pub(super) fn each(&self, figure: impl Fn(super::NodeUsage) -> u64) -> u64 {
        let ids = self.machine.topology().nodes.iter().map(|info| info.id);
        ids.map(|id| figure(self.pool.usage(id))).sum()
    }

    /// Books, gauges, meter and machine agree.
    pub(super) fn check(&self) {
        self.pool.check().unwrap();
        self.pool.flush_charge();
        assert_eq!(self.meter.sum.load(Relaxed), self.live() as i64);
        assert_eq!(
            self.machine.mapped.load(Relaxed) as u64,
            self.each(|usage| usage.mapped.0)
        );
    }

    /// Gives back all that lies empty; the bytes.
    pub(super) fn trim_all(&self) -> Bytes {
        self.pool.release_idle();
        let steps = std::iter::repeat_with(|| self.pool.trim());
        steps.take_while(|bytes| *bytes != Bytes::ZERO).sum()
    }

    /// Everything came home: no live block, and no more than a spare region a node.
    pub(super) fn check_all_home(&self) {
        self.pool.drain(usize::MAX);
        self.trim_all();
        self.check();
        assert_eq!((self.live(), self.each(|usage| usage.blocks)), (0, 0));
        assert_eq!(self.each(|usage| usage.held.0), 0);
    }
}
