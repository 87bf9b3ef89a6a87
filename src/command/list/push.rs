//! LPUSH, RPUSH, LPUSHX, RPUSHX, LINSERT: elements come in.

use super::super::args::is;
use super::super::{Call, Done, Fail};
use super::End;
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{ListEvent, Mode, Name};
use crate::value::NumaList;

pub(super) fn lpush(call: &Call<'_>) -> Done {
    push(call, End::Left, false)
}

pub(super) fn rpush(call: &Call<'_>) -> Done {
    push(call, End::Right, false)
}

pub(super) fn lpushx(call: &Call<'_>) -> Done {
    push(call, End::Left, true)
}

pub(super) fn rpushx(call: &Call<'_>) -> Done {
    push(call, End::Right, true)
}

fn push(call: &Call<'_>, end: End, only_there: bool) -> Done {
    let mut size = 0;
    for index in 2..call.args.len() {
        size += call.element(index)?.len();
    }
    let key = call.list(1, Mode::Write)?;
    if only_there && key.holds() == Holds::Nothing {
        call.ctx.reply_int(0);
        return Ok(());
    }
    let len = key.edit_or_create(size, |list, order| push_all(call, list, end, order))?;
    drop(key);
    call.ctx.reply_count(len);
    call.list_changed(match end {
        End::Left => ListEvent::LPush,
        End::Right => ListEvent::RPush,
    })
}

/// Pushes all elements or none; the new length.
fn push_all(
    call: &Call<'_>,
    list: &mut NumaList,
    end: End,
    order: &[NodeId],
) -> Result<u64, OutOfMemory> {
    let was = list.len();
    for element in call.args.names_from(2).map(Name::bytes) {
        if let Err(error) = push_one(list, element, end, order) {
            let gone = end.of(list.len(), list.len() - was);
            list.remove(gone.start, gone.end);
            return Err(error);
        }
    }
    Ok(list.len())
}

/// Pushes one element.
pub(super) fn push_one(
    list: &mut NumaList,
    element: &[u8],
    end: End,
    order: &[NodeId],
) -> Result<(), OutOfMemory> {
    match end {
        End::Left => list.insert(0, element, order),
        End::Right => list.push_back(element, order),
    }
}

pub(super) fn linsert(call: &Call<'_>) -> Done {
    let behind = match call.word(2)? {
        word if is(word, "AFTER") => 1,
        word if is(word, "BEFORE") => 0,
        _ => return Err(Fail::Syntax),
    };
    let (pivot, element) = (call.word(3)?, call.element(4)?);
    let key = call.list(1, Mode::Write)?;
    let done = key.edit(|list, order| match first(list, pivot) {
        Some(index) => {
            list.insert(index + behind, element, order)?;
            Ok(Some(list.len()))
        }
        None => Ok(None),
    });
    drop(key);
    match done.transpose()? {
        None => call.ctx.reply_int(0),
        Some(None) => call.ctx.reply_int(-1),
        Some(Some(len)) => {
            call.ctx.reply_count(len);
            return call.list_changed(ListEvent::LInsert);
        }
    }
    Ok(())
}

/// The number of the first element that is this one.
fn first(list: &NumaList, wanted: &[u8]) -> Option<u64> {
    let (mut index, mut found) = (0, None);
    list.each_from(0, |element| {
        if element == wanted {
            found = Some(index);
        }
        index += 1;
        found.is_none()
    });
    found
}
