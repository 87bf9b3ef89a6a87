//! GET, MGET, STRLEN, GETRANGE and its old name SUBSTR.

use super::super::args::integer;
use super::super::{Call, Done};
use crate::migrate::Kind;
use crate::redis::raw::{KeyKind, Mode, Name};
use crate::value::string::clip_range;

pub(in crate::command) fn get(call: &Call<'_>) -> Done {
    let key = call.own_string(Mode::Read)?;
    if key
        .read(|value| call.ctx.reply_bulk(value.as_bytes()))
        .is_none()
    {
        call.ctx.reply_null();
    }
    Ok(())
}

pub(in crate::command) fn mget(call: &Call<'_>) -> Done {
    call.ctx.reply_array(call.args.len() - 1);
    for name in call.args.names_from(1) {
        // Who wrote the plain name means native strings too.
        let native = call.plain && is_native_string(call, name);
        let bytes = native.then(|| call.ctx.native_bytes(name)).flatten();
        match bytes {
            Some(bytes) => call.ctx.reply_bulk(&bytes),
            None => reply_own(call, name),
        }
    }
    Ok(())
}

fn is_native_string(call: &Call<'_>, name: Name<'_>) -> bool {
    let key = call.open_string(name, Mode::Quiet);
    key.any().kind() == KeyKind::Native(Kind::String)
}

/// Replies a NUMA string, null for whatever else: one look, which counts as stock's does.
fn reply_own(call: &Call<'_>, name: Name<'_>) {
    let key = call.open_string(name, Mode::Read);
    let replied = key.read(|value| call.ctx.reply_bulk(value.as_bytes()));
    if replied.is_none() {
        call.ctx.reply_null();
    }
}

pub(in crate::command) fn strlen(call: &Call<'_>) -> Done {
    let key = call.own_string(Mode::Read)?;
    call.ctx
        .reply_count(key.read(|value| value.len()).unwrap_or(0));
    Ok(())
}

pub(in crate::command) fn getrange(call: &Call<'_>) -> Done {
    let (start, end) = (integer(call.word(2)?)?, integer(call.word(3)?)?);
    let key = call.own_string(Mode::Read)?;
    let reply = |bytes: &[u8]| {
        call.ctx.reply_bulk(
            bytes
                .get(clip_range(bytes.len(), start, end))
                .unwrap_or(&[]),
        )
    };
    if key.read(|value| reply(value.as_bytes())).is_none() {
        reply(&[]);
    }
    Ok(())
}
