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
            Outcome::Unsupported | Outcome::Busy => self.failed += 1,
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
    let mut moves = moves.into_iter();
    let start_us = clock();
    let mut last_us = start_us;
    while !budget.is_exhausted() {
        let Some(next) = moves.next() else { break };
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
    report.spent_us = last_us.saturating_sub(start_us);
    report.rest = moves.collect();
    stats.measure(report.moved, report.bytes, report.spent_us);
    report
}
