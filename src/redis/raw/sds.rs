//! The bytes of a string of the server's, read where they lie.
//!
//! The API's way is a call for each word of each command. Beneath it lie an object that points to
//! the bytes, and in front of those a head that says how long they are:
//!
//! ```text
//! | len, room: 1 to 8 bytes each | flags, 3 bits say how many | bytes of the string | 0 |
//!                                                             ^ the object's pointer
//! ```
//!
//! Invariant: read so only where strings of every width that fits a test were read right at load
//! ([`recognise`]); elsewhere, and of widths that nobody tried, the API answers. Rejected: keeping
//! bytes and length beside each word, which is the same call for words that nobody reads.

use super::api;
use super::text::own_string;
use redis_module::raw;
use std::os::raw::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

/// How an object of the server's begins.
#[repr(C)]
struct Text {
    /// type: 4, encoding: 4, lru: 24
    bits: u32,
    references: i32,
    bytes: *const u8,
}

/// The bits of the flags that say how wide the lengths are, and their values.
const WIDTH: u8 = 0b111;
const BYTE: u8 = 1;
const SHORT: u8 = 2;
const WORD: u8 = 3;

/// Lengths that are tried: either side of each width, and of the strings that lie in their object.
const TRIED: [usize; 8] = [0, 1, 44, 45, 255, 256, 65_535, 65_536];

static KNOWN: AtomicBool = AtomicBool::new(false);

/// Tries strings of all widths; from then on they are read where they lie, if they read right.
pub(super) fn recognise() -> bool {
    let right = TRIED.iter().all(|len| reads_right(*len) == Some(true));
    KNOWN.store(right, Ordering::Relaxed);
    right
}

/// Whether a string of that length reads as the API says, and where it says.
fn reads_right(len: usize) -> Option<bool> {
    let wanted: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let made = own_string(&wanted)?;
    let name = made.name();
    let (read, said) = (read(name.as_ptr())?, by_api(name.as_ptr())?);
    Some(read == said && read == (said.0, len))
}

/// Where a string's bytes lie, and how many.
type Bytes = (*const u8, usize);

/// The bytes of a string.
#[inline]
pub(super) fn bytes(string: *mut raw::RedisModuleString) -> Option<Bytes> {
    let seen = KNOWN.load(Ordering::Relaxed).then(|| read(string));
    seen.flatten().or_else(|| by_api(string))
}

fn by_api(string: *mut raw::RedisModuleString) -> Option<Bytes> {
    let mut len = 0;
    let start = api!(RedisModule_StringPtrLen(string, &mut len))?;
    (!start.is_null()).then_some((start.cast(), len))
}

/// The same, read where it lies; nothing where the width is one that is not read here.
#[inline]
fn read(string: *mut raw::RedisModuleString) -> Option<Bytes> {
    let text = string.cast::<c_void>().cast::<Text>().cast_const();
    if text.is_null() {
        return None;
    }
    // SAFETY: a live string of the server's; an object is longer than that in every version, and
    // what is read of it is only followed where strings were recognised, or to recognise them.
    let start = unsafe { (*text).bytes };
    // SAFETY: every string of the server's has its flags there.
    let flags = unsafe { *start.wrapping_sub(1) };
    let len = match flags & WIDTH {
        // SAFETY: a head of that kind begins with a length of one byte.
        BYTE => usize::from(unsafe { *start.wrapping_sub(3) }),
        // SAFETY: of two bytes.
        SHORT => usize::from(unsafe { start.wrapping_sub(5).cast::<u16>().read_unaligned() }),
        // SAFETY: of four bytes.
        WORD => (unsafe { start.wrapping_sub(9).cast::<u32>().read_unaligned() }) as usize,
        _ => return None,
    };
    Some((start, len))
}
