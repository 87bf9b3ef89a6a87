//! The NUMA sorted-set commands: the stock sorted-set group on values of our own.

mod add;
mod algebra;
mod blocking;
mod bounds;
mod pop;
mod random;
mod range;
mod read;
mod remove;
mod scan;
mod scored;
mod sources;

use super::{Call, Done, Fail, ALL_BUT_LAST, MANY, NONE, ONE, TWO};
use crate::redis::raw::{Event, Mode, ZsetEvent};
use crate::redis::zset_type::ZsetKey;

commands! {
    c"numa.zadd", c"write deny-oom fast", ONE, (4, MANY), add::zadd;
    c"numa.zincrby", c"write deny-oom fast", ONE, (4, 4), add::zincrby;
    c"numa.zrem", c"write fast", ONE, (3, MANY), remove::zrem;
    c"numa.zremrangebyscore", c"write", ONE, (4, 4), remove::by_score;
    c"numa.zremrangebyrank", c"write", ONE, (4, 4), remove::by_rank;
    c"numa.zremrangebylex", c"write", ONE, (4, 4), remove::by_lex;
    c"numa.zunionstore", c"write deny-oom getkeys-api", ONE, (4, MANY), algebra::zunionstore;
    c"numa.zinterstore", c"write deny-oom getkeys-api", ONE, (4, MANY), algebra::zinterstore;
    c"numa.zdiffstore", c"write deny-oom getkeys-api", ONE, (4, MANY), algebra::zdiffstore;
    c"numa.zunion", c"readonly getkeys-api", NONE, (3, MANY), algebra::zunion;
    c"numa.zinter", c"readonly getkeys-api", NONE, (3, MANY), algebra::zinter;
    c"numa.zdiff", c"readonly getkeys-api", NONE, (3, MANY), algebra::zdiff;
    c"numa.zrange", c"readonly", ONE, (4, MANY), range::zrange;
    c"numa.zrangestore", c"write deny-oom", TWO, (5, MANY), range::zrangestore;
    c"numa.zrangebyscore", c"readonly", ONE, (4, MANY), range::zrangebyscore;
    c"numa.zrevrangebyscore", c"readonly", ONE, (4, MANY), range::zrevrangebyscore;
    c"numa.zrangebylex", c"readonly", ONE, (4, MANY), range::zrangebylex;
    c"numa.zrevrangebylex", c"readonly", ONE, (4, MANY), range::zrevrangebylex;
    c"numa.zcount", c"readonly fast", ONE, (4, 4), read::zcount;
    c"numa.zlexcount", c"readonly fast", ONE, (4, 4), read::zlexcount;
    c"numa.zrevrange", c"readonly", ONE, (4, MANY), range::zrevrange;
    c"numa.zcard", c"readonly fast", ONE, (2, 2), read::zcard;
    c"numa.zscore", c"readonly fast", ONE, (3, 3), read::zscore;
    c"numa.zmscore", c"readonly fast", ONE, (3, MANY), read::zmscore;
    c"numa.zrank", c"readonly fast", ONE, (3, 3), read::zrank;
    c"numa.zrevrank", c"readonly fast", ONE, (3, 3), read::zrevrank;
    c"numa.zscan", c"readonly random", ONE, (3, MANY), scan::zscan;
    c"numa.zpopmin", c"write fast", ONE, (2, MANY), pop::zpopmin;
    c"numa.zpopmax", c"write fast", ONE, (2, MANY), pop::zpopmax;
    c"numa.bzpopmin", c"write deny-script fast", ALL_BUT_LAST, (3, MANY), blocking::bzpopmin;
    c"numa.bzpopmax", c"write deny-script fast", ALL_BUT_LAST, (3, MANY), blocking::bzpopmax;
    c"numa.zrandmember", c"readonly random", ONE, (2, MANY), random::zrandmember;
}

impl<'c> Call<'c> {
    /// Opens the key at a word for a command that works on a sorted set or on nothing.
    fn zset(&self, index: usize, mode: Mode) -> Result<ZsetKey<'c>, Fail> {
        self.own_key(index, mode)
    }

    /// What follows a change: watchers, the event, replicas.
    fn zset_changed(&self, event: ZsetEvent) -> Done {
        let name = self.name(1)?;
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::Zset(event), name);
        self.replicate_verbatim();
        Ok(())
    }
}
