//! How much of the main thread the module may take.
//!
//! Two buckets fill with time: microseconds at `numa-cpu-share` percent, bytes at
//! `numa-migrate-rate`. A tick takes what is there, at most `numa-tick-budget`; what it overdraws
//! is owed, up to [`DEBT_BUDGETS`] budgets. Invariant, where no tick overdraws by more than that:
//! time used <= share x time passed + one tick's budget. Without the bound, upkeep that no budget
//! limits (a million new keys to settle) would keep hot keys from moving for minutes after it.
//!
//! The share is what was configured until the hot set shifts. A shift shows as **hunger**: a tick
//! that moved keys and could have moved more. Each hungry tick lets the share grow by an eighth,
//! to [`SHARE_SHIFT_PERCENT`] at most; each other one takes a sixteenth of the surplus away. A
//! load that gives no reason to move, however busy, is never hungry.

use crate::config::Config;
use crate::ids::Bytes;
use crate::migrate::Budget;

/// The share, in percent, that a shift of the hot set may take.
const SHARE_SHIFT_PERCENT: u64 = 10;
/// The most that is owed, in tick budgets; at the default share paid back within half a second.
const DEBT_BUDGETS: i64 = 10;
/// Shares are kept in thousandths of a percent.
const MILLI: u64 = 1000;

/// The two buckets; negative is a debt.
#[derive(Debug)]
pub struct Pace {
    time_us: i64,
    bytes: i64,
    /// The share as configured, in thousandths of a percent.
    share_milli: u64,
    /// What a shift has added to it.
    surplus_milli: u64,
    budget_us: u64,
    rate: Bytes,
}

impl Pace {
    /// Empty buckets that fill as the configuration says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut made = Self {
            time_us: 0,
            bytes: 0,
            share_milli: 0,
            surplus_milli: 0,
            budget_us: 0,
            rate: Bytes::ZERO,
        };
        made.apply(config);
        made
    }

    /// Takes over a changed configuration.
    pub fn apply(&mut self, config: &Config) {
        self.share_milli = u64::from(config.cpu_share_percent) * MILLI;
        self.surplus_milli = 0;
        self.budget_us = config.tick_budget_us;
        self.rate = config.migrate_rate;
    }

    /// Fills the buckets for the time passed and says what this tick may use.
    pub fn next(&mut self, passed_us: u64) -> Budget {
        let passed_us = passed_us.min(1_000_000);
        let time_most = signed(self.budget_us);
        self.time_us = (self.time_us + signed(passed_us * self.share_now_milli() / (100 * MILLI)))
            .min(time_most);
        let bytes_most = signed(self.rate.0 / 10).max(1);
        let filled = u128::from(self.rate.0) * u128::from(passed_us) / 1_000_000;
        let filled = i64::try_from(filled).unwrap_or(i64::MAX);
        self.bytes = self.bytes.saturating_add(filled).min(bytes_most);
        Budget {
            time_us: self.time_us.max(0).unsigned_abs(),
            bytes: Bytes(self.bytes.max(0).unsigned_abs()),
            keys: usize::MAX,
        }
    }

    /// The share now, in thousandths of a percent.
    #[must_use]
    pub fn share_now_milli(&self) -> u64 {
        self.share_milli + self.surplus_milli
    }

    /// Learns whether the last tick was hungry.
    pub fn note_hunger(&mut self, hungry: bool) {
        let most = (SHARE_SHIFT_PERCENT * MILLI).saturating_sub(self.share_milli);
        self.surplus_milli = if hungry {
            (self.surplus_milli + self.share_now_milli() / 8).min(most)
        } else {
            self.surplus_milli - self.surplus_milli.div_ceil(16)
        };
    }

    /// Takes what the tick really used.
    pub fn spent(&mut self, time_us: u64, bytes: Bytes) {
        let debt_most = -signed(self.budget_us).saturating_mul(DEBT_BUDGETS);
        self.time_us = self.time_us.saturating_sub(signed(time_us)).max(debt_most);
        self.bytes = self.bytes.saturating_sub(signed(bytes.0));
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_holds_whatever_a_tick_overdraws() {
        let config = Config::default();
        let mut pace = Pace::new(&config);
        let (mut used, ticks) = (0, 1_000);
        for tick in 0..ticks {
            let budget = pace.next(10_000);
            assert!(budget.time_us <= config.tick_budget_us);
            // Every tenth tick overruns badly.
            let spent = if tick % 10 == 0 {
                budget.time_us * 3
            } else {
                budget.time_us
            };
            pace.spent(spent, Bytes::ZERO);
            used += spent;
        }
        let passed_us = ticks * 10_000;
        assert!(
            used <= passed_us * 2 / 100 + config.tick_budget_us * 3,
            "{used}"
        );
    }

    #[test]
    fn a_huge_overdraft_is_paid_back_within_a_second() {
        let mut pace = Pace::new(&Config::default());
        pace.next(10_000);
        pace.spent(5_000_000, Bytes::ZERO);
        let waited = (1..).find(|_| pace.next(10_000).time_us > 0);
        assert!(waited.is_some_and(|ticks| ticks <= 100), "{waited:?}");
    }

    #[test]
    fn bytes_keep_to_the_rate() {
        let config = Config {
            migrate_rate: Bytes::mib(1),
            ..Config::default()
        };
        let mut pace = Pace::new(&config);
        let mut moved = Bytes::ZERO;
        for _ in 0..100 {
            let budget = pace.next(10_000);
            moved += budget.bytes;
            pace.spent(0, budget.bytes);
        }
        assert!(moved <= Bytes::mib(1) + Bytes::kib(128), "{moved}");
        assert!(moved >= Bytes::kib(1000), "{moved}");
    }

    #[test]
    fn the_share_grows_with_hunger_and_only_with_it() {
        let mut pace = Pace::new(&Config::default());
        (0..100).for_each(|_| pace.note_hunger(false));
        assert_eq!(pace.share_now_milli(), 2 * MILLI);
        (0..100).for_each(|_| pace.note_hunger(true));
        assert_eq!(pace.share_now_milli(), SHARE_SHIFT_PERCENT * MILLI);
        (0..200).for_each(|_| pace.note_hunger(false));
        assert_eq!(pace.share_now_milli(), 2 * MILLI);
        let greedy = Config {
            cpu_share_percent: 40,
            ..Config::default()
        };
        let mut pace = Pace::new(&greedy);
        (0..100).for_each(|_| pace.note_hunger(true));
        assert_eq!(
            pace.share_now_milli(),
            40 * MILLI,
            "more than a shift may take is left alone"
        );
    }

    #[test]
    fn an_empty_bucket_gives_an_empty_budget() {
        let mut pace = Pace::new(&Config::default());
        pace.next(10_000);
        pace.spent(1_000_000, Bytes::mib(10_000));
        assert!(pace.next(10_000).is_exhausted());
    }
}
