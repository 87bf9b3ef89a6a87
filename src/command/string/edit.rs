//! APPEND and SETRANGE: changes of a part of the value.

use super::super::args::integer;
use super::super::{Call, Done, Fail};
use crate::redis::raw::{Event, Mode};
use crate::redis::string_key::StringKey;

pub(in crate::command) fn append(call: &Call<'_>) -> Done {
    let node = call.trailing_node(3)?;
    let key = call.own_string(Mode::Write)?;
    let more = call.word(2)?;
    let size = key.look(|value| value.len()).unwrap_or(0);
    if size > 0 {
        call.check_length(size, more.len())?;
    }
    let grown = key.edit(|value, order| {
        value.append(more, order)?;
        Ok(value.len())
    });
    let len = match grown {
        Some(len) => len?,
        None => {
            key.put(more, node, false)?;
            more.len()
        }
    };
    done(call, &key, Event::Append, 3)?;
    call.ctx.reply_count(len);
    Ok(())
}

pub(in crate::command) fn setrange(call: &Call<'_>) -> Done {
    let node = call.trailing_node(4)?;
    let offset = integer(call.word(2)?)?;
    let offset = usize::try_from(offset).map_err(|_| Fail::text("offset is out of range"))?;
    let key = call.own_string(Mode::Write)?;
    let piece = call.word(3)?;
    let size = key.look(|value| value.len()).unwrap_or(0);
    if piece.is_empty() {
        call.ctx.reply_count(size);
        return Ok(());
    }
    call.check_length(offset, piece.len())?;
    let changed = key.edit(|value, order| {
        value.set_range(offset, piece, order)?;
        Ok(value.len())
    });
    let len = match changed {
        Some(len) => len?,
        None => key.put_padded(offset, piece, node)?,
    };
    done(call, &key, Event::SetRange, 4)?;
    call.ctx.reply_count(len);
    Ok(())
}

/// What follows every change: watchers, the event, replicas (without `NODE`, which is ours).
fn done(call: &Call<'_>, _key: &StringKey<'_>, event: Event, words: usize) -> Done {
    let name = call.name(1)?;
    call.ctx.signal_modified(name);
    call.ctx.notify(event, name);
    call.replicate_first(words);
    Ok(())
}
