//! A simulated server: the real heat, strategies, runner, mover and pace over a `Vec` of keys.
//!
//! Time passes by requests (a tick of 10 ms each so many of them) and by what the runner does in a
//! tick: a scanned key, a look and a move have their price, so that a tick's budget buys here what
//! it buys on a server. The prices are those of a server with 1,000,000 NUMA strings of 100 bytes,
//! in CPU time of its main thread on a busy machine of 2 cores, rounded up:
//!
//! ```text
//! a tick with nothing to do         46 us    (numa_tick_usec_total / numa_ticks)
//! a key passed by the survey       760 ns    (the same, with 200 keys a tick and with 1)
//! a move                         1,150 ns    (total_migration_time_us / total_migrations)
//! ```
//!
//! Unit tests use it, and `make bench-tiering`, which is why it is compiled with the feature
//! `simulator` too. It is no part of what is shipped.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a tool of tests and benches: a wrong number should stop it where it is"
)]

pub mod load;
#[cfg(test)]
mod tests;

use super::{Bar, CompositeLru, Engine, Event, NoOp, Pace, Params, Plan, Priority, Runner, View};
use crate::config::Config;
use crate::heat::{Clock, Dice, Heat};
use crate::ids::{Bytes, DbIndex, NodeId, SlotIndex};
use crate::migrate::{
    carry_out, Budget, CursorId, KeyInfo, KeyRef, Keyspace, Kind, MoveStats, Outcome, Plane,
    Report, ScanStep, Usage,
};
use load::{shuffled, Random};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What a tick takes that finds nothing to do.
const TICK_OVERHEAD_NS: u64 = 46_000;
const SCAN_NS: u64 = 760;
const LOOK_NS: u64 = 600;
/// The price of a move; rivals are charged the same.
pub const MOVE_NS: u64 = 1150;
const TICK_NS: u64 = 10_000_000;
/// How many hot far accesses a tick is told of at most, as in the server.
const HOT_QUEUE_MAX: usize = 256;

/// What one tick may use: 2 % of 10 ms, and a hundredth of 256 MiB.
pub const TICK: Budget = Budget {
    time_us: 200,
    bytes: Bytes(2_684_354),
    keys: usize::MAX,
};

/// A simulated key.
#[derive(Debug)]
pub struct SimKey {
    pub node: NodeId,
    pub bytes: Bytes,
    pub heat: Heat,
    pub pinned: bool,
}

/// What happened since the last look at the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub requests: u64,
    pub near_hits: u64,
    pub moves: u64,
    /// Main-thread time of the ticks beyond what an idle one takes.
    pub worked_ns: u64,
}

impl Figures {
    /// Near hits as a share of requests.
    #[must_use]
    pub fn hits(&self) -> f64 {
        self.near_hits as f64 / self.requests.max(1) as f64
    }

    /// Moves for 1,000 requests.
    #[must_use]
    pub fn moves(&self) -> f64 {
        self.moves as f64 * 1000.0 / self.requests.max(1) as f64
    }

    /// Work for one request.
    #[must_use]
    pub fn work_ns(&self) -> f64 {
        self.worked_ns as f64 / self.requests.max(1) as f64
    }
}

/// The simulated server. See the head of the file.
#[derive(Debug)]
pub struct Sim {
    pub keys: Vec<Option<SimKey>>,
    pub usage: Vec<Usage>,
    pub home: NodeId,
    pub params: Params,
    pub stats: MoveStats,
    figures: Figures,
    accesses: (u64, u64),
    requests_per_tick: u64,
    since_tick: u64,
    pace: Pace,
    clock: Clock,
    bar: Option<Bar>,
    dice: Dice,
    hot: VecDeque<u32>,
    now_ns: Rc<Cell<u64>>,
    /// The walk's order: not the order in which the keys were made.
    walk: Vec<u32>,
    cursors: [usize; 2],
}

#[must_use]
pub fn node(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

#[must_use]
pub fn name(number: usize) -> KeyRef {
    KeyRef::new(DbIndex(0), &(number as u32).to_be_bytes())
}

fn index(key: &KeyRef) -> usize {
    u32::from_be_bytes((*key.name).try_into().unwrap()) as usize
}

impl Sim {
    /// Keys of these sizes on two nodes. The near one, 0, may hold `near` bytes, and the first
    /// keys fill it to its high watermark; the far one has room for all.
    #[must_use]
    pub fn new(sizes: &[u64], near: Bytes) -> Self {
        let total: u64 = sizes.iter().sum();
        let usage = |limit| Usage {
            used: Bytes::ZERO,
            limit,
        };
        let mut sim = Self {
            keys: Vec::new(),
            usage: vec![usage(near), usage(Bytes(total * 2))],
            home: node(0),
            params: Params::default(),
            stats: MoveStats::default(),
            figures: Figures::default(),
            accesses: (0, 0),
            requests_per_tick: 1000,
            since_tick: 0,
            pace: Pace::new(&Config::default()),
            clock: Clock::new(),
            bar: None,
            dice: Dice::new(42),
            hot: VecDeque::new(),
            now_ns: Rc::default(),
            walk: shuffled(sizes.len(), &mut Random::new(99)),
            cursors: [0; 2],
        };
        sim.clock.advance(0);
        sim.clock.set_keys(sizes.len() as u64);
        sizes.iter().for_each(|&bytes| sim.add(Bytes(bytes)));
        sim
    }

    fn add(&mut self, bytes: Bytes) {
        let room = self.usage[0].room_below(self.params.watermark_high);
        let at = usize::from(room < bytes);
        self.usage[at].used += bytes;
        self.keys.push(Some(SimKey {
            node: node(at),
            bytes,
            heat: Heat::born(&self.clock),
            pinned: false,
        }));
    }

    /// Sets how many requests a second come; 100,000 until it is set.
    pub fn set_rate(&mut self, rate: u64) {
        self.requests_per_tick = (rate / 100).max(1);
    }

    /// One request for a key.
    pub fn access(&mut self, number: usize) {
        self.figures.requests += 1;
        self.clock.count_request();
        let Some(Some(key)) = self.keys.get_mut(number) else {
            return;
        };
        let score = key.heat.score(&self.clock);
        key.heat.touch(&self.clock, self.dice.roll());
        let level = key.heat.level;
        if key.node == self.home {
            self.figures.near_hits += 1;
            self.accesses.0 += 1;
            return;
        }
        self.accesses.1 += 1;
        let told = self
            .bar
            .is_some_and(|bar| level >= bar.level && score >= bar.score)
            && self.hot.len() < HOT_QUEUE_MAX;
        if told {
            self.hot.push_back(number as u32);
        }
    }

    /// The next tick comes, and the runner has its turn with that budget.
    pub fn tick(&mut self, runner: &mut Runner, mut budget: Budget) -> Vec<Event> {
        self.sleep_ms(10);
        let begun_ns = self.now_ns.get();
        let moves_before = self.stats.successful;
        let events = runner.tick(self, &mut budget);
        self.hot.clear();
        self.bar = runner.bar();
        if runner.take_shift() {
            self.clock.turn_over();
        }
        self.figures.worked_ns += self.now_ns.get() - begun_ns;
        self.figures.moves += self.stats.successful - moves_before;
        events
    }

    /// The next tick comes, and the runner has what the pace lets it have.
    fn paced_tick(&mut self, runner: &mut Runner) {
        let mut budget = self.pace.next(TICK_NS / 1000);
        budget.time_us = budget.time_us.saturating_sub(TICK_OVERHEAD_NS / 1000);
        let worked_before = self.figures.worked_ns;
        let events = self.tick(runner, budget);
        let stopped = |event: &Event| matches!(event, Event::Stopped { .. });
        assert!(!events.iter().any(stopped), "{events:?}");
        let worked_us = (self.figures.worked_ns - worked_before + TICK_OVERHEAD_NS) / 1000;
        self.pace.note_hunger(runner.is_hungry());
        self.pace.spent(worked_us, Bytes::ZERO);
    }

    /// Time passes to the next tick at least.
    pub fn sleep_ms(&mut self, ms: u64) {
        let ticks = (ms * 1_000_000).div_ceil(TICK_NS);
        let now = self.now_ns.get() / TICK_NS + ticks;
        self.now_ns.set(now * TICK_NS);
        self.clock.advance(self.now_ms());
    }

    /// Serves that many requests, with a tick whenever its time has come.
    pub fn serve(&mut self, runner: &mut Runner, requests: u64, next: &mut dyn FnMut() -> usize) {
        for _ in 0..requests {
            self.access(next());
            self.since_tick += 1;
            if self.since_tick >= self.requests_per_tick {
                self.since_tick = 0;
                self.paced_tick(runner);
            }
        }
    }

    /// What happened since the last call.
    pub fn take_figures(&mut self) -> Figures {
        std::mem::take(&mut self.figures)
    }

    /// The node of a key, and that usage is the sum of the keys.
    #[must_use]
    pub fn node_of(&self, number: usize) -> NodeId {
        self.check();
        self.keys[number].as_ref().unwrap().node
    }

    /// Checks that usage is the sum of the keys, and within its limit.
    pub fn check(&self) {
        for (number, usage) in self.usage.iter().enumerate() {
            let here = self
                .keys
                .iter()
                .flatten()
                .filter(|key| key.node == node(number));
            assert_eq!(usage.used, here.map(|key| key.bytes).sum(), "node {number}");
            assert!(usage.used <= usage.limit);
        }
    }

    fn info(&self, number: usize) -> Option<KeyInfo> {
        let key = self.keys.get(number)?.as_ref()?;
        Some(KeyInfo {
            node: key.node,
            bytes: key.bytes,
            level: key.heat.level(&self.clock),
            score: key.heat.score(&self.clock),
            idle_ms: key.heat.idle_ms(&self.clock),
            accesses: u64::from(key.heat.accesses),
            pinned: key.pinned,
            kind: Kind::String,
            plane: Plane::Numa,
        })
    }

    fn spend_ns(&self, ns: u64) {
        self.now_ns.set(self.now_ns.get() + ns);
    }
}

impl Keyspace for Sim {
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        self.spend_ns(LOOK_NS);
        self.info(index(key))
    }

    fn relocate(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let Some(info) = self.info(index(key)) else {
            return Outcome::Missing;
        };
        if info.node == to {
            return Outcome::AlreadyThere;
        }
        if info.pinned {
            return Outcome::Pinned;
        }
        self.spend_ns(MOVE_NS);
        if self.usage[to.index()].room_below(100) < info.bytes {
            return Outcome::NoRoom;
        }
        self.usage[to.index()].used += info.bytes;
        self.usage[info.node.index()].used -= info.bytes;
        self.keys[index(key)].as_mut().unwrap().node = to;
        Outcome::Moved { bytes: info.bytes }
    }

    fn release(&mut self, _key: &KeyRef) -> Outcome {
        Outcome::Unsupported
    }

    fn scan(
        &mut self,
        cursor: CursorId,
        max: usize,
        each: &mut dyn FnMut(&KeyRef, KeyInfo),
    ) -> ScanStep {
        let from = self.cursors[cursor as usize];
        let to = (from + max).min(self.walk.len());
        for &number in &self.walk[from..to] {
            let number = number as usize;
            if let Some(info) = self.info(number) {
                each(&name(number), info);
            }
        }
        let step = ScanStep {
            scanned: to - from,
            wrapped: to == self.walk.len(),
        };
        self.cursors[cursor as usize] = if step.wrapped { 0 } else { to };
        self.spend_ns(SCAN_NS * step.scanned as u64);
        step
    }

    fn rewind(&mut self, cursor: CursorId, _db: Option<DbIndex>) {
        self.cursors[cursor as usize] = 0;
    }

    fn keys(&self, _db: Option<DbIndex>) -> u64 {
        self.keys.iter().flatten().count() as u64
    }
}

impl View for Sim {
    fn now_ms(&self) -> u64 {
        self.now_ns.get() / 1_000_000
    }

    fn now_us(&self) -> u64 {
        self.now_ns.get() / 1000
    }

    fn home(&self) -> NodeId {
        self.home
    }

    fn nodes(&self) -> Vec<NodeId> {
        let others = (0..self.usage.len()).map(node);
        let others = others.filter(|id| *id != self.home);
        std::iter::once(self.home).chain(others).collect()
    }

    fn usage(&self, node: NodeId) -> Usage {
        self.usage.get(node.index()).copied().unwrap_or(Usage::NONE)
    }

    fn take_hot(&mut self, max: usize) -> Vec<KeyRef> {
        let count = max.min(self.hot.len());
        self.hot
            .drain(..count)
            .map(|number| name(number as usize))
            .collect()
    }

    fn accesses(&self) -> (u64, u64) {
        self.accesses
    }

    fn era_ms(&self) -> u64 {
        self.clock.era_ms()
    }

    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        Keyspace::look(self, key)
    }

    fn scan(&mut self, max: usize, each: &mut dyn FnMut(&KeyRef, KeyInfo)) -> ScanStep {
        Keyspace::scan(self, CursorId::Survey, max, each)
    }

    fn params(&self) -> Params {
        self.params
    }
}

impl Engine for Sim {
    fn carry(&mut self, plan: Plan, budget: &mut Budget) -> Report {
        let mut stats = self.stats;
        let now_ns = Rc::clone(&self.now_ns);
        let clock = move || now_ns.get() / 1000;
        let report = carry_out(plan.into_moves(), self, budget, &clock, &mut stats);
        self.stats = stats;
        report
    }

    fn view(&mut self) -> &mut dyn View {
        self
    }
}

/// The slots as the module fills them.
#[must_use]
pub fn runner() -> Runner {
    let mut runner = Runner::new();
    let slot = |number| SlotIndex::new(number).unwrap();
    let (no_op, composite) = (Box::<NoOp>::default(), Box::<CompositeLru>::default());
    runner.install(slot(0), no_op, Priority::Low, 1000).unwrap();
    runner
        .install(slot(1), composite, Priority::High, 1000)
        .unwrap();
    runner
}
