//! `numa-state-file`: heat and pins, carried over a restart.
//!
//! ```text
//! load      the file is read whole and judged; a stale or damaged one gives a log line and no more
//! ticks     what it says is given to the keys, some records a tick, until its end
//! then      each numa-state-interval a walk over all keys writes a new one, some keys a tick
//! shutdown  the same in one go
//! ```
//!
//! The walk only fills a buffer; a thread of its own writes, syncs and renames, for a disk may take
//! as long as it likes. A file is whole or it is not there: it is written beside its place and
//! renamed when it is safe. Rejected: to write it from the forked child of a save. It would cost
//! nothing here, but a server that only has an append-only file may not fork for days.

use super::raw::{Ctx, LogLevel};
use super::reach::{DbCursor, Reach};
use super::server::Server;
use crate::heat::{Clock, Heat, TICK_MS};
use crate::ids::DbIndex;
use crate::migrate::state::{self, BadState, Reader, Record, Writer};
use crate::migrate::{Budget, Keyspace, Plane};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::Instant;

/// Records given to their keys between two looks at the clock, and keys written of.
const SLICE: usize = 32;
/// The share of a tick's time that either may take, as a divisor.
const SHARE: u64 = 4;
/// Bytes that go to the thread at once, and how many such pieces may wait for the disk.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 64;
/// Nothing is restored before that time: what counts native keys has to learn first how many there
/// are, once a second.
const FIRST_MS: u64 = 2000;
/// Pieces that one slice of the walk may fill, at most.
const PIECES_AHEAD: usize = 8;

/// See the head of the file.
#[derive(Default)]
pub(crate) struct StateFile {
    path: Option<PathBuf>,
    restoring: Option<Reader<BufReader<File>>>,
    writing: Option<Writing>,
    /// When the last one was begun, or the restoring ended; the load for the first.
    last_ms: u64,
    counts: Counts,
}

/// What it did, for INFO.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Keys that were given heat or a pin.
    pub(crate) restored: u64,
    /// Files written.
    pub(crate) saves: u64,
    /// Files refused, and files that could not be written.
    pub(crate) failures: u64,
}

/// A file under way.
struct Writing {
    writer: Option<Writer<Outbox>>,
    cursor: DbCursor,
    /// What the thread says when it is done: records, or why not.
    done: Receiver<Result<(), String>>,
}

/// Bytes on their way to the thread.
struct Outbox {
    piece: Vec<u8>,
    thread: SyncSender<Piece>,
    waiting: usize,
}

enum Piece {
    Bytes(Vec<u8>),
    /// The file is whole.
    End,
}

impl Outbox {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        // Never waits: a slice ends long before as many pieces as fit.
        let sent = self.thread.try_send(piece);
        sent.map_err(|_| io::Error::other("the disk does not keep up"))
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            let piece = std::mem::take(&mut self.piece);
            self.send(Piece::Bytes(piece))?;
            self.waiting += 1;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.send(Piece::Bytes(piece))?;
        self.send(Piece::End)
    }
}

/// The place beside a file where it is written.
fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{word}", std::process::id()));
    PathBuf::from(name)
}

/// What the thread does: writes what comes, and puts the file in its place when it is whole.
fn write_pieces(path: &Path, pieces: &Receiver<Piece>) -> Result<(), String> {
    let place = beside(path, "part");
    let write = || -> io::Result<bool> {
        let mut file = File::create(&place)?;
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => file.write_all(&bytes)?,
                Piece::End => {
                    file.sync_all()?;
                    fs::rename(&place, path)?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    let written = write();
    if !matches!(written, Ok(true)) {
        // Nobody wants a part of a file.
        let _ = fs::remove_file(&place);
    }
    written.map(drop).map_err(|error| error.to_string())
}

impl StateFile {
    /// Reads the file that the configuration names, if there is one, and says so.
    pub(crate) fn open(&mut self, ctx: Ctx<'_>, path: Option<&Path>) {
        // CONFIG SET dir must not take it elsewhere.
        let Some(path) = path.and_then(|path| std::path::absolute(path).ok()) else {
            return;
        };
        match restore(&path) {
            Ok(Some((reader, count))) => {
                let line = format!("state file: heat and pins of {count} keys will be restored");
                ctx.log(LogLevel::Notice, &line);
                self.restoring = Some(reader);
            }
            Ok(None) => {}
            Err(error) => {
                self.counts.failures += 1;
                let line = format!("state file ignored: {error}");
                if error.is_anothers() {
                    let line = format!("{line}; it is left alone, and heat and pins are not kept");
                    ctx.log(LogLevel::Warning, &line);
                    return;
                }
                ctx.log(LogLevel::Warning, &line);
            }
        }
        self.path = Some(path);
    }

    /// What it did so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A word for what it does now.
    pub(crate) fn state(&self) -> &'static str {
        match (&self.path, &self.restoring, &self.writing) {
            (None, ..) => "off",
            (_, Some(_), _) => "restoring",
            (_, _, Some(_)) => "writing",
            _ => "waiting",
        }
    }

    /// Goes on with what is to be restored or written, with a part of the time that is left.
    pub(crate) fn step(&mut self, reach: &mut Reach<'_>, left: &mut Budget, interval_ms: u64) {
        if self.path.is_none() || left.is_exhausted() {
            return;
        }
        let (begun, most_us) = (Instant::now(), left.time_us / SHARE);
        let has_time = || (begun.elapsed().as_micros() as u64) < most_us;
        let now_ms = crate::strategy::View::now_ms(reach);
        if now_ms < FIRST_MS {
            return;
        }
        if self.restoring.is_some() {
            self.restore_some(reach, &has_time);
            self.last_ms = now_ms;
        } else if self.writing.is_some() {
            self.write_some(reach, &has_time);
        } else if now_ms >= self.last_ms.saturating_add(interval_ms) {
            self.last_ms = now_ms;
            self.begin_writing();
        }
        left.spend_time(begun.elapsed().as_micros() as u64);
    }

    fn restore_some(&mut self, reach: &mut Reach<'_>, has_time: &dyn Fn() -> bool) {
        while has_time() {
            for _ in 0..SLICE {
                let next = self.restoring.as_mut().map(Reader::next_record);
                match next {
                    Some(Ok(Some(record))) => {
                        self.counts.restored += u64::from(give(reach, &record));
                    }
                    // It was whole at the load: whoever changed it since has ended it.
                    Some(Ok(None) | Err(_)) | None => {
                        let line = format!("state file: {} keys restored", self.counts.restored);
                        reach.ctx.log(LogLevel::Notice, &line);
                        self.restoring = None;
                        return;
                    }
                }
            }
        }
    }

    fn begin_writing(&mut self) {
        let Some(path) = self.path.clone() else {
            return;
        };
        let (pieces, inbox) = sync_channel(PIECES_MAX);
        let (answer, done) = sync_channel(1);
        let work = move || {
            // Nobody listens any more where the server is on its way out.
            let _ = answer.send(write_pieces(&path, &inbox));
        };
        let name = thread::Builder::new().name("numa-state".to_owned());
        let outbox = Outbox {
            piece: Vec::new(),
            thread: pieces,
            waiting: 0,
        };
        let writer = Writer::begin(outbox, unix_ms());
        match (name.spawn(work), writer) {
            (Ok(_), Ok(writer)) => {
                self.writing = Some(Writing {
                    writer: Some(writer),
                    cursor: DbCursor::default(),
                    done,
                });
            }
            _ => self.counts.failures += 1,
        }
    }

    fn write_some(&mut self, reach: &mut Reach<'_>, has_time: &dyn Fn() -> bool) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        match writing.done.try_recv() {
            Ok(Ok(())) => self.counts.saves += 1,
            Ok(Err(reason)) => {
                self.counts.failures += 1;
                let line = format!("state file not written: {reason}");
                reach.ctx.log(LogLevel::Warning, &line);
            }
            Err(TryRecvError::Disconnected) => self.counts.failures += 1,
            Err(TryRecvError::Empty) => {
                writing.walk(reach.ctx, reach.server, &reach.clock, has_time);
                return;
            }
        }
        self.writing = None;
    }

    /// Writes a file in one go: the server is about to end.
    pub(crate) fn finish(&mut self, ctx: Ctx<'_>, server: &'static Server, clock: &Clock) {
        // What is half restored would be half lost.
        if self.restoring.is_some() {
            return;
        }
        self.writing = None;
        let Some(path) = &self.path else { return };
        match write_all(path, ctx, server, clock) {
            Ok(count) => {
                let line = format!("state file: heat and pins of {count} keys written");
                ctx.log(LogLevel::Notice, &line);
            }
            Err(error) => {
                let line = format!("state file not written: {error}");
                ctx.log(LogLevel::Warning, &line);
            }
        }
    }
}

impl Writing {
    /// Passes keys until the time is over, or the thread has enough to do; ends the file with the
    /// last of them.
    fn walk(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        clock: &Clock,
        has_time: &dyn Fn() -> bool,
    ) {
        let Some(mut writer) = self.writer.take() else {
            return; // the thread has all of it
        };
        writer.output().waiting = 0;
        while has_time() && writer.output().waiting < PIECES_AHEAD {
            match walk_some(&mut self.cursor, &mut writer, ctx, server, clock) {
                Ok(false) => {}
                Ok(true) => {
                    // An error shows as a thread that says it has no whole file.
                    let _ = writer.end();
                    return;
                }
                Err(_) => return,
            }
        }
        self.writer = Some(writer);
    }
}

/// Writes of some keys more; whether they were the last.
fn walk_some<W: Write>(
    cursor: &mut DbCursor,
    writer: &mut Writer<W>,
    ctx: Ctx<'_>,
    server: &'static Server,
    clock: &Clock,
) -> io::Result<bool> {
    let mut written = Ok(());
    let step = cursor.walk(ctx, SLICE, &mut |db, name, key| {
        if written.is_ok() {
            if let Some(record) = super::reach::state_of(server, db, name, key, clock) {
                written = writer.record(&record);
            }
        }
    });
    written.map(|()| step.wrapped)
}

fn write_all(path: &Path, ctx: Ctx<'_>, server: &'static Server, clock: &Clock) -> io::Result<u64> {
    let place = beside(path, "last");
    let write = || {
        let out = BufWriter::new(File::create(&place)?);
        let mut writer = Writer::begin(out, unix_ms())?;
        let mut cursor = DbCursor::default();
        while !walk_some(&mut cursor, &mut writer, ctx, server, clock)? {}
        let (out, count) = writer.end()?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        fs::rename(&place, path)?;
        Ok(count)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&place);
    }
    written
}

/// A reader at the first record of a sound file, and how many it has; nothing where there is no
/// file yet.
#[expect(
    clippy::type_complexity,
    reason = "a reader of the one kind of file there is"
)]
fn restore(path: &Path) -> Result<Option<(Reader<BufReader<File>>, u64)>, BadState> {
    // Looked at before it is opened: to open a pipe is to wait for who writes to it.
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => match found?.is_file() {
            true => {}
            false => return Err(BadState::NotAFile),
        },
    }
    let open = || File::open(path).map(BufReader::new);
    let now_ms = unix_ms();
    let count = state::check(open()?, now_ms)?;
    Ok(Some((Reader::begin(open()?, now_ms)?, count)))
}

fn unix_ms() -> u64 {
    Ctx::unix_ms().unsigned_abs()
}

/// Gives a key what the file says of it; whether it took it. One that has been used more since, or
/// is gone, or is of the other plane now, keeps what it has.
fn give(reach: &mut Reach<'_>, record: &Record) -> bool {
    let Some(info) = Keyspace::look(reach, &record.key) else {
        return false;
    };
    match (record.plane, info.plane) {
        (Plane::Numa, Plane::Numa) => {}
        (Plane::Native, Plane::Native) => {
            return give_native(reach, record);
        }
        _ => return false,
    }
    let more = info.accesses <= u64::from(record.accesses);
    if more {
        let ticks = record.idle_ms / TICK_MS as u32;
        let (level, counter, accesses) = (record.level, record.counter, record.accesses);
        let heat = Heat::restored(&reach.clock, level, counter, accesses, ticks);
        reach.warm(&record.key, heat);
    }
    let pin = record.pinned && !info.pinned;
    if pin {
        if crate::strategy::View::nodes(reach).contains(&record.node) {
            reach.move_by_hand(&record.key, record.node);
        }
        reach.pin(&record.key);
    }
    more || pin
}

/// The same for a native key; a tick brings a pinned one to its node.
fn give_native(reach: &Reach<'_>, record: &Record) -> bool {
    let Some(native) = reach.server.native.get() else {
        return false;
    };
    native.recall(&record.key.name, record.counter);
    let there = crate::strategy::View::nodes(reach).contains(&record.node);
    if record.pinned && there && native.pin_of(&record.key).is_none() {
        native.pin(&record.key, record.node);
    }
    true
}

/// A record of a key that is worth one.
pub(super) fn record(
    key: (DbIndex, &[u8]),
    info: &crate::migrate::KeyInfo,
    heat: Heat,
    idle_ms: u64,
) -> Option<Record> {
    let used = heat.accesses > 0 || info.plane == Plane::Native && heat.counter > 0;
    (used || info.pinned).then(|| Record {
        key: crate::migrate::KeyRef::new(key.0, key.1),
        node: info.node,
        plane: info.plane,
        pinned: info.pinned,
        level: heat.level,
        counter: heat.counter,
        accesses: heat.accesses,
        idle_ms: u32::try_from(idle_ms).unwrap_or(u32::MAX),
    })
}
