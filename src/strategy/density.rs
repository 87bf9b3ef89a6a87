//! Heat by the byte: what decides who deserves near room.
//!
//! Room is counted in bytes, so the best use of it is the knapsack's: the keys of the most
//! expected accesses *a byte*. [`Score`] is a logarithm, so the division is a subtraction:
//!
//! `density = score - 256 * log2(bytes)`
//!
//! With keys of one size it orders as the score does. The price that a move has beside its bytes
//! is left to the hysteresis.

use crate::heat::Score;
use crate::ids::Bytes;
use crate::migrate::KeyInfo;

/// The logarithm of expected accesses a byte, in the steps of [`Score`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Density(i32);

impl Density {
    /// That of a key.
    pub(super) fn of(info: &KeyInfo) -> Self {
        Self(i32::from(info.score.0) - log2_of(info.bytes))
    }

    /// The density of that many steps.
    pub(super) const fn of_steps(steps: i32) -> Self {
        Self(steps)
    }

    /// Its steps.
    pub(super) const fn steps(self) -> i32 {
        self.0
    }

    /// The density that many steps hotter.
    pub(super) const fn above(self, steps: i32) -> Self {
        Self(self.0.saturating_add(steps))
    }

    /// How many steps hotter this is than the other; 0 where it is not.
    pub(super) fn over(self, other: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(other.0)).unwrap_or(0)
    }

    /// The score at which a key of that size has this density.
    pub(super) fn score_at(self, size_log2: i32) -> Score {
        let score = self.0.saturating_add(size_log2);
        Score(u16::try_from(score.max(0)).unwrap_or(u16::MAX))
    }
}

/// `log2(bytes)` in the steps of [`Score`], the part behind the point linear: never off by more
/// than a tenth of an octave, and it rises with its argument.
pub(super) fn log2_of(bytes: Bytes) -> i32 {
    let octave = u64::from(Score::OCTAVE);
    let amount = bytes.0.max(1);
    let whole = u64::from(amount.ilog2());
    let part = (u128::from(amount - (1 << whole)) * u128::from(octave)) >> whole;
    i32::try_from(whole * octave + part as u64).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_rises_and_is_exact_at_powers_of_two() {
        for power in 0..63 {
            assert_eq!(log2_of(Bytes(1 << power)), power * 256);
        }
        let logs: Vec<_> = (1..5000).map(|bytes| log2_of(Bytes(bytes))).collect();
        assert!(logs.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(log2_of(Bytes(u64::MAX)) <= 64 * 256);
        assert_eq!(log2_of(Bytes::ZERO), 0);
    }

    #[test]
    fn score_of_a_density_is_its_inverse() {
        let size = log2_of(Bytes(300));
        assert_eq!(Density(1000 - size).score_at(size), Score(1000));
        assert_eq!(Density(-5000).score_at(size), Score(0));
        assert_eq!(Density(i32::MAX).score_at(size), Score(u16::MAX));
    }
}
