//! A NUMA type as the server sees it: its name, its callbacks, its bytes in an RDB file.
//!
//! What differs from type to type stands in [`NumaType`], one short impl each (`types`); all else
//! is said once, for a `V` that the server's pointer is known to lead to.

use super::callbacks as entry;
use super::numa_key::AnyKey;
use super::raw::Delivered;
use super::raw::{flags_anywhere, log_anywhere, Ctx, Digest, Io, LogLevel, Name};
use super::server::{server, Server};
use crate::heat::{Clock, Heat};
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::{OutOfMemory, PoolHandle};
use crate::value::{codec, raw};
use crate::value::{BadPayload, Landing, Sink, Source, Value};
use redis_module::raw::{RedisModuleType, RedisModuleTypeMethods};
use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

/// The version of the RDB encoding that this module writes.
const ENCODING_VERSION: i32 = 1;
/// The type methods of Redis 6.2.
const METHODS_VERSION: u64 = 3;
/// From this size on a free is worth a background thread.
const BACKGROUND_FREE_BYTES: usize = 256 << 10;
/// The server frees in the background what costs more than this many allocations.
const EFFORT_THRESHOLD: usize = 64;
/// For that long after a warning of a refused payload others are told quietly.
const QUIET_MS: i64 = 1000;

/// When the last such warning was written, in ms since 1970.
static TOLD_MS: AtomicI64 = AtomicI64::new(0);

/// What the server must know of a type.
pub(crate) trait NumaType: Value + Send + 'static {
    /// Which of the five it is.
    const KIND: Kind;
    /// The name that stands in RDB files for ever.
    const NAME: &'static CStr;

    /// Writes the commands that make the value again; the server adds the time to live. Runs in
    /// the forked child: takes no lock, allocates nothing from the pool.
    fn rewrite(&self, io: Io<'_>, key: Name<'_>);

    /// Adds the value to DEBUG DIGEST: its content alone, so that equal data has equal digests
    /// wherever it lies, however hot it is, and in whatever order it came.
    fn digest(&self, digest: Digest<'_>);

    /// Makes the stock value of the same content at a key that holds nothing; false where the
    /// server would not. Gives no event where the server's API allows that, and replicates nothing.
    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool;

    /// Makes a value of what a stock value of its kind holds; nothing where the server would not
    /// show it.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    fn from_native(
        ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory>
    where
        Self: Sized;
}

/// What the server calls for a value of the type.
const fn methods<V: NumaType>() -> RedisModuleTypeMethods {
    RedisModuleTypeMethods {
        version: METHODS_VERSION,
        rdb_load: Some(entry::rdb_load::<V>),
        rdb_save: Some(entry::rdb_save::<V>),
        aof_rewrite: Some(entry::aof_rewrite::<V>),
        mem_usage: Some(entry::mem_usage::<V>),
        digest: Some(entry::digest::<V>),
        free: Some(entry::free::<V>),
        // Auxiliary data makes a file unreadable without the module, even when there is none.
        aux_load: None,
        aux_save: None,
        aux_save_triggers: 0,
        free_effort: Some(entry::free_effort::<V>),
        // Nothing outside the value knows of it, so nothing is to be undone at UNLINK.
        unlink: None,
        copy: Some(entry::copy::<V>),
        // The server can only move blocks of its own allocator; ours are compacted by the pool.
        defrag: None,
        // What Redis 7 added; 6.2 does not read so far.
        mem_usage2: None,
        free_effort2: None,
        unlink2: None,
        copy2: None,
        aux_save2: None,
    }
}

/// Registers the type; the server's handle of it.
pub(crate) fn register<V: NumaType>(ctx: Ctx<'_>) -> Result<*mut RedisModuleType, String> {
    let handle = ctx.create_type(V::NAME, ENCODING_VERSION, methods::<V>());
    handle.ok_or_else(|| {
        let name = V::NAME.to_string_lossy();
        format!("the server refused the type {name}: is another module using that name?")
    })
}

/// Lends `work` the value behind a pointer of the server's.
///
/// # Safety
/// * `value` is a pointer that the server got from this type and still holds.
/// * nothing changes the value while `work` runs (the main thread, or a forked child).
pub(crate) unsafe fn with_raw<V: NumaType, R: Default>(
    value: *mut c_void,
    work: impl FnOnce(&V) -> R,
) -> R {
    let (Some(server), Some(value)) = (server(), NonNull::new(value.cast())) else {
        return R::default();
    };
    // SAFETY: the caller's two promises are those of `borrow`.
    let borrowed = unsafe { raw::borrow::<V>(value, server.pool) };
    work(&borrowed)
}

/// Gives the value back to its pool, from whichever thread.
///
/// # Safety
/// * `value` is a pointer that the server got from this type and will not use again.
pub(crate) unsafe fn free_raw<V: NumaType>(value: *mut c_void) {
    if let (Some(server), Some(value)) = (server(), NonNull::new(value.cast())) {
        // SAFETY: the server gave up the value, so it is ours alone.
        let value = unsafe { raw::take::<V>(value, server.pool) };
        server.value_went();
        server.late_frees.free(server.pool, value);
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
pub(crate) fn save<V: NumaType>(mut io: Io<'_>, value: &V) {
    codec::save(value, &mut io, &clock().unwrap_or_default());
}

/// Reads a value; a damaged, hostile or unknown payload is refused, and the server says so.
pub(crate) fn load<V: NumaType>(io: Io<'_>, encver: c_int) -> Option<NonNull<u8>> {
    let server = server()?;
    match decode::<V>(server, io, encver) {
        Ok(value) => {
            server.value_came();
            Some(value.into_raw())
        }
        Err(reason) => {
            server.rejected_payloads.fetch_add(1, Ordering::Relaxed);
            let name = V::NAME.to_string_lossy();
            let line = format!("<numa> refused a {name} payload: {reason}");
            log_anywhere(loudness_of_refusal(), &line);
            None
        }
    }
}

/// How loud a refused payload is told: whoever may RESTORE must not be able to fill the log, so of
/// those that no file held one a second is a warning.
fn loudness_of_refusal() -> LogLevel {
    let now_ms = Ctx::unix_ms();
    let told_ms = TOLD_MS.load(Ordering::Relaxed);
    if !flags_anywhere().loading() && (0..QUIET_MS).contains(&now_ms.saturating_sub(told_ms)) {
        return LogLevel::Verbose;
    }
    TOLD_MS.store(now_ms, Ordering::Relaxed);
    LogLevel::Warning
}

fn decode<V: NumaType>(server: &Server, mut io: Io<'_>, encver: c_int) -> Result<V, String> {
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
    let mut berth = Berth { server, name };
    codec::load(&mut io, &clock, &mut berth).map_err(|error| error.to_string())
}

/// Where a value of a file goes: as new bytes do, and beyond every limit where it must.
struct Berth<'s> {
    server: &'s Server,
    name: Vec<u8>,
}

impl Landing for Berth<'_> {
    fn pool(&self) -> PoolHandle {
        self.server.pool
    }

    fn order(&mut self, size: usize) -> Vec<NodeId> {
        self.server.order_for(size, &self.name)
    }

    fn beyond_limits(&mut self, work: &mut dyn FnMut()) {
        self.server.beyond_limits(work);
    }
}

/// What a free costs, in the server's measure of allocations.
pub(crate) fn free_effort<V: NumaType>(value: &V) -> usize {
    if value.memory() >= BACKGROUND_FREE_BYTES {
        EFFORT_THRESHOLD + 1
    } else {
        value.blocks()
    }
}

/// A copy for the key `to`, placed as new bytes are, as hot as the original.
pub(crate) fn copy<V: NumaType>(to: Name<'_>, value: &V) -> Option<NonNull<u8>> {
    let server = server()?;
    let order = server.order_for(value.weight(), to.bytes());
    let copy = value.duplicate(&order).ok()?;
    server.value_came();
    Some(copy.into_raw())
}
