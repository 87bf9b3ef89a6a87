//! A key's name as 64 bits: what the read sketch, the far set and the ring of reads know of it.
//!
//! Names alone, without their database: two databases may share a name and with it heat, and in
//! return SWAPDB and MOVE change nothing. The seed is drawn at load, so that nobody outside can
//! choose names that meet. Eight bytes a step by a folded multiplication, some 3 ns for 16 bytes:
//! a read of the server may cost no more. Rejected: the standard library's hasher, five times that.

use std::hash::{BuildHasher, RandomState};

/// Hashes names; copies hash alike.
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    seed: u64,
}

/// Odd, without a pattern of bits.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
const FOLD: u64 = 0xD6E8_FEB8_6659_FD93;

/// The product of both, its halves laid over one another: each bit depends on all.
#[inline]
const fn folded(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

impl KeyHasher {
    /// A hasher with a seed that nobody knows.
    #[must_use]
    pub fn random() -> Self {
        Self::seeded(RandomState::new().hash_one(MIX))
    }

    /// A hasher that hashes alike in each run, for tests.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { seed: seed | 1 }
    }

    /// The hash of a name.
    #[must_use]
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u64 {
        let mut state = self.seed ^ (name.len() as u64).wrapping_mul(MIX);
        let words = name.chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            state = folded(state ^ word, FOLD);
        }
        folded(folded(state ^ tail(name, rest), FOLD), MIX)
    }
}

/// What is left of a name behind its whole words: its last eight bytes where it has as many, some
/// of them again, for one load is cheaper than seven.
#[inline]
fn tail(name: &[u8], rest: &[u8]) -> u64 {
    if rest.is_empty() {
        return 0;
    }
    match name.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .rev()
            .fold(0, |last, byte| last << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn near_names_spread_over_all_bits() {
        let hasher = KeyHasher::seeded(7);
        let hashes: Vec<u64> = (0..20_000)
            .map(|number| hasher.hash(format!("key:{number:08}").as_bytes()))
            .collect();
        let distinct: HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
        for bit in 0..64 {
            let set = hashes.iter().filter(|hash| *hash >> bit & 1 == 1).count();
            assert!((9_000..11_000).contains(&set), "bit {bit}: {set}");
        }
    }

    #[test]
    fn length_and_seed_count() {
        let hasher = KeyHasher::seeded(7);
        assert_ne!(hasher.hash(b""), hasher.hash(b"\0"));
        assert_ne!(hasher.hash(b"12345678"), hasher.hash(b"12345678\0"));
        assert_ne!(hasher.hash(b"a"), KeyHasher::seeded(9).hash(b"a"));
        assert_eq!(hasher.hash(b"a"), hasher.hash(b"a"));
    }
}
