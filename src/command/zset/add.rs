//! ZADD with every option, and ZINCRBY.

use super::super::args::is;
use super::super::{Call, Done, Fail};
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Mode, ZsetEvent};
use crate::value::zset::Scored;
use crate::value::{double, NumaZset};

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
struct Options {
    only_new: bool,
    only_there: bool,
    greater: bool,
    less: bool,
    increment: bool,
    count_changes: bool,
}

impl Options {
    /// Reads the options; the index of the first score.
    fn parse(call: &Call<'_>) -> Result<(Self, usize), Fail> {
        let (mut options, mut at) = (Self::default(), 2);
        while let Some(word) = call.args.bytes(at) {
            let option = match word {
                word if is(word, "NX") => &mut options.only_new,
                word if is(word, "XX") => &mut options.only_there,
                word if is(word, "CH") => &mut options.count_changes,
                word if is(word, "INCR") => &mut options.increment,
                word if is(word, "GT") => &mut options.greater,
                word if is(word, "LT") => &mut options.less,
                _ => break,
            };
            *option = true;
            at += 1;
        }
        Ok((options, at))
    }

    fn check(self, words: usize) -> Done {
        if words == 0 || !words.is_multiple_of(2) {
            return Err(Fail::Syntax);
        }
        if self.only_new && self.only_there {
            return Err(Fail::text(
                "XX and NX options at the same time are not compatible",
            ));
        }
        let ordered = self.greater || self.less;
        if (ordered && self.only_new) || (self.greater && self.less) {
            return Err(Fail::text(
                "GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if self.increment && words > 2 {
            return Err(Fail::text(
                "INCR option supports a single increment-element pair",
            ));
        }
        Ok(())
    }

    /// Whether a member gets what is given, whatever score it has.
    fn ignores_old(self) -> bool {
        let Self {
            only_new,
            only_there,
            greater,
            less,
            increment,
            ..
        } = self;
        !(only_new || only_there || greater || less || increment)
    }

    /// The score that a member with this one gets; nothing where the options keep it as it is.
    fn new_score(self, old: Option<f64>, given: f64) -> Option<f64> {
        let Some(old) = old else {
            return (!self.only_there).then_some(given);
        };
        if self.only_new {
            return None;
        }
        let new = if self.increment { old + given } else { given };
        let kept = (self.less && new >= old) || (self.greater && new <= old);
        (!kept).then_some(new)
    }
}

/// What a call has done.
#[derive(Default)]
struct Outcome {
    added: u64,
    changed: u64,
    /// The last score that was looked at; nothing where the options kept all.
    score: Option<f64>,
    not_a_number: bool,
}

pub(super) fn zadd(call: &Call<'_>) -> Done {
    let (options, first) = Options::parse(call)?;
    run(call, options, first)
}

pub(super) fn zincrby(call: &Call<'_>) -> Done {
    let options = Options {
        increment: true,
        ..Options::default()
    };
    run(call, options, 2)
}

fn run(call: &Call<'_>, options: Options, first: usize) -> Done {
    options.check(call.args.len() - first)?;
    let pairs = pairs(call, first)?;
    let key = call.zset(1, Mode::Write)?;
    let outcome = if key.holds() == Holds::Nothing && options.only_there {
        Outcome::default()
    } else {
        let size = pairs.iter().map(|(_, member)| member.len() + 16).sum();
        key.edit_or_create(size, |set, order| {
            set_all(call, set, options, &pairs, order)
        })?
    };
    drop(key);
    if outcome.not_a_number {
        return Err(Fail::text("resulting score is not a number (NaN)"));
    }
    reply(call, options, &outcome);
    if outcome.added + outcome.changed > 0 {
        return call.zset_changed(match options.increment {
            true => ZsetEvent::Incr,
            false => ZsetEvent::Add,
        });
    }
    Ok(())
}

fn pairs<'c>(call: &Call<'c>, first: usize) -> Result<Vec<(f64, &'c [u8])>, Fail> {
    let at = (first..call.args.len()).step_by(2);
    at.map(|at| {
        let score = double::parse(call.word(at)?).ok_or(Fail::NotFloat)?;
        Ok((score, call.word(at + 1)?))
    })
    .collect()
}

fn reply(call: &Call<'_>, options: Options, outcome: &Outcome) {
    match (options.increment, outcome.score) {
        (true, Some(score)) => call.ctx.reply_double(score),
        (true, None) => call.ctx.reply_null(),
        (false, _) if options.count_changes => {
            call.ctx.reply_count(outcome.added + outcome.changed);
        }
        (false, _) => call.ctx.reply_count(outcome.added),
    }
}

/// Sets all scores or none.
fn set_all(
    call: &Call<'_>,
    set: &mut NumaZset,
    options: Options,
    pairs: &[(f64, &[u8])],
    order: &[NodeId],
) -> Result<Outcome, OutOfMemory> {
    let (mut outcome, mut done) = (Outcome::default(), Vec::new());
    for (given, member) in pairs {
        let new = match options.ignores_old() {
            true => Some(*given),
            false => options.new_score(set.score(member), *given),
        };
        let Some(new) = new else {
            continue;
        };
        if new.is_nan() {
            outcome.not_a_number = true;
            break;
        }
        outcome.score = Some(new);
        let old = match set.set(member, new, order) {
            Ok(Scored::Added) => None,
            Ok(Scored::Changed(old)) => Some(old),
            Ok(Scored::Same) => continue,
            Err(error) => {
                undo(call, set, &done, order);
                return Err(error);
            }
        };
        outcome.added += u64::from(old.is_none());
        outcome.changed += u64::from(old.is_some());
        // Behind the last one nothing is taken back any more.
        if pairs.len() > 1 {
            done.push((*member, old));
        }
    }
    Ok(outcome)
}

/// Takes back what was done, the last first: each step finds the set as it was behind its own
/// change, where its place was made. A split may still be needed: limits do not hold it up.
fn undo(call: &Call<'_>, set: &mut NumaZset, done: &[(&[u8], Option<f64>)], order: &[NodeId]) {
    call.server.beyond_limits(|| {
        for (member, old) in done.iter().rev() {
            match old {
                Some(old) => drop(set.set(member, *old, order)),
                None => drop(set.remove(member)),
            }
        }
    });
}
