//! An element of a big sorted set: one block, from its birth to its end or its next move.
//!
//! ```text
//! | score f64 | len u8 | member |            | score f64 | 255 | len u32 | member |
//! ```

use super::super::field::{get_u32, get_u64, get_u8, put, put_u32, put_u64, put_u8, slice};
use super::super::hash::hash;

const LEN: usize = 8;
const SHORT: usize = LEN + 1;
const LONG: usize = SHORT + 4;
const IS_LONG: u8 = 255;

/// The longest member, in bytes.
pub(super) const MEMBER_MAX: usize = u32::MAX as usize;

/// Bytes of an element with a member of `len` bytes.
pub(super) const fn size(len: usize) -> usize {
    len + if len < IS_LONG as usize { SHORT } else { LONG }
}

/// Writes an element.
pub(super) fn write(element: &mut [u8], score: f64, member: &[u8]) {
    set_score(element, score);
    if member.len() < IS_LONG as usize {
        put_u8(element, LEN, member.len() as u8);
        put(element, SHORT, member);
    } else {
        put_u8(element, LEN, IS_LONG);
        put_u32(element, SHORT, member.len() as u32);
        put(element, LONG, member);
    }
}

/// The score; it is no NaN.
#[inline]
pub(super) fn score(element: &[u8]) -> f64 {
    f64::from_bits(get_u64(element, 0))
}

/// Writes the score.
pub(super) fn set_score(element: &mut [u8], score: f64) {
    put_u64(element, 0, score.to_bits());
}

/// The member.
#[inline]
pub(super) fn member(element: &[u8]) -> &[u8] {
    let (start, len) = match get_u8(element, LEN) {
        IS_LONG => (LONG, get_u32(element, SHORT) as usize),
        len => (SHORT, len.into()),
    };
    slice(element, start..start + len)
}

/// The hash of the member.
pub(super) fn hash_of(element: &[u8]) -> u64 {
    hash(member(element))
}
