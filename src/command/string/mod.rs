//! The NUMA string commands: the stock string group on values of our own.

mod bitfield;
mod bits;
mod edit;
mod expiry;
mod incr;
mod quick;
mod read;
mod set;
mod stralgo;

use super::{Call, Fail, AFTER_WORD, ALL, MANY, NONE, ONE, PAIRS};
use crate::redis::raw::{Mode, Name};
use crate::redis::string_key::StringKey;

// A setter of fixed arity takes `NODE <n>` at its end: two words more than the stock one.
commands! {
    c"numa.get", c"readonly fast", ONE, (2, 2), read::get, quick::get;
    c"numa.mget", c"readonly fast", ALL, (2, MANY), read::mget;
    c"numa.strlen", c"readonly fast", ONE, (2, 2), read::strlen;
    c"numa.getrange", c"readonly", ONE, (4, 4), read::getrange;
    c"numa.substr", c"readonly", ONE, (4, 4), read::getrange;
    c"numa.getex", c"write fast", ONE, (2, MANY), expiry::getex;
    c"numa.getdel", c"write fast", ONE, (2, 2), expiry::getdel;
    c"numa.set", c"write deny-oom", ONE, (3, MANY), set::set, quick::set;
    c"numa.setnx", c"write deny-oom fast", ONE, (3, 5), set::setnx;
    c"numa.setex", c"write deny-oom", ONE, (4, 6), set::setex;
    c"numa.psetex", c"write deny-oom", ONE, (4, 6), set::psetex;
    c"numa.getset", c"write deny-oom fast", ONE, (3, 5), set::getset;
    c"numa.mset", c"write deny-oom", PAIRS, (3, MANY), set::mset;
    c"numa.msetnx", c"write deny-oom", PAIRS, (3, MANY), set::msetnx;
    c"numa.append", c"write deny-oom fast", ONE, (3, 5), edit::append;
    c"numa.setrange", c"write deny-oom", ONE, (4, 6), edit::setrange;
    c"numa.incr", c"write deny-oom fast", ONE, (2, 2), incr::incr, quick::incr;
    c"numa.incrby", c"write deny-oom fast", ONE, (3, 3), incr::incrby;
    c"numa.decr", c"write deny-oom fast", ONE, (2, 2), incr::decr;
    c"numa.decrby", c"write deny-oom fast", ONE, (3, 3), incr::decrby;
    c"numa.incrbyfloat", c"write deny-oom fast", ONE, (3, 3), incr::incrbyfloat;
    c"numa.stralgo", c"readonly getkeys-api", NONE, (2, MANY), stralgo::run;
    c"numa.setbit", c"write deny-oom", ONE, (4, 4), bits::setbit;
    c"numa.getbit", c"readonly fast", ONE, (3, 3), bits::getbit;
    c"numa.bitcount", c"readonly", ONE, (2, MANY), bits::bitcount;
    c"numa.bitpos", c"readonly", ONE, (3, MANY), bits::bitpos;
    c"numa.bitop", c"write deny-oom", AFTER_WORD, (4, MANY), bits::bitop;
    c"numa.bitfield", c"write deny-oom", ONE, (2, MANY), bitfield::bitfield;
    c"numa.bitfield_ro", c"readonly fast", ONE, (2, MANY), bitfield::bitfield_ro;
}

impl<'c> Call<'c> {
    /// Opens the key at word `index`.
    #[inline(always)]
    fn string_key(&self, index: usize, mode: Mode) -> Result<StringKey<'c>, Fail> {
        Ok(self.open_string(self.name(index)?, mode))
    }

    #[inline(always)]
    fn open_string(&self, name: Name<'c>, mode: Mode) -> StringKey<'c> {
        self.open(name, mode)
    }

    /// Opens the key at word 1 for a command that works on a string or on nothing.
    #[inline(always)]
    fn own_string(&self, mode: Mode) -> Result<StringKey<'c>, Fail> {
        self.own_key(1, mode)
    }

    /// The same for a command that answers the old value before it changes it.
    fn own_string_after_read(&self) -> Result<StringKey<'c>, Fail> {
        self.own_key_after_read(1)
    }

    /// Checks what a value would grow to; a master's word is law.
    fn check_length(&self, size: usize, more: usize) -> Result<(), Fail> {
        let total = size.checked_add(more).map(|total| total as u64);
        match total {
            Some(total) if self.server.may_grow_to(self.ctx, total) => Ok(()),
            Some(_) if self.ctx.flags().by_master() => Ok(()),
            _ => Err(Fail::TooLong),
        }
    }
}
