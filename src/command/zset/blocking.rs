//! BZPOPMIN and BZPOPMAX: who finds nothing waits for it, as those that wait for lists do.

use super::super::wait::timeout_ms;
use super::super::{Call, Done, Fail};
use super::pop::{take, End};
use crate::redis::callbacks::Waits;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Args, Ctx, Mode, Name};
use crate::value::NumaZset;

pub(super) fn bzpopmin(call: &Call<'_>) -> Done {
    pop::<WaitMin>(call, End::Min)
}

pub(super) fn bzpopmax(call: &Call<'_>) -> Done {
    pop::<WaitMax>(call, End::Max)
}

fn pop<W: Waits>(call: &Call<'_>, end: End) -> Done {
    let last = call.args.len() - 1;
    let timeout = timeout_ms(call.word(last)?)?;
    let keys: Vec<_> = call.args.names_from(1).take(last - 1).collect();
    for name in &keys {
        if call.zpop_waited(*name, end)? {
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
    /// Pops from a key, replies key, member and score, and tells replicas; false, and no reply,
    /// where nothing lies there.
    fn zpop_waited(&self, name: Name<'c>, end: End) -> Result<bool, Fail> {
        let key = self.open::<NumaZset>(name, Mode::Write);
        if key.holds() == Holds::Other {
            return Err(Fail::WrongType);
        }
        let Some(taken) = take(&key, end, 1) else {
            return Ok(false);
        };
        self.ctx.reply_array(3);
        self.ctx.reply_bulk(name.bytes());
        for (member, score) in &taken {
            self.ctx.reply_bulk(member);
            self.ctx.reply_double(*score);
        }
        self.ctx.signal_modified(name);
        self.after_zset_removal(key, name, end.event());
        let command = match end {
            End::Min => c"NUMA.ZPOPMIN",
            End::Max => c"NUMA.ZPOPMAX",
        };
        self.ctx.replicate(command, &[name]);
        Ok(true)
    }
}

/// Waits for a sorted set to pop the lowest from.
struct WaitMin;
/// The same for the highest.
struct WaitMax;

fn ready(ctx: Ctx<'_>, args: Args<'_>, end: End) -> bool {
    Call::wake(ctx, args, |call, key| match call.zpop_waited(key, end) {
        // Another type came to lie there: the client waits on, as in stock.
        Err(Fail::WrongType) => Ok(false),
        done => done,
    })
}

impl Waits for WaitMin {
    fn ready(ctx: Ctx<'_>, args: Args<'_>) -> bool {
        ready(ctx, args, End::Min)
    }

    fn timed_out(ctx: Ctx<'_>) {
        ctx.reply_null_array();
    }
}

impl Waits for WaitMax {
    fn ready(ctx: Ctx<'_>, args: Args<'_>) -> bool {
        ready(ctx, args, End::Max)
    }

    fn timed_out(ctx: Ctx<'_>) {
        ctx.reply_null_array();
    }
}
