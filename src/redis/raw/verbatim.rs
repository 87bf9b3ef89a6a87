//! A command that goes to replicas and the AOF as it came, without the API's detour.
//!
//! `RedisModule_ReplicateVerbatim` copies the words to a list, which is propagated and freed once
//! the command is done: four trips to the allocator, for nothing at all where nobody listens. The
//! server's own commands count a change and are handed to `propagate`, which looks for itself who
//! listens. That function is exported; where changes are counted (`rdb_changes_since_last_save`) is
//! not. So it is found: while the first commands go by the API, the words of the server's state
//! that the call raises by one are noted, until one is left and INFO says the same number.
//!
//! Invariant: a command goes this way only for a client with a connection, whose command the server
//! runs with all propagation on. Clients of scripts, of other modules and of the AOF have none, and
//! go by the API, as everything does where the place was not found. Rejected: a version's offset,
//! which every build may shift.

use super::arity::CommandTable;
use super::inside::Known;
use super::{api, c_text, Args, Ctx};
use crate::redis::charge::symbol;
use crate::redis::main_cell::MainCell;
use once_cell::sync::OnceCell;
use redis_module::raw;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;

/// `PROPAGATE_AOF | PROPAGATE_REPL`
const EVERYWHERE: c_int = 3;
/// `RTLD_DL_SYMENT`: dladdr1 shows the entry of a symbol.
const ENTRY: c_int = 1;
/// Calls that one word must have counted to be believed.
const CALLS: usize = 3;
/// How often the search begins anew before it is given up.
const SEARCHES_MAX: usize = 4;

type Propagate =
    unsafe extern "C" fn(*mut c_void, c_int, *mut *mut raw::RedisModuleString, c_int, c_int);

/// The server's function, and where it counts changes.
struct Direct {
    propagate: Propagate,
    changes: NonNull<i64>,
}

// SAFETY: the address of a word of the server's state, which lives as long as the process; only the
// main thread, that runs commands, follows it.
unsafe impl Sync for Direct {}
// SAFETY: as for `Sync`.
unsafe impl Send for Direct {}

static DIRECT: OnceCell<Direct> = OnceCell::new();
static SEARCH: MainCell<Search> = MainCell::new(Search {
    left: Vec::new(),
    calls: 0,
    searches: 0,
});

/// Whether the place was found.
#[inline]
pub(super) fn is_direct() -> bool {
    DIRECT.get().is_some()
}

/// What the calls so far have left over.
struct Search {
    /// Words by their place, and what each held after the last call.
    left: Vec<(NonNull<i64>, i64)>,
    calls: usize,
    searches: usize,
}

// SAFETY: addresses of the server's state; only the main thread follows them.
unsafe impl Send for Search {}

impl Known<'_> {
    /// Whether the command of this client can be sent without the API.
    #[inline]
    pub(crate) fn can_replicate(self) -> bool {
        is_direct() && self.is_connected()
    }

    /// Sends the command as it came, which are these words, where that can be.
    #[inline]
    pub(crate) fn replicate_verbatim(self, args: Args<'_>) {
        if let Some(direct) = DIRECT.get() {
            direct.send(self, args);
        }
    }
}

impl Ctx<'_> {
    /// Sends the command as it came, which are these words, to replicas and the AOF.
    #[inline]
    pub(crate) fn replicate_verbatim(self, args: Args<'_>) {
        let client = self.known().filter(|known| known.is_connected());
        match (DIRECT.get(), client) {
            (Some(direct), Some(client)) => direct.send(client, args),
            (None, Some(client)) => self.search(client, args),
            (_, None) => self.by_api(),
        }
    }

    fn by_api(self) {
        api!(RedisModule_ReplicateVerbatim(self.as_ptr()));
    }

    #[cold]
    fn search(self, client: Known<'_>, args: Args<'_>) {
        let goes_on = SEARCH.with(|search| {
            let goes_on = search.searches < SEARCHES_MAX && reads_right(client, args);
            goes_on.then(State::of_server).flatten()
        });
        let Some(state) = goes_on.flatten() else {
            return self.by_api();
        };
        let before = state.words();
        self.by_api();
        let found = SEARCH.with(|search| search.narrow(&state, &before));
        let place = found.flatten().filter(|place| self.says_info(*place));
        let propagate = symbol(c"propagate").map(|found| {
            // SAFETY: the function of that name has this shape in all of 6.2, which `known` has
            // shown this server to be; a pointer to a function is as wide as any other.
            unsafe { std::mem::transmute::<*mut c_void, Propagate>(found) }
        });
        if let (Some(changes), Some(propagate)) = (place, propagate) {
            // It was empty, or we had not searched.
            let _ = DIRECT.set(Direct { propagate, changes });
        }
    }

    /// Whether INFO counts as many changes as lie there.
    fn says_info(self, place: NonNull<i64>) -> bool {
        let said = self.server_info(c"persistence", c"rdb_changes_since_last_save");
        said.and_then(|said| said.parse().ok()) == Some(read(place))
    }
}

impl Direct {
    #[inline]
    fn send(&self, client: Known<'_>, args: Args<'_>) {
        let (argv, argc) = args.as_raw();
        let (command, db) = (client.command(), client.db_index());
        // SAFETY: the command that the server runs, with its own words, in its own database.
        unsafe { (self.propagate)(command, db, argv, argc, EVERYWHERE) };
        let count = read(self.changes).wrapping_add(1);
        // SAFETY: the place was seen to be the count of changes; the main thread alone counts.
        unsafe { self.changes.write(count) };
    }
}

fn read(place: NonNull<i64>) -> i64 {
    // SAFETY: an aligned word of the server's state, which lives as long as the process; volatile,
    // for other threads of the server may write to some of them.
    unsafe { place.read_volatile() }
}

/// Whether the client's command and words are where we look for them.
fn reads_right(client: Known<'_>, args: Args<'_>) -> bool {
    let name = args.bytes(0).map(c_text);
    let row = name.and_then(|name| CommandTable::find()?.address(&name));
    row == Some(client.command()) && client.words() == args.as_raw()
}

impl Search {
    /// Takes what a call did; the word that is left, if it has proven itself.
    fn narrow(&mut self, state: &State, before: &[i64]) -> Option<NonNull<i64>> {
        let after = state.words();
        let raised = |at: usize| {
            let (was, is) = (*before.get(at)?, *after.get(at)?);
            (is == was.wrapping_add(1)).then_some((state.place(at), was, is))
        };
        let raised = (0..after.len()).filter_map(raised);
        // Between two calls it may have risen; what falls back to zero is something else.
        let counted_on = |place, was| self.left.contains(&(place, was)) || self.rose(place, was);
        self.left = raised
            .filter(|(place, was, _)| self.calls == 0 || counted_on(*place, *was))
            .map(|(place, _, is)| (place, is))
            .collect();
        self.calls += 1;
        // Beyond that many calls two are left, or INFO did not agree about the one.
        if self.left.is_empty() || self.calls > CALLS {
            (self.calls, self.searches) = (0, self.searches + 1);
        }
        let proven = self.calls >= CALLS && self.left.len() == 1;
        self.left
            .first()
            .filter(|_| proven)
            .map(|(place, _)| *place)
    }

    fn rose(&self, place: NonNull<i64>, was: i64) -> bool {
        let mut left = self.left.iter();
        left.any(|(known, last)| *known == place && *last < was)
    }
}

/// The server's state, as words.
struct State {
    start: NonNull<i64>,
    len: usize,
}

impl State {
    /// The variable `server`, as long as the server's table of symbols says.
    fn of_server() -> Option<Self> {
        let start = NonNull::new(symbol(c"server")?)?;
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
        let mut entry: *mut libc::Elf64_Sym = std::ptr::null_mut();
        let place = (&raw mut entry).cast::<*mut c_void>();
        // SAFETY: both places are ours, for what the function writes with this flag.
        let found = unsafe { libc::dladdr1(start.as_ptr(), info.as_mut_ptr(), place, ENTRY) };
        if found == 0 || entry.is_null() || !start.cast::<i64>().is_aligned() {
            return None;
        }
        // SAFETY: an entry of the program's table, which lives as long as the program.
        let bytes = unsafe { (*entry).st_size };
        let len = usize::try_from(bytes).ok()? / size_of::<i64>();
        let start = start.cast();
        (len > 0).then_some(Self { start, len })
    }

    fn place(&self, at: usize) -> NonNull<i64> {
        // SAFETY: callers count only as far as `words` is long.
        unsafe { self.start.add(at) }
    }

    fn words(&self) -> Vec<i64> {
        (0..self.len).map(|at| read(self.place(at))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(words: &mut [i64]) -> State {
        State {
            start: NonNull::from(&mut *words).cast(),
            len: words.len(),
        }
    }

    /// Calls with so many changes of others before each; the word that was found.
    fn found(more: [i64; 4], resets: bool) -> Option<usize> {
        let mut search = Search {
            left: Vec::new(),
            calls: 0,
            searches: 0,
        };
        // Something else, the count of changes, a list that is emptied after each call.
        let mut words = [7, 40, 0];
        for more in more {
            words[1] = if resets { 0 } else { words[1] + more };
            words[2] = 0;
            let state = state(&mut words);
            let before = state.words();
            words[1] += 1;
            words[2] += 1;
            if let Some(place) = search.narrow(&state, &before) {
                return Some((place.as_ptr().addr() - words.as_ptr().addr()) / size_of::<i64>());
            }
        }
        None
    }

    #[test]
    fn the_word_that_counts_on_is_found() {
        assert_eq!(found([0, 0, 0, 0], false), Some(1));
        assert_eq!(found([0, 5, 0, 2], false), Some(1));
    }

    #[test]
    fn what_starts_again_from_zero_is_not() {
        assert_eq!(found([0, 0, 0, 0], true), None);
    }
}
