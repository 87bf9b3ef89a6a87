//! The reads of native keys, counted in less than a byte a key.
//!
//! A native key has no header of ours to carry its heat, and a table of keys would have to be kept
//! in step. So accesses are counted by the hash of the name in a sketch: two counters a key, both
//! in one cache line, of which only the lower one is raised and only the lower one believed. They
//! are the Morris counters of `counter`, and halve in value with each era of the clock, a slice a
//! tick. Two keys may share counters; how long ago the server itself has used a key is known
//! exactly, and bounds what a cold key can borrow from a hot one ([`Guess`]).
//!
//! Rejected: rows in different lines (a cache miss each), and four bits a counter, which cannot
//! tell apart the keys around the border of near memory.

use super::clock::{Clock, ERAS_MAX, TICK_MS};
use super::{counter, level, Level, Score, Weight, IDLE_PLAUSIBLE_256};
use crate::ids::Bytes;

/// Counters of a line.
const LINE: usize = 64;
/// Keys for which a line is made: 0.89 bytes a key. With 0.64 the hits under Zipf(0.99) were 0.6 to
/// 0.8 points fewer: what is lost is lost to cold keys that share both counters with lukewarm ones.
const KEYS_PER_LINE: u64 = 72;
/// Lines that the smallest sketch has.
const LINES_MIN: usize = 64;
/// Lines that one slice of the aging halves, or of the growing copies.
const SLICE_LINES: usize = 512;

/// See the head of the file.
#[derive(Debug)]
pub struct Sketch {
    lines: Vec<[u8; LINE]>,
    /// How far the running halving is; nothing where none runs.
    halving: Option<usize>,
    /// The lines of a sketch of another size, as far as they are copied, and how many they will
    /// be; nothing where none is made. No halving runs meanwhile.
    growing: Option<(Vec<[u8; LINE]>, usize)>,
    /// By how many eras it ages, and how many more are to be aged by once it is through.
    eras: u32,
    waiting: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            lines: vec![[0; LINE]; LINES_MIN],
            halving: None,
            growing: None,
            eras: 0,
            waiting: 0,
        }
    }
}

/// The two places of a key in its line: equal in one key of 64, which then has one counter.
const fn places(hash: u64) -> (usize, usize) {
    ((hash & 63) as usize, (hash >> 6 & 63) as usize)
}

fn line_of(lines: usize, hash: u64) -> usize {
    ((u128::from(hash) * lines as u128) >> 64) as usize
}

impl Sketch {
    /// Counts an access of that weight; the counter before it. `dice` is any number from
    /// [`super::Dice::roll`].
    #[inline]
    pub fn count(&mut self, hash: u64, weight: Weight, dice: u32) -> u8 {
        let at = line_of(self.lines.len(), hash);
        let (one, other) = places(hash);
        let Some(line) = self.lines.get_mut(at) else {
            return 0;
        };
        let low = lower(line, one, other);
        let next = counter::counted_many(low, weight, dice);
        for place in [one, other] {
            if let Some(counter) = line.get_mut(place) {
                *counter = (*counter).max(next);
            }
        }
        low
    }

    /// Raises the counter of a key to what it was before a restart, if it is lower.
    pub fn raise(&mut self, hash: u64, to: u8) {
        let (one, other) = places(hash);
        let at = line_of(self.lines.len(), hash);
        for place in [one, other] {
            let counter = self.lines.get_mut(at).and_then(|line| line.get_mut(place));
            if let Some(counter) = counter {
                *counter = (*counter).max(to);
            }
        }
    }

    /// The counter of a key.
    #[must_use]
    pub fn get(&self, hash: u64) -> u8 {
        let (one, other) = places(hash);
        let line = self.lines.get(line_of(self.lines.len(), hash));
        line.map_or(0, |line| lower(line, one, other))
    }

    /// So many eras began: all counters will be halved as often.
    pub fn begin_eras(&mut self, eras: u32) {
        // Eras that begin before the last halving is through wait for it to be through: a counter
        // halved late is better than one halved by half.
        self.waiting = self.waiting.saturating_add(eras);
    }

    /// Goes on with the halving or the growing.
    pub fn age(&mut self) {
        if self.growing.is_some() {
            self.grow();
            return;
        }
        if self.halving.is_none() && self.waiting > 0 {
            self.eras = std::mem::take(&mut self.waiting);
            self.halving = Some(0);
        }
        let Some(from) = self.halving else { return };
        let eras = self.eras.min(ERAS_MAX as u32);
        let slice = self.lines.iter_mut().skip(from).take(SLICE_LINES);
        for counter in slice.flatten() {
            *counter = counter::halved(*counter, eras);
        }
        let next = from + SLICE_LINES;
        self.halving = (next < self.lines.len()).then_some(next);
    }

    /// Makes room for about so many keys, twice as many or half of them at a time, in slices: to
    /// copy megabytes at once would hold the server. What was counted goes along, but for what a
    /// copied line counts until all are.
    pub fn fit(&mut self, keys: u64) {
        let (now, wanted) = (self.lines.len(), lines_for(keys));
        let next = if wanted >= now * 2 {
            wanted
        } else if wanted <= now / 4 {
            wanted.max(LINES_MIN)
        } else {
            return;
        };
        if self.growing.is_none() && self.halving.is_none() {
            self.growing = Some((Vec::with_capacity(next), next));
        }
    }

    /// Copies the next lines: the hash chooses a line in proportion, so a new line's keys were all
    /// counted in one old line.
    fn grow(&mut self) {
        let Some((next, len)) = &mut self.growing else {
            return;
        };
        let (old, until) = (&self.lines, (next.len() + SLICE_LINES).min(*len));
        let from = |at: usize| old.get(at * old.len() / *len).copied();
        next.extend((next.len()..until).map(|at| from(at).unwrap_or([0; LINE])));
        if next.len() == *len {
            self.lines = std::mem::take(next);
            self.growing = None;
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.lines.fill([0; LINE]);
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let growing = self.growing.as_ref().map_or(0, |(_, len)| *len);
        Bytes::from((self.lines.len() + growing) * LINE)
    }
}

fn lines_for(keys: u64) -> usize {
    (keys.div_ceil(KEYS_PER_LINE) as usize).max(LINES_MIN)
}

fn lower(line: &[u8; LINE], one: usize, other: usize) -> u8 {
    let at = |place| line.get(place).copied().unwrap_or(0);
    u8::min(at(one), at(other))
}

/// What is believed of a key that has no heat of its own: a counter that was aged with the eras,
/// and when it was used last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guess {
    counter: u8,
    idle_ticks: u32,
}

impl Guess {
    /// A key of that counter, used that long ago. A key that was not used for some eras cannot have
    /// been counted in them: its counter is what it could still be from before.
    #[must_use]
    pub fn new(clock: &Clock, counter: u8, idle_ms: u64) -> Self {
        let idle_ticks = u32::try_from(idle_ms / TICK_MS).unwrap_or(u32::MAX);
        let eras = clock.eras_since(clock.now().wrapping_sub(idle_ticks));
        Self {
            counter: counter.min(counter::halved(u8::MAX, eras)),
            idle_ticks,
        }
    }

    /// As [`super::Heat::level`].
    #[must_use]
    pub fn level(&self, clock: &Clock) -> Level {
        let count = u8::try_from(self.accesses()).unwrap_or(u8::MAX);
        level::decayed(Level::clamped(count), self.idle_ticks, clock.decay_ticks())
    }

    /// As [`super::Heat::score`], on the same scale.
    #[must_use]
    pub fn score(&self, clock: &Clock) -> Score {
        let recent = clock.recency_256(clock.now().wrapping_sub(self.idle_ticks));
        let frequency = counter::log2_256(self.counter);
        let score = Score::BASE + frequency.min(IDLE_PLAUSIBLE_256 + recent);
        Score(score.clamp(0, i32::from(u16::MAX)) as u16)
    }

    /// About how many accesses the last eras saw.
    #[must_use]
    pub fn accesses(&self) -> u32 {
        counter::exp2_256(counter::log2_256(self.counter))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dice, KeyHasher};
    use super::*;

    fn hash(number: u64) -> u64 {
        KeyHasher::seeded(5).hash(&number.to_le_bytes())
    }

    /// Makes a sketch fit, in as many slices as that takes.
    fn fit(sketch: &mut Sketch, keys: u64) {
        sketch.fit(keys);
        while sketch.growing.is_some() {
            sketch.age();
        }
    }

    #[test]
    fn a_key_that_is_asked_for_often_stands_above_one_that_is_not() {
        let (mut sketch, mut dice) = (Sketch::default(), Dice::new(1));
        fit(&mut sketch, 10_000);
        for turn in 0..20_u64 {
            for key in 0..10_000 {
                if key < 1_000 || turn == 0 {
                    sketch.count(hash(key), Weight::ONE, dice.roll());
                }
            }
        }
        let hot = (0..1_000).map(|key| sketch.get(hash(key)));
        let cold: Vec<u8> = (1_000..10_000).map(|key| sketch.get(hash(key))).collect();
        let least_hot = hot.min().unwrap();
        let wrong = cold.iter().filter(|cold| **cold >= least_hot).count();
        assert!(wrong < cold.len() / 5, "{wrong} of {} look hot", cold.len());
    }

    #[test]
    fn an_era_halves_every_counter_in_slices() {
        let (mut sketch, mut dice) = (Sketch::default(), Dice::new(1));
        fit(&mut sketch, 200_000);
        for _ in 0..100 {
            (0..1_000).for_each(|key| {
                sketch.count(hash(key), Weight::ONE, dice.roll());
            });
        }
        let before: Vec<u8> = (0..1_000).map(|key| sketch.get(hash(key))).collect();
        sketch.begin_eras(1);
        sketch.age();
        // Three more begin while the first halving runs: none is lost, none is mixed with it.
        sketch.begin_eras(3);
        (0..20).for_each(|_| sketch.age());
        for (key, before) in before.into_iter().enumerate() {
            assert_eq!(sketch.get(hash(key as u64)), counter::halved(before, 4));
        }
    }

    #[test]
    fn growing_keeps_what_was_counted_and_costs_less_than_a_byte_a_key() {
        let (mut sketch, mut dice) = (Sketch::default(), Dice::new(1));
        (0..2_000).for_each(|_| {
            sketch.count(hash(7), Weight::ONE, dice.roll());
        });
        let counted = sketch.get(hash(7));
        fit(&mut sketch, 1_000_000);
        assert_eq!(sketch.get(hash(7)), counted);
        assert!(sketch.bytes() <= Bytes(900_000), "{}", sketch.bytes());
        fit(&mut sketch, 10);
        assert!(sketch.bytes() <= Bytes(64 * 64));
    }

    #[test]
    fn a_key_that_rests_cannot_look_hotter_than_its_rest_allows() {
        let mut clock = Clock::new();
        clock.advance(0);
        for era in 1..=12_u64 {
            (0..10).for_each(|_| clock.count_request());
            clock.advance(era * 1_100);
        }
        let fresh = Guess::new(&clock, 200, 0);
        let rested = Guess::new(&clock, 200, 12_000);
        assert!(fresh.score(&clock) > rested.score(&clock));
        assert_eq!(fresh.level(&clock).get(), 7);
        assert_eq!(Guess::new(&clock, 200, 3_600_000).level(&clock).get(), 0);
        assert_eq!(Guess::new(&clock, 0, 0).accesses(), 0);
    }
}
