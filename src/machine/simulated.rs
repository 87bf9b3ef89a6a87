//! A machine of `numa-simulate`: made-up nodes on the memory of the real one.
//!
//! Every decision of the module can be exercised with it, no latency can. Its memory is anonymous
//! and unbound; which node a byte "lies on" is what the ledger says it was mapped for. A node that
//! has given out its capacity has no more: it does not spill, so that a full node is seen.
//!
//! The numbers follow from the user's one latency per node, which is what the first node's CPUs
//! would see:
//! * nodes with CPUs are sockets of one kind. Each serves its own CPUs with the lowest latency that
//!   any of them was given, and two of them see each other with the higher latency of the pair;
//! * a node without CPUs shows every CPU the latency that it was given;
//! * a distance is that latency relative to the local one, which is 10;
//! * the tier ranks the latencies as the user gave them.
//!
//! The real CPUs belong to the first node that has CPUs. Later nodes with CPUs get numbers beyond
//! the last real CPU, so that no thread is ever seen there: home changes only when it is told to.
//! Rejected: dealing the real CPUs out, where the scheduler alone would move home about.

use super::ledger::Ledger;
use super::linux;
use super::topology::{NodeInfo, Topology, DISTANCE_LOCAL};
use super::{tiers, Machine, MapError, Mapping, Residency};
use crate::ids::{Bytes, NodeId};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the log and INFO say of every simulated machine.
const NOTICE: &str = "simulated machine: its nodes are made up, placement is counted but nothing \
                      gets faster; leave out numa-simulate to use the real nodes";

/// One node as the user describes it: `<node>:<bytes>:<latency_ns>[:cpuless]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SimNode {
    /// The number it gets.
    pub id: NodeId,
    /// How much it holds.
    pub capacity: Bytes,
    /// The read latency in ns that CPUs of the first node see.
    pub latency_ns: u32,
    /// Whether it has memory only (CXL).
    pub cpuless: bool,
}

/// Made-up nodes on the memory of the real machine.
#[derive(Debug)]
pub struct SimulatedMachine {
    topology: Topology,
    /// The node that owns the real CPUs.
    first: NodeId,
    ledger: Mutex<Ledger>,
}

impl SimulatedMachine {
    /// A machine of these nodes, in any order.
    ///
    /// # Errors
    /// Names what no machine can have: no node, a node twice, a node without memory or latency,
    /// no CPUs at all.
    pub fn new(nodes: &[SimNode]) -> Result<Self, String> {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| node.id);
        let first = check(&nodes)?;
        let topology = shape(&nodes, first, &memory::cpus());
        Ok(Self {
            topology,
            first,
            ledger: Mutex::default(),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The node that gets the real CPUs, or what is wrong.
fn check(nodes: &[SimNode]) -> Result<NodeId, String> {
    let twice = nodes.windows(2).find_map(|pair| match pair {
        [a, b] if a.id == b.id => Some(a.id),
        _ => None,
    });
    if let Some(id) = twice {
        return Err(format!("node {id} is named twice"));
    }
    if let Some(node) = nodes.iter().find(|node| node.capacity < linux::os_page()) {
        return Err(format!("node {} holds less than one OS page", node.id));
    }
    if let Some(node) = nodes.iter().find(|node| node.latency_ns == 0) {
        return Err(format!("node {} has a latency of 0 ns", node.id));
    }
    let first = nodes.iter().find(|node| !node.cpuless);
    let first = first.ok_or("no node has CPUs: leave 'cpuless' off one of them")?;
    Ok(first.id)
}

fn shape(nodes: &[SimNode], first: NodeId, real_cpus: &[usize]) -> Topology {
    let with_cpus = nodes.iter().filter(|node| !node.cpuless);
    let local = with_cpus.map(|node| node.latency_ns).min().unwrap_or(1);
    let mut next_cpu = real_cpus.last().map_or(1, |last| last + 1);
    let mut infos = Vec::with_capacity(nodes.len());
    for node in nodes {
        let phantom = next_cpu..next_cpu + real_cpus.len();
        let cpus = match (node.cpuless, node.id == first) {
            (true, _) => Vec::new(),
            (false, true) => real_cpus.to_vec(),
            (false, false) => {
                next_cpu = phantom.end;
                phantom.collect()
            }
        };
        infos.push(info(node, nodes, cpus, local));
    }
    let mut topology = Topology { nodes: infos };
    let given: Vec<Option<u32>> = nodes.iter().map(|node| Some(node.latency_ns)).collect();
    tiers::rank(&mut topology.nodes, &given);
    topology
}

fn info(node: &SimNode, nodes: &[SimNode], cpus: Vec<usize>, local: u32) -> NodeInfo {
    let seen_from = |from: &SimNode| (!from.cpuless).then(|| latency(from, node, local));
    let distance = |to: &SimNode| match node.id == to.id {
        true => DISTANCE_LOCAL,
        false => scaled(latency(node, to, local), local),
    };
    NodeInfo {
        id: node.id,
        cpus,
        capacity: node.capacity,
        tier: 0,
        distances: nodes.iter().map(distance).collect(),
        latency_ns: nodes.iter().map(seen_from).collect(),
        bandwidth_mbps: None,
        allowed: true,
    }
}

fn latency(from: &SimNode, to: &SimNode, local: u32) -> u32 {
    match (from.cpuless, to.cpuless) {
        (false, false) if from.id == to.id => local,
        (false, true) => to.latency_ns,
        (true, false) => from.latency_ns,
        (false, false) | (true, true) => from.latency_ns.max(to.latency_ns),
    }
}

/// The latency on the scale of distances, where 255 is the farthest that firmware can say.
fn scaled(latency: u32, local: u32) -> u32 {
    let relative = u64::from(latency) * u64::from(DISTANCE_LOCAL) / u64::from(local.max(1));
    u32::try_from(relative)
        .unwrap_or(255)
        .clamp(DISTANCE_LOCAL, 255)
}

impl Machine for SimulatedMachine {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn map(&self, len: Bytes, align: Bytes, node: NodeId) -> Result<Mapping, MapError> {
        let info = self.topology.node(node);
        let info = info.ok_or(MapError::NodeUnavailable(node))?;
        let len = linux::whole_pages(len).ok_or(MapError::OutOfMemory)?;
        let align = align.max(linux::os_page()).0.checked_next_power_of_two();
        let align = align.ok_or(MapError::OutOfMemory)?;
        let mut ledger = self.ledger();
        if Bytes::from(len) > info.capacity - ledger.mapped(node) {
            return Err(MapError::OutOfMemory);
        }
        let base = memory::take(len, Bytes(align).as_usize(), node);
        let base = base.ok_or(MapError::OutOfMemory)?;
        let len = Bytes::from(len);
        let mapping = Mapping { base, len, node };
        ledger.enter(&mapping);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) {
        if self.ledger().strike(&mapping) {
            // SAFETY: `map` gave out this very range; it was struck just now, so it goes back
            // once, and its one owner gave it up by handing it over.
            unsafe { memory::give_back(&mapping) };
        }
    }

    fn discard(&self, mapping: &Mapping, range: Range<usize>) {
        let pages = linux::inner_pages(mapping, &range);
        if pages.is_empty() || !self.ledger().holds(mapping) {
            return;
        }
        // SAFETY: `inner_pages` keeps the offset within the mapping, which the ledger knows.
        let base = unsafe { mapping.base.add(pages.start) };
        // SAFETY: whole OS pages of a mapping that we gave out; the borrow keeps it mapped, and
        // its owner gives these bytes up.
        unsafe { memory::discard(base, pages.len()) };
    }

    fn room(&self, node: NodeId) -> Bytes {
        let capacity = self.topology.node(node).map(|info| info.capacity);
        capacity.unwrap_or(Bytes::ZERO) - self.ledger().mapped(node)
    }

    fn residency(&self, pages: &[usize], answers: &mut [Residency]) {
        let ledger = self.ledger();
        for (answer, &page) in answers.iter_mut().zip(pages) {
            *answer = ledger
                .node_of(page)
                .map_or(Residency::Absent, Residency::On);
        }
    }

    /// Touched bytes of our mappings on their nodes; the rest of the process on the first node.
    fn process_bytes(&self) -> Result<Vec<(NodeId, Bytes)>, String> {
        let ranges: Vec<(Range<usize>, NodeId)> = self.ledger().each().collect();
        let whole = memory::whole_process()?;
        let mut rest = whole;
        let mut totals: Vec<(NodeId, Bytes)> =
            self.topology.ids().map(|id| (id, Bytes::ZERO)).collect();
        for (range, node) in ranges {
            let touched = memory::touched(range);
            rest -= touched;
            if let Some((_, total)) = totals.iter_mut().find(|(id, _)| *id == node) {
                *total += touched;
            }
        }
        if let Some((_, total)) = totals.iter_mut().find(|(id, _)| *id == self.first) {
            *total += rest;
        }
        Ok(totals)
    }

    fn current_cpu_node(&self) -> Option<NodeId> {
        Some(self.first)
    }

    fn degraded(&self) -> Option<&str> {
        Some(NOTICE)
    }

    fn is_simulated(&self) -> bool {
        true
    }
}

/// The memory under the made-up nodes: the kernel's.
#[cfg(not(miri))]
mod memory {
    use super::super::{linux, residency, sysfs};
    use super::{Bytes, Mapping, NodeId, Residency};
    use std::ops::Range;
    use std::path::Path;
    use std::ptr::NonNull;

    pub(super) use linux::discard;

    pub(super) fn cpus() -> Vec<usize> {
        sysfs::online_cpus(Path::new("/"))
    }

    pub(super) fn take(len: usize, align: usize, node: NodeId) -> Option<NonNull<u8>> {
        let base = linux::reserve(len, align)?;
        linux::name_range(base, len, &format!("redis-numa simulated node {node}"));
        Some(base)
    }

    /// # Safety
    /// * the mapping came from [`take`] and goes back once;
    /// * nobody uses it any more.
    pub(super) unsafe fn give_back(mapping: &Mapping) {
        // SAFETY: the caller's duties are the same.
        unsafe { linux::release(mapping.base, mapping.len.as_usize()) };
    }

    pub(super) fn whole_process() -> Result<Bytes, String> {
        let totals = residency::totals(Path::new("/proc/self/numa_maps"))?;
        Ok(totals.into_iter().map(|(_, bytes)| bytes).sum())
    }

    /// Bytes of the range that the kernel really holds.
    pub(super) fn touched(range: Range<usize>) -> Bytes {
        /// OS pages asked about at once.
        const BATCH: usize = 512;
        let page = linux::os_page().as_usize();
        let mut present = Bytes::ZERO;
        for start in range.clone().step_by(BATCH * page) {
            let end = range.end.min(start + BATCH * page);
            let pages: Vec<usize> = (start..end).step_by(page).collect();
            let mut answers = vec![Residency::Absent; pages.len()];
            if linux::query(&pages, &mut answers).is_err() {
                return Bytes::from(range.len());
            }
            let here = answers.iter().filter(|a| matches!(a, Residency::On(_)));
            present += Bytes::from(here.count() * page);
        }
        present
    }
}

/// The memory under the made-up nodes where an interpreter knows no system calls.
#[cfg(miri)]
mod memory {
    use super::super::linux;
    use super::{Bytes, Mapping, NodeId};
    use std::alloc::{alloc_zeroed, dealloc, Layout};
    use std::collections::BTreeMap;
    use std::ops::Range;
    use std::ptr::NonNull;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// The alignment that each mapping was taken with: giving back needs it again.
    static LAYOUTS: Mutex<BTreeMap<usize, Layout>> = Mutex::new(BTreeMap::new());

    fn layouts() -> MutexGuard<'static, BTreeMap<usize, Layout>> {
        LAYOUTS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cpus() -> Vec<usize> {
        vec![0, 1]
    }

    pub(super) fn take(len: usize, align: usize, _: NodeId) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(len, align).ok()?;
        // SAFETY: `whole_pages` makes the length at least one OS page, never 0.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        layouts().insert(base.as_ptr().addr(), layout);
        Some(base)
    }

    /// # Safety
    /// * the mapping came from [`take`] and goes back once;
    /// * nobody uses it any more.
    pub(super) unsafe fn give_back(mapping: &Mapping) {
        let layout = layouts().remove(&mapping.base.as_ptr().addr());
        if let Some(layout) = layout {
            // SAFETY: taken with this layout, and by the caller's duty given back once.
            unsafe { dealloc(mapping.base.as_ptr(), layout) };
        }
    }

    /// # Safety
    /// * the range lies within a mapping that came from [`take`];
    /// * nobody holds a reference into it.
    pub(super) unsafe fn discard(base: NonNull<u8>, len: usize) {
        // SAFETY: the caller's duties; zeroes are what the kernel would leave.
        unsafe { base.write_bytes(0, len) };
    }

    pub(super) fn whole_process() -> Result<Bytes, String> {
        let sizes = layouts();
        Ok(sizes
            .values()
            .map(|layout| Bytes::from(layout.size()))
            .sum())
    }

    pub(super) fn touched(range: Range<usize>) -> Bytes {
        let page = linux::os_page().as_usize();
        Bytes::from(range.len() / page * page)
    }
}
