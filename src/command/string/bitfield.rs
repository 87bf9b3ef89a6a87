//! BITFIELD and BITFIELD_RO: numbers of any width within a string.
//!
//! All words are read before anything is done; then the string is made long enough for the last
//! bit that any step may write, even where an overflow then forbids the writing: stock does so.

use super::super::args::{integer, is};
use super::super::{Call, Done, Fail};
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
use crate::redis::numa_key::Holds;
use crate::redis::raw::Mode;
use crate::redis::string_key::StringKey;
use crate::value::bits::{Field, Overflow};
use crate::value::NumaString;

/// What a step does to its field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Get,
    Set(i64),
    Add(i64),
}

/// One subcommand.
#[derive(Clone, Copy, Debug)]
struct Step {
    field: Field,
    act: Act,
    overflow: Overflow,
}

impl Step {
    fn writes(&self) -> bool {
        self.act != Act::Get
    }

    /// The number to reply and the number to write; nothing where an overflow forbids it.
    fn results(&self, old: i64) -> Option<(i64, i64)> {
        match self.act {
            Act::Get => Some((old, old)),
            Act::Set(number) => {
                let new = self.field.sum(number, 0, self.overflow)?;
                Some((old, new))
            }
            Act::Add(more) => {
                let new = self.field.sum(old, more, self.overflow)?;
                Some((new, new))
            }
        }
    }
}

pub(super) fn bitfield(call: &Call<'_>) -> Done {
    run(call, false)
}

pub(super) fn bitfield_ro(call: &Call<'_>) -> Done {
    run(call, true)
}

fn run(call: &Call<'_>, only_reads: bool) -> Done {
    let steps = parse(call)?;
    let last = steps.iter().filter(|step| step.writes());
    let Some(last) = last.map(|step| step.field.last()).max() else {
        return read_all(call, &steps);
    };
    if only_reads {
        return Err(Fail::text("BITFIELD_RO only supports the GET subcommand"));
    }
    let last = (last >> 3) as usize;
    let key = call.own_string(Mode::Write)?;
    if key.holds() == Holds::Nothing {
        key.put_padded(last, &[0], None)?;
        drop(key);
    }
    let answers = write_all(&call.own_string(Mode::Write)?, &steps, last)?;
    reply(call, &answers);
    call.bits_changed()
}

fn parse(call: &Call<'_>) -> Result<Vec<Step>, Fail> {
    let (mut steps, mut overflow) = (Vec::new(), Overflow::Wrap);
    let mut at = 2;
    while let Some(word) = call.args.bytes(at) {
        let left = call.args.len() - 1 - at;
        if is(word, "OVERFLOW") && left >= 1 {
            overflow = overflow_named(call.word(at + 1)?)?;
            at += 2;
            continue;
        }
        let act = match word {
            word if is(word, "GET") && left >= 2 => Act::Get,
            word if is(word, "SET") && left >= 3 => Act::Set(0),
            word if is(word, "INCRBY") && left >= 3 => Act::Add(0),
            _ => return Err(Fail::Syntax),
        };
        let step = step_at(call, at, act, overflow)?;
        at += if step.writes() { 4 } else { 3 };
        steps.push(step);
    }
    Ok(steps)
}

fn overflow_named(word: &[u8]) -> Result<Overflow, Fail> {
    let all = [
        ("WRAP", Overflow::Wrap),
        ("SAT", Overflow::Saturate),
        ("FAIL", Overflow::Fail),
    ];
    let found = all.into_iter().find(|(name, _)| is(word, name));
    found
        .map(|(_, overflow)| overflow)
        .ok_or_else(|| Fail::text("Invalid OVERFLOW type specified"))
}

/// The step whose name is the word at `at`.
fn step_at(call: &Call<'_>, at: usize, act: Act, overflow: Overflow) -> Result<Step, Fail> {
    let (signed, bits) = Field::parse_type(call.word(at + 1)?).ok_or_else(|| {
        Fail::text(
            "Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported \
             but i64 is.",
        )
    })?;
    let field = Field {
        at: call.bit_offset(call.word(at + 2)?, Some(bits))?,
        signed,
        bits,
    };
    let act = match act {
        Act::Get => Act::Get,
        Act::Set(_) => Act::Set(integer(call.word(at + 3)?)?),
        Act::Add(_) => Act::Add(integer(call.word(at + 3)?)?),
    };
    Ok(Step {
        field,
        act,
        overflow,
    })
}

fn read_all(call: &Call<'_>, steps: &[Step]) -> Done {
    let key = call.own_string(Mode::Read)?;
    let all = |bytes: &[u8]| -> Vec<_> {
        let get = |step: &Step| Some(step.field.get(bytes));
        steps.iter().map(get).collect()
    };
    let answers = key.read(|value| all(value.as_bytes()));
    reply(call, &answers.unwrap_or_else(|| all(&[])));
    Ok(())
}

/// Does every step on a string that reaches to byte `last`.
fn write_all(key: &StringKey<'_>, steps: &[Step], last: usize) -> Result<Vec<Option<i64>>, Fail> {
    let done = key.edit(|value, order| {
        if value.len() <= last {
            value.set_range(last, &[0], order)?;
        }
        // Nothing grows from here on, so nothing can fail.
        steps.iter().map(|step| take(value, step, order)).collect()
    });
    Ok(done.unwrap_or(Err(OutOfMemory))?)
}

fn take(value: &mut NumaString, step: &Step, order: &[NodeId]) -> Result<Option<i64>, OutOfMemory> {
    let old = step.field.get(value.as_bytes());
    let Some((answer, new)) = step.results(old) else {
        return Ok(None);
    };
    if step.writes() {
        let bytes = step.field.written(value.as_bytes(), new);
        value.set_range(step.field.window().start, &bytes, order)?;
    }
    Ok(Some(answer))
}

fn reply(call: &Call<'_>, answers: &[Option<i64>]) {
    call.ctx.reply_array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => call.ctx.reply_int(*number),
            None => call.ctx.reply_null(),
        }
    }
}
