//! An open key: what it holds, its value pointer, its time to live.
//!
//! Where the server's insides are known (`inside`), a key is found without the API's handle, which
//! most commands never need: it is opened by the first who asks for something that what was found
//! does not say, and from then on it is what everyone asks.

use super::inside::Found;
use super::{api, Ctx, Name, OK};
use crate::migrate::Kind;
use redis_module::raw;
use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr::NonNull;

/// How a key is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For a client's read: counts as a hit or a miss, and as a use.
    Read,
    /// For a client's write.
    Write,
    /// To look at or to move: no use is noted.
    Quiet,
}

impl Mode {
    fn bits(self) -> i32 {
        let bits = match self {
            Self::Read => raw::REDISMODULE_READ,
            Self::Write => raw::REDISMODULE_READ | raw::REDISMODULE_WRITE,
            Self::Quiet => {
                raw::REDISMODULE_READ | raw::REDISMODULE_WRITE | raw::REDISMODULE_OPEN_KEY_NOTOUCH
            }
        };
        bits as i32
    }
}

/// What lies at a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyKind {
    /// Nothing.
    Empty,
    /// A stock type.
    Native(Kind),
    /// A value of a module's type.
    Module(*mut raw::RedisModuleType),
}

/// A key, open until this is dropped.
pub(crate) struct Key<'c> {
    /// The API's handle; null where there is none, or none yet.
    handle: Cell<*mut raw::RedisModuleKey>,
    /// What was found, and by whom, where no handle was taken for it.
    found: Option<(Ctx<'c>, Found<'c>)>,
    borrowed: bool,
}

impl Drop for Key<'_> {
    #[inline]
    fn drop(&mut self) {
        let handle = self.handle.get();
        if !self.borrowed && !handle.is_null() {
            api!(RedisModule_CloseKey(handle));
        }
    }
}

impl Ctx<'_> {
    fn handle(self, name: Name<'_>, mode: Mode) -> *mut raw::RedisModuleKey {
        let (ctx, name, mode) = (self.as_ptr(), name.as_ptr(), mode.bits());
        let opened = api!(RedisModule_OpenKey(ctx, name, mode));
        opened.unwrap_or(std::ptr::null_mut()).cast()
    }
}

impl<'c> Ctx<'c> {
    /// Opens a key; an absent key opened for reading is an empty one.
    #[inline(always)]
    pub(crate) fn open<'k>(self, name: Name<'k>, mode: Mode) -> Key<'k>
    where
        'c: 'k,
    {
        let found = self.known().map(|known| known.find(name, mode));
        let handle = match found {
            Some(_) => std::ptr::null_mut(),
            None => self.handle(name, mode),
        };
        Key {
            handle: Cell::new(handle),
            found: found.map(|found| (self, found)),
            borrowed: false,
        }
    }
}

impl<'c> Key<'c> {
    /// # Safety
    /// * `ptr` is null or an open key of the server that outlives this; the server closes it.
    pub(crate) unsafe fn borrowed(ptr: *mut raw::RedisModuleKey) -> Self {
        Self {
            handle: Cell::new(ptr),
            found: None,
            borrowed: true,
        }
    }

    /// The handle, opened now if it was not before: no second use is noted.
    pub(crate) fn as_ptr(&self) -> *mut raw::RedisModuleKey {
        if let Some((ctx, found)) = self.unopened() {
            self.handle.set(ctx.handle(found.name, Mode::Quiet));
        }
        self.handle.get()
    }

    /// What was found, as long as there is no handle.
    #[inline]
    fn unopened(&self) -> Option<(Ctx<'c>, Found<'c>)> {
        self.found.filter(|_| self.handle.get().is_null())
    }

    /// What lies here.
    #[inline(always)]
    pub(crate) fn kind(&self) -> KeyKind {
        let Some((_, found)) = self.unopened() else {
            return self.opened_kind();
        };
        let Some(object) = found.object else {
            return KeyKind::Empty;
        };
        match object.module_kind() {
            Some(kind) => KeyKind::Module(kind),
            None => KeyKind::Native(native_kind(object.kind())),
        }
    }

    fn opened_kind(&self) -> KeyKind {
        let handle = self.handle.get();
        if handle.is_null() {
            return KeyKind::Empty;
        }
        // Asked first, for it is what our own commands meet; it answers null for a stock type.
        if let Some(kind) = self.module_kind() {
            return kind;
        }
        match api!(RedisModule_KeyType(handle)).map(|kind| kind as isize) {
            None | Some(raw::REDISMODULE_KEYTYPE_EMPTY) => KeyKind::Empty,
            Some(raw::REDISMODULE_KEYTYPE_STRING) => KeyKind::Native(Kind::String),
            Some(raw::REDISMODULE_KEYTYPE_LIST) => KeyKind::Native(Kind::List),
            Some(raw::REDISMODULE_KEYTYPE_SET) => KeyKind::Native(Kind::Set),
            Some(raw::REDISMODULE_KEYTYPE_ZSET) => KeyKind::Native(Kind::SortedSet),
            Some(raw::REDISMODULE_KEYTYPE_HASH) => KeyKind::Native(Kind::Hash),
            Some(_) => KeyKind::Native(Kind::Other),
        }
    }

    fn module_kind(&self) -> Option<KeyKind> {
        let found = api!(RedisModule_ModuleTypeGetType(self.handle.get()))?;
        (!found.is_null()).then_some(KeyKind::Module(found))
    }

    /// The pointer that a module's type keeps here.
    #[inline]
    pub(crate) fn module_value(&self) -> Option<NonNull<u8>> {
        if let Some((_, found)) = self.unopened() {
            return found.object?.value();
        }
        let found = api!(RedisModule_ModuleTypeGetValue(self.handle.get()))?;
        NonNull::new(found.cast())
    }

    /// Puts a module value here, replacing whatever lies here and its time to live. False when
    /// the server refused: the value is still the caller's.
    pub(crate) fn set_module_value(
        &self,
        kind: *mut raw::RedisModuleType,
        value: NonNull<u8>,
    ) -> bool {
        let value = value.as_ptr().cast::<c_void>();
        api!(RedisModule_ModuleTypeSetValue(self.as_ptr(), kind, value)) == Some(OK)
    }

    /// Exchanges the pointer of a module value: no event, the time to live stays, the old value
    /// is the caller's again. `None` when the server refused: the new value is the caller's.
    pub(crate) fn replace_module_value(
        &self,
        kind: *mut raw::RedisModuleType,
        value: NonNull<u8>,
    ) -> Option<NonNull<u8>> {
        if let Some((_, found)) = self.unopened() {
            return found.object?.replace(kind, value);
        }
        let mut old: *mut c_void = std::ptr::null_mut();
        let new = value.as_ptr().cast::<c_void>();
        let status = api!(RedisModule_ModuleTypeReplaceValue(
            self.as_ptr(),
            kind,
            new,
            &mut old
        ));
        if status == Some(OK) {
            NonNull::new(old.cast())
        } else {
            None
        }
    }

    /// Makes the key a stock string; its time to live goes.
    pub(crate) fn set_native_string(&self, text: Name<'_>) -> bool {
        api!(RedisModule_StringSet(self.as_ptr(), text.as_ptr())) == Some(OK)
    }

    /// The bytes of a stock string. The server may change its encoding to answer.
    pub(crate) fn native_string(&self) -> Option<&[u8]> {
        let mut len = 0;
        let mode = raw::REDISMODULE_READ as i32;
        let start = api!(RedisModule_StringDMA(self.as_ptr(), &mut len, mode))?;
        if start.is_null() {
            return None;
        }
        // SAFETY: the server says that `len` bytes lie there while the key is open and unchanged;
        // the borrow of `self` keeps it open.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
    }

    /// The time of expiry in ms since 1970; nothing where the key lives on.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        if let Some((_, found)) = self.unopened() {
            return found.expires_at();
        }
        let left = api!(RedisModule_GetExpire(self.as_ptr()))?;
        if left == i64::from(raw::REDISMODULE_NO_EXPIRE) {
            return None;
        }
        match api!(RedisModule_GetAbsExpire(self.as_ptr())) {
            Some(at) => Some(at),
            None => Some(Ctx::unix_ms().saturating_add(left)),
        }
    }

    /// Sets the time of expiry in ms since 1970, or takes it away.
    pub(crate) fn set_expiry(&self, at: Option<i64>) {
        let never = i64::from(raw::REDISMODULE_NO_EXPIRE);
        if api!(RedisModule_SetAbsExpire(self.as_ptr(), at.unwrap_or(never))).is_none() {
            let left = at.map_or(never, |at| at.saturating_sub(Ctx::unix_ms()).max(1));
            api!(RedisModule_SetExpire(self.as_ptr(), left));
        }
    }

    /// Deletes the key.
    pub(crate) fn delete(&self) -> bool {
        api!(RedisModule_DeleteKey(self.as_ptr())) == Some(OK)
    }
}

/// What the server's number of a stock type means.
fn native_kind(number: u32) -> Kind {
    match number {
        0 => Kind::String,
        1 => Kind::List,
        2 => Kind::Set,
        3 => Kind::SortedSet,
        4 => Kind::Hash,
        _ => Kind::Other,
    }
}
