//! Which words of a command are keys: read off the server's own command table, once a command.
//!
//! The server finds a row by hashing the name, which alone would use up what a filter may cost. So
//! the rows of commands met lately stand in a small table of our own, found by the first bytes of
//! the name. Only stock rows: they live as long as the server, those of other modules do not.
//!
//! A row also counts how often the server has refused its command, for want of a password, of a
//! right, of an argument. Whoever compares that count before and after knows whether a command ran.
//!
//! Invariant: rows are read only where rows of known commands read as 6.2's do, which
//! [`Commands::find`] sees to.
//!
//! Keys that only a function of the command knows (EVAL, XREAD, ZUNION) are not seen here; the
//! commands that a script runs are, each by itself, and the server's own stamp shows the others.

use crate::redis::charge::symbol;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// A row of the server's command table in 6.2.
#[repr(C)]
struct Row {
    name: *const c_char,
    function: *const c_void,
    arity: c_int,
    flag_words: *const c_char,
    flags: u64,
    keys_function: *const c_void,
    first_key: c_int,
    last_key: c_int,
    key_step: c_int,
    microseconds: i64,
    calls: i64,
    rejected: i64,
    failed: i64,
}

const WRITE: u64 = 1;
const MODULE: u64 = 1 << 3;

type Lookup = unsafe extern "C" fn(*const c_char) -> *mut Row;

/// Stock commands: arity, whether they write, first key, last key, step.
type Shape = (c_int, bool, c_int, c_int, c_int);
const KNOWN: [(&CStr, Shape); 5] = [
    (c"get", (2, false, 1, 1, 1)),
    (c"set", (-3, true, 1, 1, 1)),
    (c"mset", (-3, true, 1, -1, 2)),
    (c"hgetall", (2, false, 1, 1, 1)),
    (c"blpop", (-3, true, 1, -2, 1)),
];

/// Commands whose value is a new one, whatever was there before.
const MAKERS: [&[u8]; 10] = [
    b"set", b"setnx", b"setex", b"psetex", b"getset", b"mset", b"msetnx", b"restore", b"rename",
    b"copy",
];

/// Longer names are no concern of ours.
const NAME_BYTES_MAX: usize = 16;
/// Places of the table of commands met lately: one for each byte, so that no bound is checked.
const PLACES: usize = 1 << u8::BITS;

/// A command met before.
#[derive(Clone, Copy)]
pub(super) struct Known {
    name: Plain,
    row: CommandRow,
    first: u16,
    /// The last key; from the end of the words where less than zero.
    last: i16,
    step: u16,
    pub(super) writes: bool,
    /// Whether its value is a new one, whatever was there before.
    pub(super) makes: bool,
}

/// The row of a stock command in the server's table.
#[derive(Clone, Copy)]
pub(super) struct CommandRow(NonNull<Row>);

// SAFETY: rows of stock commands live as long as the server, and only its main thread reads them.
unsafe impl Send for CommandRow {}

impl CommandRow {
    /// How often the server has refused the command so far.
    #[inline]
    pub(super) fn rejected(self) -> i64 {
        // SAFETY: a row of a stock command, whose shape was recognised.
        unsafe { (*self.0.as_ptr()).rejected }
    }
}

impl Known {
    /// A place of the table where nothing was met: no name reads as nothing.
    const NOBODY: Self = Self {
        name: (0, 0, 0),
        row: CommandRow(NonNull::dangling()),
        first: 0,
        last: 0,
        step: 1,
        writes: false,
        makes: false,
    };

    pub(super) fn row(&self) -> CommandRow {
        self.row
    }

    /// Whether its one key is the first word behind the name, as most commands have it.
    #[inline]
    pub(super) fn is_of_one_key(&self) -> bool {
        self.first == 1 && self.last == 1
    }

    /// The places of the keys among so many words.
    pub(super) fn keys(&self, words: usize) -> impl Iterator<Item = usize> {
        let end = if self.last < 0 {
            words.saturating_add_signed(isize::from(self.last) + 1)
        } else {
            words.min(usize::from(self.last.unsigned_abs()) + 1)
        };
        let first = if self.first == 0 {
            end
        } else {
            self.first.into()
        };
        (first..end).step_by(self.step.into())
    }
}

/// See the head of the file.
pub(super) struct Commands {
    lookup: Lookup,
    met: Box<[Known; PLACES]>,
}

impl Commands {
    /// The commands of this server; nothing where its rows read otherwise.
    pub(super) fn find() -> Option<Self> {
        let found = symbol(c"lookupCommandByCString")?;
        // SAFETY: the function of that name takes a C string and answers a row or null, in every
        // version that has it; a pointer to a function is as wide as any other.
        let lookup = unsafe { std::mem::transmute::<*mut c_void, Lookup>(found) };
        let made = Self {
            lookup,
            met: Box::new([Known::NOBODY; PLACES]),
        };
        let reads_right = |(name, shape): &(&CStr, Shape)| made.shape(name) == Some(*shape);
        KNOWN.iter().all(reads_right).then_some(made)
    }

    fn row(&self, name: &CStr) -> Option<&'static Row> {
        // SAFETY: the name is a C string; the server reads it and keeps nothing.
        let row = unsafe { (self.lookup)(name.as_ptr()) };
        // SAFETY: rows live longer than this look at one.
        unsafe { row.as_ref() }
    }

    fn shape(&self, name: &CStr) -> Option<Shape> {
        let row = self.row(name)?;
        let writes = row.flags & WRITE != 0;
        Some((row.arity, writes, row.first_key, row.last_key, row.key_step))
    }

    /// The command of that name; nothing for one that we do not watch.
    #[inline]
    pub(super) fn get(&mut self, name: &[u8]) -> Option<&Known> {
        let plain = plain(name)?;
        let place = usize::from(place_of(plain));
        if self.met.get(place)?.name != plain {
            self.meet(name, plain, place)?;
        }
        self.met.get(place)
    }

    #[cold]
    fn meet(&mut self, name: &[u8], plain: Plain, place: usize) -> Option<()> {
        // Letters alone: only for them is `plain` the name in lower case.
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        let mut text = [0; NAME_BYTES_MAX + 1];
        text.get_mut(..name.len())?.copy_from_slice(name);
        let row = self.row(CStr::from_bytes_until_nul(&text).ok()?)?;
        if row.flags & MODULE != 0 {
            return None;
        }
        let known = Known {
            name: plain,
            row: CommandRow(NonNull::from(row)),
            first: u16::try_from(row.first_key).ok()?,
            last: i16::try_from(row.last_key).ok()?,
            step: u16::try_from(row.key_step).ok()?.max(1),
            writes: row.flags & WRITE != 0,
            makes: MAKERS.iter().any(|maker| maker.eq_ignore_ascii_case(name)),
        };
        *self.met.get_mut(place)? = known;
        Some(())
    }
}

/// A name in lower case as numbers: its first and last eight bytes, which overlap, and its length.
type Plain = (u64, u64, usize);

/// The plain form of a name of letters; nothing for one that is too long.
#[inline]
fn plain(name: &[u8]) -> Option<Plain> {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let two = |bytes: &[u8; 2]| u64::from(u16::from_le_bytes(*bytes));
    let (first, last) = match name.len() {
        8.. => (
            u64::from_le_bytes(*name.first_chunk()?),
            u64::from_le_bytes(*name.last_chunk()?),
        ),
        4.. => (four(name.first_chunk()?), four(name.last_chunk()?)),
        2.. => (two(name.first_chunk()?), two(name.last_chunk()?)),
        _ => (u64::from(*name.first()?), 0),
    };
    (name.len() <= NAME_BYTES_MAX).then_some((first | LOWER, last | LOWER, name.len()))
}

const fn place_of((first, last, len): Plain) -> u8 {
    let mixed = (first ^ last.rotate_left(29) ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_cases_are_not() {
        for (one, other) in [("GeT", "get"), ("HgetAll", "hGETALL"), ("lpop", "LPOP")] {
            assert_eq!(plain(one.as_bytes()), plain(other.as_bytes()));
        }
        let names = [
            "get",
            "set",
            "mget",
            "gets",
            "hgetall",
            "hgetalls",
            "zrangebyscore",
            "zr",
        ];
        for (at, one) in names.iter().enumerate() {
            for other in &names[at + 1..] {
                assert_ne!(
                    plain(one.as_bytes()),
                    plain(other.as_bytes()),
                    "{one} {other}"
                );
            }
        }
        assert_eq!(plain(b"averyveryverylongname"), None);
    }

    #[test]
    fn keys_stand_where_the_row_says() {
        let known = |first, last, step| Known {
            first,
            last,
            step,
            ..Known::NOBODY
        };
        let keys = |known: Known, words| known.keys(words).collect::<Vec<_>>();
        assert_eq!(keys(known(1, 1, 1), 2), [1]);
        assert_eq!(keys(known(1, -1, 2), 5), [1, 3]);
        assert_eq!(keys(known(1, -2, 1), 4), [1, 2]);
        assert_eq!(keys(known(0, 0, 1), 3), [0_usize; 0]);
        assert_eq!(keys(known(1, -2, 1), 1), [0_usize; 0]);
    }
}
