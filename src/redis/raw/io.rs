//! The RDB and AOF faces, and the digest of DEBUG DIGEST.

use super::text::own_string;
use super::{api, Name};
use redis_module::raw;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// An RDB file (or DUMP payload) being read or written, or an AOF being rewritten.
#[derive(Clone, Copy)]
pub(crate) struct Io<'c> {
    ptr: *mut raw::RedisModuleIO,
    lent: PhantomData<&'c ()>,
}

impl Io<'_> {
    /// # Safety
    /// * `ptr` is the live IO handle of the callback.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleIO) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    /// Writes a number.
    pub(crate) fn save_number(self, number: u64) {
        api!(RedisModule_SaveUnsigned(self.ptr, number));
    }

    /// Writes bytes with their length.
    pub(crate) fn save_bytes(self, bytes: &[u8]) {
        api!(RedisModule_SaveStringBuffer(
            self.ptr,
            bytes.as_ptr().cast(),
            bytes.len()
        ));
    }

    /// Reads a number; nothing at the end of a short or damaged file.
    pub(crate) fn load_number(self) -> Option<u64> {
        let number = api!(RedisModule_LoadUnsigned(self.ptr))?;
        self.sound().then_some(number)
    }

    /// Reads bytes; nothing at the end of a short or damaged file.
    pub(crate) fn load_bytes(self) -> Option<Delivered> {
        let mut len = 0;
        let start = api!(RedisModule_LoadStringBuffer(self.ptr, &mut len))?;
        let delivered = Delivered {
            start: NonNull::new(start.cast())?,
            len,
        };
        self.sound().then_some(delivered)
    }

    fn sound(self) -> bool {
        api!(RedisModule_IsIOError(self.ptr)).is_none_or(|error| error == 0)
    }

    /// The name of the key that is being read or written, where the server knows it.
    pub(crate) fn key_name(&self) -> Option<Name<'_>> {
        let name = api!(RedisModule_GetKeyNameFromIO(self.ptr))?;
        // SAFETY: the server keeps the name for as long as the handle.
        (!name.is_null()).then(|| unsafe { Name::from_raw(name.cast_mut()) })
    }

    /// Writes `command key words...` to the AOF.
    pub(crate) fn emit_words<'w>(
        self,
        command: &CStr,
        key: Name<'_>,
        words: impl Iterator<Item = &'w [u8]>,
    ) {
        let strings: Vec<_> = words.filter_map(own_string).collect();
        let mut pointers: Vec<_> = strings.iter().map(|word| word.name().as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        let (command, format) = (command.as_ptr(), c"sv".as_ptr());
        api!(RedisModule_EmitAOF(
            self.ptr,
            command,
            format,
            key.as_ptr(),
            start,
            count
        ));
    }

    /// Writes `command key bytes` to the AOF.
    pub(crate) fn emit(self, command: &CStr, key: Name<'_>, bytes: &[u8]) {
        let (start, len) = (bytes.as_ptr(), bytes.len());
        let (command, format) = (command.as_ptr(), c"sb".as_ptr());
        api!(RedisModule_EmitAOF(
            self.ptr,
            command,
            format,
            key.as_ptr(),
            start,
            len
        ));
    }
}

/// What DEBUG DIGEST adds up.
#[derive(Clone, Copy)]
pub(crate) struct Digest<'c> {
    ptr: *mut raw::RedisModuleDigest,
    lent: PhantomData<&'c ()>,
}

impl Digest<'_> {
    /// # Safety
    /// * `ptr` is the live digest handle of the callback.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleDigest) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    /// Adds one element of those parts. The order of the parts counts, that of elements does not.
    pub(crate) fn element(self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.part(part));
        self.end_element();
    }

    /// Adds a part to the element that [`Digest::end_element`] ends.
    pub(crate) fn part(self, bytes: &[u8]) {
        api!(RedisModule_DigestAddStringBuffer(
            self.ptr,
            bytes.as_ptr().cast(),
            bytes.len()
        ));
    }

    /// Ends an element.
    pub(crate) fn end_element(self) {
        api!(RedisModule_DigestEndSequence(self.ptr));
    }
}

/// Bytes that the server read from a file; freed with this.
pub(crate) struct Delivered {
    start: NonNull<u8>,
    len: usize,
}

impl AsRef<[u8]> for Delivered {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the server delivered `len` bytes there, ours until they are freed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        api!(RedisModule_Free(self.start.as_ptr().cast()));
    }
}
