//! Compaction: what deletes left in pieces goes back whole, a little a tick.
//!
//! ```text
//!   Resting -- asked, or wasteful --> Choosing -- every bin --> Walking -- every key --> Resting
//! ```
//!
//! The pool chooses slabs that are to empty (`pool/compact`), and cannot move their blocks: values
//! keep their addresses. So a walk over the keyspace asks each value that has blocks there to make
//! those anew (`Value::compact`) on the nodes that they lie on, a big one in slices, and to close
//! up what deletes left between its entries. As a move between nodes, it is no use of the key,
//! gives no event and is not replicated; a pin does not hold against it, for the value stays on its
//! node. It takes what a tick's budget leaves, and makes the share of the main thread grow as a
//! shift of the hot set does (`pace`). Invariants:
//!
//! > slabs are leaving only while this is choosing or walking; keys that wait were seen by one look
//! > of the walk, some hundred at most
//!
//! It begins by itself where [`WASTE_PERCENT`] of what the pool holds is not live; a round after
//! which that is still so, or which a command asked for, is followed by another only after
//! [`PAUSE_MS`], unless it has moved something.
//!
//! Rejected: moving along with the strategies' walk, which looks at 64 keys a tick and takes
//! minutes, and an index from blocks to keys, which every command would have to keep in step.

use super::numa_key::AnyKey;
use super::raw::{Ctx, Key, Mode};
use super::reach::{look_scanned, DbCursor};
use super::server::Server;
use super::slices::SLICE_BYTES;
use crate::ids::Bytes;
use crate::migrate::{Budget, KeyRef};
use crate::pool::Turn;
use crate::value::{Compacted, Value};
use std::collections::VecDeque;
use std::time::Instant;

/// Of the bytes held, the share that must not be live before this begins by itself.
const WASTE_PERCENT: u64 = 10;
/// And the least amount: each class has a slab that is partly used.
const WASTE_MIN: Bytes = Bytes::mib(8);
/// How long a round that gained nothing is the last.
const PAUSE_MS: u64 = 60_000;
/// Keys looked at between two looks at the clock.
const SLICE_KEYS: usize = 64;

/// What it is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Resting,
    Choosing(Turn),
    Walking,
}

/// A key whose value is compacted, slice by slice.
struct Waiting {
    key: KeyRef,
    /// Where the next slice goes on.
    from: u64,
    /// Whether anything was made anew.
    moved: bool,
}

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Compactor {
    state: State,
    cursor: DbCursor,
    waiting: VecDeque<Waiting>,
    /// The walk has come round: what waits is the last.
    wrapped: bool,
    asked: bool,
    resting_until_ms: u64,
    moved_in_round: u64,
    /// Whole rounds so far.
    pub(crate) rounds: u64,
    /// Values made anew so far, wholly or in part.
    pub(crate) moved: u64,
    /// Bytes made anew so far.
    pub(crate) moved_bytes: Bytes,
}

/// Bytes that the pool holds, in slabs and large blocks, and those of them that are live.
fn held_and_live(server: &Server) -> (Bytes, Bytes) {
    let usages = server
        .machine
        .topology()
        .ids()
        .map(|id| server.pool.usage(id));
    usages.fold((Bytes::ZERO, Bytes::ZERO), |(held, live), usage| {
        (held + usage.held, live + usage.live)
    })
}

fn is_wasteful(server: &Server) -> bool {
    let (held, live) = held_and_live(server);
    held - live >= WASTE_MIN.max(held.percent(WASTE_PERCENT))
}

impl Compactor {
    /// The next round begins with the next tick that has time for it.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    /// The word in reports.
    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::Resting if self.asked => "asked",
            State::Resting => "none",
            State::Choosing(_) => "choosing",
            State::Walking => "walking",
        }
    }

    /// Goes on within the budget; whether there is more to do.
    pub(crate) fn step(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        left: &mut Budget,
        now_ms: u64,
    ) -> bool {
        if self.state == State::Resting {
            self.begin_when_due(server, now_ms);
        }
        let begun = Instant::now();
        let budget_us = left.time_us;
        while !left.is_exhausted() && self.state != State::Resting {
            match self.state {
                State::Choosing(turn) => self.choose(server, turn),
                _ => self.go_on(ctx, server, left, now_ms),
            }
            let used_us = begun.elapsed().as_micros() as u64;
            left.time_us = budget_us.saturating_sub(used_us);
        }
        self.state != State::Resting
    }

    fn begin_when_due(&mut self, server: &'static Server, now_ms: u64) {
        let due = now_ms >= self.resting_until_ms && is_wasteful(server);
        if self.asked || due {
            self.asked = false;
            self.moved_in_round = 0;
            self.state = State::Choosing(Turn::default());
        }
    }

    fn choose(&mut self, server: &'static Server, turn: Turn) {
        self.state = match server.pool.choose_leaving(turn) {
            Some(next) => State::Choosing(next),
            None => {
                self.cursor.rewind(None);
                self.wrapped = false;
                State::Walking
            }
        };
    }

    /// One slice of a value that waits, or the next look of the walk.
    fn go_on(&mut self, ctx: Ctx<'_>, server: &'static Server, left: &mut Budget, now_ms: u64) {
        if let Some(waiting) = self.waiting.pop_front() {
            left.bytes -= self.compact_slice(ctx, server, waiting);
        } else if self.wrapped {
            self.finish(server, now_ms);
        } else {
            self.walk(ctx, server);
        }
    }

    fn walk(&mut self, ctx: Ctx<'_>, server: &'static Server) {
        let waiting = &mut self.waiting;
        let step = self.cursor.walk(ctx, SLICE_KEYS, &mut |db, name, key| {
            if is_concerned(server, key) {
                let (key, from, moved) = (KeyRef::new(db, name.bytes()), 0, false);
                waiting.push_back(Waiting { key, from, moved });
            }
        });
        self.wrapped = step.wrapped;
    }

    fn compact_slice(
        &mut self,
        ctx: Ctx<'_>,
        server: &'static Server,
        mut waiting: Waiting,
    ) -> Bytes {
        let Some(step) = compact(ctx, server, &waiting) else {
            return Bytes::ZERO;
        };
        let bytes = Bytes::from(step.bytes);
        self.moved_bytes += bytes;
        if step.bytes > 0 && !waiting.moved {
            waiting.moved = true;
            self.moved_in_round += 1;
        }
        if let Some(from) = step.next {
            waiting.from = from;
            self.waiting.push_front(waiting);
        }
        bytes
    }

    fn finish(&mut self, server: &'static Server, now_ms: u64) {
        server.pool.recall_leaving();
        self.rounds += 1;
        self.moved += self.moved_in_round;
        self.state = State::Resting;
        if self.moved_in_round == 0 {
            self.resting_until_ms = now_ms + PAUSE_MS;
        }
    }
}

/// Whether the value behind a scanned key may have a block that is to be made anew.
fn is_concerned(server: &Server, key: &Key<'_>) -> bool {
    let concerned = |value: &dyn Value| value.root().is_leaving() || value.blocks() > 1;
    look_scanned(server, key, concerned).unwrap_or(false)
}

/// The next slice of a value, if there still is one at the key.
fn compact(ctx: Ctx<'_>, server: &'static Server, waiting: &Waiting) -> Option<Compacted> {
    // To open a key whose time is up is to delete it, which is for clients to see to.
    let native = server.native.get();
    if !ctx.select_db(waiting.key.db.0)
        || native.is_some_and(|native| native.is_gone(ctx, &waiting.key))
    {
        return None;
    }
    let name = ctx.string(&waiting.key.name)?;
    let open = AnyKey::open(server, ctx, name.name(), Mode::Quiet);
    open.compact(waiting.from, SLICE_BYTES)
}
