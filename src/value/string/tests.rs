//! Strings against `Vec<u8>`, on several nodes; in the end every block came home.

use super::*;
use crate::heat::{Clock, Dice};
use crate::ids::Bytes;
use crate::value::codec::tests::{Item, Tape};
use crate::value::codec::{load, save};
use crate::value::testkit::{assert_all_home, hot, id, live, pool, pool_of, Berth, NODES};
use proptest::prelude::*;
use std::cell::Cell;

thread_local!(static COPIED: Cell<usize> = const { Cell::new(0) });

/// Counts bytes of users that are copied, on this thread.
pub(super) fn count_copied(bytes: usize) {
    COPIED.set(COPIED.get() + bytes);
}

fn string(pool: PoolHandle, bytes: &[u8]) -> NumaString {
    NumaString::new(pool, &[id(0)], bytes, hot()).unwrap()
}

#[test]
fn a_new_string_lies_where_it_was_asked() {
    let pool = pool();
    for node in 0..NODES {
        let string = NumaString::new(pool, &[id(node)], b"value", hot()).unwrap();
        assert_eq!(string.node(), id(node));
        assert_eq!(string.as_bytes(), b"value");
        assert_eq!((string.len(), string.is_empty()), (5, false));
        assert_eq!((string.heat(), string.pinned()), (hot(), false));
        assert_eq!(pool.usage(id(node)).live.as_usize(), string.memory());
        assert_eq!(
            string.memory(),
            32,
            "16 of header, 5 of user, the class of 32"
        );
    }
    assert_all_home(pool);
}

#[test]
fn heat_and_pin_are_written_in_place() {
    let pool = pool();
    let mut value = string(pool, b"x");
    let addr = value.addr();
    let clock = Clock::new();
    value.touch(&clock, 0);
    assert_eq!(value.heat().accesses, 10);
    value.set_pinned(true);
    value.set_heat(Heat::default());
    assert!(value.pinned());
    assert_eq!(value.heat(), Heat::default());
    assert_eq!((value.addr(), value.as_bytes()), (addr, &b"x"[..]));
}

#[test]
fn recycled_bytes_never_show() {
    let pool = pool();
    drop(string(pool, &[0xEE; 200]));
    let mut value = string(pool, b"ab");
    value.set_range(180, b"z", &[id(0)]).unwrap();
    assert_eq!(value.as_bytes().len(), 181);
    assert!(value.as_bytes()[2..180].iter().all(|&byte| byte == 0));
    drop(value);
    drop(string(pool, &[0xEE; 200]));
    let zeroed = NumaString::zeroed(pool, &[id(0)], 200, hot()).unwrap();
    assert_eq!(zeroed.as_bytes(), [0; 200]);
    drop(zeroed);
    // The slack of a string that was cut short holds its old bytes.
    let mut value = string(pool, &[0xEE; 100]);
    value.replace(&[0xEE; 98], &[id(0)]).unwrap();
    value.set_range(99, b"q", &[id(0)]).unwrap();
    assert_eq!(value.as_bytes()[98..], [0, b'q']);
}

#[test]
fn appends_are_amortised() {
    let pool = pool();
    let mut value = string(pool, b"");
    let mut blocks = 0;
    for n in 0..200_000_usize {
        let before = value.addr();
        value.append(&[n as u8; 8], &[id(0)]).unwrap();
        blocks += usize::from(value.addr() != before);
    }
    assert_eq!(value.len(), 1_600_000);
    assert!(blocks <= 20, "{blocks} copies for 200,000 appends");
    assert!(
        value.memory() <= value.len() + (1 << 20) + 65_536,
        "1 MiB of slack at most"
    );
    for (n, bytes) in value.as_bytes().chunks(8).enumerate() {
        assert_eq!(bytes, [n as u8; 8]);
    }
    drop(value);
    assert_all_home(pool);
}

#[test]
fn replace_stays_in_a_block_that_fits() {
    let pool = pool();
    let mut value = string(pool, &[1; 1000]);
    value.set_pinned(true);
    let addr = value.addr();
    value.replace(&[2; 1001], &[id(0), id(1)]).unwrap();
    assert_eq!(value.addr(), addr, "the same class");
    value.replace(&[3; 10], &[id(0)]).unwrap();
    assert_ne!(
        value.addr(),
        addr,
        "a small value does not keep a big block"
    );
    assert_eq!(value.memory(), 32);
    value.replace(&[4; 10], &[id(2), id(0)]).unwrap();
    assert_eq!(value.node(), id(2), "another node was asked for");
    assert_eq!((value.as_bytes(), value.heat()), (&[4; 10][..], hot()));
    assert!(value.pinned());
}

#[test]
fn a_moved_string_is_the_same_string() {
    let pool = pool();
    let mut value = string(pool, b"");
    (0..100).for_each(|_| value.append(b"0123456789", &[id(0)]).unwrap());
    value.set_pinned(true);
    let moved = value.relocated(id(1)).unwrap();
    assert_eq!(moved.node(), id(1));
    assert_eq!(moved.as_bytes(), value.as_bytes());
    assert_eq!((moved.heat(), moved.pinned()), (hot(), true));
    assert!(moved.memory() < value.memory(), "slack stays behind");
    let copy = value.duplicate(&[id(2)]).unwrap();
    assert_eq!((copy.heat(), copy.pinned()), (hot(), false));
    drop((value, moved, copy));
    assert_all_home(pool);
}

#[test]
fn out_of_memory_changes_nothing() {
    let pool = pool();
    let mut value = string(pool, b"precious");
    let addr = value.addr();
    (0..NODES).for_each(|n| pool.set_limit(id(n), Bytes(1)));
    let order = [id(0), id(1), id(2)];
    let large = vec![9; 1 << 20];
    assert_eq!(value.append(&large, &order), Err(OutOfMemory));
    assert_eq!(value.set_range(1 << 20, b"x", &order), Err(OutOfMemory));
    assert_eq!(value.set_range(usize::MAX, b"x", &order), Err(OutOfMemory));
    assert_eq!(value.set_range(LEN_MAX, b"x", &order), Err(OutOfMemory));
    assert_eq!(value.replace(&large, &order), Err(OutOfMemory));
    assert!(value.relocated(id(1)).is_err());
    assert!(NumaString::new(pool, &order, &large, hot()).is_err());
    assert!(
        NumaString::new(pool, &[], b"x", hot()).is_err(),
        "no node was asked"
    );
    assert_eq!((value.as_bytes(), value.addr()), (&b"precious"[..], addr));
    assert_eq!(value.heat(), hot());
    drop(value);
    assert_all_home(pool);
}

#[test]
fn growth_settles_for_the_exact_length() {
    let pool = pool();
    let mut value = string(pool, &[5; 100]);
    // Enough for the new block beside the old one, not for twice the new length.
    pool.set_limit(id(0), Bytes::mib(3));
    value.append(&vec![6; 2_200_000], &[id(0)]).unwrap();
    assert_eq!(value.len(), 2_200_100);
    assert!(value.memory() < 2_300_000);
}

#[test]
fn dropped_on_another_thread_it_still_comes_home() {
    let pool = pool();
    let values: Vec<_> = (0..1000_usize)
        .map(|n| string(pool, &vec![7; n * 50]))
        .collect();
    std::thread::spawn(move || drop(values)).join().unwrap();
    assert_eq!(
        live(pool),
        0,
        "the account is right before the owner drains"
    );
    pool.drain(usize::MAX);
    assert_all_home(pool);
}

#[test]
fn payload_is_read_back() {
    let pool = pool();
    let clock = Clock::new();
    for len in [0, 1, 5000, 300_000] {
        let mut value = string(pool, &vec![b'p'; len]);
        value.set_pinned(len > 1);
        let mut tape = Tape::default();
        save(&value, &mut tape, &clock);
        let read: NumaString = load(&mut tape, &clock, &mut Berth::on(pool, 2)).unwrap();
        assert_eq!(read.node(), id(2));
        assert_eq!(read.as_bytes(), value.as_bytes());
        assert_eq!((read.heat(), read.pinned()), (hot(), len > 1));
        assert!(tape.0.is_empty(), "the payload is read to its end");
    }
    assert_all_home(pool);
}

#[test]
fn payload_without_room_is_an_error() {
    let pool = pool();
    let clock = Clock::new();
    let mut tape = Tape::default();
    save(&string(pool, b"x"), &mut tape, &clock);
    let mut nowhere = Berth {
        pool,
        nodes: Vec::new(),
    };
    let read = load::<NumaString, _>(&mut tape, &clock, &mut nowhere);
    assert_eq!(read.unwrap_err(), BadPayload::OutOfMemory);
    assert_all_home(pool);
}

#[test]
fn ranges_are_clipped_as_stock_clips() {
    let hello = b"Hello World";
    let table: [(i64, i64, &str); 14] = [
        (0, 3, "Hell"),
        (0, -1, "Hello World"),
        (-4, -1, "orld"),
        (5, 3, ""),
        (5, 5000, " World"),
        (-5000, 10_000, "Hello World"),
        (-1, -5, ""),
        (-5000, -5000, "H"),
        (-5000, -12, "H"),
        (11, 20, ""),
        (i64::MIN, i64::MAX, "Hello World"),
        (i64::MAX, i64::MIN, ""),
        (10, 10, "d"),
        (-1, 5, ""),
    ];
    for (start, end, part) in table {
        let range = clip_range(hello.len(), start, end);
        assert_eq!(&hello[range], part.as_bytes(), "{start}..{end}");
    }
    assert_eq!(clip_range(0, 0, -1), 0..0);
    assert_eq!(clip_range(0, i64::MIN, i64::MIN), 0..0);
}

/// One step of a program; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    New {
        node: usize,
        len: usize,
    },
    Append {
        which: usize,
        len: usize,
    },
    SetRange {
        which: usize,
        offset: usize,
        len: usize,
    },
    Replace {
        which: usize,
        node: usize,
        len: usize,
    },
    Relocate {
        which: usize,
        node: usize,
    },
    Reload {
        which: usize,
    },
    Drop {
        which: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    // Small, middling, and larger than the largest size class.
    let len = || prop_oneof![0_usize..40, 0_usize..3_000, 30_000_usize..90_000];
    let (which, node) = (0_usize..64, 0_usize..NODES);
    prop_oneof![
        3 => (node.clone(), len()).prop_map(|(node, len)| Op::New { node, len }),
        3 => (which.clone(), len()).prop_map(|(which, len)| Op::Append { which, len }),
        2 => (which.clone(), len(), 0_usize..200)
            .prop_map(|(which, offset, len)| Op::SetRange { which, offset, len }),
        2 => (which.clone(), node.clone(), len())
            .prop_map(|(which, node, len)| Op::Replace { which, node, len }),
        2 => (which.clone(), node).prop_map(|(which, node)| Op::Relocate { which, node }),
        1 => which.clone().prop_map(|which| Op::Reload { which }),
        1 => which.prop_map(|which| Op::Drop { which }),
    ]
}

struct Model {
    pool: PoolHandle,
    clock: Clock,
    values: Vec<(NumaString, Vec<u8>)>,
    dice: Dice,
}

impl Model {
    fn pattern(&mut self, len: usize) -> Vec<u8> {
        let byte = self.dice.roll() as u8;
        (0..len).map(|n| byte.wrapping_add(n as u8)).collect()
    }

    fn pick(&self, which: usize) -> usize {
        which % self.values.len().max(1)
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::New { node, len } => {
                let bytes = self.pattern(len);
                let value = NumaString::new(self.pool, &[id(node)], &bytes, hot());
                self.values.push((value.unwrap(), bytes));
            }
            _ if self.values.is_empty() => (),
            Op::Append { which, len } => {
                let (which, bytes) = (self.pick(which), self.pattern(len));
                let (value, model) = &mut self.values[which];
                value.append(&bytes, &[value.node()]).unwrap();
                model.extend(bytes);
            }
            Op::SetRange { which, offset, len } => {
                let (which, bytes) = (self.pick(which), self.pattern(len));
                let (value, model) = &mut self.values[which];
                value.set_range(offset, &bytes, &[value.node()]).unwrap();
                model.resize(model.len().max(offset + len), 0);
                model[offset..offset + len].copy_from_slice(&bytes);
            }
            Op::Replace { which, node, len } => {
                let (which, bytes) = (self.pick(which), self.pattern(len));
                let (value, model) = &mut self.values[which];
                value.replace(&bytes, &[id(node)]).unwrap();
                assert_eq!(value.node(), id(node));
                *model = bytes;
            }
            Op::Relocate { which, node } => {
                let which = self.pick(which);
                let moved = self.values[which].0.relocated(id(node)).unwrap();
                assert_eq!(moved.node(), id(node));
                self.values[which].0 = moved;
            }
            Op::Reload { which } => self.reload(which),
            Op::Drop { which } => drop(self.values.swap_remove(self.pick(which))),
        }
    }

    fn reload(&mut self, which: usize) {
        let which = self.pick(which);
        let mut tape = Tape::default();
        save(&self.values[which].0, &mut tape, &self.clock);
        let read = load(&mut tape, &self.clock, &mut Berth::on(self.pool, 0));
        self.values[which].0 = read.unwrap();
    }

    fn check(&self) {
        assert_eq!(self.pool.check(), Ok(()));
        let mut sums = [0; NODES];
        for (value, model) in &self.values {
            assert_eq!(value.as_bytes(), model);
            assert_eq!(value.heat(), hot());
            sums[value.node().index()] += value.memory() as u64;
        }
        for (node, sum) in sums.into_iter().enumerate() {
            assert_eq!(
                self.pool.usage(id(node)).live.0,
                sum,
                "node {node} counts its values"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn strings_are_vectors(ops in proptest::collection::vec(op(), 1..120)) {
        let pool = pool();
        let mut model = Model { pool, clock: Clock::new(), values: Vec::new(), dice: Dice::new(5) };
        for (n, op) in ops.iter().enumerate() {
            model.step(op);
            if n % 10 == 0 {
                model.check();
            }
        }
        model.check();
        drop(model);
        assert_all_home(pool);
    }

    /// Whatever the payload holds: a value or an error, and nothing left behind.
    #[test]
    fn hostile_payloads_leave_nothing(
        items in proptest::collection::vec(
            prop_oneof![
                5 => (0_u64..8).prop_map(Item::Unsigned),
                1 => any::<u64>().prop_map(Item::Unsigned),
                2 => proptest::collection::vec(any::<u8>(), 0..50).prop_map(Item::Bytes),
            ],
            0..8,
        ),
    ) {
        let pool = pool();
        let mut tape = Tape(items.into());
        let read = load::<NumaString, _>(&mut tape, &Clock::new(), &mut Berth::on(pool, 0));
        drop(read);
        assert_all_home(pool);
    }
}

/// Appends `count` pieces of `len` bytes; how many bytes were copied for it.
fn copied_by_appends(string: &mut NumaString, len: usize, count: usize) -> usize {
    let (before, node) = (COPIED.get(), string.node());
    for number in 0..count {
        string.append(&vec![number as u8; len], &[node]).unwrap();
    }
    COPIED.get() - before
}

#[test]
fn appends_to_a_long_string_copy_what_is_appended() {
    // At the second size each value has a mapping of its own, at the first the value is a run.
    for (node_bytes, len) in [
        (Bytes::mib(4 << 10), 1 << 20),
        (Bytes::mib(1 << 10), 100 << 20),
    ] {
        let len = if cfg!(miri) { len / 100 } else { len };
        let pool = pool_of(node_bytes);
        let mut string = NumaString::zeroed(pool, &[id(1)], len, hot()).unwrap();
        for at in (0..len).step_by(len / 64) {
            string.set_range(at, &[at as u8 | 1], &[id(1)]).unwrap();
        }
        assert_eq!(copied_by_appends(&mut string, 100, 1000), 100 * 1000);
        // And where the slack of a MiB does not do.
        assert_eq!(copied_by_appends(&mut string, len / 8, 6), len / 8 * 6);
        assert_eq!(string.len(), len + 100_000 + len / 8 * 6);
        assert_eq!((string.node(), string.heat()), (id(1), hot()));
        let intact = |at: usize| string.as_bytes()[at] == at as u8 | 1;
        assert!((0..len).step_by(len / 64).all(intact));
        assert_eq!(string.as_bytes()[len + 99_999], 999_usize as u8);
        assert_eq!(pool.usage(id(1)).live.as_usize(), string.memory());
        pool.check().unwrap();
        drop(string);
        assert_all_home(pool);
    }
}

#[test]
fn a_string_that_is_to_leave_its_node_is_copied() {
    let pool = pool_of(Bytes::mib(1 << 10));
    let mut string = NumaString::zeroed(pool, &[id(0)], 4 << 20, hot()).unwrap();
    string.append(&[7; 4 << 20], &[id(2)]).unwrap();
    assert_eq!((string.node(), string.len()), (id(2), 8 << 20));
    assert_eq!(live(pool), pool.usage(id(2)).live.0);
    drop(string);
    assert_all_home(pool);
}
