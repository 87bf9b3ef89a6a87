//! From an address back to the value: the floor's one place that trusts a pointer.
//!
//! A server keeps one address for each value and hands it back with each command. There are three
//! ways in, by what the command may do to the address:
//!
//! * [`borrow`]: it stays. To read, and to write heat and pin in place.
//! * [`edit`]: it may change. The command stores [`Slot::finish`] with the key.
//! * [`take`]: it ends. The value is owned again and is given back when dropped.

use super::contract::Value;
use super::header::{Header, HEADER_LEN};
use super::root::Root;
use crate::heat::Heat;
use crate::pool::{Block, PoolHandle};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The value at that address, owned.
///
/// # Safety
/// * `address` came from [`Value::into_raw`] or [`Slot::finish`] of a `V` of `pool`,
/// * it was not taken since, and nobody else uses it from now on.
#[must_use]
#[inline]
pub unsafe fn take<V: Value>(address: NonNull<u8>, pool: PoolHandle) -> V {
    let header = address.cast::<[u8; HEADER_LEN]>();
    // SAFETY: every value begins with its header, written when it was made; the caller promises
    // that the value is alive and used by nobody else.
    let header = Header::decoded(unsafe { header.read_unaligned() });
    // SAFETY: the caller promises the address; class and node are what the block was made with,
    // the header is written by this floor alone.
    let block = unsafe { Block::from_raw(address, header.class, header.node) };
    V::from_root(Root::from_block(block, pool))
}

/// The value at that address, to look at; heat and pin may be written.
///
/// # Safety
/// As [`take`], but the value stays where it is, and `'a` ends before it is next changed, taken or
/// borrowed.
#[must_use]
#[inline]
pub unsafe fn borrow<'a, V: Value>(address: NonNull<u8>, pool: PoolHandle) -> Borrowed<'a, V> {
    Borrowed {
        // SAFETY: the same duties; what is borrowed is never dropped, so it is not taken.
        value: ManuallyDrop::new(unsafe { take(address, pool) }),
        lifetime: PhantomData,
    }
}

/// The value at that address, to change.
///
/// # Safety
/// As [`take`]; the caller replaces the address it keeps by [`Slot::finish`].
pub unsafe fn edit<V: Value>(address: NonNull<u8>, pool: PoolHandle) -> Slot<V> {
    // SAFETY: the same duties.
    Slot(ManuallyDrop::new(unsafe { take(address, pool) }))
}

/// A value that belongs to a key. Read it through `Deref`.
#[derive(Debug)]
pub struct Borrowed<'a, V> {
    value: ManuallyDrop<V>,
    lifetime: PhantomData<&'a V>,
}

impl<V: Value> Borrowed<'_, V> {
    /// Writes the heat in place.
    pub fn set_heat(&mut self, heat: Heat) {
        self.value.set_heat(heat);
    }

    /// Writes the pin in place.
    pub fn set_pinned(&mut self, pinned: bool) {
        self.value.set_pinned(pinned);
    }
}

impl<V> Deref for Borrowed<'_, V> {
    type Target = V;
    fn deref(&self) -> &V {
        &self.value
    }
}

/// A value that belongs to a key and may move to another block. Dropping the slot frees nothing:
/// a command that ends early must not take the key's value with it. Once a change succeeded the
/// old address may be dead, so nothing that can fail stands between it and [`Slot::finish`].
#[derive(Debug)]
#[must_use = "the key must learn the value's address"]
pub struct Slot<V>(ManuallyDrop<V>);

impl<V: Value> Slot<V> {
    /// Where the value lies now.
    #[must_use]
    pub fn finish(self) -> NonNull<u8> {
        ManuallyDrop::into_inner(self.0).into_raw()
    }
}

impl<V> Deref for Slot<V> {
    type Target = V;
    fn deref(&self) -> &V {
        &self.0
    }
}

impl<V> DerefMut for Slot<V> {
    fn deref_mut(&mut self) -> &mut V {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testkit::{assert_all_home, hot, id, live, pool};
    use crate::value::NumaString;

    #[test]
    fn addresses_lead_back_to_values() {
        let pool = pool();
        let address = NumaString::new(pool, &[id(1)], b"kept", hot())
            .unwrap()
            .into_raw();
        {
            // SAFETY: the address was just given up, and each borrow ends before the next begins.
            let mut seen = unsafe { borrow::<NumaString>(address, pool) };
            let mut heat = seen.heat();
            heat.accesses += 1;
            seen.set_heat(heat);
            seen.set_pinned(true);
            assert_eq!(seen.as_bytes(), b"kept");
            assert_eq!(seen.node(), id(1));
        }
        // SAFETY: the borrow ended; the address is replaced below.
        let mut slot = unsafe { edit::<NumaString>(address, pool) };
        slot.append(&[b'!'; 5000], &[id(1)]).unwrap();
        let address = slot.finish();
        // SAFETY: the slot was finished and its answer is the only address left.
        let slot = unsafe { edit::<NumaString>(address, pool) };
        assert_eq!(slot.len(), 5004);
        drop(slot);
        assert!(live(pool) > 5000, "a slot that ends early frees nothing");
        // SAFETY: the slot is gone; the address is used for the last time.
        let value = unsafe { take::<NumaString>(address, pool) };
        assert_eq!((value.heat().accesses, value.pinned()), (10, true));
        assert_eq!(&value.as_bytes()[..5], b"kept!");
        drop(value);
        assert_all_home(pool);
    }
}
