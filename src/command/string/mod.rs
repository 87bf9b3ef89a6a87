//! The NUMA string commands: the stock string group on values of our own.

pub(super) mod bitfield;
pub(super) mod bits;
pub(super) mod edit;
pub(super) mod expiry;
pub(super) mod incr;
pub(super) mod read;
pub(super) mod set;
pub(super) mod stralgo;

use super::{Call, Fail};
use crate::redis::raw::{Mode, Name};
use crate::redis::string_key::{Holds, StringKey};

impl<'c> Call<'c> {
    /// Opens the key at word `index`.
    fn string_key(&self, index: usize, mode: Mode) -> Result<StringKey<'c>, Fail> {
        Ok(self.open_string(self.name(index)?, mode))
    }

    fn open_string(&self, name: Name<'c>, mode: Mode) -> StringKey<'c> {
        StringKey::open(self.server, self.ctx, name, mode)
    }

    /// Opens the key at word 1 for a command that works on a string or on nothing.
    fn own_string(&self, mode: Mode) -> Result<StringKey<'c>, Fail> {
        let key = self.string_key(1, mode)?;
        match key.holds() {
            Holds::Other => Err(Fail::WrongType),
            Holds::Nothing | Holds::Numa => Ok(key),
        }
    }

    /// The same for a command that answers the old value before it changes it. The stock ones
    /// look the key up for reading first, so a hit or a miss is counted.
    fn own_string_after_read(&self) -> Result<StringKey<'c>, Fail> {
        drop(self.ctx.open(self.name(1)?, Mode::Read));
        self.own_string(Mode::Write)
    }

    /// Checks what a value would grow to; a master's word is law.
    fn check_length(&self, size: usize, more: usize) -> Result<(), Fail> {
        let total = size.checked_add(more).map(|total| total as u64);
        match total {
            Some(total) if self.server.may_grow_to(self.ctx, total) => Ok(()),
            Some(_) if self.ctx.flags().by_master() => Ok(()),
            _ => Err(Fail::TooLong),
        }
    }
}
