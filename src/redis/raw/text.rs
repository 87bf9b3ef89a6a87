//! Text on its way to the server: C strings without surprises, and key names of our own.

use super::{api, Ctx, Name};
use redis_module::raw;
use std::ffi::CString;
use std::marker::PhantomData;

/// `text` as a C string; a NUL byte, which no C string can hold, becomes `?`.
pub(crate) fn c_text(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    bytes
        .iter_mut()
        .filter(|byte| **byte == 0)
        .for_each(|byte| *byte = b'?');
    CString::new(bytes).unwrap_or_default()
}

/// A server string that we made; it is freed with this.
pub(crate) struct OwnedName<'c> {
    ptr: *mut raw::RedisModuleString,
    lent: PhantomData<&'c ()>,
}

impl OwnedName<'_> {
    /// The same string as an argument.
    pub(crate) fn name(&self) -> Name<'_> {
        // SAFETY: the pointer lives as long as `self`.
        unsafe { Name::from_raw(self.ptr) }
    }
}

impl Drop for OwnedName<'_> {
    fn drop(&mut self) {
        api!(RedisModule_FreeString(std::ptr::null_mut(), self.ptr));
    }
}

/// A server string with these bytes, which lives until it is dropped.
pub(super) fn own_string(bytes: &[u8]) -> Option<OwnedName<'static>> {
    let null = std::ptr::null_mut();
    let made = api!(RedisModule_CreateString(
        null,
        bytes.as_ptr().cast(),
        bytes.len()
    ));
    let ptr = made.filter(|ptr| !ptr.is_null())?;
    Some(OwnedName {
        ptr,
        lent: PhantomData,
    })
}

impl<'c> Ctx<'c> {
    /// A server string with these bytes, outside the context's automatic memory.
    pub(crate) fn string(self, bytes: &[u8]) -> Option<OwnedName<'c>> {
        own_string(bytes)
    }
}
