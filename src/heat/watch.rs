//! Reads of native keys on their way from the command to the sketch.
//!
//! A command may cost no more than some nanoseconds, and a miss in a table of some megabytes alone
//! is more. So a read leaves its key's hash in a ring that stays in the nearest caches, and once in
//! a thousand reads, or once a tick, the ring is **digested** into the sketch, where the misses
//! overlap. A command is noted before the server has looked whether its client may run it: what it
//! noted is believed only when the next command (or the tick) has brought the verdict.
//!
//! The sketch knows hashes, a move needs a name. So while a strategy asks for hot far keys the name
//! lies beside its hash until the digest, which hands out those that had reached the bar before
//! this access: at the moment of an access every key looks hotter than it is. Rejected: names asked
//! for at the next read of the key, in a filter of wanted hashes. Of a key around the border of
//! near memory the next read comes seconds later, when nobody asks any more.
//!
//! > believed <= noted <= RING;  a hash in the sketch was in a command that the server ran

use super::{Clock, Dice, Sketch, Weight};

/// Hashes that the ring holds.
const RING: usize = 1024;
/// Bytes of their names; where they do not fit a key is left to the walk.
const NAMES: usize = 1 << 15;
/// Most keys that one command notes: the rest of a long one is a matter of minor keys.
pub const NOTED_MAX: usize = 32;
/// Any will do.
const DICE_SEED: u32 = 0x51ED_270B;

/// A key of a command that passed.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    hash: u64,
    /// Where its name begins, and its length; zero where it was not kept.
    name_at: u16,
    name_len: u16,
    /// For how many accesses it stands.
    weight: Weight,
}

/// See the head of the file.
#[derive(Debug)]
pub struct Watch {
    ring: Box<[Noted]>,
    noted: usize,
    believed: usize,
    names: Vec<u8>,
    /// Bytes of the names of what is believed.
    names_believed: usize,
    sketch: Sketch,
    dice: Dice,
    /// The counter from which a far key's name is wanted; nothing where no strategy cares.
    bar: Option<u8>,
    /// Accesses digested so far, and those of them whose key may be far.
    accesses: u64,
    far: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            ring: vec![Noted::default(); RING].into(),
            noted: 0,
            believed: 0,
            names: Vec::with_capacity(NAMES),
            names_believed: 0,
            sketch: Sketch::default(),
            dice: Dice::new(DICE_SEED),
            bar: None,
            accesses: 0,
            far: 0,
        }
    }
}

impl Watch {
    /// Notes a key of the command that is about to be judged, which stands for `weight` of its
    /// like.
    #[inline]
    pub fn note(&mut self, hash: u64, name: &[u8], weight: Weight) {
        let name_at = self.names.len();
        let kept = self.bar.is_some() && name.len() <= NAMES - name_at;
        let Some(place) = self.ring.get_mut(self.noted) else {
            return;
        };
        // Both are less than NAMES, which a u16 holds.
        *place = Noted {
            hash,
            name_at: name_at as u16,
            name_len: if kept { name.len() as u16 } else { 0 },
            weight,
        };
        self.noted += 1;
        if kept {
            self.names.extend_from_slice(name);
        }
    }

    /// Takes the verdict about what was noted since the last one.
    #[inline]
    pub fn judge(&mut self, ran: bool) {
        if ran {
            self.believed = self.noted;
            self.names_believed = self.names.len();
        } else {
            self.noted = self.believed;
            self.names.truncate(self.names_believed);
        }
    }

    /// Whether a command more might not fit.
    #[must_use]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.noted > RING - NOTED_MAX
    }

    /// Counts what is believed. `may_be_far` is asked of each key, and `hot` gets the names of
    /// those that may be and had reached the bar.
    pub fn digest(
        &mut self,
        clock: &mut Clock,
        may_be_far: &dyn Fn(u64) -> bool,
        hot: &mut dyn FnMut(&[u8]),
    ) {
        let (mut accesses, mut far) = (0, 0);
        for noted in self.ring.iter().take(self.believed) {
            let weight = u64::from(noted.weight.accesses());
            accesses += weight;
            let was = self
                .sketch
                .count(noted.hash, noted.weight, self.dice.roll());
            if may_be_far(noted.hash) {
                far += weight;
                if noted.name_len > 0 && self.bar.is_some_and(|bar| was >= bar) {
                    let start = usize::from(noted.name_at);
                    let end = start + usize::from(noted.name_len);
                    self.names.get(start..end).into_iter().for_each(&mut *hot);
                }
            }
        }
        clock.count_requests(accesses);
        self.accesses += accesses;
        self.far += far;
        self.drop_believed();
    }

    /// Only what awaits its verdict stays.
    fn drop_believed(&mut self) {
        self.ring.copy_within(self.believed..self.noted, 0);
        self.noted -= self.believed;
        self.names.drain(..self.names_believed);
        let gone = self.names_believed as u16;
        for pending in self.ring.iter_mut().take(self.noted) {
            pending.name_at -= gone;
        }
        (self.believed, self.names_believed) = (0, 0);
    }

    /// What a tick does: from now on names of far keys of that counter are wanted.
    pub fn tick(&mut self, bar: Option<u8>) {
        self.bar = bar;
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

    /// What a key had counted before a restart.
    pub fn recall(&mut self, hash: u64, counter: u8) {
        self.sketch.raise(hash, counter);
    }

    /// Accesses digested so far: those of keys that lie near, and of those that may be far.
    #[must_use]
    pub const fn accesses(&self) -> (u64, u64) {
        (self.accesses - self.far, self.far)
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let ring = self.ring.len() * size_of::<Noted>() + self.names.capacity();
        self.sketch.bytes().0 + ring as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyHasher;
    use super::*;

    fn hash(number: u64) -> u64 {
        KeyHasher::seeded(5).hash(&number.to_le_bytes())
    }

    /// Reads a key so often and digests; the names that were handed out.
    fn read(watch: &mut Watch, key: u64, times: usize, ran: bool) -> Vec<u64> {
        let (mut clock, mut hot) = (Clock::new(), Vec::new());
        let mut take = |name: &[u8]| hot.push(u64::from_le_bytes(name.try_into().unwrap()));
        for _ in 0..times {
            watch.note(hash(key), &key.to_le_bytes(), Weight::ONE);
            watch.judge(ran);
            if watch.is_full() {
                watch.digest(&mut clock, &|_| true, &mut take);
            }
        }
        watch.digest(&mut clock, &|_| true, &mut take);
        hot
    }

    fn digest(watch: &mut Watch) {
        watch.digest(&mut Clock::new(), &|_| false, &mut |_| {});
    }

    #[test]
    fn a_command_that_did_not_run_leaves_nothing() {
        let mut watch = Watch::default();
        watch.tick(Some(0));
        assert!(read(&mut watch, 1, 5_000, false).is_empty());
        assert_eq!((watch.counter(hash(1)), watch.accesses()), (0, (0, 0)));
        read(&mut watch, 1, 5_000, true);
        assert_eq!(watch.accesses(), (0, 5_000));
        assert!(watch.counter(hash(1)) > 100);
    }

    #[test]
    fn what_awaits_its_verdict_outlives_a_digest_with_its_name() {
        let mut watch = Watch::default();
        watch.tick(Some(0));
        read(&mut watch, 2, 3, true);
        watch.note(hash(2), &2_u64.to_le_bytes(), Weight::ONE);
        watch.judge(true);
        watch.note(hash(1), &1_u64.to_le_bytes(), Weight::ONE);
        digest(&mut watch);
        assert_eq!(watch.accesses(), (1, 3));
        assert_eq!(read(&mut watch, 3, 0, true), []);
        watch.judge(true);
        assert_eq!(read(&mut watch, 3, 1, true), [1, 3]);
        assert_eq!(watch.accesses(), (1, 5));
    }

    #[test]
    fn the_name_of_a_hot_far_key_is_handed_out_at_each_access() {
        let mut watch = Watch::default();
        watch.tick(Some(20));
        let hot = read(&mut watch, 1, 1_000, true);
        assert!((900..1_000).contains(&hot.len()), "{}", hot.len());
        assert!(read(&mut watch, 2, 3, true).is_empty(), "not yet hot");
        watch.note(hash(1), &1_u64.to_le_bytes(), Weight::ONE);
        watch.judge(true);
        watch.digest(&mut Clock::new(), &|_| false, &mut |_| panic!("near"));
        watch.tick(None);
        assert!(read(&mut watch, 1, 1_000, true).is_empty());
    }

    #[test]
    fn names_that_do_not_fit_are_left_out_and_the_rest_is_whole() {
        let (mut watch, long) = (Watch::default(), [7; NAMES - 9]);
        watch.tick(Some(0));
        for name in [&long[..], b"short", b"too long", b"in"] {
            watch.note(hash(1), name, Weight::ONE);
        }
        watch.judge(true);
        let mut lens = Vec::new();
        watch.digest(&mut Clock::new(), &|_| true, &mut |name| {
            lens.push(name.len())
        });
        assert_eq!(lens, [long.len(), 5, 2]);
        assert_eq!(watch.accesses(), (0, 4));
        assert_eq!(watch.names.capacity(), NAMES);
    }

    #[test]
    fn one_that_stands_for_eight_counts_for_eight() {
        let mut watch = Watch::default();
        for _ in 0..500 {
            watch.note(hash(1), b"", Weight::at_most(8));
            watch.judge(true);
        }
        digest(&mut watch);
        assert_eq!(watch.accesses(), (4_000, 0));
        let mut each = Watch::default();
        read(&mut each, 1, 4_000, true);
        assert!(watch.counter(hash(1)).abs_diff(each.counter(hash(1))) < 12);
    }

    #[test]
    fn a_ring_that_is_not_digested_drops_what_does_not_fit() {
        let mut watch = Watch::default();
        (0..10_000).for_each(|key| watch.note(hash(key), b"", Weight::ONE));
        watch.judge(true);
        assert!(watch.is_full());
        digest(&mut watch);
        assert_eq!(watch.accesses(), (RING as u64, 0));
    }
}
