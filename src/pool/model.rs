//! The pool as a whole, against models of it: every block is filled with a pattern of its own, and
//! the pattern is verified when it goes back. At the end everything must have come home.

use super::test_machine::{bench, node, Bench};
use super::{Block, OutOfMemory, PoolHandle, SizeClass, Turn};
use crate::ids::{Bytes, NodeId};
use crate::machine::os_page;
use proptest::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;

/// A small generator, so that a failing seed can be named (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    /// Mostly small, some of every class, few large, very few of several MiB.
    fn size(&mut self) -> usize {
        match self.roll(100) {
            0 if self.roll(4) == 0 => self.roll(5 << 20),
            0 => 32 << 10 | self.roll(400_000),
            1..=20 => self.roll(32 << 10),
            _ => self.roll(512),
        }
    }

    fn order(&mut self, nodes: usize) -> Vec<NodeId> {
        let first = self.roll(nodes);
        (0..nodes)
            .map(|step| node((first + step) % nodes))
            .collect()
    }
}

/// A block full of its own seed.
struct Held {
    block: Block,
    seed: u8,
}

impl Held {
    fn new(mut block: Block, seed: u8) -> Self {
        if block.capacity() <= 64 << 10 {
            block.bytes_mut().fill(seed);
        }
        for at in Self::marks(block.capacity()) {
            block.bytes_mut()[at] = seed;
        }
        Self { block, seed }
    }

    /// A byte of each OS page, the first byte and the last.
    fn marks(len: usize) -> impl Iterator<Item = usize> {
        (0..len).step_by(4096).chain([len - 1])
    }

    /// The block, its pattern verified.
    fn verified(self) -> Block {
        let bytes = self.block.bytes();
        let whole = bytes.len() <= 64 << 10;
        let intact = |byte: &u8| *byte == self.seed;
        assert!(Self::marks(bytes.len()).all(|at| intact(&bytes[at])));
        assert!(
            !whole || bytes.iter().all(intact),
            "somebody wrote into a block"
        );
        self.block
    }
}

/// Lets a block grow, if it is one that does; its bytes must be what they were.
fn grow(pool: PoolHandle, held: Held, more: usize) -> Held {
    let (old, seed) = (held.block.capacity(), held.seed);
    let grown = pool.grow(held.verified(), old + more);
    let done = grown.is_ok();
    let block = grown.unwrap_or_else(|block| block);
    assert!(!done || block.class().is_large());
    assert_eq!(done, block.capacity() > old);
    assert!(Held::marks(old).all(|at| block.bytes()[at] == seed));
    Held::new(block, seed)
}

fn free_all(pool: PoolHandle, held: &mut Vec<Held>) {
    held.drain(..).for_each(|held| pool.free(held.verified()));
}

/// Moves what is to be moved, as the module does, here and there leaving something behind.
fn compact(pool: PoolHandle, held: &mut [Held]) {
    let mut turn = Some(Turn::default());
    while let Some(next) = turn {
        turn = pool.choose_leaving(next);
    }
    for held in held.iter_mut().filter(|held| held.seed % 16 != 0) {
        let block = &held.block;
        if !pool.is_leaving(block.addr()) {
            continue;
        }
        if let Ok(made) = pool.alloc(block.capacity(), &[block.node()]) {
            let made = Held::new(made, held.seed);
            let old = std::mem::replace(held, made);
            pool.free(old.verified());
        }
    }
    pool.recall_leaving();
}

/// Random operations against the sums of a model, with foreign threads that verify and free.
fn random_operations(seed: u64, steps: usize, check_every: usize) {
    const NODES: usize = 3;
    let bench = bench(&[Bytes::mib(12), Bytes::mib(24), Bytes::mib(2048)]);
    let mut dice = Dice(seed);
    let pool = bench.pool;
    let mut held = Vec::<Held>::new();
    thread::scope(|scope| {
        let foreign: Vec<mpsc::Sender<Held>> = (0..2)
            .map(|_| {
                let (sender, receiver) = mpsc::channel::<Held>();
                scope.spawn(move || receiver.iter().for_each(|held| pool.free(held.verified())));
                sender
            })
            .collect();
        for step in 0..steps {
            match dice.roll(100) {
                0..=49 => {
                    let (size, order) = (dice.size(), dice.order(NODES));
                    if let Ok(block) = pool.alloc(size, &order) {
                        assert!(block.capacity() >= size);
                        held.push(Held::new(block, step as u8));
                    }
                }
                50..=74 if !held.is_empty() => {
                    let gone = held.swap_remove(dice.roll(held.len()));
                    pool.free(gone.verified());
                }
                94 if !held.is_empty() => {
                    let one = held.swap_remove(dice.roll(held.len()));
                    held.push(grow(pool, one, 1 + dice.roll(2 << 20)));
                }
                75..=93 if !held.is_empty() => {
                    let gone = held.swap_remove(dice.roll(held.len()));
                    foreign[dice.roll(2)].send(gone).unwrap();
                }
                95 => {
                    pool.drain(dice.roll(64));
                }
                96 => {
                    pool.release_idle();
                    pool.trim();
                }
                97 => {
                    let limit = match dice.roll(3) {
                        0 => Bytes::MAX,
                        _ => Bytes::kib(dice.roll(8192) as u64),
                    };
                    pool.set_limit(node(dice.roll(NODES)), limit);
                }
                99 if dice.roll(8) == 0 => compact(pool, &mut held),
                98 if dice.roll(8) == 0 => free_all(pool, &mut held),
                _ => {}
            }
            if step % check_every == 0 {
                pool.check().unwrap();
            }
        }
    });
    bench.pool.drain(usize::MAX);
    assert_eq!(
        bench.live(),
        held.iter()
            .map(|held| held.block.size() as u64)
            .sum::<u64>()
    );
    bench.check();
    held.into_iter().for_each(|held| pool.free(held.verified()));
    bench.check_all_home();
    assert_eq!(pool.faults(), 0);
}

#[test]
fn random_operations_keep_every_invariant() {
    for seed in 1..=6 {
        random_operations(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed), 4000, 64);
    }
}

#[test]
#[ignore = "takes a minute: make test-soundness runs it"]
fn millions_of_random_operations_keep_every_invariant() {
    for seed in 11..=13 {
        random_operations(
            0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed),
            1_000_000,
            1 << 14,
        );
    }
}

#[test]
fn a_block_is_what_was_asked_for() {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    for size in [
        0,
        1,
        16,
        17,
        512,
        513,
        4096,
        32768,
        32769,
        49136,
        49137,
        262_128,
        1 << 20,
    ] {
        let block = bench.pool.alloc(size, &[node(1), node(0)]).unwrap();
        assert_eq!(block.node(), node(1));
        assert!(block.capacity() >= size && block.size() >= block.capacity());
        assert_eq!(block.addr() % 16, 0);
        let held = Held::new(block, 0xa5);
        bench.check();
        assert_eq!(bench.live(), held.block.size() as u64);
        bench.pool.free(held.verified());
    }
    bench.check_all_home();
}

/// Leaves no files behind.
pub(super) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Alloc { size: usize, first: usize },
    Free(prop::sample::Index),
    FreeAbroad(prop::sample::Index),
    Drain(usize),
    Limit { node: usize, kib: u64 },
    Grow(prop::sample::Index, usize),
    Trim,
}

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![8 => 0usize..600, 3 => 0usize..33_000, 1 => 33_000usize..300_000,
        1 => 33_000usize..3_000_000];
    prop_oneof![
        8 => (size, 0usize..2).prop_map(|(size, first)| Op::Alloc { size, first }),
        4 => any::<prop::sample::Index>().prop_map(Op::Free),
        3 => any::<prop::sample::Index>().prop_map(Op::FreeAbroad),
        1 => (0usize..8).prop_map(Op::Drain),
        1 => (0usize..2, 0u64..2000).prop_map(|(node, kib)| Op::Limit { node, kib }),
        1 => (any::<prop::sample::Index>(), 1usize..500_000)
            .prop_map(|(index, more)| Op::Grow(index, more)),
        1 => Just(Op::Trim),
    ]
}

fn take(held: &mut Vec<Held>, index: prop::sample::Index) -> Option<Block> {
    (!held.is_empty()).then(|| held.swap_remove(index.index(held.len())).verified())
}

fn apply(bench: &Bench, held: &mut Vec<Held>, op: Op) {
    let pool = bench.pool;
    match op {
        Op::Alloc { size, first } => {
            let before = bench.live();
            match pool.alloc(size, &[node(first), node(1 - first)]) {
                Ok(block) => {
                    let usage = pool.usage(block.node());
                    assert!(usage.live <= usage.limit);
                    assert_eq!(bench.live(), before + block.size() as u64);
                    let seed = held.len() as u8;
                    held.push(Held::new(block, seed));
                }
                Err(OutOfMemory) => assert_eq!(bench.live(), before),
            }
        }
        Op::Free(index) => take(held, index)
            .into_iter()
            .for_each(|block| pool.free(block)),
        Op::FreeAbroad(index) => {
            if let Some(block) = take(held, index) {
                thread::scope(|scope| scope.spawn(move || pool.free(block)).join().unwrap());
            }
        }
        Op::Drain(max) => assert!(pool.drain(max) <= max),
        Op::Limit { node: number, kib } => pool.set_limit(node(number), Bytes::kib(kib)),
        Op::Grow(index, more) if !held.is_empty() => {
            let one = held.swap_remove(index.index(held.len()));
            held.push(grow(pool, one, more));
        }
        Op::Grow(..) => {}
        Op::Trim => {
            pool.trim();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..config() })]
    #[test]
    fn live_bytes_are_the_sum_of_the_blocks_held(ops in prop::collection::vec(op(), 1..120)) {
        let bench = bench(&[Bytes::mib(3), Bytes::mib(8)]);
        let mut held = Vec::new();
        for op in ops {
            apply(&bench, &mut held, op);
            bench.check();
            let sum: u64 = held.iter().map(|held| held.block.size() as u64).sum();
            prop_assert_eq!(bench.live(), sum);
            prop_assert_eq!(bench.each(|usage| usage.blocks), held.len() as u64);
        }
        held.into_iter().for_each(|held| bench.pool.free(held.verified()));
        bench.check_all_home();
    }
}

#[test]
fn a_million_blocks_come_and_go() {
    let bench = bench(&[Bytes::mib(256)]);
    let blocks: Vec<Block> = (0..1_000_000)
        .map(|number| bench.pool.alloc(16 + number % 97, &[node(0)]).unwrap())
        .collect();
    bench.check();
    assert_eq!(bench.pool.usage(node(0)).blocks, 1_000_000);
    let usage = bench.pool.usage(node(0));
    assert!(usage.held.0 * 100 < usage.live.0 * 103, "{usage:?}");
    blocks.into_iter().for_each(|block| bench.pool.free(block));
    bench.check_all_home();
    assert!(
        bench.meter.calls.load(Relaxed) < 40_000,
        "charged in batches"
    );
}

/// Runs a script of allocations with the mapping calls `from..to` failing, and verifies that a
/// failure changes nothing and loses nothing. Returns how many mapping calls there were.
fn with_failing_maps(from: u64, to: u64) -> u64 {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    bench.machine.fail(from..to);
    let (mut held, mut dice) = (Vec::new(), Dice(99));
    for _ in 0..600 {
        let size = match dice.roll(24) {
            0 => 40_000 + dice.roll(200_000),
            1 => 200_000 + dice.roll(900_000),
            _ => dice.roll(32 << 10),
        };
        let (live, order) = (bench.live(), dice.order(2));
        match bench.pool.alloc(size, &order) {
            Ok(block) => held.push(Held::new(block, held.len() as u8)),
            Err(OutOfMemory) => assert_eq!(bench.live(), live),
        }
    }
    bench.check();
    held.into_iter()
        .for_each(|held| bench.pool.free(held.verified()));
    bench.check_all_home();
    bench.machine.map_calls.load(Relaxed)
}

#[test]
fn no_memory_at_any_allocation_loses_nothing() {
    let calls = with_failing_maps(u64::MAX, u64::MAX);
    assert!(calls > 30, "{calls}");
    for call in 0..calls {
        with_failing_maps(call, call + 1);
    }
    for call in (0..calls).step_by(5) {
        with_failing_maps(call, u64::MAX);
    }
}

#[test]
fn a_full_node_falls_to_the_next_and_is_counted() {
    let bench = bench(&[Bytes::mib(4), Bytes::mib(64)]);
    let blocks: Vec<Block> = (0..8192)
        .map(|_| bench.pool.alloc(1000, &[node(0), node(1)]).unwrap())
        .collect();
    let near = blocks
        .iter()
        .filter(|block| block.node() == node(0))
        .count() as u64;
    assert_eq!(near, (4 << 20) / 1024);
    assert_eq!(bench.pool.usage(node(0)).fallbacks, 8192 - near);
    assert_eq!(bench.pool.usage(node(1)).allocations, 8192 - near);
    assert!(
        bench.machine.room_questions.load(Relaxed) < 40,
        "a full node is not asked again"
    );
    assert!(bench.pool.alloc(1000, &[node(0)]).is_err());
    bench.pool.reset_stats();
    let usage = bench.pool.usage(node(0));
    assert_eq!(
        (usage.fallbacks, usage.allocations, usage.blocks),
        (0, 0, near)
    );
    blocks.into_iter().for_each(|block| bench.pool.free(block));
    bench.check_all_home();
}

#[test]
fn a_full_node_has_room_again_for_another_class() {
    let bench = bench(&[Bytes::mib(4)]);
    for size in [1000, 40_000, 100, 2_000_000, 30_000] {
        let blocks: Vec<Block> =
            std::iter::from_fn(|| bench.pool.alloc(size, &[node(0)]).ok()).collect();
        assert!(
            blocks.len() * size > 3 << 20,
            "{size}: only {}",
            blocks.len()
        );
        blocks.into_iter().for_each(|block| bench.pool.free(block));
        bench.check();
    }
    bench.check_all_home();
}

#[test]
fn a_limit_counts_live_bytes_to_the_last_block() {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    bench.pool.set_limit(node(0), Bytes(10 * 1024));
    let order = [node(0), node(1)];
    let mut blocks: Vec<Block> = (0..12)
        .map(|_| bench.pool.alloc(1024, &order).unwrap())
        .collect();
    assert_eq!(bench.pool.usage(node(0)).live, Bytes(10 * 1024));
    assert_eq!(bench.pool.usage(node(0)).fallbacks, 2);
    let large = bench.pool.alloc(50_000, &order).unwrap();
    assert_eq!(large.node(), node(1));
    blocks.push(large);
    bench.pool.free(blocks.swap_remove(0));
    assert!(bench.pool.alloc(1025, &[node(0)]).is_err());
    blocks.push(bench.pool.alloc(1024, &[node(0)]).unwrap());
    bench.pool.set_limit(node(0), Bytes::MAX);
    blocks.push(bench.pool.alloc(50_000, &[node(0)]).unwrap());
    bench.check();
}

#[test]
fn blocks_freed_elsewhere_make_room_before_a_fallback() {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    let pool = bench.pool;
    pool.set_limit(node(0), Bytes(64 * 128));
    let order = [node(0), node(1)];
    for _ in 0..10 {
        let blocks: Vec<Block> = (0..64).map(|_| pool.alloc(128, &order).unwrap()).collect();
        thread::scope(|scope| {
            scope.spawn(move || blocks.into_iter().for_each(|block| pool.free(block)));
        });
        assert_eq!((bench.live(), pool.usage(node(0)).blocks), (0, 0));
    }
    assert_eq!(pool.usage(node(0)).fallbacks, 0);
    bench.check_all_home();
}

#[test]
fn the_charge_of_a_foreign_free_is_immediate() {
    let bench = bench(&[Bytes::mib(64)]);
    let pool = bench.pool;
    let sizes = [16, 512, 33_000, 10_000_000];
    let blocks: Vec<Block> = sizes
        .iter()
        .map(|&size| pool.alloc(size, &[node(0)]).unwrap())
        .collect();
    pool.flush_charge();
    let meter = bench.meter;
    thread::scope(|scope| {
        scope.spawn(move || {
            for block in blocks {
                let (before, size) = (meter.sum.load(Relaxed), block.size() as i64);
                pool.free(block);
                assert_eq!(meter.sum.load(Relaxed), before - size);
            }
            assert_eq!(pool.drain(9), 0);
            assert_eq!(pool.trim(), Bytes::ZERO);
            assert!(pool.check().is_err());
        });
    });
    assert!(
        bench.machine.discarded.load(Relaxed) > 9_990_000,
        "large pages go back at once"
    );
    assert_eq!(pool.drain(3), 3);
    bench.check();
    assert_eq!(pool.drain(9), 1);
    bench.check_all_home();
}

#[test]
fn the_meter_is_never_further_off_than_a_batch() {
    let bench = bench(&[Bytes::mib(64)]);
    let mut blocks = Vec::new();
    for number in 0..1000 {
        blocks.push(bench.pool.alloc(number * 7 % 6000, &[node(0)]).unwrap());
        let off = bench.live() as i64 - bench.meter.sum.load(Relaxed);
        assert!(off.unsigned_abs() <= 4096);
    }
    bench.check();
}

#[test]
fn another_thread_gets_no_block() {
    let bench = bench(&[Bytes::mib(64)]);
    let pool = bench.pool;
    let answer = thread::spawn(move || pool.alloc(16, &[node(0)]).err())
        .join()
        .unwrap();
    assert_eq!(answer, Some(OutOfMemory));
    assert_eq!(pool.stray_allocations(), 1);
    assert!(pool.alloc(16, &[]).is_err());
    assert!(pool.alloc(16, &[node(63)]).is_err());
    assert!(pool.alloc(usize::MAX, &[node(0)]).is_err());
    bench.check_all_home();
}

#[test]
fn mappings_are_shown_by_node() {
    let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
    let block = bench.pool.alloc(16, &[node(0)]).unwrap();
    let large = bench.pool.alloc(1 << 20, &[node(1)]).unwrap();
    let mut seen = Vec::new();
    bench.pool.mappings(None, &mut |node, addr, len| {
        seen.push((node, addr..addr + len))
    });
    assert_eq!(seen.len(), 2);
    for block in [&block, &large] {
        let holds = |span: &&(NodeId, std::ops::Range<usize>)| span.1.contains(&block.addr());
        assert_eq!(seen.iter().find(holds).unwrap().0, block.node());
    }
    seen.clear();
    bench.pool.mappings(Some(node(1)), &mut |node, addr, len| {
        seen.push((node, addr..addr + len))
    });
    assert_eq!(seen.len(), 1);
    assert!(large.class().is_large() && block.class() == SizeClass::of(16));
    [block, large]
        .into_iter()
        .for_each(|block| bench.pool.free(block));
    bench.check_all_home();
}

#[test]
fn trim_gives_back_what_slabs_left() {
    let bench = bench(&[Bytes::mib(64)]);
    let blocks: Vec<Block> = (0..4000)
        .map(|_| bench.pool.alloc(4096, &[node(0)]).unwrap())
        .collect();
    let keep = bench.pool.alloc(64, &[node(0)]).unwrap();
    blocks.into_iter().for_each(|block| bench.pool.free(block));
    let unmapped = bench.pool.usage(node(0)).mapped;
    assert!(unmapped > Bytes::mib(15), "not before it is asked for");
    assert_eq!(bench.machine.discarded.load(Relaxed), 0);
    assert!(bench.trim_all() > Bytes::mib(15));
    let mapped = bench.pool.usage(node(0)).mapped;
    assert!(mapped <= Bytes::mib(4), "one in use, one spare: {mapped}");
    bench.check();
    bench.pool.free(keep);
    bench.check_all_home();
}

#[test]
fn compaction_gives_back_what_a_random_half_left() {
    let bench = bench(&[Bytes::mib(256), Bytes::mib(256)]);
    let (mut dice, pool) = (Dice(5), bench.pool);
    let mut held: Vec<Held> = (0..400_000)
        .map(|number| {
            let size = 16 + dice.roll(500);
            Held::new(
                pool.alloc(size, &[node(number % 2)]).unwrap(),
                number as u8 | 1,
            )
        })
        .collect();
    for _ in 0..200_000 {
        pool.free(held.swap_remove(dice.roll(held.len())).verified());
    }
    let held_for = |bench: &Bench| bench.each(|usage| usage.held.0) as f64 / bench.live() as f64;
    assert!(held_for(&bench) > 1.8);
    let on_second = pool.usage(node(1)).live;
    compact(pool, &mut held);
    bench.check();
    assert!(held_for(&bench) < 1.15, "{}", held_for(&bench));
    assert_eq!(
        pool.usage(node(1)).live,
        on_second,
        "nothing changes its node"
    );
    held.into_iter().for_each(|held| pool.free(held.verified()));
    bench.check_all_home();
    assert_eq!(pool.faults(), 0);
}

#[test]
fn slabs_that_are_to_empty_serve_again_before_a_new_one_is_made() {
    let bench = bench(&[Bytes::mib(64)]);
    let pool = bench.pool;
    let alloc = |_| pool.alloc(64, &[node(0)]).unwrap();
    let mut blocks: Vec<Block> = (0..25_600).map(alloc).collect();
    let full = pool.usage(node(0)).held;
    // A swap takes the last to the hole, so that every other one of the front goes.
    for at in (0..12_800).step_by(2) {
        pool.free(blocks.swap_remove(at));
    }
    pool.choose_leaving(Turn::default());
    let mut turn = Some(Turn::default());
    while let Some(next) = turn {
        turn = pool.choose_leaving(next);
    }
    assert!(blocks.iter().any(|block| pool.is_leaving(block.addr())));
    bench.check();
    blocks.extend((0..6_400).map(alloc));
    assert!(pool.usage(node(0)).held <= full);
    assert!(
        !blocks.iter().any(|block| pool.is_leaving(block.addr())),
        "nowhere to go"
    );
    bench.check();
    blocks.into_iter().for_each(|block| pool.free(block));
    bench.check_all_home();
}

#[test]
fn a_large_block_grows_where_it_lies_or_takes_its_pages_along() {
    let bench = bench(&[Bytes::mib(1024)]);
    let pool = bench.pool;
    let alloc = |size| Held::new(pool.alloc(size, &[node(0)]).unwrap(), 0x5a);
    let run = alloc(600_000);
    let (at, size) = (run.block.addr(), run.block.size());
    let run = grow(pool, run, 200_000);
    assert_eq!(run.block.addr(), at, "the units behind it were free");
    assert!(run.block.size() > size);
    let behind = alloc(600_000);
    let run = grow(pool, run, 400_000);
    assert_eq!(
        run.block.capacity() + 16,
        (600_016usize.next_multiple_of(4096) + 200_000).next_multiple_of(4096),
        "something lies behind it"
    );
    let own = alloc(3 << 20);
    let own = grow(pool, own, 2 << 20);
    assert!(own.block.capacity() >= 5 << 20);
    bench.check();
    bench.machine.refuse_to_widen(1..2);
    let (before, at) = (bench.live(), own.block.addr());
    let own = grow(pool, own, 2 << 20);
    assert_eq!(
        (bench.live(), own.block.addr()),
        (before, at),
        "refused: as it was"
    );
    bench.check();
    let calls = bench.machine.map_calls.load(Relaxed);
    bench.machine.fail(calls..calls + 1);
    let own = grow(pool, own, 2 << 20);
    assert_eq!(
        (bench.live(), own.block.addr()),
        (before, at),
        "no address space"
    );
    pool.set_limit(node(0), Bytes(before + 4096));
    let own = grow(pool, own, 2 << 20);
    assert_eq!(bench.live(), before, "no more than the limit");
    pool.set_limit(node(0), Bytes::MAX);
    let own = grow(pool, own, 2 << 20);
    assert!(own.block.capacity() >= 7 << 20);
    bench.check();
    thread::scope(|scope| {
        scope.spawn(|| pool.free(own.verified()));
    });
    let small = grow(pool, alloc(100), 5000);
    [run, behind, small]
        .into_iter()
        .for_each(|held| pool.free(held.verified()));
    bench.check_all_home();
    assert_eq!(pool.faults(), 0);
}

fn mappings(bench: &Bench) -> usize {
    let mut count = 0;
    bench.pool.mappings(None, &mut |_, _, _| count += 1);
    count
}

#[test]
fn a_hundred_thousand_blocks_of_40_kb_need_few_mappings() {
    let bench = bench(&[Bytes::mib(8 << 10)]);
    let alloc = |_| bench.pool.alloc(40_000, &[node(0)]).unwrap();
    let mut blocks: Vec<Block> = (0..100_000).map(alloc).collect();
    bench.check();
    let most = mappings(&bench);
    assert!(most < 100, "{most} mappings");
    let page = os_page().as_usize();
    assert_eq!(blocks[0].size(), (40_000 + 16usize).next_multiple_of(page));
    // The holes serve as well as new regions.
    // A swap takes the last to the hole, so that every other one of the front goes.
    for at in (0..66_000).step_by(2) {
        bench.pool.free(blocks.swap_remove(at));
    }
    blocks.extend((0..33_000).map(alloc));
    assert_eq!(mappings(&bench), most);
    blocks.into_iter().for_each(|block| bench.pool.free(block));
    bench.check_all_home();
    assert_eq!(mappings(&bench), 1, "one spare");
}

#[test]
fn large_blocks_of_many_sizes_leave_few_holes() {
    let bench = bench(&[Bytes::mib(4 << 10)]);
    let (mut dice, mut held) = (Dice(7), Vec::<Block>::new());
    for step in 0..20_000 {
        let size = match dice.roll(10) {
            0 => dice.roll(2 << 20),
            1..=4 => 33_000 + dice.roll(300_000),
            _ => 33_000 + dice.roll(30_000),
        };
        held.push(bench.pool.alloc(size, &[node(0)]).unwrap());
        while bench.live() > 500 << 20 || dice.roll(3) == 0 && !held.is_empty() {
            bench.pool.free(held.swap_remove(dice.roll(held.len())));
        }
        if step % 4000 == 0 {
            bench.check();
        }
    }
    let usage = bench.pool.usage(node(0));
    assert!(usage.live > Bytes::mib(490), "{usage:?}");
    assert!(usage.mapped.0 * 100 < usage.live.0 * 140, "{usage:?}");
    assert!(mappings(&bench) < 60, "{}", mappings(&bench));
    held.into_iter().for_each(|block| bench.pool.free(block));
    bench.check_all_home();
}

#[test]
fn trim_gives_back_what_runs_left_with_their_neighbours() {
    let bench = bench(&[Bytes::mib(1024)]);
    let alloc = |_| bench.pool.alloc(60_000, &[node(0)]).unwrap();
    let blocks: Vec<Block> = (0..320).map(alloc).collect();
    let keep = bench.pool.alloc(60_000, &[node(0)]).unwrap();
    let whole = mappings(&bench);
    blocks.into_iter().for_each(|block| bench.pool.free(block));
    // What lay side by side is one run again.
    let big = bench.pool.alloc(1 << 20, &[node(0)]).unwrap();
    assert_eq!(mappings(&bench), whole);
    bench.pool.free(big);
    assert!(bench.trim_all() >= Bytes::mib(1));
    assert!(mappings(&bench) < whole, "and empty regions are unmapped");
    bench.pool.free(keep);
    bench.check_all_home();
}

#[test]
fn a_block_too_big_for_a_region_has_a_mapping_of_its_own() {
    let bench = bench(&[Bytes::mib(1024)]);
    let on_runs = bench.pool.alloc((2 << 20) - 16, &[node(0)]).unwrap();
    assert_eq!(mappings(&bench), 1);
    let own = bench.pool.alloc((2 << 20) - 15, &[node(0)]).unwrap();
    assert_eq!(
        (mappings(&bench), own.size() - on_runs.size()),
        (2, os_page().as_usize())
    );
    bench.check();
    [on_runs, own]
        .into_iter()
        .for_each(|block| bench.pool.free(block));
    bench.check_all_home();
}

#[test]
fn what_is_given_back_goes_in_short_steps() {
    let bench = bench(&[Bytes::mib(1024)]);
    let pool = bench.pool;
    let mut blocks: Vec<Block> = (0..20_000)
        .map(|_| pool.alloc(4096, &[node(0)]).unwrap())
        .collect();
    blocks.push(pool.alloc(100_000_000, &[node(0)]).unwrap());
    let mapped = pool.usage(node(0)).mapped;
    assert!(mapped > Bytes::mib(170));
    blocks.into_iter().for_each(|block| pool.free(block));
    // A free gives nothing back, whatever its size.
    assert_eq!(pool.usage(node(0)).mapped, mapped);
    assert_eq!(bench.machine.discarded.load(Relaxed), 0);
    pool.release_idle();
    let (mut steps, mut before) = (0, 0);
    while pool.trim() != Bytes::ZERO {
        let discarded = bench.machine.discarded.load(Relaxed);
        assert!(discarded - before <= super::give_back::STEP_BYTES.0);
        bench.check();
        (steps, before) = (steps + 1, discarded);
    }
    assert!(steps > 300, "{steps} steps");
    assert!(pool.usage(node(0)).mapped <= Bytes::mib(2), "one spare");
    bench.check_all_home();
}

#[test]
fn what_waits_to_go_back_makes_room_at_once() {
    let bench = bench(&[Bytes::mib(128)]);
    let pool = bench.pool;
    for size in [100_000_000, 90_000_000, 30_000] {
        let count = 110_000_000 / size;
        let blocks: Vec<Block> = (0..count)
            .map(|_| pool.alloc(size, &[node(0)]).unwrap())
            .collect();
        blocks.into_iter().for_each(|block| pool.free(block));
        bench.check();
    }
    let whole = pool.alloc(100_000_000, &[node(0)]).unwrap();
    pool.free(whole);
    bench.check_all_home();
}

#[test]
fn what_was_prepaid_is_charged_once() {
    let bench = bench(&[Bytes::mib(64)]);
    let pool = bench.pool;
    let sizes = [16, 512, 33_000, 10_000_000].map(|size| pool.alloc(size, &[node(0)]).unwrap());
    let bytes: usize = sizes.iter().map(Block::size).sum();
    pool.flush_charge();
    assert_eq!(bench.meter.sum.load(Relaxed), bytes as i64);
    pool.prepay(bytes);
    assert_eq!(bench.meter.sum.load(Relaxed), 0);
    let freer = thread::spawn(move || {
        assert!(!pool.is_owner());
        super::frees_are_prepaid();
        sizes.into_iter().for_each(|block| pool.free(block));
    });
    freer.join().unwrap();
    assert!(pool.is_owner());
    bench.check_all_home();
}
