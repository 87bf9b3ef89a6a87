//! The server's INFO, as far as a module may add to it.

use super::{api, c_text};
use redis_module::raw;
use std::marker::PhantomData;

/// The INFO reply that is being written.
#[derive(Clone, Copy)]
pub(crate) struct Report<'c> {
    ptr: *mut raw::RedisModuleInfoCtx,
    lent: PhantomData<&'c ()>,
}

impl Report<'_> {
    /// # Safety
    /// * `ptr` is the live INFO context of the callback.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleInfoCtx) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    /// Begins the module's section; false where the client asked for another.
    pub(crate) fn section(self) -> bool {
        api!(RedisModule_InfoAddSection(self.ptr, c"".as_ptr())) == Some(super::OK)
    }

    /// A field; the server puts `numa_` in front of the name.
    pub(crate) fn number(self, name: &str, value: u64) {
        let name = c_text(name);
        api!(RedisModule_InfoAddFieldULongLong(
            self.ptr,
            name.as_ptr(),
            value
        ));
    }

    /// A field of text; colons and line breaks, which simple parsers trip over, become spaces.
    pub(crate) fn text(self, name: &str, value: &str) {
        let name = c_text(name);
        let value = c_text(value.replace(": ", ", ").replace([':', '\r', '\n'], " "));
        api!(RedisModule_InfoAddFieldCString(
            self.ptr,
            name.as_ptr(),
            value.as_ptr()
        ));
    }
}
