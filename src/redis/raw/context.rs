//! The context of a callback: which database, which flags, what goes to replicas and the log.

use super::arity::CommandTable;
use super::{api, c_text, Name, OK};
use crate::redis::callbacks::{command, timer, Command};
use redis_module::raw;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::raw::c_void;

/// Databases a server may have, as far as we look for them.
const DATABASES_MAX: u32 = 1 << 16;

/// The server's context for the length of one callback.
#[derive(Clone, Copy)]
pub(crate) struct Ctx<'c> {
    ptr: *mut raw::RedisModuleCtx,
    lent: PhantomData<&'c ()>,
}

/// How loud a log line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogLevel {
    Verbose,
    Notice,
    Warning,
}

impl LogLevel {
    fn word(self) -> &'static CStr {
        match self {
            Self::Verbose => c"verbose",
            Self::Notice => c"notice",
            Self::Warning => c"warning",
        }
    }
}

/// What the server is doing, of the flags that matter here.
#[derive(Clone, Copy)]
pub(crate) struct ContextFlags(i32);

impl ContextFlags {
    fn has(self, flag: u32) -> bool {
        self.0 & flag as i32 != 0
    }

    /// The dataset is being read from disk or from a master.
    pub(crate) fn loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// A child of the server (BGSAVE, AOF rewrite, full sync) shares our OS pages.
    pub(crate) fn child_running(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_ACTIVE_CHILD)
    }

    /// This server is a replica that takes no writes of clients.
    pub(crate) fn read_only(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_READONLY)
    }

    /// This server is a replica.
    pub(crate) fn replica(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_SLAVE)
    }

    /// A script runs the command.
    pub(crate) fn script(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LUA)
    }

    /// The client may not be put to sleep: MULTI, a script, a master's link.
    pub(crate) fn deny_blocking(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING)
    }

    /// The command came over the link to the master.
    pub(crate) fn by_master(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_REPLICATED)
    }
}

impl<'c> Ctx<'c> {
    /// # Safety
    /// * `ptr` is a live context of the server for all of `'c`, used on the thread it was lent to.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleCtx) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    pub(crate) fn as_ptr(self) -> *mut raw::RedisModuleCtx {
        self.ptr
    }

    /// What the server is doing now.
    pub(crate) fn flags(self) -> ContextFlags {
        ContextFlags(api!(RedisModule_GetContextFlags(self.ptr)).unwrap_or(0))
    }

    /// The database that keys are opened in.
    pub(crate) fn selected_db(self) -> u32 {
        api!(RedisModule_GetSelectedDb(self.ptr)).unwrap_or(0) as u32
    }

    /// Opens keys in `db` from here on; false where there is no such database.
    pub(crate) fn select_db(self, db: u32) -> bool {
        i32::try_from(db)
            .ok()
            .and_then(|db| api!(RedisModule_SelectDb(self.ptr, db)))
            .is_some_and(|status| status == OK)
    }

    /// The databases that hold keys.
    pub(crate) fn databases(self) -> Vec<u32> {
        let was = self.selected_db();
        let there = (0..DATABASES_MAX).take_while(|db| self.select_db(*db));
        let filled = there.filter(|_| self.db_size() > 0).collect();
        self.select_db(was);
        filled
    }

    /// How many keys the selected database has.
    pub(crate) fn db_size(self) -> u64 {
        api!(RedisModule_DbSize(self.ptr)).unwrap_or(0)
    }

    /// Writes a line to the server's log. The text is never a format.
    pub(crate) fn log(self, level: LogLevel, text: &str) {
        log_through(self.ptr, level, text);
    }

    /// Sends `command` with these words to replicas and the AOF instead of what came.
    pub(crate) fn replicate(self, command: &CStr, words: &[Name<'_>]) {
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        api!(RedisModule_Replicate(
            self.ptr,
            command.as_ptr(),
            c"v".as_ptr(),
            start,
            count
        ));
    }

    /// Tells watchers and client-side caches that the key changed.
    #[inline]
    pub(crate) fn signal_modified(self, key: Name<'_>) {
        if let Some(known) = self.known() {
            return known.signal(key);
        }
        api!(RedisModule_SignalModifiedKey(self.ptr, key.as_ptr()));
    }

    /// Whether replicating now would break a paused or failing-over server.
    pub(crate) fn must_not_replicate() -> bool {
        api!(RedisModule_AvoidReplicaTraffic()).is_none_or(|answer| answer != 0)
    }

    /// The server's clock in milliseconds since 1970.
    pub(crate) fn unix_ms() -> i64 {
        api!(RedisModule_Milliseconds()).unwrap_or(0)
    }

    /// A text field of a section of the server's INFO.
    pub(crate) fn server_info(self, section: &CStr, field: &CStr) -> Option<String> {
        let data = api!(RedisModule_GetServerInfo(self.ptr, section.as_ptr()))?;
        let found = api!(RedisModule_ServerInfoGetFieldC(data, field.as_ptr()));
        let text = found.filter(|text| !text.is_null()).map(|text| {
            // SAFETY: the server answers with a C string that lives until the data is freed.
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned()
        });
        api!(RedisModule_FreeServerInfo(self.ptr, data));
        text
    }
}

impl Ctx<'_> {
    /// Registers a command; its name when the server refuses it (another module has it).
    pub(crate) fn create_command<C: Command>(self) -> Result<(), &'static CStr> {
        let (first, last, step) = C::KEYS;
        let (name, flags) = (C::NAME.as_ptr(), C::FLAGS.as_ptr());
        let entry = Some(command::<C> as _);
        let created = api!(RedisModule_CreateCommand(
            self.ptr, name, entry, flags, first, last, step
        ));
        if created != Some(OK) {
            return Err(C::NAME);
        }
        if let Some(table) = CommandTable::find() {
            table.declare(C::NAME, C::ARITY);
        }
        Ok(())
    }

    /// Whether the server only wants to know where the keys of the words are.
    pub(crate) fn wants_key_positions(self) -> bool {
        api!(RedisModule_IsKeysPositionRequest(self.ptr)).is_some_and(|answer| answer != 0)
    }

    /// Says that the word at `index` is a key.
    pub(crate) fn key_at(self, index: usize) {
        if let Ok(index) = i32::try_from(index) {
            api!(RedisModule_KeyAtPos(self.ptr, index));
        }
    }

    /// A number of the server's own configuration.
    pub(crate) fn config_number(self, name: &CStr) -> Option<u64> {
        self.config_text(name)?.parse().ok()
    }

    /// A text of the server's own configuration.
    pub(crate) fn config_text(self, name: &CStr) -> Option<String> {
        let (format, get) = (c"cc".as_ptr(), c"GET".as_ptr());
        let reply = api!(RedisModule_Call(
            self.ptr,
            c"CONFIG".as_ptr(),
            format,
            get,
            name.as_ptr()
        ))?;
        if reply.is_null() {
            return None;
        }
        let text = second_text(reply);
        api!(RedisModule_FreeCallReply(reply));
        text
    }

    /// Fires [`timer`](crate::redis::callbacks::timer) once, `period_ms` from now, with `data`.
    pub(crate) fn start_timer(self, period_ms: u64, data: usize) {
        let period = i64::try_from(period_ms).unwrap_or(i64::MAX);
        let data = data as *mut c_void;
        api!(RedisModule_CreateTimer(self.ptr, period, Some(timer), data));
    }
}

/// The second element of an array reply, as text.
fn second_text(reply: *mut raw::RedisModuleCallReply) -> Option<String> {
    let element = api!(RedisModule_CallReplyArrayElement(reply, 1))?;
    if element.is_null() {
        return None;
    }
    let mut len = 0;
    let start = api!(RedisModule_CallReplyStringPtr(element, &mut len))?;
    if start.is_null() {
        return None;
    }
    // SAFETY: the server says that `len` bytes lie there until the reply is freed.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) };
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// Writes a log line where no context is at hand (a panic, a background thread).
pub(crate) fn log_anywhere(level: LogLevel, text: &str) {
    log_through(std::ptr::null_mut(), level, text);
}

/// What the server is doing now, where no context is at hand.
pub(crate) fn flags_anywhere() -> ContextFlags {
    ContextFlags(api!(RedisModule_GetContextFlags(std::ptr::null_mut())).unwrap_or(0))
}

fn log_through(ctx: *mut raw::RedisModuleCtx, level: LogLevel, text: &str) {
    let line = c_text(text);
    api!(RedisModule_Log(
        ctx,
        level.word().as_ptr(),
        c"%s".as_ptr(),
        line.as_ptr()
    ));
}
