//! LMOVE and RPOPLPUSH: an element leaves one list for another, or for the other end of its own.
//!
//! It is pushed first and popped then: if there is no memory for it there, it is still here. On one
//! list the two orders come to the same.

use super::super::{Call, Done, Fail};
use super::pop::take;
use super::push::push_one;
use super::End;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Mode, Name};

/// From where to where.
#[derive(Clone, Copy)]
pub(super) struct Move<'c> {
    pub(super) from: Name<'c>,
    pub(super) to: Name<'c>,
    pub(super) out_of: End,
    pub(super) into: End,
}

pub(super) fn lmove(call: &Call<'_>) -> Done {
    let (out_of, into) = (End::named(call.word(3)?)?, End::named(call.word(4)?)?);
    run(call, out_of, into)
}

pub(super) fn rpoplpush(call: &Call<'_>) -> Done {
    run(call, End::Right, End::Left)
}

fn run(call: &Call<'_>, out_of: End, into: End) -> Done {
    let step = Move {
        from: call.name(1)?,
        to: call.name(2)?,
        out_of,
        into,
    };
    if call.move_one(step)? {
        call.replicate_verbatim();
    } else {
        call.ctx.reply_null();
    }
    Ok(())
}

impl<'c> Call<'c> {
    /// Moves one element and replies it; false, and no reply, where there is no list to take from.
    pub(super) fn move_one(&self, step: Move<'c>) -> Result<bool, Fail> {
        let source = self.open::<crate::value::NumaList>(step.from, Mode::Write);
        let element = match source.holds() {
            Holds::Other => return Err(Fail::WrongType),
            Holds::Nothing => return Ok(false),
            Holds::Numa => source.look(|list| {
                let index = step.out_of.of(list.len(), 1).start;
                list.get(index).map(<[u8]>::to_vec)
            }),
        };
        let element = element.flatten().ok_or(Fail::OutOfMemory)?;
        drop(source);
        self.push_moved(step, &element)?;
        self.ctx.reply_bulk(&element);
        let source = self.open(step.from, Mode::Write);
        take(&source, step.out_of, 1);
        self.after_pop(source, step.from, step.out_of);
        self.ctx.signal_modified(step.from);
        Ok(true)
    }

    fn push_moved(&self, step: Move<'c>, element: &[u8]) -> Done {
        let target = self.open::<crate::value::NumaList>(step.to, Mode::Write);
        if target.holds() == Holds::Other {
            return Err(Fail::WrongType);
        }
        target.edit_or_create(element.len(), |list, order| {
            push_one(list, element, step.into, order)
        })?;
        drop(target);
        self.ctx.signal_modified(step.to);
        self.ctx.notify(step.into.pushed(), step.to);
        Ok(())
    }
}
