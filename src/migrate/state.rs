//! The state file: heat and pins of keys, for the time after a restart.
//!
//! ```text
//! file     MAGIC  saved_ms u64  { record }  END u32  count u64  sum u64
//! record   name_len u32  db u32  node u16  flags u8  level u8  counter u8  accesses u32
//!          idle_ms u32  name
//! ```
//!
//! All numbers little-endian; `END` is a length that no name has; `sum` is FNV-1a over everything
//! before it. A file is read twice: once whole, to learn whether it is sound, and then record by
//! record, to use it. Nothing of it is believed before the sum was right, and even then no memory
//! is sized by a number read but a name's, which is bounded.
//!
//! The file is a help and never a truth: a key that is gone is passed over, one that was used since
//! keeps what it has. So a file is refused whole where it is damaged, and where it is so old that
//! its heat says nothing.

use super::{KeyRef, Plane};
use crate::ids::{DbIndex, Level, NodeId};
use std::fmt;
use std::io::{self, Read, Write};

const MAGIC: [u8; 8] = *b"NUMAHT01";
/// What files of every version begin with.
const FAMILY: &[u8] = b"NUMAHT";
/// In place of a name's length: no records follow.
const END: u32 = u32::MAX;
/// The longest name that is kept: longer ones are rare, and cost more than their heat is worth.
pub const NAME_MAX: usize = 64 << 10;
/// The age at which heat says nothing any more.
pub const STALE_MS: u64 = 24 * 3600 * 1000;
/// How far the clock may have been set back between writing and reading.
const SLACK_MS: u64 = 60_000;

const FLAG_NATIVE: u8 = 1;
const FLAG_PINNED: u8 = 2;

/// What is known of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Which.
    pub key: KeyRef,
    /// Where it lay: of use for a pinned one.
    pub node: NodeId,
    /// Whose memory it lay in.
    pub plane: Plane,
    /// Whether a user pinned it.
    pub pinned: bool,
    /// Its level when it was last used.
    pub level: Level,
    /// Its logarithmic count then.
    pub counter: u8,
    /// Its accesses.
    pub accesses: u32,
    /// Milliseconds since its last use, when the file was written.
    pub idle_ms: u32,
}

/// Why a file is not used.
#[derive(Debug)]
#[non_exhaustive]
pub enum BadState {
    /// It cannot be read.
    Io(io::Error),
    /// It is a folder, a device or a pipe.
    NotAFile,
    /// It is no state file, but a file of somebody else's.
    Foreign,
    /// It is a state file of another version.
    Version,
    /// It ends too early, or goes on after its end.
    Length,
    /// The sum does not match, or a field is out of its bounds.
    Damaged,
    /// It is older than [`STALE_MS`], or was written in the future.
    Stale {
        /// When it was written, in ms since 1970.
        saved_ms: u64,
    },
}

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Foreign => f.write_str("it is no state file"),
            Self::Version => f.write_str("it is no state file of this version"),
            Self::Length => f.write_str("it is cut short or too long"),
            Self::Damaged => f.write_str("it is damaged"),
            Self::Stale { saved_ms } => {
                write!(f, "it is stale: written at {saved_ms} ms since 1970")
            }
        }
    }
}

impl std::error::Error for BadState {}

impl BadState {
    /// Whether the file may be another's, so that none of ours must take its place.
    #[must_use]
    pub const fn is_anothers(&self) -> bool {
        matches!(self, Self::Io(_) | Self::NotAFile | Self::Foreign)
    }
}

impl From<io::Error> for BadState {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Length
        } else {
            Self::Io(error)
        }
    }
}

/// FNV-1a.
#[derive(Clone, Copy, Debug)]
struct Sum(u64);

impl Sum {
    const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

/// Writes a file, record by record.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    sum: Sum,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// What the output says.
    pub fn begin(out: W, saved_ms: u64) -> io::Result<Self> {
        let mut writer = Self {
            out,
            sum: Sum::new(),
            count: 0,
        };
        writer.put(&MAGIC)?;
        writer.put(&saved_ms.to_le_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.add(bytes);
        self.out.write_all(bytes)
    }

    /// Where it writes to.
    pub fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes a record; one with too long a name is left out.
    ///
    /// # Errors
    /// What the output says.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        let name = &record.key.name;
        if name.len() > NAME_MAX {
            return Ok(());
        }
        let native = record.plane == Plane::Native;
        let flags =
            if native { FLAG_NATIVE } else { 0 } | if record.pinned { FLAG_PINNED } else { 0 };
        self.put(&(name.len() as u32).to_le_bytes())?;
        self.put(&record.key.db.0.to_le_bytes())?;
        self.put(&(record.node.index() as u16).to_le_bytes())?;
        self.put(&[flags, record.level.get(), record.counter])?;
        self.put(&record.accesses.to_le_bytes())?;
        self.put(&record.idle_ms.to_le_bytes())?;
        self.put(name)?;
        self.count += 1;
        Ok(())
    }

    /// Ends the file: the output back, and how many records it has.
    ///
    /// # Errors
    /// What the output says.
    pub fn end(mut self) -> io::Result<(W, u64)> {
        self.put(&END.to_le_bytes())?;
        self.put(&self.count.to_le_bytes())?;
        self.out.write_all(&self.sum.0.to_le_bytes())?;
        self.out.flush()?;
        Ok((self.out, self.count))
    }
}

/// Reads a file, record by record.
#[derive(Debug)]
pub struct Reader<R: Read> {
    from: R,
    sum: Sum,
    count: u64,
    saved_ms: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// Why it is not used.
    pub fn begin(from: R, now_ms: u64) -> Result<Self, BadState> {
        let mut reader = Self {
            from,
            sum: Sum::new(),
            count: 0,
            saved_ms: 0,
            ended: false,
        };
        reader.begin_with_magic()?;
        let saved_ms = u64::from_le_bytes(reader.take()?);
        let future = saved_ms > now_ms.saturating_add(SLACK_MS);
        if future || now_ms.saturating_sub(saved_ms) > STALE_MS {
            return Err(BadState::Stale { saved_ms });
        }
        reader.saved_ms = saved_ms;
        Ok(reader)
    }

    fn begin_with_magic(&mut self) -> Result<(), BadState> {
        let mut head = Vec::new();
        let most = MAGIC.len() as u64;
        self.from.by_ref().take(most).read_to_end(&mut head)?;
        self.sum.add(&head);
        match head.as_slice() {
            head if head == MAGIC => Ok(()),
            [] => Err(BadState::Length),
            head if head.starts_with(FAMILY) => Err(BadState::Version),
            _ => Err(BadState::Foreign),
        }
    }

    /// When it was written, in ms since 1970.
    pub const fn saved_ms(&self) -> u64 {
        self.saved_ms
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadState> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.sum.add(&bytes);
        Ok(bytes)
    }

    /// The next record; nothing at the end, whose count and sum were right.
    ///
    /// # Errors
    /// Why the file is not to be used.
    pub fn next_record(&mut self) -> Result<Option<Record>, BadState> {
        if self.ended {
            return Ok(None);
        }
        let len = u32::from_le_bytes(self.take()?);
        if len == END {
            self.check_end()?;
            self.ended = true;
            return Ok(None);
        }
        if len as usize > NAME_MAX {
            return Err(BadState::Damaged);
        }
        let db = DbIndex(u32::from_le_bytes(self.take()?));
        let node = NodeId::new(u16::from_le_bytes(self.take()?).into());
        let [flags, level, counter] = self.take()?;
        let accesses = u32::from_le_bytes(self.take()?);
        let idle_ms = u32::from_le_bytes(self.take()?);
        let mut name = vec![0; len as usize].into_boxed_slice();
        self.from.read_exact(&mut name)?;
        self.sum.add(&name);
        let known = flags & !(FLAG_NATIVE | FLAG_PINNED) == 0 && level <= Level::MAX.get();
        let (Some(node), true) = (node, known) else {
            return Err(BadState::Damaged);
        };
        self.count += 1;
        Ok(Some(Record {
            key: KeyRef { db, name },
            node,
            plane: if flags & FLAG_NATIVE == 0 {
                Plane::Numa
            } else {
                Plane::Native
            },
            pinned: flags & FLAG_PINNED != 0,
            level: Level::clamped(level),
            counter,
            accesses,
            idle_ms,
        }))
    }

    fn check_end(&mut self) -> Result<(), BadState> {
        let count = u64::from_le_bytes(self.take()?);
        let sum = self.sum.0;
        let written = u64::from_le_bytes(self.take()?);
        if count != self.count || written != sum {
            return Err(BadState::Damaged);
        }
        let mut more = [0];
        match self.from.read(&mut more)? {
            0 => Ok(()),
            _ => Err(BadState::Length),
        }
    }
}

/// Reads a file to its end, and says how many records it has.
///
/// # Errors
/// Why it is not to be used.
pub fn check<R: Read>(from: R, now_ms: u64) -> Result<u64, BadState> {
    let mut reader = Reader::begin(from, now_ms)?;
    while reader.next_record()?.is_some() {}
    Ok(reader.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    fn record() -> impl Strategy<Value = Record> {
        let name = proptest::collection::vec(any::<u8>(), 0..40);
        let place = (any::<u32>(), 0..64_usize, any::<bool>(), any::<bool>());
        let heat = (0..=7_u8, any::<u8>(), any::<u32>(), any::<u32>());
        (name, place, heat).prop_map(|(name, (db, node, native, pinned), heat)| Record {
            key: KeyRef::new(DbIndex(db), &name),
            node: NodeId::new(node).unwrap(),
            plane: if native { Plane::Native } else { Plane::Numa },
            pinned,
            level: Level::clamped(heat.0),
            counter: heat.1,
            accesses: heat.2,
            idle_ms: heat.3,
        })
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new(), NOW).unwrap();
        records
            .iter()
            .for_each(|record| writer.record(record).unwrap());
        writer.end().unwrap().0
    }

    fn read(bytes: &[u8], now_ms: u64) -> Result<Vec<Record>, BadState> {
        let mut reader = Reader::begin(bytes, now_ms)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
        Ok(records)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in proptest::collection::vec(record(), 0..20)) {
            let bytes = written(&records);
            prop_assert_eq!(check(bytes.as_slice(), NOW).unwrap(), records.len() as u64);
            prop_assert_eq!(read(&bytes, NOW + 5).unwrap(), records);
        }

        #[test]
        fn a_file_that_was_changed_anywhere_is_refused(
            records in proptest::collection::vec(record(), 0..8),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let mut bytes = written(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(read(&bytes, NOW).is_err());
        }

        #[test]
        fn a_file_that_was_cut_or_grew_is_refused(
            records in proptest::collection::vec(record(), 0..8),
            cut in any::<proptest::sample::Index>(),
            more in proptest::collection::vec(any::<u8>(), 1..9),
        ) {
            let bytes = written(&records);
            let cut = cut.index(bytes.len());
            prop_assert!(read(&bytes[..cut], NOW).is_err());
            prop_assert!(read(&[bytes, more].concat(), NOW).is_err());
        }

        #[test]
        fn junk_is_refused_whatever_it_is(
            junk in proptest::collection::vec(any::<u8>(), 0..200),
            headed in any::<bool>(),
        ) {
            let mut bytes = Vec::new();
            if headed {
                bytes.extend(MAGIC);
                bytes.extend(NOW.to_le_bytes());
            }
            bytes.extend(junk);
            prop_assert!(read(&bytes, NOW).is_err());
        }
    }

    #[test]
    fn old_files_and_files_of_the_future_are_stale() {
        let bytes = written(&[]);
        let stale = |now| matches!(read(&bytes, now), Err(BadState::Stale { .. }));
        assert!(stale(NOW + STALE_MS + 1) && stale(NOW - SLACK_MS - 1));
        assert!(!stale(NOW + STALE_MS) && !stale(NOW - SLACK_MS));
    }

    #[test]
    fn what_nobody_of_ours_wrote_is_told_from_what_time_or_a_disk_spoilt() {
        let anothers = |bytes: &[u8]| check(bytes, NOW).unwrap_err().is_anothers();
        let ours = written(&[]);
        for bytes in [&b"REDIS0009"[..], b"x", b"numaht01"] {
            assert!(anothers(bytes), "{bytes:?}");
        }
        for bytes in [
            &b""[..],
            b"NUMAHT02",
            b"NUMAHT",
            &ours[..9],
            &ours[..ours.len() - 1],
        ] {
            assert!(!anothers(bytes), "{bytes:?}");
        }
        assert!(BadState::NotAFile.is_anothers());
    }

    #[test]
    fn names_too_long_are_left_out() {
        let mut long = Record {
            key: KeyRef::new(DbIndex(0), &vec![b'x'; NAME_MAX + 1]),
            node: NodeId::FIRST,
            plane: Plane::Numa,
            pinned: false,
            level: Level::clamped(0),
            counter: 0,
            accesses: 0,
            idle_ms: 0,
        };
        let mut writer = Writer::begin(Vec::new(), NOW).unwrap();
        writer.record(&long).unwrap();
        long.key = KeyRef::new(DbIndex(0), &vec![b'x'; NAME_MAX]);
        writer.record(&long).unwrap();
        let (bytes, count) = writer.end().unwrap();
        assert_eq!((count, read(&bytes, NOW).unwrap().len()), (1, 1));
    }
}
