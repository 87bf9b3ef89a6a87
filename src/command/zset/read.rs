//! ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

use super::super::{Call, Done};
use super::bounds::{Members, Scores};
use crate::redis::raw::{Mode, Name};
use crate::value::NumaZset;

pub(super) fn zcard(call: &Call<'_>) -> Done {
    count(call, NumaZset::len)
}

pub(super) fn zcount(call: &Call<'_>) -> Done {
    let range = Scores::parse(call.word(2)?, call.word(3)?)?;
    count(call, |set| {
        let range = range.of(set);
        range.end - range.start
    })
}

pub(super) fn zlexcount(call: &Call<'_>) -> Done {
    let range = Members::parse(call.word(2)?, call.word(3)?)?;
    count(call, |set| {
        let range = range.of(set);
        range.end - range.start
    })
}

fn count(call: &Call<'_>, of: impl FnOnce(&NumaZset) -> u64) -> Done {
    let key = call.zset(1, Mode::Read)?;
    call.ctx.reply_count(key.read(of).unwrap_or(0));
    Ok(())
}

pub(super) fn zscore(call: &Call<'_>) -> Done {
    let member = call.word(2)?;
    let key = call.zset(1, Mode::Read)?;
    reply_score(call, key.read(|set| set.score(member)).flatten());
    Ok(())
}

pub(super) fn zmscore(call: &Call<'_>) -> Done {
    let key = call.zset(1, Mode::Read)?;
    let members = || call.args.names_from(2).map(Name::bytes);
    let scores = key.read(|set| {
        members()
            .map(|member| set.score(member))
            .collect::<Vec<_>>()
    });
    let scores = scores.unwrap_or_else(|| members().map(|_| None).collect());
    call.ctx.reply_array(scores.len());
    scores.iter().for_each(|score| reply_score(call, *score));
    Ok(())
}

fn reply_score(call: &Call<'_>, score: Option<f64>) {
    match score {
        Some(score) => call.ctx.reply_double(score),
        None => call.ctx.reply_null(),
    }
}

pub(super) fn zrank(call: &Call<'_>) -> Done {
    rank(call, |rank, _| rank)
}

pub(super) fn zrevrank(call: &Call<'_>) -> Done {
    rank(call, |rank, len| len - 1 - rank)
}

fn rank(call: &Call<'_>, shown: fn(u64, u64) -> u64) -> Done {
    let member = call.word(2)?;
    let key = call.zset(1, Mode::Read)?;
    let rank = key.read(|set| Some(shown(set.rank(member)?.0, set.len())));
    match rank.flatten() {
        Some(rank) => call.ctx.reply_count(rank),
        None => call.ctx.reply_null(),
    }
    Ok(())
}
