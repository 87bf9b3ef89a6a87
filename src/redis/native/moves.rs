//! One native value from node to node.
//!
//! Everything that may refuse comes before the copy, the copy before the exchange, and the exchange
//! cannot fail: a value is whole on its old node or whole on its new one. While it is copied the
//! thread allocates from the target's arena and does nothing else: the server is inside one of our
//! callbacks. Freed blocks of an arena of ours would stay in the thread's cache and serve the next
//! near allocation, so the cache is flushed before a near copy is made and when no more moves come.
//!
//! The server is held for as long as the copy takes, which is known only by estimate; what would
//! take longer than [`HOLD_NS_MAX`] stays where it is and says so.

use super::arena::NodeArena;
use super::internals::{Found, Object};
use super::Native;
use crate::ids::{Bytes, NodeId};
use crate::migrate::{KeyRef, Outcome, Stays};
use crate::redis::raw::Ctx;
use std::sync::atomic::Ordering;

/// The longest that one move may hold the server, by estimate.
const HOLD_NS_MAX: usize = 1_000_000;
/// What a block costs to copy and to free.
const NS_PER_BLOCK: usize = 300;
/// What 16 bytes cost.
const NS_PER_16_BYTES: usize = 6;

/// A move that can be made.
pub(super) struct Target {
    from: NodeId,
    pub(super) to: NodeId,
    bytes: Bytes,
    /// How long it will hold the server, by estimate.
    pub(super) hold_ns: usize,
}

impl Native {
    /// Moves a native value; nothing where there is no native key of that name. `room` tells
    /// whether a node has room for so many bytes.
    pub(crate) fn relocate(
        &self,
        ctx: Ctx<'_>,
        key: &KeyRef,
        to: NodeId,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) -> Option<Outcome> {
        // Before the move: a far key must never be missing from the set.
        if to != self.birth {
            self.note_far(&key.name);
        }
        self.with_key(ctx, key, |found| self.move_found(found, to, room))
    }

    /// The same for a move that comes alone.
    pub(crate) fn relocate_alone(
        &self,
        ctx: Ctx<'_>,
        key: &KeyRef,
        to: NodeId,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) -> Option<Outcome> {
        self.begin_moves();
        let outcome = self.relocate(ctx, key, to, room);
        self.flush_freed();
        outcome
    }

    fn move_found(
        &self,
        found: &Found<'_>,
        to: NodeId,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) -> Outcome {
        let target = match self.target(found, to, room) {
            Ok(target) => target,
            Err(outcome) => return outcome,
        };
        let waiting = self.take_waiting(found.object, to);
        let Some((copy, took)) = waiting.or_else(|| self.copy_to(found.object, to)) else {
            return Outcome::NoRoom;
        };
        self.internals.replace(found, copy);
        self.note_moved(target.from, -took);
        self.note_moved(to, took);
        // The old blocks or, of a value that went far, the object that was made with its copy.
        self.note_freed_far();
        let bytes = target.bytes;
        Outcome::Moved { bytes }
    }

    /// What is to be moved; how the move ends without one where it cannot be.
    pub(super) fn target(
        &self,
        found: &Found<'_>,
        to: NodeId,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) -> Result<Target, Outcome> {
        let Some(at) = found.object.block() else {
            return Err(Outcome::Stays(Stays::NoBlock));
        };
        let from = self.node_of(at);
        if from == to {
            return Err(Outcome::AlreadyThere);
        }
        if found.object.is_shared() {
            return Err(Outcome::Stays(Stays::Shared));
        }
        let bytes = self.movable_bytes(found.object);
        let hold_ns = self.hold_ns(found.object, bytes);
        if hold_ns > HOLD_NS_MAX {
            return Err(Outcome::Stays(Stays::TooBig));
        }
        if !room(to, bytes) {
            return Err(Outcome::NoRoom);
        }
        Ok(Target {
            from,
            to,
            bytes,
            hold_ns,
        })
    }

    /// A far block was freed: the thread's cache may hold it.
    pub(super) fn note_freed_far(&self) {
        self.freed_far.store(true, Ordering::Relaxed);
    }

    /// Has freed far blocks leave the thread's cache.
    pub(super) fn flush_freed(&self) {
        if self.freed_far.swap(false, Ordering::Relaxed) {
            self.jemalloc.flush();
        }
    }

    fn note_moved(&self, node: NodeId, bytes: i64) {
        if let Some(arena) = self.arena_of(node) {
            arena.note(bytes);
        }
    }

    fn hold_ns(&self, object: Object<'_>, bytes: Bytes) -> usize {
        let blocks = self.internals.blocks(object).saturating_mul(NS_PER_BLOCK);
        blocks.saturating_add(bytes.as_usize() / 16 * NS_PER_16_BYTES)
    }

    /// A copy on a node, and the bytes it took.
    fn copy_to<'k>(&self, object: Object<'k>, to: NodeId) -> Option<(Object<'k>, i64)> {
        let copy = || self.internals.copy_counted(object);
        if to == self.birth {
            self.flush_freed();
            return copy();
        }
        let index = self.arena_of(to).map(NodeArena::index)?;
        self.jemalloc.within(index, copy).flatten()
    }

    /// Sends strings of both forms to each arena and back, and looks where they lie: what was found
    /// by name must also work.
    pub(super) fn try_out(&self, ctx: Ctx<'_>) -> Result<(), String> {
        for arena in &self.arenas {
            for text in [&b"a short string"[..], &[b'x'; 3000]] {
                self.try_string(ctx, arena, text)?;
            }
        }
        Ok(())
    }

    fn try_string(&self, ctx: Ctx<'_>, arena: &NodeArena, text: &[u8]) -> Result<(), String> {
        let failed = |what: &str| format!("trial on node {}: {what}", arena.node);
        let made = ctx.string(text).ok_or_else(|| failed("no memory"))?;
        let object = Object::of_text(&made).ok_or_else(|| failed("no object"))?;
        let there = self.copy_to(object, arena.node);
        let (there, _) = there.ok_or_else(|| failed("no copy"))?;
        let back = self.copy_to(there, self.birth).map(|(back, _)| back);
        let lies = |object: Object<'_>| object.block().map(|at| self.node_of(at));
        let same = there.text() == text && back.is_some_and(|back| back.text() == text);
        let right = lies(there) == Some(arena.node) && back.and_then(lies) == Some(self.birth);
        self.internals.drop_object(there);
        self.jemalloc.flush();
        if let Some(back) = back {
            self.internals.drop_object(back);
        }
        match (same, right) {
            (true, true) => Ok(()),
            (false, _) => Err(failed("a copy differs")),
            (true, false) => Err(failed("a copy lies elsewhere")),
        }
    }
}
