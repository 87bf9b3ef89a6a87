//! Exact statistics that any thread may read.
//!
//! Two writers, two places. The owner thread counts what it gives out and takes back; it is the
//! only writer there, so it loads, adds and stores with plain moves: no lock prefix on its path.
//! Other threads count what they put on the stack of foreign frees, with atomic additions, on cache
//! lines of their own. What is live is the difference:
//!
//! > `live = owned - (freed by others - come home)`
//!
//! Exact for the owner thread and for everyone while nothing moves; a reader on another thread may
//! see one operation half done.
//!
//! Rejected: one shared counter. Its atomic addition costs as much as the rest of an allocation.

use crate::ids::{Bytes, NodeId};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer.
#[derive(Default)]
pub(super) struct Solo(AtomicU64);

impl Solo {
    const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline]
    pub(super) fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    #[inline]
    pub(super) fn sub(&self, amount: u64) {
        self.set(self.get().wrapping_sub(amount));
    }
}

/// What the owner thread counts of one node.
#[repr(C, align(128))]
pub(super) struct NodeGauge {
    /// Bytes of blocks that have not come home.
    pub(super) owned: Solo,
    /// The fast path takes `owned` no higher than this: the limit, or where it must be told.
    high: Solo,
    /// The fast path takes `owned` no lower than this.
    low: Solo,
    /// Blocks given out, ever.
    pub(super) taken: Solo,
    /// Blocks come home, ever.
    pub(super) given: Solo,
    /// What the meter was told of `owned`.
    pub(super) settled: Solo,
    /// No more live bytes than this.
    pub(super) limit: Solo,
    /// Blocks wanted here that landed elsewhere.
    pub(super) fallbacks: Solo,
    /// Bytes of slabs and large blocks.
    pub(super) held: Solo,
    /// Bytes of address space.
    pub(super) mapped: Solo,
    /// `taken` when the statistics were reset.
    taken_at_reset: Solo,
}

/// What other threads freed of one node.
#[repr(align(128))]
struct ForeignGauge {
    freed_bytes: AtomicU64,
    freed_blocks: AtomicU64,
    /// Written by the owner: how much of it came home.
    home_bytes: Solo,
    home_blocks: Solo,
}

/// One node's share of the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeUsage {
    /// Bytes of live blocks, whole blocks counted; what the meter was charged.
    pub live: Bytes,
    /// Live blocks.
    pub blocks: u64,
    /// Bytes of slabs and large blocks: live bytes, free blocks, and slab tails.
    pub held: Bytes,
    /// Bytes of address space, most of it untouched where it is more than `held`.
    pub mapped: Bytes,
    /// The limit on `live`; [`Bytes::MAX`] where there is none.
    pub limit: Bytes,
    /// Blocks wanted on this node that landed on another, since the last reset.
    pub fallbacks: u64,
    /// Blocks given out on this node, since the last reset.
    pub allocations: u64,
}

/// All counters of a pool.
pub(super) struct Gauges {
    nodes: [NodeGauge; NodeId::COUNT_MAX],
    foreign: [ForeignGauge; NodeId::COUNT_MAX],
    faults: AtomicU64,
    strays: AtomicU64,
}

impl NodeGauge {
    const fn new() -> Self {
        Self {
            owned: Solo::new(0),
            high: Solo::new(0),
            low: Solo::new(0),
            settled: Solo::new(0),
            taken: Solo::new(0),
            given: Solo::new(0),
            limit: Solo::new(u64::MAX),
            fallbacks: Solo::new(0),
            held: Solo::new(0),
            mapped: Solo::new(0),
            taken_at_reset: Solo::new(0),
        }
    }

    /// A block of `bytes` goes out, unless a mark is met: then nothing has changed.
    #[inline]
    pub(super) fn take_within(&self, bytes: usize) -> bool {
        let after = self.owned.get().wrapping_add(bytes as u64);
        let within = after <= self.high.get();
        if within {
            self.owned.set(after);
            self.taken.add(1);
        }
        within
    }

    /// Whether a block of `bytes` may come home without meeting a mark.
    #[inline]
    pub(super) fn gives_within(&self, bytes: usize) -> bool {
        self.owned.get().wrapping_sub(bytes as u64) >= self.low.get()
    }

    /// What the meter does not know yet.
    pub(super) fn unsettled(&self) -> i64 {
        self.owned.get().wrapping_sub(self.settled.get()) as i64
    }

    /// The meter knows `delta` more of `owned`; sets the marks `batch` around what it knows.
    pub(super) fn settle(&self, delta: i64, batch: u64) {
        self.settled.add(delta as u64);
        let settled = self.settled.get();
        self.low.set(settled.saturating_sub(batch - 1));
        self.high
            .set(settled.saturating_add(batch - 1).min(self.limit.get()));
    }

    /// A block of `bytes` goes out.
    #[inline]
    pub(super) fn take(&self, bytes: usize) {
        self.owned.add(bytes as u64);
        self.taken.add(1);
    }

    /// A block of `bytes` came home.
    #[inline]
    pub(super) fn give(&self, bytes: usize) {
        self.owned.sub(bytes as u64);
        self.given.add(1);
    }

    /// That block did not come home after all.
    pub(super) fn give_back(&self, bytes: usize) {
        self.owned.add(bytes as u64);
        self.given.sub(1);
    }

    /// Whether `bytes` more stay within the limit.
    #[inline]
    pub(super) fn allows(&self, bytes: usize) -> bool {
        self.owned.get().saturating_add(bytes as u64) <= self.limit.get()
    }
}

impl ForeignGauge {
    const fn new() -> Self {
        Self {
            freed_bytes: AtomicU64::new(0),
            freed_blocks: AtomicU64::new(0),
            home_bytes: Solo::new(0),
            home_blocks: Solo::new(0),
        }
    }
}

impl Gauges {
    pub(super) const fn new() -> Self {
        Self {
            nodes: [const { NodeGauge::new() }; NodeId::COUNT_MAX],
            foreign: [const { ForeignGauge::new() }; NodeId::COUNT_MAX],
            faults: AtomicU64::new(0),
            strays: AtomicU64::new(0),
        }
    }

    /// The owner's counters of a node.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a NodeId is below COUNT_MAX")]
    pub(super) fn node(&self, node: NodeId) -> &NodeGauge {
        &self.nodes[node.index() % NodeId::COUNT_MAX]
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a NodeId is below COUNT_MAX")]
    fn foreign(&self, node: NodeId) -> &ForeignGauge {
        &self.foreign[node.index() % NodeId::COUNT_MAX]
    }

    /// Any thread: a block is about to be pushed. Counted before the push, so that it never comes
    /// home before it left.
    pub(super) fn left_abroad(&self, node: NodeId, bytes: usize) {
        let foreign = self.foreign(node);
        foreign.freed_bytes.fetch_add(bytes as u64, Relaxed);
        foreign.freed_blocks.fetch_add(1, Relaxed);
    }

    /// Any thread: that push did not happen.
    pub(super) fn never_left(&self, node: NodeId, bytes: usize) {
        let foreign = self.foreign(node);
        foreign.freed_bytes.fetch_sub(bytes as u64, Relaxed);
        foreign.freed_blocks.fetch_sub(1, Relaxed);
    }

    /// The owner: such a block came off the stack.
    pub(super) fn came_home(&self, node: NodeId, bytes: usize) {
        let foreign = self.foreign(node);
        foreign.home_bytes.add(bytes as u64);
        foreign.home_blocks.add(1);
    }

    /// Bytes that other threads freed and that came home.
    pub(super) fn home_bytes(&self) -> u64 {
        self.foreign
            .iter()
            .map(|foreign| foreign.home_bytes.get())
            .sum()
    }

    /// Counts a block that could not be taken back.
    pub(super) fn fault(&self) {
        self.faults.fetch_add(1, Relaxed);
    }

    /// Blocks that could not be taken back.
    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }

    /// Counts an allocation that came from a thread that may not allocate.
    pub(super) fn stray(&self) {
        self.strays.fetch_add(1, Relaxed);
    }

    /// Allocations refused because of their thread.
    pub(super) fn strays(&self) -> u64 {
        self.strays.load(Relaxed)
    }

    /// One node's figures.
    pub(super) fn usage(&self, node: NodeId) -> NodeUsage {
        let (own, foreign) = (self.node(node), self.foreign(node));
        let away = |freed: &AtomicU64, home: &Solo| {
            let home = home.get();
            freed.load(Relaxed).saturating_sub(home)
        };
        let bytes_away = away(&foreign.freed_bytes, &foreign.home_bytes);
        let blocks_away = away(&foreign.freed_blocks, &foreign.home_blocks);
        let out = own.taken.get().saturating_sub(own.given.get());
        NodeUsage {
            live: Bytes(own.owned.get().saturating_sub(bytes_away)),
            blocks: out.saturating_sub(blocks_away),
            held: Bytes(own.held.get()),
            mapped: Bytes(own.mapped.get()),
            limit: Bytes(own.limit.get()),
            fallbacks: own.fallbacks.get(),
            allocations: own.taken.get().saturating_sub(own.taken_at_reset.get()),
        }
    }

    /// The owner: counts fallbacks and allocations from here.
    pub(super) fn reset(&self) {
        for node in &self.nodes {
            node.taken_at_reset.set(node.taken.get());
            node.fallbacks.set(0);
        }
    }
}
