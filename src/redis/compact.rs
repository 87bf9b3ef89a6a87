//! Compaction: what deletes left in pieces goes back whole, a little a tick.
//!
//! ```text
//!   Resting -- asked, or wasteful --> Choosing -- every bin --> Walking -- every key --> Resting
//! ```
//!
//! The pool chooses slabs that are to empty (`pool/compact`), and cannot move their blocks: the
//! server keeps their addresses. So a walk over the keyspace asks of each value whether it lies in
//! such a slab, and makes those anew on the node that they lie on. As a move between nodes, it is
//! no use of the key, gives no event and is not replicated; a pin does not hold against it, for the
//! value stays on its node. It takes what a tick's budget leaves, and makes the share of the main
//! thread grow as a shift of the hot set does (`pace`). Invariant:
//!
//! > slabs are leaving only while this is choosing or walking
//!
//! It begins by itself where [`WASTE_PERCENT`] of what the pool holds is not live; a round after
//! which that is still so, or which a command asked for, is followed by another only after
//! [`PAUSE_MS`], unless it has moved something.
//!
//! Only strings are made anew; a block of a list, hash or set that lies in such a slab keeps it.
//!
//! Rejected: moving along with the strategies' walk, which looks at 64 keys a tick and takes
//! minutes, and an index from blocks to keys, which every command would have to keep in step.

use super::numa_key::AnyKey;
use super::raw::{Ctx, Mode};
use super::reach::{string_address, DbCursor};
use super::server::Server;
use crate::ids::Bytes;
use crate::migrate::{Budget, KeyRef, Kind};
use crate::pool::Turn;
use crate::value::Value;
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

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Compactor {
    state: State,
    cursor: DbCursor,
    asked: bool,
    resting_until_ms: u64,
    moved_in_round: u64,
    /// Whole rounds so far.
    pub(crate) rounds: u64,
    /// Values made anew so far.
    pub(crate) moved: u64,
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
                _ => self.walk(ctx, server, left, now_ms),
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
                State::Walking
            }
        };
    }

    fn walk(&mut self, ctx: Ctx<'_>, server: &'static Server, left: &mut Budget, now_ms: u64) {
        let mut keys = Vec::new();
        let step = self.cursor.walk(ctx, SLICE_KEYS, &mut |db, name, key| {
            if string_address(server, key).is_some_and(|addr| server.pool.is_leaving(addr)) {
                keys.push(KeyRef::new(db, name.bytes()));
            }
        });
        for key in keys {
            if let Some(bytes) = make_anew(ctx, server, &key) {
                left.bytes -= bytes;
                self.moved_in_round += 1;
            }
        }
        if step.wrapped {
            self.finish(server, now_ms);
        }
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

/// Makes a value anew on its own node, if it still lies in a slab that is to empty; its bytes.
fn make_anew(ctx: Ctx<'_>, server: &'static Server, key: &KeyRef) -> Option<Bytes> {
    if !ctx.select_db(key.db.0) {
        return None;
    }
    let name = ctx.string(&key.name)?;
    let open = AnyKey::open(server, ctx, name.name(), Mode::Quiet);
    let place = |value: &dyn Value| {
        value
            .root()
            .block()
            .map(|block| (block.addr(), block.node()))
    };
    let (addr, node) = open.look(place)??;
    if open.numa_kind() != Some(Kind::String) || !server.pool.is_leaving(addr) {
        return None;
    }
    let step = open.relocate(node, usize::MAX)?.ok()?;
    Some(Bytes::from(step.bytes))
}
