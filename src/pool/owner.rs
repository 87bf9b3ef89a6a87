//! What the owner thread does: give blocks out, take them back, bring foreign frees home.
//!
//! The common path of an allocation is: look the class up, look the node's current slab up, take
//! its first free bit. The common path of a free asks first whether the block lies in the current
//! slab of its class, which needs no table; otherwise the address table leads to its slab. Where
//! slabs and regions come from and go to is in `supply.rs`, large blocks are in `large.rs`.

use super::address::AddressTable;
use super::arena::Arena;
use super::charge::Charge;
use super::class::SizeClass;
use super::gauge::Gauges;
use super::large::Large;
use super::node::NodePool;
use super::piece::Piece;
use super::region::Region;
use super::remote_free::{Chain, RemoteStack};
use super::slab::{Fault, Place, Slab, Spill};
use super::{address::Tenant, OutOfMemory};
use crate::ids::{Bytes, NodeId};
use crate::machine::Machine;
use std::ptr::NonNull;

/// Foreign frees brought home before an allocation gives a node up: a tenth of a millisecond where
/// each costs a far cache line.
const DRAIN_WHEN_SHORT: usize = 1024;

/// What the pool shares between threads, for the life of the process.
pub(super) struct Common {
    pub(super) machine: &'static dyn Machine,
    pub(super) gauges: Gauges,
    pub(super) stack: RemoteStack,
}

/// The books of the owner thread.
pub(super) struct Owner {
    pub(super) common: &'static Common,
    pub(super) charge: Charge,
    /// Foreign frees taken off the stack and not yet walked.
    pub(super) backlog: Chain,
    pub(super) nodes: Vec<NodePool>,
    pub(super) slabs: Arena<Slab>,
    pub(super) spills: Arena<Spill>,
    pub(super) regions: Arena<Region>,
    pub(super) larges: Arena<Large>,
    pub(super) table: AddressTable,
}

impl Owner {
    /// Empty books for the nodes of the machine.
    pub(super) fn new(common: &'static Common, charge: Charge, backlog: Chain) -> Self {
        let topology = common.machine.topology();
        let count = topology.nodes.iter().map(|info| info.id.index() + 1).max();
        let capacity = |index: usize| {
            let info = topology.nodes.iter().find(|info| info.id.index() == index);
            info.map_or(Bytes::ZERO, |info| info.capacity)
        };
        Self {
            common,
            charge,
            backlog,
            nodes: (0..count.unwrap_or(0))
                .map(capacity)
                .map(NodePool::new)
                .collect(),
            slabs: Arena::new(),
            spills: Arena::new(),
            regions: Arena::new(),
            larges: Arena::new(),
            table: AddressTable::new(),
        }
    }

    /// A block for `size` bytes on the first node of `order` that has room.
    #[inline]
    pub(super) fn alloc(&mut self, size: usize, order: &[NodeId]) -> Result<Piece, OutOfMemory> {
        let class = SizeClass::of(size);
        let &first = order.first().ok_or(OutOfMemory)?;
        if self.common.gauges.node(first).allows(class.size()) {
            if let Some(ptr) = self.take_current(first, class) {
                self.count_out(first, class.size());
                return Ok(Piece::new(ptr, class, first));
            }
        }
        self.alloc_slowly(size, class, order)
    }

    /// The same when the first node's current slab has nothing.
    #[cold]
    fn alloc_slowly(
        &mut self,
        size: usize,
        class: SizeClass,
        order: &[NodeId],
    ) -> Result<Piece, OutOfMemory> {
        for &node in order {
            let mut found = self.serve(size, class, node);
            // Before a block lands on the wrong node, see what waits to come home.
            if found.is_none() && self.drain(DRAIN_WHEN_SHORT) > 0 {
                found = self.serve(size, class, node);
            }
            if let Some((ptr, bytes)) = found {
                self.count_fallback(order, node);
                self.count_out(node, bytes);
                return Ok(Piece::new(ptr, class, node));
            }
        }
        Err(OutOfMemory)
    }

    /// A block on exactly that node.
    fn serve(
        &mut self,
        size: usize,
        class: SizeClass,
        node: NodeId,
    ) -> Option<(NonNull<u8>, usize)> {
        if class.is_large() {
            return self.serve_large(size, node);
        }
        if !self.common.gauges.node(node).allows(class.size()) {
            return None;
        }
        let found = self.take_current(node, class).or_else(|| {
            self.refill(node, class)?;
            self.take_current(node, class)
        });
        Some((found?, class.size()))
    }

    #[inline]
    fn take_current(&mut self, node: NodeId, class: SizeClass) -> Option<NonNull<u8>> {
        let current = self.nodes.get(node.index())?.bin(class)?.current;
        self.slabs.get_mut(current)?.take(&mut self.spills)
    }

    #[inline]
    fn count_out(&mut self, node: NodeId, bytes: usize) {
        self.common.gauges.node(node).take(bytes);
        self.charge.add(bytes as i64);
    }

    fn count_fallback(&self, order: &[NodeId], landed: NodeId) {
        if let Some(&wanted) = order.first().filter(|&&wanted| wanted != landed) {
            self.common.gauges.node(wanted).fallbacks.add(1);
        }
    }

    /// Takes a block back from the owner thread.
    #[inline]
    pub(super) fn free(&mut self, piece: Piece) {
        match self.put(piece) {
            Ok(bytes) => self.charge.add(-(bytes as i64)),
            Err(_) => self.common.gauges.fault(),
        }
    }

    /// Brings up to `max` foreign frees home; returns how many there were.
    pub(super) fn drain(&mut self, max: usize) -> usize {
        let mut drained = 0;
        while drained < max {
            if self.backlog.is_empty() {
                if self.common.stack.is_empty() {
                    break;
                }
                self.backlog = self.common.stack.pop_all();
            }
            match self.backlog.pop() {
                Some(Ok(piece)) => self.bring_home(piece),
                Some(Err(_)) => self.common.gauges.fault(),
                None => {}
            }
            drained += 1;
        }
        drained
    }

    /// Asks the machine again for room where it refused.
    pub(super) fn forget_room(&mut self) {
        for node in &mut self.nodes {
            node.room.forget();
        }
    }

    /// The thread that freed it charged it and counted it as gone.
    fn bring_home(&mut self, piece: Piece) {
        let claimed = self.claimed_size(piece);
        self.common.gauges.came_home(piece.node(), claimed);
        if self.put(piece).is_err() {
            self.common.gauges.fault();
            self.charge.add(claimed as i64);
        }
    }

    /// What a foreign thread took the block's size for.
    pub(super) fn claimed_size(&self, piece: Piece) -> usize {
        if !piece.class().is_large() {
            return piece.class().size();
        }
        self.extent_of(piece).map_or(0, |extent| extent.len)
    }

    /// Takes a block back into its slab or its mapping; its bytes.
    #[inline]
    fn put(&mut self, piece: Piece) -> Result<usize, Fault> {
        let addr = piece.addr();
        let bin = self
            .nodes
            .get(piece.node().index())
            .and_then(|node| node.bin(piece.class()));
        let current = bin.and_then(|bin| self.slabs.get_mut(bin.current));
        if let Some(slab) = current {
            let offset = slab.offset_of(addr);
            if offset < piece.class().rank().bytes() {
                slab.put(offset, &mut self.spills)?;
                return Ok(self.count_in(piece.node(), piece.class().size()));
            }
        }
        if piece.class().is_large() {
            return self.put_large(piece);
        }
        self.put_by_address(piece, addr)
    }

    fn put_by_address(&mut self, piece: Piece, addr: usize) -> Result<usize, Fault> {
        let Tenant::Slab(id) = self.table.get(addr) else {
            return Err(Fault::ForeignPointer);
        };
        let slab = self.slabs.get_mut(id).ok_or(Fault::ForeignPointer)?;
        if slab.class != piece.class() || slab.node != piece.node() {
            return Err(Fault::ForeignPointer);
        }
        slab.put(slab.offset_of(addr), &mut self.spills)?;
        let (place, live) = (slab.place, slab.live());
        if place == Place::Full {
            self.link_partial(id);
        }
        if live == 0 {
            self.release_slab(id);
        }
        Ok(self.count_in(piece.node(), piece.class().size()))
    }

    fn put_large(&mut self, piece: Piece) -> Result<usize, Fault> {
        let bytes = self.take_large(piece).ok_or(Fault::ForeignPointer)?;
        Ok(self.count_in(piece.node(), bytes))
    }

    #[inline]
    fn count_in(&self, node: NodeId, bytes: usize) -> usize {
        self.common.gauges.node(node).give(bytes);
        bytes
    }

    /// Shows every mapping of that node, or of all nodes.
    pub(super) fn mappings(
        &self,
        node: Option<NodeId>,
        visit: &mut dyn FnMut(NodeId, usize, usize),
    ) {
        let regions = self
            .regions
            .iter()
            .filter_map(|(_, region)| region.mapping());
        let larges = self.larges.iter().filter_map(|(_, large)| match large {
            Large::Mapped(mapping) => Some(mapping),
            _ => None,
        });
        for mapping in regions.chain(larges) {
            if node.is_none_or(|node| node == mapping.node) {
                visit(
                    mapping.node,
                    mapping.base.addr().get(),
                    mapping.len.as_usize(),
                );
            }
        }
    }
}
