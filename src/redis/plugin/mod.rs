//! Strategies of other modules: who has registered what, and the way in and out.
//!
//! ```text
//! numa_strategy.h   what an author reads         abi      the same in Rust, compared by layout.c
//! factory           a registered strategy        foreign  an instance of it in a slot
//! lent              the view it is shown         hold     its code stays mapped
//! ```
//!
//! Invariant: no function of a module is called after that module is gone. A module that
//! unregisters is taken at its word. For one that does not, the server's event says which module
//! was unloaded; for one whose load failed after it had registered, there is no such event, and so
//! each tick asks whether the module of each strategy is loaded at all. Until one of the two has
//! spoken the code is held (`hold`).
//!
//! Rejected: to run other modules' strategies in a process or thread of their own. Then a bad one
//! could do no harm, but neither could it see a key without a copy of the keyspace.

mod abi;
mod factory;
mod foreign;
mod hold;
mod lent;

use self::abi::NumaStrategy;
use self::factory::{line, Factory, Refusal};
use self::foreign::Foreign;
use super::guard::contained;
use super::raw::{log_anywhere, Ctx, LogLevel};
use super::server::{server, Server};
use super::works::Works;
use crate::ids::SlotIndex;
use crate::strategy::{Priority, SlotError, Strategy, INTERVAL_DEFAULT_MS};
use std::ffi::{c_char, c_int};
use std::sync::Arc;

/// Strategies of other modules, at most.
const PLUGINS_MAX: usize = 64;
/// The first slot for them: 0 and 1 are what NUMAMIGRATE SCAN and the documents know.
const FIRST_SLOT: usize = 2;

/// What other modules have registered.
#[derive(Default)]
pub(crate) struct Plugins(Vec<Arc<Factory>>);

impl Plugins {
    /// How many strategies are known.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|known| known.name.clone()).collect()
    }

    /// A new instance of the strategy of that name: nothing where there is none, an error where its
    /// module would not make one.
    pub(crate) fn make(&self, name: &str) -> Option<Result<Box<dyn Strategy>, String>> {
        let factory = self.0.iter().find(|known| known.name == name)?;
        let made = Foreign::new(factory).map(|foreign| Box::new(foreign) as Box<dyn Strategy>);
        Some(made.ok_or_else(|| Refusal::Init(name.to_owned()).to_string()))
    }

    fn add(&mut self, factory: Factory) -> Result<(), Refusal> {
        if self.0.len() >= PLUGINS_MAX {
            return Err(Refusal::Full);
        }
        self.0.push(Arc::new(factory));
        Ok(())
    }

    /// Forgets the strategies whose module `gone` names; what they were called.
    fn forget(&mut self, gone: impl Fn(&Factory) -> bool, called: bool) -> Vec<String> {
        let mut names = Vec::new();
        self.0.retain(|known| {
            let leaves = gone(known);
            if leaves {
                names.push(known.name.clone());
                if !called {
                    known.bury();
                }
            }
            !leaves
        });
        names
    }
}

/// Whether a slot is for other modules' strategies.
pub(crate) fn may_hold(at: SlotIndex) -> bool {
    at.index() >= FIRST_SLOT
}

/// Hands the two functions of the header to whoever asks the server for them; false where the
/// server refuses.
pub(crate) fn export(ctx: Ctx<'_>) -> bool {
    ctx.export(c"numa_strategy_register", register as *const ())
        && ctx.export(c"numa_strategy_unregister", unregister as *const ())
}

/// The server has unloaded a module. Its code is gone but for our hold: nothing of it is called.
pub(crate) fn module_unloaded(name: &[u8]) {
    let Some(server) = server() else {
        return;
    };
    let of_it = |known: &Factory| known.module.as_bytes() == name;
    server.works.with(|works| drop_gone(server, works, of_it));
}

/// Forgets strategies of modules that are not loaded.
pub(crate) fn sweep(server: &Server, works: &mut Works) {
    drop_gone(server, works, |known| !Ctx::is_module(&known.module));
}

fn drop_gone(server: &Server, works: &mut Works, gone: impl Fn(&Factory) -> bool) {
    let names = server.plugins.with(|plugins| plugins.forget(gone, false));
    for name in names.unwrap_or_default() {
        works.empty_slots_of(&name);
        log_anywhere(
            LogLevel::Warning,
            &format!("strategy {name} was dropped: its module is gone and had not unregistered it"),
        );
    }
}

/// `NumaStrategyRegister`.
///
/// # Safety
/// * As for [`Factory::read`].
unsafe extern "C" fn register(given: *const NumaStrategy, slot: c_int) -> c_int {
    contained(abi::ERR_BUSY, || {
        // SAFETY: the caller's promise.
        let taken = unsafe { Factory::read(given) };
        answer("registered", taken.and_then(|factory| take(factory, slot)))
    })
}

/// `NumaStrategyUnregister`.
///
/// # Safety
/// * Both are null or C strings.
unsafe extern "C" fn unregister(module: *const c_char, name: *const c_char) -> c_int {
    contained(abi::ERR_BUSY, || {
        // SAFETY: the caller's promise.
        let module = unsafe { line(module) }.unwrap_or_default();
        // SAFETY: the caller's promise.
        let name = unsafe { line(name) }.unwrap_or_default();
        answer("unregistered", let_go(&module, &name))
    })
}

/// The number for the caller; the log has the words.
fn answer(done: &str, result: Result<String, Refusal>) -> c_int {
    match result {
        Ok(name) => {
            log_anywhere(LogLevel::Notice, &format!("strategy {name} was {done}"));
            abi::OK
        }
        Err(refusal) => {
            let line = format!("a strategy was not {done}: {refusal}");
            log_anywhere(LogLevel::Warning, &line);
            refusal.code()
        }
    }
}

fn take(factory: Factory, slot: c_int) -> Result<String, Refusal> {
    let server = server().ok_or(Refusal::Busy)?;
    let at = wanted_slot(slot)?;
    let name = factory.name.clone();
    let taken = server.works.with(|works| {
        // What a load that failed has left behind makes room for the next try of the same module.
        let left = |known: &Factory| {
            known.name == name && known.module == factory.module && !Ctx::is_module(&known.module)
        };
        drop_gone(server, works, left);
        let names = server.plugins.with(|plugins| plugins.names());
        let known = names.ok_or(Refusal::Busy)?.contains(&name);
        if known || Works::BUILT_IN.contains(&name.as_str()) {
            return Err(Refusal::Taken(format!("there is a strategy {name}")));
        }
        if let Some(at) = at.filter(|at| works.runner.status(*at).is_some()) {
            return Err(Refusal::Taken(SlotError::Taken(at).to_string()));
        }
        let added = server.plugins.with(|plugins| plugins.add(factory));
        added.ok_or(Refusal::Busy)??;
        at.map_or(Ok(()), |at| place(server, works, &name, at))
    });
    taken.ok_or(Refusal::Busy)??;
    Ok(name)
}

fn wanted_slot(slot: c_int) -> Result<Option<SlotIndex>, Refusal> {
    if slot == abi::NO_SLOT {
        return Ok(None);
    }
    let at = usize::try_from(slot).ok().and_then(SlotIndex::new);
    let at = at.filter(|at| may_hold(*at)).ok_or(Refusal::Slot(slot))?;
    Ok(Some(at))
}

/// Puts a strategy that was just registered into an empty slot, or forgets it again.
fn place(server: &Server, works: &mut Works, name: &str, at: SlotIndex) -> Result<(), Refusal> {
    let made = server.plugins.with(|plugins| plugins.make(name)).flatten();
    let placed = made.and_then(Result::ok).and_then(|strategy| {
        let runner = &mut works.runner;
        let placed = runner.install(at, strategy, Priority::Normal, INTERVAL_DEFAULT_MS);
        placed.ok()
    });
    placed.ok_or_else(|| {
        let of_it = |known: &Factory| known.name == name;
        server.plugins.with(|plugins| plugins.forget(of_it, true));
        Refusal::Init(name.to_owned())
    })
}

fn let_go(module: &str, name: &str) -> Result<String, Refusal> {
    let server = server().ok_or(Refusal::Busy)?;
    let of_it =
        |known: &Factory| known.name == name && known.module.as_bytes() == module.as_bytes();
    let let_go = server.works.with(|works| {
        let forgotten = server.plugins.with(|plugins| plugins.forget(of_it, true));
        if forgotten.ok_or(Refusal::Busy)?.is_empty() {
            return Err(Refusal::Unknown);
        }
        works.empty_slots_of(name);
        Ok(())
    });
    let_go.ok_or(Refusal::Busy)??;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_other_modules_are_2_to_15_or_none() {
        assert_eq!(wanted_slot(abi::NO_SLOT), Ok(None));
        assert_eq!(wanted_slot(2), Ok(SlotIndex::new(2)));
        assert_eq!(wanted_slot(15), Ok(SlotIndex::new(15)));
        for slot in [-2, 0, 1, 16, c_int::MAX, c_int::MIN] {
            assert_eq!(wanted_slot(slot), Err(Refusal::Slot(slot)));
        }
    }
}
