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
use super::spaces::Spaces;
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
    /// What the arenas of the server carve up.
    spaces: Mutex<Spaces>,
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
            spaces: Mutex::default(),
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spaces(&self) -> MutexGuard<'_, Spaces> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn widen(&self, old: Mapping, wider: Mapping) -> Result<Mapping, Mapping> {
        let mut ledger = self.ledger();
        if !ledger.can_widen(&old, &wider) {
            drop(ledger);
            self.unmap(wider);
            return Err(old);
        }
        // SAFETY: both are mappings that we gave out, the ledger says so, and not the same; their
        // one owner handed them over, so nobody else uses either.
        if !unsafe { memory::widen(&old, &wider) } {
            // As on a real machine: the place may be somebody else's by now.
            ledger.strike(&wider);
            return Err(old);
        }
        ledger.strike(&old);
        Ok(wider)
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

    fn reserve(&self, len: Bytes, node: NodeId) -> Result<Mapping, MapError> {
        let info = self.topology.node(node);
        info.ok_or(MapError::NodeUnavailable(node))?;
        let bytes = linux::whole_pages(len).ok_or(MapError::OutOfMemory)?;
        let base = memory::reserve(bytes, node).ok_or(MapError::OutOfMemory)?;
        let len = Bytes::from(bytes);
        let mapping = Mapping { base, len, node };
        self.spaces().enter(&mapping);
        Ok(mapping)
    }

    fn note_held(&self, node: NodeId, held: Bytes) {
        self.spaces().note_held(node, held);
    }

    fn room(&self, node: NodeId) -> Bytes {
        let capacity = self.topology.node(node).map(|info| info.capacity);
        let used = self.ledger().mapped(node) + self.spaces().held(node);
        capacity.unwrap_or(Bytes::ZERO) - used
    }

    fn residency(&self, pages: &[usize], answers: &mut [Residency]) {
        let (ledger, spaces) = (self.ledger(), self.spaces());
        for (answer, &page) in answers.iter_mut().zip(pages) {
            *answer = ledger
                .node_of(page)
                .or_else(|| spaces.node_of(page))
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
        for (id, total) in &mut totals {
            let held = self.spaces().held(*id);
            rest -= held;
            *total += held;
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

    pub(super) fn reserve(len: usize, node: NodeId) -> Option<NonNull<u8>> {
        let base = linux::reserve_space(len)?;
        linux::name_range(base, len, &format!("redis-numa simulated native {node}"));
        Some(base)
    }

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

    /// # Safety
    /// * both mappings came from [`take`], the second one is as long at least and fresh;
    /// * nobody uses either; the first one is gone where the answer is true.
    pub(super) unsafe fn widen(old: &Mapping, wider: &Mapping) -> bool {
        let (len, wide) = (old.len.as_usize(), wider.len.as_usize());
        // SAFETY: the caller's duties are the same.
        unsafe { linux::move_pages_to(old.base, len, wider.base, wide) }
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

    /// No address space without memory here.
    pub(super) fn reserve(_: usize, _: NodeId) -> Option<NonNull<u8>> {
        None
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
    /// * both mappings came from [`take`], the second one is as long at least;
    /// * nobody uses either; the first one is gone afterwards.
    pub(super) unsafe fn widen(old: &Mapping, wider: &Mapping) -> bool {
        let (from, to) = (old.base.as_ptr(), wider.base.as_ptr());
        // SAFETY: two allocations, both at least as long as the first.
        unsafe { from.copy_to_nonoverlapping(to, old.len.as_usize()) };
        // SAFETY: the caller gives the first one up.
        unsafe { give_back(old) };
        true
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::NonNull;

    fn id(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn node(number: usize, mib: u64, latency_ns: u32, cpuless: bool) -> SimNode {
        let (id, capacity) = (id(number), Bytes::mib(mib));
        SimNode {
            id,
            capacity,
            latency_ns,
            cpuless,
        }
    }

    /// Two sockets and a CXL node.
    fn machine() -> SimulatedMachine {
        let nodes = [
            node(2, 8, 250, true),
            node(0, 4, 80, false),
            node(1, 4, 140, false),
        ];
        SimulatedMachine::new(&nodes).unwrap()
    }

    fn where_is(machine: &SimulatedMachine, address: usize) -> Residency {
        let mut answer = [Residency::Unknown];
        machine.residency(&[address], &mut answer);
        answer[0]
    }

    fn read(at: NonNull<u8>) -> u8 {
        // SAFETY: the tests pass addresses within a mapping that they hold.
        unsafe { at.read() }
    }

    fn at(mapping: &Mapping, offset: usize) -> NonNull<u8> {
        assert!(offset < mapping.len.as_usize());
        // SAFETY: within the mapping, as asserted.
        unsafe { mapping.base.add(offset) }
    }

    fn write(at: NonNull<u8>, byte: u8) {
        // SAFETY: the tests pass addresses within a mapping that they hold.
        unsafe { at.write(byte) }
    }

    #[test]
    fn latencies_and_distances_follow_from_one_figure_a_node() {
        let machine = machine();
        let topology = machine.topology();
        assert_eq!(topology.ids().collect::<Vec<_>>(), [0, 1, 2].map(id));
        let rows = topology.nodes.iter().map(|node| node.latency_ns.clone());
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows[0], [Some(80), Some(140), None]);
        assert_eq!(rows[1], [Some(140), Some(80), None]);
        assert_eq!(rows[2], [Some(250), Some(250), None]);
        assert_eq!(topology.nodes[0].distances, [10, 17, 31]);
        assert_eq!(topology.nodes[2].distances, [31, 31, 10]);
        assert_eq!(topology.nearest_first(id(1)), [1, 0, 2].map(id));
        assert_eq!(topology.nearest_first(id(2)), [2, 0, 1].map(id));
        let tiers = topology.nodes.iter().map(|node| node.tier);
        assert_eq!(tiers.collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn only_the_first_node_with_cpus_has_real_ones() {
        let machine = machine();
        let nodes = &machine.topology().nodes;
        let real = memory::cpus();
        assert_eq!(nodes[0].cpus, real);
        assert_eq!(nodes[1].cpus.len(), real.len());
        assert!(nodes[1].cpus.iter().all(|cpu| !real.contains(cpu)));
        assert!(nodes[2].is_cpuless());
        assert_eq!(machine.current_cpu_node(), Some(id(0)));
        let nodes = [node(0, 1, 250, true), node(1, 1, 80, false)];
        let machine = SimulatedMachine::new(&nodes).unwrap();
        assert_eq!(machine.current_cpu_node(), Some(id(1)));
    }

    #[test]
    fn machines_that_cannot_be_are_refused_by_name() {
        let refused = |nodes: &[SimNode]| SimulatedMachine::new(nodes).unwrap_err();
        assert!(refused(&[]).contains("no node has CPUs"));
        assert!(refused(&[node(0, 1, 80, true)]).contains("no node has CPUs"));
        let twice = [
            node(3, 1, 80, false),
            node(0, 1, 80, false),
            node(3, 1, 90, true),
        ];
        assert!(refused(&twice).contains("node 3 is named twice"));
        assert!(refused(&[node(0, 0, 80, false)]).contains("node 0 holds less"));
        assert!(refused(&[node(0, 1, 0, false)]).contains("latency of 0"));
    }

    #[test]
    fn a_byte_lies_where_it_was_mapped() {
        let machine = machine();
        let far = machine.map(Bytes(1), Bytes::mib(2), id(2)).unwrap();
        let base = far.base.as_ptr().addr();
        assert_eq!(base % (2 << 20), 0);
        assert_eq!(where_is(&machine, base + 17), Residency::On(id(2)));
        assert_eq!(
            where_is(&machine, base + far.len.as_usize()),
            Residency::Absent
        );
        machine.unmap(far);
        assert_eq!(where_is(&machine, base), Residency::Absent);
    }

    #[test]
    fn room_is_capacity_minus_what_is_out_and_nothing_spills() {
        let machine = machine();
        assert_eq!(machine.room(id(0)), Bytes::mib(4));
        let most = machine.map(Bytes::mib(3), Bytes::ZERO, id(0)).unwrap();
        assert_eq!(machine.room(id(0)), Bytes::mib(1));
        let error = machine.map(Bytes::mib(2), Bytes::ZERO, id(0)).unwrap_err();
        assert_eq!(error, MapError::OutOfMemory);
        let rest = machine.map(Bytes::mib(1), Bytes::ZERO, id(0)).unwrap();
        assert_eq!(machine.room(id(0)), Bytes::ZERO);
        assert_eq!(machine.room(id(1)), Bytes::mib(4), "others are untouched");
        machine.unmap(most);
        machine.unmap(rest);
        assert_eq!(machine.room(id(0)), Bytes::mib(4));
        assert_eq!(machine.room(id(9)), Bytes::ZERO);
        let error = machine.map(Bytes(1), Bytes(1), id(9)).unwrap_err();
        assert_eq!(error, MapError::NodeUnavailable(id(9)));
        assert!(machine.map(Bytes::MAX, Bytes(1), id(0)).is_err());
    }

    #[test]
    fn discarded_pages_read_as_zero() {
        let machine = machine();
        let page = linux::os_page().as_usize();
        let mapping = machine
            .map(Bytes::from(2 * page), Bytes::ZERO, id(1))
            .unwrap();
        assert_eq!(read(at(&mapping, page)), 0, "fresh");
        write(at(&mapping, 0), 5);
        write(at(&mapping, page), 6);
        machine.discard(&mapping, page..2 * page);
        assert_eq!(read(at(&mapping, 0)), 5);
        assert_eq!(read(at(&mapping, page)), 0);
        machine.unmap(mapping);
    }

    #[test]
    fn a_made_up_mapping_is_left_alone() {
        let machine = machine();
        let mapping = machine.map(Bytes(1), Bytes::ZERO, id(1)).unwrap();
        write(mapping.base, 1);
        let (base, len) = (mapping.base, mapping.len);
        let on_another_node = Mapping {
            base,
            len,
            node: id(0),
        };
        machine.discard(&on_another_node, 0..len.as_usize());
        machine.unmap(on_another_node);
        assert_eq!(read(mapping.base), 1);
        machine.unmap(mapping);
    }

    #[test]
    #[cfg(not(miri))]
    fn process_totals_put_the_rest_on_the_first_node() {
        let machine = machine();
        let mapping = machine.map(Bytes::mib(6), Bytes::ZERO, id(2)).unwrap();
        for offset in (0..5 << 20).step_by(linux::os_page().as_usize()) {
            write(at(&mapping, offset), 1);
        }
        let totals = machine.process_bytes().unwrap();
        assert_eq!(totals[2], (id(2), Bytes::mib(5)), "touched, not mapped");
        assert_eq!(totals[1], (id(1), Bytes::ZERO));
        assert!(totals[0].1 > Bytes::ZERO, "the process itself");
        machine.unmap(mapping);
    }

    #[test]
    fn it_says_that_it_is_simulated() {
        let machine = machine();
        assert!(machine.is_simulated());
        assert!(machine.degraded().unwrap().contains("simulated"));
    }
}
