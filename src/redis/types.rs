//! The table of the NUMA types: what is registered, and how a value of any of them is met.
//!
//! A new type is an impl of [`NumaType`] and a line in [`each_type`]. Whoever knows the type works
//! on a `V`; whoever does not (scans, moves, reports) works on a `dyn Value`, which
//! [`with_any`] makes of the server's pointer. The server's handle of a type is what tells them
//! apart: no value says itself what it is, so no byte of it can lie.

use super::numa_type::{register, NumaType};
use super::raw::Ctx;
use crate::migrate::Kind;
use crate::pool::PoolHandle;
use crate::value::{raw, Value};
use redis_module::raw::RedisModuleType;
use std::ptr::NonNull;

/// Hands every type to a macro.
macro_rules! each_type {
    ($do:ident) => {
        $do! {
            crate::value::NumaString,
            crate::value::NumaHash,
            crate::value::NumaSet,
            crate::value::NumaList,
            crate::value::NumaZset
        }
    };
}

/// The server's handles of the types.
#[derive(Clone, Copy)]
pub(crate) struct Handles([*mut RedisModuleType; COUNT]);

// SAFETY: the handles are the server's for as long as the process lives, and only ever compared
// and handed back to it.
unsafe impl Sync for Handles {}
// SAFETY: as for `Sync`.
unsafe impl Send for Handles {}

macro_rules! kinds {
    ($($type:ty),*) => {
        const KINDS: &[Kind] = &[$(<$type as NumaType>::KIND),*];
    };
}
each_type!(kinds);
const COUNT: usize = KINDS.len();

impl Handles {
    /// Registers every type.
    ///
    /// # Errors
    /// The type that the server refused.
    pub(crate) fn register(ctx: Ctx<'_>) -> Result<Self, String> {
        macro_rules! all {
            ($($type:ty),*) => {
                [$(register::<$type>(ctx)?),*]
            };
        }
        Ok(Self(each_type!(all)))
    }

    /// The handle of a type; null for a kind that has no NUMA form.
    #[inline]
    pub(crate) fn of(&self, kind: Kind) -> *mut RedisModuleType {
        let row = KINDS.iter().zip(self.0).find(|(known, _)| **known == kind);
        row.map_or(std::ptr::null_mut(), |(_, handle)| handle)
    }

    /// Which of our types that handle is.
    #[inline]
    pub(crate) fn kind_of(&self, handle: *mut RedisModuleType) -> Option<Kind> {
        let row = KINDS.iter().zip(self.0).find(|(_, known)| *known == handle);
        row.map(|(kind, _)| *kind)
    }
}

/// Lends `work` the value of that kind at an address.
///
/// # Safety
/// * `address` is the server's pointer of a live value of that kind in `pool`.
/// * Nobody else looks at the value or changes it while `work` runs.
pub(crate) unsafe fn with_any<R>(
    kind: Kind,
    address: NonNull<u8>,
    pool: PoolHandle,
    work: impl FnOnce(&dyn Value) -> R,
) -> Option<R> {
    macro_rules! meet {
        ($($type:ty),*) => {
            match kind {
                $(<$type as NumaType>::KIND => {
                    // SAFETY: the caller's two promises are those of `borrow`.
                    let borrowed = unsafe { raw::borrow::<$type>(address, pool) };
                    Some(work(&*borrowed))
                })*
                _ => None,
            }
        };
    }
    each_type!(meet)
}

pub(crate) use each_type;
