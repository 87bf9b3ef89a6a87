//! HINCRBY and HINCRBYFLOAT.

use super::super::args::integer;
use super::super::{Call, Done, Fail};
use crate::redis::raw::{HashEvent, Mode};
use crate::value::longdouble::{add_floats, FloatError};
use crate::value::number::parse_integer;

pub(super) fn hincrby(call: &Call<'_>) -> Done {
    let more = integer(call.word(3)?)?;
    let key = call.hash(Mode::Write)?;
    let field = call.word(2)?;
    let old = key
        .look(|hash| hash.get(field).map(parse_integer))
        .flatten();
    let old = match old {
        None => 0,
        Some(old) => old.ok_or_else(|| Fail::text("hash value is not an integer"))?,
    };
    let overflow = || Fail::text("increment or decrement would overflow");
    let sum = old.checked_add(more).ok_or_else(overflow)?;
    let text = sum.to_string();
    key.edit_or_create(field.len() + text.len(), |hash, order| {
        hash.insert(field, text.as_bytes(), order)
    })?;
    call.hash_changed(HashEvent::IncrBy)?;
    call.replicate_verbatim();
    call.ctx.reply_int(sum);
    Ok(())
}

pub(super) fn hincrbyfloat(call: &Call<'_>) -> Done {
    let more = call.word(3)?;
    match add_floats(b"0", more) {
        Ok(_) => {}
        Err(FloatError::NotFinite) => return Err(Fail::text("value is NaN or Infinity")),
        Err(FloatError::Value | FloatError::Increment) => return Err(Fail::NotFloat),
    }
    let key = call.hash(Mode::Write)?;
    let field = call.word(2)?;
    let sum = key.look(|hash| hash.get(field).map(|old| add_floats(old, more)));
    let sum = match sum.flatten().unwrap_or_else(|| add_floats(b"0", more)) {
        Ok(sum) => sum,
        Err(FloatError::NotFinite) => {
            return Err(Fail::text("increment would produce NaN or Infinity"));
        }
        Err(FloatError::Value | FloatError::Increment) => {
            return Err(Fail::text("hash value is not a float"));
        }
    };
    key.edit_or_create(field.len() + sum.len(), |hash, order| {
        hash.insert(field, &sum, order)
    })?;
    call.hash_changed(HashEvent::IncrByFloat)?;
    call.ctx.reply_bulk(&sum);
    // The result goes out, not the addition: another machine may round otherwise.
    if let Some(value) = call.ctx.string(&sum) {
        let words = [call.name(1)?, call.name(2)?, value.name()];
        call.ctx.replicate(c"NUMA.HSET", &words);
    }
    Ok(())
}
