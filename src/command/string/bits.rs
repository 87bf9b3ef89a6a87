//! SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP: strings as rows of bits.
//!
//! What is read and in which order is the stock commands': BITCOUNT of a key that is not there is 0
//! whatever else the client wrote. BITOP takes native strings among its inputs, and makes a NUMA
//! string.

use super::super::args::{integer, is};
use super::super::{Call, Done, Fail};
use crate::migrate::Kind;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{Event, KeyKind, Mode, Name};
use crate::redis::string_key::StringKey;
use crate::value::bits::{bit, count_ones, first, place, Combination, Operation};
use crate::value::number::parse_integer;
use crate::value::string::clip_range;

impl Call<'_> {
    /// The number of a bit, which must lie in a string that this server takes. `#<n>` is the n-th
    /// field of `bits` bits, where the command knows fields.
    pub(super) fn bit_offset(&self, word: &[u8], bits: Option<u32>) -> Result<u64, Fail> {
        let (digits, scale) = match (bits, word) {
            (Some(bits), [b'#', digits @ ..]) => (digits, bits),
            _ => (word, 1),
        };
        let at = parse_integer(digits).map(|at| at.wrapping_mul(scale.into()));
        let at = at.and_then(|at| u64::try_from(at).ok());
        at.filter(|at| self.may_reach((at >> 3) as usize))
            .ok_or_else(|| Fail::text("bit offset is not an integer or out of range"))
    }

    fn may_reach(&self, byte: usize) -> bool {
        self.check_length(byte, 1).is_ok()
    }

    /// What follows a change of bits.
    pub(super) fn bits_changed(&self) -> Done {
        let name = self.name(1)?;
        self.ctx.signal_modified(name);
        self.ctx.notify(Event::SetBit, name);
        self.replicate_verbatim();
        Ok(())
    }
}

pub(super) fn setbit(call: &Call<'_>) -> Done {
    let at = call.bit_offset(call.word(2)?, None)?;
    let on = match parse_integer(call.word(3)?) {
        Some(on @ 0..=1) => on == 1,
        _ => return Err(Fail::text("bit is not an integer or out of range")),
    };
    let key = call.own_string(Mode::Write)?;
    let (byte, mask) = place(at);
    let changed = key.edit(|value, order| {
        let old = value.as_bytes().get(byte).copied().unwrap_or(0);
        value.set_range(byte, &[with_bit(old, mask, on)], order)?;
        Ok(old & mask != 0)
    });
    let was = match changed {
        Some(was) => was?,
        None => {
            key.put_padded(byte, &[with_bit(0, mask, on)], None)?;
            false
        }
    };
    call.bits_changed()?;
    call.ctx.reply_count(u8::from(was));
    Ok(())
}

const fn with_bit(byte: u8, mask: u8, on: bool) -> u8 {
    if on {
        byte | mask
    } else {
        byte & !mask
    }
}

pub(super) fn getbit(call: &Call<'_>) -> Done {
    let at = call.bit_offset(call.word(2)?, None)?;
    let key = call.own_string(Mode::Read)?;
    let set = key.read(|value| bit(value.as_bytes(), at));
    call.ctx.reply_count(u8::from(set.unwrap_or(false)));
    Ok(())
}

pub(super) fn bitcount(call: &Call<'_>) -> Done {
    let key = call.own_string(Mode::Read)?;
    let count = match key.read(|value| counted(call, value.as_bytes())) {
        Some(count) => count?,
        None => 0,
    };
    call.ctx.reply_count(count);
    Ok(())
}

fn counted(call: &Call<'_>, bytes: &[u8]) -> Result<u64, Fail> {
    let range = match call.args.len() {
        2 => 0..bytes.len(),
        4 => {
            let (start, end) = (integer(call.word(2)?)?, integer(call.word(3)?)?);
            clip_range(bytes.len(), start, end)
        }
        _ => return Err(Fail::Syntax),
    };
    Ok(count_ones(bytes.get(range).unwrap_or(&[])))
}

pub(super) fn bitpos(call: &Call<'_>) -> Done {
    let set = match integer(call.word(2)?)? {
        0 => false,
        1 => true,
        _ => return Err(Fail::text("The bit argument must be 1 or 0.")),
    };
    let key = call.own_string(Mode::Read)?;
    let found = match key.read(|value| position(call, value.as_bytes(), set)) {
        Some(found) => found?,
        None => (!set).then_some(0),
    };
    match found {
        Some(at) => call.ctx.reply_count(at),
        None => call.ctx.reply_int(-1),
    }
    Ok(())
}

fn position(call: &Call<'_>, bytes: &[u8], set: bool) -> Result<Option<u64>, Fail> {
    let words = call.args.len();
    if words > 5 {
        return Err(Fail::Syntax);
    }
    let start = if words > 3 {
        integer(call.word(3)?)?
    } else {
        0
    };
    let end = if words > 4 {
        integer(call.word(4)?)?
    } else {
        -1
    };
    let range = range_of(bytes.len(), start, end);
    let part = bytes.get(range.clone()).unwrap_or(&[]);
    if part.is_empty() {
        return Ok(None);
    }
    // With an end of its own the range has no zeros behind it.
    let behind = part.len() as u64 * 8;
    let found = first(part, set).filter(|at| words < 5 || set || *at != behind);
    Ok(found.map(|at| at + range.start as u64 * 8))
}

/// The bytes from `start` to `end`, both included; negative ones count from the end. Unlike
/// GETRANGE, two negative ends in the wrong order are clipped before they are compared.
fn range_of(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        return 0..0;
    }
    start as usize..end as usize + 1
}

pub(super) fn bitop(call: &Call<'_>) -> Done {
    let operation = operation_named(call.word(1)?)?;
    if operation == Operation::Not && call.args.len() != 4 {
        return Err(Fail::text(
            "BITOP NOT must be called with a single source key.",
        ));
    }
    let mut combination = Combination::new(operation);
    for name in call.args.names_from(3) {
        call.add_input(&mut combination, name)?;
    }
    let result = combination.finish();
    let target = call.string_key(2, Mode::Write)?;
    store(call, &target, &result)?;
    call.ctx.reply_count(result.len());
    Ok(())
}

fn operation_named(word: &[u8]) -> Result<Operation, Fail> {
    let all = [
        ("AND", Operation::And),
        ("OR", Operation::Or),
        ("XOR", Operation::Xor),
        ("NOT", Operation::Not),
    ];
    let found = all.into_iter().find(|(name, _)| is(word, name));
    found.map(|(_, operation)| operation).ok_or(Fail::Syntax)
}

impl Call<'_> {
    /// Adds an input of BITOP, of either plane; none of a key that is not there.
    fn add_input(&self, combination: &mut Combination, name: Name<'_>) -> Done {
        // The server counts a hit when it is asked for a native string, and so it must only then.
        if self.ctx.open(name, Mode::Quiet).kind() == KeyKind::Native(Kind::String) {
            combination.add(&self.ctx.native_bytes(name).unwrap_or_default());
            return Ok(());
        }
        let key = self.open_string(name, Mode::Read);
        if key.holds() == Holds::Other {
            return Err(Fail::WrongType);
        }
        let added = key.read(|value| combination.add(value.as_bytes()));
        if added.is_none() {
            combination.add(&[]);
        }
        Ok(())
    }
}

/// Makes the result the target's value; an empty one deletes the target.
fn store(call: &Call<'_>, target: &StringKey<'_>, result: &[u8]) -> Done {
    let name = call.name(2)?;
    if !result.is_empty() {
        target.put(result, None, false)?;
        call.ctx.signal_modified(name);
        call.ctx.notify(Event::Set, name);
    } else if target.any().kind() != KeyKind::Empty {
        target.key().delete();
        call.ctx.signal_modified(name);
        call.ctx.notify(Event::Del, name);
    } else {
        return Ok(());
    }
    call.replicate_verbatim();
    Ok(())
}
