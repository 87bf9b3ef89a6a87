//! Verifies the invariants that the other files state, all of them, from the books alone.

use super::address::Tenant;
use super::class::{SizeClass, UNIT};
use super::large::{Large, Run};
use super::owner::Owner;
use super::region::Region;
use super::slab::{Place, Slab, GROUP, NO_SLAB};
use super::window::Bin;
use crate::ids::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Sums over everything that lies on one node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sums {
    owned: u64,
    blocks: u64,
    held: u64,
    mapped: u64,
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(broken())
    }
}

impl Owner {
    /// The whole pool.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_slabs()?;
        self.check_larges()?;
        self.check_regions()?;
        self.check_tenants()?;
        self.check_overlaps()?;
        self.check_bins()?;
        self.check_loose()?;
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            self.check_spare(node)?;
            self.check_sums(node)?;
        }
        self.check_charge()
    }

    fn live_slabs(&self) -> impl Iterator<Item = (u32, &Slab)> {
        self.slabs
            .iter()
            .filter(|(_, slab)| slab.place != Place::Vacant)
    }

    fn check_slabs(&self) -> Result<(), String> {
        let spilled = self
            .live_slabs()
            .filter(|(_, slab)| Slab::spills(slab.class()))
            .count();
        ensure(spilled == self.spills.count(), || {
            format!("{spilled} slabs spill, {} spills", self.spills.count())
        })?;
        let count = self.live_slabs().count();
        ensure(count == self.slabs.count(), || {
            format!("{count} slabs in use, {} records", self.slabs.count())
        })?;
        self.live_slabs()
            .try_for_each(|(_, slab)| slab.check(&self.spills))
    }

    fn live_larges(&self) -> impl Iterator<Item = (u32, &Large)> {
        let live = |(_, large): &(u32, &Large)| !matches!(large, Large::Vacant);
        self.larges.iter().filter(live)
    }

    fn runs(&self) -> impl Iterator<Item = Run> + '_ {
        self.larges.iter().filter_map(|(_, large)| match large {
            Large::Run(run) => Some(*run),
            _ => None,
        })
    }

    fn check_larges(&self) -> Result<(), String> {
        let count = self.live_larges().count();
        ensure(count == self.larges.count(), || {
            format!("{count} large blocks, {} records", self.larges.count())
        })
    }

    /// `units = free units + units of the region's slabs and runs`, which lie in it and are its
    /// own.
    fn check_regions(&self) -> Result<(), String> {
        let mut used = BTreeMap::<u32, (usize, usize)>::new();
        let mut note = |region: u16, count: usize| {
            let (tenants, units) = used.entry(region.into()).or_default();
            *tenants += 1;
            *units += count;
        };
        for (_, slab) in self.live_slabs() {
            self.check_home(slab)?;
            note(slab.region, slab.class().rank().units());
        }
        for run in self.runs() {
            let region = self.regions.get(run.region.into());
            let inside = region.is_some_and(|region| region.in_use(run.units()));
            ensure(inside, || format!("units {:?} are not in use", run.units()))?;
            note(run.region, run.units().len());
        }
        for (id, region) in self.regions.iter() {
            let (tenants, units) = used.remove(&id).unwrap_or_default();
            ensure(tenants == region.tenants, || {
                format!("region {id}: {tenants} tenants, {} counted", region.tenants)
            })?;
            ensure(units + region.free_units() == region.units(), || {
                format!("region {id}: {units} used + free != {}", region.units())
            })?;
            region
                .check()
                .map_err(|broken| format!("region {id}: {broken}"))?;
        }
        Ok(())
    }

    /// A slab lies in its region, aligned, on units that are taken, on the region's node.
    fn check_home(&self, slab: &Slab) -> Result<(), String> {
        let rank = slab.class().rank();
        let inside = self.regions.get(slab.region.into()).is_some_and(|region| {
            let Some(unit) = region.unit_of(slab.base.addr().get()) else {
                return false;
            };
            unit % rank.units() == 0
                && region.node() == Some(slab.node())
                && region.in_use(unit..unit + rank.units())
        });
        ensure(inside, || {
            format!("slab {:?} is not in its region", slab.base)
        })
    }

    /// The address table leads to each slab from each of its units, to each large block, and to
    /// nothing else.
    fn check_tenants(&self) -> Result<(), String> {
        let mut expected = 0;
        for (id, slab) in self.live_slabs() {
            for unit in 0..slab.class().rank().units() {
                let addr = slab.base.addr().get() + unit * UNIT;
                ensure(self.table.get(addr) == Tenant::Slab(id), || {
                    format!("{addr:#x} does not lead to slab {id}")
                })?;
                expected += 1;
            }
        }
        for (id, large) in self.live_larges() {
            let found = self.describe(large);
            let (addr, ..) = found.ok_or_else(|| format!("large block {id} lies nowhere"))?;
            ensure(self.table.get(addr) == Tenant::Large(id), || {
                format!("{addr:#x} does not lead to large block {id}")
            })?;
            expected += 1;
        }
        let tenants = self.table.tenants();
        ensure(tenants == expected, || {
            format!("{tenants} tenants, {expected} units in use")
        })
    }

    fn check_overlaps(&self) -> Result<(), String> {
        let mut spans = Vec::new();
        self.mappings(None, &mut |_, addr, len| spans.push((addr, addr + len)));
        spans.sort_unstable();
        let apart = spans
            .iter()
            .zip(spans.iter().skip(1))
            .all(|(a, b)| a.1 <= b.0);
        ensure(apart, || "two mappings overlap".into())
    }

    /// Each partial or leaving slab is on its list of its bin once, each current one is its bin's.
    fn check_bins(&self) -> Result<(), String> {
        let mut counts = BTreeMap::<(NodeId, SizeClass), (usize, usize)>::new();
        for (_, slab) in self.live_slabs() {
            let (current, partial) = counts.entry((slab.node(), slab.class())).or_default();
            *current += usize::from(slab.place == Place::Current);
            *partial += usize::from(matches!(slab.place, Place::Partial | Place::Leaving));
        }
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            for class in SizeClass::all() {
                let expected = counts.remove(&(node, class)).unwrap_or_default();
                let found = self.count_bin(node, class)?;
                ensure(found == expected, || {
                    format!("node {node} {class:?}: {found:?} in the bin, {expected:?} in all")
                })?;
            }
        }
        ensure(counts.is_empty(), || "a slab without a bin".into())
    }

    /// How many slabs the bin leads to: current, on its lists.
    fn count_bin(&self, node: NodeId, class: SizeClass) -> Result<(usize, usize), String> {
        let bin = self.bin(node, class);
        let bin = bin.ok_or_else(|| format!("node {node} has no bin for {class:?}"))?;
        let current = self.slabs.get(bin.current);
        self.check_window(bin, current)?;
        let right = current.is_none_or(|slab| {
            slab.place == Place::Current && slab.node() == node && slab.class() == class
        });
        ensure(right, || {
            format!("node {node} {class:?}: a wrong current slab")
        })?;
        let partial = self.walk(node, class, Place::Partial, bin.partial)?;
        let leaving = self.walk(node, class, Place::Leaving, bin.leaving)?;
        Ok((usize::from(current.is_some()), partial + leaving))
    }

    /// A window lies over words that its current slab has lent, and over no free block else.
    fn check_window(&self, bin: &Bin, current: Option<&Slab>) -> Result<(), String> {
        bin.check()?;
        let Some(group) = bin.lent() else {
            return ensure(bin.free() == 0, || "free blocks without a window".into());
        };
        let slab = current.ok_or("a window without a slab")?;
        let lent = slab.group(group, &self.spills);
        ensure(lent == Some(&[0; GROUP]), || {
            format!("slab {:?}: group {group} is lent and not 0", slab.base)
        })?;
        ensure(bin.free() <= slab.live(), || {
            format!("slab {:?}: more is free in the window than lent", slab.base)
        })
    }

    /// Blocks of a slab that somebody holds.
    fn held_blocks(&self, id: u32, slab: &Slab) -> usize {
        let bin = self.bins.get(usize::from(slab.tag));
        let window = bin.filter(|bin| bin.current == id).map_or(0, Bin::free);
        slab.live() - window - usize::from(slab.loose)
    }

    /// The loose blocks of each slab are in its bin's stack, once, and their bits are set.
    fn check_loose(&self) -> Result<(), String> {
        let mut counts = BTreeMap::<u32, u8>::new();
        for (tag, bin) in self.bins.iter().enumerate() {
            let mut seen = BTreeSet::new();
            for &entry in bin.stack.first(bin.loose) {
                let (id, block) = (entry.slab, entry.block());
                let slab = self.slabs.get(id);
                let slab = slab.filter(|slab| usize::from(slab.tag) == tag);
                let bits = slab.and_then(|slab| slab.word(block / 64, &self.spills));
                let free = bits.is_some_and(|bits| bits & (1 << (block % 64)) != 0);
                ensure(free && seen.insert(entry), || {
                    format!("block {block} of slab {id} is not loose")
                })?;
                *counts.entry(id).or_default() += 1;
            }
        }
        self.live_slabs().try_for_each(|(id, slab)| {
            let found = counts.remove(&id).unwrap_or_default();
            ensure(found == slab.loose, || {
                format!("slab {id}: {found} loose blocks, {} counted", slab.loose)
            })
        })
    }

    fn walk(
        &self,
        node: NodeId,
        class: SizeClass,
        place: Place,
        head: u32,
    ) -> Result<usize, String> {
        let (mut at, mut previous, mut listed) = (head, NO_SLAB, 0);
        while let Some(slab) = self.slabs.get(at) {
            let mine = slab.node() == node && slab.class() == class && slab.place == place;
            ensure(mine && slab.previous == previous, || {
                format!("node {node} {class:?}: slab {at} is linked wrongly")
            })?;
            listed += 1;
            ensure(listed <= self.slabs.count(), || {
                format!("{class:?}: the list is a ring")
            })?;
            (previous, at) = (at, slab.next);
        }
        Ok(listed)
    }

    /// Empty regions are counted, and every region is on its node's list.
    fn check_spare(&self, node: NodeId) -> Result<(), String> {
        let Some(books) = self.nodes.get(node.index()) else {
            return Ok(());
        };
        let mine = || {
            self.regions
                .iter()
                .filter(|(_, region)| region.node() == Some(node))
        };
        let empty = mine().filter(|(_, region)| region.tenants == 0).count();
        ensure(empty == books.empty_regions, || {
            format!(
                "node {node}: {empty} empty regions, {} counted",
                books.empty_regions
            )
        })?;
        let listed = mine().all(|(id, _)| books.regions.iter().any(|&own| u32::from(own) == id));
        ensure(listed && mine().count() == books.regions.len(), || {
            format!("node {node}: the list of regions is wrong")
        })?;
        let len = |region: &Region| region.mapping().map_or(0, |mapping| mapping.len.0);
        let bytes: u64 = mine().map(|(_, region)| len(region)).sum();
        ensure(bytes == books.region_bytes.0, || {
            format!(
                "node {node}: {bytes} region bytes, {} counted",
                books.region_bytes
            )
        })
    }

    /// The gauges say what the books add up to.
    fn check_sums(&self, node: NodeId) -> Result<(), String> {
        let gauge = self.common.gauges.node(node);
        let said = Sums {
            owned: gauge.owned(),
            blocks: gauge.blocks(),
            held: gauge.held.get(),
            mapped: gauge.mapped.get(),
        };
        let sums = self.sums(node);
        ensure(said == sums, || {
            format!("node {node}: {said:?} counted, {sums:?} found")
        })
    }

    fn sums(&self, node: NodeId) -> Sums {
        let mut sums = Sums::default();
        for (id, slab) in self.live_slabs().filter(|(_, slab)| slab.node() == node) {
            let blocks = self.held_blocks(id, slab);
            sums.owned += (blocks * slab.class().size()) as u64;
            sums.blocks += blocks as u64;
            sums.held += slab.class().rank().bytes() as u64;
        }
        let larges = self.larges.iter();
        let larges = larges.filter_map(|(_, large)| self.describe(large));
        for (_, _, extent) in larges.filter(|(_, at, _)| *at == node) {
            sums.owned += extent.len as u64;
            sums.blocks += 1;
            sums.held += extent.len as u64;
        }
        self.mappings(Some(node), &mut |_, _, len| sums.mapped += len as u64);
        sums
    }

    /// `told = sum of settled + come home from other threads`, and no node is far from settled.
    fn check_charge(&self) -> Result<(), String> {
        let mut due = self.common.gauges.home_bytes();
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            let gauge = self.common.gauges.node(node);
            due = due.wrapping_add(gauge.settled.get());
            ensure(
                gauge.unsettled().unsigned_abs() <= gauge.unsettled_max(),
                || format!("node {node}: {} bytes not settled", gauge.unsettled()),
            )?;
        }
        let told = self.charge.told();
        ensure(due as i64 == told, || format!("{told} told, {due} due"))
    }
}
