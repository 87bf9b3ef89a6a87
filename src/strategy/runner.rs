//! The runner: 16 slots, and who runs when.
//!
//! ```text
//! tick   for each enabled slot, HIGH then NORMAL then LOW, then by number:
//!          its fast path, with half of the time that is left
//!          where its interval has passed: its slow path, with all that is left
//!          after each: the plan is carried out within the same budget
//! ```
//!
//! A slot that finds no time left stays due and runs in a later tick. No slot starves another for
//! long: slow paths run once an interval, which is many ticks, and a fast path leaves half.
//!
//! The runner trusts no strategy. A plan that names a node the machine does not have is not
//! carried out; errors and such plans are strikes, and so is overrun time that smaller steps do not
//! mend (see `slot`). Until then a late plan is a plan: its time is spent, and charged to the pace.
//!
//! It has no clock and no log: time comes from the view, and what there is to say goes back to
//! the caller as events.

use super::slot::{Path, Priority, Slot, SlotStatus, INTERVAL_DEFAULT_MS, INTERVAL_MS};
use super::{Bar, Engine, Plan, Strategy, StrategyError};
use crate::ids::SlotIndex;
use crate::migrate::{Budget, Report};
use std::fmt;

/// A run may work this many times its time before it counts as an overrun.
const OVERRUN_FACTOR: u64 = 2;
/// And this many microseconds on top, since small budgets are smaller than one cold cache.
const OVERRUN_SLACK_US: u64 = 1000;
/// A run that works this long is the last of another module's strategy: many would be a standstill.
/// Those of our own bound each step, so that only the machine can have been that slow.
const STANDSTILL_US: u64 = 50_000;

/// Why a slot cannot be had or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotError {
    /// No strategy is there.
    Empty(SlotIndex),
    /// Another strategy is there.
    Taken(SlotIndex),
    /// The interval is out of bounds.
    Interval(u64),
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(slot) => write!(f, "slot {} is empty", slot.index()),
            Self::Taken(slot) => write!(f, "slot {} is taken", slot.index()),
            Self::Interval(_) => write!(
                f,
                "interval must be between {} and {} ms",
                INTERVAL_MS.start(),
                INTERVAL_MS.end()
            ),
        }
    }
}

impl std::error::Error for SlotError {}

/// Something to tell the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A line for the log at verbose level.
    Line {
        /// The slot that has it to say.
        slot: SlotIndex,
        /// The line.
        text: String,
    },
    /// A strategy failed and was stopped: a warning.
    Stopped {
        /// Its slot.
        slot: SlotIndex,
        /// Its name.
        name: String,
        /// The last failure.
        reason: String,
    },
}

/// What a pass that a user asked for did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassReport {
    /// Keys looked at.
    pub scanned: usize,
    /// What became of the plan.
    pub report: Report,
}

/// The slots.
#[derive(Default)]
pub struct Runner {
    slots: [Option<Slot>; SlotIndex::COUNT],
}

impl Runner {
    /// Empty slots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a strategy into an empty slot; it is due at once.
    ///
    /// # Errors
    /// [`SlotError::Taken`], [`SlotError::Interval`].
    pub fn install(
        &mut self,
        at: SlotIndex,
        strategy: Box<dyn Strategy>,
        priority: Priority,
        interval_ms: u64,
    ) -> Result<(), SlotError> {
        check_interval(interval_ms)?;
        match self.slots.get_mut(at.index()) {
            Some(place @ None) => {
                *place = Some(Slot::new(strategy, priority, interval_ms));
                Ok(())
            }
            _ => Err(SlotError::Taken(at)),
        }
    }

    /// Puts a strategy into a slot in place of what is there, with that one's priority and
    /// interval; it is due at once.
    ///
    /// # Errors
    /// [`SlotError::Interval`], which the intervals here never are.
    pub fn replace(&mut self, at: SlotIndex, strategy: Box<dyn Strategy>) -> Result<(), SlotError> {
        let was = self.slots.get_mut(at.index()).and_then(Option::take);
        let (priority, interval_ms) = was.map_or((Priority::Normal, INTERVAL_DEFAULT_MS), |slot| {
            (slot.priority, slot.interval_ms)
        });
        self.install(at, strategy, priority, interval_ms)
    }

    /// Takes a strategy out of its slot.
    ///
    /// # Errors
    /// [`SlotError::Empty`].
    pub fn remove(&mut self, at: SlotIndex) -> Result<Box<dyn Strategy>, SlotError> {
        let place = self.slots.get_mut(at.index()).and_then(Option::take);
        place.map(|slot| slot.strategy).ok_or(SlotError::Empty(at))
    }

    /// The settings of the strategy in a slot.
    ///
    /// # Errors
    /// [`SlotError::Empty`].
    pub fn settings(&mut self, at: SlotIndex) -> Result<Vec<(String, String)>, SlotError> {
        Ok(self.slot(at)?.strategy.settings())
    }

    /// Changes a setting of the strategy in a slot.
    ///
    /// # Errors
    /// The empty slot, or why the strategy refused it.
    pub fn set(&mut self, at: SlotIndex, name: &str, value: &str) -> Result<(), String> {
        let slot = self.slot(at).map_err(|error| error.to_string())?;
        let changed = slot.strategy.set(name, value);
        changed.map_err(|reason| format!("strategy {} refused it: {reason}", slot.strategy.name()))
    }

    /// Lets a slot run or not. Enabling forgives what stopped it.
    ///
    /// # Errors
    /// [`SlotError::Empty`].
    pub fn set_enabled(&mut self, at: SlotIndex, enabled: bool) -> Result<(), SlotError> {
        self.slot(at)?.set_enabled(enabled);
        Ok(())
    }

    /// Changes a slot's place in the tick.
    ///
    /// # Errors
    /// [`SlotError::Empty`].
    pub fn set_priority(&mut self, at: SlotIndex, priority: Priority) -> Result<(), SlotError> {
        self.slot(at)?.priority = priority;
        Ok(())
    }

    /// Changes a slot's interval; the slot is due at once.
    ///
    /// # Errors
    /// [`SlotError::Empty`], [`SlotError::Interval`].
    pub fn set_interval(&mut self, at: SlotIndex, interval_ms: u64) -> Result<(), SlotError> {
        check_interval(interval_ms)?;
        let slot = self.slot(at)?;
        slot.interval_ms = interval_ms;
        slot.due_ms = 0;
        Ok(())
    }

    /// How a slot stands; nothing where it is empty.
    #[must_use]
    pub fn status(&self, at: SlotIndex) -> Option<SlotStatus> {
        self.slots.get(at.index())?.as_ref().map(Slot::status)
    }

    /// The filled slots, in order.
    pub fn statuses(&self) -> impl Iterator<Item = (SlotIndex, SlotStatus)> + '_ {
        (0..SlotIndex::COUNT)
            .filter_map(SlotIndex::new)
            .filter_map(|at| Some((at, self.status(at)?)))
    }

    /// Forgets what all slots did so far.
    pub fn reset_counts(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.counts = Default::default();
        }
    }

    /// The lowest bar of all slots that run: what a far access must reach to be queued for
    /// [`super::View::take_hot`]; nothing where nobody asks for accesses.
    #[must_use]
    pub fn bar(&self) -> Option<Bar> {
        let running = self.slots.iter().flatten().filter(|slot| slot.enabled);
        running
            .filter_map(|slot| slot.strategy.bar())
            .reduce(Bar::lower)
    }

    /// Whether a strategy has seen the hot set shift, see [`Strategy::take_shift`].
    pub fn take_shift(&mut self) -> bool {
        let slots = self.slots.iter_mut().flatten();
        // Each is asked: what it saw is told once.
        let seen = slots.filter_map(|slot| slot.strategy.take_shift().then_some(()));
        seen.count() > 0
    }

    /// Whether a strategy that runs has much more to move than its time lets it.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        let mut running = self.slots.iter().flatten().filter(|slot| slot.enabled);
        running.any(|slot| slot.strategy.is_hungry())
    }

    /// Runs what is due, within the budget.
    pub fn tick(&mut self, engine: &mut dyn Engine, budget: &mut Budget) -> Vec<Event> {
        let mut events = Vec::new();
        for at in self.order() {
            if budget.is_exhausted() {
                break;
            }
            let Ok(slot) = self.slot(at) else { continue };
            engine.enter(Some(at));
            run(at, slot, Path::Fast, engine, budget, &mut events);
            if slot.enabled && !budget.is_exhausted() && slot.take_due(engine.now_ms()) {
                slot.counts.executions += 1;
                run(at, slot, Path::Slow, engine, budget, &mut events);
                let line = slot.strategy.log_line(engine.now_ms());
                events.extend(line.map(|text| Event::Line { slot: at, text }));
            }
        }
        engine.enter(None);
        events
    }

    /// One look of a slot's strategy over about `keys` keys, because a user asked; its plan is
    /// carried out within `budget`. A stopped or disabled slot does it all the same.
    ///
    /// # Errors
    /// The empty slot, or why the strategy could not decide.
    pub fn pass(
        &mut self,
        at: SlotIndex,
        keys: usize,
        engine: &mut dyn Engine,
        budget: &mut Budget,
    ) -> Result<PassReport, String> {
        let slot = self.slot(at).map_err(|error| error.to_string())?;
        engine.enter(Some(at));
        let planned = slot.strategy.pass(engine.view(), keys);
        engine.enter(None);
        let (plan, scanned) = planned
            .and_then(|(plan, scanned)| Ok((sound(plan, engine)?, scanned)))
            .map_err(|error| error.to_string())?;
        let report = carry(slot, plan, engine, budget);
        Ok(PassReport { scanned, report })
    }

    /// What that look would move, without moving (`NUMA PLAN`).
    ///
    /// # Errors
    /// As for [`Runner::pass`].
    pub fn dry_pass(
        &mut self,
        at: SlotIndex,
        keys: usize,
        engine: &mut dyn Engine,
    ) -> Result<Plan, String> {
        let slot = self.slot(at).map_err(|error| error.to_string())?;
        engine.enter(Some(at));
        let planned = slot.strategy.pass(engine.view(), keys);
        engine.enter(None);
        let (plan, _) = planned.map_err(|error| error.to_string())?;
        let untouched = Report {
            rest: plan.moves().to_vec(),
            ..Report::default()
        };
        slot.strategy.carried(&untouched);
        Ok(plan)
    }

    fn slot(&mut self, at: SlotIndex) -> Result<&mut Slot, SlotError> {
        self.slots
            .get_mut(at.index())
            .and_then(Option::as_mut)
            .ok_or(SlotError::Empty(at))
    }

    /// The slots that run, in the order that they do.
    fn order(&self) -> Vec<SlotIndex> {
        let mut order: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(number, slot)| {
                let slot = slot.as_ref().filter(|slot| slot.enabled)?;
                Some((slot.priority, SlotIndex::new(number)?))
            })
            .collect();
        order.sort_unstable();
        order.into_iter().map(|(_, at)| at).collect()
    }
}

fn check_interval(interval_ms: u64) -> Result<(), SlotError> {
    if INTERVAL_MS.contains(&interval_ms) {
        Ok(())
    } else {
        Err(SlotError::Interval(interval_ms))
    }
}

/// One run of one path: decide, judge, carry out.
fn run(
    at: SlotIndex,
    slot: &mut Slot,
    path: Path,
    engine: &mut dyn Engine,
    budget: &mut Budget,
    events: &mut Vec<Event>,
) {
    let mut granted = *budget;
    if path == Path::Fast {
        granted.time_us = granted.time_us.div_ceil(2);
    }
    let whole_us = granted.time_us;
    granted.time_us = slot.part_of(path, whole_us);
    let (start_us, start_cpu_us) = (engine.now_us(), engine.cpu_us());
    let decided = match path {
        Path::Fast => slot.strategy.fast(engine.view(), &granted),
        Path::Slow => slot.strategy.decide(engine.view(), &granted),
    };
    let spent_us = engine.now_us().saturating_sub(start_us);
    let worked_us = engine.cpu_us().saturating_sub(start_cpu_us);
    slot.note_time(spent_us);
    budget.spend_time(spent_us);
    let judged = decided.and_then(|plan| sound(plan, engine));
    match (judged, in_time(worked_us, whole_us)) {
        (Ok(plan), Ok(())) => {
            slot.forgive(path);
            carry(slot, plan, engine, budget);
        }
        (Ok(plan), Err(late)) => {
            let standstill = worked_us >= STANDSTILL_US && slot.strategy.module().is_some();
            if standstill {
                slot.strike_out(&late);
                events.push(stopped(at, slot, &late));
            } else if slot.halve(path) {
                carry(slot, plan, engine, budget);
            } else if slot.strike(path, &late) {
                events.push(stopped(at, slot, &late));
            }
        }
        (Err(reason), _) => {
            if slot.strike(path, &reason) {
                events.push(stopped(at, slot, &reason));
            }
        }
    }
}

fn stopped(slot: SlotIndex, of: &Slot, reason: &StrategyError) -> Event {
    Event::Stopped {
        slot,
        name: of.strategy.name().to_owned(),
        reason: reason.to_string(),
    }
}

/// The plan, where all its nodes exist.
fn sound(plan: Plan, engine: &mut dyn Engine) -> Result<Plan, StrategyError> {
    if plan.is_empty() {
        return Ok(plan);
    }
    let nodes = engine.nodes();
    match plan.moves().iter().find(|next| !nodes.contains(&next.to)) {
        Some(wrong) => Err(StrategyError(format!(
            "its plan names node {}, which cannot hold values",
            wrong.to
        ))),
        None => Ok(plan),
    }
}

/// Whether a run kept its time, judged by what it would have had without halvings.
fn in_time(spent_us: u64, whole_us: u64) -> Result<(), StrategyError> {
    let most_us = whole_us
        .saturating_mul(OVERRUN_FACTOR)
        .saturating_add(OVERRUN_SLACK_US);
    if spent_us <= most_us {
        Ok(())
    } else {
        Err(StrategyError(format!(
            "it took {spent_us} us where it had {whole_us}"
        )))
    }
}

fn carry(slot: &mut Slot, plan: Plan, engine: &mut dyn Engine, budget: &mut Budget) -> Report {
    if plan.is_empty() {
        return Report::default();
    }
    let report = engine.carry(plan, budget);
    slot.counts.moves += report.moved as u64;
    slot.strategy.carried(&report);
    report
}

#[cfg(test)]
mod tests {
    use super::super::sim::{name, node, runner, Sim, TICK};
    use super::super::slot::{HALVINGS_MAX, STRIKES_MAX};
    use super::super::View;
    use super::*;
    use crate::ids::{Bytes, NodeId};
    use crate::migrate::{Move, Why};
    use std::sync::{Arc, Mutex};

    type Calls = Arc<Mutex<Vec<(u32, &'static str)>>>;

    /// A strategy that does what a test tells it to, and writes down when it ran.
    struct Puppet {
        number: u32,
        calls: Calls,
        act: fn(&mut dyn View) -> Result<Plan, StrategyError>,
    }

    impl Puppet {
        fn note(&self, what: &'static str) {
            self.calls.lock().unwrap().push((self.number, what));
        }
    }

    impl Strategy for Puppet {
        fn name(&self) -> &'static str {
            "puppet"
        }

        fn description(&self) -> &'static str {
            "does as told"
        }

        fn fast(&mut self, _: &mut dyn View, _: &Budget) -> Result<Plan, StrategyError> {
            self.note("fast");
            Ok(Plan::new())
        }

        fn decide(&mut self, view: &mut dyn View, _: &Budget) -> Result<Plan, StrategyError> {
            self.note("slow");
            (self.act)(view)
        }

        fn pass(
            &mut self,
            view: &mut dyn View,
            keys: usize,
        ) -> Result<(Plan, usize), StrategyError> {
            Ok(((self.act)(view)?, keys))
        }
    }

    fn slot(number: usize) -> SlotIndex {
        SlotIndex::new(number).unwrap()
    }

    fn calm(_: &mut dyn View) -> Result<Plan, StrategyError> {
        Ok(Plan::new())
    }

    fn sim() -> Sim {
        Sim::new(&[100; 4], Bytes(250))
    }

    fn puppet(number: u32, calls: &Calls) -> Box<Puppet> {
        Box::new(Puppet {
            number,
            calls: Arc::clone(calls),
            act: calm,
        })
    }

    fn acting(act: fn(&mut dyn View) -> Result<Plan, StrategyError>) -> Runner {
        let mut runner = Runner::new();
        let mut puppet = puppet(0, &Calls::default());
        puppet.act = act;
        runner
            .install(slot(5), puppet, Priority::Normal, 10)
            .unwrap();
        runner
    }

    /// A plan that moves key 0, which is near, to that node.
    fn move_0(to: NodeId) -> Plan {
        let mut plan = Plan::new();
        plan.push(Move {
            key: name(0),
            to,
            why: Why::Demote,
            benefit: 0,
        });
        plan
    }

    #[test]
    fn high_runs_before_normal_before_low_and_each_when_its_interval_passed() {
        let (calls, mut sim, mut runner) = (Calls::default(), sim(), Runner::new());
        let slots = [
            (2, Priority::Low, 10),
            (3, Priority::High, 20),
            (4, Priority::Normal, 10),
            (5, Priority::High, 10),
        ];
        for (number, priority, interval_ms) in slots {
            let puppet = puppet(number, &calls);
            let at = slot(number as usize);
            runner.install(at, puppet, priority, interval_ms).unwrap();
        }
        sim.tick(&mut runner, TICK);
        let taken = |calls: &Calls| std::mem::take(&mut *calls.lock().unwrap());
        let slow = |calls: &Calls| {
            let calls = taken(calls).into_iter();
            let slow = calls.filter(|(_, what)| *what == "slow");
            slow.map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!(slow(&calls), [3, 5, 4, 2]);
        sim.tick(&mut runner, TICK);
        assert_eq!(slow(&calls), [5, 4, 2]);
        sim.tick(&mut runner, TICK);
        assert_eq!(slow(&calls), [3, 5, 4, 2]);
        assert_eq!(runner.status(slot(3)).unwrap().counts.executions, 2);
        runner.set_enabled(slot(5), false).unwrap();
        runner.set_priority(slot(2), Priority::High).unwrap();
        sim.tick(&mut runner, TICK);
        assert_eq!(
            taken(&calls),
            [
                (2, "fast"),
                (2, "slow"),
                (3, "fast"),
                (4, "fast"),
                (4, "slow")
            ]
        );
    }

    #[test]
    fn without_a_budget_nobody_runs_and_stays_due() {
        let (calls, mut sim, mut runner) = (Calls::default(), sim(), Runner::new());
        let puppet = puppet(1, &calls);
        runner
            .install(slot(2), puppet, Priority::High, 60_000)
            .unwrap();
        for _ in 0..3 {
            sim.tick(&mut runner, Budget { time_us: 0, ..TICK });
        }
        assert!(calls.lock().unwrap().is_empty());
        sim.tick(&mut runner, TICK);
        assert_eq!(*calls.lock().unwrap(), [(1, "fast"), (1, "slow")]);
    }

    #[test]
    fn slots_are_taken_freed_and_bounded() {
        let mut runner = runner();
        let again = runner.install(slot(1), puppet(0, &Calls::default()), Priority::High, 10);
        assert_eq!(again, Err(SlotError::Taken(slot(1))));
        assert_eq!(runner.set_interval(slot(1), 0), Err(SlotError::Interval(0)));
        assert_eq!(
            runner.set_enabled(slot(9), true),
            Err(SlotError::Empty(slot(9)))
        );
        assert!(runner.status(slot(9)).is_none());
        assert_eq!(
            runner.remove(slot(1)).map(|old| old.name().to_owned()),
            Ok("composite-lru".to_owned())
        );
        assert!(runner.remove(slot(1)).is_err());
        assert_eq!(runner.bar(), None, "no-op asks for no accesses");
        let names: Vec<_> = runner
            .statuses()
            .map(|(at, s)| (at.index(), s.name))
            .collect();
        assert_eq!(names, [(0, "no-op".to_owned())]);
    }

    /// Ticks until the strategy is stopped; returns the reason.
    fn stopped(runner: &mut Runner) -> String {
        let mut sim = sim();
        for tick in 1..=STRIKES_MAX {
            let events = sim.tick(runner, TICK);
            let status = runner.status(slot(5)).unwrap();
            assert_eq!(status.counts.failures, u64::from(tick));
            assert_eq!(status.enabled, tick < STRIKES_MAX);
            assert_eq!(events.len(), usize::from(tick == STRIKES_MAX), "{events:?}");
        }
        assert!(sim.tick(runner, TICK).is_empty());
        assert_eq!(sim.stats.total, 0);
        runner.status(slot(5)).unwrap().stopped.unwrap()
    }

    #[test]
    fn errors_in_a_row_stop_a_strategy_until_it_is_enabled_again() {
        let mut runner = acting(|_| Err(StrategyError("lost".to_owned())));
        assert!(stopped(&mut runner).ends_with("lost"));
        runner.set_enabled(slot(5), true).unwrap();
        let status = runner.status(slot(5)).unwrap();
        assert!(status.enabled && status.stopped.is_none());
    }

    #[test]
    fn a_plan_with_an_unknown_node_is_a_failure_and_is_not_carried_out() {
        let mut runner = acting(|_| Ok(move_0(node(7))));
        assert!(stopped(&mut runner).contains("node 7"));
    }

    /// Looks at a key until that much time has passed.
    fn dawdle(view: &mut dyn View, us: u64) {
        let until_us = view.now_us() + us;
        while view.now_us() < until_us {
            view.look(&name(0));
        }
    }

    #[test]
    fn overrunning_the_time_again_and_again_stops_a_strategy() {
        let mut runner = acting(|view| {
            dawdle(view, 5000);
            Ok(Plan::new())
        });
        let mut sim = sim();
        let runs = HALVINGS_MAX + STRIKES_MAX;
        for run in 1..=runs {
            let events = sim.tick(&mut runner, TICK);
            let status = runner.status(slot(5)).unwrap();
            assert_eq!(status.counts.failures, u64::from(run));
            assert_eq!(
                (status.enabled, events.len()),
                (run < runs, usize::from(run == runs))
            );
        }
        let status = runner.status(slot(5)).unwrap();
        assert!(status.stopped.unwrap().contains("us where it had"));
        assert!(status.counts.longest_us >= 5000);
    }

    /// Takes six times what it is given, as on a machine that is that slow.
    struct Slow;

    impl Strategy for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn description(&self) -> &'static str {
            "works at a sixth of the speed"
        }

        fn fast(&mut self, _: &mut dyn View, _: &Budget) -> Result<Plan, StrategyError> {
            Ok(Plan::new())
        }

        fn decide(&mut self, view: &mut dyn View, had: &Budget) -> Result<Plan, StrategyError> {
            dawdle(view, had.time_us * 6);
            Ok(Plan::new())
        }

        fn pass(&mut self, _: &mut dyn View, _: usize) -> Result<(Plan, usize), StrategyError> {
            Ok((Plan::new(), 0))
        }
    }

    #[test]
    fn a_slow_machine_gets_smaller_steps_and_stops_nobody() {
        let (mut sim, mut runner) = (sim(), Runner::new());
        runner
            .install(slot(5), Box::new(Slow), Priority::Normal, 10)
            .unwrap();
        let runs = 1000;
        // So much that six times as much is more than the slack of an overrun.
        let ample = Budget {
            time_us: 5000,
            ..TICK
        };
        for _ in 0..runs {
            let events = sim.tick(&mut runner, ample);
            assert!(events.is_empty(), "{events:?}");
        }
        let status = runner.status(slot(5)).unwrap();
        assert!(status.enabled && status.counts.executions == runs);
        let late = status.counts.failures;
        assert!(
            (1..runs / 20).contains(&late),
            "{late} of {runs} runs were late"
        );
    }

    #[test]
    fn a_good_run_in_between_forgives() {
        let mut runner = acting(|view| match view.now_ms() / 10 % 3 {
            0 => Ok(Plan::new()),
            _ => Err(StrategyError("now and then".to_owned())),
        });
        let mut sim = sim();
        for _ in 0..50 {
            sim.tick(&mut runner, TICK);
        }
        let status = runner.status(slot(5)).unwrap();
        assert!(status.enabled && status.counts.failures > 20);
    }

    #[test]
    fn moves_are_carried_out_and_counted() {
        let mut runner = acting(|_| Ok(move_0(node(1))));
        let mut sim = sim();
        sim.tick(&mut runner, TICK);
        assert_eq!(sim.node_of(0), node(1));
        assert_eq!(runner.status(slot(5)).unwrap().counts.moves, 1);
        runner.reset_counts();
        assert_eq!(runner.status(slot(5)).unwrap().counts.moves, 0);
    }

    #[test]
    fn a_dry_pass_tells_what_a_pass_then_does() {
        let mut runner = acting(|_| Ok(move_0(node(1))));
        let mut sim = sim();
        let plan = runner.dry_pass(slot(5), 3, &mut sim).unwrap();
        assert_eq!((plan.len(), sim.node_of(0)), (1, node(0)));
        let mut budget = Budget::UNBOUNDED;
        let done = runner.pass(slot(5), 3, &mut sim, &mut budget).unwrap();
        assert_eq!((done.scanned, done.report.moved), (3, 1));
        assert_eq!(sim.node_of(0), node(1));
        let empty = runner.pass(slot(9), 3, &mut sim, &mut budget).unwrap_err();
        assert_eq!(empty, "slot 9 is empty");
    }

    #[test]
    fn no_op_has_a_line_every_ten_seconds() {
        let (mut sim, mut runner) = (sim(), runner());
        let lines: usize = (0..3000).map(|_| sim.tick(&mut runner, TICK).len()).sum();
        assert_eq!(lines, 3);
        let status = runner.status(slot(0)).unwrap();
        assert_eq!((status.counts.executions, status.counts.moves), (30, 0));
    }

    #[test]
    fn a_plan_is_bounded() {
        let mut plan = Plan::new();
        let one = move_0(node(1)).into_moves().remove(0);
        let fit = (0..2 * Plan::MOVES_MAX).filter(|_| plan.push(one.clone()));
        assert_eq!(fit.count(), Plan::MOVES_MAX);
        assert_eq!((plan.len(), plan.room()), (Plan::MOVES_MAX, 0));
    }
}
