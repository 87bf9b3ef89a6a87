//! The keyspace as strategies, passes and the mover see it: the traits of the lower floors on the
//! server's real keys.
//!
//! Nothing here uses a key: heat, LRU and hit counts stay as they are, no event is given, nothing
//! is replicated. While the server's cursor is inside a bucket no key is changed: a scan only
//! looks, moves come after it.

use super::raw::{thread_cpu_ns, Ctx, Key, KeyKind, Mode, Name, ServerCursor};
use super::server::Server;
use super::string_key::{Holds, StringKey};
use super::survey::Survey;
use crate::config::Config;
use crate::heat::Clock;
use crate::ids::{Bytes, DbIndex, NodeId};
use crate::machine::os_page;
use crate::migrate::{
    carry_out, Budget, CursorId, KeyInfo, KeyRef, Keyspace, Kind, MoveStats, Outcome, Plane,
    Report, ScanStep, Usage,
};
use crate::strategy::{Engine, Params, Plan, View};
use crate::value::{raw, NumaString};
use std::time::Instant;

/// Empty buckets that a scan may step over for each key it was asked for.
const EMPTY_BUCKETS_PER_KEY: usize = 8;
/// Databases a server may have, as far as we look for them.
const DATABASES_MAX: u32 = 1 << 16;

/// Where the endless walk and a pass stand.
#[derive(Default)]
pub(crate) struct Cursors {
    survey: DbCursor,
    pass: DbCursor,
}

/// A cursor over one database or over all of them.
#[derive(Default)]
pub(crate) struct DbCursor {
    db: u32,
    only: Option<u32>,
    cursor: Option<ServerCursor>,
}

impl DbCursor {
    /// Goes on for about `max` keys, showing the NUMA strings among them; `each` changes no key.
    pub(crate) fn walk(
        &mut self,
        ctx: Ctx<'_>,
        server: &Server,
        max: usize,
        each: &mut dyn FnMut(DbIndex, &[u8], &NumaString),
    ) -> ScanStep {
        if self.cursor.is_none() {
            self.cursor = ServerCursor::new();
        }
        let mut step = ScanStep::default();
        let mut buckets = max.saturating_mul(EMPTY_BUCKETS_PER_KEY);
        while step.scanned < max && buckets > 0 {
            buckets -= 1;
            let db = DbIndex(self.db);
            let Some(cursor) = self.cursor.as_mut().filter(|_| ctx.select_db(db.0)) else {
                step.wrapped = true;
                break;
            };
            let more = cursor.step(ctx, &mut |name, key| {
                step.scanned += 1;
                with_scanned(server, &key, &mut |value| each(db, name.bytes(), value));
            });
            if !more && self.next_db(ctx) {
                step.wrapped = true;
                break;
            }
        }
        step
    }

    pub(crate) fn rewind(&mut self, only: Option<u32>) {
        self.only = only;
        self.db = only.unwrap_or(0);
        if let Some(cursor) = &mut self.cursor {
            cursor.restart();
        }
    }

    /// Goes on to the next database; true when that was the last.
    fn next_db(&mut self, ctx: Ctx<'_>) -> bool {
        if let Some(cursor) = &mut self.cursor {
            cursor.restart();
        }
        let next = self.db + 1;
        if self.only.is_none() && next < DATABASES_MAX && ctx.select_db(next) {
            self.db = next;
            return false;
        }
        self.db = self.only.unwrap_or(0);
        true
    }
}

impl Cursors {
    /// The endless walk begins anew; a pass goes on where it is.
    pub(crate) fn restart_survey(&mut self) {
        self.survey = DbCursor::default();
    }

    fn of(&mut self, id: CursorId) -> &mut DbCursor {
        match id {
            CursorId::Survey => &mut self.survey,
            CursorId::Pass => &mut self.pass,
        }
    }
}

/// See the head of the file.
pub(crate) struct Reach<'c> {
    pub(crate) ctx: Ctx<'c>,
    pub(crate) server: &'static Server,
    pub(crate) cursors: &'c mut Cursors,
    pub(crate) survey: &'c mut Survey,
    pub(crate) stats: &'c mut MoveStats,
    pub(crate) config: &'c Config,
    pub(crate) started: Instant,
    pub(crate) home: NodeId,
    /// The clock of heat as the tick set it.
    pub(crate) clock: Clock,
    /// Whether the endless walk went on since this was made.
    pub(crate) walked: bool,
}

impl Reach<'_> {
    fn info(&self, value: &NumaString) -> KeyInfo {
        info_of(value, &self.clock)
    }

    fn open<'k>(&'k self, name: Name<'k>) -> StringKey<'k> {
        StringKey::open(self.server, self.ctx, name, Mode::Quiet)
    }

    fn at<R>(&self, key: &KeyRef, work: impl FnOnce(&StringKey<'_>) -> R) -> Option<R> {
        if !self.ctx.select_db(key.db.0) {
            return None;
        }
        let name = self.ctx.string(&key.name)?;
        let open = self.open(name.name());
        Some(work(&open))
    }

    /// Moves a key because a user said so: a pin does not hold against its owner.
    pub(crate) fn move_by_hand(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let node = Keyspace::look(self, key).map(|info| info.node);
        if node == Some(to) {
            return Outcome::AlreadyThere;
        }
        self.copy_to(key, to)
    }

    /// Copies a key's value to a node, even to the one it is believed to lie on.
    pub(crate) fn copy_to(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let copied = self.at(key, |open| match open.holds() {
            Holds::Nothing => Outcome::Missing,
            Holds::Other => Outcome::Unsupported,
            Holds::Numa => copy(open, to),
        });
        copied.unwrap_or(Outcome::Missing)
    }

    /// The memory of the value at a key: its first byte's address and its length.
    pub(crate) fn memory_of(&self, key: &KeyRef) -> Option<(usize, usize)> {
        self.at(key, |open| {
            open.look(|value| span(value.addr(), value.memory()))
        })?
    }
}

/// The memory of a block at `addr` that takes `size` bytes. One of whole OS pages begins where its
/// first OS page does: a large one keeps its length in front of what it was made for, and one of a
/// slab lies there anyway.
fn span(addr: usize, size: usize) -> (usize, usize) {
    let page = os_page().as_usize();
    let ahead = if size.is_multiple_of(page) {
        addr % page
    } else {
        0
    };
    (addr - ahead, size)
}

/// What is known of a value.
fn info_of(value: &NumaString, clock: &Clock) -> KeyInfo {
    let heat = value.heat();
    KeyInfo {
        node: value.node(),
        bytes: Bytes::from(value.memory()),
        level: heat.level(clock),
        score: heat.score(clock),
        idle_ms: heat.idle_ms(clock),
        accesses: heat.accesses.into(),
        pinned: value.pinned(),
        kind: Kind::String,
        plane: Plane::Numa,
    }
}

/// Shows the NUMA string behind a scanned key, if there is one.
fn with_scanned(server: &Server, key: &Key<'_>, each: &mut dyn FnMut(&NumaString)) {
    match key.kind() {
        KeyKind::Module(kind) if kind == server.string_kind() => {}
        _ => return,
    }
    if let Some(value) = key.module_value() {
        // SAFETY: the server's pointer of our type, live while its scan callback runs.
        let value = unsafe { raw::borrow(value, server.pool) };
        each(&value);
    }
}

impl Keyspace for Reach<'_> {
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        let info = self.at(key, |open| open.look(|value| self.info(value)))?;
        #[cfg(feature = "broken-mover")]
        let info = info.map(|mut info| {
            info.node = super::broken::claimed(&key.name, info.node);
            info
        });
        info
    }

    fn relocate(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let moved = self.at(key, |open| match open.holds() {
            Holds::Nothing => Outcome::Missing,
            Holds::Other => Outcome::Unsupported,
            Holds::Numa => relocate(open, to),
        });
        moved.unwrap_or(Outcome::Missing)
    }

    fn release(&mut self, key: &KeyRef) -> Outcome {
        let released = self.at(key, |open| super::convert::to_native(self.ctx, open));
        released.unwrap_or(Outcome::Missing)
    }

    fn scan(
        &mut self,
        id: CursorId,
        max: usize,
        each: &mut dyn FnMut(&KeyRef, KeyInfo),
    ) -> ScanStep {
        let (ctx, server, clock) = (self.ctx, self.server, &self.clock);
        let at = self.cursors.of(id);
        at.walk(ctx, server, max, &mut |db, name, value| {
            each(&KeyRef::new(db, name), info_of(value, clock));
        })
    }

    fn rewind(&mut self, id: CursorId, db: Option<DbIndex>) {
        self.cursors.of(id).rewind(db.map(|db| db.0));
    }

    fn keys(&self, db: Option<DbIndex>) -> u64 {
        let size = |db| {
            if self.ctx.select_db(db) {
                Some(self.ctx.db_size())
            } else {
                None
            }
        };
        match db {
            Some(db) => size(db.0).unwrap_or(0),
            None => (0..DATABASES_MAX).map_while(size).sum(),
        }
    }
}

fn relocate(open: &StringKey<'_>, to: NodeId) -> Outcome {
    match open.look(|value| (value.node(), value.pinned())) {
        None => Outcome::Missing,
        Some((node, _)) if node == to => Outcome::AlreadyThere,
        Some((_, true)) => Outcome::Pinned,
        Some(_) => copy(open, to),
    }
}

fn copy(open: &StringKey<'_>, to: NodeId) -> Outcome {
    match open.relocate(to) {
        Some(Ok(bytes)) => Outcome::Moved {
            bytes: Bytes::from(bytes),
        },
        Some(Err(_)) => Outcome::NoRoom,
        None => Outcome::Busy,
    }
}

impl View for Reach<'_> {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn cpu_us(&self) -> u64 {
        thread_cpu_ns() / 1000
    }

    fn home(&self) -> NodeId {
        self.home
    }

    fn nodes(&self) -> Vec<NodeId> {
        let topology = self.server.machine.topology();
        let allowed = |node: &NodeId| topology.node(*node).is_some_and(|node| node.allowed);
        topology
            .nearest_first(self.home)
            .into_iter()
            .filter(allowed)
            .collect()
    }

    fn usage(&self, node: NodeId) -> Usage {
        let usage = self.server.pool.usage(node);
        Usage {
            used: usage.live,
            limit: self.server.most_of(node),
        }
    }

    fn take_hot(&mut self, max: usize) -> Vec<KeyRef> {
        self.server
            .pulse
            .with(|pulse| pulse.take_noticed(max))
            .unwrap_or_default()
    }

    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        Keyspace::look(self, key)
    }

    fn scan(&mut self, max: usize, each: &mut dyn FnMut(&KeyRef, KeyInfo)) -> ScanStep {
        let mut seen = Vec::new();
        let step = Keyspace::scan(self, CursorId::Survey, max, &mut |key, info| {
            each(key, info);
            seen.push(info);
        });
        seen.iter().for_each(|info| self.survey.note(info));
        self.walked = true;
        if step.wrapped {
            self.survey.finish(self.now_ms());
        }
        step
    }

    fn params(&self) -> Params {
        let composite = &self.config.composite;
        Params {
            watermark_high: self.config.watermark_high,
            watermark_low: self.config.watermark_low,
            migrate_hotness_threshold: composite.migrate_hotness_threshold,
            stability_count: composite.stability_count,
            hot_candidates_size: composite.hot_candidates_size,
            scan_batch_size: composite.scan_batch_size,
            overload_threshold: composite.overload_threshold as f32,
            pressure_threshold: composite.pressure_threshold as f32,
            auto_migrate_enabled: composite.auto_migrate_enabled,
        }
    }
}

impl Engine for Reach<'_> {
    fn carry(&mut self, plan: Plan, budget: &mut Budget) -> Report {
        let started = self.started;
        let clock = move || started.elapsed().as_micros() as u64;
        let mut stats = *self.stats;
        let report = carry_out(plan.into_moves(), self, budget, &clock, &mut stats);
        *self.stats = stats;
        report
    }

    fn view(&mut self) -> &mut dyn View {
        self
    }
}
