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
//! carried out; errors, such plans and overrun time are strikes (see `slot`).
//!
//! It has no clock and no log: time comes from the view, and what there is to say goes back to
//! the caller as events.

use super::slot::{Priority, Slot, SlotStatus, INTERVAL_MS};
use super::{Engine, Plan, Strategy, StrategyError};
use crate::heat::Score;
use crate::ids::SlotIndex;
use crate::migrate::{Budget, Report};
use std::fmt;

/// A run may take this many times its time before it counts as an overrun: the kernel may have
/// taken the CPU away in the middle of it.
const OVERRUN_FACTOR: u64 = 2;
/// And this many microseconds on top, since small budgets are smaller than one such absence.
const OVERRUN_SLACK_US: u64 = 1000;

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
        name: &'static str,
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

/// Which of a strategy's two paths runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Fast,
    Slow,
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

    /// Takes a strategy out of its slot.
    ///
    /// # Errors
    /// [`SlotError::Empty`].
    pub fn remove(&mut self, at: SlotIndex) -> Result<Box<dyn Strategy>, SlotError> {
        let place = self.slots.get_mut(at.index()).and_then(Option::take);
        place.map(|slot| slot.strategy).ok_or(SlotError::Empty(at))
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
    pub fn bar(&self) -> Option<Score> {
        let running = self.slots.iter().flatten().filter(|slot| slot.enabled);
        running.filter_map(|slot| slot.strategy.bar()).min()
    }

    /// Runs what is due, within the budget.
    pub fn tick(&mut self, engine: &mut dyn Engine, budget: &mut Budget) -> Vec<Event> {
        let mut events = Vec::new();
        for at in self.order() {
            if budget.is_exhausted() {
                break;
            }
            let Ok(slot) = self.slot(at) else { continue };
            run(at, slot, Path::Fast, engine, budget, &mut events);
            if slot.enabled && !budget.is_exhausted() && slot.take_due(engine.now_ms()) {
                slot.counts.executions += 1;
                run(at, slot, Path::Slow, engine, budget, &mut events);
                let line = slot.strategy.log_line(engine.now_ms());
                events.extend(line.map(|text| Event::Line { slot: at, text }));
            }
        }
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
        let (plan, scanned) = slot
            .strategy
            .pass(engine.view(), keys)
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
        let planned = slot.strategy.pass(engine.view(), keys);
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
    let start_us = engine.now_us();
    let decided = match path {
        Path::Fast => slot.strategy.fast(engine.view(), &granted),
        Path::Slow => slot.strategy.decide(engine.view(), &granted),
    };
    let spent_us = engine.now_us().saturating_sub(start_us);
    slot.note_time(spent_us);
    budget.spend_time(spent_us);
    let judged = decided
        .and_then(|plan| sound(plan, engine))
        .and_then(|plan| in_time(plan, spent_us, granted.time_us));
    match judged {
        Ok(plan) => {
            slot.forgive();
            carry(slot, plan, engine, budget);
        }
        Err(reason) if slot.strike(&reason) => events.push(Event::Stopped {
            slot: at,
            name: slot.strategy.name(),
            reason: reason.to_string(),
        }),
        Err(_) => {}
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

/// The plan, where it was made in time.
fn in_time(plan: Plan, spent_us: u64, granted_us: u64) -> Result<Plan, StrategyError> {
    let most_us = granted_us
        .saturating_mul(OVERRUN_FACTOR)
        .saturating_add(OVERRUN_SLACK_US);
    if spent_us <= most_us {
        Ok(plan)
    } else {
        Err(StrategyError(format!(
            "it took {spent_us} us where it had {granted_us}"
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
