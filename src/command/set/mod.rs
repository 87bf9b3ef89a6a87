//! The NUMA set commands: the stock set group on tables of our own.

mod algebra;
mod edit;
mod random;
mod read;
mod sources;

use super::{Call, Fail, ALL, MANY, ONE, TWO};
use crate::redis::numa_key::TypedKey;
use crate::redis::raw::{Event, Mode, Name, SetEvent};
use crate::value::NumaSet;

commands! {
    c"numa.sadd", c"write deny-oom fast", ONE, (3, MANY), edit::sadd;
    c"numa.srem", c"write fast", ONE, (3, MANY), edit::srem;
    c"numa.smove", c"write fast", TWO, (4, 4), edit::smove;
    c"numa.sismember", c"readonly fast", ONE, (3, 3), read::sismember;
    c"numa.smismember", c"readonly fast", ONE, (3, MANY), read::smismember;
    c"numa.scard", c"readonly fast", ONE, (2, 2), read::scard;
    c"numa.smembers", c"readonly", ONE, (2, 2), read::smembers;
    c"numa.sscan", c"readonly random", ONE, (3, MANY), read::sscan;
    c"numa.spop", c"write random fast", ONE, (2, MANY), random::spop;
    c"numa.srandmember", c"readonly random", ONE, (2, MANY), random::srandmember;
    c"numa.sinter", c"readonly", ALL, (2, MANY), algebra::sinter;
    c"numa.sunion", c"readonly", ALL, (2, MANY), algebra::sunion;
    c"numa.sdiff", c"readonly", ALL, (2, MANY), algebra::sdiff;
    c"numa.sinterstore", c"write deny-oom", ALL, (3, MANY), algebra::sinterstore;
    c"numa.sunionstore", c"write deny-oom", ALL, (3, MANY), algebra::sunionstore;
    c"numa.sdiffstore", c"write deny-oom", ALL, (3, MANY), algebra::sdiffstore;
}

type SetKey<'c> = TypedKey<'c, NumaSet>;

impl<'c> Call<'c> {
    /// Opens the key at word 1 for a command that works on a set or on nothing.
    fn set(&self, mode: Mode) -> Result<SetKey<'c>, Fail> {
        self.own_key(1, mode)
    }

    /// What follows a change of the set at `name`: watchers, the event, and that of its end.
    fn set_changed(&self, name: Name<'_>, event: SetEvent, emptied: bool) {
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::Members(event), name);
        if emptied {
            self.ctx.notify(Event::Del, name);
        }
    }
}
