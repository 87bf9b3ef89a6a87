//! Floor 6: words in, replies out. A family of commands is a folder with a table of its own: one
//! row a command.
//!
//! A handler takes a [`Call`], replies once, and answers `Err` with a [`Fail`] when it has not
//! replied: the text of every error stands in `fail` and nowhere else.

mod args;
mod fail;
mod plain;
mod reply;
mod sample;
mod scan;
mod span;
mod wait;

/// The table of a family: a row a command, with name, flags, keys (first, last, step), words
/// (least, most) and handler, and a second handler where a call can be served without a context.
/// It makes `register`, which registers the rows.
macro_rules! commands {
    ($(
        $name:literal, $flags:literal, $keys:expr, $words:expr, $run:path $(, $quick:path)?;
    )*) => {
        /// The names of the family.
        pub(in crate::command) const NAMES: &[&std::ffi::CStr] = &[$($name),*];

        /// Registers the family; the name of the first command that the server refuses.
        pub(in crate::command) fn register(
            ctx: crate::redis::raw::Ctx<'_>,
        ) -> Result<(), &'static str> {
            use crate::command::{arity, serve};
            use crate::redis::{callbacks::Command, raw::{Args, Ctx, Seen}};
            $({
                struct Row;

                static SEEN: Seen = Seen::new();

                impl Command for Row {
                    const NAME: &'static std::ffi::CStr = $name;
                    const FLAGS: &'static std::ffi::CStr = $flags;
                    const KEYS: (i32, i32, i32) = $keys;
                    const ARITY: i32 = arity($words);

                    fn seen() -> &'static Seen {
                        &SEEN
                    }

                    fn serve(ctx: Ctx<'_>, args: Args<'_>) {
                        serve::<Self>(ctx, args, $words, $run);
                    }
                }
                ctx.create_command::<Row>().map_err(|name| name.to_str().unwrap_or("?"))?;
                $(
                    impl crate::redis::raw::Quick for Row {
                        fn serve_quickly(
                            known: crate::redis::raw::Known<'_>,
                            args: Args<'_>,
                        ) -> bool {
                            crate::command::serve_quickly::<Self>(known, args, $quick)
                        }
                    }
                    crate::redis::raw::lead_later::<Row>();
                )?
            })*
            Ok(())
        }
    };
}

/// One key, the first word.
const ONE: (i32, i32, i32) = (1, 1, 1);
/// Two keys, the first two words.
const TWO: (i32, i32, i32) = (1, 2, 1);
/// Every word but the last is a key.
const ALL_BUT_LAST: (i32, i32, i32) = (1, -2, 1);
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

mod generic;
mod hash;
mod list;
mod own;
mod set;
mod string;
mod zset;

use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::redis::callbacks::Command;
use crate::redis::numa_key::{Holds, TypedKey};
use crate::redis::numa_type::NumaType;
use crate::redis::quick::QuickCall;
use crate::redis::raw::{Args, Ctx, Known, Mode, Name};
use crate::redis::server::{server, Server};
use crate::redis::transparent;
pub(crate) use fail::Fail;
use std::ffi::CStr;

/// One call of a command.
pub(crate) struct Call<'c> {
    pub(crate) ctx: Ctx<'c>,
    pub(crate) args: Args<'c>,
    pub(crate) server: &'static Server,
    /// Whether the client wrote the stock name, and the filter ours.
    pub(crate) plain: bool,
}

impl<'c> Call<'c> {
    /// The word at `index`, the command's name being 0.
    #[inline]
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

    /// Opens a key for the commands of type `V`.
    #[inline(always)]
    pub(crate) fn open<V: NumaType>(&self, name: Name<'c>, mode: Mode) -> TypedKey<'c, V> {
        TypedKey::open(self.server, self.ctx, name, mode)
    }

    /// Opens the key at word `index` for a command that works on a `V` or on nothing.
    #[inline(always)]
    pub(crate) fn own_key<V: NumaType>(
        &self,
        index: usize,
        mode: Mode,
    ) -> Result<TypedKey<'c, V>, Fail> {
        let key = self.open(self.name(index)?, mode);
        match key.holds() {
            Holds::Other => Err(Fail::WrongType),
            Holds::Nothing | Holds::Numa => Ok(key),
        }
    }

    /// The same for a command that answers the old value before it changes it. The stock ones
    /// look the key up for reading first, so a hit or a miss is counted.
    pub(crate) fn own_key_after_read<V: NumaType>(
        &self,
        index: usize,
    ) -> Result<TypedKey<'c, V>, Fail> {
        drop(self.ctx.open(self.name(index)?, Mode::Read));
        self.own_key(index, Mode::Write)
    }

    /// Sends the command as it came to replicas and the AOF.
    pub(crate) fn replicate_verbatim(&self) {
        self.ctx.replicate_verbatim(self.args);
    }

    /// Does one of several parts of a change: within the limits, and once another part was done,
    /// beyond them, so that a command is done as a whole or not at all.
    ///
    /// # Errors
    /// [`OutOfMemory`]: this part was not done.
    pub(crate) fn whole<R>(
        &self,
        begun: bool,
        mut part: impl FnMut() -> Result<R, OutOfMemory>,
    ) -> Result<R, OutOfMemory> {
        match part() {
            Err(OutOfMemory) if begun => self.server.beyond_limits(part),
            done => done,
        }
    }

    /// The bytes of the word at `index`.
    #[inline]
    pub(crate) fn word(&self, index: usize) -> Result<&'c [u8], Fail> {
        self.args.bytes(index).ok_or(Fail::Arity)
    }
}

/// What a handler answers.
pub(crate) type Done = Result<(), Fail>;

/// Runs a handler and turns what went wrong into a reply. All of it becomes a part of each row's
/// entry: short commands cost hardly more than the calls would.
#[inline(always)]
fn serve<C: Command>(
    ctx: Ctx<'_>,
    args: Args<'_>,
    words: (usize, usize),
    run: fn(&Call<'_>) -> Done,
) {
    let Some(server) = server() else {
        return ctx.reply_error("ERR redis-numa is not loaded to the end");
    };
    let plain = transparent::wrote::<C>(args);
    let call = Call {
        ctx,
        args,
        server,
        plain,
    };
    let done = if args.len() < words.0 || args.len() > words.1 {
        Err(Fail::Arity)
    } else {
        run_where_it_belongs::<C>(&call, run)
    };
    if let Err(fail) = done {
        answer_failure(&call, &fail, C::NAME);
    }
}

/// Runs the handler of a call without a context; false where the call is none for it.
#[inline(always)]
fn serve_quickly<C: Command>(
    known: Known<'_>,
    args: Args<'_>,
    run: fn(&QuickCall<'_>, bool) -> bool,
) -> bool {
    let call = QuickCall::new(known, args);
    call.is_some_and(|call| run(&call, transparent::wrote::<C>(args)))
}

#[cold]
fn answer_failure(call: &Call<'_>, fail: &Fail, name: &CStr) {
    // Who asks for key positions has no client, and the server would reply to it unchecked.
    if !call.ctx.wants_key_positions() {
        fail.reply(call.ctx, name, call.plain);
    }
}

/// Runs a handler, or the stock command where the client wrote its name and the keys are native.
#[inline(always)]
fn run_where_it_belongs<C: Command>(call: &Call<'_>, run: fn(&Call<'_>) -> Done) -> Done {
    if call.plain
        && !call.ctx.wants_key_positions()
        && plain::served_by_stock(call, C::NAME, C::KEYS)?
    {
        return Ok(());
    }
    run_beyond_limits(call, run)
}

/// Runs a handler. What a master sends is never refused for a limit of this machine: a refusal
/// would make the replica another dataset without a word. A command that failed for memory has
/// changed nothing, so it can run once more.
#[inline(always)]
fn run_beyond_limits(call: &Call<'_>, run: fn(&Call<'_>) -> Done) -> Done {
    match run(call) {
        Err(Fail::OutOfMemory) => run_again(call, run),
        done => done,
    }
}

#[cold]
fn run_again(call: &Call<'_>, run: fn(&Call<'_>) -> Done) -> Done {
    if call.ctx.flags().by_master() {
        return call.server.beyond_limits(|| run(call));
    }
    Err(Fail::OutOfMemory)
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

/// Registers every command; the name of the first that the server refuses.
pub(crate) fn register(ctx: Ctx<'_>) -> Result<(), &'static str> {
    string::register(ctx)?;
    hash::register(ctx)?;
    set::register(ctx)?;
    list::register(ctx)?;
    zset::register(ctx)?;
    generic::register(ctx)?;
    transparent::declare(&[
        (Some(Kind::String), string::NAMES),
        (Some(Kind::Hash), hash::NAMES),
        (Some(Kind::Set), set::NAMES),
        (Some(Kind::List), list::NAMES),
        (Some(Kind::SortedSet), zset::NAMES),
        (None, generic::NAMES),
        // Not named like a stock command, so not one of these is written over.
        (None, own::NAMES),
    ]);
    own::register(ctx)
}
