//! ZREM and ZREMRANGEBY*: members go.

use super::super::args::integer;
use super::super::span::span;
use super::super::{Call, Done};
use super::bounds::{Members, Scores};
use crate::redis::raw::{Event, Mode, Name, ZsetEvent};
use crate::redis::zset_type::ZsetKey;
use crate::value::NumaZset;
use std::ops::Range;

pub(super) fn zrem(call: &Call<'_>) -> Done {
    let key = call.zset(1, Mode::Write)?;
    let members = || call.args.names_from(2).map(Name::bytes);
    let removed = key.edit(|set, _| Ok(members().filter_map(|member| set.remove(member)).count()));
    let removed = removed.transpose()?.unwrap_or(0);
    call.ctx.reply_count(removed);
    if removed > 0 {
        after_removal(call, key, ZsetEvent::Rem)?;
    }
    Ok(())
}

pub(super) fn by_score(call: &Call<'_>) -> Done {
    let range = Scores::parse(call.word(2)?, call.word(3)?)?;
    run(call, ZsetEvent::RemRangeByScore, |set| range.of(set))
}

pub(super) fn by_rank(call: &Call<'_>) -> Done {
    let (start, end) = (integer(call.word(2)?)?, integer(call.word(3)?)?);
    run(call, ZsetEvent::RemRangeByRank, |set| {
        span(set.len(), start, end)
    })
}

pub(super) fn by_lex(call: &Call<'_>) -> Done {
    let range = Members::parse(call.word(2)?, call.word(3)?)?;
    run(call, ZsetEvent::RemRangeByLex, |set| range.of(set))
}

fn run(call: &Call<'_>, event: ZsetEvent, range: impl FnOnce(&NumaZset) -> Range<u64>) -> Done {
    let key = call.zset(1, Mode::Write)?;
    let removed = key.edit(|set, _| {
        let range = range(set);
        set.remove_ranks(range.start, range.end);
        Ok(range.end - range.start)
    });
    let removed = removed.transpose()?.unwrap_or(0);
    call.ctx.reply_count(removed);
    if removed > 0 {
        after_removal(call, key, event)?;
    }
    Ok(())
}

fn after_removal(call: &Call<'_>, key: ZsetKey<'_>, event: ZsetEvent) -> Done {
    let name = call.name(1)?;
    call.ctx.signal_modified(name);
    call.after_zset_removal(key, name, event);
    call.replicate_verbatim();
    Ok(())
}

impl Call<'_> {
    /// The event of members that went, and the end of an empty set.
    pub(super) fn after_zset_removal(&self, key: ZsetKey<'_>, name: Name<'_>, event: ZsetEvent) {
        let is_empty = key.look(NumaZset::is_empty).unwrap_or(false);
        if is_empty {
            key.key().delete();
        }
        drop(key);
        self.ctx.notify(Event::Zset(event), name);
        if is_empty {
            self.ctx.notify(Event::Del, name);
        }
    }
}
