//! From an address to what lies there.
//!
//! ```text
//!   address   | number of the 256 MiB stretch | unit in it (14 bits) | offset in the unit (14) |
//!                      |                             |
//!             stretches[number - first] ----> [u32; 16384] ----> nothing | slab | large block
//! ```
//!
//! Two loads and no search. One entry a 16 KiB unit costs 0.02 %. The table of stretches is a
//! window that grows at either end: the kernel hands out mappings side by side, so it stays short
//! where a fixed root would take megabytes of every small server.
//!
//! Rejected: a hash table (a probe and a compare more on each free), and masking the address down
//! to a header in the slab (see `slab.rs`).

use super::class::UNIT;
use super::OutOfMemory;

// An interpreter fills a table of the usual size for minutes.
const STRETCH_SHIFT: u32 = if cfg!(miri) { 21 } else { 28 };
const STRETCH_UNITS: usize = (1 << STRETCH_SHIFT) / UNIT;
/// The widest window, in stretches: a 48-bit address space.
const WINDOW_MAX: usize = 1 << (48 - STRETCH_SHIFT);
const LARGE_BIT: u32 = 1 << 31;

/// What lies in a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tenant {
    /// Nothing of ours.
    Nothing,
    /// A piece of that slab.
    Slab(u32),
    /// The first unit of that large block.
    Large(u32),
}

impl Tenant {
    const fn encode(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Slab(id) => id + 1,
            Self::Large(id) => (id + 1) | LARGE_BIT,
        }
    }

    const fn decode(entry: u32) -> Self {
        match entry {
            0 => Self::Nothing,
            entry if entry & LARGE_BIT == 0 => Self::Slab(entry - 1),
            entry => Self::Large((entry & !LARGE_BIT) - 1),
        }
    }
}

/// The table. An empty stretch is one that nothing of ours ever lay in.
pub(super) struct AddressTable {
    first: usize,
    stretches: Vec<Option<Box<[u32; STRETCH_UNITS]>>>,
}

impl AddressTable {
    pub(super) const fn new() -> Self {
        Self {
            first: 0,
            stretches: Vec::new(),
        }
    }

    /// What lies at the address.
    pub(super) fn get(&self, addr: usize) -> Tenant {
        Tenant::decode(self.entry(addr))
    }

    /// The number of the slab at the address; where there is none, a number that no slab has.
    #[inline]
    pub(super) fn slab_at(&self, addr: usize) -> u32 {
        self.entry(addr).wrapping_sub(1)
    }

    #[inline]
    fn entry(&self, addr: usize) -> u32 {
        let stretch = (addr >> STRETCH_SHIFT).wrapping_sub(self.first);
        let Some(Some(units)) = self.stretches.get(stretch) else {
            return 0;
        };
        units.get(addr / UNIT % STRETCH_UNITS).copied().unwrap_or(0)
    }

    /// Notes the tenant of the unit at the address, which [`AddressTable::cover`] covered.
    pub(super) fn set(&mut self, addr: usize, tenant: Tenant) {
        let stretch = (addr >> STRETCH_SHIFT).wrapping_sub(self.first);
        if let Some(Some(units)) = self.stretches.get_mut(stretch) {
            if let Some(entry) = units.get_mut(addr / UNIT % STRETCH_UNITS) {
                *entry = tenant.encode();
            }
        }
    }

    /// Makes entries for `len` bytes from `addr` on, so that noting a tenant there cannot fail.
    pub(super) fn cover(&mut self, addr: usize, len: usize) -> Result<(), OutOfMemory> {
        let low = addr >> STRETCH_SHIFT;
        let high = addr.checked_add(len.max(1) - 1).ok_or(OutOfMemory)? >> STRETCH_SHIFT;
        self.widen(low, high)?;
        for stretch in self
            .stretches
            .iter_mut()
            .skip(low - self.first)
            .take(high - low + 1)
        {
            if stretch.is_none() {
                let mut units = Vec::new();
                units.try_reserve_exact(STRETCH_UNITS)?;
                units.resize(STRETCH_UNITS, 0);
                let units = units.into_boxed_slice().try_into();
                *stretch = Some(units.map_err(|_| OutOfMemory)?);
            }
        }
        Ok(())
    }

    /// How many units have a tenant.
    pub(super) fn tenants(&self) -> usize {
        let stretches = self.stretches.iter().flatten();
        let entries = stretches.flat_map(|units| units.iter());
        entries.filter(|entry| **entry != 0).count()
    }

    /// Lets the window reach over the stretches `low..=high`.
    fn widen(&mut self, low: usize, high: usize) -> Result<(), OutOfMemory> {
        if self.stretches.is_empty() {
            self.first = low;
        }
        let front = self.first.saturating_sub(low);
        let window = (high + 1).max(self.first + self.stretches.len()) - self.first.min(low);
        if window > WINDOW_MAX {
            return Err(OutOfMemory);
        }
        self.stretches.try_reserve(window - self.stretches.len())?;
        self.stretches.resize_with(window, || None);
        self.stretches.rotate_right(front);
        self.first -= front;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn far_apart_is_refused_and_changes_nothing() {
        let mut table = AddressTable::new();
        table.cover(1 << 40, UNIT).unwrap();
        table.set(1 << 40, Tenant::Slab(3));
        assert!(table.cover(1 << 60, UNIT).is_err());
        assert!(table.cover(usize::MAX - 5, UNIT).is_err());
        assert_eq!(table.get(1 << 40), Tenant::Slab(3));
        assert_eq!(table.get((1 << 40) + UNIT - 1), Tenant::Slab(3));
        assert_eq!(table.get((1 << 40) + UNIT), Tenant::Nothing);
        assert_eq!(table.get(0), Tenant::Nothing);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0usize..1 << 20, 0u32..4), 1..60)) {
            let (mut table, mut model) = (AddressTable::new(), HashMap::new());
            for (unit, kind) in steps {
                let addr = (1 << 44) + unit * UNIT;
                let tenant = match kind {
                    0 => Tenant::Nothing,
                    1 => Tenant::Large(unit as u32),
                    _ => Tenant::Slab(unit as u32),
                };
                table.cover(addr, UNIT).unwrap();
                table.set(addr, tenant);
                model.insert(addr, tenant);
            }
            for (&addr, &tenant) in &model {
                prop_assert_eq!(table.get(addr), tenant);
            }
            let tenants = model.values().filter(|&&tenant| tenant != Tenant::Nothing).count();
            prop_assert_eq!(table.tenants(), tenants);
        }
    }
}
