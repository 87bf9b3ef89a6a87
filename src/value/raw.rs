//! From an address back to the value: the floor's one place that trusts a pointer.
//!
//! A server keeps one address for each value and hands it back with each command. There are three
//! ways in, by what the command may do to the address:
//!
//! * [`borrow`]: it stays. To read, and to write heat and pin in place.
//! * [`edit`]: it may change. The command stores [`Slot::finish`] with the key.
//! * [`take`]: it ends. The value is owned again and is given back when dropped.

use super::header::{Header, HEADER_LEN};
use super::string::NumaString;
use crate::heat::{Clock, Heat};
use crate::pool::{Block, PoolHandle};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The value at that address, owned.
///
/// # Safety
/// * `address` came from [`NumaString::into_raw`] or [`Slot::finish`] of a value of `pool`,
/// * it was not taken since, and nobody else uses it from now on.
#[must_use]
pub unsafe fn take(address: NonNull<u8>, pool: PoolHandle) -> NumaString {
    let header = address.cast::<[u8; HEADER_LEN]>();
    // SAFETY: every value begins with its header, written when it was made; the caller promises
    // that the value is alive and used by nobody else.
    let header = Header::decoded(unsafe { header.read_unaligned() });
    // SAFETY: the caller promises the address; class and node are what the block was made with,
    // the header is written by this floor alone.
    let block = unsafe { Block::from_raw(address, header.class, header.node) };
    NumaString::from_block(block, pool)
}

/// The value at that address, to look at; heat and pin may be written.
///
/// # Safety
/// As [`take`], but the value stays where it is, and `'a` ends before it is next changed, taken or
/// borrowed.
#[must_use]
pub unsafe fn borrow<'a>(address: NonNull<u8>, pool: PoolHandle) -> Borrowed<'a> {
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
pub unsafe fn edit(address: NonNull<u8>, pool: PoolHandle) -> Slot {
    // SAFETY: the same duties.
    Slot(ManuallyDrop::new(unsafe { take(address, pool) }))
}

/// A value that belongs to a key. Read it through `Deref`.
#[derive(Debug)]
pub struct Borrowed<'a> {
    value: ManuallyDrop<NumaString>,
    lifetime: PhantomData<&'a NumaString>,
}

impl Borrowed<'_> {
    /// Writes the heat in place.
    pub fn set_heat(&mut self, heat: Heat) {
        self.value.set_heat(heat);
    }

    /// Counts one access in place.
    pub fn touch(&mut self, clock: &Clock, dice: u32) {
        self.value.touch(clock, dice);
    }

    /// Writes the pin in place.
    pub fn set_pinned(&mut self, pinned: bool) {
        self.value.set_pinned(pinned);
    }
}

impl Deref for Borrowed<'_> {
    type Target = NumaString;
    fn deref(&self) -> &NumaString {
        &self.value
    }
}

/// A value that belongs to a key and may move to another block. Dropping the slot frees nothing:
/// a command that ends early must not take the key's value with it. Once a change succeeded the
/// old address may be dead, so nothing that can fail stands between it and [`Slot::finish`].
#[derive(Debug)]
#[must_use = "the key must learn the value's address"]
pub struct Slot(ManuallyDrop<NumaString>);

impl Slot {
    /// Where the value lies now.
    #[must_use]
    pub fn finish(self) -> NonNull<u8> {
        ManuallyDrop::into_inner(self.0).into_raw()
    }
}

impl Deref for Slot {
    type Target = NumaString;
    fn deref(&self) -> &NumaString {
        &self.0
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut NumaString {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::string::tests::{assert_all_home, hot, id, live, pool};

    #[test]
    fn addresses_lead_back_to_values() {
        let pool = pool();
        let address = NumaString::new(pool, &[id(1)], b"kept", hot())
            .unwrap()
            .into_raw();
        let clock = Clock::new();
        {
            // SAFETY: the address was just given up, and each borrow ends before the next begins.
            let mut seen = unsafe { borrow(address, pool) };
            seen.touch(&clock, 0);
            seen.set_pinned(true);
            assert_eq!(seen.as_bytes(), b"kept");
            assert_eq!(seen.node(), id(1));
        }
        // SAFETY: the borrow ended; the address is replaced below.
        let mut slot = unsafe { edit(address, pool) };
        slot.append(&[b'!'; 5000], &[id(1)]).unwrap();
        let address = slot.finish();
        // SAFETY: the slot was finished and its answer is the only address left.
        let slot = unsafe { edit(address, pool) };
        assert_eq!(slot.len(), 5004);
        drop(slot);
        assert!(live(pool) > 5000, "a slot that ends early frees nothing");
        // SAFETY: the slot is gone; the address is used for the last time.
        let value = unsafe { take(address, pool) };
        assert_eq!((value.heat().accesses, value.pinned()), (10, true));
        assert_eq!(&value.as_bytes()[..5], b"kept!");
        drop(value);
        assert_all_home(pool);
    }
}
