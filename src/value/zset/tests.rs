//! Sorted sets against a sorted vector, with moves, copies, files and missing memory in between.

use super::*;
use crate::pool::{supply_blocks, PoolHandle, Supply};
use crate::value::codec::tests::{Item, Tape};
use crate::value::contract::Value;
use crate::value::testkit::{assert_all_home, assert_sampled, compact, hot, id, live, pool, Berth};
use proptest::prelude::*;
use std::collections::HashMap;

type Model = Vec<(f64, Vec<u8>)>;

fn sort(model: &mut Model) {
    model.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap().then(a.1.cmp(&b.1)));
}

fn content(set: &NumaZset) -> Model {
    let mut all = Vec::new();
    set.each_from(0, |member, score| {
        all.push((score, member.to_vec()));
        true
    });
    all
}

/// Compares everything that can be asked, on all or some members.
fn compare(set: &mut NumaZset, model: &Model) {
    assert_eq!(set.check(), Ok(()));
    assert_eq!(set.len(), model.len() as u64);
    assert_eq!(&content(set), model);
    let mut back = Vec::new();
    set.each_back_from(model.len().saturating_sub(1) as u64, |member, score| {
        back.push((score, member.to_vec()));
        true
    });
    back.reverse();
    assert_eq!(&back, model);
    for (rank, (score, member)) in model.iter().enumerate().step_by(1 + model.len() / 20) {
        assert_eq!(set.rank(member), Some((rank as u64, *score)));
        assert_eq!(set.at(rank as u64), Some((&member[..], *score)));
        for bound in [
            Bound::Below(*score),
            Bound::Above(*score),
            Bound::Before(*score, member),
        ] {
            let before = |(score, member): &&(f64, Vec<u8>)| bound.is_behind(*score, || member);
            let wanted = model.iter().filter(before).count();
            assert_eq!(set.before(&bound), wanted as u64);
        }
    }
    assert_eq!(set.at(model.len() as u64), None);
    assert_eq!(set.score(b"nobody"), None);
}

#[derive(Clone, Debug)]
enum Op {
    Set(u16, i8),
    /// Sets many members at once.
    Fill(u16, u8, bool),
    Remove(u16),
    Cut(u16, u16),
    Move(u8, u16),
    Compact(u16),
    Copy,
    Reload,
    Scan(u16),
    /// Sets a member with that many allocations to be had.
    Starve(u16, i8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u16..600, any::<i8>()).prop_map(|(m, s)| Op::Set(m, s / 8)),
        2 => (any::<u16>(), any::<u8>(), any::<bool>()).prop_map(|(m, n, s)| Op::Fill(m, n, s)),
        3 => (0_u16..600).prop_map(Op::Remove),
        1 => (any::<u16>(), 0_u16..300).prop_map(|(from, n)| Op::Cut(from, n)),
        2 => (0_u8..3, 0_u16..9000).prop_map(|(node, budget)| Op::Move(node, budget)),
        1 => (0_u16..9000).prop_map(Op::Compact),
        1 => Just(Op::Copy),
        1 => Just(Op::Reload),
        1 => any::<u16>().prop_map(Op::Scan),
        2 => (any::<u16>(), any::<i8>(), 0_u8..5).prop_map(|(m, s, n)| Op::Starve(m, s, n)),
    ]
}

fn member(number: u16) -> Vec<u8> {
    let long = number % 97 == 13;
    let tail = if long {
        "x".repeat(number.into())
    } else {
        String::new()
    };
    format!("member:{number}{tail}").into_bytes()
}

/// A set beside its model.
struct Both {
    set: NumaZset,
    model: Model,
    node: usize,
}

impl Both {
    fn set(&mut self, member: Vec<u8>, score: f64) {
        let done = self.set.set(&member, score, &[id(self.node)]).unwrap();
        let found = self.model.iter_mut().find(|(_, found)| *found == member);
        let wanted = match found {
            Some((old, _)) if *old == score => Scored::Same,
            Some((old, _)) => Scored::Changed(std::mem::replace(old, score)),
            None => {
                self.model.push((score, member));
                Scored::Added
            }
        };
        assert_eq!(done, wanted);
        sort(&mut self.model);
    }

    fn run(&mut self, op: Op, pool: PoolHandle) {
        match op {
            Op::Set(number, score) => self.set(member(number), score.into()),
            Op::Fill(first, count, spread) => {
                for i in 0..u16::from(count) {
                    let score = if spread {
                        f64::from(u32::from(i) * 7919 % 251)
                    } else {
                        1.5
                    };
                    self.set(member(first.wrapping_add(i) % 3000), score);
                }
            }
            Op::Remove(number) => {
                let name = member(number);
                let at = self.model.iter().position(|(_, found)| *found == name);
                let wanted = at.map(|at| self.model.remove(at).0);
                assert_eq!(self.set.remove(&name), wanted);
            }
            Op::Cut(from, count) => {
                let from = usize::from(from) % (self.model.len() + 1);
                let to = (from + usize::from(count)).min(self.model.len());
                self.model.drain(from..to);
                self.set.remove_ranks(from as u64, to as u64);
            }
            Op::Move(node, budget) => {
                let step = self.set.relocate(id(node.into()), budget.into()).unwrap();
                let account = Value::memory(&self.set);
                assert!(step.bytes > 0 || step.done);
                if step.done {
                    self.node = node.into();
                    assert_eq!(pool.usage(id(self.node)).live.as_usize(), account);
                    assert_eq!(self.set.node(), id(self.node));
                }
            }
            Op::Compact(budget) => compact(pool, &mut self.set, budget.into()),
            Op::Copy => {
                let copy = self.set.duplicate(&[id(self.node)]).unwrap();
                assert_eq!(copy.heat(), self.set.heat());
                self.set = copy;
            }
            Op::Reload if self.model.is_empty() => {}
            Op::Reload => {
                let mut tape = Tape::default();
                self.set.save(&mut tape);
                let mut berth = Berth::on(pool, self.node);
                self.set = NumaZset::load(&mut tape, hot(), &mut berth).unwrap();
                assert!(tape.0.is_empty());
            }
            Op::Scan(seed) => self.scan(seed),
            Op::Starve(number, score, count) => self.starve(member(number), score, count),
        }
    }

    /// Walks while members come and go; those that stay are seen with their scores.
    fn scan(&mut self, seed: u16) {
        let stays: Model = self.model.clone();
        let (mut cursor, mut seen, mut extra) = (0, HashMap::new(), 0_u16);
        loop {
            cursor = self.set.scan(cursor, |member, score| {
                seen.insert(member.to_vec(), score);
            });
            if cursor == 0 {
                break;
            }
            for i in 0..40 {
                let name = format!("extra:{}", extra.wrapping_add(i));
                self.set(name.into_bytes(), f64::from(seed % 5));
            }
            extra = extra.wrapping_add(40);
        }
        for (score, member) in stays {
            assert_eq!(seen.get(&member), Some(&score));
        }
        self.model
            .retain(|(_, member)| !member.starts_with(b"extra:"));
        for i in 0..extra {
            assert!(self.set.remove(format!("extra:{i}").as_bytes()).is_some());
        }
    }

    /// A change that finds no memory leaves everything as it was.
    fn starve(&mut self, member: Vec<u8>, score: i8, count: u8) {
        supply_blocks(Supply::Only(count.into()));
        let done = self.set.set(&member, score.into(), &[id(self.node)]);
        supply_blocks(Supply::Endless);
        if done.is_ok() {
            let found = self.model.iter_mut().find(|(_, found)| *found == member);
            match found {
                Some((old, _)) => *old = score.into(),
                None => self.model.push((score.into(), member)),
            }
            sort(&mut self.model);
        }
    }
}

fn empty(pool: PoolHandle) -> Both {
    Both {
        set: NumaZset::empty(pool, &[id(0)], hot()).unwrap(),
        model: Vec::new(),
        node: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 24,
        ..ProptestConfig::default()
    })]

    #[test]
    fn sets_are_those_of_a_sorted_vec(
        start in 0_u16..1500,
        ops in proptest::collection::vec(op(), 0..60),
    ) {
        let pool = pool();
        let mut both = empty(pool);
        for i in 0..start {
            both.set.set(&member(i), f64::from(u32::from(i) * 31 % 601), &[id(0)]).unwrap();
            both.model.push((f64::from(u32::from(i) * 31 % 601), member(i)));
        }
        sort(&mut both.model);
        for op in ops {
            both.run(op, pool);
            compare(&mut both.set, &both.model);
        }
        drop(both);
        assert_all_home(pool);
    }
}

#[test]
fn every_allocation_may_fail_while_a_set_grows() {
    let pool = pool();
    let mut both = empty(pool);
    let mut failed = 0;
    for i in 0..3000_u16 {
        let mut count = 0;
        loop {
            let before = live(pool);
            supply_blocks(Supply::Only(count));
            let done = both.set.set(&member(i), f64::from(i % 50), &[id(0)]);
            supply_blocks(Supply::Endless);
            if done.is_ok() {
                break;
            }
            assert_eq!(both.set.len(), u64::from(i));
            // A node that was split stays split; nothing else may stay behind.
            assert!(live(pool) <= before + 8192);
            (count, failed) = (count + 1, failed + 1);
        }
        both.model.push((f64::from(i % 50), member(i)));
        if i % 211 == 0 {
            sort(&mut both.model);
            compare(&mut both.set, &both.model);
        }
    }
    assert!(failed > 3000, "{failed} allocations failed");
    drop(both);
    assert_all_home(pool);
}

#[test]
fn a_node_without_room_leaves_the_set_whole() {
    let pool = pool();
    let mut both = empty(pool);
    for i in 0..2000_u16 {
        both.set.set(&member(i), i.into(), &[id(0)]).unwrap();
        both.model.push((i.into(), member(i)));
    }
    pool.set_limit(id(1), crate::ids::Bytes::kib(40));
    let stuck = loop {
        match both.set.relocate(id(1), 1000) {
            Ok(step) => assert!(!step.done),
            Err(error) => break error,
        }
    };
    assert_eq!(stuck, OutOfMemory);
    compare(&mut both.set, &both.model);
    // Another target takes over.
    assert!(both.set.relocate(id(2), usize::MAX).unwrap().done);
    assert_eq!(live(pool), pool.usage(id(2)).live.0);
    compare(&mut both.set, &both.model);
    drop(both);
    assert_all_home(pool);
}

#[test]
fn a_payload_is_held_to_its_bounds() {
    let pool = pool();
    let number = |number: f64| Item::Unsigned(number.to_bits());
    let name = |name: &[u8]| Item::Bytes(name.to_vec());
    let bad = [
        vec![],
        vec![Item::Unsigned(0)],
        vec![Item::Unsigned(u64::MAX), name(b"a"), number(1.0)],
        vec![Item::Unsigned(1), name(b"a"), number(f64::NAN)],
        vec![
            Item::Unsigned(2),
            name(b"a"),
            number(1.0),
            name(b"a"),
            number(1.0),
        ],
        vec![
            Item::Unsigned(2),
            name(b"a"),
            number(1.0),
            name(b"a"),
            number(2.0),
        ],
        vec![Item::Unsigned(1), number(1.0), number(1.0)],
    ];
    for items in bad {
        let mut tape = Tape(items.clone().into());
        let loaded = NumaZset::load(&mut tape, hot(), &mut Berth::on(pool, 0));
        assert!(loaded.is_err(), "{items:?}");
    }
    assert_all_home(pool);
}

#[test]
fn members_are_bounds_where_all_scores_are_one() {
    let pool = pool();
    for count in [20_u16, 700] {
        let mut both = empty(pool);
        (0..count).for_each(|i| both.set(format!("{:05}", 2 * i).into_bytes(), 0.0));
        for i in [0, 1, 2, count, 2 * count - 2, 2 * count] {
            let name = format!("{i:05}");
            let below = both.set.before(&Bound::BelowMember(name.as_bytes()));
            assert_eq!(below, u64::from(i.div_ceil(2).min(count)));
            let above = both.set.before(&Bound::AboveMember(name.as_bytes()));
            assert_eq!(above, u64::from((i / 2 + 1).min(count)));
        }
    }
    assert_all_home(pool);
}

#[test]
fn a_million_members_take_three_quarters_of_stock() {
    let pool = pool();
    let mut set = NumaZset::empty(pool, &[id(0)], hot()).unwrap();
    let count = 200_000_u64;
    for i in 0..count {
        let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let name = format!("{mixed:016x}");
        set.set(name.as_bytes(), (mixed % 1_000_003) as f64, &[id(0)])
            .unwrap();
    }
    let each = Value::memory(&set) as u64 / count;
    // Stock 6.2: 24 + 24 + 24 + 16 bytes and a skip-list node of 24 + 16 * 1.33, at least 104.
    assert!(each <= 78, "{each} bytes a member");
    let blocks = Value::blocks(&set);
    assert!(blocks as u64 > count);
    drop(set);
    assert_all_home(pool);
}

#[test]
fn a_sample_is_spread() {
    let pool = pool();
    let mut set = NumaZset::empty(pool, &[id(0)], hot()).unwrap();
    for n in 0..20_000 {
        let member = format!("member:{n}");
        set.set(member.as_bytes(), f64::from(n % 977), &[id(0)])
            .unwrap();
    }
    assert_sampled(&set);
    drop(set);
    assert_all_home(pool);
}
