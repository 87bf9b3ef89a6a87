//! Clients that wait for keys: how they are put to sleep and woken.

use super::{api, Ctx, Name};
use crate::redis::callbacks::{ready, timed_out, Waits};

impl<'c> Ctx<'c> {
    /// Lets the client wait until `W` has served it for one of the keys, or for `timeout_ms` (0 is
    /// for ever). Nothing else may be replied to it now.
    pub(crate) fn wait_for<W: Waits>(self, keys: &[Name<'_>], timeout_ms: i64) {
        let mut pointers: Vec<_> = keys.iter().map(|key| key.as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len() as i32);
        api!(RedisModule_BlockClientOnKeys(
            self.as_ptr(),
            Some(ready::<W>),
            Some(timed_out::<W>),
            None,
            timeout_ms,
            start,
            count,
            std::ptr::null_mut()
        ));
    }

    /// The key that woke a waiting client.
    pub(crate) fn ready_key(self) -> Option<Name<'c>> {
        let key = api!(RedisModule_GetBlockedClientReadyKey(self.as_ptr()))?;
        // SAFETY: the server lends the key's name for this call.
        (!key.is_null()).then(|| unsafe { Name::from_raw(key) })
    }

    /// No array.
    pub(crate) fn reply_null_array(self) {
        api!(RedisModule_ReplyWithNullArray(self.as_ptr()));
    }
}
