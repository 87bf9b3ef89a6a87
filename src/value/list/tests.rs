//! Lists against `Vec`, with moves, copies, files and missing memory in between.

use super::*;
use crate::pool::{supply_blocks, PoolHandle, Supply};
use crate::value::codec::tests::{Item, Tape};
use crate::value::contract::Value;
use crate::value::testkit::{assert_all_home, assert_sampled, compact, hot, id, live, pool, Berth};
use proptest::prelude::*;

fn content(list: &NumaList) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.each_from(0, |bytes| {
        all.push(bytes.to_vec());
        true
    });
    all
}

fn compare(list: &mut NumaList, model: &[Vec<u8>]) {
    assert_eq!(list.check(), Ok(()));
    assert_eq!(list.len(), model.len() as u64);
    assert_eq!(content(list), model);
    let mut back = Vec::new();
    list.each_back_from(model.len().saturating_sub(1) as u64, |bytes| {
        back.push(bytes.to_vec());
        true
    });
    back.reverse();
    assert_eq!(back, model);
    for (index, bytes) in model.iter().enumerate().step_by(1 + model.len() / 20) {
        assert_eq!(list.get(index as u64), Some(&bytes[..]));
    }
    assert_eq!(list.get(model.len() as u64), None);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u16, u16),
    Front(u8, u16),
    Back(u8, u16),
    Set(u16, u16),
    Remove(u16, u16),
    Move(u8, u16),
    Compact(u16),
    Copy,
    Reload,
    Starve(u16, u16, u8),
}

/// Mostly short, some that are kept outside, some that fill a leaf.
fn size() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0_u16..40, 2 => 0_u16..800, 1 => 700_u16..6000]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<u16>(), size()).prop_map(|(at, len)| Op::Insert(at, len)),
        2 => (any::<u8>(), size()).prop_map(|(n, len)| Op::Front(n, len)),
        2 => (any::<u8>(), size()).prop_map(|(n, len)| Op::Back(n, len)),
        3 => (any::<u16>(), size()).prop_map(|(at, len)| Op::Set(at, len)),
        3 => (any::<u16>(), 0_u16..200).prop_map(|(at, n)| Op::Remove(at, n)),
        2 => (0_u8..3, 0_u16..20_000).prop_map(|(node, budget)| Op::Move(node, budget)),
        1 => (0_u16..9000).prop_map(Op::Compact),
        1 => Just(Op::Copy),
        1 => Just(Op::Reload),
        2 => (any::<u16>(), size(), 0_u8..4).prop_map(|(at, len, n)| Op::Starve(at, len, n)),
    ]
}

/// A list beside its model; every element is another one.
struct Both {
    list: NumaList,
    model: Vec<Vec<u8>>,
    node: usize,
    made: u32,
}

impl Both {
    fn new(pool: PoolHandle) -> Self {
        Self {
            list: NumaList::empty(pool, &[id(0)], hot()).unwrap(),
            model: Vec::new(),
            node: 0,
            made: 0,
        }
    }

    fn element(&mut self, len: u16) -> Vec<u8> {
        self.made += 1;
        let mut bytes = self.made.to_le_bytes().repeat(usize::from(len) / 4 + 1);
        bytes.truncate(len.into());
        bytes
    }

    fn insert(&mut self, at: usize, len: u16) {
        let bytes = self.element(len);
        self.list
            .insert(at as u64, &bytes, &[id(self.node)])
            .unwrap();
        self.model.insert(at, bytes);
    }

    fn run(&mut self, op: Op, pool: PoolHandle) {
        let len = self.model.len();
        match op {
            Op::Insert(at, size) => self.insert(usize::from(at) % (len + 1), size),
            Op::Front(count, size) => (0..count / 4).for_each(|_| self.insert(0, size)),
            Op::Back(count, size) => {
                (0..count / 4).for_each(|_| self.insert(self.model.len(), size));
            }
            Op::Set(at, size) if len > 0 => {
                let (at, bytes) = (usize::from(at) % len, self.element(size));
                self.list.set(at as u64, &bytes, &[id(self.node)]).unwrap();
                self.model[at] = bytes;
            }
            Op::Remove(at, count) => {
                let from = usize::from(at) % (len + 1);
                let to = (from + usize::from(count)).min(len);
                self.list.remove(from as u64, to as u64);
                self.model.drain(from..to);
            }
            Op::Move(node, budget) => {
                let step = self.list.relocate(id(node.into()), budget.into()).unwrap();
                assert!(step.bytes > 0 || step.done);
                if step.done {
                    self.node = node.into();
                    let account = Value::memory(&self.list);
                    assert_eq!(pool.usage(id(self.node)).live.as_usize(), account);
                    assert_eq!(self.list.node(), id(self.node));
                }
            }
            Op::Compact(budget) => compact(pool, &mut self.list, budget.into()),
            Op::Copy => self.list = self.list.duplicate(&[id(self.node)]).unwrap(),
            Op::Reload if len > 0 => {
                let mut tape = Tape::default();
                self.list.save(&mut tape);
                let mut berth = Berth::on(pool, self.node);
                self.list = NumaList::load(&mut tape, hot(), &mut berth).unwrap();
                assert!(tape.0.is_empty());
            }
            Op::Starve(at, size, count) => self.starve(usize::from(at) % (len + 1), size, count),
            Op::Set(..) | Op::Reload => {}
        }
    }

    /// An insert or a set that finds no memory leaves everything as it was.
    fn starve(&mut self, at: usize, size: u16, count: u8) {
        let (bytes, order) = (self.element(size), [id(self.node)]);
        supply_blocks(Supply::Only(count.into()));
        let inserted = self.list.insert(at as u64, &bytes, &order);
        if inserted.is_ok() {
            self.model.insert(at, bytes.clone());
        }
        if at < self.model.len() && self.list.set(at as u64, &bytes, &order).is_ok() {
            self.model[at] = bytes;
        }
        supply_blocks(Supply::Endless);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 24,
        ..ProptestConfig::default()
    })]

    #[test]
    fn lists_are_vectors(
        start in 0_u16..3000,
        ops in proptest::collection::vec(op(), 0..60),
    ) {
        let pool = pool();
        let mut both = Both::new(pool);
        (0..start).for_each(|i| both.insert(both.model.len() / 2, i % 23));
        for op in ops {
            both.run(op, pool);
            compare(&mut both.list, &both.model);
        }
        drop(both);
        assert_all_home(pool);
    }
}

#[test]
fn every_allocation_may_fail_while_a_list_grows() {
    let pool = pool();
    let mut both = Both::new(pool);
    // From one leaf on, in the big form.
    (0..3000).for_each(|at| both.insert(at, 20));
    both.list.remove(100, 3000);
    let mut failed = 0;
    for i in 100..3000 {
        for count in 0.. {
            supply_blocks(Supply::Only(count));
            let done = both.list.insert(i / 2, &[7; 20], &[id(0)]);
            supply_blocks(Supply::Endless);
            assert_eq!(both.list.check(), Ok(()));
            if done.is_ok() {
                break;
            }
            assert_eq!(both.list.len(), i);
            failed += 1;
        }
    }
    assert!(failed > 20, "{failed} allocations failed");
    drop(both);
    assert_all_home(pool);
}

#[test]
fn a_queue_keeps_its_size() {
    let pool = pool();
    let mut both = Both::new(pool);
    (0..2000).for_each(|_| both.insert(both.model.len(), 20));
    let full = Value::memory(&both.list);
    // 2,000 elements of 20 bytes and 2 each fill eleven leaves.
    assert!(full < 54_000, "{full} bytes");
    for _ in 0..5000 {
        both.insert(both.model.len(), 20);
        both.list.remove(0, 1);
        both.model.remove(0);
    }
    compare(&mut both.list, &both.model);
    assert!(Value::memory(&both.list) <= full + 2 * 4096);
    both.list.remove(0, 1999);
    both.model.drain(0..1999);
    compare(&mut both.list, &both.model);
    assert!(Value::memory(&both.list) < 6000);
    drop(both);
    assert_all_home(pool);
}

#[test]
fn a_node_without_room_leaves_the_list_whole() {
    let pool = pool();
    let mut both = Both::new(pool);
    (0..500).for_each(|i| both.insert(both.model.len(), i * 7 % 2000));
    pool.set_limit(id(1), crate::ids::Bytes::kib(60));
    let stuck = loop {
        match both.list.relocate(id(1), 1000) {
            Ok(step) => assert!(!step.done),
            Err(error) => break error,
        }
    };
    assert_eq!(stuck, OutOfMemory);
    compare(&mut both.list, &both.model);
    assert!(both.list.relocate(id(2), usize::MAX).unwrap().done);
    assert_eq!(live(pool), pool.usage(id(2)).live.0);
    compare(&mut both.list, &both.model);
    drop(both);
    assert_all_home(pool);
}

#[test]
fn a_payload_is_held_to_its_bounds() {
    let pool = pool();
    let bad = [
        vec![],
        vec![Item::Unsigned(0)],
        vec![Item::Unsigned(u64::MAX), Item::Bytes(vec![1; 9000])],
        vec![Item::Unsigned(1), Item::Unsigned(1)],
        vec![Item::Bytes(vec![])],
    ];
    for items in bad {
        let mut tape = Tape(items.clone().into());
        let loaded = NumaList::load(&mut tape, hot(), &mut Berth::on(pool, 0));
        assert!(loaded.is_err(), "{items:?}");
    }
    assert_all_home(pool);
}

#[test]
fn a_sample_is_spread() {
    let pool = pool();
    for size in [2000, 6000] {
        let mut list = NumaList::empty(pool, &[id(0)], hot()).unwrap();
        for _ in 0..4000 {
            list.push_back(&vec![7; size], &[id(0)]).unwrap();
        }
        assert_sampled(&list);
    }
    assert_all_home(pool);
}
