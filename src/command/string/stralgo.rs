//! STRALGO LCS.

use super::super::args::{integer, is};
use super::super::{Call, Done, Fail};
use crate::ids::Bytes;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{could_map, Mode};
use crate::redis::string_key::StringKey;
use crate::value::lcs;
use std::borrow::Cow;

/// What there is for the table of two strings. The stock one takes what the kernel gives and
/// refuses otherwise; ours takes a 32nd of it, but the server's allocator would end the process.
fn memory_for(a: &[u8], b: &[u8]) -> Bytes {
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    let needed = usize::try_from(cells * size_of::<u32>() as u128);
    match needed {
        Ok(needed) if could_map(needed) => Bytes::from(needed),
        _ => Bytes::ZERO,
    }
}

/// The words of one call.
#[derive(Default)]
struct Asked<'c> {
    indexes: bool,
    length: bool,
    with_match_len: bool,
    match_len_min: u64,
    strings: Option<Pair<'c>>,
}

pub(in crate::command) fn run(call: &Call<'_>) -> Done {
    if call.ctx.wants_key_positions() {
        return key_positions(call);
    }
    if !is(call.word(1)?, "LCS") {
        return Err(Fail::Syntax);
    }
    let asked = parse(call)?;
    let Some((a, b)) = &asked.strings else {
        return Err(Fail::text(
            "Please specify two strings: STRINGS or KEYS options are mandatory",
        ));
    };
    if asked.length && asked.indexes {
        return Err(Fail::text(
            "If you want both the length and indexes, please just use IDX.",
        ));
    }
    match (asked.indexes, asked.length) {
        (true, _) => reply_indexes(call, &asked, &found(a, b)?),
        (false, true) => {
            let memory = memory_for(a, b);
            call.ctx
                .reply_count(lcs::length(a, b, memory).map_err(refused)?);
        }
        (false, false) => call.ctx.reply_bulk(&found(a, b)?.text),
    }
    Ok(())
}

fn found(a: &[u8], b: &[u8]) -> Result<lcs::Lcs, Fail> {
    lcs::longest(a, b, memory_for(a, b)).map_err(refused)
}

fn refused(error: lcs::LcsError) -> Fail {
    match error {
        lcs::LcsError::TooLong => Fail::text("String too long for LCS"),
        lcs::LcsError::OutOfMemory => Fail::text("Insufficient memory"),
    }
}

fn parse<'c>(call: &Call<'c>) -> Result<Asked<'c>, Fail> {
    let mut asked = Asked::default();
    let mut at = 2;
    while let Some(word) = call.args.bytes(at) {
        let left = call.args.len() - 1 - at;
        if is(word, "IDX") {
            asked.indexes = true;
        } else if is(word, "LEN") {
            asked.length = true;
        } else if is(word, "WITHMATCHLEN") {
            asked.with_match_len = true;
        } else if is(word, "MINMATCHLEN") && left > 0 {
            asked.match_len_min = integer(call.word(at + 1)?)?.max(0).unsigned_abs();
            at += 1;
        } else if (is(word, "STRINGS") || is(word, "KEYS")) && left > 1 {
            asked.strings = Some(two_strings(call, &asked, at)?);
            at += 2;
        } else {
            return Err(Fail::Syntax);
        }
        at += 1;
    }
    Ok(asked)
}

type Pair<'c> = (Cow<'c, [u8]>, Cow<'c, [u8]>);

fn two_strings<'c>(call: &Call<'c>, asked: &Asked<'_>, at: usize) -> Result<Pair<'c>, Fail> {
    if asked.strings.is_some() {
        return Err(Fail::text("Either use STRINGS or KEYS"));
    }
    if is(call.word(at)?, "STRINGS") {
        return Ok((call.word(at + 1)?.into(), call.word(at + 2)?.into()));
    }
    // Both are looked up before either is refused: that is what hits and misses count.
    let a = call.string_key(at + 1, Mode::Read)?;
    let b = call.string_key(at + 2, Mode::Read)?;
    if a.holds() == Holds::Other || b.holds() == Holds::Other {
        return Err(Fail::text("The specified keys must contain string values"));
    }
    Ok((key_bytes(&a).into(), key_bytes(&b).into()))
}

/// A copy of the value: the table takes far more room than it.
fn key_bytes(key: &StringKey<'_>) -> Vec<u8> {
    key.read(|value| value.as_bytes().to_vec())
        .unwrap_or_default()
}

fn reply_indexes(call: &Call<'_>, asked: &Asked<'_>, found: &lcs::Lcs) {
    let ctx = call.ctx;
    let long = |run: &&lcs::Match| u64::from(run.match_len()) >= asked.match_len_min;
    let matches: Vec<_> = found.matches.iter().filter(long).collect();
    ctx.reply_array(4);
    ctx.reply_bulk(b"matches");
    ctx.reply_array(matches.len());
    for run in matches {
        ctx.reply_array(2 + usize::from(asked.with_match_len));
        for (first, last) in [run.a, run.b] {
            ctx.reply_array(2);
            ctx.reply_count(first);
            ctx.reply_count(last);
        }
        if asked.with_match_len {
            ctx.reply_count(run.match_len());
        }
    }
    ctx.reply_bulk(b"len");
    ctx.reply_count(found.text.len() as u64);
}

/// The keys are the two words behind `KEYS`, if `STRINGS` does not come first.
fn key_positions(call: &Call<'_>) -> Done {
    for (index, word) in call.args.names_from(1).enumerate() {
        let at = index + 1;
        if is(word.bytes(), "STRINGS") {
            break;
        }
        if is(word.bytes(), "KEYS") && call.args.len() > at + 2 {
            call.ctx.key_at(at + 1);
            call.ctx.key_at(at + 2);
            break;
        }
    }
    Ok(())
}
