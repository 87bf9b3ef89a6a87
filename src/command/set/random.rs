//! SPOP and SRANDMEMBER.
//!
//! What was popped goes to replicas by name, as SREM: their dice would fall otherwise.

use super::super::args::positive;
use super::super::sample::Amount;
use super::super::{Call, Done, Fail};
use super::read::reply_all;
use super::SetKey;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Event, Mode, SetEvent};

/// Members of one SREM: no server takes commands of more than a million words.
const MEMBERS_PER_COMMAND: usize = 1024;

pub(super) fn srandmember(call: &Call<'_>) -> Done {
    match call.args.len() {
        2 => {}
        3 => return several(call),
        _ => return Err(Fail::Syntax),
    }
    let key = call.set(Mode::Read)?;
    let mut dice = call.server.dice();
    let replied = key.read(|set| {
        let found = set.random(&mut dice);
        call.ctx.reply_bulk(found.map_or(&[], |(member, _)| member));
    });
    if replied.is_none() {
        call.ctx.reply_null();
    }
    Ok(())
}

fn several(call: &Call<'_>) -> Done {
    let amount = Amount::parse(call.word(2)?)?;
    let key = call.set(Mode::Read)?;
    let head = |count| call.ctx.reply_array(count);
    let each = |member: &[u8], _: &[u8]| call.ctx.reply_bulk(member);
    match key.read(|set| amount.reply(call, set, head, each)) {
        None => call.ctx.reply_array(0),
        Some(done) => done?,
    }
    Ok(())
}

pub(super) fn spop(call: &Call<'_>) -> Done {
    match call.args.len() {
        2 => {}
        3 => return pop_several(call),
        _ => return Err(Fail::Syntax),
    }
    let key = call.set(Mode::Write)?;
    let mut dice = call.server.dice();
    let member = key.look(|set| set.random(&mut dice).map(|(member, _)| member.to_vec()));
    let Some(member) = member.flatten() else {
        call.ctx.reply_null();
        return Ok(());
    };
    take(call, &key, std::slice::from_ref(&member))?;
    call.ctx.reply_bulk(&member);
    Ok(())
}

fn pop_several(call: &Call<'_>) -> Done {
    let count = positive(call.word(2)?, "value is out of range, must be positive")?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let key = call.set(Mode::Write)?;
    let size = key.look(|set| set.len()).unwrap_or(0);
    if count == 0 || key.holds() == Holds::Nothing {
        call.ctx.reply_set(0);
        return Ok(());
    }
    if count >= size {
        return pop_all(call, &key);
    }
    let mut dice = call.server.dice();
    let members = key.look(|set| {
        let found = set.sample(count, &mut dice).into_iter();
        found.map(|(member, _)| member.to_vec()).collect::<Vec<_>>()
    });
    let members = members.unwrap_or_default();
    take(call, &key, &members)?;
    call.ctx.reply_set(members.len());
    let mut replies = call.ctx.replies();
    members.iter().for_each(|member| replies.bulk(member));
    Ok(())
}

fn pop_all(call: &Call<'_>, key: &SetKey<'_>) -> Done {
    let name = call.name(1)?;
    key.look(|set| reply_all(call, set));
    key.key().delete();
    call.ctx.notify(Event::Members(SetEvent::Pop), name);
    call.ctx.notify(Event::Del, name);
    call.ctx.signal_modified(name);
    call.ctx.replicate(c"DEL", &[name]);
    Ok(())
}

/// Takes these members out of the set.
fn take(call: &Call<'_>, key: &SetKey<'_>, members: &[Vec<u8>]) -> Done {
    let taken = key.edit(|set, order| {
        for member in members {
            set.remove(member, order);
        }
        Ok(set.is_empty())
    });
    let emptied = taken.ok_or_else(Fail::busy)??;
    if emptied {
        key.key().delete();
    }
    let name = call.name(1)?;
    call.set_changed(name, SetEvent::Pop, emptied);
    for some in members.chunks(MEMBERS_PER_COMMAND) {
        let words: Vec<_> = some
            .iter()
            .filter_map(|member| call.ctx.string(member))
            .collect();
        let mut all = vec![name];
        all.extend(words.iter().map(|word| word.name()));
        call.ctx.replicate(c"NUMA.SREM", &all);
    }
    Ok(())
}
