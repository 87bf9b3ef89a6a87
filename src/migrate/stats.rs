//! What the mover did so far, and what a move costs on this machine.
//!
//! `total == successful + failed + in flight`; a key there was nothing to do for is skipped, and
//! is no migration.
//!
//! The cost of a move is `fixed + per_kib * KiB`. One move is too short for a clock in
//! microseconds, so whole plans are measured. A plan of small keys teaches the fixed part, a plan
//! of large ones the part by size: fitting both to each plan would need a matrix and would tell no
//! more, since plans are of one kind or the other.

use super::{Outcome, Why};
use crate::ids::Bytes;

/// Plans of a mean key size below this teach the fixed part of the cost.
const SMALL_KEY: Bytes = Bytes::kib(4);

/// A new measurement counts one part in this many.
const MEMORY: u64 = 8;

/// What the mover did since the start or the last reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MoveStats {
    /// Keys whose move was tried.
    pub total: u64,
    /// Of these, moved.
    pub successful: u64,
    /// Of these, left where they were.
    pub failed: u64,
    /// Bytes of the moved keys.
    pub bytes: Bytes,
    /// Microseconds spent moving.
    pub time_us: u64,
    /// The most moves under way at the same time.
    pub peak_concurrent: u64,
    /// Keys there was nothing to do for.
    pub skipped: u64,
    /// Of the failed, those their target had no room for.
    pub no_room: u64,
    by_why: [u64; Why::COUNT],
    in_flight: u64,
    cost: Cost,
}

/// The measured cost of a move, in nanoseconds; 0 until it was measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Cost {
    fixed_ns: u64,
    per_kib_ns: u64,
}

impl MoveStats {
    /// A move begins.
    pub fn begin(&mut self) {
        self.in_flight += 1;
        self.peak_concurrent = self.peak_concurrent.max(self.in_flight);
    }

    /// A move that began has ended.
    pub fn end(&mut self, why: Why, outcome: Outcome) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Moved { bytes } => self.succeed(why, bytes),
            Outcome::AlreadyThere | Outcome::Missing | Outcome::Pinned => self.skipped += 1,
            Outcome::NoRoom => {
                self.no_room += 1;
                self.fail();
            }
            Outcome::Unsupported | Outcome::Stays(_) | Outcome::Busy => self.fail(),
        }
    }

    fn succeed(&mut self, why: Why, bytes: Bytes) {
        self.total += 1;
        self.successful += 1;
        self.bytes += bytes;
        if let Some(count) = self.by_why.get_mut(why as usize) {
            *count += 1;
        }
    }

    fn fail(&mut self) {
        self.total += 1;
        self.failed += 1;
    }

    /// Learns what `moved` keys of `bytes` together took.
    pub fn measure(&mut self, moved: usize, bytes: Bytes, spent_us: u64) {
        self.time_us = self.time_us.saturating_add(spent_us);
        let moved = moved as u64;
        if moved > 0 {
            self.cost.learn(moved, bytes, spent_us.saturating_mul(1000));
        }
    }

    /// Keys moved for that reason.
    #[must_use]
    pub fn moved_for(&self, why: Why) -> u64 {
        self.by_why.get(why as usize).copied().unwrap_or(0)
    }

    /// Nanoseconds that the move of a key of that size is expected to take; 0 until the first
    /// move was measured.
    #[must_use]
    pub fn expected_ns(&self, bytes: Bytes) -> u64 {
        let by_size = u128::from(self.cost.per_kib_ns) * u128::from(bytes.0) / 1024;
        let by_size = u64::try_from(by_size).unwrap_or(u64::MAX);
        self.cost.fixed_ns.saturating_add(by_size)
    }

    /// The reply of `NUMAMIGRATE STATS`: the six fields it has always had, in their order, then
    /// more.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, u64)> {
        let six = [
            ("total_migrations", self.total),
            ("successful_migrations", self.successful),
            ("failed_migrations", self.failed),
            ("total_bytes_migrated", self.bytes.0),
            ("total_migration_time_us", self.time_us),
            ("peak_concurrent_migrations", self.peak_concurrent),
            ("skipped_migrations", self.skipped),
            ("no_room_migrations", self.no_room),
            ("cost_per_key_ns", self.cost.fixed_ns),
            ("cost_per_kib_ns", self.cost.per_kib_ns),
        ];
        let by_why = Why::ALL.map(|why| (format!("moved_{}", why.name()), self.moved_for(why)));
        let named = six.map(|(name, count)| (name.to_owned(), count));
        named.into_iter().chain(by_why).collect()
    }

    /// Forgets the counts. What a move costs is knowledge of the machine and stays, and so do
    /// the moves under way.
    pub fn reset(&mut self) {
        *self = Self {
            in_flight: self.in_flight,
            peak_concurrent: self.in_flight,
            cost: self.cost,
            ..Self::default()
        };
    }
}

impl Cost {
    fn learn(&mut self, moved: u64, bytes: Bytes, spent_ns: u64) {
        if bytes.0 / moved < SMALL_KEY.0 {
            self.fixed_ns = blend(self.fixed_ns, spent_ns / moved);
        } else {
            let by_size = spent_ns.saturating_sub(self.fixed_ns.saturating_mul(moved));
            let kib = (bytes.0 / 1024).max(1);
            self.per_kib_ns = blend(self.per_kib_ns, by_size / kib);
        }
    }
}

/// An exponentially weighted mean; the first measurement counts whole.
fn blend(old: u64, new: u64) -> u64 {
    if old == 0 {
        new
    } else {
        (old.saturating_mul(MEMORY - 1)).saturating_add(new) / MEMORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(stats: &mut MoveStats, why: Why, bytes: u64) {
        stats.begin();
        let bytes = Bytes(bytes);
        stats.end(why, Outcome::Moved { bytes });
    }

    #[test]
    fn the_six_fields_come_first_in_their_order() {
        let mut stats = MoveStats::default();
        moved(&mut stats, Why::Promote, 100);
        stats.begin();
        stats.end(Why::Promote, Outcome::NoRoom);
        stats.measure(1, Bytes(100), 7);
        let fields = stats.fields();
        let first: Vec<_> = fields
            .iter()
            .take(6)
            .map(|(name, n)| (name.as_str(), *n))
            .collect();
        assert_eq!(
            first,
            [
                ("total_migrations", 2),
                ("successful_migrations", 1),
                ("failed_migrations", 1),
                ("total_bytes_migrated", 100),
                ("total_migration_time_us", 7),
                ("peak_concurrent_migrations", 1),
            ]
        );
        let of = |name: &str| fields.iter().find(|(other, _)| other == name).unwrap().1;
        assert_eq!((of("moved_promote"), of("moved_demote")), (1, 0));
        assert_eq!(of("no_room_migrations"), 1);
    }

    #[test]
    fn cost_has_a_fixed_part_and_one_by_size() {
        let mut stats = MoveStats::default();
        assert_eq!(stats.expected_ns(Bytes::mib(1)), 0);
        for _ in 0..100 {
            stats.measure(100, Bytes(6400), 200);
        }
        assert_eq!(stats.expected_ns(Bytes(0)), 2000);
        for _ in 0..100 {
            stats.measure(1, Bytes::mib(1), 102 + 1024);
        }
        let per_mib = stats.expected_ns(Bytes::mib(1));
        assert!((1_100_000..1_150_000).contains(&per_mib), "{per_mib}");
    }

    #[test]
    fn one_slow_measurement_moves_the_mean_a_little() {
        let mut stats = MoveStats::default();
        stats.measure(1, Bytes(64), 8);
        stats.measure(1, Bytes(64), 88);
        assert_eq!(stats.expected_ns(Bytes(0)), 18_000);
    }

    #[test]
    fn reset_keeps_what_is_known_of_the_machine() {
        let mut stats = MoveStats::default();
        moved(&mut stats, Why::Command, 64);
        stats.measure(1, Bytes(64), 8);
        let cost = stats.expected_ns(Bytes(64));
        stats.begin();
        stats.reset();
        assert_eq!(
            (stats.total, stats.bytes, stats.moved_for(Why::Command)),
            (0, Bytes(0), 0)
        );
        assert_eq!(stats.expected_ns(Bytes(64)), cost);
        stats.end(Why::Command, Outcome::Missing);
        assert_eq!((stats.skipped, stats.peak_concurrent), (1, 1));
    }
}
