//! Another module's strategy, as the runner sees it: an instance, and a judge of its plans.
//!
//! A plan is taken whole or not at all. One wrong move says that its author does not know what it
//! is looking at, and the others are then guesses too.

use super::abi::{self, NumaMove, NumaPlan};
use super::factory::{line, Factory};
use super::lent::{lend, KEY_NAME_MAX};
use crate::heat::Score;
use crate::ids::{DbIndex, Level, NodeId};
use crate::migrate::{Budget, KeyRef, Move, Why};
use crate::redis::raw::c_text;
use crate::strategy::{Bar, Plan, Strategy, StrategyError, View};
use std::ffi::{c_int, c_void};
use std::sync::Arc;

const _: () = assert!(
    abi::MOVES_MAX == Plan::MOVES_MAX,
    "the header names another bound"
);

/// See the head of the file.
pub(super) struct Foreign {
    factory: Arc<Factory>,
    module: String,
    instance: *mut c_void,
}

// SAFETY: the runner and its slots live in a cell that lets the main thread in alone.
unsafe impl Send for Foreign {}

impl Foreign {
    /// A new instance; nothing where the module would not make one.
    pub(super) fn new(factory: &Arc<Factory>) -> Option<Self> {
        Some(Self {
            instance: factory.init()?,
            module: factory.module.to_string_lossy().into_owned(),
            factory: Arc::clone(factory),
        })
    }

    fn check_alive(&self) -> Result<(), StrategyError> {
        if self.factory.is_alive() {
            Ok(())
        } else {
            Err(fault("its module is gone"))
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if self.factory.is_alive() {
            self.factory.cleanup(self.instance);
        }
    }
}

fn fault(text: impl Into<String>) -> StrategyError {
    StrategyError(text.into())
}

impl Strategy for Foreign {
    fn name(&self) -> &str {
        &self.factory.name
    }

    fn description(&self) -> &str {
        &self.factory.description
    }

    fn module(&self) -> Option<&str> {
        Some(&self.module)
    }

    fn settings(&self) -> Vec<(String, String)> {
        let value = |name: &std::ffi::CString| {
            let value = self.factory.get(self.instance, name);
            (
                name.to_string_lossy().into_owned(),
                value.unwrap_or_default(),
            )
        };
        let settings = self.factory.settings.iter();
        settings
            .filter(|_| self.factory.is_alive())
            .map(value)
            .collect()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), StrategyError> {
        self.check_alive()?;
        let mut known = self.factory.settings.iter();
        let name = known
            .find(|known| known.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
            .ok_or_else(|| fault(format!("it has no setting {name}")))?;
        if self.factory.set(self.instance, name, &c_text(value)) {
            Ok(())
        } else {
            Err(fault(format!(
                "{value} is no value for {}",
                name.to_string_lossy()
            )))
        }
    }

    fn decide(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        self.check_alive()?;
        let (factory, instance) = (&self.factory, self.instance);
        let (status, plan) = lend(view, budget, |view| factory.execute(instance, view));
        // SAFETY: what the module says of its plan holds until its next call.
        unsafe { judged(status, &plan, view) }
    }

    fn bar(&self) -> Option<Bar> {
        (self.factory.hot_level > 0).then(|| Bar {
            score: Score::default(),
            level: Level::clamped(self.factory.hot_level),
        })
    }
}

/// The plan, where it is sound.
///
/// # Safety
/// * What `plan` points to is as long as it says, and its text a C string.
unsafe fn judged(
    status: c_int,
    plan: &NumaPlan,
    view: &mut dyn View,
) -> Result<Plan, StrategyError> {
    if status != abi::OK {
        // SAFETY: the caller's promise.
        let why = unsafe { line(plan.error) };
        let why = why.unwrap_or_else(|| "no reason given".to_owned());
        return Err(fault(format!("it answered {status}: {why}")));
    }
    if plan.count > Plan::MOVES_MAX {
        return Err(fault(format!(
            "its plan has {} moves, more than {}",
            plan.count,
            Plan::MOVES_MAX
        )));
    }
    if plan.count > 0 && plan.moves.is_null() {
        return Err(fault("its plan has no moves where it counts some"));
    }
    let nodes = view.nodes();
    let mut sound = Plan::new();
    for at in 0..plan.count {
        // SAFETY: within the plan, by its count.
        let place = unsafe { plan.moves.add(at) };
        // SAFETY: the caller's promise.
        let given = unsafe { place.read() };
        // SAFETY: the caller's promise.
        sound.push(unsafe { checked(&given, &nodes, view) }?);
    }
    Ok(sound)
}

/// # Safety
/// * The name of `given` is null or as long as it says.
unsafe fn checked(
    given: &NumaMove,
    nodes: &[NodeId],
    view: &mut dyn View,
) -> Result<Move, StrategyError> {
    if given.name.is_null() || given.name_len > KEY_NAME_MAX {
        return Err(fault("its plan has a move without the name of a key"));
    }
    let to = usize::try_from(given.to).ok().and_then(NodeId::new);
    let to = to.filter(|to| nodes.contains(to)).ok_or_else(|| {
        fault(format!(
            "its plan names node {}, which cannot hold values",
            given.to
        ))
    })?;
    let why = match given.why {
        abi::PROMOTE => Why::Promote,
        abi::DEMOTE => Why::Demote,
        abi::BALANCE => Why::Balance,
        other => return Err(fault(format!("its plan has an unknown reason, {other}"))),
    };
    // SAFETY: the caller's promise.
    let name = unsafe { std::slice::from_raw_parts(given.name.cast::<u8>(), given.name_len) };
    let key = KeyRef::new(DbIndex(given.db), name);
    if view.look(&key).is_none() {
        return Err(fault("its plan names a key that does not exist"));
    }
    Ok(Move {
        key,
        to,
        why,
        benefit: given.benefit,
    })
}
