//! A region: one aligned mapping bound to a node, carved into 16 KiB units for slabs.
//!
//! Two bits a unit: `free` (no slab lies there) and `dirty` (a slab lay there, so its OS pages may
//! be resident). Invariant: `units = set bits of free + units of its slabs`, and slabs lie at
//! multiples of their own size.
//!
//! An empty slab goes back as units at once, so that another class can use them; its OS pages stay
//! until [`Region::discard_dirty`], so that a class that shrinks and grows does not fault its pages
//! in again and again.
//!
//! Rejected: a buddy tree. Slabs have three sizes; three bit masks over the same words find the
//! lowest fit without a second structure to keep in step.

use super::class::{Rank, RANKS, UNIT};
use super::piece::offset_ptr;
use super::OutOfMemory;
use crate::ids::{Bytes, NodeId};
use crate::machine::{Machine, Mapping};
use std::ptr::NonNull;

/// One region; without a mapping its record is vacant.
#[derive(Default)]
pub(super) struct Region {
    mapping: Option<Mapping>,
    free: Vec<u64>,
    dirty: Vec<u64>,
    units: usize,
    /// Slabs that lie in it.
    pub(super) slabs: usize,
    /// For each rank the lowest word that may have a fit.
    hints: [usize; RANKS],
}

fn bitmap(units: usize, bit: bool) -> Result<Vec<u64>, OutOfMemory> {
    let words = units.div_ceil(64);
    let mut map = Vec::new();
    map.try_reserve_exact(words)?;
    map.extend((0..words).map(|word| match units - word * 64 {
        _ if !bit => 0,
        left if left >= 64 => u64::MAX,
        left => (1 << left) - 1,
    }));
    Ok(map)
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

const fn mask(unit: usize, rank: Rank) -> u64 {
    ((1 << rank.units()) - 1) << (unit % 64)
}

impl Region {
    /// The books of a region of `len` bytes, before it is mapped.
    pub(super) fn planned(len: Bytes) -> Result<Self, OutOfMemory> {
        let units = len.as_usize() / UNIT;
        Ok(Self {
            mapping: None,
            free: bitmap(units, true)?,
            dirty: bitmap(units, false)?,
            units,
            slabs: 0,
            hints: [0; RANKS],
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
        (unit < self.units).then(|| offset_ptr(base, unit * UNIT))
    }

    /// The unit that an address lies in.
    pub(super) fn unit_of(&self, addr: usize) -> Option<usize> {
        let base = self.mapping()?.base.addr().get();
        let unit = addr.checked_sub(base)? / UNIT;
        (unit < self.units).then_some(unit)
    }

    /// Takes the lowest units that hold a slab of that rank.
    pub(super) fn take(&mut self, rank: Rank) -> Option<usize> {
        let hint = self.hints.get_mut(rank.index())?;
        let mut words = self.free.iter_mut().enumerate().skip(*hint);
        let Some((index, word)) = words.find(|(_, word)| fits(**word, rank) != 0) else {
            *hint = self.free.len();
            return None;
        };
        *hint = index;
        let unit = index * 64 + fits(*word, rank).trailing_zeros() as usize;
        *word &= !mask(unit, rank);
        if let Some(dirty) = self.dirty.get_mut(index) {
            *dirty &= !mask(unit, rank);
        }
        self.slabs += 1;
        Some(unit)
    }

    /// Takes a slab's units back.
    pub(super) fn put(&mut self, unit: usize, rank: Rank) {
        let index = unit / 64;
        for map in [&mut self.free, &mut self.dirty] {
            if let Some(word) = map.get_mut(index) {
                *word |= mask(unit, rank);
            }
        }
        for hint in &mut self.hints {
            *hint = (*hint).min(index);
        }
        self.slabs -= 1;
    }

    /// Whether no slab lies in the unit.
    pub(super) fn is_free(&self, unit: usize) -> bool {
        let word = self.free.get(unit / 64);
        word.is_some_and(|word| word >> (unit % 64) & 1 == 1)
    }

    /// Units in all.
    pub(super) const fn units(&self) -> usize {
        self.units
    }

    /// Units that no slab lies in.
    pub(super) fn free_units(&self) -> usize {
        self.free
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// The invariants of the bitmaps: only free units are dirty, and no hint hides a fit.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut words = self.free.iter().zip(&self.dirty);
        if words.any(|(free, dirty)| dirty & !free != 0) {
            return Err("a unit in use is dirty".into());
        }
        for rank in Rank::all() {
            let hint = self.hints.get(rank.index()).copied().unwrap_or(0);
            let mut below = self.free.iter().take(hint);
            if below.any(|word| fits(*word, rank) != 0) {
                return Err(format!("a fit for {rank:?} below the hint"));
            }
        }
        Ok(())
    }

    /// Gives the OS pages of up to `runs_max` runs of free units back to the kernel; returns the
    /// runs and the bytes.
    pub(super) fn discard_dirty(
        &mut self,
        machine: &dyn Machine,
        runs_max: usize,
    ) -> (usize, Bytes) {
        let (mut runs, mut bytes) = (0, Bytes::ZERO);
        while runs < runs_max {
            let Some((start, end)) = self.dirty_run() else {
                break;
            };
            if let Some(mapping) = &self.mapping {
                machine.discard(mapping, start * UNIT..end * UNIT);
            }
            for unit in start..end {
                if let Some(word) = self.dirty.get_mut(unit / 64) {
                    *word &= !(1 << (unit % 64));
                }
            }
            runs += 1;
            bytes += Bytes::from((end - start) * UNIT);
        }
        (runs, bytes)
    }

    /// The first run of dirty units.
    fn dirty_run(&self) -> Option<(usize, usize)> {
        let (index, word) = (0..).zip(&self.dirty).find(|(_, word)| **word != 0)?;
        let start = index * 64 + word.trailing_zeros() as usize;
        let clean = (start..self.units).find(|&unit| !self.is_dirty(unit));
        Some((start, clean.unwrap_or(self.units)))
    }

    fn is_dirty(&self, unit: usize) -> bool {
        let word = self.dirty.get(unit / 64);
        word.is_some_and(|word| word >> (unit % 64) & 1 == 1)
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
        assert_eq!(fits(0b1011_1111, ranks[1]), 0b0000_0001);
        assert_eq!(fits(0b1111_1110, ranks[1]), 0b0001_0000);
        assert_eq!(fits(u64::MAX, ranks[2]), 0x0001_0001_0001_0001);
        assert_eq!(fits(u64::MAX - 1, ranks[2]), 0x0001_0001_0001_0000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn slabs_never_overlap(units in 1usize..200, steps in prop::collection::vec((0usize..4, 0usize..64), 1..200)) {
            let mut region = Region::planned(Bytes::from(units * UNIT)).unwrap();
            let (mut held, ranks) = (Vec::<(usize, Rank)>::new(), Rank::all().collect::<Vec<_>>());
            for (kind, pick) in steps {
                if kind == 3 && !held.is_empty() {
                    let (unit, rank) = held.swap_remove(pick % held.len());
                    region.put(unit, rank);
                } else if let Some(unit) = region.take(ranks[kind % 3]) {
                    held.push((unit, ranks[kind % 3]));
                }
                let mut owners = vec![0; units];
                for &(unit, rank) in &held {
                    prop_assert_eq!(unit % rank.units(), 0);
                    for owner in &mut owners[unit..unit + rank.units()] {
                        *owner += 1;
                    }
                }
                for (unit, owner) in owners.iter().enumerate() {
                    prop_assert_eq!(*owner, usize::from(!region.is_free(unit)));
                }
                prop_assert_eq!(region.slabs, held.len());
                region.check().unwrap();
            }
        }
    }
}
