//! LTRIM, LREM, LSET: elements go or change where they are.

use super::super::args::integer;
use super::super::span::{number, span};
use super::super::{Call, Done, Fail};
use crate::redis::raw::{Event, ListEvent, Mode};
use crate::value::NumaList;

pub(super) fn ltrim(call: &Call<'_>) -> Done {
    let (start, end) = (integer(call.word(2)?)?, integer(call.word(3)?)?);
    let key = call.list(1, Mode::Write)?;
    let trimmed = key.edit(|list, _| {
        let (len, kept) = (list.len(), span(list.len(), start, end));
        // An empty range keeps nothing; it is written as the one before the first element.
        list.remove(kept.end, len);
        list.remove(0, kept.start);
        Ok(len - (kept.end - kept.start))
    });
    let Some(trimmed) = trimmed.transpose()? else {
        call.ctx.reply_ok();
        return Ok(());
    };
    let name = call.name(1)?;
    call.after_removal(key, name, Some(Event::List(ListEvent::LTrim)));
    call.ctx.signal_modified(name);
    if trimmed > 0 {
        call.replicate_verbatim();
    }
    call.ctx.reply_ok();
    Ok(())
}

pub(super) fn lrem(call: &Call<'_>) -> Done {
    let (wanted, count) = (call.element(3)?, integer(call.word(2)?)?);
    let key = call.list(1, Mode::Write)?;
    let removed = key.edit(|list, _| Ok(remove_all(list, wanted, count)));
    let removed = removed.transpose()?.unwrap_or(0);
    call.ctx.reply_count(removed);
    if removed > 0 {
        let name = call.name(1)?;
        call.ctx.signal_modified(name);
        call.after_removal(key, name, Some(Event::List(ListEvent::LRem)));
        call.replicate_verbatim();
    }
    Ok(())
}

/// Takes up to `count` equal elements out, all of them for 0; a negative count begins at the end.
fn remove_all(list: &mut NumaList, wanted: &[u8], count: i64) -> usize {
    let most = match count.unsigned_abs() {
        0 => usize::MAX,
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let (mut found, mut seen) = (Vec::new(), 0);
    let last = list.len().saturating_sub(1);
    let mut note = |element: &[u8]| {
        if element == wanted {
            found.push(if count < 0 { last - seen } else { seen });
        }
        seen += 1;
        found.len() < most
    };
    match count < 0 {
        true => list.each_back_from(last, &mut note),
        false => list.each_from(0, &mut note),
    }
    // From the end on, so that no number is shifted before its turn.
    found.sort_unstable();
    for index in found.iter().rev() {
        list.remove(*index, index + 1);
    }
    found.len()
}

pub(super) fn lset(call: &Call<'_>) -> Done {
    let key = call.list(1, Mode::Write)?;
    let Some(len) = key.look(NumaList::len) else {
        return Err(Fail::text("no such key"));
    };
    let (element, index) = (call.element(3)?, integer(call.word(2)?)?);
    let index = number(len, index).ok_or_else(|| Fail::text("index out of range"))?;
    let done = key.edit(|list, order| list.set(index, element, order));
    drop(key);
    done.transpose()?;
    call.ctx.reply_ok();
    call.list_changed(ListEvent::LSet)
}
