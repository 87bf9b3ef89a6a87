//! New native keys on their way to the node that the placement policy wants.
//!
//! A command's words are allocated while it is read, before anybody knows which key it is for, so a
//! new value is always born where the server allocates. Its name is left by the filter, and the
//! next tick moves it: "settles" it. A value that is new is settled whatever was there before; one
//! that was changed in place is settled once, or a policy that takes turns would move a list at
//! each push. Names that have been settled are kept as the far set keeps far ones, walk by walk.
//!
//! Under a policy that leaves values where they are born there is only one thing to settle: a value
//! that took a freed far block before the cache was flushed. Its name is not in the far set, for no
//! move has sent it there.

use super::Native;
use crate::ids::{Bytes, DbIndex, NodeId};
use crate::migrate::{KeyRef, Move, MoveStats, Outcome, Why};
use crate::redis::raw::Ctx;
use crate::redis::server::Server;

/// Written keys that are looked at between two looks at the time.
const BATCH: usize = 16;

impl Native {
    /// Settles what was written since the last tick, as far as `time_left` says; the bytes moved.
    pub(crate) fn settle(
        &self,
        ctx: Ctx<'_>,
        server: &Server,
        stats: &mut MoveStats,
        time_left: &dyn Fn() -> bool,
    ) -> Bytes {
        let (mut moved, mut databases) = (Bytes::ZERO, Vec::new());
        while time_left() {
            let written = self.reads.with(|reads| reads.written.take(BATCH));
            let written = written.filter(|written| !written.is_empty());
            let Some(written) = written else { break };
            if databases.is_empty() {
                databases = ctx.databases();
            }
            let mut moves = Vec::new();
            for (name, fresh) in written {
                let keys = databases.iter().map(|db| KeyRef::new(DbIndex(*db), &name));
                moves.extend(keys.filter_map(|key| self.settling(ctx, server, key, fresh)));
            }
            moved += self.settle_all(ctx, server, &moves, stats);
        }
        moved
    }

    /// Moves what is wanted elsewhere; the bytes moved.
    fn settle_all(
        &self,
        ctx: Ctx<'_>,
        server: &Server,
        moves: &[Move],
        stats: &mut MoveStats,
    ) -> Bytes {
        let room = |node, bytes| server.has_room_for(node, bytes);
        self.expect(ctx, &moves.iter().collect::<Vec<_>>(), u64::MAX, &room);
        let mut moved = Bytes::ZERO;
        for next in moves {
            stats.begin();
            let outcome = self.relocate(ctx, &next.key, next.to, &room);
            let outcome = outcome.unwrap_or(Outcome::Missing);
            stats.end(Why::Settle, outcome);
            if let Outcome::Moved { bytes } = outcome {
                moved += bytes;
            }
        }
        self.expect(ctx, &[], 0, &room);
        moved
    }

    /// The move of a written key; nothing where it is well where it is.
    fn settling(&self, ctx: Ctx<'_>, server: &Server, key: KeyRef, fresh: bool) -> Option<Move> {
        // A pin says where it is to be, whatever the policy.
        if self.pin_of(&key).is_some() {
            return None;
        }
        let known = self.with_key(ctx, &key, |found| {
            let node = found.object.block().map(|at| self.node_of(at))?;
            Some((node, self.movable_bytes(found.object)))
        });
        let (node, bytes) = known.flatten()?;
        let to = self.wanted(server, &key, fresh, node, bytes)?;
        Some(Move {
            key,
            to,
            why: Why::Settle,
            benefit: 0,
        })
    }

    /// Where a written key is to go; nothing where it is well where it is.
    fn wanted(
        &self,
        server: &Server,
        key: &KeyRef,
        fresh: bool,
        node: NodeId,
        bytes: Bytes,
    ) -> Option<NodeId> {
        let hash = self.hasher.hash(&key.name);
        let (strayed, settled) = self.far.with(|far| {
            let strayed = node != self.birth && !far.set.contains(hash);
            (strayed, far.settled.contains(hash))
        })?;
        // What lies far and was sent there is the strategies' concern, as an old value is.
        if !strayed && (node != self.birth || (settled && !fresh)) {
            return None;
        }
        let to = server
            .order_for(bytes.as_usize(), &key.name)
            .first()
            .copied()?;
        self.far.with(|far| far.settled.enter(hash));
        (to != node).then_some(to)
    }
}
