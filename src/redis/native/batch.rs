//! Moves made together, for what surrounds a move costs more than the move.
//!
//! Before the thread may allocate from another arena its cache is flushed, and after that again;
//! what it held was good for the next hundred allocations, and is fetched anew. So the copies of
//! the next moves are made ahead, all of one arena in one go, and each move then only exchanges.
//! Copies for the server's own memory come first of all, while the cache holds no freed far block.
//!
//! Invariant: a copy waits within one callback of the server, in which nothing but our moves
//! changes a value; it is used by the move of the very object that it was made of, or dropped.

use super::internals::Object;
use super::moves::Target;
use super::Native;
use crate::ids::{Bytes, NodeId};
use crate::migrate::Move;
use crate::redis::raw::Ctx;

/// A copy that waits for its move.
pub(super) struct Waiting {
    of: usize,
    to: NodeId,
    copy: Object<'static>,
    /// Bytes that the copy took, exactly.
    took: i64,
}

// SAFETY: objects are touched on the main thread alone, which the cell that keeps these sees to.
unsafe impl Send for Waiting {}

impl Native {
    /// Makes the copies of the moves that come next, as many as take about `time_us`; what waits of
    /// earlier ones is dropped, and freed far blocks leave the thread's cache.
    pub(crate) fn expect(
        &self,
        ctx: Ctx<'_>,
        moves: &[&Move],
        time_us: u64,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) {
        if moves.is_empty() {
            return self.drop_waiting();
        }
        self.begin_moves();
        // One alone is as well made when it is due.
        if moves.len() < 2 {
            return;
        }
        let mut left_ns = usize::try_from(time_us.saturating_mul(1000)).unwrap_or(usize::MAX);
        let mut targets = Vec::with_capacity(moves.len());
        for next in moves {
            let found = self.with_key(ctx, &next.key, |found| {
                let target = self.target(found, next.to, room).ok()?;
                Some((target, found.object.forever()))
            });
            let Some((target, object)) = found.flatten() else {
                continue;
            };
            // A key that comes twice is copied when its second move is due: by then its object may
            // be another one.
            let again = |(_, known): &(Target, Object<'_>)| known.address() == object.address();
            if targets.iter().any(again) {
                continue;
            }
            if target.hold_ns > left_ns {
                break;
            }
            left_ns -= target.hold_ns;
            // Names that go far are remembered before they do.
            if next.to != self.birth {
                self.note_far(&next.key.name);
            }
            targets.push((target, object));
        }
        self.copy_all(&targets);
    }

    fn copy_all(&self, targets: &[(Target, Object<'static>)]) {
        let mut waiting = Vec::with_capacity(targets.len());
        let mut copy = |node: NodeId| {
            for (target, object) in targets.iter().filter(|(target, _)| target.to == node) {
                let made = self.internals.copy_counted(*object);
                waiting.extend(made.map(|(copy, took)| Waiting {
                    of: object.address(),
                    to: target.to,
                    copy,
                    took,
                }));
            }
        };
        if targets.iter().any(|(target, _)| target.to == self.birth) {
            self.flush_freed();
            copy(self.birth);
        }
        for arena in &self.arenas {
            if targets.iter().any(|(target, _)| target.to == arena.node) {
                self.jemalloc.within(arena.index(), || copy(arena.node));
            }
        }
        self.waiting.with(|all| *all = waiting);
    }

    /// The copy that was made for this move.
    pub(super) fn take_waiting(
        &self,
        object: Object<'_>,
        to: NodeId,
    ) -> Option<(Object<'static>, i64)> {
        let taken = self.waiting.with(|all| {
            let is_it = |waiting: &Waiting| waiting.of == object.address() && waiting.to == to;
            let at = all.iter().position(is_it)?;
            let waited = all.swap_remove(at);
            Some((waited.copy, waited.took))
        });
        taken.flatten()
    }

    /// Moves begin, in a callback of their own.
    pub(super) fn begin_moves(&self) {
        // What the last moves, or a panic, have left behind is of another callback.
        self.drop_waiting();
        // Within one callback the server refreshes no statistics: what the arenas note from here on
        // comes after what is read here.
        for arena in &self.arenas {
            self.allocated(arena);
        }
        // Commands that ran since the last sweep may have freed far blocks in place, of which no
        // event told. The first near copy flushes the cache, if there is one.
        self.note_freed_far();
    }

    /// Drops the copies that were not used, and freed far blocks with them.
    pub(super) fn drop_waiting(&self) {
        let waiting = self.waiting.with(std::mem::take).unwrap_or_default();
        for unused in waiting {
            self.internals.drop_object(unused.copy);
            self.note_freed_far();
        }
        self.flush_freed();
    }
}
