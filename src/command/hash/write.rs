//! HSET and its family, HDEL.

use super::super::{Call, Done, Fail};
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Event, HashEvent, Mode};
use crate::value::table::Inserted;

pub(super) fn hset(call: &Call<'_>) -> Done {
    let created = set_pairs(call)?;
    call.ctx.reply_count(created);
    Ok(())
}

pub(super) fn hmset(call: &Call<'_>) -> Done {
    set_pairs(call)?;
    call.ctx.reply_ok();
    Ok(())
}

/// Sets all fields or none; how many are new.
fn set_pairs(call: &Call<'_>) -> Result<usize, Fail> {
    if !call.args.len().is_multiple_of(2) {
        return Err(Fail::Arity);
    }
    let key = call.hash(Mode::Write)?;
    let words = || call.args.names_from(2).map(|word| word.bytes());
    let size = words().map(<[u8]>::len).sum();
    let created = key.edit_or_create(size, |hash, order| {
        let (mut words, mut created, mut begun) = (words(), 0, false);
        while let (Some(field), Some(value)) = (words.next(), words.next()) {
            let set = || hash.insert(field, value, order);
            created += usize::from(call.whole(begun, set)? == Inserted::New);
            begun = true;
        }
        Ok(created)
    })?;
    call.hash_changed(HashEvent::Set)?;
    call.replicate_verbatim();
    Ok(created)
}

pub(super) fn hsetnx(call: &Call<'_>) -> Done {
    let key = call.hash(Mode::Write)?;
    let (field, value) = (call.word(2)?, call.word(3)?);
    if key.look(|hash| hash.contains(field)) == Some(true) {
        call.ctx.reply_int(0);
        return Ok(());
    }
    let size = field.len() + value.len();
    key.edit_or_create(size, |hash, order| hash.insert(field, value, order))?;
    call.hash_changed(HashEvent::Set)?;
    call.replicate_verbatim();
    call.ctx.reply_int(1);
    Ok(())
}

pub(super) fn hdel(call: &Call<'_>) -> Done {
    let key = call.hash(Mode::Write)?;
    if key.holds() == Holds::Nothing {
        call.ctx.reply_int(0);
        return Ok(());
    }
    let fields = call.args.names_from(2).map(|word| word.bytes());
    let done = key.edit(|hash, order| {
        let deleted = fields.filter(|field| hash.remove(field, order)).count();
        Ok((deleted, hash.is_empty()))
    });
    let (deleted, emptied) = done.ok_or_else(Fail::busy)??;
    if emptied {
        key.key().delete();
    }
    if deleted > 0 {
        call.hash_changed(HashEvent::Del)?;
        if emptied {
            call.ctx.notify(Event::Del, call.name(1)?);
        }
        call.replicate_verbatim();
    }
    call.ctx.reply_count(deleted);
    Ok(())
}
