//! A random half of each collection's entries deleted: compaction gives the memory back, in slices,
//! and changes nothing that can be seen. Each is held against one that only ever held what stayed.

use super::codec::tests::Tape;
use super::testkit::{assert_all_home, compact, hot, id, pool_of};
use super::{NumaHash, NumaList, NumaSet, NumaString, NumaZset, Value};
use crate::ids::Bytes;
use crate::pool::PoolHandle;

/// Entries of each collection.
const COUNT: usize = if cfg!(miri) { 60 } else { 40_000 };
/// Rounds of compaction.
const ROUNDS: usize = if cfg!(miri) { 1 } else { 3 };
/// What may be left over: hundredths of what the survivors alone take.
const MOST_PERCENT: u64 = 110;
/// Bytes of a slice.
const SLICE: usize = 64 << 10;

/// Mixed, as the numbers are not: a member of 16 bytes and some, or of about that many.
fn member(number: usize, len: usize) -> Vec<u8> {
    let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = format!("{mixed:016x}").into_bytes();
    bytes.resize(len + number % 13, b'm');
    bytes
}

fn stays(number: &usize) -> bool {
    (*number as u64).wrapping_mul(0xd1b5_4a32_d192_ed03) >> 63 == 0
}

fn order() -> [crate::ids::NodeId; 1] {
    [id(1)]
}

fn held(pool: PoolHandle) -> u64 {
    pool.release_idle();
    while pool.trim() != Bytes::ZERO {}
    (0..3).map(|node| pool.usage(id(node)).held.0).sum()
}

fn content(value: &dyn Value) -> Tape {
    let mut tape = Tape::default();
    value.save(&mut tape);
    // A table begins with what it takes, which is less afterwards.
    tape.0.pop_front();
    tape
}

/// How a collection is filled and emptied.
trait Fill: Value + Sized {
    /// Bytes of slabs that hold a few blocks each: pages that shrank are of many size classes, and
    /// each class keeps one slab that is partly used.
    const PARTLY_USED: u64 = 0;
    fn add(&mut self, number: usize, len: usize);
    /// Takes out what does not stay of all that were added.
    fn halve(&mut self, len: usize);
}

impl Fill for NumaHash {
    fn add(&mut self, number: usize, len: usize) {
        let member = member(number, len);
        self.insert(&member, &member, &order()).unwrap();
    }

    fn halve(&mut self, len: usize) {
        for number in (0..COUNT).filter(|number| !stays(number)) {
            assert!(self.remove(&member(number, len), &order()));
        }
    }
}

impl Fill for NumaSet {
    const PARTLY_USED: u64 = 16 * (64 << 10);

    fn add(&mut self, number: usize, len: usize) {
        self.insert(&member(number, len), &[], &order()).unwrap();
    }

    fn halve(&mut self, len: usize) {
        for number in (0..COUNT).filter(|number| !stays(number)) {
            assert!(self.remove(&member(number, len), &order()));
        }
    }
}

impl Fill for NumaZset {
    fn add(&mut self, number: usize, len: usize) {
        let score = (number * 40503 % 65521) as f64;
        self.set(&member(number, len), score, &order()).unwrap();
    }

    fn halve(&mut self, len: usize) {
        for number in (0..COUNT).filter(|number| !stays(number)) {
            self.remove(&member(number, len)).unwrap();
        }
    }
}

impl Fill for NumaList {
    fn add(&mut self, number: usize, len: usize) {
        self.push_back(&member(number, len), &order()).unwrap();
    }

    fn halve(&mut self, _len: usize) {
        for number in (0..COUNT).rev().filter(|number| !stays(number)) {
            self.remove(number as u64, number as u64 + 1);
        }
    }
}

fn filled<V: Fill>(pool: PoolHandle, numbers: impl Iterator<Item = usize>, len: usize) -> V {
    let mut value = V::empty(pool, &order(), hot()).unwrap();
    numbers.for_each(|number| value.add(number, len));
    value
}

fn gives_half_back<V: Fill>(len: usize) {
    let (pool, fresh_pool) = (pool_of(Bytes::mib(512)), pool_of(Bytes::mib(512)));
    let mut value: V = filled(pool, 0..COUNT, len);
    let full = held(pool);
    value.halve(len);
    let fresh: V = filled(fresh_pool, (0..COUNT).filter(stays), len);
    let before = content(&value);
    let root = (value.heat(), value.node(), value.root().len());
    for _ in 0..ROUNDS {
        compact(pool, &mut value, SLICE);
        assert_eq!(pool.check(), Ok(()));
    }
    assert!(content(&value).0 == before.0, "content and order stay");
    assert_eq!(root, (value.heat(), value.node(), value.root().len()));
    let (ours, theirs) = (value.memory() as u64, fresh.memory() as u64);
    let (held, held_fresh) = (held(pool), held(fresh_pool));
    println!(
        "memory {:.3}, held {:.3} of the survivors alone; full {full}, now {held}",
        ours as f64 / theirs as f64,
        held as f64 / held_fresh as f64
    );
    let last_slabs = if len < 100 { 0 } else { V::PARTLY_USED };
    if !cfg!(miri) {
        assert!(ours * 100 <= theirs * MOST_PERCENT, "{ours} of {theirs}");
        assert!(
            held.saturating_sub(last_slabs) * 100 <= held_fresh * MOST_PERCENT,
            "{held} of {held_fresh}"
        );
    }
    drop((value, fresh));
    assert_all_home(pool);
}

/// Runs the test for each length, or for the last where each step takes long.
fn each_len<V: Fill>(lens: &[usize]) {
    let count = if cfg!(miri) { 1 } else { lens.len() };
    lens.iter()
        .rev()
        .take(count)
        .for_each(|len| gives_half_back::<V>(*len));
}

#[test]
fn a_hash_gives_half_back() {
    each_len::<NumaHash>(&[10, 100]);
}

#[test]
fn a_set_gives_half_back() {
    each_len::<NumaSet>(&[16, 100]);
}

#[test]
fn a_sorted_set_gives_half_back() {
    each_len::<NumaZset>(&[16, 100]);
}

#[test]
fn a_list_gives_half_back() {
    each_len::<NumaList>(&[16, 100, 900]);
}

#[test]
fn small_values_move_together() {
    let pool = pool_of(Bytes::mib(512));
    let count = COUNT / 20;
    let mut values: Vec<Box<dyn Value>> = Vec::new();
    for number in 0..count {
        let text = member(number, 90);
        let string = NumaString::new(pool, &order(), &text, hot()).unwrap();
        let mut hash = NumaHash::empty(pool, &order(), hot()).unwrap();
        let mut list = NumaList::empty(pool, &order(), hot()).unwrap();
        let mut zset = NumaZset::empty(pool, &order(), hot()).unwrap();
        for part in 0..4 {
            let text = member(number + part, 10 + 30 * part);
            hash.insert(&text, &text, &order()).unwrap();
            list.push_back(&text, &order()).unwrap();
            zset.set(&text, part as f64, &order()).unwrap();
        }
        values.push(Box::new(string));
        values.push(Box::new(hash));
        values.push(Box::new(list));
        values.push(Box::new(zset));
    }
    let mut at = 0;
    values.retain(|_| {
        at += 1;
        stays(&(at / 4))
    });
    let before: Vec<Tape> = values.iter().map(|value| content(value.as_ref())).collect();
    let held_before = held(pool);
    let mut turn = Some(crate::pool::Turn::default());
    while let Some(next) = turn {
        turn = pool.choose_leaving(next);
    }
    for value in &mut values {
        assert_eq!(value.compact(0, SLICE).next, None);
    }
    pool.recall_leaving();
    assert_eq!(pool.check(), Ok(()));
    let live = super::testkit::live(pool);
    let held = held(pool);
    println!(
        "held {:.3} of live, {:.3} before",
        held as f64 / live as f64,
        held_before as f64 / live as f64
    );
    if !cfg!(miri) {
        assert!(held * 100 <= live * 125, "{held} for {live}");
    }
    for (value, before) in values.iter().zip(before) {
        assert!(content(value.as_ref()).0 == before.0);
    }
    drop(values);
    assert_all_home(pool);
}
