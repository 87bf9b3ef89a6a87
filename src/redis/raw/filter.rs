//! The words of a command as a command filter sees them: no context, no client, no database.

use super::{api, Ctx, Name};
use crate::redis::callbacks::command_filter;
use redis_module::raw;
use std::marker::PhantomData;

/// The words of a command that is about to be looked up.
#[derive(Clone, Copy)]
pub(crate) struct FilterWords<'f> {
    ptr: *mut raw::RedisModuleCommandFilterCtx,
    lent: PhantomData<&'f ()>,
}

impl<'f> FilterWords<'f> {
    /// # Safety
    /// * `ptr` is what the server has handed to a filter of ours, for all of `'f`.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleCommandFilterCtx) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    /// How many words there are, the command's name included.
    pub(crate) fn len(self) -> usize {
        let count = api!(RedisModule_CommandFilterArgsCount(self.ptr));
        usize::try_from(count.unwrap_or(0)).unwrap_or(0)
    }

    /// The bytes of a word.
    pub(crate) fn bytes(self, index: usize) -> Option<&'f [u8]> {
        let index = i32::try_from(index).ok()?;
        let word = api!(RedisModule_CommandFilterArgGet(self.ptr, index))?;
        if word.is_null() {
            return None;
        }
        // SAFETY: the server lends its words for the length of the callback.
        Some(unsafe { Name::from_raw(word.cast()) }.bytes())
    }
}

impl Ctx<'_> {
    /// Has [`command_filter`] called for each command, but for those that we call ourselves; false
    /// where the server refuses.
    pub(crate) fn register_filter(self) -> bool {
        let flags = raw::REDISMODULE_CMDFILTER_NOSELF as i32;
        let (ctx, entry) = (self.as_ptr(), Some(command_filter as _));
        api!(RedisModule_RegisterCommandFilter(ctx, entry, flags)).is_some_and(|it| !it.is_null())
    }
}
