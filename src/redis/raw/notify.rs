//! Keyspace events of our own commands, by the stock names.

use super::{api, Ctx, Name};
use redis_module::raw;
use std::ffi::CStr;

/// An event that a command gives; class and word are the stock command's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Set,
    SetRange,
    SetBit,
    Append,
    IncrBy,
    IncrByFloat,
    Del,
    Expire,
    Persist,
}

impl Event {
    fn parts(self) -> (u32, &'static CStr) {
        let string = raw::REDISMODULE_NOTIFY_STRING as u32;
        let generic = raw::REDISMODULE_NOTIFY_GENERIC as u32;
        match self {
            Self::Set => (string, c"set"),
            Self::SetRange => (string, c"setrange"),
            Self::SetBit => (string, c"setbit"),
            Self::Append => (string, c"append"),
            Self::IncrBy => (string, c"incrby"),
            Self::IncrByFloat => (string, c"incrbyfloat"),
            Self::Del => (generic, c"del"),
            Self::Expire => (generic, c"expire"),
            Self::Persist => (generic, c"persist"),
        }
    }
}

impl Ctx<'_> {
    /// Gives a keyspace event.
    pub(crate) fn notify(self, event: Event, key: Name<'_>) {
        let (class, word) = event.parts();
        let (ctx, key) = (self.as_ptr(), key.as_ptr());
        api!(RedisModule_NotifyKeyspaceEvent(
            ctx,
            class as i32,
            word.as_ptr(),
            key
        ));
    }
}
