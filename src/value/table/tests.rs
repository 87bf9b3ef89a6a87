//! Tables against `BTreeMap`, on several nodes; in the end every block came home.

use super::*;
use crate::heat::{Clock, Dice};
use crate::value::codec::tests::{Item, Tape};
use crate::value::codec::{load, save};
use crate::value::testkit::{
    assert_all_home, assert_sampled, compact, hot, id, live, pool, Berth, NODES,
};
use crate::value::{NumaHash, NumaSet, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn table<const VALUES: bool>(pool: PoolHandle) -> Table<VALUES> {
    Table::new(pool, &[id(0)], hot()).unwrap()
}

/// Every invariant that the heads of the files state.
fn check<const VALUES: bool>(table: &Table<VALUES>, model: &Model) {
    assert_eq!(table.len(), model.len());
    let seen: Model = table
        .iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(&seen, model);
    let mut sizes = [0; NODES];
    table.visit_blocks(&mut |block| {
        sizes[block.node().index()] += block.size();
        true
    });
    assert_eq!(sizes.iter().sum::<usize>(), table.memory());
    for index in 0..table.segments() {
        for entry in table.segment(index).entries() {
            assert_eq!(table.home_of(hash(entry.key.bytes())), index);
        }
    }
    if table.is_big() {
        let seen = table.seen();
        sizes[table.root().node().index()] -= table.root().size();
        for (node, size) in sizes.iter().enumerate() {
            assert_eq!(seen.share(id(node)), *size, "share of node {node}");
        }
        let most = sizes.iter().max().unwrap();
        assert!(
            seen.share(seen.main()) * 2 >= *most,
            "main is a large share"
        );
        let live: usize = (0..table.segments())
            .map(|index| table.segment(index).live())
            .sum();
        assert_eq!(seen.heap(), live);
        let counts = (0..table.segments()).map(|index| table.segment(index).count());
        assert!(counts.max().unwrap() <= seen.peak());
    }
}

fn key(n: usize) -> Vec<u8> {
    format!("member:{n:09}").into_bytes()
}

#[test]
fn a_table_grows_and_shrinks_a_segment_at_a_time() {
    let pool = pool();
    let mut table = table::<true>(pool);
    let mut model = Model::new();
    for n in 0..20_000 {
        let before = table.segments();
        assert_eq!(
            table.insert(&key(n), &key(n * 3), &[id(0)]),
            Ok(Inserted::New)
        );
        assert!(table.segments() <= before + 1, "one segment at a time");
        model.insert(key(n), key(n * 3));
        if n % 4999 == 0 || n == 300 {
            check(&table, &model);
        }
    }
    check(&table, &model);
    assert!(table.segments() > 150);
    for n in 0..20_000 {
        assert!(table.remove(&key(n), &[id(0)]));
        assert!(!table.remove(&key(n), &[id(0)]));
        model.remove(&key(n));
        if n % 4999 == 0 {
            check(&table, &model);
        }
    }
    check(&table, &model);
    assert!(!table.is_big(), "small again");
    drop(table);
    assert_all_home(pool);
}

/// Stock takes 80.4 bytes for a field of 16 bytes with a value of 16, and 56.4 for a member of 16:
/// 24 of dictEntry, 24 a text, 8.4 of bucket.
#[test]
fn many_elements_take_less_than_three_quarters_of_stock() {
    let pool = pool();
    let (mut hash, mut set) = (table::<true>(pool), table::<false>(pool));
    for n in 0..100_000 {
        hash.insert(&key(n), &key(n), &[id(0)]).unwrap();
        set.insert(&key(n), &[], &[id(0)]).unwrap();
        if [5_000, 20_000, 65_000, 99_999].contains(&n) {
            let each = |memory: usize| memory as f64 / (n + 1) as f64;
            assert!(
                each(hash.memory()) < 0.6 * 80.4,
                "{n}: {}",
                each(hash.memory())
            );
            assert!(
                each(set.memory()) < 0.6 * 56.4,
                "{n}: {}",
                each(set.memory())
            );
        }
    }
}

#[test]
fn long_texts_lie_outside_and_are_counted() {
    let pool = pool();
    let mut table = table::<true>(pool);
    let mut model = Model::new();
    for n in 0..600 {
        let (key, value) = (vec![n as u8; n], vec![b'v'; n * 7]);
        table.insert(&key, &value, &[id(n % 2)]).unwrap();
        model.insert(key, value);
    }
    check(&table, &model);
    assert_eq!(live(pool), table.memory() as u64);
    for n in 0..600 {
        let (key, value) = (vec![n as u8; n], vec![b'w'; (600 - n) * 3]);
        assert_eq!(table.insert(&key, &value, &[id(2)]), Ok(Inserted::Known));
        model.insert(key, value);
    }
    check(&table, &model);
    drop(table);
    assert_all_home(pool);
}

#[test]
fn a_big_table_moves_in_slices_while_it_is_written() {
    let pool = pool();
    let mut table = table::<true>(pool);
    let mut model = Model::new();
    for n in 0..5_000 {
        let value = vec![b'x'; n % 90];
        table.insert(&key(n), &value, &[id(0)]).unwrap();
        model.insert(key(n), value);
    }
    let (mut slices, mut n) = (0, 0);
    loop {
        let step = table.relocate(id(2), 20_000).unwrap();
        slices += 1;
        if step.done {
            break;
        }
        assert!(step.bytes < 60_000, "a slice keeps about to its budget");
        for _ in 0..20 {
            let (old, new) = (key(n), key(n + 10_000));
            table.remove(&old, &[id(0)]);
            model.remove(&old);
            table.insert(&new, &[b'y'; 80], &[id(0)]).unwrap();
            model.insert(new, vec![b'y'; 80]);
            n += 1;
        }
        check(&table, &model);
    }
    assert!(slices > 10, "{slices} slices");
    assert_eq!(table.node(), id(2));
    assert_eq!(pool.usage(id(2)).live.as_usize(), table.memory());
    assert_eq!(pool.usage(id(0)).live.as_usize(), 0);
    check(&table, &model);
}

#[test]
fn without_room_nothing_changes() {
    let pool = pool();
    let mut table = table::<true>(pool);
    let mut model = Model::new();
    pool.set_limit(id(0), crate::ids::Bytes::kib(64));
    for n in 0..10_000 {
        let value = vec![b'x'; n % 200];
        if table.insert(&key(n), &value, &[id(0)]).is_ok() {
            model.insert(key(n), value);
        }
    }
    check(&table, &model);
    assert!(model.len() > 200 && model.len() < 2_000);
    for n in 0..10_000 {
        let value = vec![b'y'; 150];
        if model.contains_key(&key(n)) && table.insert(&key(n), &value, &[id(0)]).is_ok() {
            model.insert(key(n), value);
        }
    }
    check(&table, &model);
    pool.set_limit(id(1), crate::ids::Bytes::kib(16));
    assert!(table.relocate(id(1), usize::MAX).is_err());
    check(&table, &model);
    assert!(table.relocate(id(2), usize::MAX).unwrap().done);
    check(&table, &model);
    drop(table);
    assert_all_home(pool);
}

#[test]
fn a_walk_passes_what_stays_exactly_once_while_the_table_changes() {
    for grows in [true, false] {
        let pool = pool();
        let mut table = table::<false>(pool);
        let kept = if grows { 2_000 } else { 400 };
        for n in 0..if grows { kept } else { 20_000 } {
            table.insert(&key(n), &[], &[id(0)]).unwrap();
        }
        let (mut cursor, mut steps, mut seen) = (0, 0, Vec::new());
        loop {
            cursor = table.scan(cursor, 10, &mut |key, _| seen.push(key.to_vec()));
            steps += 1;
            if cursor == 0 {
                break;
            }
            for n in 0..100 {
                let n = 400 + steps * 100 + n;
                if grows && n % 25 == 0 {
                    table.insert(&key(n + 1_000_000), &[], &[id(0)]).unwrap();
                } else if !grows {
                    table.remove(&key(n), &[id(0)]);
                }
            }
        }
        for n in 0..kept {
            let times = seen.iter().filter(|seen| **seen == key(n)).count();
            assert_eq!(times, 1, "member {n}, grows {grows}");
        }
    }
}

#[test]
fn a_walk_keeps_to_its_count() {
    let pool = pool();
    let mut table = table::<true>(pool);
    for n in 0..3_000 {
        table.insert(&key(n), b"", &[id(0)]).unwrap();
    }
    for count in [1, 7, 100, 10_000] {
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            let mut shown = 0;
            cursor = table.scan(cursor, count, &mut |key, _| {
                seen.insert(key.to_vec());
                shown += 1;
            });
            assert!(shown <= count + 2, "{shown} for {count}");
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 3_000);
    }
    assert_eq!(
        table.scan(u64::MAX, 10, &mut |_, _| panic!("nothing there")),
        0
    );
}

#[test]
fn every_entry_is_as_likely_as_any_other() {
    for count in [10, 1_000] {
        let pool = pool();
        let mut table = table::<false>(pool);
        // Removals leave the segments uneven.
        for n in 0..count * 3 {
            table.insert(&key(n), &[], &[id(0)]).unwrap();
        }
        for n in count..count * 3 {
            table.remove(&key(n), &[id(0)]);
        }
        let mut dice = Dice::new(99);
        let mut roll = || u64::from(dice.roll()) << 32 | u64::from(dice.roll());
        let mut times: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let each = 400;
        for _ in 0..count * each {
            let (key, _) = table.random(&mut roll).unwrap();
            *times.entry(key.to_vec()).or_default() += 1;
        }
        assert_eq!(times.len(), count);
        // Chi squared over its degrees of freedom is near 1 for an even choice.
        let off = |n: &u32| (f64::from(*n) - each as f64).powi(2) / each as f64;
        let chi = times.values().map(off).sum::<f64>() / (count - 1) as f64;
        assert!(chi < if count > 100 { 1.2 } else { 2.6 }, "{chi}");
    }
    assert!(table::<false>(pool()).random(&mut || 0).is_none());
}

#[test]
fn payloads_are_read_back() {
    let pool = pool();
    let clock = Clock::new();
    for count in [1, 3, 300, 3_000] {
        let mut hash = table::<true>(pool);
        let mut model = Model::new();
        for n in 0..count {
            let value = vec![b'v'; n % 100];
            hash.insert(&key(n), &value, &[id(0)]).unwrap();
            model.insert(key(n), value);
        }
        hash.set_pinned(true);
        let mut tape = Tape::default();
        save(&hash, &mut tape, &clock);
        let read: NumaHash = load(&mut tape, &clock, &mut Berth::on(pool, 2)).unwrap();
        check(&read, &model);
        assert_eq!(
            (read.heat(), read.pinned(), read.node()),
            (hot(), true, id(2))
        );
        assert!(tape.0.is_empty());
        let copy = hash.duplicate(&[id(1)]).unwrap();
        check(&copy, &model);
        assert_eq!(
            (copy.heat(), copy.pinned(), copy.node()),
            (hot(), false, id(1))
        );
    }
    assert_all_home(pool);
}

#[test]
fn a_payload_that_no_command_makes_is_refused() {
    let pool = pool();
    let heat = || [1, 2, 3, 4, 0].map(Item::Unsigned);
    let text = |text: &str| Item::Bytes(text.as_bytes().to_vec());
    let load = |items: &[Item]| {
        let items = heat().into_iter().chain(items.iter().cloned()).collect();
        load::<NumaSet, _>(&mut Tape(items), &Clock::new(), &mut Berth::on(pool, 0))
    };
    use crate::value::BadPayload::{OutOfBounds, Short};
    let number = Item::Unsigned;
    assert!(load(&[number(9), number(2), text("a"), text("b")]).is_ok());
    let bad = [
        (vec![number(9), number(0)], OutOfBounds("count")),
        (
            vec![number(9), number(2), text("a"), text("a")],
            OutOfBounds("key"),
        ),
        (vec![number(9), number(u64::MAX), text("a")], Short),
        (vec![number(9), number(1)], Short),
        (vec![number(9)], Short),
        (vec![number(9), number(1), number(1)], Short),
    ];
    for (items, error) in bad {
        assert_eq!(load(&items).unwrap_err(), error);
    }
    assert_all_home(pool);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { key: u16, value: u16, node: usize },
    Remove { key: u16 },
    Relocate { node: usize, budget: usize },
    Compact { budget: usize },
    Reload { node: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof![0_u16..40, 0_u16..2_000];
    prop_oneof![
        60 => (key(), 0_u16..300, 0..NODES).prop_map(|(key, value, node)| Op::Insert {
            key,
            value,
            node,
        }),
        30 => key().prop_map(|key| Op::Remove { key }),
        3 => (0..NODES, 1_usize..20_000).prop_map(|(node, budget)| Op::Relocate { node, budget }),
        2 => (1_usize..9000).prop_map(|budget| Op::Compact { budget }),
        1 => (0..NODES).prop_map(|node| Op::Reload { node }),
    ]
}

fn step<const VALUES: bool>(table: &mut Table<VALUES>, model: &mut Model, op: &Op) {
    let name = |key: u16| format!("{:0width$}", key, width = usize::from(key % 90)).into_bytes();
    match op {
        Op::Insert { key, value, node } => {
            let value = if VALUES {
                vec![b'v'; usize::from(*value)]
            } else {
                Vec::new()
            };
            let met = table.insert(&name(*key), &value, &[id(*node)]).unwrap();
            let known = model.insert(name(*key), value).is_some();
            assert_eq!(met == Inserted::Known, known);
        }
        Op::Remove { key } => {
            let there = model.remove(&name(*key)).is_some();
            assert_eq!(table.remove(&name(*key), &[id(0)]), there);
        }
        Op::Relocate { node, budget } => {
            table.relocate(id(*node), *budget).unwrap();
        }
        Op::Compact { budget } => compact(table.pool(), table, *budget),
        Op::Reload { node } if !model.is_empty() => {
            let (mut tape, clock) = (Tape::default(), Clock::new());
            save(table, &mut tape, &clock);
            *table = load(&mut tape, &clock, &mut Berth::on(table.pool(), *node)).unwrap();
        }
        Op::Reload { .. } => {}
    }
}

fn run<const VALUES: bool>(ops: &[Op], fill: usize) {
    let pool = pool();
    let mut table = table::<VALUES>(pool);
    let mut model = Model::new();
    for n in 0..fill {
        table.insert(&key(n), &[], &[id(0)]).unwrap();
        model.insert(key(n), Vec::new());
    }
    for (n, op) in ops.iter().enumerate() {
        step(&mut table, &mut model, op);
        if n % 16 == 0 {
            check(&table, &model);
            assert_eq!(live(pool), table.memory() as u64);
        }
    }
    check(&table, &model);
    drop(table);
    assert_all_home(pool);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn tables_are_maps(
        ops in proptest::collection::vec(op(), 1..600),
        fill in prop_oneof![Just(0_usize), Just(250), Just(1_500)],
    ) {
        run::<true>(&ops, fill);
        run::<false>(&ops, fill);
    }
}

#[test]
fn a_slice_that_moves_nothing_ends_too() {
    let pool = pool();
    for long in [false, true] {
        let mut table = table::<true>(pool);
        for n in 0..60_000 {
            let value = if long && n % 3000 == 0 {
                vec![7; 300]
            } else {
                vec![7; 8]
            };
            table.insert(&key(n), &value, &[id(1)]).unwrap();
        }
        let (mut slices, segments) = (0, table.segments());
        while !table.relocate(id(1), 4096).unwrap().done {
            slices += 1;
        }
        let looks = 4096 / if long { 3000 } else { 64 };
        assert!(slices >= segments / (looks + 2), "{slices} for {segments}");
        assert_eq!(table.node(), id(1));
    }
    assert_all_home(pool);
}

#[test]
fn a_sample_is_spread() {
    let pool = pool();
    for long in [8, 300] {
        let mut table = table::<true>(pool);
        for n in 0..60_000 / (long / 8) {
            table.insert(&key(n), &vec![7; long], &[id(1)]).unwrap();
        }
        assert_sampled(&table);
    }
    assert_all_home(pool);
}
