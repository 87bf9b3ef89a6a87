//! Large blocks: bigger than the biggest size class, each a mapping of its own.
//!
//! ```text
//!   | length, seal | the block's bytes ...                        |
//!   0             16                                    whole OS pages
//! ```
//!
//! The one place with a header in front of the block: 16 bytes of many thousand. A value that is
//! freed on a background thread, or read in a forked child, must know how long its mapping is
//! without asking tables that belong to the main thread, and without a lock. The line is the one
//! that the value's own header lies in, so nothing is loaded for it. The table here stays the
//! authority: what comes home is looked up by address, and the header is believed only where its
//! seal is right.
//!
//! Rejected: a locked table (the lock may be held at a fork), and size classes for large blocks
//! (up to an eighth lost where whole OS pages are exact).

use crate::machine::{os_page, Mapping};

/// Bytes in front of a large block.
pub(super) const HEADER: usize = 16;
/// The biggest request, in bytes: no machine has more.
const SIZE_MAX: usize = 1 << 46;

/// The books of one; without a mapping the record is vacant.
#[derive(Default)]
pub(super) struct Large {
    pub(super) mapping: Option<Mapping>,
}

/// Bytes of the mapping for a block of `size` bytes; nothing where no machine has that much.
pub(super) fn mapping_len(size: usize) -> Option<usize> {
    (size <= SIZE_MAX).then(|| (size + HEADER).next_multiple_of(os_page().as_usize()))
}
