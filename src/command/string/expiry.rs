//! Times to live: GETEX and GETDEL, and how every command reads a deadline.

use super::super::args::{integer, is};
use super::super::{Call, Done, Fail};
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Ctx, Event, Name};

/// In which unit, from when, a deadline is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl Unit {
    /// The unit of an option's name.
    pub(super) fn named(word: &[u8]) -> Option<Self> {
        let all = [
            ("EX", Self::Seconds),
            ("PX", Self::Milliseconds),
            ("EXAT", Self::UnixSeconds),
            ("PXAT", Self::UnixMilliseconds),
        ];
        all.into_iter()
            .find(|(name, _)| is(word, name))
            .map(|(_, unit)| unit)
    }

    fn in_seconds(self) -> bool {
        matches!(self, Self::Seconds | Self::UnixSeconds)
    }

    fn absolute(self) -> bool {
        matches!(self, Self::UnixSeconds | Self::UnixMilliseconds)
    }
}

/// A moment in ms since 1970; it may lie in the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Deadline {
    pub(super) at_ms: i64,
}

impl Deadline {
    /// Reads a deadline as the stock commands do: positive, and countable in ms.
    pub(super) fn parse(unit: Unit, word: &[u8], command: &str) -> Result<Self, Fail> {
        Self::from_amount(unit, integer(word)?, Ctx::unix_ms())
            .ok_or_else(|| Fail::invalid_expire(command))
    }

    fn from_amount(unit: Unit, amount: i64, now_ms: i64) -> Option<Self> {
        let scale = if unit.in_seconds() { 1000 } else { 1 };
        let amount_ms = Some(amount)
            .filter(|amount| *amount > 0)?
            .checked_mul(scale)?;
        let base = if unit.absolute() { 0 } else { now_ms };
        base.checked_add(amount_ms).map(|at_ms| Self { at_ms })
    }
}

/// What GETEX does to the time to live.
enum Change {
    Nothing,
    Persist,
    Until(Unit, Deadline),
}

pub(in crate::command) fn getex(call: &Call<'_>) -> Done {
    let option = getex_option(call)?;
    let key = call.own_string_after_read()?;
    if key.holds() == Holds::Nothing {
        call.ctx.reply_null();
        return Ok(());
    }
    let change = match option {
        Asked::Nothing => Change::Nothing,
        Asked::Persist => Change::Persist,
        Asked::Until(unit, word) => {
            Change::Until(unit, Deadline::parse(unit, word.bytes(), "numa.getex")?)
        }
    };
    let name = call.name(1)?;
    key.read(|value| call.ctx.reply_bulk(value.as_bytes()));
    match change {
        Change::Until(unit, deadline) if unit.absolute() && call.has_passed(deadline) => {
            key.key().delete();
            call.deleted(name);
        }
        Change::Until(_, deadline) => {
            key.key().set_expiry(Some(deadline.at_ms));
            call.ctx.signal_modified(name);
            call.ctx.notify(Event::Expire, name);
            call.replicate_expiry(name, deadline);
        }
        Change::Persist if key.key().expires_at().is_some() => {
            key.key().set_expiry(None);
            call.ctx.signal_modified(name);
            call.ctx.notify(Event::Persist, name);
            call.ctx.replicate(c"PERSIST", &[name]);
        }
        Change::Persist | Change::Nothing => {}
    }
    Ok(())
}

/// What the words of a GETEX ask for.
enum Asked<'c> {
    Nothing,
    Persist,
    Until(Unit, Name<'c>),
}

fn getex_option<'c>(call: &Call<'c>) -> Result<Asked<'c>, Fail> {
    let mut asked = Asked::Nothing;
    let mut words = call.args.names_from(2);
    while let Some(word) = words.next() {
        asked = match (asked, Unit::named(word.bytes())) {
            (Asked::Nothing, Some(unit)) => Asked::Until(unit, words.next().ok_or(Fail::Syntax)?),
            (Asked::Until(had, _), Some(unit)) if had == unit => {
                Asked::Until(unit, words.next().ok_or(Fail::Syntax)?)
            }
            (Asked::Nothing | Asked::Persist, None) if is(word.bytes(), "PERSIST") => {
                Asked::Persist
            }
            _ => return Err(Fail::Syntax),
        };
    }
    Ok(asked)
}

pub(in crate::command) fn getdel(call: &Call<'_>) -> Done {
    let key = call.own_string_after_read()?;
    let name = call.name(1)?;
    if key
        .look(|value| call.ctx.reply_bulk(value.as_bytes()))
        .is_none()
    {
        call.ctx.reply_null();
        return Ok(());
    }
    key.key().delete();
    call.deleted(name);
    Ok(())
}

impl Call<'_> {
    /// What follows a deletion.
    fn deleted(&self, name: Name<'_>) {
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::Del, name);
        self.ctx.replicate(c"DEL", &[name]);
    }

    /// Whether a deadline lies in the past; a replica or a loading server leaves that to the
    /// master's DEL.
    fn has_passed(&self, deadline: Deadline) -> bool {
        let flags = self.ctx.flags();
        deadline.at_ms <= Ctx::unix_ms() && !flags.loading() && !flags.replica()
    }

    fn replicate_expiry(&self, name: Name<'_>, deadline: Deadline) {
        if let Some(at) = self.ctx.string(deadline.at_ms.to_string().as_bytes()) {
            self.ctx.replicate(c"PEXPIREAT", &[name, at.name()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_that_cannot_be_counted_are_refused() {
        let at = |unit, amount| Deadline::from_amount(unit, amount, 1_000).map(|d| d.at_ms);
        assert_eq!(at(Unit::Seconds, 2), Some(3_000));
        assert_eq!(at(Unit::Milliseconds, 2), Some(1_002));
        assert_eq!(at(Unit::UnixSeconds, 2), Some(2_000));
        assert_eq!(at(Unit::UnixMilliseconds, 2), Some(2));
        assert_eq!(at(Unit::Seconds, 0), None);
        assert_eq!(at(Unit::Seconds, -1), None);
        assert_eq!(at(Unit::Seconds, i64::MAX / 1000 + 1), None);
        assert_eq!(at(Unit::Milliseconds, i64::MAX), None);
    }
}
