//! Rows of the command table that lead to us without the server's detour.
//!
//! The server runs a module's command by a function of its own, which makes a context, calls us,
//! and takes the context apart. Where its insides are known (`inside`), the row of a short command
//! leads to a function of ours instead, which is handed the client alone. That one serves what it
//! can serve whole by what is known, and hands everything else to the server's function, as if it
//! had never been asked.
//!
//! Invariant: a row is changed only where it holds the function that the server gives every
//! module's command, and only once the load cannot fail any more; a client is looked into only
//! where it says that it runs that very row. Rejected: a context of our own making, which the API
//! would read farther than we know it.

use super::arity::{CommandTable, Function};
use super::inside::{Client, Known};
use super::{Args, Mark};
use crate::redis::callbacks::{direct, Command};
use crate::redis::charge::symbol;
use crate::redis::main_cell::MainCell;
use once_cell::sync::OnceCell;
use std::os::raw::c_void;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The server's function for commands of modules.
static SERVERS: OnceCell<Function> = OnceCell::new();

static LED: AtomicU64 = AtomicU64::new(0);

/// Rows that are led to us once the insides are known.
static WAITING: MainCell<Vec<fn() -> bool>> = MainCell::new(Vec::new());

/// A command that is served without a context where that is enough.
pub(crate) trait Quick: Command {
    /// Serves one call whole, or does nothing and answers false.
    fn serve_quickly(known: Known<'_>, args: Args<'_>) -> bool;
}

/// What is remembered of a command: its row, once it leads to us, and the mark that stands for its
/// plain name.
pub(crate) struct Seen {
    row: AtomicPtr<c_void>,
    pub(crate) mark: OnceCell<Option<Mark>>,
}

impl Seen {
    pub(crate) const fn new() -> Self {
        Self {
            row: AtomicPtr::new(null_mut()),
            mark: OnceCell::new(),
        }
    }
}

/// Has the row of a command lead to us when [`lead_all`] comes.
pub(crate) fn lead_later<Q: Quick>() {
    WAITING.with(|waiting| waiting.push(lead::<Q>));
}

/// Leads the rows to us that can be. For a server whose insides are known, and once nothing can
/// fail any more.
pub(crate) fn lead_all() {
    let rows = WAITING.with(std::mem::take).unwrap_or_default();
    let led = rows.into_iter().filter(|lead| lead()).count();
    LED.store(led as u64, Ordering::Relaxed);
}

/// How many rows lead to us.
pub(crate) fn rows_led() -> u64 {
    LED.load(Ordering::Relaxed)
}

/// Leads the row of a command to us; whether it was one that could be.
fn lead<Q: Quick>() -> bool {
    let Some(theirs) = symbol(c"RedisModuleCommandDispatcher") else {
        return false;
    };
    // SAFETY: the function of that name takes a client and answers nothing in all of 6.2; a pointer
    // to a function is as wide as any other.
    let function = unsafe { std::mem::transmute::<*mut c_void, Function>(theirs) };
    let servers = *SERVERS.get_or_init(|| function);
    let row = CommandTable::find().and_then(|table| table.lead(Q::NAME, servers, direct::<Q>));
    if let Some(row) = row {
        Q::seen().row.store(row, Ordering::Relaxed);
    }
    row.is_some()
}

/// Runs the command as the server would have.
///
/// # Safety
/// * `client` is the server's, and runs a command of ours.
pub(crate) unsafe fn by_server(client: *mut c_void) {
    if let Some(function) = SERVERS.get() {
        // SAFETY: the function that the row held before, for the client that runs it.
        unsafe { function(client) };
    }
}

/// The client with its words, where it says that it runs that command.
///
/// # Safety
/// * `client` is the server's, for all of `'c`.
#[inline]
pub(crate) unsafe fn caller<'c, Q: Quick>(client: *mut c_void) -> Option<(Known<'c>, Args<'c>)> {
    let client = NonNull::new(client.cast::<Client>())?;
    // SAFETY: the caller vouches for the client.
    let known = unsafe { Known::of_client(client) }?;
    if known.command() != Q::seen().row.load(Ordering::Relaxed) {
        return None;
    }
    let (argv, argc) = known.words();
    // SAFETY: the words of the command that the client runs.
    Some((known, unsafe { Args::from_raw(argv, argc) }))
}
