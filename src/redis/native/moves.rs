//! One native value from node to node.
//!
//! Everything that may refuse comes before the copy, the copy before the exchange, and the exchange
//! cannot fail: a value is whole on its old node or whole on its new one. While it is copied the
//! thread allocates from the target's arena and does nothing else: the server is inside one of our
//! callbacks. Freed blocks of an arena of ours would stay in the thread's cache and serve the next
//! near allocation, so the cache is flushed after them.
//!
//! The server is held for as long as the copy takes, which is known only by estimate; what would
//! take longer than [`HOLD_NS_MAX`] stays where it is and says so.

use super::arena::NodeArena;
use super::internals::{Found, Object};
use super::Native;
use crate::ids::{Bytes, NodeId};
use crate::migrate::{KeyRef, Outcome, Stays};
use crate::redis::raw::Ctx;

/// The longest that one move may hold the server, by estimate.
const HOLD_NS_MAX: usize = 1_000_000;
/// What a block costs to copy and to free.
const NS_PER_BLOCK: usize = 300;
/// What 16 bytes cost.
const NS_PER_16_BYTES: usize = 6;

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

    fn move_found(
        &self,
        found: &Found<'_>,
        to: NodeId,
        room: &dyn Fn(NodeId, Bytes) -> bool,
    ) -> Outcome {
        let Some(at) = found.object.block() else {
            return Outcome::Stays(Stays::NoBlock);
        };
        let from = self.node_of(at);
        if from == to {
            return Outcome::AlreadyThere;
        }
        if found.object.is_shared() {
            return Outcome::Stays(Stays::Shared);
        }
        let bytes = self.movable_bytes(found.object);
        if self.hold_ns(found.object, bytes) > HOLD_NS_MAX {
            return Outcome::Stays(Stays::TooBig);
        }
        if !room(to, bytes) {
            return Outcome::NoRoom;
        }
        let Some(copy) = self.copy_to(found.object, to) else {
            return Outcome::NoRoom;
        };
        self.internals.replace(found, copy);
        let moved = i64::try_from(bytes.0).unwrap_or(i64::MAX);
        self.note_moved(from, -moved);
        self.note_moved(to, moved);
        if from != self.birth {
            self.jemalloc.flush();
        }
        Outcome::Moved { bytes }
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

    fn copy_to<'k>(&self, object: Object<'k>, to: NodeId) -> Option<Object<'k>> {
        let copy = || self.internals.copy(object);
        if to == self.birth {
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
        let there = there.ok_or_else(|| failed("no copy"))?;
        let back = self.copy_to(there, self.birth);
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
