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
//! On the fast path a block costs one addition, which counts its bytes, counts the block, and asks
//! whether somebody must be told (`charge.rs`) or the node is at its limit:
//!
//! ```text
//!   word  | room: bytes to the upper mark | live blocks, from 2^32 on |  anchor - room = owned
//!           carry or borrow: a mark is met
//! ```
//!
//! A block goes out by `- (its bytes << shift) + 1` and comes home by the reverse, see [`Toll`].
//! Room has as many values as there are bytes between the marks, so that leaving them either way
//! is what a processor calls a carry.
//!
//! Rejected: one shared counter. Its atomic addition costs as much as the rest of an allocation.
//! Bytes, blocks and two marks as words of their own: twice the instructions.

use super::charge::BATCH_MAX;
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

/// Live blocks are counted from here, so that a word is never 0 nor all ones.
const BLOCKS_ZERO: u64 = 1 << 32;

/// What a block of one size adds to a node's word as it comes home, and takes off as it goes out.
#[derive(Clone, Copy)]
pub(super) struct Toll(u64);

/// What the owner thread counts of one node.
#[repr(C, align(128))]
pub(super) struct NodeGauge {
    /// See the head of the file.
    word: Solo,
    /// Blocks given out, ever.
    taken: Solo,
    /// `owned` if there were no room.
    anchor: Solo,
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
    /// How far `owned` may be from `settled` before the meter is told: a power of two.
    batch: u64,
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
    const fn new(batch: u64) -> Self {
        Self {
            word: Solo::new(BLOCKS_ZERO),
            taken: Solo::new(0),
            anchor: Solo::new(0),
            settled: Solo::new(0),
            limit: Solo::new(u64::MAX),
            fallbacks: Solo::new(0),
            held: Solo::new(0),
            mapped: Solo::new(0),
            taken_at_reset: Solo::new(0),
            batch,
        }
    }

    /// Where room begins in the word: it has as many values as twice the batch.
    const fn shift(&self) -> u32 {
        u64::BITS - (2 * self.batch).ilog2()
    }

    /// What a block of `bytes` costs; a block bigger than the marks are apart always meets one.
    pub(super) const fn toll(&self, bytes: usize) -> Toll {
        if bytes as u64 >= 2 * self.batch {
            return Toll(u64::MAX);
        }
        Toll(((bytes as u64) << self.shift()).wrapping_sub(1))
    }

    /// A block goes out, unless a mark is met: then nothing has changed.
    #[inline]
    pub(super) fn take_within(&self, toll: Toll) -> bool {
        let (after, met) = self.word.get().overflowing_sub(toll.0);
        if !met {
            self.word.set(after);
            self.taken.add(1);
        }
        !met
    }

    /// A block comes home, unless a mark is met: then nothing has changed.
    #[inline]
    pub(super) fn give_within(&self, toll: Toll) -> bool {
        let (after, met) = self.word.get().overflowing_add(toll.0);
        if !met {
            self.word.set(after);
        }
        !met
    }

    /// Bytes of blocks that have not come home; perhaps below zero, wrapped around, where another
    /// thread reads while they change.
    pub(super) fn owned(&self) -> u64 {
        let room = self.word.get() >> self.shift();
        self.anchor.get().wrapping_sub(room)
    }

    /// Blocks that have not come home; below zero as above.
    pub(super) fn blocks(&self) -> u64 {
        let counted = self.word.get() & ((1 << self.shift()) - 1);
        counted.wrapping_sub(BLOCKS_ZERO)
    }

    /// Blocks given out, ever.
    fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// What the meter does not know yet.
    pub(super) fn unsettled(&self) -> i64 {
        self.owned().wrapping_sub(self.settled.get()) as i64
    }

    /// Whether the meter must be told: at a node's limit of every byte, since the marks around what
    /// it knows are fitted in below the limit there.
    pub(super) fn is_due(&self) -> bool {
        let unsettled = self.unsettled();
        let at_limit = self.settled.get().saturating_add(self.batch) > self.limit.get();
        unsettled.unsigned_abs() >= self.batch || at_limit && unsettled != 0
    }

    /// The most that the account of this node may be off.
    pub(super) const fn unsettled_max(&self) -> u64 {
        2 * self.batch
    }

    /// The meter knows `delta` more of `owned`.
    pub(super) fn settle(&self, delta: i64) {
        self.settled.add(delta as u64);
        self.change(0, 0);
    }

    /// From now on no more live bytes than this.
    pub(super) fn set_limit(&self, limit: Bytes) {
        self.limit.set(limit.0);
        self.change(0, 0);
    }

    /// A block of `bytes` goes out.
    pub(super) fn take(&self, bytes: usize) {
        self.change(bytes as i64, 1);
        self.taken.add(1);
    }

    /// A block of `bytes` came home.
    pub(super) fn give(&self, bytes: usize) {
        self.change(-(bytes as i64), -1);
    }

    /// A block got `bytes` bigger.
    pub(super) fn grow(&self, bytes: usize) {
        self.change(bytes as i64, 0);
    }

    /// Whether `bytes` more stay within the limit.
    #[inline]
    pub(super) fn allows(&self, bytes: usize) -> bool {
        not_negative(self.owned()).saturating_add(bytes as u64) <= self.limit.get()
    }

    /// Changes what is counted, and sets the marks around what the meter knows: the upper one is
    /// the limit where that is lower.
    fn change(&self, bytes: i64, blocks: i64) {
        let owned = self.owned().wrapping_add_signed(bytes);
        let blocks = self.blocks().wrapping_add_signed(blocks);
        let high = self.settled.get().saturating_add(self.batch);
        let high = high.min(self.limit.get());
        let room = high
            .saturating_sub(not_negative(owned))
            .min(2 * self.batch - 1);
        self.anchor.set(owned.wrapping_add(room));
        self.word
            .set((room << self.shift()) | blocks.wrapping_add(BLOCKS_ZERO));
    }
}

/// A difference, or zero where it is below zero.
const fn not_negative(difference: u64) -> u64 {
    if (difference as i64) < 0 {
        0
    } else {
        difference
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
    /// All zero, for so many nodes, which share [`BATCH_MAX`].
    pub(super) fn new(nodes: usize) -> Self {
        let batch = 1 << (BATCH_MAX / nodes.max(1) as u64).ilog2();
        Self {
            nodes: std::array::from_fn(|_| NodeGauge::new(batch)),
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
        NodeUsage {
            live: Bytes(not_negative(own.owned()).saturating_sub(bytes_away)),
            blocks: not_negative(own.blocks()).saturating_sub(blocks_away),
            held: Bytes(own.held.get()),
            mapped: Bytes(own.mapped.get()),
            limit: Bytes(own.limit.get()),
            fallbacks: own.fallbacks.get(),
            allocations: own.taken().saturating_sub(own.taken_at_reset.get()),
        }
    }

    /// The owner: counts fallbacks and allocations from here.
    pub(super) fn reset(&self) {
        for node in &self.nodes {
            node.taken_at_reset.set(node.taken());
            node.fallbacks.set(0);
        }
    }
}
