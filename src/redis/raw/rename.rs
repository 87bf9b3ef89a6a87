//! The renaming filter: it writes another name over the first word of a command.
//!
//! The server runs it before it looks the command up: for clients, scripts and a master's stream,
//! not for our own calls. It gets words and nothing else: no client, no database, no key, and it
//! runs before AUTH. So it does no more than one search by name (`transparent`); all that needs a
//! key is the business of the command that the name leads to.

use super::{api, Args, Ctx, FilterWords};
use crate::redis::callbacks::renaming_filter;
use redis_module::raw;
use std::ptr::NonNull;

/// The filter, as the server knows it.
#[derive(Clone, Copy)]
pub(crate) struct Registered(NonNull<raw::RedisModuleCommandFilter>);

// SAFETY: the pointer is the server's; only the main thread hands it back, from the cell that
// keeps it.
unsafe impl Send for Registered {}

impl Ctx<'_> {
    /// Has [`renaming_filter`] called for every command but our own.
    pub(crate) fn register_renaming(self) -> Option<Registered> {
        let flags = raw::REDISMODULE_CMDFILTER_NOSELF as i32;
        let made = api!(RedisModule_RegisterCommandFilter(
            self.as_ptr(),
            Some(renaming_filter),
            flags
        ))?;
        NonNull::new(made).map(Registered)
    }

    /// Ends that.
    pub(crate) fn unregister_renaming(self, registered: Registered) {
        api!(RedisModule_UnregisterCommandFilter(
            self.as_ptr(),
            registered.0.as_ptr()
        ));
    }
}

impl FilterWords<'_> {
    /// Writes `mark` over the first word.
    pub(crate) fn rename(self, mark: Mark) {
        let null = std::ptr::null_mut();
        let text = mark.0.as_ptr();
        api!(RedisModule_RetainString(null, text));
        api!(RedisModule_CommandFilterArgReplace(self.as_ptr(), 0, text));
    }
}

/// A name that the filter writes: one string of the server's, made once, so that whoever finds it
/// again knows that the filter wrote it and no client did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(NonNull<raw::RedisModuleString>);

// SAFETY: the string lives as long as the process and is never changed; only the main thread
// counts references to it.
unsafe impl Send for Mark {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mark {}

impl Mark {
    /// A mark of that text.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let null = std::ptr::null_mut();
        let made = api!(RedisModule_CreateString(
            null,
            text.as_ptr().cast(),
            text.len()
        ))?;
        NonNull::new(made).map(Self)
    }

    /// Whether it is the first word of these.
    pub(crate) fn begins(self, args: Args<'_>) -> bool {
        let first = args.name(0);
        first.is_some_and(|name| name.as_ptr() == self.0.as_ptr())
    }
}
