//! What runs on the timer: the strategies, the background pass, the survey, the check of home.
//!
//! ```text
//! tick -> clock -> foreign frees home -> memory back to the machine -> [moves allowed?] ->
//! slices -> runner -> pass -> survey -> compaction
//! ```
//!
//! Moves are allowed unless the module is switched off, the dataset is loading, or a child of the
//! server shares our OS pages (design D13). Nothing here replicates but a release: it waits while
//! replication must rest, ends where the server becomes a replica (whose master now says what its
//! keys are), and works while the module is switched off, being the way to leave.

use super::compact::Compactor;
use super::native::Native;
use super::plugin;
use super::raw::{thread_cpu_ns, Ctx, LogLevel};
use super::reach::{Cursors, Reach};
use super::server::Server;
use super::slices::Slices;
use super::state_file::StateFile;
use super::survey::Survey;
use crate::config::{Config, HomeSetting, NativeKeys};
use crate::ids::{Bytes, Level, NodeId, SlotIndex};
use crate::machine::{HomeChoice, HomeTracker, Machine};
use crate::migrate::{Background, Budget, Keyspace, MoveStats, Pass, Task, Usage};
use crate::placement::Policy;
use crate::strategy::{
    Balance, Bar, BenefitCost, CompositeLru, Event, NoOp, Pace, Priority, Runner, Strategy, View,
    INTERVAL_DEFAULT_MS,
};
use std::time::Instant;

/// Foreign frees brought home in one step.
const DRAIN_STEP: usize = 128;
/// What of a tick's budget the steps of bringing frees home, and of giving memory back, may each
/// take: whatever waits, the rest is for moves.
const UPKEEP_SHARE: u64 = 5;
/// Keys the survey looks at in a tick in which no strategy walked, and where the server is busy.
const IDLE_WALK_KEYS: usize = 64;
const BUSY_WALK_KEYS: usize = 16;
/// OS pages that the kernel is asked about in one tick, and where the server is busy.
const VERIFY_PAGES: usize = 128;
const BUSY_VERIFY_PAGES: usize = 16;
/// Accesses between two ticks from which on the server is busy, and for how many ticks it counts as
/// that: more than the plane of native keys leaves unwatched.
const BUSY_ACCESSES: u64 = 128;
const BUSY_TICKS: u32 = 40;
/// How long after a move native keys are watched more closely: their places are being sought.
const SEEKING_MS: u64 = 5000;
/// How often the slow looks are taken: key counts, trimming, the server's own limits.
const SLOW_MS: u64 = 1000;

/// Why nothing moves now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// `numa-enabled no`.
    SwitchedOff,
    /// The dataset is being loaded.
    Loading,
    /// A child of the server runs.
    Child,
}

impl Rest {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::SwitchedOff => "switched off by numa-enabled",
            Self::Loading => "paused while the dataset loads",
            Self::Child => "paused while a child of the server runs",
        }
    }
}

/// Times of the ticks, in us of the main thread's CPU.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Holds {
    pub(crate) ticks: u64,
    pub(crate) total_us: u64,
    pub(crate) tick_max_us: u64,
    pub(crate) hold_max_us: u64,
}

/// See the head of the file.
pub(crate) struct Works {
    pub(crate) runner: Runner,
    pub(crate) background: Background,
    pub(crate) stats: MoveStats,
    pub(crate) survey: Survey,
    pub(crate) compactor: Compactor,
    pub(crate) holds: Holds,
    pub(crate) rest: Option<Rest>,
    pub(crate) slices: Slices,
    pub(crate) state_file: StateFile,
    cursors: Cursors,
    pace: Pace,
    tracker: HomeTracker,
    started: Instant,
    last_tick: Instant,
    slow_due_ms: u64,
    rebalance_due_ms: u64,
    tick_interval_ms: u64,
    generation: usize,
    /// Accesses until the last tick, and for how many more the server counts as busy.
    accesses: u64,
    busy_ticks: u32,
    /// Until when native keys are watched closely.
    seeking_until_ms: u64,
}

impl Works {
    pub(crate) fn new(machine: &dyn Machine, config: &Config, server_cpus: &[usize]) -> Self {
        let seen = machine.current_cpu_node();
        let choice = home_choice(config);
        let now = Instant::now();
        Self {
            runner: built_in_slots(),
            background: Background::new(),
            stats: MoveStats::default(),
            survey: Survey::default(),
            compactor: Compactor::default(),
            holds: Holds::default(),
            rest: None,
            slices: Slices::default(),
            state_file: StateFile::default(),
            cursors: Cursors::default(),
            pace: Pace::new(config),
            tracker: HomeTracker::new(choice, machine.topology(), server_cpus, seen),
            started: now,
            last_tick: now,
            slow_due_ms: 0,
            rebalance_due_ms: config.rebalance_interval_us / 1000,
            tick_interval_ms: config.tick_interval_ms,
            generation: 0,
            accesses: 0,
            busy_ticks: 0,
            seeking_until_ms: 0,
        }
    }

    /// The names of the strategies that are built in.
    pub(crate) const BUILT_IN: [&'static str; 4] =
        ["no-op", "composite-lru", "benefit-cost", "balance"];

    /// A new strategy of that name.
    pub(crate) fn built_in(name: &str) -> Option<Box<dyn Strategy>> {
        match name {
            "no-op" => Some(Box::new(NoOp::default())),
            "composite-lru" => Some(Box::new(CompositeLru::new())),
            "benefit-cost" => Some(Box::new(BenefitCost::new())),
            "balance" => Some(Box::new(Balance::default())),
            _ => None,
        }
    }

    /// Takes the strategy of that name out of whatever slot it is in.
    pub(crate) fn empty_slots_of(&mut self, name: &str) {
        let slots: Vec<SlotIndex> = self
            .runner
            .statuses()
            .filter(|(_, status)| status.name == name)
            .map(|(at, _)| at)
            .collect();
        for at in slots {
            // It was filled a line ago.
            drop(self.runner.remove(at));
        }
    }

    pub(crate) fn apply(&mut self, config: &Config) {
        self.pace.apply(config);
        self.tick_interval_ms = config.tick_interval_ms;
        self.tracker.set_choice(home_choice(config));
    }

    pub(crate) fn home(&self) -> NodeId {
        self.tracker.home()
    }

    /// Starts the timer anew; ticks of an earlier generation do nothing.
    pub(crate) fn start_timer(&mut self, ctx: Ctx<'_>) {
        self.generation += 1;
        ctx.start_timer(self.tick_interval_ms, self.generation);
    }

    /// How far the last whole survey lies back, in ms.
    pub(crate) fn survey_age_ms(&self) -> Option<u64> {
        let now_ms = self.started.elapsed().as_millis() as u64;
        self.survey
            .finished_ms()
            .map(|at| now_ms.saturating_sub(at))
    }

    /// The keyspace for a command or a tick.
    pub(crate) fn reach<'c>(
        &'c mut self,
        ctx: Ctx<'c>,
        server: &'static Server,
        config: &'c Config,
    ) -> (Reach<'c>, &'c mut Runner, &'c mut Background) {
        let clock = server
            .pulse
            .with(|pulse| pulse.clock.clone())
            .unwrap_or_default();
        let reach = Reach {
            ctx,
            server,
            cursors: &mut self.cursors,
            slices: &mut self.slices,
            survey: &mut self.survey,
            stats: &mut self.stats,
            config,
            started: self.started,
            home: self.tracker.home(),
            clock,
            walked: false,
            slot: None,
        };
        (reach, &mut self.runner, &mut self.background)
    }

    /// Keys may be others now (a flush, a swap): the census begins anew. A pass goes on where it
    /// is: it looks at each key before it moves it, and an application that flushes often would
    /// never let it end.
    pub(crate) fn keyspace_changed(&mut self) {
        self.survey.abandon();
        self.cursors.restart_survey();
    }

    /// One tick; false when a newer timer runs.
    pub(crate) fn tick(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        generation: usize,
    ) -> bool {
        if generation != self.generation {
            return false;
        }
        let (begun, begun_cpu_ns) = (Instant::now(), thread_cpu_ns());
        let config = server.config();
        let passed_us = self.last_tick.elapsed().as_micros() as u64;
        self.last_tick = Instant::now();
        let now_ms = self.started.elapsed().as_millis() as u64;
        let shared = ctx.flags().child_running();
        server.pulse.with(|pulse| {
            pulse.clock.advance(now_ms);
            pulse.shared = shared;
        });
        let upkeep_us = config.tick_budget_us / UPKEEP_SHARE;
        repeat(upkeep_us, || server.pool.drain(DRAIN_STEP) == DRAIN_STEP);
        repeat(upkeep_us, || server.pool.trim() > Bytes::ZERO);
        server
            .native
            .get()
            .into_iter()
            .for_each(Native::sweep_as_due);
        self.observe_home(ctx, server);
        plugin::sweep(server, self);
        if now_ms >= self.slow_due_ms {
            self.slow_due_ms = now_ms + SLOW_MS;
            slow_looks(ctx, server);
        }
        super::load::start_native(ctx, server, &config);
        self.rest = rest(ctx, &config);
        self.end_release_on_replica(ctx);
        let mut budget = self.pace.next(passed_us);
        let most_us = left_of_tick(&config, begun.elapsed().as_micros() as u64);
        budget.time_us = budget.time_us.min(most_us);
        let moved = match self.rest {
            None => {
                self.rebalance_when_due(&config, server, now_ms);
                self.work(ctx, server, &config, budget, begun)
            }
            Some(Rest::SwitchedOff) if self.is_releasing() => {
                self.pass_alone(ctx, server, &config, budget)
            }
            Some(_) => Bytes::ZERO,
        };
        if self.rest.is_some() {
            let native = server.native.get().into_iter();
            native.for_each(|native| native.rest(ctx));
        }
        // In time that the machine gave to others nothing of the server's was used.
        let used_us = thread_cpu_ns().saturating_sub(begun_cpu_ns) / 1000;
        self.pace.spent(used_us, moved);
        ctx.start_timer(config.tick_interval_ms, self.generation);
        true
    }

    /// Does what is due within the budget of the tick that has `begun`; the bytes moved.
    fn work(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        config: &Config,
        budget: Budget,
        begun: Instant,
    ) -> Bytes {
        let mut left = budget;
        // What a step took without counting it, the next one does not have.
        let recount = |left: &mut Budget| {
            let most_us = left_of_tick(config, begun.elapsed().as_micros() as u64);
            left.time_us = left.time_us.min(most_us);
        };
        self.keep_state(ctx, server, config, &mut left);
        let (reach, _, _) = self.reach(ctx, server, config);
        let accesses = View::accesses(&reach);
        let busy = self.is_busy(accesses);
        let (mut reach, runner, background) = self.reach(ctx, server, config);
        reach.continue_slices(&mut left);
        reach.settle_native(&mut left);
        reach.hold_pins(&mut left);
        recount(&mut left);
        #[cfg(feature = "restless")]
        {
            let nodes = View::nodes(&reach);
            super::restless::stir(&mut reach, &nodes);
        }
        let events = runner.tick(&mut reach, &mut left);
        recount(&mut left);
        step(background, &mut reach, &mut left);
        recount(&mut left);
        if !reach.walked && !left.is_exhausted() {
            let keys = if busy { BUSY_WALK_KEYS } else { IDLE_WALK_KEYS };
            View::scan(&mut reach, keys, &mut |_, _| {});
        }
        let now_ms = View::now_ms(&reach);
        let (bar, hungry, shifted) = (runner.bar(), runner.is_hungry(), runner.take_shift());
        let compacting = self.compactor.step(ctx, server, &mut left, now_ms);
        if !left.is_exhausted() {
            let pages = if busy {
                BUSY_VERIFY_PAGES
            } else {
                VERIFY_PAGES
            };
            server
                .verifier
                .with(|verifier| verifier.step(server, pages));
        }
        server.pulse.with(|pulse| {
            pulse.set_bar(bar);
            if shifted {
                pulse.clock.turn_over();
            }
        });
        let moved = budget.bytes - left.bytes;
        if hungry || moved > Bytes::ZERO {
            self.seeking_until_ms = now_ms + SEEKING_MS;
        }
        tick_native(ctx, server, config, bar, now_ms < self.seeking_until_ms);
        log_events(ctx, config, events);
        self.pace.note_hunger(hungry || compacting);
        moved
    }

    /// Whether clients ask for much of late: what nobody waits for is then done slowly, for each
    /// request pays its part of a tick. Told by accesses: time that the main thread does not get
    /// looks like time that it does not need.
    fn is_busy(&mut self, (near, far): (u64, u64)) -> bool {
        let since = (near + far).saturating_sub(self.accesses);
        self.accesses = near + far;
        self.busy_ticks = if since >= BUSY_ACCESSES {
            BUSY_TICKS
        } else {
            self.busy_ticks.saturating_sub(1)
        };
        self.busy_ticks > 0
    }

    /// A release while the module is switched off: nothing else runs. The bytes moved.
    fn pass_alone(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        config: &Config,
        budget: Budget,
    ) -> Bytes {
        let mut left = budget;
        let (mut reach, _, background) = self.reach(ctx, server, config);
        step(background, &mut reach, &mut left);
        budget.bytes - left.bytes
    }

    /// Writes the state file: the server is about to end.
    pub(crate) fn finish(&mut self, ctx: Ctx<'_>, server: &'static Server) {
        let clock = server.pulse.with(|pulse| pulse.clock.clone());
        self.state_file
            .finish(ctx, server, &clock.unwrap_or_default());
    }

    /// Goes on with the state file, with a part of what is left.
    fn keep_state(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        config: &Config,
        left: &mut Budget,
    ) {
        let mut state_file = std::mem::take(&mut self.state_file);
        let interval_ms = config.state_interval_sec.saturating_mul(1000);
        let (mut reach, _, _) = self.reach(ctx, server, config);
        state_file.step(&mut reach, left, interval_ms);
        self.state_file = state_file;
    }

    fn is_releasing(&self) -> bool {
        self.background.running().is_some_and(is_release)
    }

    fn end_release_on_replica(&mut self, ctx: Ctx<'_>) {
        if self.is_releasing() && ctx.flags().replica() {
            self.background.cancel();
            ctx.log(
                LogLevel::Notice,
                "RELEASE ended: this server is a replica now and follows its master",
            );
        }
    }

    fn observe_home(&mut self, ctx: Ctx<'_>, server: &'static Server) {
        let seen = server.machine.current_cpu_node();
        if self.tracker.observe(seen).is_none() && self.tracker.home() == server.home() {
            return;
        }
        let home = self.tracker.home();
        server.pulse.with(|pulse| pulse.home = home);
        server.steering.with(|steering| steering.set_home(home));
        ctx.log(
            LogLevel::Notice,
            &format!("home is node {home} now; strategies follow"),
        );
    }

    fn rebalance_when_due(&mut self, config: &Config, server: &'static Server, now_ms: u64) {
        if !config.auto_rebalance || !spreads(config.policy) || now_ms < self.rebalance_due_ms {
            return;
        }
        self.rebalance_due_ms = now_ms + config.rebalance_interval_us / 1000;
        if let Some(task) = server.rebalance_task(config) {
            if self.background.running().is_none() && server.is_unbalanced(&task) {
                // Nobody asked for this one, so nobody is told when another runs.
                let _ = self.background.start(task);
            }
        }
    }
}

/// Takes steps until there is no more to do or the time is over; at least one.
fn repeat(most_us: u64, mut step: impl FnMut() -> bool) {
    let begun = Instant::now();
    while step() && begun.elapsed().as_micros() < most_us.into() {}
}

/// What a tick that has taken `used_us` may still use. A quarter of its budget stays for what no
/// step counts and for the last step, which is only found to be too long when it is over: a tick as
/// a whole keeps to its budget.
fn left_of_tick(config: &Config, used_us: u64) -> u64 {
    let planned_us = config.tick_budget_us - config.tick_budget_us / 4;
    planned_us.saturating_sub(used_us)
}

fn is_release(pass: &Pass) -> bool {
    matches!(pass.task(), Task::Release { .. })
}

/// Goes on with the background pass, if one runs and may.
fn step(background: &mut Background, reach: &mut Reach<'_>, left: &mut Budget) {
    let waits = |pass: &Pass| is_release(pass) && Ctx::must_not_replicate();
    if left.is_exhausted() || background.running().is_none_or(waits) {
        return;
    }
    let usage = |node: NodeId| (node, reach.usage(node));
    let nodes: Vec<(NodeId, Usage)> = reach.nodes().into_iter().map(usage).collect();
    let started = reach.started;
    let clock = move || started.elapsed().as_micros() as u64;
    let mut stats = *reach.stats;
    let keyspace: &mut dyn Keyspace = reach;
    background.step(keyspace, &nodes, left, &clock, &mut stats);
    *reach.stats = stats;
}

/// Whether the policy means keys to be spread: under the others it is the strategies that say
/// where a key belongs, and a balance by bytes would work against them.
fn spreads(policy: Policy) -> bool {
    !matches!(policy, Policy::LocalFirst | Policy::CxlOptimized)
}

/// Slot 0 and slot 1, as users know them.
fn built_in_slots() -> Runner {
    let mut runner = Runner::new();
    let rows = [
        (0, "no-op", Priority::Low),
        (1, "composite-lru", Priority::High),
    ];
    for (at, name, priority) in rows {
        if let (Some(at), Some(strategy)) = (SlotIndex::new(at), Works::built_in(name)) {
            // A fresh runner has both slots free and the interval is within its bounds.
            let _ = runner.install(at, strategy, priority, INTERVAL_DEFAULT_MS);
        }
    }
    runner
}

fn home_choice(config: &Config) -> HomeChoice {
    match config.home_node {
        HomeSetting::Auto => HomeChoice::Auto,
        HomeSetting::Node(node) => HomeChoice::Fixed(node),
    }
}

fn rest(ctx: Ctx<'_>, config: &Config) -> Option<Rest> {
    let flags = ctx.flags();
    if !config.enabled {
        Some(Rest::SwitchedOff)
    } else if flags.loading() {
        Some(Rest::Loading)
    } else if flags.child_running() && !config.move_during_fork {
        Some(Rest::Child)
    } else {
        None
    }
}

/// Digests what commands have left, and says from which heat on a far key is wanted, and whether
/// commands are to be watched closely.
fn tick_native(
    ctx: Ctx<'_>,
    server: &'static Server,
    config: &Config,
    bar: Option<Bar>,
    closely: bool,
) {
    if let Some(native) = server.native.get() {
        let manages = config.native_keys == NativeKeys::Manage;
        let bar = bar.filter(|_| manages);
        let level = bar.map_or(Level::MAX, |bar| bar.level);
        native.tick(server, bar.map(|bar| bar.score), level);
        server.watch_native(config);
        native.listen_as_due(ctx, closely);
    }
}

/// What is worth a look once a second only.
fn slow_looks(ctx: Ctx<'_>, server: &'static Server) {
    server.apply_transparency(ctx);
    server.pool.release_idle();
    if let Some(native) = server.native.get() {
        native.look_around(ctx, server.numa_keys());
    }
    server.ask_rooms();
    let keys = server.keys_of_an_era();
    server.pulse.with(|pulse| pulse.clock.set_keys(keys));
}

fn log_events(ctx: Ctx<'_>, config: &Config, events: Vec<Event>) {
    for event in events {
        match event {
            Event::Line { slot, text } => {
                let level = if config.debug {
                    LogLevel::Notice
                } else {
                    LogLevel::Verbose
                };
                ctx.log(level, &format!("slot {}: {text}", slot.index()));
            }
            Event::Stopped { slot, name, reason } => ctx.log(
                LogLevel::Warning,
                &format!(
                    "slot {}: strategy {name} was stopped: {reason}",
                    slot.index()
                ),
            ),
        }
    }
}
