//! Every function that the server calls, in one place: each casts, and calls a safe one inside
//! `guard::contained`. What they do is elsewhere.

use super::guard::contained;
use super::numa_type::{self, NumaType};
use super::raw::{by_server, caller, Args, Ctx, Digest, FilterWords, Io, Name, Quick, Report};
use super::raw::{Seen, ERR, OK};
use super::{events, info, plugin, tick, transparent};
use crate::ids::DbIndex;
use redis_module::raw;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// The version that MODULE LIST shows: 0.1.0 as one number.
const MODULE_VERSION: c_int = 100;

/// The load. `redis-module`'s macro would do this too, but with unwraps on the way, with nothing
/// around our own code, and with a warning in every log about what 6.2 does not have.
///
/// # Safety
/// * `ctx` is the server's context, `argv` its `argc` words, all for the length of the call.
pub(crate) unsafe fn on_load(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
    load: fn(Ctx<'_>, Args<'_>) -> bool,
) -> c_int {
    let api_version = raw::REDISMODULE_APIVER_1 as c_int;
    let name = c"numa".as_ptr();
    // SAFETY: the server's context, and a C string that lives for ever.
    let status = unsafe { raw::Export_RedisModule_Init(ctx, name, MODULE_VERSION, api_version) };
    if status != OK {
        return ERR;
    }
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: the server lends the words for this call.
    let args = unsafe { Args::from_raw(argv, argc) };
    if contained(false, || load(ctx, args)) {
        OK
    } else {
        ERR
    }
}

/// A command of the module: its row in COMMAND INFO and what it does. One type for each, for the
/// server hands a handler no data of its own.
pub(crate) trait Command {
    /// The name, in lower case.
    const NAME: &'static CStr;
    /// The flags, as `RedisModule_CreateCommand` takes them.
    const FLAGS: &'static CStr;
    /// First key, last key, step.
    const KEYS: (c_int, c_int, c_int);
    /// The number of words, its name included; less than zero, at least so many.
    const ARITY: c_int;

    /// What is remembered of it while the module is loaded.
    fn seen() -> &'static Seen;

    /// Serves one call; it always replies.
    fn serve(ctx: Ctx<'_>, args: Args<'_>);
}

/// The entry of a command.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn command<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: the server lends the words for this call.
    let args = unsafe { Args::from_raw(argv, argc) };
    let serve = || {
        C::serve(ctx, args);
        true
    };
    if !contained(false, serve) {
        contained((), || {
            ctx.reply_error("ERR internal error, contained: see the server's log")
        });
    }
    OK
}

/// A row of the command table that leads to us without a context.
///
/// # Safety
/// * For the server alone, with the client that runs the command.
pub(crate) unsafe extern "C" fn direct<Q: Quick>(client: *mut c_void) {
    // SAFETY: the server lends the client for this call.
    let caller = unsafe { caller::<Q>(client) };
    let served = caller.map(|(known, args)| {
        let served = contained(None, || Some(Q::serve_quickly(known, args)));
        served.unwrap_or_else(|| {
            known.send(b"-ERR internal error, contained: see the server's log\r\n");
            true
        })
    });
    if served != Some(true) {
        // SAFETY: the server's client, which runs our command.
        unsafe { by_server(client) };
    }
}

/// What a client waits for that was put to sleep until a key is ready.
pub(crate) trait Waits {
    /// A key may be ready: serves the client, and answers whether it did, or it waits on. The words
    /// are those of the command that put it to sleep.
    fn ready(ctx: Ctx<'_>, args: Args<'_>) -> bool;

    /// The time is over, or CLIENT UNBLOCK ended it: replies that there is nothing.
    fn timed_out(ctx: Ctx<'_>);
}

/// A key for which a client waits may be ready.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn ready<W: Waits>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: the server keeps the words of the command until the client is served.
    let args = unsafe { Args::from_raw(argv, argc) };
    if contained(false, || W::ready(ctx, args)) {
        OK
    } else {
        ERR
    }
}

/// A waiting client has waited long enough.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn timed_out<W: Waits>(
    ctx: *mut raw::RedisModuleCtx,
    _argv: *mut *mut raw::RedisModuleString,
    _argc: c_int,
) -> c_int {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    contained((), || W::timed_out(ctx));
    OK
}

/// The timer's tick.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn timer(ctx: *mut raw::RedisModuleCtx, data: *mut c_void) {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    contained((), || tick::fired(ctx, data as usize));
}

/// A command passes the filter that renames.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn rename_filter(filter: *mut raw::RedisModuleCommandFilterCtx) {
    // SAFETY: the server lends the words for this call.
    let words = unsafe { FilterWords::from_raw(filter) };
    contained((), || transparent::pass(words));
}

/// INFO. In a crash report nothing is said: the heap may be broken.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn report(info: *mut raw::RedisModuleInfoCtx, crash: c_int) {
    if crash != 0 {
        return;
    }
    // SAFETY: the server lends the INFO context for this call.
    let report = unsafe { Report::from_raw(info) };
    contained((), || info::write(report));
}

/// A server event: flush, swapdb, loading, fork.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn server_event(
    ctx: *mut raw::RedisModuleCtx,
    event: raw::RedisModuleEvent,
    subevent: u64,
    data: *mut c_void,
) {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    if event.id == raw::REDISMODULE_EVENT_MODULE_CHANGE {
        if subevent == raw::REDISMODULE_SUBEVENT_MODULE_UNLOADED {
            // SAFETY: this event comes with a `RedisModuleModuleChangeV1`, lent for this call.
            let change = unsafe { &*data.cast::<raw::RedisModuleModuleChange>() };
            // SAFETY: the server names the module by a C string.
            let name = unsafe { CStr::from_ptr(change.module_name) };
            contained((), || plugin::module_unloaded(name.to_bytes()));
        }
        return;
    }
    if event.id == raw::REDISMODULE_EVENT_SWAPDB {
        // SAFETY: this event comes with a `RedisModuleSwapDbInfoV1`, lent for this call.
        let swap = unsafe { &*data.cast::<raw::RedisModuleSwapDbInfo>() };
        let db = |number: c_int| DbIndex(number.unsigned_abs());
        contained((), || {
            events::swapped(db(swap.dbnum_first), db(swap.dbnum_second));
        });
    }
    contained((), || events::server_event(ctx, event.id, subevent));
}

/// A keyspace event.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn keyspace_event(
    ctx: *mut raw::RedisModuleCtx,
    _class: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server lends the context for this call.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    // SAFETY: the server names the event by a C string.
    let event = unsafe { CStr::from_ptr(event) };
    // SAFETY: the server lends the key's name for this call.
    let key = unsafe { Name::from_raw(key) };
    contained((), || events::keyspace_event(ctx, event.to_bytes(), key));
    OK
}

/// A command passes the filter that listens.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn listen_filter(filter: *mut raw::RedisModuleCommandFilterCtx) {
    // SAFETY: the server lends the words for this call.
    let words = unsafe { FilterWords::from_raw(filter) };
    contained((), || events::command(words));
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn rdb_load<V: NumaType>(
    io: *mut raw::RedisModuleIO,
    encver: c_int,
) -> *mut c_void {
    // SAFETY: the server lends the handle for this call.
    let io = unsafe { Io::from_raw(io) };
    let loaded = contained(None, || numa_type::load::<V>(io, encver));
    loaded.map_or(null_mut(), |value| value.as_ptr().cast())
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn rdb_save<V: NumaType>(
    io: *mut raw::RedisModuleIO,
    value: *mut c_void,
) {
    // SAFETY: the server lends the handle for this call.
    let io = unsafe { Io::from_raw(io) };
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    contained((), || unsafe {
        numa_type::with_raw::<V, _>(value, |value| numa_type::save(io, value))
    });
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn aof_rewrite<V: NumaType>(
    io: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    // SAFETY: the server lends the handle for this call.
    let io = unsafe { Io::from_raw(io) };
    // SAFETY: the server lends the key's name for this call.
    let key = unsafe { Name::from_raw(key) };
    let rewrite = |value: &V| value.rewrite(io, key);
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    contained((), || unsafe { numa_type::with_raw(value, rewrite) });
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn mem_usage<V: NumaType>(value: *const c_void) -> usize {
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    contained(0, || unsafe {
        numa_type::with_raw(value.cast_mut(), V::memory)
    })
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn digest<V: NumaType>(
    md: *mut raw::RedisModuleDigest,
    value: *mut c_void,
) {
    // SAFETY: the server lends the handle for this call.
    let digest = unsafe { Digest::from_raw(md) };
    let add = |value: &V| value.digest(digest);
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    contained((), || unsafe { numa_type::with_raw(value, add) });
}

/// May run on a background thread of the server (lazy free, FLUSHALL ASYNC).
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn free<V: NumaType>(value: *mut c_void) {
    // SAFETY: the server gives back what we gave it, for good.
    contained((), || unsafe { numa_type::free_raw::<V>(value) });
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn free_effort<V: NumaType>(
    _key: *mut raw::RedisModuleString,
    value: *const c_void,
) -> usize {
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    contained(1, || unsafe {
        numa_type::with_raw(value.cast_mut(), numa_type::free_effort::<V>)
    })
}

/// # Safety
/// * For the server alone, with the arguments that its API promises.
pub(crate) unsafe extern "C" fn copy<V: NumaType>(
    _from: *mut raw::RedisModuleString,
    to: *mut raw::RedisModuleString,
    value: *const c_void,
) -> *mut c_void {
    // SAFETY: the server lends the key's name for this call.
    let to = unsafe { Name::from_raw(to) };
    let copy = |value: &V| numa_type::copy(to, value);
    // SAFETY: the server hands back what we gave it, and lends it for this call.
    let copied = contained(None, || unsafe {
        numa_type::with_raw(value.cast_mut(), copy)
    });
    copied.map_or(null_mut(), |value| value.as_ptr().cast())
}
