//! A slot: one strategy, when it runs, and how it has done.
//!
//! A strategy that fails gets a strike; a good run of the same path takes all its strikes away (the
//! fast path runs a hundred times as often and would excuse every failure of the slow one).
//! [`STRIKES_MAX`] in a row stop it until a user enables it again.
//!
//! One that overruns its time is given half of it from then on, and half of that, down to a part in
//! 2^[`HALVINGS_MAX`]; [`GOOD_RUNS`] good runs in a row take one halving back. Only an overrun with
//! that little is a strike: on a slow or overcommitted machine a step takes long whoever makes it,
//! and the same strategy keeps its time with smaller steps. One that never does would take the
//! server's.

use super::{Strategy, StrategyError};

/// Bad runs in a row that stop a strategy.
pub const STRIKES_MAX: u32 = 5;

/// How often the time of a strategy that overruns is halved before it gets a strike.
pub(super) const HALVINGS_MAX: u32 = 4;

/// Good runs in a row after which one halving is taken back.
const GOOD_RUNS: u32 = 64;

/// Shortest and longest interval between runs, in milliseconds.
pub const INTERVAL_MS: std::ops::RangeInclusive<u64> = 1..=86_400_000;

/// The interval of a slot that was told none, in milliseconds.
pub const INTERVAL_DEFAULT_MS: u64 = 1000;

/// Which slots run first in a tick.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Priority {
    /// Before all others.
    High,
    /// In between.
    Normal,
    /// With what the others left.
    Low,
}

impl Priority {
    /// All priorities in the order that they run.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word in commands and replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The priority of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.name().eq_ignore_ascii_case(name))
    }
}

/// How a slot stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotStatus {
    /// The strategy's name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The module that brought it; nothing where it is built in.
    pub module: Option<String>,
    /// Its place in a tick.
    pub priority: Priority,
    /// Milliseconds between its runs.
    pub interval_ms: u64,
    /// Whether it runs.
    pub enabled: bool,
    /// Why it was stopped, where it was.
    pub stopped: Option<String>,
    /// What it did.
    pub counts: SlotCounts,
}

/// What a slot's strategy did since it was put there or since the last reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SlotCounts {
    /// Times its interval passed and it decided. The fast path runs in every tick and is not
    /// counted here.
    pub executions: u64,
    /// Runs of either path that failed or overran.
    pub failures: u64,
    /// Microseconds of deciding, the fast path included, moving excluded.
    pub total_us: u64,
    /// The longest of these runs, in microseconds.
    pub longest_us: u64,
    /// Keys moved by its plans.
    pub moves: u64,
}

/// Which of a strategy's two paths runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Fast,
    Slow,
}

/// One filled slot.
pub(super) struct Slot {
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) priority: Priority,
    pub(super) interval_ms: u64,
    pub(super) enabled: bool,
    pub(super) due_ms: u64,
    pub(super) counts: SlotCounts,
    standings: [Standing; 2],
    stopped: Option<String>,
}

/// How one path of a slot has kept its time of late.
#[derive(Clone, Copy, Default)]
struct Standing {
    strikes: u32,
    halvings: u32,
    good_runs: u32,
}

impl Slot {
    pub(super) fn new(strategy: Box<dyn Strategy>, priority: Priority, interval_ms: u64) -> Self {
        Self {
            strategy,
            priority,
            interval_ms,
            enabled: true,
            due_ms: 0,
            counts: SlotCounts::default(),
            standings: Default::default(),
            stopped: None,
        }
    }

    pub(super) fn status(&self) -> SlotStatus {
        SlotStatus {
            name: self.strategy.name().to_owned(),
            description: self.strategy.description().to_owned(),
            module: self.strategy.module().map(str::to_owned),
            priority: self.priority,
            interval_ms: self.interval_ms,
            enabled: self.enabled,
            stopped: self.stopped.clone(),
            counts: self.counts,
        }
    }

    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        if enabled {
            self.standings = Default::default();
            self.stopped = None;
        }
    }

    /// Whether its interval has passed; if so, the next one begins. Intervals that were missed
    /// are not made up for.
    pub(super) fn take_due(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.due_ms;
        if due {
            self.due_ms = now_ms.saturating_add(self.interval_ms);
        }
        due
    }

    pub(super) fn note_time(&mut self, spent_us: u64) {
        self.counts.total_us = self.counts.total_us.saturating_add(spent_us);
        self.counts.longest_us = self.counts.longest_us.max(spent_us);
    }

    /// What a path gets of a time.
    pub(super) fn part_of(&mut self, path: Path, time_us: u64) -> u64 {
        time_us >> self.standing(path).halvings
    }

    /// Takes all strikes of a path away, and in the long run its halvings.
    pub(super) fn forgive(&mut self, path: Path) {
        let standing = self.standing(path);
        standing.strikes = 0;
        standing.good_runs += 1;
        if standing.good_runs >= GOOD_RUNS {
            standing.good_runs = 0;
            standing.halvings = standing.halvings.saturating_sub(1);
        }
    }

    /// Halves a path's time after an overrun; false where that was done often enough.
    pub(super) fn halve(&mut self, path: Path) -> bool {
        let standing = self.standing(path);
        standing.good_runs = 0;
        let halved = standing.halvings < HALVINGS_MAX;
        standing.halvings += u32::from(halved);
        self.counts.failures += u64::from(halved);
        halved
    }

    /// Counts a bad run, and says whether it was the one too many.
    pub(super) fn strike(&mut self, path: Path, reason: &StrategyError) -> bool {
        self.counts.failures += 1;
        let standing = self.standing(path);
        standing.good_runs = 0;
        standing.strikes += 1;
        let stop = standing.strikes >= STRIKES_MAX;
        if stop {
            self.stop(format!("{STRIKES_MAX} bad runs in a row: {reason}"));
        }
        stop
    }

    /// Counts a run so bad that there must not be a second one.
    pub(super) fn strike_out(&mut self, reason: &StrategyError) {
        self.counts.failures += 1;
        self.stop(reason.to_string());
    }

    fn stop(&mut self, why: String) {
        self.enabled = false;
        self.stopped = Some(why);
    }

    fn standing(&mut self, path: Path) -> &mut Standing {
        let [fast, slow] = &mut self.standings;
        match path {
            Path::Fast => fast,
            Path::Slow => slow,
        }
    }
}
