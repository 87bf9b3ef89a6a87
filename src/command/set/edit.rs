//! SADD, SREM, SMOVE.

use super::super::{Call, Done, Fail};
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Mode, SetEvent};
use crate::value::table::Inserted;

pub(super) fn sadd(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Write)?;
    let members = || call.args.names_from(2).map(|word| word.bytes());
    let size = members().map(<[u8]>::len).sum();
    let added = key.edit_or_create(size, |set, order| {
        let mut added = 0;
        for member in members() {
            let add = || set.insert(member, &[], order);
            added += usize::from(call.whole(added > 0, add)? == Inserted::New);
        }
        Ok(added)
    })?;
    if added > 0 {
        call.set_changed(call.name(1)?, SetEvent::Add, false);
        call.replicate_verbatim();
    }
    call.ctx.reply_count(added);
    Ok(())
}

pub(super) fn srem(call: &Call<'_>) -> Done {
    let key = call.set(Mode::Write)?;
    if key.holds() == Holds::Nothing {
        call.ctx.reply_int(0);
        return Ok(());
    }
    let members = call.args.names_from(2).map(|word| word.bytes());
    let done = key.edit(|set, order| {
        let removed = members.filter(|member| set.remove(member, order)).count();
        Ok((removed, set.is_empty()))
    });
    let (removed, emptied) = done.ok_or_else(Fail::busy)??;
    if emptied {
        key.key().delete();
    }
    if removed > 0 {
        call.set_changed(call.name(1)?, SetEvent::Rem, emptied);
        call.replicate_verbatim();
    }
    call.ctx.reply_count(removed);
    Ok(())
}

pub(super) fn smove(call: &Call<'_>) -> Done {
    let (source_name, target_name) = (call.name(1)?, call.name(2)?);
    let member = call.word(3)?;
    let source = call.open::<crate::value::NumaSet>(source_name, Mode::Write);
    if source.holds() == Holds::Nothing {
        call.ctx.reply_int(0);
        return Ok(());
    }
    let target = call.open::<crate::value::NumaSet>(target_name, Mode::Write);
    if source.holds() == Holds::Other || target.holds() == Holds::Other {
        return Err(Fail::WrongType);
    }
    let there = source.look(|set| set.contains(member)).unwrap_or(false);
    if source_name.bytes() == target_name.bytes() || !there {
        call.ctx.reply_int(there.into());
        return Ok(());
    }
    // First into the target, which may fail for memory, then out of the source, which may not.
    let met = target.edit_or_create(member.len(), |set, order| set.insert(member, &[], order))?;
    drop(target);
    let emptied = source.edit(|set, order| {
        set.remove(member, order);
        Ok(set.is_empty())
    });
    let emptied = emptied.ok_or_else(Fail::busy)??;
    if emptied {
        source.key().delete();
    }
    call.set_changed(source_name, SetEvent::Rem, emptied);
    if met == Inserted::New {
        call.set_changed(target_name, SetEvent::Add, false);
    }
    call.replicate_verbatim();
    call.ctx.reply_int(1);
    Ok(())
}
