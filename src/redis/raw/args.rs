//! A command's arguments, borrowed from the server for the length of the call.
//!
//! The bytes of a string are asked for more often than anything else, and the answer is two looks
//! at its memory. Where a trial at load has shown for each kind of string that those yield what the
//! API answers ([`recognise_strings`]), no function of the server's is called.

use super::{api, Ctx};
use redis_module::raw;
use std::marker::PhantomData;
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

/// A string of the server's: an object whose text has its length in front.
#[repr(C)]
struct Text {
    bits: u32,
    references: c_int,
    start: *const u8,
}

/// Whether strings are like that on this server.
static LIES_OPEN: AtomicBool = AtomicBool::new(false);

/// Lengths around each border at which the server keeps a string otherwise.
const TRIED: [usize; 10] = [0, 1, 31, 32, 44, 45, 255, 256, 65_535, 65_536];

/// Looks, once at load, whether strings may be read without the API.
pub(crate) fn recognise_strings(ctx: Ctx<'_>) {
    let alike = |len: usize| {
        let made = ctx.string(&vec![b'7'; len]);
        made.is_some_and(|made| {
            let (name, asked) = (made.name(), made.name().asked_bytes());
            // The length in front is only looked at where the text is found to lie there.
            asked.len() == len && name.start() == asked.as_ptr() && name.open_bytes().len() == len
        })
    };
    LIES_OPEN.store(TRIED.into_iter().all(alike), Ordering::Relaxed);
}

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
        if LIES_OPEN.load(Ordering::Relaxed) && !self.ptr.is_null() {
            self.open_bytes()
        } else {
            self.asked_bytes()
        }
    }

    #[inline]
    fn start(self) -> *const u8 {
        // SAFETY: a live string, which is at least as long in every version.
        unsafe { (*self.ptr.cast::<Text>()).start }
    }

    /// The bytes, read where they lie.
    #[inline]
    fn open_bytes(self) -> &'a [u8] {
        let start = self.start();
        // SAFETY: in front of each text of the server's lies a byte that says how its length does.
        let kind: u8 = unsafe { before(start, 1) };
        // Most words are of the one kind, and to ask for it first is cheaper than a table.
        let len = if kind & 7 == 1 {
            // SAFETY: so far in front of such a text lies its length, of one byte.
            usize::from(unsafe { before::<u8>(start, 3) })
        } else {
            match kind & 7 {
                0 => usize::from(kind >> 3),
                // SAFETY: so far in front of such a text lies its length, of two bytes.
                2 => usize::from(unsafe { before::<u16>(start, 5) }),
                // SAFETY: the same of four bytes.
                3 => unsafe { before::<u32>(start, 9) as usize },
                // SAFETY: the same of eight bytes.
                _ => unsafe { before::<usize>(start, 17) },
            }
        };
        // SAFETY: so many bytes lie there, for as long as the string.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    fn asked_bytes(self) -> &'a [u8] {
        let mut len = 0;
        match api!(RedisModule_StringPtrLen(self.ptr, &mut len)) {
            Some(start) if !start.is_null() => {
                // SAFETY: the server says that `len` bytes lie there, for as long as the string.
                unsafe { std::slice::from_raw_parts(start.cast(), len) }
            }
            _ => &[],
        }
    }
}

/// The number so many bytes in front of a text.
///
/// # Safety
/// * A number of that type lies there, of whatever alignment.
#[inline]
unsafe fn before<T: Copy>(text: *const u8, bytes: usize) -> T {
    // SAFETY: the caller says that what is in front is of the same piece of memory.
    let at = unsafe { text.sub(bytes) };
    // SAFETY: the caller says that such a number lies there.
    unsafe { at.cast::<T>().read_unaligned() }
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
