//! A value met by a command that is served without a context (`raw/direct`).
//!
//! What the shortest commands need of a key: is there anything, is it a value of ours, its bytes to
//! read or to write over. There is no handle to close and nothing that a failure would leave half
//! done; whatever needs more goes the way of every other command, which begins anew.
//!
//! Invariant: a value that was found stays where it is until the call is over. Rejected: the open
//! key of `numa_key` for these too; half of what a GET cost was carrying it about.

use super::numa_type::NumaType;
use super::raw::{Args, Found, Known, Mode, Name};
use super::server::{server, Server};
use crate::value::{raw, NumaString, Value};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// One call of such a command.
pub(crate) struct QuickCall<'c> {
    pub(crate) known: Known<'c>,
    pub(crate) args: Args<'c>,
    server: &'static Server,
}

/// What lies at a key.
pub(crate) enum Lies<'c, V> {
    /// Nothing.
    Nothing,
    /// A NUMA value of the command's type.
    Ours(Here<'c, V>),
    /// Anything else.
    Other(Found<'c>),
}

/// A NUMA value of that type.
pub(crate) struct Here<'c, V> {
    found: Found<'c>,
    name: Name<'c>,
    value: NonNull<u8>,
    of: PhantomData<V>,
}

impl<V> Here<'_, V> {
    /// Whether it has a time to live.
    #[inline]
    pub(crate) fn expires(&self) -> bool {
        self.found.expires_at().is_some()
    }
}

impl<'c> QuickCall<'c> {
    /// A call of these words, once the module is in its place.
    #[inline]
    pub(crate) fn new(known: Known<'c>, args: Args<'c>) -> Option<Self> {
        Some(Self {
            known,
            args,
            server: server()?,
        })
    }

    /// Looks at a key: a use of it, as of every command that opens it in that mode.
    #[inline]
    pub(crate) fn find<V: NumaType>(&self, name: Name<'c>, mode: Mode) -> Lies<'c, V> {
        let found = self.known.find(name, mode);
        match found.value_of(self.server.types.of(V::KIND)) {
            Some(value) => Lies::Ours(Here {
                found,
                name,
                value,
                of: PhantomData,
            }),
            None if found.is_empty() => Lies::Nothing,
            None => Lies::Other(found),
        }
    }

    /// Reads the value; a use of it.
    #[inline]
    pub(crate) fn read<V: NumaType>(&self, here: &Here<'c, V>, work: impl FnOnce(&V)) {
        // SAFETY: the server's pointer of our type: a live value of this pool, which stays there
        // while this main-thread call lasts.
        let mut value = unsafe { raw::borrow::<V>(here.value, self.server.pool) };
        if let Some(heat) = self.heat_after_use(here, &*value) {
            value.set_heat(heat);
        }
        work(&value);
    }

    /// Looks at the value; no use of it.
    #[inline]
    pub(crate) fn look<V: NumaType, R>(&self, here: &Here<'c, V>, work: impl FnOnce(&V) -> R) -> R {
        // SAFETY: as in `read`.
        let value = unsafe { raw::borrow::<V>(here.value, self.server.pool) };
        work(&value)
    }

    /// Sets all bytes of the string anew where its block fits, a use of it; whether it did.
    #[inline]
    pub(crate) fn overwrite(&self, here: &Here<'c, NumaString>, bytes: &[u8]) -> bool {
        // SAFETY: as in `read`; what is written over in place keeps its address.
        let mut value = unsafe { raw::edit::<NumaString>(here.value, self.server.pool) };
        let done = value.overwrite(bytes);
        if done {
            if let Some(heat) = self.heat_after_use(here, &*value) {
                value.set_heat(heat);
            }
        }
        let now = value.finish();
        debug_assert_eq!(now, here.value, "what is written over stays where it is");
        done
    }

    #[inline]
    fn heat_after_use<V: Value>(&self, here: &Here<'c, V>, value: &V) -> Option<crate::heat::Heat> {
        let db = || self.known.db_index().unsigned_abs();
        let heat = self
            .server
            .pulse
            .with(|pulse| pulse.access(db, here.name, value));
        heat.flatten()
    }
}
