//! The NUMA string as the server sees it: the type's name, its callbacks, its bytes in an RDB file.

use super::callbacks as entry;
use super::raw::Delivered;
use super::raw::{Ctx, Digest, Io, LogLevel, Name};
use super::server::{server, Server};
use crate::heat::Clock;
use crate::pool::OutOfMemory;
use crate::value::{raw, NumaString};
use crate::value::{BadPayload, Sink, Source};
use redis_module::raw::{RedisModuleType, RedisModuleTypeMethods};
use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// The version of the RDB encoding that this module writes.
const ENCODING_VERSION: i32 = 1;
/// The type methods of Redis 6.2.
const METHODS_VERSION: u64 = 3;
/// From this size on a free is worth a background thread.
const BACKGROUND_FREE_BYTES: usize = 256 << 10;
/// The server frees in the background what costs more than this many allocations.
const EFFORT_THRESHOLD: usize = 64;

/// The name that stands in RDB files for ever.
const TYPE_NAME: &CStr = c"numa-strg";

/// What the server calls for a value of the type.
const METHODS: RedisModuleTypeMethods = RedisModuleTypeMethods {
    version: METHODS_VERSION,
    rdb_load: Some(entry::string_rdb_load),
    rdb_save: Some(entry::string_rdb_save),
    aof_rewrite: Some(entry::string_aof_rewrite),
    mem_usage: Some(entry::string_mem_usage),
    digest: Some(entry::string_digest),
    free: Some(entry::string_free),
    // Auxiliary data makes a file unreadable without the module, even when there is none.
    aux_load: None,
    aux_save: None,
    aux_save_triggers: 0,
    free_effort: Some(entry::string_free_effort),
    // Nothing outside the value knows of it, so nothing is to be undone at UNLINK.
    unlink: None,
    copy: Some(entry::string_copy),
    // The server can only move blocks of its own allocator; ours are compacted by the pool.
    defrag: None,
    // What Redis 7 added; 6.2 does not read so far.
    mem_usage2: None,
    free_effort2: None,
    unlink2: None,
    copy2: None,
    aux_save2: None,
};

/// Registers the type; the server's handle of it.
pub(crate) fn register(ctx: Ctx<'_>) -> Result<*mut RedisModuleType, &'static str> {
    let refused = "the server refused the type numa-strg: is another module using that name?";
    let kind = ctx.create_type(TYPE_NAME, ENCODING_VERSION, METHODS);
    kind.ok_or(refused)
}

/// Lends `work` the value behind a pointer of the server's.
///
/// # Safety
/// * `value` is a pointer that the server got from this type and still holds.
/// * nothing changes the value while `work` runs (the main thread, or a forked child).
pub(crate) unsafe fn with_raw<R: Default>(
    value: *mut c_void,
    work: impl FnOnce(&NumaString) -> R,
) -> R {
    let (Some(server), Some(value)) = (server(), NonNull::new(value.cast())) else {
        return R::default();
    };
    // SAFETY: the caller's two promises are those of `borrow`.
    let borrowed = unsafe { raw::borrow(value, server.pool) };
    work(&borrowed)
}

/// Gives the value back to its pool, from whichever thread.
///
/// # Safety
/// * `value` is a pointer that the server got from this type and will not use again.
pub(crate) unsafe fn free_raw(value: *mut c_void) {
    if let (Some(server), Some(value)) = (server(), NonNull::new(value.cast())) {
        // SAFETY: the server gave up the value, so it is ours alone.
        drop(unsafe { raw::take(value, server.pool) });
    }
}

impl Sink for Io<'_> {
    fn unsigned(&mut self, number: u64) {
        self.save_number(number);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.save_bytes(bytes);
    }
}

impl Source for Io<'_> {
    type Bytes = Delivered;

    fn unsigned(&mut self) -> Result<u64, BadPayload> {
        self.load_number().ok_or(BadPayload::Short)
    }

    fn bytes(&mut self) -> Result<Delivered, BadPayload> {
        self.load_bytes().ok_or(BadPayload::Short)
    }
}

/// The clock of heat, as the tick set it.
fn clock() -> Option<Clock> {
    server()?.pulse.with(|pulse| pulse.clock.clone())
}

/// Runs in the forked child: reads the value, takes no lock, allocates nothing from the pool.
///
/// Another module's thread may ask for a DUMP or a BGSAVE while it holds the server's lock, and our
/// clock is for the main thread: the value is then saved as one long idle, but it is saved.
pub(crate) fn save(mut io: Io<'_>, value: &NumaString) {
    value.save(&mut io, &clock().unwrap_or_default());
}

/// Reads a value; a damaged, hostile or unknown payload is refused, and the server says so.
pub(crate) fn load(io: Io<'_>, encver: c_int) -> Option<NonNull<u8>> {
    let server = server()?;
    match decode(server, io, encver) {
        Ok(value) => Some(value.into_raw()),
        Err(reason) => {
            server.rejected_payloads.fetch_add(1, Ordering::Relaxed);
            let line = format!("<numa> refused a numa-strg payload: {reason}");
            super::raw::log_anywhere(LogLevel::Warning, &line);
            None
        }
    }
}

fn decode(server: &Server, mut io: Io<'_>, encver: c_int) -> Result<NumaString, String> {
    if encver != ENCODING_VERSION {
        return Err(format!(
            "encoding version {encver}; this module reads {ENCODING_VERSION}"
        ));
    }
    let clock = clock().ok_or("the module is busy")?;
    let name = io
        .key_name()
        .map(|name| name.bytes().to_vec())
        .unwrap_or_default();
    let made = NumaString::load(&mut io, &clock, |bytes, heat| {
        let make = || {
            let order = server.order_for(bytes.len(), &name);
            NumaString::new(server.pool, &order, bytes, heat)
        };
        // A file that was written is never refused for a limit set since: its data comes first.
        make().or_else(|OutOfMemory| server.beyond_limits(make))
    });
    made.map_err(|error| error.to_string())
}

/// Writes the command that makes the value again; the server adds the time to live.
pub(crate) fn rewrite(io: Io<'_>, key: Name<'_>, value: &NumaString) {
    io.emit(c"NUMA.SET", key, value.as_bytes());
}

/// Adds the value to DEBUG DIGEST: its bytes alone, so that equal data has equal digests
/// wherever it lies and however hot it is.
pub(crate) fn digest(digest: Digest<'_>, value: &NumaString) {
    digest.element(value.as_bytes());
}

/// What a free costs, in the server's measure of allocations.
pub(crate) fn free_effort(value: &NumaString) -> usize {
    if value.memory() >= BACKGROUND_FREE_BYTES {
        EFFORT_THRESHOLD + 1
    } else {
        1
    }
}

/// A copy for the key `to`, placed as new bytes are, as hot as the original.
pub(crate) fn copy(to: Name<'_>, value: &NumaString) -> Option<NonNull<u8>> {
    let server = server()?;
    let order = server.order_for(value.len(), to.bytes());
    value.duplicate(&order).ok().map(NumaString::into_raw)
}
