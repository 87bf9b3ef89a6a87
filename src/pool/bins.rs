//! Which slab a bin gives from: the current one, the list of partly used ones, and how slabs pass
//! between them.
//!
//! ```text
//!            first block back              window needs a slab, or two frees in a row
//!   Full  ---------------------> Partial ---------------------------------------------> Current
//!    ^                              ^                                                      |
//!    |__ no block free _____________|__ some free _________________________________________|
//! ```
//!
//! A slab that compaction has chosen (`compact.rs`) is Leaving: on a list of its own, from which it
//! only comes back where nothing else has a free block.
//!
//! The list is last in, first out: what was touched last is used next, and slabs at its end have
//! time to empty.

use super::class::SizeClass;
use super::loose::HALF;
use super::owner::Owner;
use super::piece::Piece;
use super::slab::{Place, NO_SLAB};
use super::window::Bin;
use crate::ids::NodeId;

impl Owner {
    /// The bin of a class on a node.
    #[inline]
    pub(super) fn bin(&self, node: NodeId, class: SizeClass) -> Option<&Bin> {
        let tag = Piece::tag_of(class.as_byte(), node.as_byte());
        self.bins.get(usize::from(tag))
    }

    /// Gives the window of a bin a free block: from another group of its slab, another slab, or a
    /// new one.
    pub(super) fn refill(&mut self, node: NodeId, class: SizeClass) -> Option<()> {
        if self.refill_from_slabs(node, class).is_some() {
            return Some(());
        }
        if self.recall(node, class) && self.has_free(node, class) {
            return Some(());
        }
        let next = self.new_slab(node, class)?;
        self.adopt(next, 0)
    }

    /// Whether the window has a free block, if need be from a slab with one.
    fn has_free(&mut self, node: NodeId, class: SizeClass) -> bool {
        let free = self.bin(node, class).is_some_and(Bin::has_free);
        free || self.refill_from_slabs(node, class).is_some()
    }

    fn refill_from_slabs(&mut self, node: NodeId, class: SizeClass) -> Option<()> {
        let sources = |books: &Self| {
            let bin = books.bin(node, class);
            bin.map(|bin| [bin.current, bin.partial])
        };
        let [current, partial] = sources(self)?;
        if let Some(group) = self.free_group(current) {
            return self.aim(current, group);
        }
        let slab = self.slabs.get(partial)?;
        if class.blocks() - slab.live() < usize::from(HALF) {
            let tag = Piece::tag_of(class.as_byte(), node.as_byte());
            return self.gather_loose(tag).then_some(());
        }
        let group = self.free_group(partial)?;
        self.adopt(partial, group)
    }

    pub(super) fn free_group(&self, id: u32) -> Option<usize> {
        self.slabs.get(id)?.first_group(&self.spills)
    }

    /// Lays the window over that group of its current slab.
    pub(super) fn aim(&mut self, id: u32, group: usize) -> Option<()> {
        let slab = self.slabs.get_mut(id)?;
        let bin = self.bins.get_mut(usize::from(slab.tag))?;
        bin.close(slab, &mut self.spills);
        bin.open(slab, group, &mut self.spills);
        Some(())
    }

    /// Makes a slab the current one of its bin, with the window over that group.
    pub(super) fn adopt(&mut self, id: u32, group: usize) -> Option<()> {
        let tag = usize::from(self.slabs.get(id)?.tag);
        self.settle_slab(id);
        self.unlink(id);
        self.retire(self.bins.get(tag)?.current);
        self.bins.get_mut(tag)?.current = id;
        self.slabs.get_mut(id)?.place = Place::Current;
        self.aim(id, group)
    }

    /// The current slab of a bin gives its place up.
    pub(super) fn retire_current(&mut self, node: NodeId, class: SizeClass) {
        let current = self.bin(node, class).map_or(NO_SLAB, |bin| bin.current);
        self.retire(current);
        let tag = Piece::tag_of(class.as_byte(), node.as_byte());
        if let Some(bin) = self.bins.get_mut(usize::from(tag)) {
            bin.current = NO_SLAB;
        }
    }

    /// The current slab gives its place up.
    fn retire(&mut self, id: u32) {
        self.close_window(id);
        match self.slabs.get_mut(id) {
            Some(slab) if slab.is_full() => slab.place = Place::Full,
            Some(slab) if slab.live() == 0 => self.release_slab(id),
            Some(_) => self.link(id, Place::Partial),
            None => {}
        }
    }

    /// Gives the group that a slab has lent back to it, if it is its bin's current one.
    fn close_window(&mut self, id: u32) {
        let Some(slab) = self.slabs.get_mut(id) else {
            return;
        };
        let bin = self.bins.get_mut(usize::from(slab.tag));
        if let Some(bin) = bin.filter(|bin| bin.current == id) {
            bin.close(slab, &mut self.spills);
        }
    }

    /// Takes a slab out of its bin.
    pub(super) fn detach(&mut self, id: u32) {
        self.close_window(id);
        self.unlink(id);
        let tag = self.slabs.get(id).map(|slab| usize::from(slab.tag));
        if let Some(bin) = tag.and_then(|tag| self.bins.get_mut(tag)) {
            if bin.current == id {
                bin.current = NO_SLAB;
            }
            if bin.again == id {
                bin.again = NO_SLAB;
            }
        }
    }

    /// Puts a slab at the head of a list of its bin: the partly used or the leaving ones.
    pub(super) fn link(&mut self, id: u32, place: Place) {
        let Some(slab) = self.slabs.get_mut(id) else {
            return;
        };
        let Some(bin) = self.bins.get_mut(usize::from(slab.tag)) else {
            return;
        };
        let next = std::mem::replace(bin.head(place), id);
        (slab.place, slab.previous, slab.next) = (place, NO_SLAB, next);
        if let Some(next) = self.slabs.get_mut(next) {
            next.previous = id;
        }
    }

    /// Takes a slab off the list that it is on, if it is on one.
    pub(super) fn unlink(&mut self, id: u32) {
        let Some(slab) = self.slabs.get_mut(id) else {
            return;
        };
        let place = slab.place;
        if !matches!(place, Place::Partial | Place::Leaving) {
            return;
        }
        let (previous, next, tag) = (slab.previous, slab.next, usize::from(slab.tag));
        (slab.previous, slab.next) = (NO_SLAB, NO_SLAB);
        if let Some(next) = self.slabs.get_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.slabs.get_mut(previous) {
            previous.next = next;
        } else if let Some(bin) = self.bins.get_mut(tag) {
            *bin.head(place) = next;
        }
    }
}
