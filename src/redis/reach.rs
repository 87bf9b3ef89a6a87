//! The keyspace as strategies, passes and the mover see it: the traits of the lower floors on the
//! server's real keys.
//!
//! Nothing here uses a key: heat, LRU and hit counts stay as they are, no event is given, nothing
//! is replicated. While the server's cursor is inside a bucket no key is changed: a scan only
//! looks, moves come after it.

use super::native::Native;
use super::numa_key::AnyKey;
use super::raw::{thread_cpu_ns, Ctx, Key, KeyKind, Mode, Name, ServerCursor};
use super::server::Server;
use super::slices::{Slices, SLICE_BYTES};
use super::survey::Survey;
use super::types::with_any;
use crate::config::{Config, NativeKeys};
use crate::heat::{Clock, Heat};
use crate::ids::{Bytes, DbIndex, NodeId, SlotIndex};
use crate::machine::os_page;
use crate::migrate::state::Record;
use crate::migrate::{
    carry_out, Budget, CursorId, KeyInfo, KeyRef, Keyspace, Kind, Move, MoveStats, Outcome, Plane,
    Report, ScanStep, Usage,
};
use crate::pool::OutOfMemory;
use crate::strategy::{Engine, Params, Plan, View};
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// The slot whose walk is the module's own.
const CENSUS_SLOT: SlotIndex = SlotIndex::AUTOMATIC;
/// Empty buckets that a scan may step over for each key it was asked for.
const EMPTY_BUCKETS_PER_KEY: usize = 8;
/// Keys for which room is made before the endless walk goes on.
const SEEN_AT_ONCE: usize = 64;
/// Pinned native keys that one tick looks at.
const PINS_PER_TICK: usize = 16;
/// Databases a server may have, as far as we look for them.
const DATABASES_MAX: u32 = 1 << 16;

/// Where the endless walk and a pass stand.
#[derive(Default)]
pub(crate) struct Cursors {
    survey: DbCursor,
    pass: DbCursor,
    /// Those of the slots that walk by themselves.
    slots: BTreeMap<SlotIndex, DbCursor>,
}

/// A cursor over one database or over all of them.
#[derive(Default)]
pub(crate) struct DbCursor {
    db: u32,
    only: Option<u32>,
    cursor: Option<ServerCursor>,
}

impl DbCursor {
    /// Goes on for about `max` keys; `each` changes none.
    pub(crate) fn walk(
        &mut self,
        ctx: Ctx<'_>,
        max: usize,
        each: &mut dyn FnMut(DbIndex, Name<'_>, &Key<'_>),
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
                each(db, name, &key);
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
        self.slots.clear();
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
    pub(crate) slices: &'c mut Slices,
    pub(crate) stats: &'c mut MoveStats,
    pub(crate) config: &'c Config,
    pub(crate) started: Instant,
    pub(crate) home: NodeId,
    /// The clock of heat as the tick set it.
    pub(crate) clock: Clock,
    /// Whether the endless walk went on since this was made.
    pub(crate) walked: bool,
    /// The slot that looks now, where it has a walk of its own.
    pub(crate) slot: Option<SlotIndex>,
}

impl Reach<'_> {
    fn open<'k>(&'k self, name: Name<'k>) -> AnyKey<'k> {
        AnyKey::open(self.server, self.ctx, name, Mode::Quiet)
    }

    fn at<R>(&self, key: &KeyRef, work: impl FnOnce(AnyKey<'_>) -> R) -> Option<R> {
        if !self.ctx.select_db(key.db.0) {
            return None;
        }
        // To open a key whose time is up is to delete it, which is for clients to see to.
        if self
            .server
            .native
            .get()
            .is_some_and(|native| native.is_gone(self.ctx, key))
        {
            return None;
        }
        let name = self.ctx.string(&key.name)?;
        Some(work(self.open(name.name())))
    }

    /// Moves a key because a user said so: a pin does not hold against its owner.
    pub(crate) fn move_by_hand(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let node = Keyspace::look(self, key).map(|info| info.node);
        if node == Some(to) {
            return Outcome::AlreadyThere;
        }
        let outcome = self.copy_to(key, to);
        let moved = matches!(outcome, Outcome::Moved { .. });
        if let Some(native) = self.server.native.get().filter(|_| moved) {
            if native.pin_of(key).is_some() {
                native.pin(key, to);
            }
        }
        outcome
    }

    /// Brings some pinned native keys back to their nodes, where they have left them; a pin whose
    /// key is gone goes too.
    pub(crate) fn hold_pins(&mut self, budget: &mut Budget) {
        let Some(native) = self.server.native.get().filter(|native| native.has_pins()) else {
            return;
        };
        let begun = Instant::now();
        for (key, node) in native.next_pins(PINS_PER_TICK) {
            match self.native(&key) {
                None => native.unpin(&key),
                Some(info) if info.node == node || budget.is_exhausted() => {}
                Some(_) => {
                    if let Some(Outcome::Moved { bytes }) = self.move_native_alone(&key, node) {
                        budget.bytes -= bytes;
                    }
                }
            }
        }
        budget.spend_time(begun.elapsed().as_micros() as u64);
    }

    /// How the move of a pinned native key ends, which is not made.
    fn pinned_native(&self, key: &KeyRef, to: NodeId) -> Option<Outcome> {
        self.server.native.get()?.pin_of(key)?;
        let info = self.native(key)?;
        Some(if info.node == to {
            Outcome::AlreadyThere
        } else {
            Outcome::Pinned
        })
    }

    /// Settles the native keys written since the last tick, with half of its time at most.
    pub(crate) fn settle_native(&mut self, budget: &mut Budget) {
        let Some(native) = self.server.native.get() else {
            return;
        };
        let (begun, most_us) = (Instant::now(), budget.time_us / 2);
        let spent_us = || begun.elapsed().as_micros() as u64;
        let moved = native.settle(self.ctx, self.server, self.stats, &|| spent_us() < most_us);
        budget.spend_time(spent_us());
        budget.bytes -= moved;
    }

    /// What is known of a native key; nothing where there is none of that name.
    fn native(&self, key: &KeyRef) -> Option<KeyInfo> {
        let native = self.server.native.get()?;
        let mut info = native.look(self.ctx, key, &self.clock)?;
        info.pinned |= native.pin_of(key).is_some();
        Some(info)
    }

    /// Hot native keys that lie far, of what commands have left: names, of any database.
    fn native_hot(&self) -> Vec<KeyRef> {
        let manages = self.config.native_keys == NativeKeys::Manage;
        let Some(native) = self.server.native.get().filter(|_| manages) else {
            return Vec::new();
        };
        let (names, databases) = (native.take_hot(), self.ctx.databases());
        let names = names.iter();
        if let [only] = databases[..] {
            // Whoever takes the key looks at it anyway.
            return names.map(|name| KeyRef::new(DbIndex(only), name)).collect();
        }
        let mut hot = Vec::new();
        for name in names {
            let keys = databases.iter().map(|db| KeyRef::new(DbIndex(*db), name));
            let far = |key: &KeyRef| self.native(key).is_some_and(|info| info.node != self.home);
            hot.extend(keys.filter(far));
        }
        hot
    }

    /// Moves a native key; nothing where there is none of that name.
    fn move_native(&self, key: &KeyRef, to: NodeId) -> Option<Outcome> {
        let room = |node, bytes| self.server.has_room_for(node, bytes);
        let native = self.server.native.get()?;
        native.relocate(self.ctx, key, to, &room)
    }

    /// The same for a move that comes alone.
    fn move_native_alone(&self, key: &KeyRef, to: NodeId) -> Option<Outcome> {
        let room = |node, bytes| self.server.has_room_for(node, bytes);
        let native = self.server.native.get()?;
        native.relocate_alone(self.ctx, key, to, &room)
    }

    /// Copies a key's value to a node, even to the one it is believed to lie on: its first slice
    /// now, the rest in the ticks to come.
    pub(crate) fn copy_to(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        if let Some(outcome) = self.move_native_alone(key, to) {
            return outcome;
        }
        let moved = self.at(key, |open| match refusal(&open) {
            Some(outcome) => (outcome, true),
            None => copy(&open, to),
        });
        let (outcome, done) = moved.unwrap_or((Outcome::Missing, true));
        if done {
            self.slices.forget(key);
        } else {
            self.slices.push(key, to);
        }
        outcome
    }

    /// Gives a NUMA key the heat that it had.
    pub(crate) fn warm(&mut self, key: &KeyRef, heat: Heat) {
        self.at(key, |open| open.set_heat(heat));
    }

    /// Pins a NUMA key to where it lies.
    pub(crate) fn pin(&mut self, key: &KeyRef) {
        self.at(key, |open| open.set_pinned(true));
    }

    /// Goes on with what is under way.
    pub(crate) fn continue_slices(&mut self, left: &mut Budget) {
        while !left.is_exhausted() {
            let Some((key, to)) = self.slices.pop() else {
                break;
            };
            let begun = Instant::now();
            let mut moved = Bytes::ZERO;
            if let Outcome::Moved { bytes } = self.copy_to(&key, to) {
                moved = bytes;
            }
            let spent_us = begun.elapsed().as_micros() as u64;
            self.stats.measure(0, moved, spent_us);
            left.spend_time(spent_us);
            left.bytes -= moved;
        }
    }

    /// Goes on with the walk of a slot that has its own: no report is made of what it sees.
    fn scan_apart(
        &mut self,
        slot: SlotIndex,
        max: usize,
        each: &mut dyn FnMut(&KeyRef, KeyInfo),
    ) -> ScanStep {
        let (ctx, server, clock) = (self.ctx, self.server, &self.clock);
        let mode = self.config.native_keys;
        let at = self.cursors.slots.entry(slot).or_default();
        at.walk(ctx, max, &mut |db, name, key| {
            let info = scanned_info(server, name, key, clock);
            if let Some(shown) = info.and_then(|info| as_managed(mode, info)) {
                each(&KeyRef::new(db, name.bytes()), shown);
            }
        })
    }

    /// Why the value at a key cannot be moved at all.
    pub(crate) fn stays(&self, key: &KeyRef, to: NodeId) -> Option<&'static str> {
        let native = self.server.native.get()?;
        Some(native.stays(self.ctx, key, to)?.text())
    }

    /// The memory of the value at a key: first byte and length of each block, or of about `most` of
    /// them, evenly spread, where there are more.
    pub(crate) fn memory_of(&self, key: &KeyRef, most: usize) -> Option<Vec<(usize, usize)>> {
        if let Some(native) = self.server.native.get() {
            if let Some(memory) = native.memory_of(self.ctx, key) {
                return Some(vec![memory]);
            }
        }
        self.at(key, |open| {
            open.look(|value| {
                let mut spans = Vec::new();
                value.sample_blocks(most, &mut |block| {
                    spans.push(span(block.addr(), block.size()));
                });
                spans
            })
        })?
    }
}

/// Why a key cannot be moved, if it cannot.
fn refusal(open: &AnyKey<'_>) -> Option<Outcome> {
    match (open.kind(), open.numa_kind()) {
        (KeyKind::Empty, _) => Some(Outcome::Missing),
        (_, None) => Some(Outcome::Unsupported),
        (_, Some(_)) => None,
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
fn info_of(value: &dyn Value, kind: Kind, clock: &Clock) -> KeyInfo {
    let heat = value.heat();
    KeyInfo {
        node: value.node(),
        bytes: Bytes::from(value.memory()),
        level: heat.level(clock),
        score: heat.score(clock),
        idle_ms: heat.idle_ms(clock),
        accesses: heat.accesses.into(),
        pinned: value.pinned(),
        kind,
        plane: Plane::Numa,
    }
}

/// What is known of the value behind a scanned key; nothing for one that is not placed.
fn scanned_info(server: &Server, name: Name<'_>, key: &Key<'_>, clock: &Clock) -> Option<KeyInfo> {
    let kind = match key.kind() {
        KeyKind::Module(handle) => server.types.kind_of(handle),
        _ => None,
    };
    let Some(kind) = kind else {
        return server.native.get()?.scanned(name.bytes(), key, clock);
    };
    let value = key.module_value()?;
    let info = |value: &dyn Value| info_of(value, kind, clock);
    // SAFETY: the server's pointer of our type, live while its scan callback runs.
    unsafe { with_any(kind, value, server.pool, info) }
}

/// What the state file says of a scanned key, where that is worth a record.
pub(super) fn state_of(
    server: &Server,
    db: DbIndex,
    name: Name<'_>,
    key: &Key<'_>,
    clock: &Clock,
) -> Option<Record> {
    let mut info = scanned_info(server, name, key, clock)?;
    let heat = match info.plane {
        Plane::Numa => look_scanned(server, key, |value| value.heat())?,
        Plane::Native => {
            let native = server.native.get()?;
            let pin = native.pin_of(&KeyRef::new(db, name.bytes()));
            info.pinned = pin.is_some();
            info.node = pin.unwrap_or(info.node);
            Heat {
                counter: native.counter(name.bytes()),
                ..Heat::default()
            }
        }
    };
    super::state_file::record((db, name.bytes()), &info, heat, info.idle_ms)
}

/// Looks at the NUMA value behind a scanned key; nothing for any other key.
pub(super) fn look_scanned<R>(
    server: &Server,
    key: &Key<'_>,
    look: impl FnOnce(&dyn Value) -> R,
) -> Option<R> {
    let kind = match key.kind() {
        KeyKind::Module(handle) => server.types.kind_of(handle)?,
        _ => return None,
    };
    let value = key.module_value()?;
    // SAFETY: the server's pointer of our type, live while its scan callback runs.
    unsafe { with_any(kind, value, server.pool, look) }
}

impl Keyspace for Reach<'_> {
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        if let Some(info) = self.native(key) {
            return Some(info);
        }
        let info = self.at(key, |open| {
            let kind = open.numa_kind()?;
            open.look(|value| info_of(value, kind, &self.clock))
        })?;
        #[cfg(feature = "broken-mover")]
        let info = info.map(|mut info| {
            info.node = super::broken::claimed(&key.name, info.node);
            info
        });
        info
    }

    fn relocate(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        let ended = self.pinned_native(key, to);
        if let Some(outcome) = ended.or_else(|| self.move_native(key, to)) {
            return outcome;
        }
        let held_back = self.at(key, |open| refusal(&open).or_else(|| stays(&open, to)));
        match held_back {
            None => Outcome::Missing,
            Some(Some(outcome)) => outcome,
            Some(None) => self.copy_to(key, to),
        }
    }

    fn expect(&mut self, moves: &[&Move], budget: &Budget) {
        if let Some(native) = self.server.native.get() {
            let room = |node, bytes| self.server.has_room_for(node, bytes);
            let free = |next: &&&Move| native.pin_of(&next.key).is_none();
            let free: Vec<&Move> = moves.iter().filter(free).copied().collect();
            native.expect(self.ctx, &free, budget.time_us, &room);
        }
    }

    fn release(&mut self, key: &KeyRef) -> Outcome {
        let released = self.at(key, |open| super::convert::to_native(self.ctx, &open));
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
        at.walk(ctx, max, &mut |db, name, key| {
            if let Some(mut info) = scanned_info(server, name, key, clock) {
                let key = KeyRef::new(db, name.bytes());
                let native = server.native.get();
                info.pinned |= native.is_some_and(|native| native.pin_of(&key).is_some());
                each(&key, info);
            }
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

/// Why a value stays where it is, if it does.
fn stays(open: &AnyKey<'_>, to: NodeId) -> Option<Outcome> {
    match open.look(|value| (value.node(), value.pinned())) {
        None => Some(Outcome::Missing),
        Some((node, _)) if node == to => Some(Outcome::AlreadyThere),
        Some((_, true)) => Some(Outcome::Pinned),
        Some(_) => None,
    }
}

/// Moves a slice; whether that was the last one.
fn copy(open: &AnyKey<'_>, to: NodeId) -> (Outcome, bool) {
    match open.relocate(to, SLICE_BYTES) {
        Some(Ok(step)) => {
            let bytes = Bytes::from(step.bytes);
            (Outcome::Moved { bytes }, step.done)
        }
        Some(Err(OutOfMemory)) => (Outcome::NoRoom, true),
        None => (Outcome::Busy, true),
    }
}

/// A key as strategies see it: native ones only where they are watched, and to be moved only
/// where they are managed.
fn as_managed(mode: NativeKeys, info: KeyInfo) -> Option<KeyInfo> {
    match (info.plane, mode) {
        (Plane::Numa, _) | (Plane::Native, NativeKeys::Manage) => Some(info),
        (Plane::Native, NativeKeys::Observe) => Some(KeyInfo {
            pinned: true,
            ..info
        }),
        (Plane::Native, NativeKeys::Off) => None,
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
        Usage {
            used: self.server.used_on(node),
            limit: self.server.most_of(node),
        }
    }

    fn take_hot(&mut self, max: usize) -> Vec<KeyRef> {
        if max == 0 {
            return Vec::new();
        }
        let noticed = self.server.pulse.with(|pulse| pulse.take_noticed(max));
        let mut hot = noticed.unwrap_or_default();
        hot.extend(self.native_hot());
        hot.truncate(max);
        hot
    }

    fn accesses(&self) -> (u64, u64) {
        let counted = self.server.pulse.with(|pulse| (pulse.near, pulse.far));
        let (near, far) = counted.unwrap_or_default();
        let native = self.server.native.get().map(Native::accesses);
        let (native_near, native_far) = native.unwrap_or_default();
        (near + native_near, far + native_far)
    }

    fn era_ms(&self) -> u64 {
        self.clock.era_ms()
    }

    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        let info = Keyspace::look(self, key)?;
        as_managed(self.config.native_keys, info)
    }

    fn enter(&mut self, slot: Option<SlotIndex>) {
        self.slot = slot.filter(|slot| *slot != CENSUS_SLOT);
    }

    fn latency_ns(&self, node: NodeId) -> u64 {
        let topology = self.server.machine.topology();
        topology.estimated_latency_ns(self.home, node).into()
    }

    fn move_ns(&self, bytes: Bytes) -> u64 {
        self.stats.expected_ns(bytes)
    }

    fn scan(&mut self, max: usize, each: &mut dyn FnMut(&KeyRef, KeyInfo)) -> ScanStep {
        if let Some(slot) = self.slot {
            return self.scan_apart(slot, max, each);
        }
        let mut seen = Vec::with_capacity(max.min(SEEN_AT_ONCE));
        let (native, mode) = (self.server.native.get(), self.config.native_keys);
        let step = Keyspace::scan(self, CursorId::Survey, max, &mut |key, info| {
            if let Some(shown) = as_managed(mode, info) {
                each(key, shown);
            }
            seen.push(info);
            if let (Some(native), Plane::Native) = (native, info.plane) {
                native.met(&key.name, info.node);
            }
        });
        seen.iter().for_each(|info| self.survey.note(info));
        self.walked = true;
        if step.wrapped {
            self.survey.finish(self.now_ms());
            native.into_iter().for_each(Native::walked);
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
            balance_threshold: self.config.balance_threshold,
            auto_rebalance: self.config.auto_rebalance,
            rebalance_interval_ms: self.config.rebalance_interval_us / 1000,
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
