//! Large blocks: bigger than the biggest size class, whole OS pages each.
//!
//! ```text
//!   | extent, seal | the block's bytes ...               |  untouched tail of the last unit |
//!   0              16                        whole OS pages                      whole units
//! ```
//!
//! A large block lies on a **run**, units in a row inside a region, beside slabs; only one bigger
//! than an eighth of the biggest region of its node (`NodePool::run_max`) has a mapping of its own.
//! The kernel allows a process 65,530 mappings, so one for each value of 40 KB ends at 2.6 GB. With
//! runs the number is bounded by construction:
//!
//! > `mappings on a node <= regions + bytes of the node / run_max`: some hundreds, and one for
//! > 32 MiB where the node has more than 16 GiB.
//!
//! A block takes, and is charged for, the OS pages that it needs, not the units: nobody touches the
//! tail of the last unit. A freed run keeps its OS pages until [`Owner::trim`], like the units of a
//! slab.
//!
//! Large blocks are the one kind with a header in front: 16 bytes of many thousand. A value that is
//! freed on a background thread, or read in a forked child, must know how long it is, and which
//! mapping its OS pages go back to, without asking tables that belong to the main thread, and
//! without a lock. The line is the one that the value's own header lies in, so nothing is loaded
//! for it. The table here stays the authority: what comes home is looked up by address, and the
//! header is believed only where its seal is right. Whoever frees the block wipes the seal.
//!
//! A block that grows keeps its OS pages: a run takes the free units behind it, a mapping hands its
//! pages over to a longer one (`Machine::widen`). So APPEND to a string of 100 MB copies nothing.
//!
//! Rejected: a locked table (the lock may be held at a fork), size classes for large blocks (up to
//! an eighth lost where whole OS pages are exact), and runs that start within a unit (a second
//! bitmap, four times as long, for at most 12 KiB of address space a block).

use super::address::Tenant;
use super::class::UNIT;
use super::owner::Owner;
use super::piece::{offset_ptr, Piece};
use super::supply::REGION_ALIGN;
use super::OutOfMemory;
use crate::ids::{Bytes, NodeId};
use crate::machine::{os_page, Mapping};
use std::ops::Range;
use std::ptr::NonNull;

/// Bytes in front of a large block.
pub(super) const HEADER: usize = 16;
/// The biggest request, in bytes: no machine has more.
const SIZE_MAX: usize = 1 << 45;
/// Bits of an [`Extent`]'s word for a number of units; the rest is for OS pages.
const UNIT_BITS: u32 = 15;

/// Where a large block lies.
#[derive(Default)]
pub(super) enum Large {
    /// The record is unused.
    #[default]
    Vacant,
    /// In a mapping of its own.
    Mapped(Mapping),
    /// On a run.
    Run(Run),
}

/// Units in a row inside a region.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) region: u16,
    /// The first unit.
    pub(super) unit: u16,
    /// OS pages that the block takes.
    pages: u32,
}

impl Run {
    /// Bytes that the block takes.
    pub(super) fn len(self) -> Bytes {
        Bytes::from(self.pages as usize * os_page().as_usize())
    }

    /// The units that lie under it.
    pub(super) fn units(self) -> Range<usize> {
        let first = usize::from(self.unit);
        first..first + units_for(self.len())
    }
}

/// What the header says about a large block: its bytes, and which mapping they are part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// Bytes that the block takes, whole OS pages.
    pub(super) len: usize,
    /// Units in front of it in its mapping.
    pub(super) unit: usize,
    /// Units of its mapping; none where that is the block's own.
    pub(super) units: usize,
}

impl Extent {
    /// `| OS pages (34 bits) | unit (15) | units (15) |`
    pub(super) fn encode(self) -> u64 {
        let pages = (self.len / os_page().as_usize()) as u64;
        (pages << UNIT_BITS | self.unit as u64) << UNIT_BITS | self.units as u64
    }

    /// What [`Extent::encode`] made the word of.
    pub(super) fn decode(word: u64) -> Self {
        let part = |skip: u32| (word >> skip) as usize & ((1 << UNIT_BITS) - 1);
        Self {
            len: (word >> (2 * UNIT_BITS)) as usize * os_page().as_usize(),
            unit: part(UNIT_BITS),
            units: part(0),
        }
    }

    /// The bytes in front of it in its mapping.
    pub(super) const fn start(self) -> usize {
        self.unit * UNIT
    }

    /// The bytes of its mapping.
    pub(super) const fn mapping_len(self) -> usize {
        if self.units == 0 {
            self.len
        } else {
            self.units * UNIT
        }
    }
}

/// Bytes that a block of `size` bytes takes; nothing where no machine has that much.
fn len_for(size: usize) -> Option<Bytes> {
    let len = || (size + HEADER).next_multiple_of(os_page().as_usize());
    (size <= SIZE_MAX).then(|| Bytes::from(len()))
}

fn units_for(len: Bytes) -> usize {
    len.as_usize().div_ceil(UNIT)
}

impl Owner {
    /// A large block on exactly that node; its first byte and the bytes that it takes.
    pub(super) fn serve_large(
        &mut self,
        size: usize,
        node: NodeId,
    ) -> Option<(NonNull<u8>, usize)> {
        let len = len_for(size)?;
        if !self.common.gauges.node(node).allows(len.as_usize()) {
            return None;
        }
        let id = self.larges.insert(Large::Vacant).ok()?;
        // OS pages bigger than a unit could be shared by two runs: each block its own mapping then.
        let run_max = self.nodes.get(node.index())?.run_max();
        let laid = if len <= run_max && os_page().as_usize() <= UNIT {
            self.lay_run(node, len)
        } else {
            self.lay_mapping(node, len).ok()
        };
        let Some((base, large)) = laid else {
            self.larges.remove(id);
            return None;
        };
        if let Some(record) = self.larges.get_mut(id) {
            *record = large;
        }
        self.table.set(base.addr().get(), Tenant::Large(id));
        self.common.gauges.node(node).held.add(len.0);
        Some((offset_ptr(base, HEADER), len.as_usize()))
    }

    fn lay_run(&mut self, node: NodeId, len: Bytes) -> Option<(NonNull<u8>, Large)> {
        let count = units_for(len);
        let (region, unit) = self.carve(node, Bytes::from(count * UNIT), |region| {
            region.take_run(count)
        })?;
        let run = Run {
            region,
            unit: unit as u16,
            pages: (len.0 / os_page().0) as u32,
        };
        let base = self.regions.get(region.into())?.unit_ptr(unit)?;
        Some((base, Large::Run(run)))
    }

    fn lay_mapping(
        &mut self,
        node: NodeId,
        len: Bytes,
    ) -> Result<(NonNull<u8>, Large), OutOfMemory> {
        self.room_for(node, len, len)?;
        let Ok(mapping) = self.map_large(node, len) else {
            return self.refuse(node, len);
        };
        Ok((mapping.base, Large::Mapped(mapping)))
    }

    /// A mapping for one block. One entry for the first unit is enough: a large block is known by
    /// its start. Aligned so that the kernel can move its page tables in one go.
    fn map_large(&mut self, node: NodeId, len: Bytes) -> Result<Mapping, OutOfMemory> {
        let align = if len < REGION_ALIGN {
            Bytes::from(UNIT)
        } else {
            REGION_ALIGN
        };
        self.map(node, len, align, Bytes(1))
    }

    /// Makes a large block longer without copying it, so that it has `size` bytes: a run by the
    /// units behind it, a mapping by one that takes its OS pages over. The piece from now
    /// on; nothing where that does not go, and nothing has changed then.
    pub(super) fn grow_large(&mut self, piece: Piece, size: usize) -> Option<Piece> {
        let (node, len) = (piece.node(), len_for(size)?);
        let (id, extent) = self.large_at(piece)?;
        let more = len.as_usize().checked_sub(extent.len)?;
        if more == 0 || !self.common.gauges.node(node).allows(more) {
            return None;
        }
        let base = match self.larges.get(id)? {
            Large::Vacant => None,
            Large::Run(run) => self.grow_run(id, *run, node, len),
            Large::Mapped(_) => self.grow_mapping(id, node, len, Bytes::from(more)),
        }?;
        let gauge = self.common.gauges.node(node);
        gauge.held.add(more as u64);
        gauge.grow(more);
        self.settle_if_due(node);
        Some(Piece::new(offset_ptr(base, HEADER), piece.class(), node))
    }

    fn grow_run(&mut self, id: u32, run: Run, node: NodeId, len: Bytes) -> Option<NonNull<u8>> {
        if len > self.nodes.get(node.index())?.run_max() {
            return None;
        }
        let old = run.units();
        let longer = Run {
            pages: (len.0 / os_page().0) as u32,
            ..run
        };
        let region = self.regions.get_mut(run.region.into())?;
        if !region.extend(old.end..longer.units().end) {
            return None;
        }
        let base = region.unit_ptr(old.start)?;
        *self.larges.get_mut(id)? = Large::Run(longer);
        Some(base)
    }

    fn grow_mapping(
        &mut self,
        id: u32,
        node: NodeId,
        len: Bytes,
        more: Bytes,
    ) -> Option<NonNull<u8>> {
        self.room_for(node, more, more).ok()?;
        let wider = self.map_large(node, len).ok()?;
        let Large::Mapped(old) = std::mem::take(self.larges.get_mut(id)?) else {
            self.unmap(wider);
            return None;
        };
        let (was, gone, wide) = (old.base.addr().get(), old.len, wider.len);
        let widened = self.common.machine.widen(old, wider);
        let (mapping, lost) = match widened {
            Ok(mapping) => (mapping, gone),
            Err(old) => (old, wide),
        };
        self.common.gauges.node(node).mapped.sub(lost.0);
        let base = mapping.base;
        *self.larges.get_mut(id)? = Large::Mapped(mapping);
        if lost == wide {
            return None;
        }
        self.table.set(was, Tenant::Nothing);
        self.table.set(base.addr().get(), Tenant::Large(id));
        Some(base)
    }

    /// The large block that starts at the piece: its number and where it lies.
    fn large_at(&self, piece: Piece) -> Option<(u32, Extent)> {
        let addr = piece.addr();
        let Tenant::Large(id) = self.table.get(addr) else {
            return None;
        };
        let (_, node, extent) = self.describe(self.larges.get(id)?)?;
        let starts = addr % UNIT == HEADER && node == piece.node();
        starts.then_some((id, extent))
    }

    /// Address, node and extent of a large block.
    pub(super) fn describe(&self, large: &Large) -> Option<(usize, NodeId, Extent)> {
        match large {
            Large::Vacant => None,
            Large::Mapped(mapping) => {
                let extent = Extent {
                    len: mapping.len.as_usize(),
                    unit: 0,
                    units: 0,
                };
                Some((mapping.base.addr().get(), mapping.node, extent))
            }
            Large::Run(run) => {
                let region = self.regions.get(run.region.into())?;
                let extent = Extent {
                    len: run.len().as_usize(),
                    unit: run.unit.into(),
                    units: region.units(),
                };
                let base = region.unit_ptr(extent.unit)?;
                Some((base.addr().get(), region.node()?, extent))
            }
        }
    }

    /// What to write in front of a large block; nothing where no large block starts there.
    pub(super) fn extent_of(&self, piece: Piece) -> Option<Extent> {
        self.large_at(piece).map(|(_, extent)| extent)
    }

    /// Takes a large block back; its bytes. Nothing where no large block starts there.
    pub(super) fn take_large(&mut self, piece: Piece) -> Option<usize> {
        let (id, extent) = self.large_at(piece)?;
        let large = self.larges.remove(id)?;
        self.table.set(piece.addr(), Tenant::Nothing);
        let held = &self.common.gauges.node(piece.node()).held;
        held.sub(extent.len as u64);
        match large {
            Large::Vacant => {}
            Large::Mapped(mapping) => self.depart(mapping),
            Large::Run(run) => self.put_units(piece.node(), run.region, run.units()),
        }
        Some(extent.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::pool::model::config())]
        #[test]
        fn an_extent_survives_its_word(
            pages in 1usize..1 << 33,
            unit in 0usize..1 << 14,
            units in 0usize..=1 << 14,
        ) {
            let len = pages * os_page().as_usize();
            let extent = Extent { len, unit, units };
            prop_assert_eq!(Extent::decode(extent.encode()), extent);
        }
    }

    #[test]
    fn the_biggest_numbers_fit() {
        let len = len_for(SIZE_MAX).unwrap().as_usize();
        let extent = Extent {
            len,
            unit: (1 << 14) - 1,
            units: 1 << 14,
        };
        assert_eq!(Extent::decode(extent.encode()), extent);
        assert_eq!(len_for(SIZE_MAX + 1), None);
        assert_eq!(len_for(usize::MAX), None);
    }

    #[test]
    fn a_block_takes_whole_os_pages() {
        let page = os_page().as_usize();
        for (size, pages) in [(10 * page - HEADER, 10), (10 * page - HEADER + 1, 11)] {
            assert_eq!(len_for(size), Some(Bytes::from(pages * page)));
        }
        assert_eq!(
            (
                units_for(Bytes::from(UNIT)),
                units_for(Bytes::from(UNIT + 1))
            ),
            (1, 2)
        );
    }
}
