//! HRANDFIELD.

use super::super::args::is;
use super::super::sample::{Amount, COUNT_MAX};
use super::super::{Call, Done, Fail};
use crate::redis::raw::Mode;
use crate::value::NumaHash;

pub(super) fn hrandfield(call: &Call<'_>) -> Done {
    if call.args.len() > 2 {
        return several(call);
    }
    let key = call.hash(Mode::Read)?;
    let mut dice = call.server.dice();
    let replied = key.read(|hash| {
        let found = hash.random(&mut dice);
        call.ctx.reply_bulk(found.map_or(&[], |(field, _)| field));
    });
    if replied.is_none() {
        call.ctx.reply_null();
    }
    Ok(())
}

fn several(call: &Call<'_>) -> Done {
    let amount = Amount::parse(call.word(2)?)?;
    let with_values = match call.args.len() {
        3 => false,
        4 if is(call.word(3)?, "WITHVALUES") => true,
        _ => return Err(Fail::Syntax),
    };
    if with_values && amount.asked > COUNT_MAX / 2 {
        return Err(Fail::text("value is out of range"));
    }
    let key = call.hash(Mode::Read)?;
    let replied = key.read(|hash| reply(call, hash, &amount, with_values));
    match replied {
        None => call.ctx.reply_array(0),
        Some(done) => done?,
    }
    Ok(())
}

fn reply(call: &Call<'_>, hash: &NumaHash, amount: &Amount, with_values: bool) -> Done {
    // RESP3 pairs a field with its value; RESP2 writes one after the other.
    let paired = with_values && call.ctx.resp3();
    let fields = if with_values && !paired { 2 } else { 1 };
    let head = |count: usize| call.ctx.reply_array(count * fields);
    amount.reply(call, hash, head, |field, value| {
        if paired {
            call.ctx.reply_array(2);
        }
        call.ctx.reply_bulk(field);
        if with_values {
            call.ctx.reply_bulk(value);
        }
    })
}
