//! No memory at every allocation in turn, for each type: the error is returned, nothing that can be
//! seen has changed, nothing is lost, and nothing is left over.
//!
//! Each script is played twice: with memory, and with the n-th block refused for n = 0, 1, ... in
//! every step until the step gets by. A step that answers an error must have left the value as it
//! was; one that does not need all that it asks for (a split, a merge) must have done its work.

use super::codec::tests::{Item, Tape};
use super::testkit::{assert_all_home, compact, hot, id, live, pool, Berth};
use super::{NumaHash, NumaList, NumaSet, NumaString, NumaZset, Value};
use crate::pool::{supply_blocks, OutOfMemory, PoolHandle, Supply};

/// What is there to be seen, in no order where the type has none.
trait Content: Value + Sized {
    const ORDERED: bool;

    fn content(&self) -> Vec<Vec<Item>> {
        let mut tape = Tape::default();
        self.save(&mut tape);
        if Self::ORDERED {
            return vec![tape.0.into()];
        }
        // What it takes, then how many there are.
        let mut items: Vec<Item> = tape.0.into();
        let head = items.drain(..2).skip(1).collect();
        let mut all: Vec<Vec<Item>> = items.chunks(Self::PARTS).map(<[Item]>::to_vec).collect();
        all.sort_by(|a, b| bytes_of(a).cmp(bytes_of(b)));
        all.push(head);
        all
    }

    /// Words of an entry.
    const PARTS: usize = 1;
}

impl Content for NumaString {
    const ORDERED: bool = true;
}
impl Content for NumaList {
    const ORDERED: bool = true;
}
impl Content for NumaZset {
    const ORDERED: bool = true;
}
impl Content for NumaSet {
    const ORDERED: bool = false;
}
impl Content for NumaHash {
    const ORDERED: bool = false;
    const PARTS: usize = 2;
}

/// What tells an entry from the others.
fn bytes_of(parts: &[Item]) -> &[u8] {
    match parts {
        [Item::Bytes(bytes), ..] => bytes,
        _ => &[],
    }
}

type Step<V> = Box<dyn Fn(&mut V) -> Result<(), OutOfMemory>>;

fn blocks_of<V: Value>(value: &V) -> (usize, usize) {
    let (mut bytes, mut count) = (0, 0);
    value.visit_blocks(&mut |block| {
        (bytes, count) = (bytes + block.size(), count + 1);
        true
    });
    (bytes, count)
}

/// Books, account and blocks of the only value in the pool agree.
fn check<V: Value>(pool: PoolHandle, value: &V) {
    assert_eq!(blocks_of(value), (value.memory(), value.blocks()));
    assert_eq!(live(pool), value.memory() as u64, "nothing is left over");
}

/// Plays a step with the n-th block refused, for every n; how often an error came.
fn starve<V: Content>(
    pool: PoolHandle,
    value: &mut V,
    step: &Step<V>,
    supply: fn(u64) -> Supply,
) -> u64 {
    let (mut nth, before) = (0, value.content());
    loop {
        supply_blocks(supply(nth));
        let done = step(value);
        supply_blocks(Supply::Endless);
        check(pool, value);
        if done.is_ok() {
            return nth;
        }
        assert!(
            value.content() == before,
            "a step that fails changes nothing"
        );
        nth += 1;
    }
}

/// Plays what makes another value of it.
fn starve_makers<V: Content>(pool: PoolHandle, value: &V) {
    let mut tape = Tape::default();
    value.save(&mut tape);
    let make: [&dyn Fn() -> Option<V>; 2] = [&|| value.duplicate(&[id(2)]).ok(), &|| {
        V::load(&mut tape.clone(), hot(), &mut Berth::on(pool, 2)).ok()
    }];
    for make in make {
        let mut nth = 0;
        loop {
            supply_blocks(Supply::Only(nth));
            let made = make();
            supply_blocks(Supply::Endless);
            if let Some(made) = made {
                assert!(made.content() == value.content());
                break;
            }
            assert_eq!(live(pool), value.memory() as u64, "nothing stays behind");
            nth += 1;
        }
        assert!(nth > 0, "it needs a block at least");
        check(pool, value);
    }
}

fn play<V: Content>(steps: &[Step<V>]) {
    for supply in [Supply::Only as fn(u64) -> Supply, Supply::AllBut] {
        let (pool, other) = (pool(), pool());
        let mut value = V::empty(pool, &[id(0)], hot()).unwrap();
        let mut model = V::empty(other, &[id(0)], hot()).unwrap();
        let mut errors = 0;
        for (number, step) in steps.iter().enumerate() {
            errors += starve(pool, &mut value, step, supply);
            step(&mut model).unwrap();
            if number % 8 == 0 {
                assert!(value.content() == model.content(), "step {number}");
            }
        }
        assert!(errors > 3, "{errors} errors");
        starve_makers(pool, &value);
        supply_blocks(Supply::Only(0));
        compact(pool, &mut value, 1000);
        supply_blocks(Supply::Endless);
        check(pool, &value);
        assert!(value.content() == model.content());
        drop((value, model));
        assert_all_home(pool);
        assert_all_home(other);
    }
}

fn text(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = format!("{number:06}").into_bytes();
    bytes.resize(len.max(6), b'.');
    bytes
}

/// The moves that are played between the other steps.
fn moves<V: Content>() -> Vec<Step<V>> {
    let to = |node: usize, budget: usize| -> Step<V> {
        Box::new(move |value: &mut V| value.relocate(id(node), budget).map(|_| ()))
    };
    vec![
        to(1, 3000),
        to(1, 50_000),
        to(2, usize::MAX),
        to(0, usize::MAX),
    ]
}

/// Entries: as many as it takes that every structure splits.
const COUNT: usize = if cfg!(miri) { 12 } else { 420 };
/// The same for tables.
const TABLE_COUNT: usize = if cfg!(miri) { 12 } else { 300 };

#[test]
fn a_string_that_starves() {
    let mut steps: Vec<Step<NumaString>> = Vec::new();
    for number in 0..if cfg!(miri) { 10 } else { 40 } {
        let len = 1 << (number / 2);
        steps.push(Box::new(move |s| s.append(&text(number, len), &[id(0)])));
        steps.push(Box::new(move |s| s.set_range(3 * len, b"end", &[id(0)])));
        if number % 10 == 9 {
            steps.push(Box::new(move |s| {
                s.replace(&text(number, len / 3), &[id(0)])
            }));
            steps.extend(moves());
        }
    }
    play(&steps);
}

#[test]
fn a_list_that_starves() {
    let mut steps: Vec<Step<NumaList>> = Vec::new();
    for number in 0..COUNT {
        let len = if number % 17 == 0 { 1500 } else { number % 90 };
        let at = (number * 7 % (number + 1)) as u64;
        steps.push(Box::new(move |l| {
            l.insert(at, &text(number, len), &[id(0)])
        }));
        steps.push(Box::new(move |l| {
            l.set(at.min(l.len() - 1), &text(number, len + 1), &[id(0)])
        }));
        if number % 3 == 2 {
            steps.push(Box::new(move |l| {
                l.remove(at, at + 1);
                Ok(())
            }));
        }
        if number % 140 == 11 {
            steps.extend(moves());
        }
    }
    play(&steps);
}

#[test]
fn a_sorted_set_that_starves() {
    let mut steps: Vec<Step<NumaZset>> = Vec::new();
    for number in 0..COUNT {
        let len = if number % 19 == 0 { 300 } else { number % 60 };
        let score = (number * 7 % 50) as f64;
        steps.push(Box::new(move |z| {
            z.set(&text(number, len), score, &[id(0)]).map(|_| ())
        }));
        steps.push(Box::new(move |z| {
            z.set(&text(number, len), -score, &[id(0)]).map(|_| ())
        }));
        if number % 3 == 2 {
            steps.push(Box::new(move |z| {
                z.remove(&text(number, len));
                Ok(())
            }));
        }
        if number % 140 == 11 {
            steps.extend(moves());
        }
    }
    play(&steps);
}

#[test]
fn a_hash_that_starves() {
    let mut steps: Vec<Step<NumaHash>> = Vec::new();
    for number in 0..TABLE_COUNT {
        let len = if number % 19 == 0 { 300 } else { number % 60 };
        let set = move |value: usize| -> Step<NumaHash> {
            Box::new(move |h| {
                h.insert(&text(number, len), &text(value, value % 100), &[id(0)])
                    .map(|_| ())
            })
        };
        steps.extend([set(number), set(2 * number + 1)]);
        if number % 4 == 2 {
            steps.push(Box::new(move |h| {
                h.remove(&text(number, len), &[id(0)]);
                Ok(())
            }));
        }
        if number % 140 == 11 {
            steps.extend(moves());
        }
    }
    for number in 0..TABLE_COUNT - 10 {
        let len = if number % 19 == 0 { 300 } else { number % 60 };
        steps.push(Box::new(move |h| {
            h.remove(&text(number, len), &[id(0)]);
            Ok(())
        }));
    }
    play(&steps);
}

#[test]
fn a_set_that_starves() {
    let mut steps: Vec<Step<NumaSet>> = Vec::new();
    for number in 0..TABLE_COUNT {
        let len = if number % 23 == 0 { 200 } else { number % 64 };
        steps.push(Box::new(move |s| {
            s.insert(&text(number, len), b"", &[id(0)]).map(|_| ())
        }));
        if number % 140 == 11 {
            steps.extend(moves());
        }
    }
    for number in 0..TABLE_COUNT - 10 {
        let len = if number % 23 == 0 { 200 } else { number % 64 };
        steps.push(Box::new(move |s| {
            s.remove(&text(number, len), &[id(0)]);
            Ok(())
        }));
    }
    play(&steps);
}
