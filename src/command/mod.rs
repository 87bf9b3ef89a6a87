//! Floor 6: words in, replies out. One row a command here, one file a family.
//!
//! A handler takes a [`Call`], replies once, and answers `Err` with a [`Fail`] when it has not
//! replied: the text of every error stands in `fail` and nowhere else.

mod args;
mod fail;
mod numa;
mod numaconfig;
mod numamigrate;
mod reply;
mod string;

use crate::redis::callbacks::Command;
use crate::redis::raw::{Args, Ctx, Name};
use crate::redis::server::{server, Server};
pub(crate) use fail::Fail;

/// One call of a command.
pub(crate) struct Call<'c> {
    pub(crate) ctx: Ctx<'c>,
    pub(crate) args: Args<'c>,
    pub(crate) server: &'static Server,
}

impl<'c> Call<'c> {
    /// The word at `index`, the command's name being 0.
    pub(crate) fn name(&self, index: usize) -> Result<Name<'c>, Fail> {
        self.args.name(index).ok_or(Fail::Arity)
    }

    /// Tells the server that the word at `index` is a key, if there is such a word: the server
    /// reads what it is told and checks nothing.
    pub(crate) fn key_at(&self, index: usize) {
        if index < self.args.len() {
            self.ctx.key_at(index);
        }
    }

    /// The bytes of the word at `index`.
    pub(crate) fn word(&self, index: usize) -> Result<&'c [u8], Fail> {
        self.args.bytes(index).ok_or(Fail::Arity)
    }
}

/// What a handler answers.
pub(crate) type Done = Result<(), Fail>;

/// Runs a handler and turns what went wrong into a reply.
fn serve<C: Command>(
    ctx: Ctx<'_>,
    args: Args<'_>,
    words: (usize, usize),
    run: fn(&Call<'_>) -> Done,
) {
    let Some(server) = server() else {
        return ctx.reply_error("ERR redis-numa is not loaded to the end");
    };
    let done = if args.len() < words.0 || args.len() > words.1 {
        Err(Fail::Arity)
    } else {
        run_beyond_limits(&Call { ctx, args, server }, run)
    };
    // Who asks for key positions has no client, and the server would reply to it unchecked.
    if let Err(fail) = done {
        if !ctx.wants_key_positions() {
            fail.reply(ctx, C::NAME);
        }
    }
}

/// Runs a handler. What a master sends is never refused for a limit of this machine: a refusal
/// would make the replica another dataset without a word. A command that failed for memory has
/// changed nothing, so it can run once more.
fn run_beyond_limits(call: &Call<'_>, run: fn(&Call<'_>) -> Done) -> Done {
    match run(call) {
        Err(Fail::OutOfMemory) if call.ctx.flags().by_master() => {
            call.server.beyond_limits(|| run(call))
        }
        done => done,
    }
}

/// How the server writes that a command has `least` to `most` words.
const fn arity((least, most): (usize, usize)) -> i32 {
    let words = least as i32;
    if least == most {
        words
    } else {
        -words
    }
}

/// Declares a command: name, flags, keys (first, last, step), words (least, most), handler.
macro_rules! command {
    ($type:ident, $name:literal, $flags:literal, $keys:expr, $words:expr, $run:path) => {
        struct $type;

        impl Command for $type {
            const NAME: &'static std::ffi::CStr = $name;
            const FLAGS: &'static std::ffi::CStr = $flags;
            const KEYS: (i32, i32, i32) = $keys;
            const ARITY: i32 = arity($words);

            fn serve(ctx: Ctx<'_>, args: Args<'_>) {
                serve::<Self>(ctx, args, $words, $run);
            }
        }
    };
}

/// One key, the first word.
const ONE: (i32, i32, i32) = (1, 1, 1);
/// Every word is a key.
const ALL: (i32, i32, i32) = (1, -1, 1);
/// Every word but the first is a key.
const AFTER_WORD: (i32, i32, i32) = (2, -1, 1);
/// Every second word is a key.
const PAIRS: (i32, i32, i32) = (1, -1, 2);
/// No fixed place: the handler tells.
const NONE: (i32, i32, i32) = (0, 0, 0);
/// As many words as the client likes.
const MANY: usize = usize::MAX;

// A setter of fixed arity takes `NODE <n>` at its end: two words more than the stock one.
command!(
    Get,
    c"numa.get",
    c"readonly fast",
    ONE,
    (2, 2),
    string::read::get
);
command!(
    MGet,
    c"numa.mget",
    c"readonly fast",
    ALL,
    (2, MANY),
    string::read::mget
);
command!(
    StrLen,
    c"numa.strlen",
    c"readonly fast",
    ONE,
    (2, 2),
    string::read::strlen
);
command!(
    GetRange,
    c"numa.getrange",
    c"readonly",
    ONE,
    (4, 4),
    string::read::getrange
);
command!(
    SubStr,
    c"numa.substr",
    c"readonly",
    ONE,
    (4, 4),
    string::read::getrange
);
command!(
    GetEx,
    c"numa.getex",
    c"write fast",
    ONE,
    (2, MANY),
    string::expiry::getex
);
command!(
    GetDel,
    c"numa.getdel",
    c"write fast",
    ONE,
    (2, 2),
    string::expiry::getdel
);
command!(
    Set,
    c"numa.set",
    c"write deny-oom",
    ONE,
    (3, MANY),
    string::set::set
);
command!(
    SetNx,
    c"numa.setnx",
    c"write deny-oom fast",
    ONE,
    (3, 5),
    string::set::setnx
);
command!(
    SetEx,
    c"numa.setex",
    c"write deny-oom",
    ONE,
    (4, 6),
    string::set::setex
);
command!(
    PSetEx,
    c"numa.psetex",
    c"write deny-oom",
    ONE,
    (4, 6),
    string::set::psetex
);
command!(
    GetSet,
    c"numa.getset",
    c"write deny-oom fast",
    ONE,
    (3, 5),
    string::set::getset
);
command!(
    MSet,
    c"numa.mset",
    c"write deny-oom",
    PAIRS,
    (3, MANY),
    string::set::mset
);
command!(
    MSetNx,
    c"numa.msetnx",
    c"write deny-oom",
    PAIRS,
    (3, MANY),
    string::set::msetnx
);
command!(
    Append,
    c"numa.append",
    c"write deny-oom fast",
    ONE,
    (3, 5),
    string::edit::append
);
command!(
    SetRange,
    c"numa.setrange",
    c"write deny-oom",
    ONE,
    (4, 6),
    string::edit::setrange
);
command!(
    Incr,
    c"numa.incr",
    c"write deny-oom fast",
    ONE,
    (2, 2),
    string::incr::incr
);
command!(
    IncrBy,
    c"numa.incrby",
    c"write deny-oom fast",
    ONE,
    (3, 3),
    string::incr::incrby
);
command!(
    Decr,
    c"numa.decr",
    c"write deny-oom fast",
    ONE,
    (2, 2),
    string::incr::decr
);
command!(
    DecrBy,
    c"numa.decrby",
    c"write deny-oom fast",
    ONE,
    (3, 3),
    string::incr::decrby
);
command!(
    IncrByFloat,
    c"numa.incrbyfloat",
    c"write deny-oom fast",
    ONE,
    (3, 3),
    string::incr::incrbyfloat
);
command!(
    StrAlgo,
    c"numa.stralgo",
    c"readonly getkeys-api",
    NONE,
    (2, MANY),
    string::stralgo::run
);

command!(
    SetBit,
    c"numa.setbit",
    c"write deny-oom",
    ONE,
    (4, 4),
    string::bits::setbit
);
command!(
    GetBit,
    c"numa.getbit",
    c"readonly fast",
    ONE,
    (3, 3),
    string::bits::getbit
);
command!(
    BitCount,
    c"numa.bitcount",
    c"readonly",
    ONE,
    (2, MANY),
    string::bits::bitcount
);
command!(
    BitPos,
    c"numa.bitpos",
    c"readonly",
    ONE,
    (3, MANY),
    string::bits::bitpos
);
command!(
    BitOp,
    c"numa.bitop",
    c"write deny-oom",
    AFTER_WORD,
    (4, MANY),
    string::bits::bitop
);
command!(
    BitField,
    c"numa.bitfield",
    c"write deny-oom",
    ONE,
    (2, MANY),
    string::bitfield::bitfield
);
command!(
    BitFieldRo,
    c"numa.bitfield_ro",
    c"readonly fast",
    ONE,
    (2, MANY),
    string::bitfield::bitfield_ro
);

command!(
    NumaConfig,
    c"numaconfig",
    c"admin deny-script allow-loading allow-stale",
    NONE,
    (2, MANY),
    numaconfig::run
);
command!(
    NumaMigrate,
    c"numamigrate",
    c"admin getkeys-api",
    NONE,
    (2, MANY),
    numamigrate::run
);
// Not `write`, though CONVERT and RELEASE write: a read-only replica must serve the rest. These two
// look at the replica themselves; `may-replicate` makes them wait while clients are paused.
command!(
    Numa,
    c"numa",
    c"admin deny-script may-replicate getkeys-api",
    NONE,
    (2, MANY),
    numa::run
);

/// Registers every command; the name of the first that the server refuses.
pub(crate) fn register(ctx: Ctx<'_>) -> Result<(), &'static str> {
    macro_rules! register {
        ($($type:ident),* $(,)?) => {
            $(ctx.create_command::<$type>().map_err(|name| name.to_str().unwrap_or("?"))?;)*
        };
    }
    register!(
        Get,
        MGet,
        StrLen,
        GetRange,
        SubStr,
        GetEx,
        GetDel,
        Set,
        SetNx,
        SetEx,
        PSetEx,
        GetSet,
        MSet,
        MSetNx,
        Append,
        SetRange,
        Incr,
        IncrBy,
        Decr,
        DecrBy,
        IncrByFloat,
        StrAlgo,
        SetBit,
        GetBit,
        BitCount,
        BitPos,
        BitOp,
        BitField,
        BitFieldRo,
        NumaConfig,
        NumaMigrate,
        Numa,
    );
    Ok(())
}
