//! The mover: carries a plan out, one key after the other, until a budget is gone.
//!
//! It decides nothing. It takes the moves in their order, since a plan puts the demotions that
//! make room before the promotion that needs it, and it stops at the first exhausted part of the
//! budget with the rest of the plan in its report:
//!
//! `moved + skipped + failed + rest.len() == moves of the plan`
//!
//! A key that is larger than the bytes left is moved all the same and overdraws the budget. The
//! other choice, to leave it for a fuller budget, would never move a key that is larger than a
//! whole tick's bytes. The report counts real bytes, so the caller can keep the debt.

use super::{Budget, Keyspace, Move, MoveStats, Outcome};
use crate::ids::Bytes;
use std::collections::VecDeque;

/// Moves that a keyspace is told of ahead.
const EXPECTED_MAX: usize = 32;

/// What became of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Keys that lie on their target now and did not before.
    pub moved: usize,
    /// Keys there was nothing to do for: gone, pinned, or there already.
    pub skipped: usize,
    /// Keys that stay where they were: no room, busy, of a type that cannot move.
    pub failed: usize,
    /// Of the failed, those their target had no room for.
    pub no_room: usize,
    /// Bytes of the moved keys.
    pub bytes: Bytes,
    /// Microseconds it took.
    pub spent_us: u64,
    /// The moves that the budget did not reach, in their order.
    pub rest: Vec<Move>,
}

impl Report {
    /// Adds what another plan did, its rest included.
    pub fn add(&mut self, other: Self) {
        self.moved += other.moved;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.no_room += other.no_room;
        self.bytes += other.bytes;
        self.spent_us = self.spent_us.saturating_add(other.spent_us);
        self.rest.extend(other.rest);
    }

    pub(super) fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Moved { bytes } => {
                self.moved += 1;
                self.bytes += bytes;
            }
            Outcome::AlreadyThere | Outcome::Missing | Outcome::Pinned => self.skipped += 1,
            Outcome::NoRoom => {
                self.failed += 1;
                self.no_room += 1;
            }
            Outcome::Unsupported | Outcome::Stays(_) | Outcome::Busy => self.failed += 1,
        }
    }
}

/// Carries `moves` out in their order. `clock` counts microseconds and never goes back.
pub fn carry_out(
    moves: Vec<Move>,
    keyspace: &mut dyn Keyspace,
    budget: &mut Budget,
    clock: &dyn Fn() -> u64,
    stats: &mut MoveStats,
) -> Report {
    let mut report = Report::default();
    let (mut moves, mut expected) = (VecDeque::from(moves), 0);
    let start_us = clock();
    let mut last_us = start_us;
    while !budget.is_exhausted() {
        if expected == 0 {
            expected = moves.len().min(EXPECTED_MAX);
            let ahead: Vec<_> = moves.iter().take(expected).collect();
            keyspace.expect(&ahead, budget);
        }
        let Some(next) = moves.pop_front() else { break };
        expected -= 1;
        stats.begin();
        let outcome = keyspace.relocate(&next.key, next.to);
        stats.end(next.why, outcome);
        report.note(outcome);
        if let Outcome::Moved { bytes } = outcome {
            budget.spend_key(bytes);
        }
        let now_us = clock();
        budget.spend_time(now_us.saturating_sub(last_us));
        last_us = now_us;
    }
    keyspace.expect(&[], budget);
    report.spent_us = last_us.saturating_sub(start_us);
    report.rest = moves.into();
    stats.measure(report.moved, report.bytes, report.spent_us);
    report
}

#[cfg(test)]
mod tests {
    use super::super::fake::{key, node, Fake, MOVE_US};
    use super::super::{KeyRef, Why};
    use super::*;

    fn to_node_1(key: KeyRef) -> Move {
        Move {
            key,
            to: node(1),
            why: Why::Demote,
            benefit: 0,
        }
    }

    /// Ten keys of 100 bytes on node 0, and a plan to move them all.
    fn ten() -> (Fake, Vec<Move>) {
        let mut fake = Fake::with_nodes(2);
        let keys = (0..10).map(|number| key(0, &number.to_string()));
        let moves = keys.map(|key| {
            fake.add(key.clone(), 0, 100);
            to_node_1(key)
        });
        let moves = moves.collect();
        (fake, moves)
    }

    fn carry(fake: &mut Fake, moves: Vec<Move>, budget: &mut Budget) -> (Report, MoveStats) {
        let mut stats = MoveStats::default();
        let clock = fake.clock();
        let report = carry_out(moves, fake, budget, &clock, &mut stats);
        (report, stats)
    }

    #[test]
    fn without_bounds_all_is_moved() {
        let (mut fake, moves) = ten();
        let (report, stats) = carry(&mut fake, moves, &mut Budget::UNBOUNDED.clone());
        assert_eq!((report.moved, report.bytes), (10, Bytes(1000)));
        assert_eq!(report.spent_us, 10 * MOVE_US);
        assert!(report.rest.is_empty());
        assert_eq!(fake.count_on(1), 10);
        assert_eq!(
            (stats.total, stats.successful, stats.peak_concurrent),
            (10, 10, 1)
        );
    }

    #[test]
    fn the_first_exhausted_part_ends_the_work_and_the_rest_comes_back() {
        let unbounded = Budget::UNBOUNDED;
        let cases = [
            (
                Budget {
                    keys: 3,
                    ..unbounded
                },
                3,
            ),
            (
                Budget {
                    bytes: Bytes(250),
                    ..unbounded
                },
                3,
            ),
            (
                Budget {
                    bytes: Bytes(300),
                    ..unbounded
                },
                3,
            ),
            (
                Budget {
                    time_us: 4 * MOVE_US,
                    ..unbounded
                },
                4,
            ),
            (
                Budget {
                    time_us: 4 * MOVE_US + 1,
                    ..unbounded
                },
                5,
            ),
            (
                Budget {
                    keys: 0,
                    ..unbounded
                },
                0,
            ),
            (
                Budget {
                    time_us: 0,
                    ..unbounded
                },
                0,
            ),
            (
                Budget {
                    bytes: Bytes::ZERO,
                    ..unbounded
                },
                0,
            ),
        ];
        for (mut budget, expected) in cases {
            let (mut fake, moves) = ten();
            let (report, _) = carry(&mut fake, moves.clone(), &mut budget);
            assert_eq!(report.moved, expected, "{budget:?}");
            assert_eq!(report.rest, moves[expected..]);
            assert!(budget.is_exhausted());
        }
    }

    #[test]
    fn a_key_larger_than_the_bytes_left_moves_and_overdraws() {
        let mut fake = Fake::with_nodes(2);
        fake.add(key(0, "large"), 0, 1 << 30);
        let mut budget = Budget {
            bytes: Bytes(1),
            ..Budget::UNBOUNDED
        };
        let (report, _) = carry(&mut fake, vec![to_node_1(key(0, "large"))], &mut budget);
        assert_eq!(report.bytes, Bytes(1 << 30));
        assert_eq!(budget.bytes, Bytes::ZERO);
    }

    #[test]
    fn every_outcome_is_counted_once() {
        let mut fake = Fake::with_nodes(2);
        fake.add(key(0, "moves"), 0, 10);
        fake.add(key(0, "there"), 1, 10);
        fake.add(key(0, "pinned"), 0, 10).pinned = true;
        fake.add(key(0, "large"), 0, 1000);
        fake.limits[1] = Bytes(100);
        let names = ["moves", "there", "pinned", "large", "missing"];
        let moves = names.map(|name| to_node_1(key(0, name))).to_vec();
        let (report, stats) = carry(&mut fake, moves, &mut Budget::UNBOUNDED.clone());
        assert_eq!((report.moved, report.skipped), (1, 3));
        assert_eq!((report.failed, report.no_room), (1, 1));
        assert_eq!((stats.total, stats.successful, stats.failed), (2, 1, 1));
        assert_eq!((stats.skipped, stats.no_room), (3, 1));
        for refusal in [Outcome::Busy, Outcome::Unsupported] {
            fake.refuse = Some(refusal);
            let moves = vec![to_node_1(key(0, "moves"))];
            let (report, _) = carry(&mut fake, moves, &mut Budget::UNBOUNDED.clone());
            assert_eq!((report.failed, report.no_room), (1, 0));
        }
    }
}
