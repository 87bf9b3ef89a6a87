//! LPOP and RPOP, and what every command shares that takes elements from an end.

use super::super::args::positive;
use super::super::{Call, Done, Fail};
use super::End;
use crate::redis::list_type::ListKey;
use crate::redis::raw::{Event, Mode, Name};

pub(super) fn lpop(call: &Call<'_>) -> Done {
    pop(call, End::Left)
}

pub(super) fn rpop(call: &Call<'_>) -> Done {
    pop(call, End::Right)
}

fn pop(call: &Call<'_>, end: End) -> Done {
    let count = match call.args.len() {
        2 => None,
        3 => Some(positive(
            call.word(2)?,
            "value is out of range, must be positive",
        )?),
        _ => return Err(Fail::Arity),
    };
    let key = call.list(1, Mode::Write)?;
    let Some(taken) = take(&key, end, count.unwrap_or(1)) else {
        match count {
            Some(_) => call.ctx.reply_null_array(),
            None => call.ctx.reply_null(),
        }
        return Ok(());
    };
    if count == Some(0) {
        call.ctx.reply_array(0);
        return Ok(());
    }
    if count.is_some() {
        call.ctx.reply_array(taken.len());
    }
    taken
        .iter()
        .for_each(|element| call.ctx.reply_bulk(element));
    call.after_pop(key, call.name(1)?, end);
    call.ctx.signal_modified(call.name(1)?);
    call.ctx.replicate_verbatim();
    Ok(())
}

/// Takes up to `count` elements from an end, in the order in which they come out; nothing where
/// there is no list.
pub(super) fn take(key: &ListKey<'_>, end: End, count: u64) -> Option<Vec<Vec<u8>>> {
    let taken = key.edit(|list, _| {
        let range = end.of(list.len(), count);
        let (mut taken, len) = (Vec::new(), range.end - range.start);
        let mut keep = |element: &[u8]| {
            if (taken.len() as u64) < len {
                taken.push(element.to_vec());
            }
            (taken.len() as u64) < len
        };
        match end {
            End::Left => list.each_from(range.start, &mut keep),
            End::Right => list.each_back_from(range.end.saturating_sub(1), &mut keep),
        }
        list.remove(range.start, range.end);
        Ok(taken)
    });
    taken.and_then(Result::ok)
}

impl Call<'_> {
    /// What follows elements that went from an end: the event, and the end of an empty list.
    pub(super) fn after_pop(&self, key: ListKey<'_>, name: Name<'_>, end: End) {
        self.after_removal(key, name, Some(end.popped()));
    }

    /// What follows elements that went: an event, and the end of an empty list.
    pub(super) fn after_removal(&self, key: ListKey<'_>, name: Name<'_>, event: Option<Event>) {
        let is_empty = key.look(|list| list.is_empty()).unwrap_or(false);
        if is_empty {
            key.key().delete();
        }
        drop(key);
        if let Some(event) = event {
            self.ctx.notify(event, name);
        }
        if is_empty {
            self.ctx.notify(Event::Del, name);
        }
    }
}
