//! INCR, INCRBY, DECR, DECRBY, INCRBYFLOAT.

use super::super::args::integer;
use super::super::{Call, Done, Fail};
use crate::redis::raw::{Event, Mode};
use crate::redis::string_key::StringKey;
use crate::value::longdouble::{self, FloatError};
use crate::value::number::Digits;

pub(in crate::command) fn incr(call: &Call<'_>) -> Done {
    add(call, 1)
}

pub(in crate::command) fn decr(call: &Call<'_>) -> Done {
    add(call, -1)
}

pub(in crate::command) fn incrby(call: &Call<'_>) -> Done {
    add(call, integer(call.word(2)?)?)
}

pub(in crate::command) fn decrby(call: &Call<'_>) -> Done {
    // The smallest number is its own opposite here, as in the stock command.
    add(call, integer(call.word(2)?)?.wrapping_neg())
}

fn add(call: &Call<'_>, more: i64) -> Done {
    let key = call.own_string(Mode::Write)?;
    let value = key
        .look(|value| integer(value.as_bytes()))
        .unwrap_or(Ok(0))?;
    let overflow = || Fail::text("increment or decrement would overflow");
    let sum = value.checked_add(more).ok_or_else(overflow)?;
    key.put(Digits::of(sum).text(), None, true)?;
    let name = call.name(1)?;
    call.ctx.signal_modified(name);
    call.ctx.notify(Event::IncrBy, name);
    call.replicate_verbatim();
    call.ctx.reply_int(sum);
    Ok(())
}

pub(in crate::command) fn incrbyfloat(call: &Call<'_>) -> Done {
    let key = call.own_string(Mode::Write)?;
    let sum = float_sum(&key, call.word(2)?)?;
    key.put(&sum, None, true)?;
    let name = call.name(1)?;
    call.ctx.signal_modified(name);
    call.ctx.notify(Event::IncrByFloat, name);
    call.ctx.reply_bulk(&sum);
    // The result goes out, not the addition: another machine may round otherwise.
    if let Some(value) = call.ctx.string(&sum) {
        call.replicate_set(name, value.name(), &["KEEPTTL"]);
    }
    Ok(())
}

fn float_sum(key: &StringKey<'_>, more: &[u8]) -> Result<Vec<u8>, Fail> {
    let sum = key.look(|value| longdouble::add_floats(value.as_bytes(), more));
    match sum.unwrap_or_else(|| longdouble::add_floats(b"0", more)) {
        Ok(sum) => Ok(sum),
        Err(FloatError::Value | FloatError::Increment) => Err(Fail::NotFloat),
        Err(FloatError::NotFinite) => Err(Fail::text("increment would produce NaN or Infinity")),
    }
}
