//! What a value looks like in a file: payload version 1, written and read without Redis.
//!
//! ```text
//! value  = heat body                               the body is the type's: see its `save`
//! heat   = level counter accesses idle pinned      five unsigned numbers
//! string = bytes
//! ```
//!
//! Ages are written, not stamps: the reader's clock starts elsewhere. Node, class and address are
//! not written: a file may be read on a machine of another shape.
//!
//! A payload comes from anywhere (RESTORE takes one from any client), so nothing in it is
//! believed: each number is held to its bounds, and no memory is sized by a number read, only by
//! bytes that were delivered. A bad payload is an error and leaves nothing behind.

use super::contract::{Landing, Value};
use crate::heat::{Clock, Heat, Level};
use std::fmt;

/// Where a payload is written to. Writing to Redis cannot fail here: it keeps the error itself.
pub trait Sink {
    /// Writes one number.
    fn unsigned(&mut self, number: u64);
    /// Writes bytes with their length.
    fn bytes(&mut self, bytes: &[u8]);
}

/// Where a payload is read from.
pub trait Source {
    /// Bytes as they were delivered.
    type Bytes: AsRef<[u8]>;

    /// Reads one number.
    ///
    /// # Errors
    /// [`BadPayload::Short`] where the payload ends before it or holds something else.
    fn unsigned(&mut self) -> Result<u64, BadPayload>;

    /// Reads bytes with their length.
    ///
    /// # Errors
    /// [`BadPayload::Short`] where the payload ends before them or holds something else.
    fn bytes(&mut self) -> Result<Self::Bytes, BadPayload>;
}

/// Why a payload is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BadPayload {
    /// It ends too early.
    Short,
    /// That field is out of its bounds.
    OutOfBounds(&'static str),
    /// It is well formed, but there is no memory for it.
    OutOfMemory,
}

impl fmt::Display for BadPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the payload ends too early"),
            Self::OutOfBounds(field) => write!(f, "{field} is out of bounds"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

/// Writes a value as payload version 1.
pub fn save<V: Value>(value: &V, sink: &mut dyn Sink, clock: &Clock) {
    write_heat(sink, &value.heat(), value.pinned(), clock);
    value.save(sink);
}

/// Reads payload version 1.
///
/// # Errors
/// [`BadPayload`]; nothing stays behind.
pub fn load<V: Value, S: Source>(
    source: &mut S,
    clock: &Clock,
    landing: &mut dyn Landing,
) -> Result<V, BadPayload> {
    let (heat, pinned) = read_heat(source, clock)?;
    let mut value = V::load(source, heat, landing)?;
    value.set_pinned(pinned);
    Ok(value)
}

/// Writes heat and pin.
fn write_heat(sink: &mut dyn Sink, heat: &Heat, pinned: bool, clock: &Clock) {
    sink.unsigned(heat.level.get().into());
    sink.unsigned(heat.counter.into());
    sink.unsigned(heat.accesses.into());
    sink.unsigned(heat.idle_ticks(clock).into());
    sink.unsigned(pinned.into());
}

/// Reads heat and pin.
fn read_heat<S: Source>(source: &mut S, clock: &Clock) -> Result<(Heat, bool), BadPayload> {
    let level = bounded(source, "level", Level::MAX.get().into())? as u8;
    let counter = bounded(source, "counter", u8::MAX.into())? as u8;
    let accesses = bounded(source, "accesses", u32::MAX.into())? as u32;
    let idle = bounded(source, "idle time", u32::MAX.into())? as u32;
    let pinned = bounded(source, "pin", 1)? == 1;
    let heat = Heat::restored(clock, Level::clamped(level), counter, accesses, idle);
    Ok((heat, pinned))
}

/// Reads a number that must not be larger than `most`.
pub(super) fn bounded<S: Source>(
    source: &mut S,
    field: &'static str,
    most: u64,
) -> Result<u64, BadPayload> {
    let number = source.unsigned()?;
    if number > most {
        return Err(BadPayload::OutOfBounds(field));
    }
    Ok(number)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One item of a payload.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(crate) enum Item {
        Unsigned(u64),
        Bytes(Vec<u8>),
    }

    /// A payload in memory; read from its front.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub(crate) struct Tape(pub(crate) std::collections::VecDeque<Item>);

    impl Sink for Tape {
        fn unsigned(&mut self, number: u64) {
            self.0.push_back(Item::Unsigned(number));
        }
        fn bytes(&mut self, bytes: &[u8]) {
            self.0.push_back(Item::Bytes(bytes.to_vec()));
        }
    }

    impl Source for Tape {
        type Bytes = Vec<u8>;
        fn unsigned(&mut self) -> Result<u64, BadPayload> {
            match self.0.pop_front() {
                Some(Item::Unsigned(number)) => Ok(number),
                _ => Err(BadPayload::Short),
            }
        }
        fn bytes(&mut self) -> Result<Vec<u8>, BadPayload> {
            match self.0.pop_front() {
                Some(Item::Bytes(bytes)) => Ok(bytes),
                _ => Err(BadPayload::Short),
            }
        }
    }

    #[test]
    fn heat_moves_into_another_clock() {
        let mut old = Clock::new();
        old.advance(0);
        let mut heat = Heat::born(&old);
        (0..5).for_each(|_| heat.touch(&old, 0));
        old.advance(70_000);
        let mut tape = Tape::default();
        write_heat(&mut tape, &heat, true, &old);
        let mut new = Clock::new();
        new.advance(0);
        new.advance(1_000);
        let (read, pinned) = read_heat(&mut tape, &new).unwrap();
        assert!(pinned);
        assert_eq!(read.level(&new), heat.level(&old));
        assert_eq!(read.idle_ms(&new), 70_000);
        assert_eq!((read.counter, read.accesses), (heat.counter, 5));
    }

    #[test]
    fn each_number_is_held_to_its_bounds() {
        let clock = Clock::new();
        let good = [7, 255, u64::from(u32::MAX), u64::from(u32::MAX), 1];
        let tape = |numbers: &[u64]| Tape(numbers.iter().copied().map(Item::Unsigned).collect());
        assert!(read_heat(&mut tape(&good), &clock).is_ok());
        for (i, field) in ["level", "counter", "accesses", "idle time", "pin"]
            .iter()
            .enumerate()
        {
            for wrong in [good[i] + 1, u64::MAX] {
                let mut bad = good;
                bad[i] = wrong;
                let error = read_heat(&mut tape(&bad), &clock).unwrap_err();
                assert_eq!(error, BadPayload::OutOfBounds(field));
            }
            let cut = read_heat(&mut tape(&good[..i]), &clock);
            assert_eq!(cut.unwrap_err(), BadPayload::Short);
        }
    }
}
