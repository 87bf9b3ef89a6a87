//! The content of a stock collection, in and out, without an event.

use super::{api, Key, Name, ServerCursor, OK};
use redis_module::raw;
use std::os::raw::c_void;

/// What each element is handed to: a member or field, and its value or score where it has one.
type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]);

impl Key<'_> {
    /// How many elements or bytes the value has.
    pub(crate) fn native_len(&self) -> usize {
        api!(RedisModule_ValueLength(self.as_ptr())).unwrap_or(0)
    }

    /// Shows each element of a stock hash, set or sorted set; some may be shown twice. The visitor
    /// must change no key. False where the server cannot show it.
    pub(crate) fn each_element(&self, mut visit: Visit<'_>) -> bool {
        let Some(cursor) = ServerCursor::new() else {
            return false;
        };
        let data: *mut Visit<'_> = &mut visit;
        let data = data.cast::<c_void>();
        loop {
            let (key, at) = (self.as_ptr(), cursor.as_ptr());
            match api!(RedisModule_ScanKey(key, at, Some(element), data)) {
                Some(0) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Adds an element at the end of a stock list, which is made where nothing lies here.
    pub(crate) fn list_push(&self, element: Name<'_>) -> bool {
        let end = raw::REDISMODULE_LIST_TAIL as i32;
        api!(RedisModule_ListPush(self.as_ptr(), end, element.as_ptr())) == Some(OK)
    }

    /// Adds a member to a stock sorted set, which is made where nothing lies here.
    pub(crate) fn zset_add(&self, score: f64, member: Name<'_>) -> bool {
        let no_flags = std::ptr::null_mut();
        let (key, member) = (self.as_ptr(), member.as_ptr());
        api!(RedisModule_ZsetAdd(key, score, member, no_flags)) == Some(OK)
    }

    /// Sets a field of a stock hash, which is made where nothing lies here.
    pub(crate) fn hash_set(&self, field: Name<'_>, value: Name<'_>) {
        let (flags, end) = (
            raw::REDISMODULE_HASH_NONE as i32,
            std::ptr::null_mut::<c_void>(),
        );
        let (key, field, value) = (self.as_ptr(), field.as_ptr(), value.as_ptr());
        api!(RedisModule_HashSet(key, flags, field, value, end));
    }
}

/// The server calls this for each element.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
unsafe extern "C" fn element(
    _key: *mut raw::RedisModuleKey,
    field: *mut raw::RedisModuleString,
    value: *mut raw::RedisModuleString,
    data: *mut c_void,
) {
    if field.is_null() || data.is_null() {
        return;
    }
    // SAFETY: `data` is the visitor that `each_element` holds while the server runs this.
    let visit = unsafe { &mut *data.cast::<Visit<'_>>() };
    // SAFETY: the server lends the string for this call.
    let field = unsafe { Name::from_raw(field) };
    let value = if value.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { Name::from_raw(value) })
    };
    let value = value.map_or(&[][..], Name::bytes);
    crate::redis::guard::contained((), || visit(field.bytes(), value));
}
