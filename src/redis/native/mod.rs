//! The native plane: keys of the server's own types, placed by giving its allocator one arena a
//! node.
//!
//! ```text
//! jemalloc   the allocator, found by name       arena   a node's arena, and its hooks
//! internals  what COPY is made of               moves   one value from node to node
//! forget     freed far blocks, changed names    reads   what passing commands tell
//! commands   which words are keys               settle  new keys go where the policy says
//! names      keys left for the next tick        batch   moves made together
//! pins       keys held on a node
//! ```
//!
//! A value is copied while the thread allocates from the target's arena, and the copy takes the
//! place of the original: the key, its name, its entry in the table, its time to live and its stamp
//! of use stay where and what they are. Which node a value lies on is read off its address. The
//! memory that the server had before there was a plane, and all that it allocates by itself, is
//! believed to lie on the node that was home at that time.
//!
//! Invariant: the plane is on only where the allocator, the server's insides and a trial of both
//! were as expected; whatever fails says why, and the rest of the module works without it.

mod arena;
mod batch;
mod commands;
mod forget;
mod internals;
mod jemalloc;
mod moves;
mod names;
mod pins;
mod reads;
mod settle;

use super::main_cell::MainCell;
use super::raw::{Ctx, Key, Registered};
use crate::heat::{Clock, Guess, KeyHasher};
use crate::ids::{Bytes, NodeId};
use crate::machine::Machine;
use crate::migrate::{FarSet, KeyInfo, KeyRef, Kind, Outcome, Plane, Stays};
use arena::NodeArena;
use batch::Waiting;
use internals::{Databases, Form, Found, Internals, Object, Type, OBJECT_BYTES};
use jemalloc::Jemalloc;
use once_cell::sync::OnceCell;
use pins::Pins;
use reads::Reads;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Parts of the time over which the least of what the server has in use is believed.
const PARTS: usize = 10;
/// Looks of one part: a fifth of a second.
const LOOKS_OF_A_PART: u64 = 20;

/// The plane of one server: not tried yet, on, or off for a reason.
#[derive(Default)]
pub(crate) struct NativePlane(OnceCell<Result<Native, String>>);

/// What is remembered of names.
#[derive(Default)]
struct Far {
    set: FarSet,
    /// Keys that were settled.
    settled: FarSet,
    /// The name that a key has just lost; the next event says what it is called now.
    nameless: u64,
}

/// A plane that is on.
pub(crate) struct Native {
    jemalloc: Jemalloc,
    internals: Internals,
    arenas: Vec<NodeArena>,
    /// The node of all memory that is in no arena of ours.
    birth: NodeId,
    hasher: KeyHasher,
    far: MainCell<Far>,
    reads: MainCell<Reads>,
    pins: MainCell<Pins>,
    /// The filter, while commands are watched.
    listening: MainCell<Option<Registered>>,
    waiting: MainCell<Vec<Waiting>>,
    /// Whether a far block was freed since the thread's cache was flushed last.
    freed_far: AtomicBool,
    databases: MainCell<Databases>,
    used: MainCell<VecDeque<Bytes>>,
    looks: AtomicU64,
    /// Ticks so far, those included in which nothing moves.
    ticks: AtomicU64,
    /// Keys of the server's own types, as they were counted last.
    keys: AtomicU64,
    /// Whether the server's stamp of use is a frequency and not a time.
    by_frequency: AtomicBool,
}

impl NativePlane {
    /// Tries to switch the plane on, once; whether it is on, or why it is not.
    pub(crate) fn start(
        &self,
        ctx: Ctx<'_>,
        machine: &dyn Machine,
        home: NodeId,
    ) -> Result<&Native, &str> {
        let tried = self.0.get_or_init(|| Native::start(ctx, machine, home));
        tried.as_ref().map_err(String::as_str)
    }

    /// The plane, if it is on.
    pub(crate) fn get(&self) -> Option<&Native> {
        self.0.get().and_then(|tried| tried.as_ref().ok())
    }

    /// Why it is off; nothing where it is on or was not tried.
    pub(crate) fn refused(&self) -> Option<&str> {
        let tried = self.0.get()?;
        tried.as_ref().err().map(String::as_str)
    }

    /// Whether it was tried.
    pub(crate) fn was_tried(&self) -> bool {
        self.0.get().is_some()
    }

    /// Bytes of native data on a node: what is in use in its arena, or on the node where the server
    /// allocates, what is in use elsewhere, but for what was `charged` for the pool.
    pub(crate) fn used_on(&self, node: NodeId, charged: Bytes) -> Bytes {
        match self.get() {
            Some(native) if native.birth == node => {
                let far = native.arenas.iter();
                let far: Bytes = far.map(|arena| native.allocated(arena)).sum();
                native.steady_used() - charged - far
            }
            Some(native) => {
                let arena = native.arena_of(node);
                arena.map_or(Bytes::ZERO, |arena| native.allocated(arena))
            }
            None => Bytes::ZERO,
        }
    }

    /// Bytes of native values that are held on a node in an arena of ours.
    pub(crate) fn held(&self, node: NodeId) -> Bytes {
        self.get().map_or(Bytes::ZERO, |native| native.held(node))
    }
}

impl Native {
    fn start(ctx: Ctx<'_>, machine: &dyn Machine, home: NodeId) -> Result<Self, String> {
        let allocator = ctx.server_info(c"memory", c"mem_allocator");
        let jemalloc = Jemalloc::find(&allocator.unwrap_or_default())?;
        let internals = Internals::find(ctx)?;
        let reads = Reads::find().ok_or("the server's command table reads otherwise")?;
        let nodes = machine.topology().usable();
        let arenas: Result<Vec<_>, _> = nodes
            .filter(|node| *node != home)
            .map(|node| NodeArena::create(&jemalloc, machine, node))
            .collect();
        let made = Self {
            jemalloc,
            internals,
            arenas: arenas?,
            birth: home,
            hasher: KeyHasher::random(),
            far: MainCell::new(Far::default()),
            reads: MainCell::new(reads),
            pins: MainCell::new(Pins::default()),
            listening: MainCell::new(None),
            waiting: MainCell::new(Vec::new()),
            freed_far: AtomicBool::new(false),
            databases: MainCell::new(Databases::default()),
            used: MainCell::new(VecDeque::with_capacity(PARTS + 1)),
            looks: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            by_frequency: AtomicBool::new(false),
        };
        made.try_out(ctx)?;
        made.look_around(ctx, 0);
        // Last: what is registered would be called whatever came of the rest.
        made.set_watching(true, false, true);
        if made.listen_as_due(ctx, true) {
            Ok(made)
        } else {
            Err("the server takes no command filter".to_owned())
        }
    }

    /// The node that the address lies on, as far as is known without asking the kernel.
    fn node_of(&self, address: usize) -> NodeId {
        let found = self.arenas.iter().find(|arena| arena.contains(address));
        found.map_or(self.birth, |arena| arena.node)
    }

    fn arena_of(&self, node: NodeId) -> Option<&NodeArena> {
        self.arenas.iter().find(|arena| arena.node == node)
    }

    /// What the server has in use, but for what comes and goes with the traffic: buffers of clients
    /// make the figure jump by a megabyte within a tick, and a node near its limit would be drained
    /// for them. The least of the last looks is taken, by tenths of their time.
    fn steady_used(&self) -> Bytes {
        let least = self.used.with(|used| used.iter().copied().min());
        least
            .flatten()
            .unwrap_or_else(|| self.internals.used_memory())
    }

    /// Looks at what the server has in use, once a tick.
    fn look_at_used(&self) {
        let now = self.internals.used_memory();
        let looked = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        self.used.with(|used| match used.back_mut() {
            Some(least) if !looked.is_multiple_of(LOOKS_OF_A_PART) => *least = now.min(*least),
            _ => {
                used.push_back(now);
                if used.len() > PARTS {
                    used.pop_front();
                }
            }
        });
    }

    /// What is worth a look once a second only; `foreign` keys are of modules.
    pub(crate) fn look_around(&self, ctx: Ctx<'_>, foreign: u64) {
        let size = |db: u32| if ctx.select_db(db) { ctx.db_size() } else { 0 };
        let keys: u64 = ctx.databases().into_iter().map(size).sum();
        self.keys
            .store(keys.saturating_sub(foreign), Ordering::Relaxed);
        self.fit(keys);
        let policy = ctx.config_text(c"maxmemory-policy").unwrap_or_default();
        self.by_frequency
            .store(policy.ends_with("lfu"), Ordering::Relaxed);
    }

    /// Keys of the server's own types, as they were counted last.
    pub(crate) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// The node of what lies in no arena.
    pub(crate) fn birth(&self) -> NodeId {
        self.birth
    }

    fn held(&self, node: NodeId) -> Bytes {
        self.arena_of(node).map_or(Bytes::ZERO, NodeArena::held)
    }

    /// Bytes in use in an arena: what the server's statistics say, a tenth of a second old, and
    /// what was moved since. A strategy that saw the old figure alone would go on draining a node
    /// that is drained, and then fill it again.
    fn allocated(&self, arena: &NodeArena) -> Bytes {
        arena.in_use(self.jemalloc.allocated(arena.index()))
    }

    /// Bytes of all arenas.
    pub(crate) fn held_in_all(&self) -> Bytes {
        self.arenas.iter().map(NodeArena::held).sum()
    }

    /// Bytes that arenas had to take from outside of their spaces.
    pub(crate) fn outside(&self) -> Bytes {
        self.arenas.iter().map(NodeArena::outside).sum()
    }

    /// Runs `work` on a native key; nothing where there is no such key, or it is a module's.
    fn with_key<R>(
        &self,
        ctx: Ctx<'_>,
        key: &KeyRef,
        work: impl FnOnce(&Found<'_>) -> R,
    ) -> Option<R> {
        if !ctx.select_db(key.db.0) {
            return None;
        }
        let name = ctx.string(&key.name)?;
        let db = self.databases.with(|known| known.get(ctx, key.db))??;
        let found = self.internals.find_key(db, name.name())?;
        (found.object.kind() != Type::Foreign).then(|| work(&found))
    }

    /// Whether there is no key of that name, of any type, or its time is up.
    pub(crate) fn is_gone(&self, ctx: Ctx<'_>, key: &KeyRef) -> bool {
        // The selected database is the one that is asked for its place.
        if !ctx.select_db(key.db.0) {
            return true;
        }
        let name = ctx.string(&key.name);
        let db = self.databases.with(|known| known.get(ctx, key.db));
        match (name, db.flatten()) {
            (Some(name), Some(db)) => self.internals.find_key(db, name.name()).is_none(),
            _ => false,
        }
    }

    /// What is known of a native key; nothing where there is none of that name.
    pub(crate) fn look(&self, ctx: Ctx<'_>, key: &KeyRef, clock: &Clock) -> Option<KeyInfo> {
        self.with_key(ctx, key, |found| self.info(&key.name, found.object, clock))
    }

    /// The same of a scanned key.
    pub(crate) fn scanned(&self, name: &[u8], key: &Key<'_>, clock: &Clock) -> Option<KeyInfo> {
        let object = self.internals.scanned(key)?;
        (object.kind() != Type::Foreign).then(|| self.info(name, object, clock))
    }

    /// Why a native key stays where it is, whoever asks.
    pub(crate) fn stays(&self, ctx: Ctx<'_>, key: &KeyRef, to: NodeId) -> Option<Stays> {
        let target = self.with_key(ctx, key, |found| self.target(found, to, &|_, _| true))?;
        match target {
            Err(Outcome::Stays(why)) => Some(why),
            _ => None,
        }
    }

    fn info(&self, name: &[u8], object: Object<'_>, clock: &Clock) -> KeyInfo {
        let idle_ms = if self.by_frequency.load(Ordering::Relaxed) {
            object.idle_minutes().saturating_mul(60_000)
        } else {
            self.internals.idle_ms(object)
        };
        let heat = Guess::new(clock, self.counter(name), idle_ms);
        KeyInfo {
            node: object.block().map_or(self.birth, |at| self.node_of(at)),
            bytes: self.movable_bytes(object),
            level: heat.level(clock),
            score: heat.score(clock),
            idle_ms,
            accesses: heat.accesses().into(),
            pinned: object.form() == Form::Number,
            kind: kind_of(object),
            plane: Plane::Native,
        }
    }

    /// Bytes that a move of the value moves: of one block, as many as the allocator gives it.
    fn movable_bytes(&self, object: Object<'_>) -> Bytes {
        let whole = self.internals.size(object);
        match object.form() {
            Form::Number => Bytes::ZERO,
            Form::Embedded => Bytes::from(class_of(whole)),
            Form::Apart => Bytes::from(class_of(whole.saturating_sub(OBJECT_BYTES))),
        }
    }

    /// The first block of a native value: its address, and how much of it to ask about.
    pub(crate) fn memory_of(&self, ctx: Ctx<'_>, key: &KeyRef) -> Option<(usize, usize)> {
        let memory = self.with_key(ctx, key, |found| {
            let at = found.object.block()?;
            let whole = found.object.kind() == Type::String;
            let size = self.movable_bytes(found.object).as_usize();
            Some((at, if whole { size.max(1) } else { 1 }))
        });
        memory.flatten()
    }
}

/// The size that jemalloc gives a block of so many bytes: steps of 16 up to 128, then four to each
/// doubling.
fn class_of(bytes: usize) -> usize {
    const GRAIN: usize = 16;
    let above = bytes.max(1) - 1;
    let step = (above.checked_ilog2().unwrap_or(0).saturating_sub(2)).max(GRAIN.ilog2());
    bytes.next_multiple_of(1 << step)
}

fn kind_of(object: Object<'_>) -> Kind {
    match object.kind() {
        Type::String => Kind::String,
        Type::List => Kind::List,
        Type::Set => Kind::Set,
        Type::SortedSet => Kind::SortedSet,
        Type::Hash => Kind::Hash,
        Type::Stream | Type::Foreign => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_jemallocs() {
        let cases = [
            (1, 16),
            (16, 16),
            (17, 32),
            (100, 112),
            (128, 128),
            (129, 160),
        ];
        let large = [
            (161, 192),
            (257, 320),
            (1024, 1024),
            (1025, 1280),
            (5000, 5120),
        ];
        for (bytes, class) in cases.into_iter().chain(large) {
            assert_eq!(class_of(bytes), class, "{bytes}");
        }
    }
}
