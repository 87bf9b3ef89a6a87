//! Numbers that lie in blocks: little endian, at any place, never a panic.
//!
//! Every structure of this floor keeps its numbers in bytes of the pool. A place that is not in the
//! bytes is a bug of the caller: reading there answers zero and writing does nothing, so that it
//! shows in `check` and costs no server its life.

use std::ops::Range;

macro_rules! numbers {
    ($($get:ident $put:ident $type:ty),*) => {
        $(
            /// The number at a place.
            #[inline]
            pub(super) fn $get(bytes: &[u8], at: usize) -> $type {
                let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
                debug_assert!(found.is_some(), "a number lies in its bytes");
                found.map_or(0, |found| <$type>::from_le_bytes(*found))
            }

            /// Writes the number at a place.
            #[inline]
            pub(super) fn $put(bytes: &mut [u8], at: usize, number: $type) {
                let place = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut());
                debug_assert!(place.is_some(), "a number lies in its bytes");
                if let Some(place) = place {
                    *place = number.to_le_bytes();
                }
            }
        )*
    };
}

numbers!(get_u8 put_u8 u8, get_u16 put_u16 u16, get_u32 put_u32 u32, get_u64 put_u64 u64);

/// The bytes of a range; none where it reaches out.
#[inline]
pub(super) fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    let found = bytes.get(range);
    debug_assert!(found.is_some(), "a range lies in its bytes");
    found.unwrap_or(&[])
}

/// The bytes of a range, for writing; none where it reaches out.
#[inline]
pub(super) fn slice_mut(bytes: &mut [u8], range: Range<usize>) -> &mut [u8] {
    let found = bytes.get_mut(range);
    debug_assert!(found.is_some(), "a range lies in its bytes");
    found.unwrap_or(&mut [])
}

/// Copies `from` to the place `at`.
#[inline]
pub(super) fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    let to = slice_mut(bytes, at..at.saturating_add(from.len()));
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

/// Moves a range to the place `to` within the same bytes.
#[inline]
pub(super) fn shift(bytes: &mut [u8], range: Range<usize>, to: usize) {
    let fits = range.start <= range.end
        && range.end <= bytes.len()
        && to
            .checked_add(range.len())
            .is_some_and(|end| end <= bytes.len());
    debug_assert!(fits, "a move stays in its bytes");
    if fits {
        bytes.copy_within(range, to);
    }
}
