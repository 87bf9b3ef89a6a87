//! Floor 1: how hot a value is.
//!
//! Heat rides in the value: ten bytes in its header, no table beside it, so that nothing is to be
//! kept in step when a key is deleted, renamed, swapped or flushed. Two readings come from them:
//!
//! * the **level**, 0 to 7, is what users see and what thresholds name; it follows wall-clock
//!   rules anyone can compute on paper (`level`),
//! * the **score** is what moves compare: a fine count of accesses that ages with the *traffic*,
//!   not with the clock (`counter`, `clock`), and that gives a recent access its due.
//!
//! ```text
//! stamp u32 | accesses u32 | counter u8 | level u8
//! tick of     exact count    Morris log   as of `stamp`
//! last touch                 as of `stamp`
//! ```
//!
//! Every field is as of `stamp`; whoever reads applies what has passed since. Reading therefore
//! writes nothing: a look from a scan, an INFO or a forked child leaves no trace in memory.
//!
//! Score. With `v` the aged count, `e` the eras since the last access, and `age` its age:
//!
//! ```text
//! score = min(log2(v) - e,  3 + log2(era / age))
//! ```
//!
//! in 1/256 octaves. The first is a frequency that halves each era. The second says what the
//! silence since the last access leaves plausible: a key that comes ten times an era and has not
//! come for half of one is dead, whatever it counted. So recency counts against the keys of a
//! burst that is over, and not for each key that was touched just now.
//!
//! Rejected: pure recency, which lets each scan through; and a part of `log2(era / age)` in every
//! score: at the moment of an access it makes each far key look hotter than it is. A sixteenth of
//! it cost 1.6 points of the oracle while warming up (`ONLY=zipf make bench-tiering`, seed 1).

mod clock;
mod counter;
mod dice;
mod key_hash;
mod level;
mod sketch;
mod watch;

pub use crate::ids::Level;
pub use clock::{Clock, TICK_MS};
pub use dice::Dice;
pub use key_hash::KeyHasher;
pub use sketch::{Guess, Sketch};
pub use watch::{Watch, NOTED_MAX};

/// How hot a value is, for comparison: one more octave (256) is twice the expected accesses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Score(pub u16);

impl Score {
    /// Score of one octave: twice as many accesses expected.
    pub const OCTAVE: u16 = 256;
    /// Where a value stands that was accessed once: far enough above zero for every era the clock
    /// remembers.
    const BASE: i32 = (clock::ERAS_MAX as i32 + 4) * Self::OCTAVE as i32;

    /// Accesses to expect in one era, rounded; 0 for what is colder than one access in two eras.
    #[must_use]
    pub fn accesses_per_era(self) -> u32 {
        let octaves_256 = i32::from(self.0) - Self::BASE;
        counter::exp2_256(octaves_256)
    }
}

/// The count that a value at most has whose last access is an era old: eight. The count holds about
/// two eras, so that is four accesses that were to be expected since, and did not come.
const IDLE_PLAUSIBLE_256: i32 = 3 * 256;

/// The ten bytes of heat. See the head of this floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heat {
    /// The tick ([`TICK_MS`] units) of the last access.
    pub stamp: u32,
    /// How often the value was accessed since it was made; exact, stops at the top.
    pub accesses: u32,
    /// The logarithmic count as of `stamp`, 16 steps a doubling.
    pub counter: u8,
    /// The level as of `stamp`.
    pub level: Level,
}

impl Heat {
    /// The heat of a value made now. Its counter does not start at zero: a new value was just
    /// written, and must not be the coldest of all before it had the chance of a second access.
    #[must_use]
    pub fn born(clock: &Clock) -> Self {
        Self {
            stamp: clock.now(),
            accesses: 0,
            counter: counter::BORN,
            level: Level::default(),
        }
    }

    /// Heat as it was `idle_ticks` ago, brought into this clock's time: how heat survives a file.
    #[must_use]
    pub fn restored(
        clock: &Clock,
        level: Level,
        counter: u8,
        accesses: u32,
        idle_ticks: u32,
    ) -> Self {
        Self {
            stamp: clock.now().wrapping_sub(idle_ticks),
            accesses,
            counter,
            level,
        }
    }

    /// Counts one access. `dice` is any number from [`Dice::roll`]: the counter is a Morris
    /// counter and moves with a probability.
    #[inline(always)]
    pub fn touch(&mut self, clock: &Clock, dice: u32) {
        let idle = self.idle_ticks(clock);
        if idle > 0 {
            self.level = level::decayed(self.level, idle, clock.decay_ticks());
            self.counter = counter::halved(self.counter, clock.eras_since(self.stamp));
            self.stamp = clock.now();
        }
        self.level = Level::clamped(self.level.get() + 1);
        self.counter = counter::counted(self.counter, dice);
        self.accesses = self.accesses.saturating_add(1);
    }

    /// The level now, idle time taken away.
    #[must_use]
    pub fn level(&self, clock: &Clock) -> Level {
        level::decayed(self.level, self.idle_ticks(clock), clock.decay_ticks())
    }

    /// What moves compare. See the head of this floor.
    #[must_use]
    pub fn score(&self, clock: &Clock) -> Score {
        let eras = clock.eras_since(self.stamp) as i32;
        let frequency = counter::log2_256(self.counter) - eras * i32::from(Score::OCTAVE);
        let plausible = IDLE_PLAUSIBLE_256 + clock.recency_256(self.stamp);
        let score = Score::BASE + frequency.min(plausible);
        Score(score.clamp(0, i32::from(u16::MAX)) as u16)
    }

    /// Ticks since the last access. Wraps after 497 days without one: such a value looks fresh
    /// once, and the next look at it an age later does not.
    #[must_use]
    #[inline]
    pub fn idle_ticks(&self, clock: &Clock) -> u32 {
        clock.now().wrapping_sub(self.stamp)
    }

    /// Time since the last access in ms, to within a tick.
    #[must_use]
    pub fn idle_ms(&self, clock: &Clock) -> u64 {
        u64::from(self.idle_ticks(clock)) * TICK_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock at `ms` after its start.
    fn clock_at(ms: u64) -> Clock {
        let mut clock = Clock::new();
        clock.advance(0);
        clock.advance(ms);
        clock
    }

    #[test]
    fn an_access_adds_one_level_up_to_seven() {
        let clock = clock_at(50);
        let mut heat = Heat::born(&clock);
        assert_eq!(heat.level(&clock).get(), 0);
        for n in 1..=9_u8 {
            heat.touch(&clock, u32::MAX);
            assert_eq!(heat.level(&clock).get(), n.min(7));
            assert_eq!(heat.accesses, u32::from(n));
        }
    }

    #[test]
    fn idle_time_is_taken_before_the_access_is_added() {
        let mut clock = clock_at(0);
        let mut heat = Heat::born(&clock);
        for _ in 0..7 {
            heat.touch(&clock, 0);
        }
        clock.advance(60_000);
        assert_eq!(heat.level(&clock).get(), 5, "60 s idle takes two");
        assert_eq!(heat.level(&clock).get(), 5, "reading takes nothing");
        heat.touch(&clock, 0);
        assert_eq!(heat.level(&clock).get(), 6, "and the access adds one");
        assert_eq!(heat.idle_ms(&clock), 0);
    }

    #[test]
    fn accesses_stop_at_the_top() {
        let clock = clock_at(0);
        let mut heat = Heat::born(&clock);
        heat.accesses = u32::MAX;
        heat.touch(&clock, 0);
        assert_eq!(heat.accesses, u32::MAX);
    }

    #[test]
    fn ticks_may_wrap() {
        let week_ms = 7 * 24 * 3600 * 1000;
        let before = u64::from(u32::MAX) * TICK_MS - week_ms;
        let mut clock = clock_at(before);
        let mut heat = Heat::born(&clock);
        heat.touch(&clock, 0);
        clock.advance(before + 2 * week_ms);
        assert!(clock.now() < heat.stamp, "the clock wrapped");
        assert_eq!(heat.idle_ms(&clock), 2 * week_ms);
        assert_eq!(heat.level(&clock).get(), 0);
        heat.touch(&clock, 0);
        assert_eq!(heat.idle_ms(&clock), 0);
        assert_eq!(heat.level(&clock).get(), 1);
    }

    #[test]
    fn score_orders_by_frequency_and_by_recency() {
        let mut clock = clock_at(0);
        clock.set_keys(100);
        let mut often = Heat::born(&clock);
        let mut once = Heat::born(&clock);
        let mut dice = Dice::new(1);
        for _ in 0..100 {
            often.touch(&clock, dice.roll());
        }
        once.touch(&clock, dice.roll());
        assert!(often.score(&clock) > once.score(&clock));
        let at_once = often.score(&clock);
        clock.advance(900);
        assert!(
            often.score(&clock) < at_once,
            "it should have come long ago"
        );
        let still = once.score(&clock);
        assert!(often.score(&clock) > still, "and yet it came more often");
        let recent = Heat {
            stamp: clock.now(),
            ..often
        };
        assert_eq!(recent.score(&clock), at_once);
    }

    #[test]
    fn score_falls_by_an_octave_an_era() {
        let mut clock = clock_at(0);
        clock.set_keys(10);
        let mut heat = Heat::born(&clock);
        let mut dice = Dice::new(1);
        heat.touch(&clock, dice.roll());
        let mut last = heat.score(&clock).0;
        for era in 1..=20_u64 {
            for _ in 0..80 {
                clock.count_request();
            }
            clock.advance(era * 10_000);
            let score = heat.score(&clock).0;
            if (2..=16).contains(&era) {
                assert_eq!(last - score, Score::OCTAVE, "era {era}");
            }
            last = score;
        }
    }

    #[test]
    fn expected_accesses_follow_the_count() {
        let clock = clock_at(0);
        let mut heat = Heat::born(&clock);
        let mut dice = Dice::new(7);
        for _ in 0..500 {
            heat.touch(&clock, dice.roll());
        }
        let expected = heat.score(&clock).accesses_per_era();
        assert!((350..=700).contains(&expected), "{expected}");
    }
}
