//! What the owner thread does: give blocks out, take them back, bring foreign frees home.
//!
//! Each is done in two ways. The fast one serves what needs nothing but a window (`window.rs`) or
//! a slab that stays where it is, within the marks of the gauge: it calls nobody, and where
//! anything else would be due it changes nothing and says so. The slow one does everything. Where
//! slabs and regions come from and go to is in `bins.rs`, `supply.rs` and `give_back.rs`, large
//! blocks are in `large.rs`.

use super::address::AddressTable;
use super::arena::Arena;
use super::charge::Charge;
use super::class::SizeClass;
use super::gauge::Gauges;
use super::give_back::Departing;
use super::large::Large;
use super::loose::LOOSE_MAX;
use super::node::NodePool;
use super::piece::Piece;
use super::region::Region;
use super::remote_free::{Chain, RemoteStack};
use super::slab::{Fault, Place, Slab, Spill};
use super::window::Bin;
use super::OutOfMemory;
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, Topology};
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

/// How many nodes there are numbers for.
pub(super) fn node_count(topology: &Topology) -> usize {
    let numbers = topology.nodes.iter().map(|info| info.id.index() + 1);
    numbers.max().unwrap_or(0)
}

/// The books of the owner thread.
pub(super) struct Owner {
    pub(super) common: &'static Common,
    pub(super) charge: Charge,
    /// Foreign frees taken off the stack and not yet walked.
    pub(super) backlog: Chain,
    pub(super) nodes: Vec<NodePool>,
    /// By the tag of their blocks.
    pub(super) bins: Vec<Bin>,
    /// The slab that the window of its bin is to follow frees to.
    wanted: Option<u32>,
    pub(super) slabs: Arena<Slab>,
    pub(super) spills: Arena<Spill>,
    pub(super) regions: Arena<Region>,
    pub(super) larges: Arena<Large>,
    pub(super) departing: Vec<Departing>,
    pub(super) table: AddressTable,
}

impl Owner {
    /// Empty books for the nodes of the machine.
    pub(super) fn new(common: &'static Common, charge: Charge, backlog: Chain) -> Self {
        let topology = common.machine.topology();
        let count = node_count(topology);
        let bins = (0..count).filter_map(NodeId::new).flat_map(|node| {
            let gauge = common.gauges.node(node);
            (0..=u8::MAX).map(move |class| Bin::new(SizeClass::from_byte(class), gauge))
        });
        let capacity = |index: usize| {
            let info = topology.nodes.iter().find(|info| info.id.index() == index);
            info.map_or(Bytes::ZERO, |info| info.capacity)
        };
        let mut books = Self {
            common,
            charge,
            backlog,
            nodes: (0..count).map(capacity).map(NodePool::new).collect(),
            bins: bins.collect(),
            wanted: None,
            slabs: Arena::new(),
            spills: Arena::new(),
            regions: Arena::new(),
            larges: Arena::new(),
            departing: Vec::new(),
            table: AddressTable::new(),
        };
        books.settle();
        books
    }

    /// The fastest way to a block of that tag: out of the window.
    #[inline]
    pub(super) fn take_fast(&mut self, tag: u16) -> Option<Piece> {
        let bin = self.bins.get_mut(usize::from(tag))?;
        Some(Piece::tagged(bin.take_within()?, tag))
    }

    /// The next fastest: a loose block, or one out of another word of the window.
    #[inline]
    pub(super) fn take_near(&mut self, tag: u16) -> Option<Piece> {
        let bin = self.bins.get_mut(usize::from(tag))?;
        if bin.loose == 0 {
            let found = bin.turn().then(|| bin.take_within());
            return Some(Piece::tagged(found??, tag));
        }
        if !bin.gauge.take_within(bin.toll) {
            return None;
        }
        let taken = bin.take_loose(&mut self.slabs, &mut self.spills);
        Some(Piece::tagged(taken?, tag))
    }

    /// A block for `size` bytes on the first node of `order` that has room.
    pub(super) fn alloc(&mut self, size: usize, order: &[NodeId]) -> Result<Piece, OutOfMemory> {
        let class = SizeClass::of(size);
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
        let tag = Piece::tag_of(class.as_byte(), node.as_byte());
        let bin = self.bin(node, class)?;
        if !bin.has_free() && bin.loose == 0 {
            self.refill(node, class)?;
        }
        let bin = self.bins.get_mut(usize::from(tag))?;
        let taken = match bin.take() {
            None => bin.take_loose(&mut self.slabs, &mut self.spills),
            taken => taken,
        };
        Some((taken?, class.size()))
    }

    fn count_out(&mut self, node: NodeId, bytes: usize) {
        self.common.gauges.node(node).take(bytes);
        self.settle_if_due(node);
    }

    pub(super) fn settle_if_due(&mut self, node: NodeId) {
        if self.common.gauges.node(node).is_due() {
            self.settle();
        }
    }

    /// Tells the meter what it does not know yet, and sets the marks anew.
    pub(super) fn settle(&mut self) {
        let mut delta = 0;
        for node in (0..self.nodes.len()).filter_map(NodeId::new) {
            let gauge = self.common.gauges.node(node);
            let unsettled = gauge.unsettled();
            gauge.settle(unsettled);
            delta += unsettled;
        }
        self.charge.tell(delta);
    }

    /// From now on no allocation takes the node's live bytes beyond `limit`.
    pub(super) fn set_limit(&mut self, node: NodeId, limit: Bytes) {
        self.common.gauges.node(node).set_limit(limit);
        self.settle();
    }

    fn count_fallback(&self, order: &[NodeId], landed: NodeId) {
        if let Some(&wanted) = order.first().filter(|&&wanted| wanted != landed) {
            self.common.gauges.node(wanted).fallbacks.add(1);
        }
    }

    /// The fastest way to take a block back: into the window; whether it was.
    #[inline]
    pub(super) fn free_fast(&mut self, piece: Piece) -> bool {
        let Some(bin) = self.bins.get_mut(usize::from(piece.tag())) else {
            return false;
        };
        let spot = bin.spot(piece.addr());
        spot.is_some_and(|spot| bin.put_within(piece.ptr, spot))
    }

    /// The next fastest, outside the window: it becomes a loose one; whether it did.
    #[inline]
    pub(super) fn free_near(&mut self, piece: Piece) -> bool {
        let Some(bin) = self.bins.get_mut(usize::from(piece.tag())) else {
            return false;
        };
        let id = self.table.slab_at(piece.addr());
        let slab = self.slabs.get_mut(id);
        let Some(slab) = slab.filter(|slab| slab.tag == piece.tag()) else {
            return false;
        };
        if bin.loose == LOOSE_MAX || !slab.may_be_loose() {
            return false;
        }
        let Some(block) = bin.block_of_slab(slab.offset_of(piece.addr())) else {
            return false;
        };
        let Some(bits) = slab.word_mut(block / 64, &mut self.spills) else {
            return false;
        };
        let bit = 1 << (block % 64);
        if *bits & bit != 0 || !bin.gauge.give_within(bin.toll) {
            return false;
        }
        *bits |= bit;
        bin.keep(slab, id, block, piece.ptr);
        true
    }

    /// Moves a window to the slab that two frees in a row went to.
    fn follow(&mut self) {
        let Some(id) = self.wanted.take() else {
            return;
        };
        let place = self.slabs.get(id).map(|slab| slab.place);
        match (place, self.free_group(id)) {
            (Some(Place::Current), Some(group)) => self.aim(id, group),
            (Some(Place::Partial), Some(group)) => self.adopt(id, group),
            _ => None,
        };
    }

    /// Takes a block back from the owner thread.
    pub(super) fn free(&mut self, piece: Piece) {
        let id = self.table.slab_at(piece.addr());
        let bin = self.bins.get(usize::from(piece.tag()));
        // Where two frees in a row go to one slab, the window follows them instead.
        if bin.is_some_and(|bin| bin.loose == LOOSE_MAX && bin.again != id) {
            self.spill_loose(piece.tag());
        }
        match self.put(piece) {
            Ok(_) => self.settle_if_due(piece.node()),
            Err(_) => self.common.gauges.fault(),
        }
        self.follow();
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
        match self.put(piece) {
            Ok(bytes) => {
                let gauge = self.common.gauges.node(piece.node());
                gauge.settle(-(bytes as i64));
            }
            Err(_) => {
                self.common.gauges.fault();
                self.charge.tell(claimed as i64);
            }
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
    fn put(&mut self, piece: Piece) -> Result<usize, Fault> {
        if piece.class().is_large() {
            return self.put_large(piece);
        }
        self.put_small(piece)?;
        Ok(self.count_in(piece.node(), piece.class().size()))
    }

    /// Takes a block back into its slab.
    pub(super) fn put_small(&mut self, piece: Piece) -> Result<(), Fault> {
        let bin = self.bins.get_mut(usize::from(piece.tag()));
        let bin = bin.ok_or(Fault::ForeignPointer)?;
        if bin.covers(piece.addr()) {
            return bin.put(piece.addr());
        }
        self.put_by_address(piece)
    }

    fn put_by_address(&mut self, piece: Piece) -> Result<(), Fault> {
        let id = self.table.slab_at(piece.addr());
        let slab = self.slabs.get_mut(id).ok_or(Fault::ForeignPointer)?;
        if slab.tag != piece.tag() {
            return Err(Fault::ForeignPointer);
        }
        let offset = slab.offset_of(piece.addr());
        slab.put(offset, &mut self.spills)?;
        let (place, empty) = (slab.place, slab.live() == usize::from(slab.loose));
        let bin = self.bins.get_mut(usize::from(piece.tag()));
        let bin = bin.ok_or(Fault::ForeignPointer)?;
        let again = std::mem::replace(&mut bin.again, id) == id;
        let gives = again || !bin.has_free() && bin.loose == 0;
        match place {
            Place::Current => self.wanted = Some(id),
            _ if empty => {
                self.settle_slab(id);
                self.release_slab(id);
            }
            Place::Full => self.link(id, Place::Partial),
            Place::Partial | Place::Leaving | Place::Vacant => {}
        }
        if gives && !empty && place != Place::Leaving {
            self.wanted = Some(id);
        }
        Ok(())
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
        let departing = self.departing.iter().map(|gone| &gone.mapping);
        for mapping in regions.chain(larges).chain(departing) {
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
