//! The first 16 bytes of a value's block.
//!
//! ```text
//!  0        4           8     12        13      14      15
//!  | stamp  | accesses  | len | counter | state | class | node |
//!    u32      u32         u32   u8        u8      u8      u8       little endian
//!
//!  state = level (bits 0-2) | pinned (bit 3) | 0 (bits 4-7)
//! ```
//!
//! Sixteen bytes, so that the bytes of the user begin aligned, and heat lies in the cache line
//! that a reader of a small value fetches anyway. `class` and `node` are what the block needs to
//! be given back when nothing but its address is at hand; they are written once, with the block.

use crate::heat::{Heat, Level};

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = 16;

const PINNED: u8 = 1 << 3;
const LEVEL: u8 = 0b111;

const _: () = assert!(Level::MAX.get() <= LEVEL, "a level fits in its bits");

/// The header, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) heat: Heat,
    pub(super) pinned: bool,
    /// Bytes of the user behind the header.
    pub(super) len: u32,
    pub(super) class: u8,
    pub(super) node: u8,
}

impl Header {
    /// Reads what [`Header::encoded`] wrote.
    #[inline]
    pub(super) fn decoded(bytes: [u8; HEADER_LEN]) -> Self {
        let [s0, s1, s2, s3, a0, a1, a2, a3, l0, l1, l2, l3, counter, state, class, node] = bytes;
        Self {
            heat: Heat {
                stamp: u32::from_le_bytes([s0, s1, s2, s3]),
                accesses: u32::from_le_bytes([a0, a1, a2, a3]),
                counter,
                level: Level::clamped(state & LEVEL),
            },
            pinned: state & PINNED != 0,
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            class,
            node,
        }
    }

    /// Writes the heat alone into a header that lies in a block.
    #[inline]
    pub(super) fn put_heat(bytes: &mut [u8; HEADER_LEN], heat: Heat) {
        let [s0, s1, s2, s3, a0, a1, a2, a3, _, _, _, _, counter, state, _, _] = bytes;
        [*s0, *s1, *s2, *s3] = heat.stamp.to_le_bytes();
        [*a0, *a1, *a2, *a3] = heat.accesses.to_le_bytes();
        *counter = heat.counter;
        *state = *state & !LEVEL | heat.level.get();
    }

    /// The same for the length.
    #[inline]
    pub(super) fn put_len(bytes: &mut [u8; HEADER_LEN], len: u32) {
        let [_, _, _, _, _, _, _, _, l0, l1, l2, l3, _, _, _, _] = bytes;
        [*l0, *l1, *l2, *l3] = len.to_le_bytes();
    }

    /// The header as it lies in the block.
    #[inline]
    pub(super) fn encoded(&self) -> [u8; HEADER_LEN] {
        let [s0, s1, s2, s3] = self.heat.stamp.to_le_bytes();
        let [a0, a1, a2, a3] = self.heat.accesses.to_le_bytes();
        let [l0, l1, l2, l3] = self.len.to_le_bytes();
        let state = self.heat.level.get() | if self.pinned { PINNED } else { 0 };
        let (counter, class, node) = (self.heat.counter, self.class, self.node);
        [
            s0, s1, s2, s3, a0, a1, a2, a3, l0, l1, l2, l3, counter, state, class, node,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_header_is_read_back(
            (stamp, accesses, len) in any::<(u32, u32, u32)>(),
            (counter, class, node, pinned) in any::<(u8, u8, u8, bool)>(),
            level in 0_u8..8,
        ) {
            let level = Level::clamped(level);
            let heat = Heat { stamp, accesses, counter, level };
            let header = Header { heat, pinned, len, class, node };
            prop_assert_eq!(Header::decoded(header.encoded()), header);
            let other = Heat { stamp: accesses, accesses: stamp, counter: class, level };
            let mut bytes = header.encoded();
            Header::put_heat(&mut bytes, other);
            Header::put_len(&mut bytes, stamp);
            prop_assert_eq!(Header::decoded(bytes), Header { heat: other, len: stamp, ..header });
        }
    }

    #[test]
    fn fields_lie_where_the_drawing_says() {
        let heat = Heat {
            stamp: 0x0403_0201,
            accesses: 0x0807_0605,
            counter: 13,
            level: Level::clamped(6),
        };
        let header = Header {
            heat,
            pinned: true,
            len: 0x0C0B_0A09,
            class: 15,
            node: 16,
        };
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0b1110, 15, 16];
        assert_eq!(header.encoded(), bytes);
    }
}
