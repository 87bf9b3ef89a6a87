//! Random elements of a table: how many a client asks for, and which it gets.
//!
//! A negative count may name an element twice and has no end of its own. Stock goes on until the
//! client's buffer is full and closes the client; a module is not told that a client is gone, so
//! there is a most here.

use super::args::integer;
use super::{Call, Done, Fail};
use crate::value::table::Table;

/// The largest count that stock reads.
pub(super) const COUNT_MAX: u64 = i64::MAX as u64;
/// Elements that one call answers at most, where they may come twice.
const REPEATED_MAX: u64 = 1 << 28;

/// How many elements are asked for.
pub(super) struct Amount {
    pub(super) asked: u64,
    pub(super) repeats: bool,
}

impl Amount {
    /// Reads a count.
    pub(super) fn parse(word: &[u8]) -> Result<Self, Fail> {
        let count = integer(word)?;
        if count == i64::MIN {
            return Err(Fail::text(format!(
                "value is out of range, value must between {} and {}",
                -i64::MAX,
                i64::MAX
            )));
        }
        Ok(Self {
            asked: count.unsigned_abs(),
            repeats: count < 0,
        })
    }

    /// Whether so many can be answered.
    pub(super) fn check(&self) -> Done {
        if self.repeats && self.asked > REPEATED_MAX {
            return Err(Fail::text("value is out of range"));
        }
        Ok(())
    }

    /// Replies so many elements of a table: `head` with their number, then `each` of them.
    pub(super) fn reply<const VALUES: bool>(
        &self,
        call: &Call<'_>,
        table: &Table<VALUES>,
        head: impl FnOnce(usize),
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> Done {
        let mut dice = call.server.dice();
        if !self.repeats {
            let count = usize::try_from(self.asked).unwrap_or(usize::MAX);
            let found = table.sample(count, &mut dice);
            head(found.len());
            found.into_iter().for_each(|(key, value)| each(key, value));
            return Ok(());
        }
        self.check()?;
        head(self.asked as usize);
        for _ in 0..self.asked {
            let (key, value) = table.random(&mut dice).unwrap_or_default();
            each(key, value);
        }
        Ok(())
    }
}
