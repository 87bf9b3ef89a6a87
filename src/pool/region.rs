//! A region: one aligned mapping bound to a node, carved into 16 KiB units for slabs and runs.
//!
//! A **run** is units in a row under one large block. Two bits a unit: `free` (nothing lies there)
//! and `dirty` (something lay there, so its OS pages may be resident). Invariants:
//!
//! > `units = set bits of free + units of its slabs + units of its runs`, slabs lie at multiples of
//! > their own size, and no run of free units is longer than `longest`.
//!
//! An empty slab or a freed run goes back as units at once, so that another class can use them; its
//! OS pages stay until [`Region::discard_dirty`], so that a class that shrinks and grows does not
//! fault its pages in again and again.
//!
//! `longest` is a bound, not the truth: a search that finds nothing lowers it to what it did not
//! rule out, giving units back raises it to the run that they join, taking some leaves it. So a
//! region without room for a run is passed over with one comparison.
//!
//! Rejected: a buddy tree. Slabs have five sizes; five bit masks over the same words find the
//! lowest fit without a second structure to keep in step, and a run of any length costs no rounding
//! to a power of two.

use super::class::{Rank, RANKS, UNIT};
use super::piece::offset_ptr;
use super::units::Units;
use super::OutOfMemory;
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, Mapping};
use std::ops::Range;
use std::ptr::NonNull;

/// One region; without a mapping its record is vacant.
#[derive(Default)]
pub(super) struct Region {
    mapping: Option<Mapping>,
    free: Units,
    dirty: Units,
    /// No unit is dirty where this is false.
    maybe_dirty: bool,
    /// Slabs and runs that lie in it.
    pub(super) tenants: usize,
    /// For each rank the lowest word that may have a fit.
    hints: [usize; RANKS],
    /// No run of free units is longer.
    longest: usize,
}

/// How much [`Region::discard_dirty`] may still do.
pub(super) struct Chore {
    /// System calls.
    pub(super) calls: usize,
    /// Units.
    pub(super) units: usize,
}

impl Chore {
    /// Whether nothing more may be done.
    pub(super) const fn is_done(&self) -> bool {
        self.calls == 0 || self.units == 0
    }
}

/// The bits where `units` aligned units in a row are set: bit `i` stands for `i..i + units`.
const fn fits(mut word: u64, rank: Rank) -> u64 {
    let mut width = 1;
    while width < rank.units() {
        word &= word >> width;
        width *= 2;
    }
    // All ones, divided by a slab's mask: one bit for each aligned start.
    word & (u64::MAX / ((1 << rank.units()) - 1))
}

impl Region {
    /// The books of a region of `len` bytes, before it is mapped.
    pub(super) fn planned(len: Bytes) -> Result<Self, OutOfMemory> {
        let units = len.as_usize() / UNIT;
        Ok(Self {
            mapping: None,
            free: Units::new(units, true)?,
            dirty: Units::new(units, false)?,
            maybe_dirty: false,
            tenants: 0,
            hints: [0; RANKS],
            longest: units,
        })
    }

    /// The books with their mapping.
    pub(super) fn mapped(self, mapping: Mapping) -> Self {
        Self {
            mapping: Some(mapping),
            ..self
        }
    }

    /// The mapping, for giving it back.
    pub(super) fn into_mapping(self) -> Option<Mapping> {
        self.mapping
    }

    /// The mapping; nothing in a vacant record.
    pub(super) const fn mapping(&self) -> Option<&Mapping> {
        self.mapping.as_ref()
    }

    /// The node it is bound to.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.mapping().map(|mapping| mapping.node)
    }

    /// The address of a unit.
    pub(super) fn unit_ptr(&self, unit: usize) -> Option<NonNull<u8>> {
        let base = self.mapping()?.base;
        (unit < self.units()).then(|| offset_ptr(base, unit * UNIT))
    }

    /// The unit that an address lies in.
    pub(super) fn unit_of(&self, addr: usize) -> Option<usize> {
        let base = self.mapping()?.base.addr().get();
        let unit = addr.checked_sub(base)? / UNIT;
        (unit < self.units()).then_some(unit)
    }

    /// Takes the lowest units that hold a slab of that rank; the first of them.
    pub(super) fn take_slab(&mut self, rank: Rank) -> Option<usize> {
        let words = self.free.words();
        let hint = self.hints.get_mut(rank.index())?;
        let mut fitting = (*hint..).zip(words.iter().skip(*hint));
        let Some((index, word)) = fitting.find(|(_, word)| fits(**word, rank) != 0) else {
            *hint = words.len();
            return None;
        };
        *hint = index;
        let unit = index * 64 + fits(*word, rank).trailing_zeros() as usize;
        self.occupy(unit..unit + rank.units());
        Some(unit)
    }

    /// Takes the lowest `count` units in a row; the first of them.
    pub(super) fn take_run(&mut self, count: usize) -> Option<usize> {
        if count == 0 || count > self.longest {
            return None;
        }
        // No unit is free below where the smallest slab would look.
        let from = self.hints.first().copied().unwrap_or(0);
        let Some(unit) = self.free.find_run(count, from) else {
            self.longest = count - 1;
            return None;
        };
        self.occupy(unit..unit + count);
        Some(unit)
    }

    fn occupy(&mut self, units: Range<usize>) {
        self.free.clear(units.clone());
        self.dirty.clear(units);
        self.tenants += 1;
    }

    /// Adds those units to the run in front of them, if nothing lies there; whether they are its.
    pub(super) fn extend(&mut self, units: Range<usize>) -> bool {
        let free = units.end <= self.units() && self.free.all_set(units.clone());
        if free {
            self.free.clear(units.clone());
            self.dirty.clear(units);
        }
        free
    }

    /// Takes the units of a slab or a run back.
    pub(super) fn put(&mut self, units: Range<usize>) {
        let index = units.start / 64;
        for hint in &mut self.hints {
            *hint = (*hint).min(index);
        }
        self.free.set(units.clone());
        self.dirty.set(units.clone());
        self.maybe_dirty = true;
        self.longest = self.longest.max(self.free.run_around(units).len());
        self.tenants -= 1;
    }

    /// Whether the kernel keeps no OS page for it: to unmap it takes no time.
    pub(super) const fn is_idle(&self) -> bool {
        self.mapping.is_some() && self.tenants == 0 && !self.maybe_dirty
    }

    /// Whether those units are in the region and something lies in each of them.
    pub(super) fn in_use(&self, units: Range<usize>) -> bool {
        units.end <= self.units() && self.free.none_set(units)
    }

    /// Units in all.
    pub(super) const fn units(&self) -> usize {
        self.free.len()
    }

    /// Units that nothing lies in.
    pub(super) fn free_units(&self) -> usize {
        self.free.count()
    }

    /// The invariants of the bitmaps: only free units are dirty, and no hint hides a fit.
    pub(super) fn check(&self) -> Result<(), String> {
        let (free, dirty) = (self.free.words(), self.dirty.words());
        let mut words = free.iter().zip(dirty);
        if words.any(|(free, dirty)| dirty & !free != 0) {
            return Err("a unit in use is dirty".into());
        }
        if !self.maybe_dirty && self.dirty.count() > 0 {
            return Err("a dirty unit is overlooked".into());
        }
        for rank in Rank::all() {
            let hint = self.hints.get(rank.index()).copied().unwrap_or(0);
            let mut below = free.iter().take(hint);
            if below.any(|word| fits(*word, rank) != 0) {
                return Err(format!("a fit for {rank:?} below the hint"));
            }
        }
        let (longest, bound) = (self.free.longest_run(), self.longest);
        if longest > bound {
            return Err(format!("{longest} free units in a row, {bound} expected"));
        }
        Ok(())
    }

    /// Gives OS pages of free units back to the kernel, as much as the chore allows; the bytes.
    pub(super) fn discard_dirty(&mut self, machine: &dyn Machine, chore: &mut Chore) -> Bytes {
        let mut bytes = Bytes::ZERO;
        while self.maybe_dirty && !chore.is_done() {
            let Some(run) = self.dirty.first_run() else {
                self.maybe_dirty = false;
                break;
            };
            let units = run.start..run.end.min(run.start + chore.units);
            if let Some(mapping) = &self.mapping {
                machine.discard(mapping, units.start * UNIT..units.end * UNIT);
            }
            chore.calls -= 1;
            chore.units -= units.len();
            bytes += Bytes::from(units.len() * UNIT);
            self.dirty.clear(units);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fits_are_aligned_and_whole() {
        let ranks: Vec<Rank> = Rank::all().collect();
        assert_eq!(fits(0b1011_1111, ranks[0]), 0b1011_1111);
        assert_eq!(fits(0b1011_1110, ranks[1]), 0b0001_0100);
        assert_eq!(fits(0b1011_1111, ranks[2]), 0b0000_0001);
        assert_eq!(fits(0b1111_1110, ranks[2]), 0b0001_0000);
        assert_eq!(fits(u64::MAX, ranks[4]), 0x0001_0001_0001_0001);
        assert_eq!(fits(u64::MAX - 1, ranks[4]), 0x0001_0001_0001_0000);
    }

    /// What lies in a region: its first unit, and how many.
    type Tenant = (usize, usize);

    fn take(region: &mut Region, kind: usize, count: usize) -> Option<Tenant> {
        match Rank::all().nth(kind) {
            Some(rank) => {
                let unit = region.take_slab(rank)?;
                assert_eq!(unit % rank.units(), 0);
                Some((unit, rank.units()))
            }
            None => Some((region.take_run(count)?, count)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..crate::pool::model::config() })]
        #[test]
        fn slabs_and_runs_never_overlap(
            units in 1usize..400,
            steps in prop::collection::vec((0usize..10, 0usize..150), 1..200),
        ) {
            let mut region = Region::planned(Bytes::from(units * UNIT)).unwrap();
            let mut held = Vec::<Tenant>::new();
            for (kind, pick) in steps {
                if kind > RANKS + 1 && !held.is_empty() {
                    let (unit, count) = held.swap_remove(pick % held.len());
                    region.put(unit..unit + count);
                } else if let Some(tenant) = take(&mut region, kind, pick + 1) {
                    held.push(tenant);
                } else if kind >= RANKS {
                    prop_assert!(region.free.longest_run() <= pick, "a run was overlooked");
                }
                let mut owners = vec![0; units];
                for &(unit, count) in &held {
                    for owner in &mut owners[unit..unit + count] {
                        *owner += 1;
                    }
                }
                for (unit, owner) in owners.iter().enumerate() {
                    prop_assert_eq!(*owner, usize::from(region.in_use(unit..unit + 1)));
                }
                prop_assert_eq!(region.tenants, held.len());
                region.check().unwrap();
            }
        }
    }

    #[test]
    fn pages_go_back_within_the_chore() {
        let bench = super::super::test_machine::bench(&[Bytes::mib(64)]);
        let (machine, mib) = (bench.machine, Bytes::mib(2));
        let mapping = machine.map(mib, mib, NodeId::FIRST).unwrap();
        let mut region = Region::planned(mib).unwrap().mapped(mapping);
        for unit in 0..128 {
            assert_eq!(region.take_run(1), Some(unit));
        }
        region.put(0..1);
        (2..128).for_each(|unit| region.put(unit..unit + 1));
        let mut chore = Chore {
            calls: 2,
            units: 100,
        };
        let given = region.discard_dirty(machine, &mut chore);
        assert_eq!(
            (given, chore.calls, chore.units),
            (Bytes::from(100 * UNIT), 0, 0)
        );
        let mut chore = Chore {
            calls: 9,
            units: 99,
        };
        let given = region.discard_dirty(machine, &mut chore);
        assert_eq!((given, chore.calls), (Bytes::from(27 * UNIT), 8));
        machine.unmap(region.into_mapping().unwrap());
    }
}
