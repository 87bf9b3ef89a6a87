//! Small dice for counters that move with a probability.
//!
//! Xorshift32: three shifts, no lock, no system call, and with a fixed seed every run is the same
//! run. Nothing here guards a secret; a stranger who predicts the dice can at most make one key
//! look a sixteenth of an octave hotter than it is.

/// The state of the dice; never zero.
#[derive(Clone, Debug)]
pub struct Dice(u32);

impl Dice {
    /// Dice that roll the same numbers for the same seed.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(if seed == 0 { 0x9E37_79B9 } else { seed })
    }

    /// The next number, even over all of `u32` but zero.
    #[inline]
    pub fn roll(&mut self) -> u32 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.0 = x;
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let (mut a, mut b) = (Dice::new(42), Dice::new(42));
        assert!((0..1000).all(|_| a.roll() == b.roll()));
    }

    #[test]
    fn seed_zero_rolls_too() {
        let mut dice = Dice::new(0);
        assert_ne!(dice.roll(), dice.roll());
    }

    #[test]
    fn numbers_are_even() {
        let mut dice = Dice::new(3);
        let mut buckets = [0_u32; 16];
        for _ in 0..160_000 {
            buckets[(dice.roll() >> 28) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|&n| (9_500..10_500).contains(&n)),
            "{buckets:?}"
        );
    }
}
