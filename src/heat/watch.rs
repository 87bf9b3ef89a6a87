//! Reads of native keys on their way from the command to the sketch.
//!
//! A command may cost no more than some nanoseconds, and a miss in a table of some megabytes alone
//! is more. So a read leaves its key's hash in a ring that stays in the nearest cache, and once in
//! a thousand reads the ring is **digested** into the sketch, where the misses overlap. A command
//! is noted before the server has looked whether its client may run it: what it noted is believed
//! only when the next command (or the tick) has brought the verdict.
//!
//! The ring holds hashes, a move needs a name. Where the digest meets a key hot enough to be moved
//! its hash enters the **wanted**, a filter of one OS page's eighth; the next read of that key
//! finds it there and leaves its name.
//!
//! > believed <= noted <= RING;  a hash in the sketch was in a command that the server ran

use super::{Clock, Dice, Sketch};

/// Hashes that the ring holds.
const RING: usize = 1024;
/// Most keys that one command notes: the rest of a long one is a matter of minor keys.
pub const NOTED_MAX: usize = 32;
/// Bits of the wanted.
const WANTED_BITS: u64 = 4096;
/// Any will do.
const DICE_SEED: u32 = 0x51ED_270B;

/// See the head of the file.
#[derive(Debug)]
pub struct Watch {
    /// Hashes, and for how many accesses each stands.
    ring: Box<[(u64, u8)]>,
    noted: usize,
    believed: usize,
    wanted: Box<[u64]>,
    sketch: Sketch,
    dice: Dice,
    /// The counter from which a far key's name is wanted; nothing where no strategy cares.
    bar: Option<u8>,
    /// Accesses digested so far.
    accesses: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            ring: vec![(0, 0); RING].into(),
            noted: 0,
            believed: 0,
            wanted: vec![0; (WANTED_BITS / 64) as usize].into(),
            sketch: Sketch::default(),
            dice: Dice::new(DICE_SEED),
            bar: None,
            accesses: 0,
        }
    }
}

impl Watch {
    /// Notes a key of the command that is about to be judged, which stands for `weight` of its
    /// like.
    #[inline]
    pub fn note(&mut self, hash: u64, weight: u8) {
        if let Some(place) = self.ring.get_mut(self.noted) {
            *place = (hash, weight);
            self.noted += 1;
        }
    }

    /// Takes the verdict about what was noted since the last one.
    #[inline]
    pub fn judge(&mut self, ran: bool) {
        if ran {
            self.believed = self.noted;
        } else {
            self.noted = self.believed;
        }
    }

    /// Whether a command more might not fit.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.noted > RING - NOTED_MAX
    }

    /// Whether a read of that key is to leave its name: once, until the digest meets it again.
    #[inline]
    pub fn take_wanted(&mut self, hash: u64) -> bool {
        let (word, bit) = wanted_bit(hash);
        let Some(word) = self.wanted.get_mut(word) else {
            return false;
        };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Counts what is believed. `may_be_far` is asked of keys at the bar.
    pub fn digest(&mut self, clock: &mut Clock, may_be_far: &dyn Fn(u64) -> bool) {
        let mut accesses = 0;
        for (hash, weight) in self.ring.iter().take(self.believed) {
            accesses += u64::from(*weight);
            let counter = (0..*weight).fold(0, |_, _| self.sketch.count(*hash, self.dice.roll()));
            if self.bar.is_some_and(|bar| counter >= bar) && may_be_far(*hash) {
                let (word, bit) = wanted_bit(*hash);
                if let Some(word) = self.wanted.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        clock.count_requests(accesses);
        self.accesses += accesses;
        self.ring.copy_within(self.believed..self.noted, 0);
        self.noted -= self.believed;
        self.believed = 0;
    }

    /// What a tick does: the names that were wanted are here or were not read again.
    pub fn tick(&mut self, bar: Option<u8>) {
        self.bar = bar;
        self.wanted.fill(0);
        self.sketch.age();
    }

    /// So many eras began.
    pub fn begin_eras(&mut self, eras: u32) {
        self.sketch.begin_eras(eras);
    }

    /// Makes room for about so many keys.
    pub fn fit(&mut self, keys: u64) {
        self.sketch.fit(keys);
    }

    /// The counter of a key.
    #[must_use]
    pub fn counter(&self, hash: u64) -> u8 {
        self.sketch.get(hash)
    }

    /// Accesses digested so far.
    #[must_use]
    pub const fn accesses(&self) -> u64 {
        self.accesses
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let words = (self.ring.len() + self.wanted.len()) as u64;
        self.sketch.bytes().0 + words * size_of::<u64>() as u64
    }
}

/// The bits are taken from the middle of the hash: a line of the sketch is chosen by its high ones.
const fn wanted_bit(hash: u64) -> (usize, u64) {
    let at = hash >> 20 & (WANTED_BITS - 1);
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::super::KeyHasher;
    use super::*;

    fn hash(number: u64) -> u64 {
        KeyHasher::seeded(5).hash(&number.to_le_bytes())
    }

    fn read(watch: &mut Watch, key: u64, times: usize, ran: bool) {
        let mut clock = Clock::new();
        for _ in 0..times {
            watch.note(hash(key), 1);
            watch.judge(ran);
            if watch.is_full() {
                watch.digest(&mut clock, &|_| true);
            }
        }
        watch.digest(&mut clock, &|_| true);
    }

    #[test]
    fn a_command_that_did_not_run_leaves_nothing() {
        let mut watch = Watch::default();
        read(&mut watch, 1, 5_000, false);
        assert_eq!((watch.counter(hash(1)), watch.accesses()), (0, 0));
        read(&mut watch, 1, 5_000, true);
        assert_eq!(watch.accesses(), 5_000);
        assert!(watch.counter(hash(1)) > 100);
    }

    #[test]
    fn what_awaits_its_verdict_outlives_a_digest() {
        let mut watch = Watch::default();
        watch.note(hash(1), 1);
        watch.digest(&mut Clock::new(), &|_| true);
        assert_eq!(watch.accesses(), 0);
        watch.judge(true);
        watch.digest(&mut Clock::new(), &|_| true);
        assert_eq!(watch.accesses(), 1);
    }

    #[test]
    fn the_name_of_a_hot_far_key_is_wanted_until_the_next_tick() {
        let mut watch = Watch::default();
        watch.tick(Some(20));
        read(&mut watch, 1, 1_000, true);
        read(&mut watch, 2, 3, true);
        assert!(watch.take_wanted(hash(1)) && !watch.take_wanted(hash(2)));
        assert!(!watch.take_wanted(hash(1)), "one name is enough");
        watch.tick(None);
        read(&mut watch, 1, 1_000, true);
        assert!(!watch.take_wanted(hash(1)));
    }

    #[test]
    fn one_that_stands_for_eight_counts_for_eight() {
        let (mut watch, mut clock) = (Watch::default(), Clock::new());
        for _ in 0..500 {
            watch.note(hash(1), 8);
            watch.judge(true);
        }
        watch.digest(&mut clock, &|_| true);
        assert_eq!(watch.accesses(), 4_000);
        let mut each = Watch::default();
        read(&mut each, 1, 4_000, true);
        assert!(watch.counter(hash(1)).abs_diff(each.counter(hash(1))) < 12);
    }

    #[test]
    fn a_ring_that_is_not_digested_drops_what_does_not_fit() {
        let mut watch = Watch::default();
        (0..10_000).for_each(|key| watch.note(hash(key), 1));
        watch.judge(true);
        assert!(watch.is_full());
        watch.digest(&mut Clock::new(), &|_| false);
        assert_eq!(watch.accesses(), RING as u64);
    }
}
