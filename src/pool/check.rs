//! Verifies the invariants that the other files state, all of them, from the books alone.

use super::address::Tenant;
use super::class::{SizeClass, UNIT};
use super::owner::Owner;
use super::region::Region;
use super::slab::{Place, Slab, NO_SLAB};
use crate::ids::NodeId;
use std::collections::BTreeMap;

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
        self.check_regions()?;
        self.check_tenants()?;
        self.check_overlaps()?;
        self.check_bins()?;
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
            .filter(|(_, slab)| Slab::spills(slab.class))
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

    /// `units = free units + units of the region's slabs`, which lie in it and are its own.
    fn check_regions(&self) -> Result<(), String> {
        let mut used = BTreeMap::<u32, (usize, usize)>::new();
        for (_, slab) in self.live_slabs() {
            self.check_home(slab)?;
            let (slabs, units) = used.entry(slab.region.into()).or_default();
            *slabs += 1;
            *units += slab.class.rank().units();
        }
        for (id, region) in self.regions.iter() {
            let (slabs, units) = used.remove(&id).unwrap_or_default();
            ensure(slabs == region.slabs, || {
                format!("region {id}: {slabs} slabs, {} counted", region.slabs)
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
        let rank = slab.class.rank();
        let inside = self.regions.get(slab.region.into()).is_some_and(|region| {
            let Some(unit) = region.unit_of(slab.base.addr().get()) else {
                return false;
            };
            let mut units = unit..unit + rank.units();
            unit % rank.units() == 0
                && units.end <= region.units()
                && region.node() == Some(slab.node)
                && units.all(|unit| !region.is_free(unit))
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
            for unit in 0..slab.class.rank().units() {
                let addr = slab.base.addr().get() + unit * UNIT;
                ensure(self.table.get(addr) == Tenant::Slab(id), || {
                    format!("{addr:#x} does not lead to slab {id}")
                })?;
                expected += 1;
            }
        }
        for (id, large) in self.larges.iter() {
            if let Some(mapping) = &large.mapping {
                let addr = mapping.base.addr().get();
                ensure(self.table.get(addr) == Tenant::Large(id), || {
                    format!("{addr:#x} does not lead to large block {id}")
                })?;
                expected += 1;
            }
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

    /// Each partial slab is on the list of its bin once, each current one is its bin's.
    fn check_bins(&self) -> Result<(), String> {
        let mut counts = BTreeMap::<(NodeId, SizeClass), (usize, usize)>::new();
        for (_, slab) in self.live_slabs() {
            let (current, partial) = counts.entry((slab.node, slab.class)).or_default();
            *current += usize::from(slab.place == Place::Current);
            *partial += usize::from(slab.place == Place::Partial);
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

    /// How many slabs the bin leads to: current, partial.
    fn count_bin(&self, node: NodeId, class: SizeClass) -> Result<(usize, usize), String> {
        let bin = self
            .nodes
            .get(node.index())
            .and_then(|books| books.bin(class));
        let bin = bin.ok_or_else(|| format!("node {node} has no bin for {class:?}"))?;
        let current = self.slabs.get(bin.current);
        let right = current.is_none_or(|slab| {
            slab.place == Place::Current && slab.node == node && slab.class == class
        });
        ensure(right, || {
            format!("node {node} {class:?}: a wrong current slab")
        })?;
        let partial = self.walk_partial(node, class, bin.partial)?;
        Ok((usize::from(current.is_some()), partial))
    }

    fn walk_partial(&self, node: NodeId, class: SizeClass, head: u32) -> Result<usize, String> {
        let (mut at, mut previous, mut listed) = (head, NO_SLAB, 0);
        while let Some(slab) = self.slabs.get(at) {
            let mine = slab.node == node && slab.class == class && slab.place == Place::Partial;
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

    /// At most one empty region a node, counted, and every region on its node's list.
    fn check_spare(&self, node: NodeId) -> Result<(), String> {
        let Some(books) = self.nodes.get(node.index()) else {
            return Ok(());
        };
        let mine = || {
            self.regions
                .iter()
                .filter(|(_, region)| region.node() == Some(node))
        };
        let empty = mine().filter(|(_, region)| region.slabs == 0).count();
        ensure(empty == books.empty_regions && empty <= 1, || {
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
            owned: gauge.owned.get(),
            blocks: gauge.taken.get() - gauge.given.get(),
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
        for (_, slab) in self.live_slabs().filter(|(_, slab)| slab.node == node) {
            sums.owned += (slab.live() * slab.class.size()) as u64;
            sums.blocks += slab.live() as u64;
            sums.held += slab.class.rank().bytes() as u64;
        }
        let larges = self
            .larges
            .iter()
            .filter_map(|(_, large)| large.mapping.as_ref());
        for mapping in larges.filter(|mapping| mapping.node == node) {
            sums.owned += mapping.len.0;
            sums.blocks += 1;
            sums.held += mapping.len.0;
        }
        self.mappings(Some(node), &mut |_, _, len| sums.mapped += len as u64);
        sums
    }

    /// `charged + pending = owned + come home from other threads`.
    fn check_charge(&self) -> Result<(), String> {
        let nodes = (0..self.nodes.len()).filter_map(NodeId::new);
        let owned: u64 = nodes
            .map(|node| self.common.gauges.node(node).owned.get())
            .sum();
        let due = owned.wrapping_add(self.common.gauges.home_bytes()) as i64;
        let charged = self.charge.sum();
        ensure(due == charged, || format!("{charged} charged, {due} due"))
    }
}
