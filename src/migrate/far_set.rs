//! The names of the native keys that may lie far: never wrong in the direction that matters.
//!
//! Where a value lies is read off its address; this set only answers, from a hash of the name and
//! without looking the key up, "could it be far?", for those who cannot look: a deletion has no
//! value any more to look at, and a read has no time. It must contain every far key, and may
//! contain others; who is told "yes" wrongly flushes a cache or looks a key up for nothing.
//!
//! Two Bloom filters, the **whole** one and the one that the endless walk over the keys is
//! **building**. A move to a far node enters both, the walk enters the far keys that it meets into
//! the one being built, and when the walk is through that one is whole and a new one begins. So
//! nothing is ever taken out, and still what is gone or came home is forgotten within a walk: no
//! overwrite, expiry, eviction or lost event can leave a wrong entry behind for long, and none can
//! make a far key missing. Names only change hands by RENAME and MOVE, which enter the new name.
//!
//! > a key is far => whole contains it; and it was met by the running walk => building contains it
//!
//! [`BITS_PER_KEY`] and three bits set a key, all in one cache line: 1.06 bytes a far key for both,
//! and one name in six that is not far is taken for one that is. Memory is taken in chunks, each by
//! the first key that falls into it: to begin a filter for ten million keys costs no more than to
//! begin one for ten. Rejected: a table of fingerprints, from which a deletion of a near key can
//! take the entry of a far one that looks alike.

/// Bits for each far key in each filter.
const BITS_PER_KEY: u64 = 4;
/// Bits that a key sets.
const BITS_SET: u32 = 3;
/// Words of a block, which is a cache line.
const WORDS: usize = 8;
/// Blocks of a chunk: 64 KiB.
const CHUNK: usize = 1024;
/// A filter is made for at least so many keys.
const KEYS_MIN: u64 = 4096;
/// Moves go on while a walk runs: a filter is made for one part in this many more keys than there
/// are.
const MORE: u64 = 16;

type Block = [u64; WORDS];

/// A Bloom filter made for so many keys.
#[derive(Debug)]
struct Layer {
    blocks: usize,
    chunks: Vec<Option<Box<[Block]>>>,
    /// Keys that it is made for, and how many of them have not come yet.
    keys: u64,
    room: u64,
}

impl Layer {
    fn for_keys(keys: u64) -> Self {
        let keys = keys.max(KEYS_MIN);
        let bits = keys.saturating_mul(BITS_PER_KEY);
        let blocks = bits.div_ceil(u64::from(u64::BITS) * WORDS as u64) as usize;
        Self {
            blocks,
            chunks: vec![None; blocks.div_ceil(CHUNK)],
            keys,
            room: keys,
        }
    }

    /// The chunk of a key, and the block in it.
    fn place_of(&self, hash: u64) -> (usize, usize) {
        let at = ((u128::from(hash) * self.blocks as u128) >> 64) as usize;
        (at / CHUNK, at % CHUNK)
    }

    fn enter(&mut self, hash: u64) {
        let (chunk, at) = self.place_of(hash);
        let len = CHUNK.min(self.blocks - chunk * CHUNK);
        let Some(chunk) = self.chunks.get_mut(chunk) else {
            return;
        };
        let chunk = chunk.get_or_insert_with(|| vec![[0; WORDS]; len].into());
        let Some(block) = chunk.get_mut(at) else {
            return;
        };
        for (word, bit) in bits(hash) {
            if let Some(word) = block.get_mut(word) {
                *word |= bit;
            }
        }
        self.room = self.room.saturating_sub(1);
    }

    #[inline]
    fn contains(&self, hash: u64) -> bool {
        let (chunk, at) = self.place_of(hash);
        let chunk = self.chunks.get(chunk).and_then(Option::as_ref);
        let Some(block) = chunk.and_then(|chunk| chunk.get(at)) else {
            return false;
        };
        let is_set = |(word, bit)| block.get(word).is_some_and(|word: &u64| word & bit != 0);
        bits(hash).all(is_set)
    }

    fn bytes(&self) -> usize {
        let blocks: usize = self.chunks.iter().flatten().map(|chunk| chunk.len()).sum();
        blocks * size_of::<Block>() + self.chunks.capacity() * size_of::<Box<[Block]>>()
    }
}

/// Layers of it: more keys may come than were foreseen. Each is made for as many as all before it,
/// and for half of all there are at least, for each layer more is wrong now and then.
#[derive(Debug)]
struct Filter(Vec<Layer>);

impl Filter {
    fn for_keys(keys: u64) -> Self {
        Self(vec![Layer::for_keys(keys)])
    }

    fn enter(&mut self, hash: u64, all_keys: u64) {
        if self.contains(hash) {
            return;
        }
        if self.0.last().is_some_and(|layer| layer.room == 0) {
            let keys: u64 = self.0.iter().map(|layer| layer.keys).sum();
            self.0.push(Layer::for_keys(keys.max(all_keys / 2)));
        }
        if let Some(layer) = self.0.last_mut() {
            layer.enter(hash);
        }
    }

    #[inline]
    fn contains(&self, hash: u64) -> bool {
        self.0.iter().any(|layer| layer.contains(hash))
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|layer| layer.bytes() as u64).sum()
    }
}

/// The bits of a key in its block: 9 bits of the hash choose each. The block is chosen by the high
/// bits, these are the low ones.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..BITS_SET).map(move |turn| {
        let nine = hash >> (turn * 9) & 511;
        ((nine >> 6) as usize, 1 << (nine & 63))
    })
}

/// See the head of the file.
#[derive(Debug)]
pub struct FarSet {
    whole: Filter,
    building: Filter,
    /// Far keys that the running walk has met, and the last whole one.
    met: u64,
    counted: u64,
    /// Keys that there are, near ones too.
    all_keys: u64,
}

impl Default for FarSet {
    fn default() -> Self {
        Self {
            whole: Filter::for_keys(0),
            building: Filter::for_keys(0),
            met: 0,
            counted: 0,
            all_keys: 0,
        }
    }
}

impl FarSet {
    /// Learns how many keys there are.
    pub fn expect(&mut self, all_keys: u64) {
        self.all_keys = all_keys;
    }

    /// A key went far.
    pub fn enter(&mut self, hash: u64) {
        self.whole.enter(hash, self.all_keys);
        self.building.enter(hash, self.all_keys);
    }

    /// The walk has met a far key.
    pub fn meet(&mut self, hash: u64) {
        self.building.enter(hash, self.all_keys);
        self.met += 1;
    }

    /// A name goes over to another one, whatever that was.
    pub fn rename(&mut self, from: u64, to: u64) {
        if self.contains(from) {
            self.enter(to);
        }
    }

    /// Whether the key could be far. `false` is certain.
    #[must_use]
    #[inline]
    pub fn contains(&self, hash: u64) -> bool {
        self.whole.contains(hash)
    }

    /// The walk is through: it has met every far key.
    pub fn turn(&mut self) {
        let next = Filter::for_keys(self.met.saturating_add(self.met / MORE));
        self.whole = std::mem::replace(&mut self.building, next);
        self.counted = std::mem::take(&mut self.met);
    }

    /// The walk begins again before its end: what it has met may be met once more.
    pub fn restart(&mut self) {
        self.met = 0;
    }

    /// Every key is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Far keys that the last whole walk has met.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.whole.bytes() + self.building.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heat::KeyHasher;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn hash(number: u64) -> u64 {
        KeyHasher::seeded(3).hash(&number.to_le_bytes())
    }

    #[derive(Clone, Debug)]
    enum Step {
        MoveFar(u8),
        MoveHome(u8),
        Delete(u8),
        Rename(u8, u8),
        Walk(u8),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => any::<u8>().prop_map(Step::MoveFar),
            3 => any::<u8>().prop_map(Step::MoveHome),
            3 => any::<u8>().prop_map(Step::Delete),
            3 => any::<(u8, u8)>().prop_map(|(from, to)| Step::Rename(from, to)),
            6 => (0..80_u8).prop_map(Step::Walk),
            1 => Just(Step::Flush),
        ]
    }

    /// A keyspace and a walk over it, as simple as can be.
    #[derive(Default)]
    struct Model {
        far: BTreeMap<u8, bool>,
        next: u16,
    }

    impl Model {
        fn walk(&mut self, set: &mut FarSet, keys: u8) {
            for _ in 0..keys {
                if let Ok(key) = u8::try_from(self.next) {
                    if self.far.get(&key) == Some(&true) {
                        set.meet(hash(key.into()));
                    }
                    self.next += 1;
                } else {
                    set.turn();
                    self.next = 0;
                }
            }
        }

        fn play(&mut self, set: &mut FarSet, step: Step) {
            match step {
                Step::MoveFar(key) => {
                    self.far.insert(key, true);
                    set.enter(hash(key.into()));
                }
                Step::MoveHome(key) => {
                    self.far.insert(key, false);
                }
                Step::Delete(key) => {
                    self.far.remove(&key);
                }
                Step::Rename(from, to) => {
                    if let Some(far) = self.far.remove(&from) {
                        self.far.insert(to, far);
                        set.rename(hash(from.into()), hash(to.into()));
                    }
                }
                Step::Walk(keys) => self.walk(set, keys),
                Step::Flush => {
                    self.far.clear();
                    set.clear();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_far_key_is_ever_missing(steps in prop::collection::vec(step(), 1..300)) {
            let (mut set, mut model) = (FarSet::default(), Model::default());
            for step in steps {
                model.play(&mut set, step);
                let far: BTreeSet<u8> = model.far.iter().filter(|(_, far)| **far)
                    .map(|(key, _)| *key).collect();
                for key in far {
                    prop_assert!(set.contains(hash(key.into())), "key {}", key);
                }
            }
        }
    }

    fn walked(far: u64) -> FarSet {
        let mut set = FarSet::default();
        for _ in 0..2 {
            (0..far).for_each(|key| set.meet(hash(key)));
            set.turn();
        }
        set
    }

    #[test]
    fn what_came_home_is_forgotten_after_a_walk() {
        let mut set = walked(10_000);
        set.turn();
        let still = (0..10_000).filter(|key| set.contains(hash(*key))).count();
        assert_eq!((still, set.counted()), (0, 0));
    }

    #[test]
    fn one_in_six_is_taken_for_far_at_most() {
        let far = 875_000;
        let set = walked(far);
        assert_eq!(set.counted(), far);
        assert!((0..far).all(|key| set.contains(hash(key))));
        let wrong = (far..far + 100_000).filter(|key| set.contains(hash(*key)));
        let wrong = wrong.count();
        assert!(wrong < 16_667, "{wrong} of 100,000");
        assert!(set.bytes() <= far * 11 / 10, "{}", set.bytes());
    }

    #[test]
    fn a_set_that_was_made_for_fewer_grows() {
        let mut set = FarSet::default();
        let far = 100 * KEYS_MIN;
        set.expect(far);
        (0..far).for_each(|key| set.enter(hash(key)));
        assert!((0..far).all(|key| set.contains(hash(key))));
        let wrong = (far..2 * far).filter(|key| set.contains(hash(*key)));
        let wrong = wrong.count() as u64;
        assert!(wrong < far / 2, "{wrong} of {far}");
    }

    #[test]
    fn a_new_filter_takes_no_memory_until_keys_come() {
        let filter = Filter::for_keys(10_000_000);
        assert!(filter.bytes() < 4096, "{}", filter.bytes());
    }
}
