//! Floor 4: deciding which keys move.
//!
//! Words. A **strategy** looks at the keyspace through a [`View`], which can change nothing, and
//! returns a [`Plan`], which is data. The **runner** holds strategies in 16 **slots**, runs those
//! that are due and has their plans carried out. **Promote** is to move to the home node,
//! **demote** to move away from it.
//!
//! A strategy that moved keys by itself would need a server to be tested, could not be asked what
//! it would do, and could not be stopped in the middle of it.

mod balance;
mod benefit;
mod candidates;
mod census;
mod composite_lru;
mod density;
mod desk;
mod duty;
mod hysteresis;
mod ledger;
mod no_op;
mod pace;
mod patrol;
mod recent;
mod runner;
mod shift;
mod slot;
mod survey;
mod verdict;
mod victims;

#[cfg(any(test, feature = "simulator"))]
pub mod sim;

use crate::heat::Score;
use crate::ids::{Bytes, Level, NodeId, SlotIndex};
use crate::migrate::{Budget, KeyInfo, KeyRef, Move, Report, ScanStep, Usage};
use std::fmt;

pub use balance::Balance;
pub use benefit::BenefitCost;
pub use composite_lru::CompositeLru;
pub use no_op::NoOp;
pub use pace::Pace;
pub use runner::{Event, PassReport, Runner, SlotError};
pub use slot::{Priority, SlotCounts, SlotStatus, INTERVAL_DEFAULT_MS, INTERVAL_MS, STRIKES_MAX};
pub use verdict::{verdict, Case, Verdict};

/// The tunables of the strategies, checked by the configuration.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Params {
    /// Percent of a node's limit above which the coldest keys leave it.
    pub watermark_high: u8,
    /// Percent of a node's limit at which they stop leaving.
    pub watermark_low: u8,
    /// The level at which a far key is worth looking at, 1 to 7.
    pub migrate_hotness_threshold: u8,
    /// How often a far key must be seen hot before it is promoted.
    pub stability_count: u8,
    /// How many far keys are remembered as seen hot.
    pub hot_candidates_size: u16,
    /// Keys of one slice of the survey.
    pub scan_batch_size: u16,
    /// Share of its time at which a tick counts as overrun; promotions then wait.
    pub overload_threshold: f32,
    /// Share of the home node's high watermark from which a promotion must beat a victim.
    pub pressure_threshold: f32,
    /// Whether keys move by themselves at all.
    pub auto_migrate_enabled: bool,
    /// Percent of their bytes by which like nodes may be uneven.
    pub balance_threshold: u8,
    /// Whether they are evened out by themselves.
    pub auto_rebalance: bool,
    /// Milliseconds between two looks at that.
    pub rebalance_interval_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            watermark_high: 95,
            watermark_low: 90,
            migrate_hotness_threshold: 5,
            stability_count: 3,
            hot_candidates_size: 256,
            scan_batch_size: 200,
            overload_threshold: 0.8,
            pressure_threshold: 0.7,
            auto_migrate_enabled: true,
            balance_threshold: 30,
            auto_rebalance: true,
            rebalance_interval_ms: 5000,
        }
    }
}

/// What a strategy may see. Nothing here changes a key, its heat or the server's LRU.
pub trait View {
    /// Milliseconds, for intervals and cool-downs; never goes back.
    fn now_ms(&self) -> u64;

    /// Microseconds, for keeping within a budget; never goes back.
    fn now_us(&self) -> u64;

    /// Microseconds that this thread has worked, for judging who is slow: the kernel may take the
    /// CPU away for longer than any budget, and that is nobody's fault.
    fn cpu_us(&self) -> u64 {
        self.now_us()
    }

    /// The node that the main thread runs on.
    fn home(&self) -> NodeId;

    /// The nodes that may hold values, home first, then by latency from home.
    fn nodes(&self) -> Vec<NodeId>;

    /// How full a node is. A node that is not in [`View::nodes`] has a limit of nothing.
    fn usage(&self, node: NodeId) -> Usage;

    /// Far keys of which an access was seen that ended at or above [`Strategy::bar`]; oldest
    /// first, each access once, taken away.
    fn take_hot(&mut self, max: usize) -> Vec<KeyRef>;

    /// Accesses to near keys and to far ones so far; neither goes back.
    fn accesses(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Says which slot looks from here on. Slot 1 walks with the module's own walk, from which the
    /// reports come too; each other slot has a walk of its own, or it would see the keys that
    /// another left over.
    fn enter(&mut self, _slot: Option<SlotIndex>) {}

    /// The latency from home to a node in nanoseconds; 0 where nothing is known.
    fn latency_ns(&self, _node: NodeId) -> u64 {
        0
    }

    /// What a move of that many bytes takes, in nanoseconds as measured; 0 before the first.
    fn move_ns(&self, _bytes: Bytes) -> u64 {
        0
    }

    /// How long an era lasts as of late, in milliseconds: the time in which traffic touches each
    /// key eight times on average.
    fn era_ms(&self) -> u64 {
        1000
    }

    /// What is known of a key now.
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo>;

    /// The next slice of the strategies' endless walk over all keys.
    fn scan(&mut self, max: usize, each: &mut dyn FnMut(&KeyRef, KeyInfo)) -> ScanStep;

    /// The tunables as they are now.
    fn params(&self) -> Params;
}

/// A view whose plans can be carried out.
pub trait Engine: View {
    /// Has the mover carry out a plan, and keeps its statistics.
    fn carry(&mut self, plan: Plan, budget: &mut Budget) -> Report;

    /// The view alone, for a strategy.
    fn view(&mut self) -> &mut dyn View;
}

/// A bounded list of moves, in the order that they are to be made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    moves: Vec<Move>,
}

impl Plan {
    /// The most moves of one plan: some ticks' worth, and a bound on a plan's memory.
    pub const MOVES_MAX: usize = 1024;

    /// A plan of no moves.
    #[must_use]
    pub const fn new() -> Self {
        Self { moves: Vec::new() }
    }

    /// Adds a move at the end, or says that the plan is full.
    pub fn push(&mut self, next: Move) -> bool {
        let fits = self.moves.len() < Self::MOVES_MAX;
        if fits {
            self.moves.push(next);
        }
        fits
    }

    /// Moves that can still be added.
    #[must_use]
    pub fn room(&self) -> usize {
        Self::MOVES_MAX.saturating_sub(self.moves.len())
    }

    /// How many moves it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.moves.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The moves, in order.
    #[must_use]
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// The moves, for the mover.
    #[must_use]
    pub fn into_moves(self) -> Vec<Move> {
        self.moves
    }
}

/// What a far access must reach, by both, to be told to a strategy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bar {
    /// By score, before the access.
    pub score: Score,
    /// By level, after it.
    pub level: Level,
}

impl Bar {
    /// The bar that lets through what either lets through, and perhaps more.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        Self {
            score: self.score.min(other.score),
            level: self.level.min(other.level),
        }
    }
}

/// Why a strategy could not decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StrategyError(pub String);

impl fmt::Display for StrategyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StrategyError {}

/// What decides moves. It keeps what it learns between calls; it never blocks, and it keeps
/// within the budget's time by asking [`View::now_us`].
pub trait Strategy: Send {
    /// Its name in `NUMA STRATEGY LIST`.
    fn name(&self) -> &str;

    /// What it does, in one line.
    fn description(&self) -> &str;

    /// The module that brought it; nothing where it is built in.
    fn module(&self) -> Option<&str> {
        None
    }

    /// Its own settings, by name.
    fn settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Changes one of them.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    fn set(&mut self, name: &str, _value: &str) -> Result<(), StrategyError> {
        Err(StrategyError(format!("it has no setting {name}")))
    }

    /// What must be decided at once: runs in every tick.
    ///
    /// # Errors
    /// Why it could not decide; the runner counts it and stops a strategy that goes on so.
    fn fast(&mut self, _view: &mut dyn View, _budget: &Budget) -> Result<Plan, StrategyError> {
        Ok(Plan::new())
    }

    /// What may wait: runs each time the slot's interval has passed.
    ///
    /// # Errors
    /// As for [`Strategy::fast`].
    fn decide(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError>;

    /// One look over about `keys` keys because a user asked (`NUMAMIGRATE SCAN`), with the number
    /// really looked at.
    ///
    /// # Errors
    /// As for [`Strategy::fast`].
    fn pass(&mut self, _view: &mut dyn View, _keys: usize) -> Result<(Plan, usize), StrategyError> {
        Ok((Plan::new(), 0))
    }

    /// What became of its last plan.
    fn carried(&mut self, _report: &Report) {}

    /// What a far access must reach to be worth this strategy's attention; nothing where it needs
    /// no accesses at all. A command compares with it, so that the many accesses of middling keys
    /// are not even queued.
    fn bar(&self) -> Option<Bar> {
        None
    }

    /// Whether it has seen, since this was asked last, that the hot set has shifted: what heat was
    /// counted before should count little then.
    fn take_shift(&mut self) -> bool {
        false
    }

    /// Whether it has much more to move than its time lets it: the hot set shifts. The pace gives
    /// more of the main thread then.
    fn is_hungry(&self) -> bool {
        false
    }

    /// A line for the log at verbose level, where it has one to say now.
    fn log_line(&mut self, _now_ms: u64) -> Option<String> {
        None
    }
}
