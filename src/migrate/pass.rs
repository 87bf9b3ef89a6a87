//! A pass: a walk over the keyspace in slices that moves what a task names.
//!
//! A task is data, so a pass can be shown while it runs, cancelled between two slices, and tested
//! without a server. Each slice looks at some keys, plans their moves, and has the mover carry
//! them out; moves that the budget did not reach wait in the pass and go first in the next slice,
//! so the walk never runs ahead of the moving:
//!
//! `scanned keys = moved + skipped + failed + pending + keys the task does not name`
//!
//! There is one pass at a time ([`Background`]): two would undo each other's work, and the user
//! who starts a second one wants to know about the first.
//!
//! **Rebalance.** A node is overfull when its share of all used bytes is above its ideal share by
//! more than the threshold, in percent of all bytes. Keys leave an overfull node for the node that
//! is furthest below its ideal and has room, until no node is overfull or the walk is through.
//! The ideal comes from the placement policy, as weights. Which keys leave is left to the order of
//! the walk: heat is the strategies' business, and they bring hot keys home again.

use super::{
    carry_out, glob, Budget, CursorId, KeyInfo, KeyRef, Keyspace, Move, MoveStats, Outcome, Plane,
    Report, Usage, Why,
};
use crate::ids::{Bytes, DbIndex, NodeId};
use std::fmt;

/// Keys that one slice looks at before it moves.
const SLICE_KEYS: usize = 64;

/// What a pass is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Moves the keys of one database whose names match.
    Pattern {
        /// The glob.
        glob: Box<[u8]>,
        /// The database.
        db: DbIndex,
        /// Where to.
        to: NodeId,
    },
    /// Moves all keys of one database.
    Db {
        /// The database.
        db: DbIndex,
        /// Where to.
        to: NodeId,
    },
    /// Moves keys off nodes that hold more than their share.
    Rebalance {
        /// How far above its ideal a node may be, in percent of all used bytes.
        threshold: u8,
        /// The ideal shares of the nodes, as weights; a node not named has none.
        ideal: Vec<(NodeId, u32)>,
    },
    /// Turns NUMA values into native ones, in all databases.
    Release {
        /// Only keys whose names match.
        glob: Option<Box<[u8]>>,
    },
}

impl Task {
    fn db(&self) -> Option<DbIndex> {
        match self {
            Self::Pattern { db, .. } | Self::Db { db, .. } => Some(*db),
            Self::Rebalance { .. } | Self::Release { .. } => None,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::Pattern { glob, db, to } => {
                write!(f, "PATTERN {} of db {} to node {to}", text(glob), db.0)
            }
            Self::Db { db, to } => write!(f, "DB {} to node {to}", db.0),
            Self::Rebalance { .. } => f.write_str("REBALANCE"),
            Self::Release { glob: None } => f.write_str("RELEASE"),
            Self::Release { glob: Some(glob) } => write!(f, "RELEASE {}", text(glob)),
        }
    }
}

/// How far a pass is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Keys looked at.
    pub scanned: u64,
    /// Keys there were when it began.
    pub of: u64,
    /// Keys moved.
    pub moved: u64,
    /// Keys there was nothing to do for.
    pub skipped: u64,
    /// Keys that could not be moved.
    pub failed: u64,
    /// Bytes moved.
    pub bytes: Bytes,
}

impl Progress {
    fn note(&mut self, report: &Report) {
        self.moved += report.moved as u64;
        self.skipped += report.skipped as u64;
        self.failed += report.failed as u64;
        self.bytes += report.bytes;
    }
}

/// Whether a pass is through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassState {
    /// There is more to do.
    More,
    /// It is through.
    Done,
}

/// A task under way.
#[derive(Clone, Debug)]
pub struct Pass {
    task: Task,
    progress: Progress,
    pending: Vec<Move>,
    begun: bool,
    walked: bool,
}

impl Pass {
    /// The task, not begun.
    #[must_use]
    pub const fn new(task: Task) -> Self {
        Self {
            task,
            progress: Progress {
                scanned: 0,
                of: 0,
                moved: 0,
                skipped: 0,
                failed: 0,
                bytes: Bytes::ZERO,
            },
            pending: Vec::new(),
            begun: false,
            walked: false,
        }
    }

    /// What it is to do.
    #[must_use]
    pub const fn task(&self) -> &Task {
        &self.task
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Works until the budget is used up or the pass is through. `nodes` are those that may hold
    /// values and how full they are now; `clock` counts microseconds.
    pub fn step(
        &mut self,
        keyspace: &mut dyn Keyspace,
        nodes: &[(NodeId, Usage)],
        budget: &mut Budget,
        clock: &dyn Fn() -> u64,
        stats: &mut MoveStats,
    ) -> PassState {
        let start_us = clock();
        self.begin(keyspace);
        let mut shares = Shares::new(nodes);
        // What waits to be moved was decided already, but shows in no node's usage yet.
        for next in &self.pending {
            if let Some(info) = keyspace.look(&next.key) {
                shares.enter(&info, next.to);
            }
        }
        budget.spend_time(clock().saturating_sub(start_us));
        while !budget.is_exhausted() {
            if self.pending.is_empty() {
                if self.walked || self.is_settled(&shares) {
                    return PassState::Done;
                }
                self.slice(keyspace, &mut shares, budget, clock);
            }
            self.carry(keyspace, budget, clock, stats);
        }
        PassState::More
    }

    fn begin(&mut self, keyspace: &mut dyn Keyspace) {
        if !self.begun {
            self.begun = true;
            let db = self.task.db();
            keyspace.rewind(CursorId::Pass, db);
            self.progress.of = keyspace.keys(db);
        }
    }

    /// Looks at some keys and plans their moves.
    fn slice(
        &mut self,
        keyspace: &mut dyn Keyspace,
        shares: &mut Shares,
        budget: &mut Budget,
        clock: &dyn Fn() -> u64,
    ) {
        let start_us = clock();
        let (task, pending) = (&self.task, &mut self.pending);
        let step = keyspace.scan(CursorId::Pass, SLICE_KEYS, &mut |key, info| {
            pending.extend(task.plan(key, &info, shares));
        });
        self.progress.scanned += step.scanned as u64;
        self.walked = step.wrapped;
        // A slice costs something on any clock: a walk over keys that need no move ends too.
        budget.spend_time(clock().saturating_sub(start_us).max(1));
    }

    fn carry(
        &mut self,
        keyspace: &mut dyn Keyspace,
        budget: &mut Budget,
        clock: &dyn Fn() -> u64,
        stats: &mut MoveStats,
    ) {
        let moves = std::mem::take(&mut self.pending);
        let report = if let Task::Release { .. } = self.task {
            release(moves, keyspace, budget, clock)
        } else {
            carry_out(moves, keyspace, budget, clock, stats)
        };
        self.progress.note(&report);
        self.pending = report.rest;
    }

    /// Whether there is nothing left to do although the walk is not through.
    fn is_settled(&self, shares: &Shares) -> bool {
        match &self.task {
            Task::Rebalance { threshold, ideal } => !shares.any_overfull(ideal, *threshold),
            _ => false,
        }
    }
}

impl Task {
    /// The move of one key, where the task names it.
    fn plan(&self, key: &KeyRef, info: &KeyInfo, shares: &mut Shares) -> Option<Move> {
        let (to, why) = match self {
            Self::Pattern { glob, db, to } => {
                let named = key.db == *db && glob::matches(glob, &key.name);
                (named.then_some(*to)?, Why::Command)
            }
            Self::Db { db, to } => ((key.db == *db).then_some(*to)?, Why::Command),
            Self::Rebalance { threshold, ideal } => {
                (shares.settle(info, ideal, *threshold)?, Why::Balance)
            }
            Self::Release { glob } => {
                let named = glob
                    .as_ref()
                    .is_none_or(|glob| glob::matches(glob, &key.name));
                let numa = info.plane == Plane::Numa;
                ((named && numa).then_some(info.node)?, Why::Command)
            }
        };
        Some(Move {
            key: key.clone(),
            to,
            why,
            benefit: 0,
        })
    }
}

/// Turns the keys of `moves` into native ones. The mover does not do it, since nothing migrates.
fn release(
    moves: Vec<Move>,
    keyspace: &mut dyn Keyspace,
    budget: &mut Budget,
    clock: &dyn Fn() -> u64,
) -> Report {
    let mut report = Report::default();
    let mut moves = moves.into_iter();
    let mut last_us = clock();
    while !budget.is_exhausted() {
        let Some(next) = moves.next() else { break };
        let outcome = keyspace.release(&next.key);
        report.note(outcome);
        if let Outcome::Moved { bytes } = outcome {
            budget.spend_key(bytes);
        }
        let now_us = clock();
        budget.spend_time(now_us.saturating_sub(last_us));
        last_us = now_us;
    }
    report.rest = moves.collect();
    report
}

/// How full the nodes are, moves planned in this slice counted in.
struct Shares {
    nodes: Vec<(NodeId, Usage)>,
}

impl Shares {
    fn new(nodes: &[(NodeId, Usage)]) -> Self {
        Self {
            nodes: nodes.to_vec(),
        }
    }

    /// How far a node is above its ideal, in bytes; below it where negative.
    fn excess(&self, node: NodeId, used: Bytes, ideal: &[(NodeId, u32)]) -> i128 {
        let total: Bytes = self.nodes.iter().map(|(_, usage)| usage.used).sum();
        let weights: u128 = ideal.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let weight = ideal
            .iter()
            .find(|(other, _)| *other == node)
            .map_or(0, |(_, weight)| u128::from(*weight));
        let share = (u128::from(total.0) * weight)
            .checked_div(weights)
            .unwrap_or(0);
        i128::from(used.0) - share as i128
    }

    fn tolerance(&self, threshold: u8) -> i128 {
        let total: Bytes = self.nodes.iter().map(|(_, usage)| usage.used).sum();
        i128::from(total.percent(u64::from(threshold)).0)
    }

    fn is_overfull(&self, node: NodeId, ideal: &[(NodeId, u32)], threshold: u8) -> bool {
        let used = self.nodes.iter().find(|(other, _)| *other == node);
        used.is_some_and(|(_, usage)| {
            self.excess(node, usage.used, ideal) > self.tolerance(threshold)
        })
    }

    fn any_overfull(&self, ideal: &[(NodeId, u32)], threshold: u8) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|(node, _)| self.is_overfull(*node, ideal, threshold))
    }

    /// Where a key should go to, if its node is overfull; counted as moved from then on.
    fn settle(&mut self, info: &KeyInfo, ideal: &[(NodeId, u32)], threshold: u8) -> Option<NodeId> {
        if info.pinned || !self.is_overfull(info.node, ideal, threshold) {
            return None;
        }
        let excess =
            |(node, usage): &(NodeId, Usage)| (self.excess(*node, usage.used, ideal), *node);
        let with_room = self
            .nodes
            .iter()
            .filter(|(_, usage)| usage.used + info.bytes <= usage.limit);
        let (after, to) = with_room.map(excess).min()?;
        // A key larger than the gap would only make the other node the overfull one.
        if after + i128::from(info.bytes.0) > self.tolerance(threshold) {
            return None;
        }
        self.enter(info, to);
        Some(to)
    }

    /// Counts a key as moved.
    fn enter(&mut self, info: &KeyInfo, to: NodeId) {
        for (node, usage) in &mut self.nodes {
            if *node == info.node {
                usage.used -= info.bytes;
            }
            if *node == to {
                usage.used += info.bytes;
            }
        }
    }
}

/// Why a pass cannot start: another one runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassRunning {
    /// What the other one does.
    pub task: String,
}

impl fmt::Display for PassRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a pass is running already: {}", self.task)
    }
}

impl std::error::Error for PassRunning {}

/// How the last pass ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// What it was to do.
    pub task: String,
    /// How far it came.
    pub progress: Progress,
    /// Whether a user cancelled it.
    pub cancelled: bool,
}

/// The one pass that may run in the background, and how the last one ended.
#[derive(Debug, Default)]
pub struct Background {
    running: Option<Pass>,
    last: Option<Finished>,
}

impl Background {
    /// Nothing runs, nothing ran.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a pass.
    ///
    /// # Errors
    /// [`PassRunning`] with the one that runs.
    pub fn start(&mut self, task: Task) -> Result<(), PassRunning> {
        if let Some(pass) = &self.running {
            return Err(PassRunning {
                task: pass.task.to_string(),
            });
        }
        self.running = Some(Pass::new(task));
        Ok(())
    }

    /// Stops the pass that runs, and says how far it came; keys that it moved stay moved.
    pub fn cancel(&mut self) -> Option<Finished> {
        let pass = self.running.take()?;
        self.finish(&pass, true);
        self.last.clone()
    }

    /// The pass that runs.
    #[must_use]
    pub const fn running(&self) -> Option<&Pass> {
        self.running.as_ref()
    }

    /// How the last pass ended.
    #[must_use]
    pub const fn last(&self) -> Option<&Finished> {
        self.last.as_ref()
    }

    /// Works on the pass that runs; see [`Pass::step`].
    pub fn step(
        &mut self,
        keyspace: &mut dyn Keyspace,
        nodes: &[(NodeId, Usage)],
        budget: &mut Budget,
        clock: &dyn Fn() -> u64,
        stats: &mut MoveStats,
    ) {
        let Some(mut pass) = self.running.take() else {
            return;
        };
        match pass.step(keyspace, nodes, budget, clock, stats) {
            PassState::More => self.running = Some(pass),
            PassState::Done => self.finish(&pass, false),
        }
    }

    fn finish(&mut self, pass: &Pass, cancelled: bool) {
        self.last = Some(Finished {
            task: pass.task.to_string(),
            progress: pass.progress,
            cancelled,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{key, node, Fake};
    use super::*;

    const SLICE: Budget = Budget {
        time_us: 300,
        bytes: Bytes::MAX,
        keys: usize::MAX,
    };

    /// Runs a task in slices until it is through, and returns how many it took.
    fn run(fake: &mut Fake, task: Task) -> (usize, Finished) {
        let mut background = Background::new();
        background.start(task).unwrap();
        let mut slices = 0;
        while background.running().is_some() {
            slices += 1;
            assert!(slices < 10_000, "it never ends");
            step(fake, &mut background, SLICE);
        }
        (slices, background.last().unwrap().clone())
    }

    fn step(fake: &mut Fake, background: &mut Background, mut budget: Budget) {
        let (nodes, clock) = (fake.usage(), fake.clock());
        let mut stats = MoveStats::default();
        background.step(fake, &nodes, &mut budget, &clock, &mut stats);
    }

    fn many(count: usize) -> Fake {
        let mut fake = Fake::with_nodes(3);
        for number in 0..count {
            let name = format!("{}:{number}", if number % 2 == 0 { "even" } else { "odd" });
            fake.add(key(u32::from(number % 5 == 0), &name), 0, 100);
        }
        fake
    }

    fn all_to(db: u32, to: usize) -> Task {
        Task::Db {
            db: DbIndex(db),
            to: node(to),
        }
    }

    #[test]
    fn a_database_moves_in_slices_and_no_other_one() {
        let mut fake = many(500);
        let (slices, finished) = run(&mut fake, all_to(0, 2));
        assert!(slices >= 400 / 30, "{slices}");
        let progress = finished.progress;
        assert_eq!(
            (progress.of, progress.moved, progress.failed),
            (400, 400, 0)
        );
        assert_eq!((fake.count_on(2), fake.count_on(0)), (400, 100));
        let mut keys = fake.keys.iter();
        assert!(keys.all(|(key, info)| (key.db.0 == 0) == (info.node == node(2))));
    }

    #[test]
    fn a_pattern_moves_the_keys_it_names() {
        let mut fake = many(100);
        let task = Task::Pattern {
            glob: b"odd:*".as_slice().into(),
            db: DbIndex(0),
            to: node(1),
        };
        assert_eq!(task.to_string(), "PATTERN odd:* of db 0 to node 1");
        let (_, finished) = run(&mut fake, task);
        assert_eq!(finished.progress.moved, 40);
        assert_eq!(fake.count_on(1), 40);
    }

    #[test]
    fn pinned_keys_and_full_nodes_are_counted_and_left() {
        let mut fake = many(100);
        fake.keys[1].1.pinned = true;
        fake.limits[1] = Bytes(5000);
        let (_, finished) = run(&mut fake, all_to(0, 1));
        let progress = finished.progress;
        assert_eq!(
            (progress.moved, progress.skipped, progress.failed),
            (50, 1, 29)
        );
    }

    #[test]
    fn one_at_a_time_and_a_cancelled_one_says_how_far_it_came() {
        let mut fake = many(500);
        let mut background = Background::new();
        assert!(background.cancel().is_none());
        background.start(all_to(0, 1)).unwrap();
        let second = background.start(all_to(1, 1)).unwrap_err();
        assert_eq!(second.task, "DB 0 to node 1");
        step(&mut fake, &mut background, SLICE);
        let finished = background.cancel().unwrap();
        assert!(finished.cancelled);
        assert_eq!(finished.progress.moved as usize, fake.count_on(1));
        assert!((1..400).contains(&fake.count_on(1)));
        background.start(all_to(0, 1)).unwrap();
    }

    #[test]
    fn without_a_budget_nothing_happens() {
        let mut fake = many(10);
        let mut background = Background::new();
        background.start(all_to(0, 1)).unwrap();
        for _ in 0..10 {
            step(&mut fake, &mut background, Budget { keys: 0, ..SLICE });
        }
        assert_eq!(
            (fake.count_on(0), background.running().is_some()),
            (10, true)
        );
    }

    #[test]
    fn an_empty_keyspace_is_done_at_once() {
        let mut fake = Fake::with_nodes(2);
        let (slices, finished) = run(&mut fake, all_to(0, 1));
        assert_eq!((slices, finished.progress), (1, Progress::default()));
    }

    #[test]
    fn release_turns_numa_values_native() {
        let mut fake = many(100);
        fake.keys[0].1.plane = Plane::Native;
        let (_, finished) = run(&mut fake, Task::Release { glob: None });
        assert_eq!(finished.progress.moved, 99);
        let mut keys = fake.keys.iter();
        assert!(keys.all(|(_, info)| info.plane == Plane::Native));
    }

    fn shares(fake: &Fake) -> Vec<u64> {
        let total: u64 = fake.keys.iter().map(|(_, info)| info.bytes.0).sum();
        let usage = fake.usage().into_iter();
        usage.map(|(_, usage)| usage.used.0 * 100 / total).collect()
    }

    fn rebalance(threshold: u8, weights: &[u32]) -> Task {
        let ideal = weights.iter().enumerate();
        Task::Rebalance {
            threshold,
            ideal: ideal.map(|(at, &weight)| (node(at), weight)).collect(),
        }
    }

    #[test]
    fn rebalance_ends_when_no_node_is_overfull() {
        let mut fake = many(900);
        let (_, finished) = run(&mut fake, rebalance(10, &[1, 1, 1]));
        let after = shares(&fake);
        assert!(after.iter().all(|&share| share <= 43), "{after:?}");
        assert!(
            finished.progress.moved <= 600,
            "it moves no more than it must"
        );
        let again = run(&mut fake, rebalance(10, &[1, 1, 1])).1;
        assert_eq!(again.progress.moved, 0);
    }

    #[test]
    fn rebalance_follows_the_weights_to_the_byte_and_spares_pinned_keys() {
        let mut fake = many(1000);
        fake.keys[7].1.pinned = true;
        run(&mut fake, rebalance(0, &[20, 30, 50]));
        assert_eq!(shares(&fake), [20, 30, 50]);
        assert_eq!(fake.keys[7].1.node, node(0));
        let mut fake = many(100);
        run(&mut fake, rebalance(0, &[0, 0, 1]));
        assert_eq!(fake.count_on(2), 100);
    }

    #[test]
    fn rebalance_asks_no_node_for_more_than_it_holds() {
        let mut fake = many(300);
        fake.limits = vec![Bytes::MAX, Bytes(1000), Bytes::ZERO];
        let (_, finished) = run(&mut fake, rebalance(5, &[1, 1, 1]));
        assert_eq!(finished.progress.failed, 0);
        assert_eq!((fake.count_on(1), fake.count_on(2)), (10, 0));
    }

    #[test]
    fn rebalance_of_nothing_or_towards_nowhere_is_harmless() {
        run(&mut Fake::with_nodes(0), rebalance(0, &[]));
        run(&mut Fake::with_nodes(2), rebalance(0, &[1, 1]));
        let mut fake = many(20);
        run(&mut fake, rebalance(0, &[]));
        let mut one = Fake::with_nodes(1);
        one.add(key(0, "k"), 0, 1 << 40);
        run(&mut one, rebalance(0, &[1]));
        assert_eq!(one.count_on(0), 1);
    }
}
