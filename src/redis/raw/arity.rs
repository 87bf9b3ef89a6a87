//! The number of words of our commands, where the server looks for it.
//!
//! `RedisModule_CreateCommand` takes no arity and registers -1, "any number": COMMAND INFO would
//! say so, a wrong number of words would be queued by MULTI and met only in EXEC, and an error
//! inside a script would read otherwise than the stock one. The row itself can be had: the server
//! exports `lookupCommandByCString`, and in 6.2 a row begins with name, function and arity.
//!
//! Invariant: an arity is written only into a row that reads as 6.2's do, with the name that was
//! asked for and the -1 that the server has just put there, and only after rows whose arities never
//! change have been read right. Elsewhere (Redis 7 has longer rows) nothing is written and our own
//! check of the words is the only one. Rejected: reading the version, which forks keep and change.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};

/// How a row of the server's command table begins in 6.2.
#[repr(C)]
struct Row {
    name: *const c_char,
    function: *const c_void,
    arity: c_int,
}

/// What a row leads to.
pub(super) type Function = unsafe extern "C" fn(*mut c_void);

/// The server's own search in its command table.
type Lookup = unsafe extern "C" fn(*const c_char) -> *mut Row;

/// Stock commands and their arities, the same in every 6.2: what a row is recognised by.
const KNOWN: [(&CStr, c_int); 6] = [
    (c"get", 2),
    (c"set", -3),
    (c"mset", -3),
    (c"setex", 4),
    (c"strlen", 2),
    (c"getrange", 4),
];
/// What the server gives a module's command.
const UNDECLARED: c_int = -1;

/// The command table of a server whose rows we can read.
#[derive(Clone, Copy)]
pub(crate) struct CommandTable(Lookup);

impl CommandTable {
    /// The table; nothing where the server does not show it, or its rows are others.
    pub(crate) fn find() -> Option<Self> {
        // SAFETY: a search by name among what the program exports.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"lookupCommandByCString".as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: the function of that name takes a C string and answers a row or null, in every
        // version that has it; a pointer to a function is as wide as any other.
        let table = Self(unsafe { std::mem::transmute::<*mut c_void, Lookup>(found) });
        let reads_right = |(name, arity): &(&CStr, c_int)| table.arity(name) == Some(*arity);
        KNOWN.iter().all(reads_right).then_some(table)
    }

    fn row(self, name: &CStr) -> Option<*mut Row> {
        // SAFETY: the name is a C string; the server reads it and keeps nothing.
        let row = unsafe { (self.0)(name.as_ptr()) };
        (!row.is_null()).then_some(row)
    }

    /// Where the row of that name lies.
    pub(super) fn address(self, name: &CStr) -> Option<*mut c_void> {
        self.row(name).map(|row| row.cast())
    }

    /// The arity in the row of that name.
    fn arity(self, name: &CStr) -> Option<c_int> {
        let row = self.row(name)?;
        // SAFETY: a row of any version is longer than what is read here.
        let said = unsafe { (*row).name };
        if said.is_null() {
            return None;
        }
        // SAFETY: rows begin with their name, a C string.
        let said = unsafe { CStr::from_ptr(said) };
        // SAFETY: a row of any version is longer than what is read here.
        let arity = unsafe { (*row).arity };
        (said == name).then_some(arity)
    }

    /// Leads a row elsewhere that leads to `from` now; where it lies, if it did.
    pub(super) fn lead(self, name: &CStr, from: Function, to: Function) -> Option<*mut c_void> {
        let row = self.row(name)?;
        self.arity(name)?;
        // SAFETY: as in `arity`, whose look has found the name there.
        let leads = unsafe { (*row).function };
        if leads != from as *const c_void {
            return None;
        }
        // SAFETY: a row that the server made for our command; what it holds was recognised.
        unsafe { (*row).function = to as *const c_void };
        Some(row.cast())
    }

    /// Declares the arity of a command that the server has just taken: the number of words, or
    /// less than zero, at least so many.
    pub(crate) fn declare(self, name: &CStr, arity: c_int) {
        if self.arity(name) != Some(UNDECLARED) {
            return;
        }
        if let Some(row) = self.row(name) {
            // SAFETY: `find` has read the arities of stock rows at this place, and this row, which
            // the server made for our command, holds the -1 there that it gives every module's.
            unsafe { (*row).arity = arity };
        }
    }
}
