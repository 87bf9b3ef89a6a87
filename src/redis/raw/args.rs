//! A command's arguments, borrowed from the server for the length of the call.

use super::sds;
use redis_module::raw;
use std::marker::PhantomData;

/// A string of the server's: an argument or a key name.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    ptr: *mut raw::RedisModuleString,
    lent: PhantomData<&'a ()>,
}

impl<'a> Name<'a> {
    /// # Safety
    /// * `ptr` is a live string of the server for all of `'a`.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleString) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    pub(crate) fn as_ptr(self) -> *mut raw::RedisModuleString {
        self.ptr
    }

    /// The bytes; none where the server would not say.
    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        let Some((start, len)) = sds::bytes(self.ptr) else {
            return &[];
        };
        // SAFETY: the server says that `len` bytes lie there, for as long as the string.
        unsafe { std::slice::from_raw_parts(start, len) }
    }
}

/// All words of a command, its name first.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a> {
    words: &'a [*mut raw::RedisModuleString],
}

impl<'a> Args<'a> {
    /// # Safety
    /// * `argv` points to `argc` live strings for all of `'a`.
    pub(crate) unsafe fn from_raw(argv: *mut *mut raw::RedisModuleString, argc: i32) -> Self {
        let count = usize::try_from(argc).unwrap_or(0);
        if argv.is_null() || count == 0 {
            return Self { words: &[] };
        }
        // SAFETY: the caller vouches for `argc` pointers.
        let words = unsafe { std::slice::from_raw_parts(argv, count) };
        Self { words }
    }

    /// The words as the server lent them.
    pub(super) fn as_raw(self) -> (*mut *mut raw::RedisModuleString, i32) {
        (self.words.as_ptr().cast_mut(), self.words.len() as i32)
    }

    /// How many words there are, the command's name included.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.words.len()
    }

    /// The word at `index`, the command's name being 0.
    #[inline]
    pub(crate) fn name(self, index: usize) -> Option<Name<'a>> {
        // SAFETY: `from_raw` was promised live strings.
        self.words
            .get(index)
            .map(|ptr| unsafe { Name::from_raw(*ptr) })
    }

    /// The bytes of the word at `index`.
    pub(crate) fn bytes(self, index: usize) -> Option<&'a [u8]> {
        self.name(index).map(Name::bytes)
    }

    /// The words from `index` on.
    pub(crate) fn names_from(self, index: usize) -> impl Iterator<Item = Name<'a>> {
        // SAFETY: `from_raw` was promised live strings.
        self.words
            .iter()
            .skip(index)
            .map(|ptr| unsafe { Name::from_raw(*ptr) })
    }
}
