//! What is asked of the server once, at load, and of the C library now and then.

use super::{api, Ctx, OK};
use crate::redis::callbacks::{keyspace_event, report, server_event};
use redis_module::raw;
use std::ffi::CStr;

/// The version of a server event's data that we understand; we read none of it.
const EVENT_DATA_VERSION: u64 = 1;

impl Ctx<'_> {
    /// Registers a data type; nothing where the server refuses it.
    pub(crate) fn create_type(
        self,
        name: &CStr,
        encver: i32,
        mut methods: raw::RedisModuleTypeMethods,
    ) -> Option<*mut raw::RedisModuleType> {
        let (ctx, name) = (self.as_ptr(), name.as_ptr());
        let made = api!(RedisModule_CreateDataType(ctx, name, encver, &mut methods))?;
        (!made.is_null()).then_some(made)
    }

    /// Says what the server may expect of the module: a short read is an error and no abort, and
    /// a key that was opened for writing has not changed until we say so.
    pub(crate) fn set_options(self) {
        let options = raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
            | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED;
        api!(RedisModule_SetModuleOptions(self.as_ptr(), options as i32));
    }

    /// Has [`server_event`] called for that event; false where the server does not know it.
    pub(crate) fn subscribe_server_event(self, id: u64) -> bool {
        let event = raw::RedisModuleEvent {
            id,
            dataver: EVENT_DATA_VERSION,
        };
        let ctx = self.as_ptr();
        api!(RedisModule_SubscribeToServerEvent(
            ctx,
            event,
            Some(server_event)
        )) == Some(OK)
    }

    /// Has [`keyspace_event`] called for those classes of events.
    pub(crate) fn subscribe_keyspace_events(self, classes: i32) -> bool {
        let ctx = self.as_ptr();
        api!(RedisModule_SubscribeToKeyspaceEvents(
            ctx,
            classes,
            Some(keyspace_event)
        )) == Some(OK)
    }

    /// Shows a function of ours to other modules by that name; false where the server refuses.
    pub(crate) fn export(self, name: &CStr, function: *const ()) -> bool {
        let function = function.cast_mut().cast();
        api!(RedisModule_ExportSharedAPI(
            self.as_ptr(),
            name.as_ptr(),
            function
        )) == Some(OK)
    }

    /// Whether a module of that name is loaded.
    pub(crate) fn is_module(name: &CStr) -> bool {
        api!(RedisModule_IsModuleNameBusy(name.as_ptr())).is_some_and(|answer| answer != 0)
    }

    /// Has [`report`] called for INFO.
    pub(crate) fn register_info(self) -> bool {
        api!(RedisModule_RegisterInfoFunc(self.as_ptr(), Some(report))) == Some(OK)
    }
}

/// Whether the kernel would give the process that many bytes more; they are given back untouched.
pub(crate) fn could_map(bytes: usize) -> bool {
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    let anywhere = std::ptr::null_mut();
    // SAFETY: a new mapping where the kernel likes, which nothing points into.
    let mapped = unsafe { libc::mmap(anywhere, bytes, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: the whole of the mapping that was just made.
    unsafe { libc::munmap(mapped, bytes) };
    true
}

/// CPU time of the calling thread in ns.
pub(crate) fn thread_cpu_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists on every Linux, and the struct is ours.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    if status != 0 {
        return 0;
    }
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
