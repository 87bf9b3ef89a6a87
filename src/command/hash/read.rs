//! What reads a hash: HGET, HMGET, HLEN, HSTRLEN, HEXISTS, HKEYS, HVALS, HGETALL, HSCAN.

use super::super::scan::{Page, ScanOptions};
use super::super::{Call, Done, Fail};
use crate::redis::raw::{Ctx, Mode, Replies};
use crate::value::NumaHash;

pub(super) fn hget(call: &Call<'_>) -> Done {
    let key = call.hash(Mode::Read)?;
    let field = call.word(2)?;
    let replied = key.read(|hash| reply_field(call.ctx, hash, field));
    if replied.is_none() {
        call.ctx.reply_null();
    }
    Ok(())
}

fn reply_field(ctx: Ctx<'_>, hash: &NumaHash, field: &[u8]) {
    match hash.get(field) {
        Some(value) => ctx.reply_bulk(value),
        None => ctx.reply_null(),
    }
}

pub(super) fn hmget(call: &Call<'_>) -> Done {
    let key = call.hash(Mode::Read)?;
    let fields = || call.args.names_from(2).map(|word| word.bytes());
    call.ctx.reply_array(call.args.len() - 2);
    let replied = key.read(|hash| fields().for_each(|field| reply_field(call.ctx, hash, field)));
    if replied.is_none() {
        fields().for_each(|_| call.ctx.reply_null());
    }
    Ok(())
}

/// Replies a number that a hash gives, 0 where there is none.
fn number(call: &Call<'_>, of: impl FnOnce(&NumaHash) -> usize) -> Done {
    let key = call.hash(Mode::Read)?;
    call.ctx.reply_count(key.read(of).unwrap_or(0));
    Ok(())
}

pub(super) fn hlen(call: &Call<'_>) -> Done {
    number(call, NumaHash::len)
}

pub(super) fn hstrlen(call: &Call<'_>) -> Done {
    let field = call.word(2)?;
    number(call, |hash| hash.get(field).map_or(0, <[u8]>::len))
}

pub(super) fn hexists(call: &Call<'_>) -> Done {
    let field = call.word(2)?;
    number(call, |hash| hash.contains(field).into())
}

pub(super) fn hkeys(call: &Call<'_>) -> Done {
    each(call, |replies, field, _| replies.bulk(field))
}

pub(super) fn hvals(call: &Call<'_>) -> Done {
    each(call, |replies, _, value| replies.bulk(value))
}

fn each(call: &Call<'_>, reply: impl Fn(&mut Replies<'_>, &[u8], &[u8])) -> Done {
    let key = call.hash(Mode::Read)?;
    let replied = key.read(|hash| {
        let mut replies = call.ctx.replies();
        replies.array(hash.len());
        hash.iter()
            .for_each(|(field, value)| reply(&mut replies, field, value));
    });
    if replied.is_none() {
        call.ctx.reply_array(0);
    }
    Ok(())
}

pub(super) fn hgetall(call: &Call<'_>) -> Done {
    let key = call.hash(Mode::Read)?;
    let replied = key.read(|hash| {
        call.ctx.reply_map(hash.len());
        let mut replies = call.ctx.replies();
        for (field, value) in hash.iter() {
            replies.bulk(field);
            replies.bulk(value);
        }
    });
    if replied.is_none() {
        call.ctx.reply_map(0);
    }
    Ok(())
}

pub(super) fn hscan(call: &Call<'_>) -> Done {
    let cursor = ScanOptions::cursor(call.word(2)?)?;
    let key = call.hash(Mode::Read)?;
    let page = key.read(|hash| {
        let options = ScanOptions::parse(call, 3)?;
        let mut page = Page::at(cursor);
        page.fill(&options, |cursor, page| {
            hash.scan(cursor, options.count(), &mut |field, value| {
                if page.takes(&options, field) {
                    page.add(field.to_vec());
                    page.add(value.to_vec());
                }
            })
        });
        Ok::<_, Fail>(page)
    });
    page.transpose()?.unwrap_or_else(|| Page::at(0)).reply(call);
    Ok(())
}
