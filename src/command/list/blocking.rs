//! BLPOP, BRPOP, BLMOVE, BRPOPLPUSH: who finds nothing waits for it.
//!
//! The server wakes those that wait for a key in the order in which they came, once a key is made
//! there; each looks for itself whether something is left for it. What they then do goes to
//! replicas as the command that does not wait. In MULTI and in scripts nobody waits: a missing list
//! is as a time that is over.

use super::super::wait::timeout_ms;
use super::super::{Call, Done, Fail};
use super::moves::Move;
use super::pop::take;
use super::End;
use crate::redis::callbacks::Waits;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Args, Ctx, Mode, Name};
use crate::value::NumaList;

pub(super) fn blpop(call: &Call<'_>) -> Done {
    pop::<WaitLeft>(call, End::Left)
}

pub(super) fn brpop(call: &Call<'_>) -> Done {
    pop::<WaitRight>(call, End::Right)
}

fn pop<W: Waits>(call: &Call<'_>, end: End) -> Done {
    let last = call.args.len() - 1;
    let timeout = timeout_ms(call.word(last)?)?;
    let keys: Vec<_> = call.args.names_from(1).take(last - 1).collect();
    for name in &keys {
        if call.pop_waited(*name, end)? {
            call.ctx.signal_modified(*name);
            return Ok(());
        }
    }
    if call.ctx.flags().deny_blocking() {
        call.ctx.reply_null_array();
    } else {
        call.ctx.wait_for::<W>(&keys, timeout);
    }
    Ok(())
}

impl<'c> Call<'c> {
    /// Pops from a key, replies key and element, and tells replicas; false, and no reply, where
    /// nothing lies there.
    fn pop_waited(&self, name: Name<'c>, end: End) -> Result<bool, Fail> {
        let key = self.open::<NumaList>(name, Mode::Write);
        if key.holds() == Holds::Other {
            return Err(Fail::WrongType);
        }
        let Some(taken) = take(&key, end, 1) else {
            return Ok(false);
        };
        self.ctx.reply_array(2);
        self.ctx.reply_bulk(name.bytes());
        taken
            .iter()
            .for_each(|element| self.ctx.reply_bulk(element));
        self.after_pop(key, name, end);
        let command = match end {
            End::Left => c"NUMA.LPOP",
            End::Right => c"NUMA.RPOP",
        };
        self.ctx.replicate(command, &[name]);
        Ok(true)
    }

    /// The move that the words of a waiting command ask for.
    fn waiting_move(&self, ends: Option<(End, End)>) -> Result<Move<'c>, Fail> {
        let (out_of, into) = match ends {
            Some(ends) => ends,
            None => (End::named(self.word(3)?)?, End::named(self.word(4)?)?),
        };
        Ok(Move {
            from: self.name(1)?,
            to: self.name(2)?,
            out_of,
            into,
        })
    }

    /// Makes the move and tells replicas; false, and no reply, where there is nothing to move.
    fn move_waited(&self, ends: Option<(End, End)>) -> Result<bool, Fail> {
        let step = self.waiting_move(ends)?;
        if !self.move_one(step)? {
            return Ok(false);
        }
        match ends {
            Some(_) => self.ctx.replicate(c"NUMA.RPOPLPUSH", &[step.from, step.to]),
            None => {
                let ends = [self.name(3)?, self.name(4)?];
                let [out_of, into] = ends;
                self.ctx
                    .replicate(c"NUMA.LMOVE", &[step.from, step.to, out_of, into]);
            }
        }
        Ok(true)
    }
}

pub(super) fn blmove(call: &Call<'_>) -> Done {
    call.waiting_move(None)?;
    let timeout = timeout_ms(call.word(5)?)?;
    run_move::<WaitMove>(call, None, timeout)
}

pub(super) fn brpoplpush(call: &Call<'_>) -> Done {
    let timeout = timeout_ms(call.word(3)?)?;
    run_move::<WaitPopPush>(call, Some((End::Right, End::Left)), timeout)
}

fn run_move<W: Waits>(call: &Call<'_>, ends: Option<(End, End)>, timeout: i64) -> Done {
    if call.move_waited(ends)? {
        return Ok(());
    }
    if call.ctx.flags().deny_blocking() {
        call.ctx.reply_null();
    } else {
        call.ctx.wait_for::<W>(&[call.name(1)?], timeout);
    }
    Ok(())
}

/// Waits for a list to pop from its head.
struct WaitLeft;
/// The same from its tail.
struct WaitRight;
/// Waits for a list to move an element from.
struct WaitMove;
/// The same from its tail to another one's head.
struct WaitPopPush;

fn pop_ready(ctx: Ctx<'_>, args: Args<'_>, end: End) -> bool {
    Call::wake(ctx, args, |call, key| match call.pop_waited(key, end) {
        // Another type came to lie there: the client waits on, as in stock.
        Err(Fail::WrongType) => Ok(false),
        done => done,
    })
}

/// The source was ready, so a wrong type is the target's, and the client's answer.
fn move_ready(ctx: Ctx<'_>, args: Args<'_>, ends: Option<(End, End)>) -> bool {
    Call::wake(ctx, args, |call, key| {
        let source = call.open::<NumaList>(key, Mode::Quiet);
        if source.holds() != Holds::Numa {
            return Ok(false);
        }
        drop(source);
        call.move_waited(ends)
    })
}

macro_rules! waits {
    ($($type:ident: $ready:expr;)*) => {
        $(impl Waits for $type {
            fn ready(ctx: Ctx<'_>, args: Args<'_>) -> bool {
                let ready: fn(Ctx<'_>, Args<'_>) -> bool = $ready;
                ready(ctx, args)
            }

            fn timed_out(ctx: Ctx<'_>) {
                ctx.reply_null_array();
            }
        })*
    };
}

waits! {
    WaitLeft: |ctx, args| pop_ready(ctx, args, End::Left);
    WaitRight: |ctx, args| pop_ready(ctx, args, End::Right);
    WaitMove: |ctx, args| move_ready(ctx, args, None);
    WaitPopPush: |ctx, args| move_ready(ctx, args, Some((End::Right, End::Left)));
}
