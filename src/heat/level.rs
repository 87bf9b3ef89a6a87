//! The level's idle decay: a table of five rows, the same for every user who wants to check it.
//!
//! ```text
//! idle under   10 s   60 s   300 s   1800 s   longer
//! takes        0      1      2       3        all
//! ```
//!
//! The times scale with `decay_threshold_sec` (10 is the table above). Decay is applied to the
//! whole idle time at once, never bit by bit: a value that is read after 100 s, and one that is
//! looked at each second for 100 s without being accessed, stand at the same level.

use crate::heat::clock::TICKS_PER_SEC;
use crate::ids::Level;

/// Ticks of idle time below which 0, 1, 2, 3 levels go; beyond the last one all do.
pub(super) type DecayTicks = [u32; 4];

/// The bounds of `decay_threshold_sec`, in seconds.
const DECAY_THRESHOLD_SEC: std::ops::RangeInclusive<u32> = 1..=3600;

/// The rows of the table as multiples of `decay_threshold_sec`.
const ROWS: DecayTicks = [1, 6, 30, 180];

/// The table scaled; seconds out of bounds are taken as the nearest bound.
pub(super) fn decay_ticks(decay_threshold_sec: u32) -> DecayTicks {
    let (least, most) = DECAY_THRESHOLD_SEC.into_inner();
    let seconds = decay_threshold_sec.clamp(least, most);
    ROWS.map(|row| row * seconds * TICKS_PER_SEC)
}

/// The level after `idle` ticks without an access.
#[inline]
pub(super) fn decayed(level: Level, idle: u32, rows: &DecayTicks) -> Level {
    let taken = rows.iter().take_while(|&&row| idle >= row).count();
    if taken == rows.len() {
        return Level::default();
    }
    Level::clamped(level.get().saturating_sub(taken as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_the_manual() {
        let rows = decay_ticks(10);
        let seven = Level::clamped(7);
        let table = [
            (0, 7),
            (999, 7),
            (1_000, 6),
            (5_999, 6),
            (6_000, 5),
            (29_999, 5),
            (30_000, 4),
            (179_999, 4),
            (180_000, 0),
            (u32::MAX, 0),
        ];
        for (idle, level) in table {
            assert_eq!(
                decayed(seven, idle, &rows).get(),
                level,
                "idle {idle} ticks"
            );
        }
    }

    #[test]
    fn never_below_zero() {
        let rows = decay_ticks(10);
        for level in 0..=7 {
            for idle in [0, 1_000, 6_000, 30_000, 179_999, 180_000] {
                let after = decayed(Level::clamped(level), idle, &rows).get();
                assert!(after <= level);
            }
        }
        assert_eq!(decayed(Level::clamped(2), 40_000, &rows).get(), 0);
    }

    #[test]
    fn times_scale_with_the_threshold() {
        for seconds in [1_u32, 5, 10, 60, 3600] {
            let rows = decay_ticks(seconds);
            let seven = Level::clamped(7);
            let unit = seconds * TICKS_PER_SEC;
            assert_eq!(decayed(seven, unit - 1, &rows).get(), 7);
            assert_eq!(decayed(seven, unit, &rows).get(), 6);
            assert_eq!(decayed(seven, 6 * unit, &rows).get(), 5);
            assert_eq!(decayed(seven, 30 * unit, &rows).get(), 4);
            assert_eq!(decayed(seven, 180 * unit - 1, &rows).get(), 4);
            assert_eq!(decayed(seven, 180 * unit, &rows).get(), 0);
        }
    }

    #[test]
    fn threshold_out_of_bounds_is_clamped() {
        assert_eq!(decay_ticks(0), decay_ticks(1));
        assert_eq!(decay_ticks(u32::MAX), decay_ticks(3600));
    }
}
