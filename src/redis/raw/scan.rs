//! A cursor of the server over one database.

use super::{api, Ctx, Key, Name};
use redis_module::raw;
use std::os::raw::c_void;
use std::ptr::NonNull;

/// Where a scan of one database stands; freed with this.
pub(crate) struct ServerCursor(NonNull<raw::RedisModuleScanCursor>);

// SAFETY: a cursor is plain memory of the server's; only the main thread ever steps it, which
// the cell that keeps it sees to.
unsafe impl Send for ServerCursor {}

/// What a scan hands each key to.
type Visit<'v> = &'v mut dyn FnMut(Name<'_>, Key<'_>);

impl ServerCursor {
    /// A cursor at the beginning.
    pub(crate) fn new() -> Option<Self> {
        NonNull::new(api!(RedisModule_ScanCursorCreate())?).map(Self)
    }

    pub(super) fn as_ptr(&self) -> *mut raw::RedisModuleScanCursor {
        self.0.as_ptr()
    }

    /// Goes back to the beginning.
    pub(crate) fn restart(&mut self) {
        api!(RedisModule_ScanCursorRestart(self.0.as_ptr()));
    }

    /// Visits the keys of the next bucket of the selected database; false at the end. The visitor
    /// must change no key.
    pub(crate) fn step(&mut self, ctx: Ctx<'_>, mut visit: Visit<'_>) -> bool {
        let data: *mut Visit<'_> = &mut visit;
        let data = data.cast::<c_void>();
        let cursor = self.0.as_ptr();
        api!(RedisModule_Scan(ctx.as_ptr(), cursor, Some(scanned), data)) == Some(1)
    }
}

impl Drop for ServerCursor {
    fn drop(&mut self) {
        api!(RedisModule_ScanCursorDestroy(self.0.as_ptr()));
    }
}

/// The server calls this for each key of the bucket.
///
/// # Safety
/// * For the server alone, with the arguments that its API promises.
unsafe extern "C" fn scanned(
    _ctx: *mut raw::RedisModuleCtx,
    name: *mut raw::RedisModuleString,
    key: *mut raw::RedisModuleKey,
    data: *mut c_void,
) {
    if name.is_null() || data.is_null() {
        return;
    }
    // SAFETY: `data` is the visitor that `step` holds while the server runs this.
    let visit = unsafe { &mut *data.cast::<Visit<'_>>() };
    // SAFETY: the server lends the name for this call.
    let name = unsafe { Name::from_raw(name) };
    // SAFETY: the server lends the key handle for this call, or none.
    let key = unsafe { Key::borrowed(key) };
    crate::redis::guard::contained((), || visit(name, key));
}
