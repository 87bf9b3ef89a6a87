//! Keyspace events of our own commands, by the stock names.

use super::inside::Known;
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
    List(ListEvent),
    Zset(ZsetEvent),
    Hash(HashEvent),
    Members(SetEvent),
}

/// An event of the hash commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HashEvent {
    Set,
    IncrBy,
    IncrByFloat,
    Del,
}

impl HashEvent {
    fn word(self) -> &'static CStr {
        match self {
            Self::Set => c"hset",
            Self::IncrBy => c"hincrby",
            Self::IncrByFloat => c"hincrbyfloat",
            Self::Del => c"hdel",
        }
    }
}

/// An event of the set commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SetEvent {
    Add,
    Rem,
    Pop,
    InterStore,
    UnionStore,
    DiffStore,
}

impl SetEvent {
    fn word(self) -> &'static CStr {
        match self {
            Self::Add => c"sadd",
            Self::Rem => c"srem",
            Self::Pop => c"spop",
            Self::InterStore => c"sinterstore",
            Self::UnionStore => c"sunionstore",
            Self::DiffStore => c"sdiffstore",
        }
    }
}

/// An event of the list commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListEvent {
    LPush,
    RPush,
    LPop,
    RPop,
    LInsert,
    LSet,
    LTrim,
    LRem,
}

impl ListEvent {
    fn word(self) -> &'static CStr {
        match self {
            Self::LPush => c"lpush",
            Self::RPush => c"rpush",
            Self::LPop => c"lpop",
            Self::RPop => c"rpop",
            Self::LInsert => c"linsert",
            Self::LSet => c"lset",
            Self::LTrim => c"ltrim",
            Self::LRem => c"lrem",
        }
    }
}

/// An event of the sorted-set commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ZsetEvent {
    Add,
    Incr,
    Rem,
    RemRangeByRank,
    RemRangeByScore,
    RemRangeByLex,
    PopMin,
    PopMax,
    UnionStore,
    InterStore,
    DiffStore,
    RangeStore,
}

impl ZsetEvent {
    fn word(self) -> &'static CStr {
        match self {
            Self::Add => c"zadd",
            Self::Incr => c"zincr",
            Self::Rem => c"zrem",
            Self::RemRangeByRank => c"zremrangebyrank",
            Self::RemRangeByScore => c"zremrangebyscore",
            Self::RemRangeByLex => c"zremrangebylex",
            Self::PopMin => c"zpopmin",
            Self::PopMax => c"zpopmax",
            Self::UnionStore => c"zunionstore",
            Self::InterStore => c"zinterstore",
            Self::DiffStore => c"zdiffstore",
            Self::RangeStore => c"zrangestore",
        }
    }
}

impl Event {
    #[inline]
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
            Self::List(event) => (raw::REDISMODULE_NOTIFY_LIST as u32, event.word()),
            Self::Zset(event) => (raw::REDISMODULE_NOTIFY_ZSET as u32, event.word()),
            Self::Hash(event) => (raw::REDISMODULE_NOTIFY_HASH as u32, event.word()),
            Self::Members(event) => (raw::REDISMODULE_NOTIFY_SET as u32, event.word()),
        }
    }
}

impl Known<'_> {
    /// Gives a keyspace event.
    #[inline]
    pub(crate) fn notify(self, event: Event, key: Name<'_>) {
        let (class, word) = event.parts();
        self.notify_as(class, word, key);
    }
}

impl Ctx<'_> {
    /// Gives a keyspace event.
    #[inline]
    pub(crate) fn notify(self, event: Event, key: Name<'_>) {
        let (class, word) = event.parts();
        if let Some(known) = self.known() {
            return known.notify_as(class, word, key);
        }
        let (ctx, key) = (self.as_ptr(), key.as_ptr());
        api!(RedisModule_NotifyKeyspaceEvent(
            ctx,
            class as i32,
            word.as_ptr(),
            key
        ));
    }
}
