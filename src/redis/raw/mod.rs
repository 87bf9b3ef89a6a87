//! The thin safe faces over the server's API: each holds a pointer that the server lent for the
//! length of one callback, and its lifetime says so.
//!
//! Invariant: a face is made only at the border (`callbacks`), from what the server handed in, so
//! inside the module every face is valid. Rejected: the wrappers of `redis-module`, which unwrap
//! on absent functions, allocate an owned string per argument, and pass text as a format.

use std::os::raw::c_int;

mod args;
mod arity;
mod block;
mod call;
mod context;
mod direct;
mod filter;
pub(crate) mod inside;
mod io;
mod key;
mod native;
mod notify;
mod reply;
mod report;
mod resp;
mod scan;
mod sds;
mod setup;
mod text;
mod verbatim;

pub(crate) use args::{Args, Name};
pub(crate) use context::{flags_anywhere, log_anywhere, Ctx, LogLevel};
pub(crate) use direct::{by_server, caller, lead_all, lead_later, rows_led, Quick, Seen};
pub(crate) use filter::{FilterWords, Mark, Registered};
pub(crate) use inside::{Found, Known};
pub(crate) use io::{Delivered, Digest, Io};
pub(crate) use key::{Key, KeyKind, Mode};
pub(crate) use notify::{Event, HashEvent, ListEvent, SetEvent, ZsetEvent};
pub(crate) use reply::Replies;
pub(crate) use report::Report;
pub(crate) use scan::ServerCursor;
pub(crate) use setup::{could_map, thread_cpu_ns};
pub(crate) use text::{c_text, OwnedName};

/// Calls a function of the server's API; `None` where this server has no such function.
macro_rules! api {
    ($name:ident ( $($argument:expr),* $(,)? )) => {{
        // SAFETY: the table is filled at load, before any callback of ours, and stays as it is.
        let function = unsafe { redis_module::raw::$name };
        match function {
            // SAFETY: the arguments are what the API's contract for this function asks: faces
            // hold live pointers, lengths come from the slices they belong to.
            Some(function) => Some(unsafe { function($($argument),*) }),
            None => None,
        }
    }};
}
pub(crate) use api;

/// What the server's functions answer when all went well.
pub(crate) const OK: c_int = 0;
/// What they answer otherwise.
pub(crate) const ERR: c_int = 1;

/// The functions without which the module cannot serve: the name of the first that is missing.
pub(crate) fn missing_function() -> Option<&'static str> {
    macro_rules! first_missing {
        ($($name:ident),* $(,)?) => {{
            $(
                // SAFETY: the table is filled at load, before this runs, and stays as it is.
                let present = unsafe { redis_module::raw::$name }.is_some();
                if !present {
                    return Some(stringify!($name));
                }
            )*
            None
        }};
    }
    first_missing!(
        RedisModule_Alloc,
        RedisModule_Free,
        RedisModule_CreateCommand,
        RedisModule_CreateDataType,
        RedisModule_OpenKey,
        RedisModule_CloseKey,
        RedisModule_KeyType,
        RedisModule_ModuleTypeGetType,
        RedisModule_ModuleTypeGetValue,
        RedisModule_ModuleTypeSetValue,
        RedisModule_ModuleTypeReplaceValue,
        RedisModule_SignalModifiedKey,
        RedisModule_NotifyKeyspaceEvent,
        RedisModule_SetModuleOptions,
        RedisModule_Scan,
        RedisModule_ScanKey,
        RedisModule_ScanCursorCreate,
        RedisModule_CreateTimer,
        RedisModule_SubscribeToServerEvent,
        RedisModule_SubscribeToKeyspaceEvents,
        RedisModule_RegisterInfoFunc,
        RedisModule_GetContextFlags,
        RedisModule_SelectDb,
        RedisModule_AvoidReplicaTraffic,
    )
}
