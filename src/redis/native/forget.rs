//! What follows when far keys go: their freed blocks, and who has their names now.
//!
//! The server frees a value on the main thread, and its blocks stay in that thread's cache until
//! the next allocations of their sizes take them: new near values would land far. So the cache is
//! flushed after a key that may be far is gone, in the event that says so, which comes before the
//! next command is read. Large values go to the server's own threads, whose caches serve nobody
//! else. What is freed inside a key that stays, or overwritten, is caught by one of the next ticks:
//! what took such a block was written just now, and is settled like any other. While nothing lies
//! far there is nothing to catch.

use super::Native;
use crate::ids::{Bytes, NodeId};
use std::sync::atomic::Ordering;

/// Generic events after which a value that the key had may have been freed.
const FREEING: [&[u8]; 7] = [
    b"del",
    b"expired",
    b"evicted",
    b"rename_to",
    b"copy_to",
    b"restore",
    b"move_to",
];

/// Ticks between two sweeps of the cache.
const TICKS_OF_A_SWEEP: u64 = 4;

impl Native {
    /// A key of that name goes far, or may.
    pub(super) fn note_far(&self, name: &[u8]) {
        self.far.with(|far| far.set.enter(self.hasher.hash(name)));
    }

    /// The endless walk has met a key.
    pub(crate) fn met(&self, name: &[u8], node: NodeId) {
        let hash = self.hasher.hash(name);
        self.far.with(|far| {
            if node != self.birth {
                far.set.meet(hash);
            }
            if far.settled.contains(hash) {
                far.settled.meet(hash);
            }
        });
    }

    /// The endless walk is through.
    pub(crate) fn walked(&self) {
        self.far.with(|far| {
            far.set.turn();
            far.settled.turn();
        });
    }

    /// The endless walk begins again before its end.
    pub(crate) fn walk_again(&self) {
        self.far.with(|far| {
            far.set.restart();
            far.settled.restart();
        });
        self.forget_names();
    }

    /// Whether the key may be far.
    fn may_be_far(&self, name: &[u8]) -> bool {
        let known = self
            .far
            .with(|far| far.set.contains(self.hasher.hash(name)));
        known.unwrap_or(true)
    }

    /// Far keys that the last whole walk has met.
    pub(crate) fn far_keys(&self) -> u64 {
        self.far.with(|far| far.set.counted()).unwrap_or(0)
    }

    /// Bytes that watching native keys takes.
    pub(crate) fn tracking_bytes(&self) -> u64 {
        let names = self.far.with(|far| far.set.bytes() + far.settled.bytes());
        let reads = self.reads.with(|reads| reads.watch.bytes());
        names.unwrap_or(0) + reads.unwrap_or(0) + self.pin_bytes()
    }

    /// A keyspace event: what it freed leaves the cache, and what it renamed keeps its place.
    pub(crate) fn heard(&self, event: &[u8], name: &[u8]) {
        match event {
            b"rename_from" | b"move_from" => {
                self.far.with(|far| far.nameless = self.hasher.hash(name));
            }
            b"rename_to" | b"move_to" => {
                self.far.with(|far| {
                    let to = self.hasher.hash(name);
                    far.set.rename(far.nameless, to);
                });
            }
            _ => {}
        }
        if FREEING.contains(&event) && self.may_be_far(name) {
            self.jemalloc.flush();
        }
    }

    /// Gives back what the thread's cache may hold of far blocks: keys by the database are gone.
    pub(crate) fn sweep(&self) {
        if self
            .arenas
            .iter()
            .any(|arena| self.allocated(arena) > Bytes::ZERO)
        {
            self.jemalloc.flush();
        }
    }

    /// The same for values that were changed in place, once in some ticks: what the cache held was
    /// good for the next hundreds of allocations, and is fetched anew.
    pub(crate) fn sweep_as_due(&self) {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        if ticks.is_multiple_of(TICKS_OF_A_SWEEP) {
            self.sweep();
        }
    }
}
