//! ZPOPMIN and ZPOPMAX.

use super::super::args::integer;
use super::super::{Call, Done, Fail};
use crate::redis::raw::{Mode, ZsetEvent};
use crate::redis::zset_type::ZsetKey;
use crate::value::NumaZset;

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Min,
    Max,
}

impl End {
    pub(super) fn event(self) -> ZsetEvent {
        match self {
            Self::Min => ZsetEvent::PopMin,
            Self::Max => ZsetEvent::PopMax,
        }
    }
}

pub(super) fn zpopmin(call: &Call<'_>) -> Done {
    pop(call, End::Min)
}

pub(super) fn zpopmax(call: &Call<'_>) -> Done {
    pop(call, End::Max)
}

fn pop(call: &Call<'_>, end: End) -> Done {
    let count = match call.args.len() {
        2 => 1,
        3 => integer(call.word(2)?)?,
        _ => return Err(Fail::Syntax),
    };
    // Before the key is looked at, as in stock: a wrong type goes unseen.
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
        call.ctx.reply_array(0);
        return Ok(());
    };
    let key = call.zset(1, Mode::Write)?;
    let Some(taken) = take(&key, end, count) else {
        call.ctx.reply_array(0);
        return Ok(());
    };
    // Without a count the reply is one element, which RESP3 does not wrap.
    let mut shape = match call.args.len() {
        3 => call.scored(true),
        _ => call.scored(true).flat(),
    };
    shape.head(taken.len());
    for (member, score) in &taken {
        shape.element(member, *score);
    }
    let name = call.name(1)?;
    call.ctx.signal_modified(name);
    call.after_zset_removal(key, name, end.event());
    call.replicate_verbatim();
    Ok(())
}

/// Takes up to `count` elements from an end, in the order in which they come out; nothing where
/// there is no set.
pub(super) fn take(key: &ZsetKey<'_>, end: End, count: u64) -> Option<Vec<(Vec<u8>, f64)>> {
    let taken = key.edit(|set, _| {
        let (len, mut taken) = (set.len(), Vec::new());
        let count = count.min(len);
        let keep = |member: &[u8], score| {
            taken.push((member.to_vec(), score));
            (taken.len() as u64) < count
        };
        show(set, end, keep);
        match end {
            End::Min => set.remove_ranks(0, count),
            End::Max => set.remove_ranks(len - count, len),
        }
        Ok(taken)
    });
    taken.and_then(Result::ok)
}

fn show(set: &NumaZset, end: End, keep: impl FnMut(&[u8], f64) -> bool) {
    match end {
        End::Min => set.each_from(0, keep),
        End::Max => set.each_back_from(set.len().saturating_sub(1), keep),
    }
}
