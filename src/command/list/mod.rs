//! The NUMA list commands: the stock list group on values of our own.

mod blocking;
mod edit;
mod moves;
mod pop;
mod push;
mod read;

use super::args::is;
use super::{Call, Done, Fail, ALL_BUT_LAST, MANY, ONE, TWO};
use crate::redis::list_type::ListKey;
use crate::redis::raw::{Event, ListEvent, Mode};

commands! {
    c"numa.lpush", c"write deny-oom fast", ONE, (3, MANY), push::lpush;
    c"numa.rpush", c"write deny-oom fast", ONE, (3, MANY), push::rpush;
    c"numa.lpushx", c"write deny-oom fast", ONE, (3, MANY), push::lpushx;
    c"numa.rpushx", c"write deny-oom fast", ONE, (3, MANY), push::rpushx;
    c"numa.linsert", c"write deny-oom", ONE, (5, 5), push::linsert;
    c"numa.lpop", c"write fast", ONE, (2, MANY), pop::lpop;
    c"numa.rpop", c"write fast", ONE, (2, MANY), pop::rpop;
    c"numa.ltrim", c"write", ONE, (4, 4), edit::ltrim;
    c"numa.lrem", c"write", ONE, (4, 4), edit::lrem;
    c"numa.lset", c"write deny-oom", ONE, (4, 4), edit::lset;
    c"numa.llen", c"readonly fast", ONE, (2, 2), read::llen;
    c"numa.lindex", c"readonly", ONE, (3, 3), read::lindex;
    c"numa.lrange", c"readonly", ONE, (4, 4), read::lrange;
    c"numa.lpos", c"readonly", ONE, (3, MANY), read::lpos;
    c"numa.lmove", c"write deny-oom", TWO, (5, 5), moves::lmove;
    c"numa.rpoplpush", c"write deny-oom", TWO, (3, 3), moves::rpoplpush;
    c"numa.blpop", c"write deny-script", ALL_BUT_LAST, (3, MANY), blocking::blpop;
    c"numa.brpop", c"write deny-script", ALL_BUT_LAST, (3, MANY), blocking::brpop;
    c"numa.blmove", c"write deny-oom deny-script", TWO, (6, 6), blocking::blmove;
    c"numa.brpoplpush", c"write deny-oom deny-script", TWO, (4, 4), blocking::brpoplpush;
}

/// An element may not be longer than this, in bytes.
const ELEMENT_MAX: usize = u32::MAX as usize - 1023;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Left,
    Right,
}

impl End {
    /// The end that a word names.
    fn named(word: &[u8]) -> Result<Self, Fail> {
        match word {
            word if is(word, "LEFT") => Ok(Self::Left),
            word if is(word, "RIGHT") => Ok(Self::Right),
            _ => Err(Fail::Syntax),
        }
    }

    fn pushed(self) -> Event {
        Event::List(match self {
            Self::Left => ListEvent::LPush,
            Self::Right => ListEvent::RPush,
        })
    }

    fn popped(self) -> Event {
        Event::List(match self {
            Self::Left => ListEvent::LPop,
            Self::Right => ListEvent::RPop,
        })
    }

    /// The numbers of `count` elements at this end of `len`.
    fn of(self, len: u64, count: u64) -> std::ops::Range<u64> {
        match self {
            Self::Left => 0..count.min(len),
            Self::Right => len.saturating_sub(count)..len,
        }
    }
}

impl<'c> Call<'c> {
    /// Opens the key at a word for a command that works on a list or on nothing.
    fn list(&self, index: usize, mode: Mode) -> Result<ListKey<'c>, Fail> {
        self.own_key(index, mode)
    }

    /// The bytes of a word that is an element.
    fn element(&self, index: usize) -> Result<&'c [u8], Fail> {
        let element = self.word(index)?;
        if element.len() > ELEMENT_MAX {
            return Err(Fail::text("Element too large"));
        }
        Ok(element)
    }

    /// What follows a change: watchers, the event, replicas.
    fn list_changed(&self, event: ListEvent) -> Done {
        let name = self.name(1)?;
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::List(event), name);
        self.replicate_verbatim();
        Ok(())
    }
}
