//! The count of accesses in one byte: a Morris counter with 16 steps a doubling, in quarters of an
//! access.
//!
//! Step `c` stands for the count `v(c)` in quarters. An access adds four: as many whole steps as
//! fit, and one more with the probability that makes the expected `v` right:
//!
//! ```text
//! v(0) = 0,   v(c + 1) = v(c) + 2^(c/16)
//! v(16) = 5.6,  v(64) = 85,  v(128) = 1,440,  v(255) = 350,000 accesses
//! ```
//!
//! One step is 4.4 % at the top, so a single counter is off by some 15 % (one deviation), and the
//! keys that count for placement are told apart. An era halves the count in *value*, by a table:
//! subtracting 16 steps would be the same at the top, but would forget everything below 23, and
//! most keys live there. The quarters are for them: where near room is half of all bytes, it ends
//! among keys that are asked for once in several eras, and a count of whole accesses would forget
//! a single one at the first halving. Rejected: Redis's own LFU counter, whose factor 10 climbs so
//! slowly that a hundred accesses and a thousand are three steps apart.
//!
//! All tables are computed by the compiler from the sixteen roots below, in integers.

/// Steps that double the probability's inverse.
const STEPS_PER_OCTAVE: usize = 16;
/// How many steps a byte has.
const STEPS: usize = 256;

/// What an access adds to the count.
const ACCESS: u64 = 4;
/// The same as a logarithm.
const ACCESS_LOG2: i16 = 2;

/// So many accesses at once have a table: 2^k of them for k below this.
const DOUBLINGS: usize = 6;

/// For how many accesses one that was seen stands: a power of two, 32 at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weight {
    doublings: u8,
}

impl Weight {
    /// For itself.
    pub const ONE: Self = Self { doublings: 0 };

    /// The largest that is no more than so many accesses; for itself at least.
    #[must_use]
    pub fn at_most(accesses: u32) -> Self {
        let doublings = accesses.max(1).ilog2().min(DOUBLINGS as u32 - 1);
        Self {
            doublings: doublings as u8,
        }
    }

    /// How many accesses that are.
    #[must_use]
    pub const fn accesses(self) -> u32 {
        1 << self.doublings
    }
}

/// The counter of a new value: two accesses, gone after three or four eras.
pub(super) const BORN: u8 = 7;

/// `2^(k/16)` for k = 0..16, in 1/65536.
const ROOTS: [u64; STEPS_PER_OCTAVE] = [
    65536, 68438, 71468, 74632, 77936, 81386, 84990, 88752, 92682, 96785, 101070, 105545, 110218,
    115098, 120194, 125515,
];

/// `v(c)` in 1/65536 of a quarter.
const VALUES: [u64; STEPS] = values();
/// Where an access leads from step `c`, and the roll at or below which it leads one step further.
const RISES: [(u8, u32); STEPS] = rises(1);
/// The same of 2^k accesses at once, by k.
static RISES_OF_MANY: [[(u8, u32); STEPS]; DOUBLINGS] = rises_of_many();
/// The step whose value is half of that of `c`, rounded down.
const HALVES: [u8; STEPS] = halves();
/// `log2` of the accesses that step `c` stands for, in 1/256; step 0 for an eighth of one.
const LOGS: [i16; STEPS] = logs();

/// Counts one access.
#[inline]
pub(super) fn counted(counter: u8, dice: u32) -> u8 {
    let (to, chance) = RISES
        .get(usize::from(counter))
        .copied()
        .unwrap_or((u8::MAX, 0));
    to.saturating_add(u8::from(dice <= chance))
}

/// Counts one access that stands for many.
#[inline]
pub(super) fn counted_many(counter: u8, weight: Weight, dice: u32) -> u8 {
    let table = RISES_OF_MANY.get(usize::from(weight.doublings));
    let rise = table.and_then(|table| table.get(usize::from(counter)));
    let (to, chance) = rise.copied().unwrap_or((counter, 0));
    to.saturating_add(u8::from(dice <= chance))
}

/// The counter after that many eras.
#[inline]
pub(super) fn halved(counter: u8, eras: u32) -> u8 {
    let half = |c: u8| HALVES.get(usize::from(c)).copied().unwrap_or(0);
    (0..eras).fold(counter, |c, _| half(c))
}

/// `log2` of the count, in 1/256 octaves.
#[inline]
pub(super) fn log2_256(counter: u8) -> i32 {
    LOGS.get(usize::from(counter)).copied().map_or(0, i32::from)
}

/// `2^(x/256)`, rounded; 0 for what rounds to nothing.
pub(super) fn exp2_256(x: i32) -> u32 {
    if x < -256 {
        return 0;
    }
    let steps = ((x.max(0) / 16) as usize).min(31 * STEPS_PER_OCTAVE);
    let root = ROOTS.get(steps % STEPS_PER_OCTAVE).copied().unwrap_or(0);
    let value = (root << (steps / STEPS_PER_OCTAVE)) >> 16;
    value.min(u64::from(u32::MAX)) as u32
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn power(step: usize) -> u64 {
    ROOTS[step % STEPS_PER_OCTAVE] << (step / STEPS_PER_OCTAVE)
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn values() -> [u64; STEPS] {
    let mut table = [0; STEPS];
    let mut step = 1;
    while step < STEPS {
        table[step] = table[step - 1] + power(step - 1);
        step += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn rises_of_many() -> [[(u8, u32); STEPS]; DOUBLINGS] {
    let mut tables = [[(u8::MAX, 0); STEPS]; DOUBLINGS];
    let mut doublings = 0;
    while doublings < DOUBLINGS {
        tables[doublings] = rises(1 << doublings);
        doublings += 1;
    }
    tables
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn rises(accesses: u64) -> [(u8, u32); STEPS] {
    let mut table = [(u8::MAX, 0); STEPS];
    let mut step = 0;
    while step < STEPS - 1 {
        let value = VALUES[step] + accesses * (ACCESS << 16);
        let mut to = step;
        while to + 1 < STEPS && VALUES[to + 1] <= value {
            to += 1;
        }
        let beyond = (value - VALUES[to]) as u128 * u32::MAX as u128;
        let last = to + 1 == STEPS;
        let chance = if last { 0 } else { beyond / power(to) as u128 };
        table[step] = (to as u8, chance as u32);
        step += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn halves() -> [u8; STEPS] {
    let mut table = [0; STEPS];
    let mut step = 1;
    let mut half = 0;
    while step < STEPS {
        // Halves rise with their steps, so the search goes on where the last one ended.
        while half + 1 < step && VALUES[half + 1] <= VALUES[step] / 2 {
            half += 1;
        }
        table[step] = half as u8;
        step += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which checks the bounds"
)]
const fn logs() -> [i16; STEPS] {
    let mut table = [-3 * 256; STEPS];
    let mut step = 1;
    while step < STEPS {
        table[step] = log2_fixed(VALUES[step]) - (16 + ACCESS_LOG2) * 256;
        step += 1;
    }
    table
}

/// `log2(x)` in 1/256, by squaring the mantissa eight times.
const fn log2_fixed(x: u64) -> i16 {
    let whole = x.ilog2();
    let mut mantissa = ((x as u128) << 31) >> whole;
    let mut log = whole as i16;
    let mut bit = 0;
    while bit < 8 {
        mantissa = (mantissa * mantissa) >> 31;
        log <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log |= 1;
        }
        bit += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::Dice;
    use proptest::prelude::*;

    fn value(counter: u8) -> f64 {
        VALUES[usize::from(counter)] as f64 / 65536.0 / ACCESS as f64
    }

    fn count(accesses: u32, dice: &mut Dice) -> u8 {
        (0..accesses).fold(0, |c, _| counted(c, dice.roll()))
    }

    #[test]
    fn tables_follow_their_equations() {
        for c in 0..255_u8 {
            let step = 2_f64.powf(f64::from(c) / 16.0);
            let rise = (value(c + 1) - value(c)) * ACCESS as f64;
            assert!((rise / step - 1.0).abs() < 1e-4, "v at {c}");
            let (to, chance) = RISES[usize::from(c)];
            let chance = f64::from(chance) / f64::from(u32::MAX);
            assert!((0.0..=1.0).contains(&chance) && to >= c, "at {c}");
            if to < 254 {
                let expected = value(to) + chance * (value(to + 1) - value(to));
                assert!((expected - value(c) - 1.0).abs() < 1e-3, "rise at {c}");
            }
            let log = value(c + 1).log2() * 256.0;
            assert!(
                (f64::from(log2_256(c + 1)) - log).abs() <= 1.5,
                "log at {c}"
            );
        }
    }

    #[test]
    fn many_at_once_count_as_each_by_itself_on_average() {
        let mut dice = Dice::new(5);
        for (counter, accesses) in [(0, 1), (0, 8), (3, 32), (40, 8), (200, 16), (255, 8)] {
            let (rounds, weight) = (20_000, Weight::at_most(accesses));
            let sum: f64 = (0..rounds)
                .map(|_| value(counted_many(counter, weight, dice.roll())))
                .sum();
            let mean = sum / f64::from(rounds) - value(counter);
            let truth = if counter == 255 {
                0.0
            } else {
                f64::from(accesses)
            };
            let off = (mean - truth).abs() / truth.max(1.0);
            // A step at 200 is some 1,400 accesses wide: the mean of so few throws is no closer.
            let bound = if counter == 200 { 0.6 } else { 0.05 };
            assert!(off < bound, "{counter} + {accesses}: {mean}");
        }
    }

    #[test]
    fn weights_are_powers_of_two_up_to_the_last_table() {
        let rounded = |accesses| Weight::at_most(accesses).accesses();
        assert_eq!(
            [0, 1, 2, 3, 31, 32, 1000].map(rounded),
            [1, 1, 2, 2, 16, 32, 32]
        );
    }

    #[test]
    fn an_era_halves_the_count() {
        for c in 0..=255_u8 {
            let half = halved(c, 1);
            assert!(value(half) <= value(c) / 2.0 + 1e-9);
            assert!(
                value(half + 1) > value(c) / 2.0,
                "the nearest below, at {c}"
            );
        }
        assert_eq!(halved(255, 1), 239, "sixteen steps at the top");
        assert_eq!(halved(200, 0), 200);
        assert_eq!(halved(200, 2), halved(halved(200, 1), 1));
        assert_eq!(halved(100, 16), 0);
    }

    #[test]
    fn top_is_never_left() {
        assert_eq!(counted(255, 0), 255);
        assert_eq!(counted(0, u32::MAX), 3, "the first access always counts");
        assert_eq!(
            halved(counted(0, u32::MAX), 1),
            1,
            "and is not forgotten at once"
        );
    }

    #[test]
    fn exp2_undoes_log2() {
        assert_eq!(exp2_256(-300), 0);
        assert_eq!(exp2_256(0), 1);
        assert_eq!(exp2_256(10 * 256), 1024);
        assert_eq!(exp2_256(i32::MAX), 1 << 31);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 24,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// The mean of many counters is the true count; a single one stays within its bounds.
        #[test]
        fn estimate_is_within_bounds(accesses in 1_u32..20_000, seed in 1_u32..) {
            const COUNTERS: u32 = 64;
            let mut dice = Dice::new(seed);
            let mut sum = 0.0;
            for _ in 0..COUNTERS {
                let estimate = value(count(accesses, &mut dice));
                let truth = f64::from(accesses);
                prop_assert!(estimate > truth * 0.4 - 2.0 && estimate < truth * 2.0 + 2.0);
                sum += estimate;
            }
            let mean = sum / f64::from(COUNTERS);
            let off = (mean / f64::from(accesses) - 1.0).abs();
            prop_assert!(off < 0.15, "mean {mean} of {accesses}");
        }
    }
}
