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
use super::loose::{Loose, LOOSE_MAX};
use super::node::NodePool;
use super::piece::Piece;
use super::queue::{Queue, Waiting};
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

/// What became of a block on the fast way.
pub(super) enum Freed {
    /// It was taken back, or waits for it.
    Yes,
    /// Nothing: the slow way is to take it.
    Not,
    /// It was counted; this one, which was counted then or before, must be put back slowly.
    But(Piece),
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
    pub(super) loose: Loose,
    pub(super) queue: Queue,
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
            loose: Loose::new(count << u8::BITS),
            queue: Queue::new(),
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
        let (gauge, toll) = (bin.gauge, bin.toll);
        if self.queue.may_hold(self.top_loose(tag)?) || !gauge.take_within(toll) {
            return None;
        }
        Some(Piece::tagged(self.take_loose(tag)?, tag))
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
        if !self.bin(node, class)?.has_free() {
            if self
                .top_loose(tag)
                .is_some_and(|ptr| self.queue.may_hold(ptr))
            {
                self.empty_queue();
            }
            if let Some(ptr) = self.take_loose(tag) {
                return Some((ptr, class.size()));
            }
            self.refill(node, class)?;
        }
        let bin = self.bins.get_mut(usize::from(tag))?;
        Some((bin.take()?, bin.size()))
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

    /// The next fastest, outside the window: the block waits until its record is near.
    pub(super) fn free_near(&mut self, piece: Piece) -> Freed {
        let Some(bin) = self.bins.get_mut(usize::from(piece.tag())) else {
            return Freed::Not;
        };
        if bin.covers(piece.addr()) || !bin.gauge.give_within(bin.toll) {
            return Freed::Not;
        }
        let id = self.table.slab_at(piece.addr());
        self.slabs.prefetch(id);
        match self.queue.push(piece, id) {
            Some(oldest) if !self.put_fast(oldest) => Freed::But(oldest.piece()),
            _ => Freed::Yes,
        }
    }

    /// The fast way to take a block back that waited: it becomes a loose one; whether it did.
    #[inline]
    fn put_fast(&mut self, waiting: Waiting) -> bool {
        let (piece, id) = (waiting.piece(), waiting.slab);
        let slab = self.slabs.get_mut(id);
        let Some(slab) = slab.filter(|slab| slab.tag == piece.tag()) else {
            return false;
        };
        let Some(bin) = self.bins.get_mut(usize::from(piece.tag())) else {
            return false;
        };
        if bin.loose == LOOSE_MAX || !slab.may_be_loose() {
            return false;
        }
        let Some(block) = bin.block_of_slab(slab.offset_of(piece.addr())) else {
            return false;
        };
        slab.set(block, &mut self.spills) && self.loose.keep(bin, slab, id, block)
    }

    /// Puts a block back that was counted as it was freed, and lets the window follow.
    pub(super) fn put_slowly(&mut self, piece: Piece) {
        self.put_counted(piece);
        self.follow();
    }

    /// Moves a window to the slab that two frees in a row went to. What waits goes back first: see
    /// `queue.rs`.
    fn follow(&mut self) {
        let Some(id) = self.wanted.take() else {
            return;
        };
        self.empty_queue();
        let place = self.slabs.get(id).map(|slab| slab.place);
        match (place, self.free_group(id)) {
            (Some(Place::Current), Some(group)) => self.aim(id, group),
            (Some(Place::Partial), Some(group)) => self.adopt(id, group),
            _ => None,
        };
    }

    fn put_counted(&mut self, piece: Piece) {
        if self.put_small(piece).is_err() {
            self.common
                .gauges
                .node(piece.node())
                .give_back(piece.class().size());
            self.common.gauges.fault();
        }
    }

    /// Puts every block back that waits; whether there were any.
    pub(super) fn empty_queue(&mut self) -> bool {
        let mut any = false;
        while let Some(piece) = self.queue.pop() {
            self.put_counted(piece);
            any = true;
        }
        self.queue.forget();
        self.wanted = None;
        any
    }

    /// Takes a block back from the owner thread.
    pub(super) fn free(&mut self, piece: Piece) {
        self.empty_queue();
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
        let gives = again || !bin.has_free();
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
