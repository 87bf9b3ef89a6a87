//! How memory goes back to the machine: a little at a time.
//!
//! ```text
//! free -> units, dirty ----------> clean ----> region unmapped, once all of it is empty and clean
//! free -> own mapping: departing -> clean ---> unmapped
//!                      [`Owner::trim`]: some OS pages, some calls in a step
//! ```
//!
//! Tearing OS pages down costs the kernel some 60 us a MiB, so to unmap a region of 256 MiB, or the
//! block of a 100 MB value, holds the server for many milliseconds. So whoever frees gives nothing
//! back: what is free waits, its OS pages are given back in steps, and only what has none left is
//! unmapped. Where a node has no room meanwhile, what waits there goes at once, as much as it takes
//! (`supply`).
//!
//! One empty region a node stays, so that a node at the edge of a region does not map and unmap it
//! with each block. Invariant: a departing mapping is no block's, and its first `done` bytes are
//! given back. Rejected: a thread that unmaps, which would take the lock of the address space
//! against every page fault of the server while it works.

use super::class::{SizeClass, UNIT};
use super::owner::Owner;
use super::region::{Chore, Region};
use crate::ids::{Bytes, NodeId};
use crate::machine::Mapping;

/// System calls that one step makes.
const STEP_CALLS: usize = 16;
/// Bytes that one step gives back: some 30 us.
pub(super) const STEP_BYTES: Bytes = Bytes::kib(512);

/// A mapping on its way back to the machine.
pub(super) struct Departing {
    pub(super) mapping: Mapping,
    /// Bytes whose OS pages are given back.
    done: usize,
}

impl Owner {
    /// One step of giving back what lies empty: mappings of large blocks that are gone, the OS
    /// pages of units that slabs and runs left, empty regions beyond one a node. Returns the bytes;
    /// none when there is no more to give.
    pub(super) fn trim(&mut self) -> Bytes {
        let mut chore = Chore {
            calls: STEP_CALLS,
            units: STEP_BYTES.as_usize() / UNIT,
        };
        let mut bytes = self.send_off(&mut chore);
        let machine = self.common.machine;
        for region in self.regions.iter_mut() {
            bytes += region.discard_dirty(machine, &mut chore);
        }
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            if !chore.is_done() {
                bytes += self.unmap_spare(node);
            }
        }
        bytes
    }

    /// Gives up what is kept for the next allocation and has not been used: loose blocks and
    /// current slabs without others.
    pub(super) fn release_idle(&mut self) {
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            self.release_empty_currents(node);
        }
    }

    pub(super) fn release_empty_currents(&mut self, node: NodeId) {
        for class in SizeClass::all() {
            self.settle_loose(node, class);
            let Some(bin) = self.bin(node, class) else {
                continue;
            };
            let (current, free) = (bin.current, bin.free());
            let slab = self.slabs.get(current);
            if slab.is_some_and(|slab| slab.live() == free) {
                self.release_slab(current);
            }
        }
    }

    /// A block's own mapping goes, step by step where it is long.
    pub(super) fn depart(&mut self, mapping: Mapping) {
        let short = mapping.len <= STEP_BYTES;
        // Without memory for the list it goes at once.
        if short || self.departing.try_reserve(1).is_err() {
            return self.unmap(mapping);
        }
        if let Some(books) = self.nodes.get_mut(mapping.node.index()) {
            books.room.reconsider();
        }
        self.departing.push(Departing { mapping, done: 0 });
    }

    fn send_off(&mut self, chore: &mut Chore) -> Bytes {
        let mut bytes = Bytes::ZERO;
        while !chore.is_done() {
            let Some(last) = self.departing.last_mut() else {
                break;
            };
            let len = last.mapping.len.as_usize();
            let end = len.min(last.done + chore.units * UNIT);
            self.common.machine.discard(&last.mapping, last.done..end);
            bytes += Bytes::from(end - last.done);
            chore.calls -= 1;
            chore.units -= (end - last.done).div_ceil(UNIT);
            last.done = end;
            if end == len {
                if let Some(gone) = self.departing.pop() {
                    self.unmap(gone.mapping);
                }
            }
        }
        bytes
    }

    /// Unmaps an empty region, if there are two and no OS page of one is left; its bytes.
    fn unmap_spare(&mut self, node: NodeId) -> Bytes {
        let spare = self.nodes.get(node.index());
        if spare.is_none_or(|books| books.empty_regions <= 1) {
            return Bytes::ZERO;
        }
        match self.find_region(node, Region::is_idle) {
            Some(index) => self.remove_region(node, index),
            None => Bytes::ZERO,
        }
    }

    /// Unmaps something of a node that nothing lies in; whether there was anything.
    pub(super) fn unmap_one(&mut self, node: NodeId) -> bool {
        let departing = self.departing.iter();
        let mut departing = departing.enumerate().rev();
        if let Some((index, _)) = departing.find(|(_, gone)| gone.mapping.node == node) {
            let gone = self.departing.swap_remove(index);
            self.unmap(gone.mapping);
            return true;
        }
        let idle = self.find_region(node, Region::is_idle);
        let empty = idle.or_else(|| self.find_region(node, |region| region.tenants == 0));
        empty.is_some_and(|index| self.remove_region(node, index) > Bytes::ZERO)
    }

    /// The place of such a region in the node's list, newest first.
    fn find_region(&self, node: NodeId, fits: impl Fn(&Region) -> bool) -> Option<usize> {
        let books = self.nodes.get(node.index())?;
        let fits = |id: &u16| self.regions.get((*id).into()).is_some_and(&fits);
        books.regions.iter().rposition(fits)
    }

    fn remove_region(&mut self, node: NodeId, index: usize) -> Bytes {
        let books = self.nodes.get_mut(node.index());
        let id = books
            .filter(|books| index < books.regions.len())
            .map(|books| books.regions.remove(index));
        let region = id.and_then(|id| self.regions.remove(id.into()));
        let Some(mapping) = region.and_then(Region::into_mapping) else {
            return Bytes::ZERO;
        };
        let len = mapping.len;
        if let Some(books) = self.nodes.get_mut(node.index()) {
            books.empty_regions -= 1;
            books.region_bytes -= len;
        }
        self.unmap(mapping);
        len
    }
}
