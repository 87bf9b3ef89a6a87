//! SINTER, SUNION, SDIFF, and the three that store what they find.
//!
//! An intersection walks its smallest input, a difference its first one; both ask the others for
//! each member. What is stored becomes a NUMA set whatever lay there before, as the stock commands
//! make a stock set of it.

use super::super::{Call, Done, Fail};
use super::sources::Source;
use crate::redis::raw::{Event, KeyKind, Mode, Name, SetEvent};
use crate::value::{NumaSet, Value};
use std::collections::HashSet;

/// What is done with the inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Inter,
    Union,
    Diff,
}

impl Operation {
    fn event(self) -> SetEvent {
        match self {
            Self::Inter => SetEvent::InterStore,
            Self::Union => SetEvent::UnionStore,
            Self::Diff => SetEvent::DiffStore,
        }
    }
}

pub(super) fn sinter(call: &Call<'_>) -> Done {
    show(call, Operation::Inter)
}

pub(super) fn sunion(call: &Call<'_>) -> Done {
    show(call, Operation::Union)
}

pub(super) fn sdiff(call: &Call<'_>) -> Done {
    show(call, Operation::Diff)
}

pub(super) fn sinterstore(call: &Call<'_>) -> Done {
    store(call, Operation::Inter)
}

pub(super) fn sunionstore(call: &Call<'_>) -> Done {
    store(call, Operation::Union)
}

pub(super) fn sdiffstore(call: &Call<'_>) -> Done {
    store(call, Operation::Diff)
}

fn show(call: &Call<'_>, operation: Operation) -> Done {
    let found = found(&sources(call, 1, Mode::Read)?, operation);
    call.ctx.reply_set(found.len());
    let mut replies = call.ctx.replies();
    found.iter().for_each(|member| replies.bulk(member));
    Ok(())
}

/// Every input is looked up before any is refused: that is what hits and misses count.
fn sources<'c>(call: &Call<'c>, first: usize, mode: Mode) -> Result<Vec<Source<'c>>, Fail> {
    let names = call.args.names_from(first);
    names.map(|name| call.set_source(name, mode)).collect()
}

fn found(sources: &[Source<'_>], operation: Operation) -> Vec<Vec<u8>> {
    match operation {
        Operation::Inter => intersection(sources),
        Operation::Union => union(sources),
        Operation::Diff => difference(sources),
    }
}

fn intersection(sources: &[Source<'_>]) -> Vec<Vec<u8>> {
    let mut ordered: Vec<_> = sources.iter().collect();
    ordered.sort_by_key(|source| source.len());
    let Some((smallest, others)) = ordered.split_first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    smallest.each(&mut |member| {
        if others.iter().all(|other| other.contains(member)) {
            found.push(member.to_vec());
        }
    });
    found
}

fn union(sources: &[Source<'_>]) -> Vec<Vec<u8>> {
    let mut found = HashSet::new();
    for source in sources {
        source.each(&mut |member| {
            if !found.contains(member) {
                found.insert(member.to_vec());
            }
        });
    }
    found.into_iter().collect()
}

fn difference(sources: &[Source<'_>]) -> Vec<Vec<u8>> {
    let Some((first, others)) = sources.split_first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    first.each(&mut |member| {
        if !others.iter().any(|other| other.contains(member)) {
            found.push(member.to_vec());
        }
    });
    found
}

fn store(call: &Call<'_>, operation: Operation) -> Done {
    let name = call.name(1)?;
    let found = found(&sources(call, 2, Mode::Write)?, operation);
    if found.is_empty() {
        delete_target(call, name);
        call.ctx.reply_int(0);
        return Ok(());
    }
    let key = call.open::<NumaSet>(name, Mode::Write);
    let size = found.iter().map(Vec::len).sum();
    let pool = call.server.pool;
    let made = key.make(size, None, |order, heat| {
        let mut made = NumaSet::empty(pool, order, heat)?;
        for member in &found {
            made.insert(member, &[], order)?;
        }
        Ok(made)
    })?;
    key.adopt(made)?;
    key.key().set_expiry(None);
    drop(key);
    call.set_changed(name, operation.event(), false);
    call.replicate_verbatim();
    call.ctx.reply_count(found.len());
    Ok(())
}

fn delete_target(call: &Call<'_>, name: Name<'_>) {
    let key = call.ctx.open(name, Mode::Write);
    if key.kind() == KeyKind::Empty {
        return;
    }
    key.delete();
    drop(key);
    call.ctx.signal_modified(name);
    call.ctx.notify(Event::Del, name);
    call.replicate_verbatim();
}
