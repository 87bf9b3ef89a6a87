//! Where slabs, units and regions come from; `give_back` says how they go when they are empty.
//!
//! Every step that may fail comes before the first one that shows, or is undone: an allocation
//! that fails leaves the books as they were. Invariants:
//!
//! > `region bytes + large bytes + departing bytes = mapped` on each node.

use super::address::Tenant;
use super::class::{Rank, SizeClass, UNIT};
use super::owner::Owner;
use super::region::Region;
use super::slab::Slab;
use super::OutOfMemory;
use crate::ids::{Bytes, NodeId};
use crate::machine::Mapping;
use std::ops::Range;
use std::ptr::NonNull;

/// Regions start at multiples of a huge page.
pub(super) const REGION_ALIGN: Bytes = Bytes::mib(2);

impl Owner {
    /// An empty slab.
    pub(super) fn new_slab(&mut self, node: NodeId, class: SizeClass) -> Option<u32> {
        let rank = class.rank();
        let bytes = Bytes::from(rank.bytes());
        let (region, unit) = self.carve(node, bytes, |region| region.take_slab(rank))?;
        let opened = self.open_slab(node, class, region, unit);
        if opened.is_err() {
            self.put_units(node, region, unit..unit + rank.units());
        }
        opened.ok()
    }

    /// What `take` takes, `bytes` of units: from a region, a new region, or what others left.
    pub(super) fn carve(
        &mut self,
        node: NodeId,
        bytes: Bytes,
        take: impl Fn(&mut Region) -> Option<usize>,
    ) -> Option<(u16, usize)> {
        self.carve_from_regions(node, &take).or_else(|| {
            // Where no region is to be had, asking for one may still have freed units.
            self.add_region(node, bytes).ok();
            self.carve_from_regions(node, &take)
        })
    }

    /// The same from a region in use before an empty one.
    fn carve_from_regions(
        &mut self,
        node: NodeId,
        take: impl Fn(&mut Region) -> Option<usize>,
    ) -> Option<(u16, usize)> {
        let books = self.nodes.get_mut(node.index())?;
        for want_empty in [false, true] {
            for &id in &books.regions {
                let Some(region) = self.regions.get_mut(id.into()) else {
                    continue;
                };
                if (region.tenants == 0) != want_empty {
                    continue;
                }
                if let Some(unit) = take(region) {
                    books.empty_regions -= usize::from(want_empty);
                    return Some((id, unit));
                }
            }
        }
        None
    }

    fn open_slab(
        &mut self,
        node: NodeId,
        class: SizeClass,
        region: u16,
        unit: usize,
    ) -> Result<u32, OutOfMemory> {
        let books = self.regions.get(region.into()).ok_or(OutOfMemory)?;
        let base = books.unit_ptr(unit).ok_or(OutOfMemory)?;
        let mut slab = Slab::new(base, class, node, region);
        if Slab::spills(class) {
            slab.spill = self.spills.insert(Slab::fresh_spill(class))?;
        }
        let spill = slab.spill;
        let id = self.slabs.insert(slab).inspect_err(|_| {
            if Slab::spills(class) {
                self.spills.remove(spill);
            }
        })?;
        self.note_units(base, class.rank(), Tenant::Slab(id));
        self.common
            .gauges
            .node(node)
            .held
            .add(class.rank().bytes() as u64);
        Ok(id)
    }

    fn note_units(&mut self, base: NonNull<u8>, rank: Rank, tenant: Tenant) {
        for unit in 0..rank.units() {
            self.table.set(base.addr().get() + unit * UNIT, tenant);
        }
    }

    /// Gives a slab without live blocks back to its region.
    pub(super) fn release_slab(&mut self, id: u32) {
        self.detach(id);
        let Some(slab) = self.slabs.remove(id) else {
            return;
        };
        let (node, class) = (slab.node(), slab.class());
        let rank = class.rank();
        if Slab::spills(class) {
            self.spills.remove(slab.spill);
        }
        self.note_units(slab.base, rank, Tenant::Nothing);
        let held = &self.common.gauges.node(node).held;
        held.sub(rank.bytes() as u64);
        let region = self.regions.get(slab.region.into());
        let unit = region.and_then(|region| region.unit_of(slab.base.addr().get()));
        if let Some(unit) = unit {
            self.put_units(node, slab.region, unit..unit + rank.units());
        }
    }

    /// Gives units back to their region.
    pub(super) fn put_units(&mut self, node: NodeId, region: u16, units: Range<usize>) {
        let Some(books) = self.regions.get_mut(region.into()) else {
            return;
        };
        books.put(units);
        if books.tenants == 0 {
            if let Some(books) = self.nodes.get_mut(node.index()) {
                books.empty_regions += 1;
                books.room.reconsider();
            }
        }
    }

    /// A new region with at least `need` bytes; smaller than wanted where there is less room.
    fn add_region(&mut self, node: NodeId, need: Bytes) -> Result<(), OutOfMemory> {
        let want = self
            .nodes
            .get(node.index())
            .ok_or(OutOfMemory)?
            .region_want(need);
        let mut len = self.room_for(node, want, need)?;
        loop {
            len = Bytes(len.0 - len.0 % UNIT as u64);
            match self.map_region(node, len) {
                Err(OutOfMemory) if len.0 / 2 >= need.0 => len = Bytes(len.0 / 2),
                Err(OutOfMemory) => return self.refuse(node, need),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Asks for room; where there is none, first gives back what lies empty on that node.
    pub(super) fn room_for(
        &mut self,
        node: NodeId,
        want: Bytes,
        need: Bytes,
    ) -> Result<Bytes, OutOfMemory> {
        let machine = self.common.machine;
        let books = self.nodes.get_mut(node.index()).ok_or(OutOfMemory)?;
        if books.room.is_refused(need) {
            return Err(OutOfMemory);
        }
        if let Some(granted) = books.room.grant(machine, node, want, need) {
            return Ok(granted);
        }
        self.release_empty_currents(node);
        // No more than is needed: what lies there may have to be torn down OS page by OS page.
        loop {
            let gave = self.unmap_one(node);
            let books = self.nodes.get_mut(node.index()).ok_or(OutOfMemory)?;
            if let Some(granted) = books.room.grant(machine, node, want, need) {
                return Ok(granted);
            }
            if !gave {
                return Err(OutOfMemory);
            }
        }
    }

    /// The machine had no such amount after all.
    pub(super) fn refuse<T>(&mut self, node: NodeId, amount: Bytes) -> Result<T, OutOfMemory> {
        if let Some(books) = self.nodes.get_mut(node.index()) {
            books.room.refuse(amount);
        }
        Err(OutOfMemory)
    }

    fn map_region(&mut self, node: NodeId, len: Bytes) -> Result<(), OutOfMemory> {
        let planned = Region::planned(len)?;
        let books = self.nodes.get_mut(node.index()).ok_or(OutOfMemory)?;
        books.regions.try_reserve(1)?;
        let id = self.regions.insert(Region::default())?;
        let mapped = u16::try_from(id)
            .map_err(|_| OutOfMemory)
            .and_then(|short| {
                let mapping = self.map(node, len, REGION_ALIGN, len)?;
                Ok((short, mapping))
            });
        let Ok((short, mapping)) = mapped else {
            self.regions.remove(id);
            return Err(OutOfMemory);
        };
        let mapped = mapping.len;
        if let Some(place) = self.regions.get_mut(id) {
            *place = planned.mapped(mapping);
        }
        if let Some(books) = self.nodes.get_mut(node.index()) {
            books.regions.push(short);
            books.empty_regions += 1;
            books.region_bytes += mapped;
        }
        Ok(())
    }

    /// A mapping whose first `covered` bytes have entries in the address table.
    pub(super) fn map(
        &mut self,
        node: NodeId,
        len: Bytes,
        align: Bytes,
        covered: Bytes,
    ) -> Result<Mapping, OutOfMemory> {
        let machine = self.common.machine;
        let mapping = machine.map(len, align, node).map_err(|_| OutOfMemory)?;
        let base = mapping.base.addr().get();
        if self.table.cover(base, covered.as_usize()).is_err() {
            machine.unmap(mapping);
            return Err(OutOfMemory);
        }
        self.common.gauges.node(node).mapped.add(mapping.len.0);
        Ok(mapping)
    }

    /// Gives a mapping back to the machine.
    pub(super) fn unmap(&mut self, mapping: Mapping) {
        self.common
            .gauges
            .node(mapping.node)
            .mapped
            .sub(mapping.len.0);
        if let Some(books) = self.nodes.get_mut(mapping.node.index()) {
            books.room.give_back(mapping.len);
        }
        self.common.machine.unmap(mapping);
    }
}
