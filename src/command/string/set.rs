//! SET and its family: SETNX, SETEX, PSETEX, GETSET, MSET, MSETNX.

use super::super::args::is;
use super::super::{Call, Done, Fail};
use super::expiry::{Deadline, Unit};
use crate::ids::NodeId;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{c_text, Event, Mode, Name};
use crate::redis::string_key::StringKey;

/// Whether the key must be absent or present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Only {
    #[default]
    Always,
    IfAbsent,
    IfPresent,
}

/// The options of SET.
#[derive(Default)]
struct Options<'c> {
    only: Only,
    get: bool,
    keep_ttl: bool,
    deadline: Option<(Unit, Name<'c>)>,
    node: Option<NodeId>,
    /// Whether the words must not go to replicas as they came.
    rewrite: bool,
}

impl<'c> Options<'c> {
    /// Reads the words from 3 on; which exclude each other is as in the stock command.
    fn parse(call: &Call<'c>) -> Result<Self, Fail> {
        let mut options = Self::default();
        let mut words = call.args.names_from(3);
        while let Some(word) = words.next() {
            options.take(call, word.bytes(), &mut words)?;
        }
        Ok(options)
    }

    fn take(
        &mut self,
        call: &Call<'c>,
        word: &[u8],
        rest: &mut impl Iterator<Item = Name<'c>>,
    ) -> Result<(), Fail> {
        let unit = Unit::named(word);
        if is(word, "NX") && self.only != Only::IfPresent && !self.get {
            self.only = Only::IfAbsent;
        } else if is(word, "XX") && self.only != Only::IfAbsent {
            self.only = Only::IfPresent;
        } else if is(word, "GET") && self.only != Only::IfAbsent {
            (self.get, self.rewrite) = (true, true);
        } else if is(word, "KEEPTTL") && self.deadline.is_none() {
            self.keep_ttl = true;
        } else if is(word, "NODE") && !call.plain {
            let node = rest.next().ok_or(Fail::Syntax)?;
            (self.node, self.rewrite) = (call.node_hint(node.bytes())?, true);
        } else if let Some(unit) = unit.filter(|unit| self.takes(*unit)) {
            self.deadline = Some((unit, rest.next().ok_or(Fail::Syntax)?));
        } else {
            return Err(Fail::Syntax);
        }
        Ok(())
    }

    /// A unit may come again, but not with another one or with KEEPTTL.
    fn takes(&self, unit: Unit) -> bool {
        !self.keep_ttl && self.deadline.is_none_or(|(had, _)| had == unit)
    }
}

pub(in crate::command) fn set(call: &Call<'_>) -> Done {
    if call.args.len() == 3 {
        return set_plainly(call);
    }
    let options = Options::parse(call)?;
    let deadline = match options.deadline {
        Some((unit, word)) => Some(Deadline::parse(unit, word.bytes(), "numa.set")?),
        None => None,
    };
    let key = call.string_key(1, Mode::Write)?;
    let allowed = match options.only {
        Only::Always => true,
        Only::IfAbsent => key.holds() == Holds::Nothing,
        Only::IfPresent => key.holds() != Holds::Nothing,
    };
    if !allowed {
        call.ctx.reply_null();
        return Ok(());
    }
    let old = if options.get {
        Some(old_value(&call.own_string_after_read()?))
    } else {
        None
    };
    key.put(call.word(2)?, options.node, options.keep_ttl)?;
    finish_set(call, &key, deadline, &options)?;
    match old {
        None => call.ctx.reply_ok(),
        Some(None) => call.ctx.reply_null(),
        Some(Some(old)) => call.ctx.reply_bulk(&old),
    }
    Ok(())
}

/// Without options nothing is read before it is written over.
fn set_plainly(call: &Call<'_>) -> Done {
    let key = call.string_key(1, Mode::Write)?;
    key.put(call.word(2)?, None, false)?;
    drop(key);
    call.after_plain_set(3)?;
    call.ctx.reply_ok();
    Ok(())
}

/// A copy of what lies there: the reply can only be sent once nothing can fail any more.
fn old_value(key: &StringKey<'_>) -> Option<Vec<u8>> {
    key.look(|value| value.as_bytes().to_vec())
}

/// What follows a SET: time to live, watchers, events, replicas. An expiry goes out as a moment,
/// not as a span, so that a late replica or a restart does not lengthen it.
fn finish_set(
    call: &Call<'_>,
    key: &StringKey<'_>,
    deadline: Option<Deadline>,
    options: &Options<'_>,
) -> Done {
    let (name, value) = (call.name(1)?, call.name(2)?);
    call.ctx.signal_modified(name);
    // Before the event: a subscriber may delete the key, which the server takes amiss here.
    if let Some(deadline) = deadline {
        key.key().set_expiry(Some(deadline.at_ms));
    }
    call.ctx.notify(Event::Set, name);
    match deadline {
        Some(deadline) => {
            call.ctx.notify(Event::Expire, name);
            call.replicate_set(name, value, &["PXAT", &deadline.at_ms.to_string()]);
        }
        None if !options.rewrite => call.replicate_verbatim(),
        None if options.keep_ttl => call.replicate_set(name, value, &["KEEPTTL"]),
        None => call.replicate_set(name, value, &[]),
    }
    Ok(())
}

impl Call<'_> {
    /// Sends `NUMA.SET key value words...` to replicas and the AOF.
    pub(super) fn replicate_set(&self, key: Name<'_>, value: Name<'_>, words: &[&str]) {
        let more: Vec<_> = words
            .iter()
            .filter_map(|word| self.ctx.string(word.as_bytes()))
            .collect();
        let mut all = vec![key, value];
        all.extend(more.iter().map(|word| word.name()));
        self.ctx.replicate(c"NUMA.SET", &all);
    }

    /// Sends the command's first `words` words: all but `NODE`, which is for this machine alone.
    #[inline]
    pub(super) fn replicate_first(&self, words: usize) {
        if self.args.len() == words {
            return self.replicate_verbatim();
        }
        self.replicate_words(words);
    }

    fn replicate_words(&self, words: usize) {
        let all: Vec<_> = self
            .args
            .names_from(1)
            .take(words.saturating_sub(1))
            .collect();
        if let Some(command) = self.args.bytes(0) {
            self.ctx.replicate(&c_text(command), &all);
        }
    }
}

pub(in crate::command) fn setnx(call: &Call<'_>) -> Done {
    let node = call.trailing_node(3)?;
    let key = call.string_key(1, Mode::Write)?;
    if key.holds() != Holds::Nothing {
        call.ctx.reply_int(0);
        return Ok(());
    }
    key.put(call.word(2)?, node, false)?;
    call.after_plain_set(3)?;
    call.ctx.reply_int(1);
    Ok(())
}

pub(in crate::command) fn setex(call: &Call<'_>) -> Done {
    set_with_expiry(call, Unit::Seconds, "numa.setex")
}

pub(in crate::command) fn psetex(call: &Call<'_>) -> Done {
    set_with_expiry(call, Unit::Milliseconds, "numa.psetex")
}

fn set_with_expiry(call: &Call<'_>, unit: Unit, command: &str) -> Done {
    let node = call.trailing_node(4)?;
    let deadline = Deadline::parse(unit, call.word(2)?, command)?;
    let key = call.string_key(1, Mode::Write)?;
    let (name, value) = (call.name(1)?, call.name(3)?);
    key.put(value.bytes(), node, false)?;
    key.key().set_expiry(Some(deadline.at_ms));
    call.ctx.signal_modified(name);
    call.ctx.notify(Event::Set, name);
    call.ctx.notify(Event::Expire, name);
    call.replicate_set(name, value, &["PXAT", &deadline.at_ms.to_string()]);
    call.ctx.reply_ok();
    Ok(())
}

pub(in crate::command) fn getset(call: &Call<'_>) -> Done {
    let node = call.trailing_node(3)?;
    let key = call.own_string_after_read()?;
    let old = old_value(&key);
    key.put(call.word(2)?, node, false)?;
    let (name, value) = (call.name(1)?, call.name(2)?);
    call.ctx.signal_modified(name);
    call.ctx.notify(Event::Set, name);
    call.replicate_set(name, value, &[]);
    match old {
        Some(old) => call.ctx.reply_bulk(&old),
        None => call.ctx.reply_null(),
    }
    Ok(())
}

impl Call<'_> {
    /// What follows a SET without options.
    #[inline]
    fn after_plain_set(&self, words: usize) -> Done {
        let name = self.name(1)?;
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::Set, name);
        self.replicate_first(words);
        Ok(())
    }
}

pub(in crate::command) fn mset(call: &Call<'_>) -> Done {
    check_pairs(call)?;
    set_pairs(call)?;
    call.ctx.reply_ok();
    Ok(())
}

pub(in crate::command) fn msetnx(call: &Call<'_>) -> Done {
    check_pairs(call)?;
    let taken = |name| call.open_string(name, Mode::Write).holds() != Holds::Nothing;
    if call.args.names_from(1).step_by(2).any(taken) {
        call.ctx.reply_int(0);
        return Ok(());
    }
    set_pairs(call)?;
    call.ctx.reply_int(1);
    Ok(())
}

fn check_pairs(call: &Call<'_>) -> Done {
    if call.args.len().is_multiple_of(2) {
        return Err(Fail::text("wrong number of arguments for MSET"));
    }
    Ok(())
}

/// Sets all pairs or none: what takes memory is made before the first pair is put in place. Events
/// come last, for whoever hears one may do what he likes with the keys.
fn set_pairs(call: &Call<'_>) -> Done {
    let mut made = Vec::with_capacity(call.args.len() / 2);
    let mut words = call.args.names_from(1);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let key = call.open_string(name, Mode::Write);
        let bytes = value.bytes();
        made.push((key.prepare(bytes)?, key, bytes));
    }
    for (mut made, key, bytes) in made {
        // Only where nothing had to be made can it fail, and not for a limit any more.
        call.whole(true, || key.put_prepared(bytes, made.take()))?;
        call.ctx.signal_modified(key.name());
    }
    for name in call.args.names_from(1).step_by(2) {
        call.ctx.notify(Event::Set, name);
    }
    call.replicate_verbatim();
    Ok(())
}
