//! What reads a set: SISMEMBER, SMISMEMBER, SCARD, SMEMBERS, SSCAN.

use super::super::scan::{Page, ScanOptions};
use super::super::{Call, Done, Fail};
use crate::redis::raw::Mode;
use crate::value::NumaSet;

pub(super) fn sismember(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Read)?;
    let member = call.word(2)?;
    let there = key.read(|set| set.contains(member));
    call.ctx.reply_int(there.unwrap_or(false).into());
    Ok(())
}

pub(super) fn smismember(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Read)?;
    let members = || call.args.names_from(2).map(|word| word.bytes());
    call.ctx.reply_array(call.args.len() - 2);
    let replied = key.read(|set| {
        let mut replies = call.ctx.replies();
        members().for_each(|member| replies.int(set.contains(member).into()));
    });
    if replied.is_none() {
        members().for_each(|_| call.ctx.reply_int(0));
    }
    Ok(())
}

pub(super) fn scard(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Read)?;
    call.ctx.reply_count(key.read(|set| set.len()).unwrap_or(0));
    Ok(())
}

pub(super) fn smembers(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Read)?;
    if key.read(|set| reply_all(call, set)).is_none() {
        call.ctx.reply_set(0);
    }
    Ok(())
}

/// Replies every member.
pub(super) fn reply_all(call: &Call<'_>, set: &NumaSet) {
    call.ctx.reply_set(set.len());
    let mut replies = call.ctx.replies();
    set.iter().for_each(|(member, _)| replies.bulk(member));
}

pub(super) fn sscan(call: &Call<'_>) -> Done {
    let cursor = ScanOptions::cursor(call.word(2)?)?;
    let key = call.set(Mode::Read)?;
    let page = key.read(|set| {
        let options = ScanOptions::parse(call, 3)?;
        let mut page = Page::at(cursor);
        page.fill(&options, |cursor, page| {
            set.scan(cursor, options.count(), &mut |member, _| {
                if page.takes(&options, member) {
                    page.add(member.to_vec());
                }
            })
        });
        Ok::<_, Fail>(page)
    });
    page.transpose()?.unwrap_or_else(|| Page::at(0)).reply(call);
    Ok(())
}
