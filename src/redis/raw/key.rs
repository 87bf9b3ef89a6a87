//! An open key: what it holds, its value pointer, its time to live.

use super::{api, Ctx, Name, OK};
use crate::migrate::Kind;
use redis_module::raw;
use std::marker::PhantomData;
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
    ptr: *mut raw::RedisModuleKey,
    borrowed: bool,
    lent: PhantomData<&'c ()>,
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        if !self.borrowed && !self.ptr.is_null() {
            api!(RedisModule_CloseKey(self.ptr));
        }
    }
}

impl<'c> Ctx<'c> {
    /// Opens a key; an absent key opened for reading is an empty one.
    pub(crate) fn open(self, name: Name<'_>, mode: Mode) -> Key<'c> {
        let opened = api!(RedisModule_OpenKey(
            self.as_ptr(),
            name.as_ptr(),
            mode.bits()
        ));
        let ptr = opened.unwrap_or(std::ptr::null_mut()).cast();
        Key {
            ptr,
            borrowed: false,
            lent: PhantomData,
        }
    }
}

impl Key<'_> {
    /// # Safety
    /// * `ptr` is null or an open key of the server that outlives this; the server closes it.
    pub(crate) unsafe fn borrowed(ptr: *mut raw::RedisModuleKey) -> Self {
        Self {
            ptr,
            borrowed: true,
            lent: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut raw::RedisModuleKey {
        self.ptr
    }

    /// What lies here.
    pub(crate) fn kind(&self) -> KeyKind {
        if self.ptr.is_null() {
            return KeyKind::Empty;
        }
        // Asked first, for it is what our own commands meet; it answers null for a stock type.
        if let Some(kind) = self.module_kind() {
            return kind;
        }
        match api!(RedisModule_KeyType(self.ptr)).map(|kind| kind as isize) {
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
        let found = api!(RedisModule_ModuleTypeGetType(self.ptr))?;
        (!found.is_null()).then_some(KeyKind::Module(found))
    }

    /// The pointer that a module's type keeps here.
    pub(crate) fn module_value(&self) -> Option<NonNull<u8>> {
        let found = api!(RedisModule_ModuleTypeGetValue(self.ptr))?;
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
        api!(RedisModule_ModuleTypeSetValue(self.ptr, kind, value)) == Some(OK)
    }

    /// Exchanges the pointer of a module value: no event, the time to live stays, the old value
    /// is the caller's again. `None` when the server refused: the new value is the caller's.
    pub(crate) fn replace_module_value(
        &self,
        kind: *mut raw::RedisModuleType,
        value: NonNull<u8>,
    ) -> Option<NonNull<u8>> {
        let mut old: *mut c_void = std::ptr::null_mut();
        let new = value.as_ptr().cast::<c_void>();
        let status = api!(RedisModule_ModuleTypeReplaceValue(
            self.ptr, kind, new, &mut old
        ));
        if status == Some(OK) {
            NonNull::new(old.cast())
        } else {
            None
        }
    }

    /// Makes the key a stock string; its time to live goes.
    pub(crate) fn set_native_string(&self, text: Name<'_>) -> bool {
        api!(RedisModule_StringSet(self.ptr, text.as_ptr())) == Some(OK)
    }

    /// The bytes of a stock string. The server may change its encoding to answer.
    pub(crate) fn native_string(&self) -> Option<&[u8]> {
        let mut len = 0;
        let mode = raw::REDISMODULE_READ as i32;
        let start = api!(RedisModule_StringDMA(self.ptr, &mut len, mode))?;
        if start.is_null() {
            return None;
        }
        // SAFETY: the server says that `len` bytes lie there while the key is open and unchanged;
        // the borrow of `self` keeps it open.
        Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
    }

    /// The time of expiry in ms since 1970; nothing where the key lives on.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let left = api!(RedisModule_GetExpire(self.ptr))?;
        if left == i64::from(raw::REDISMODULE_NO_EXPIRE) {
            return None;
        }
        match api!(RedisModule_GetAbsExpire(self.ptr)) {
            Some(at) => Some(at),
            None => Some(Ctx::unix_ms().saturating_add(left)),
        }
    }

    /// Sets the time of expiry in ms since 1970, or takes it away.
    pub(crate) fn set_expiry(&self, at: Option<i64>) {
        let never = i64::from(raw::REDISMODULE_NO_EXPIRE);
        if api!(RedisModule_SetAbsExpire(self.ptr, at.unwrap_or(never))).is_none() {
            let left = at.map_or(never, |at| at.saturating_sub(Ctx::unix_ms()).max(1));
            api!(RedisModule_SetExpire(self.ptr, left));
        }
    }

    /// Deletes the key.
    pub(crate) fn delete(&self) -> bool {
        api!(RedisModule_DeleteKey(self.ptr)) == Some(OK)
    }
}
