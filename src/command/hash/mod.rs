//! The NUMA hash commands: the stock hash group on tables of our own.

mod incr;
mod random;
mod read;
mod write;

use super::{Call, Done, Fail, MANY, ONE};
use crate::redis::numa_key::TypedKey;
use crate::redis::raw::{Event, HashEvent, Mode};
use crate::value::NumaHash;

commands! {
    c"numa.hset", c"write deny-oom fast", ONE, (4, MANY), write::hset;
    c"numa.hmset", c"write deny-oom fast", ONE, (4, MANY), write::hmset;
    c"numa.hsetnx", c"write deny-oom fast", ONE, (4, 4), write::hsetnx;
    c"numa.hdel", c"write fast", ONE, (3, MANY), write::hdel;
    c"numa.hincrby", c"write deny-oom fast", ONE, (4, 4), incr::hincrby;
    c"numa.hincrbyfloat", c"write deny-oom fast", ONE, (4, 4), incr::hincrbyfloat;
    c"numa.hget", c"readonly fast", ONE, (3, 3), read::hget;
    c"numa.hmget", c"readonly fast", ONE, (3, MANY), read::hmget;
    c"numa.hlen", c"readonly fast", ONE, (2, 2), read::hlen;
    c"numa.hstrlen", c"readonly fast", ONE, (3, 3), read::hstrlen;
    c"numa.hexists", c"readonly fast", ONE, (3, 3), read::hexists;
    c"numa.hkeys", c"readonly", ONE, (2, 2), read::hkeys;
    c"numa.hvals", c"readonly", ONE, (2, 2), read::hvals;
    c"numa.hgetall", c"readonly random", ONE, (2, 2), read::hgetall;
    c"numa.hscan", c"readonly random", ONE, (3, MANY), read::hscan;
    c"numa.hrandfield", c"readonly random", ONE, (2, MANY), random::hrandfield;
}

type HashKey<'c> = TypedKey<'c, NumaHash>;

impl<'c> Call<'c> {
    /// Opens the key at word 1 for a command that works on a hash or on nothing.
    fn hash(&self, mode: Mode) -> Result<HashKey<'c>, Fail> {
        self.own_key(1, mode)
    }

    /// What follows every change: watchers and the event.
    fn hash_changed(&self, event: HashEvent) -> Done {
        let name = self.name(1)?;
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::Hash(event), name);
        Ok(())
    }
}
