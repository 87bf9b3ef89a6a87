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
        2 => return pop_one(call, end),
        3 => positive(call.word(2)?, "value is out of range, must be positive")?,
        _ => return Err(Fail::Arity),
    };
    let key = call.list(1, Mode::Write)?;
    let Some(taken) = take(&key, end, count) else {
        call.ctx.reply_null_array();
        return Ok(());
    };
    call.ctx.reply_array(taken.len());
    if count == 0 {
        return Ok(());
    }
    taken
        .iter()
        .for_each(|element| call.ctx.reply_bulk(element));
    call.popped(key, end)
}

/// Without a count the element is replied from where it lies: nothing can fail behind that.
fn pop_one(call: &Call<'_>, end: End) -> Done {
    let key = call.list(1, Mode::Write)?;
    let popped = key.edit(|list, _| {
        let range = end.of(list.len(), 1);
        call.ctx.reply_bulk(list.get(range.start).unwrap_or(&[]));
        list.remove(range.start, range.end);
        Ok(())
    });
    if popped.transpose()?.is_none() {
        call.ctx.reply_null();
        return Ok(());
    }
    call.popped(key, end)
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
    /// What follows a pop from the key at word 1.
    fn popped(&self, key: ListKey<'_>, end: End) -> Done {
        let name = self.name(1)?;
        self.after_pop(key, name, end);
        self.ctx.signal_modified(name);
        self.replicate_verbatim();
        Ok(())
    }

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
