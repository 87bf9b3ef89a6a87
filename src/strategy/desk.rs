//! A plan being written: what may be seen, what it may cost, and where the room stands.

use super::ledger::Ledger;
use super::{Params, Plan, View};
use crate::ids::{Bytes, NodeId};
use crate::migrate::{Budget, KeyInfo, KeyRef, Move, Usage, Why};

/// The largest value that is moved unasked. A value moves in one piece, while the server waits: at
/// some GB a second a larger one would hold it for more than a millisecond.
pub(super) const VALUE_BYTES_MAX: Bytes = Bytes::mib(4);

/// A key with what was just seen of it.
pub(super) type Seen = (KeyRef, KeyInfo);

/// A plan being written. See the head of the file.
pub(super) struct Desk<'a> {
    pub(super) view: &'a mut dyn View,
    pub(super) params: Params,
    pub(super) home: NodeId,
    ledger: Ledger,
    plan: Plan,
    keys_left: usize,
    bytes_left: Bytes,
    deadline_us: u64,
}

impl<'a> Desk<'a> {
    /// An empty plan, to be done by `deadline_us`, whose moves are to fit the budget.
    pub(super) fn open(view: &'a mut dyn View, budget: &Budget, deadline_us: u64) -> Self {
        let (home, params, ledger) = (view.home(), view.params(), Ledger::open(view));
        Self {
            view,
            params,
            home,
            ledger,
            plan: Plan::new(),
            keys_left: budget.keys,
            bytes_left: budget.bytes,
            deadline_us,
        }
    }

    /// The plan as it is.
    pub(super) fn close(self) -> Plan {
        self.plan
    }

    /// Whether nothing more should be planned.
    pub(super) fn is_done(&self) -> bool {
        self.moves_left() == 0
            || self.bytes_left == Bytes::ZERO
            || self.view.now_us() >= self.deadline_us
    }

    /// How many moves still fit.
    pub(super) fn moves_left(&self) -> usize {
        self.plan.room().min(self.keys_left)
    }

    /// How full home will be.
    pub(super) fn near(&self) -> Usage {
        self.ledger.near()
    }

    /// What fits at home below the high watermark.
    pub(super) fn room(&self) -> Bytes {
        self.near().room_below(self.params.watermark_high)
    }

    /// What fits at home before room becomes scarce there: `pressure_threshold` of the high
    /// watermark.
    pub(super) fn easy_room(&self) -> Bytes {
        let near = self.near();
        let share = (self.params.pressure_threshold * 100.0) as u64;
        near.mark(self.params.watermark_high).percent(share) - near.used
    }

    /// The nearest other node with room for that much.
    pub(super) fn far_with_room(&self, bytes: Bytes) -> Option<NodeId> {
        self.ledger.far_with_room(bytes)
    }

    /// A key that may be moved unasked, as it is now.
    pub(super) fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        let movable = |info: &KeyInfo| !info.pinned && info.bytes <= VALUE_BYTES_MAX;
        self.view.look(key).filter(movable)
    }

    /// Plans to move a key.
    pub(super) fn push(&mut self, (key, info): Seen, to: NodeId, why: Why, benefit: u32) {
        self.ledger.enter(info.node, to, info.bytes);
        self.keys_left = self.keys_left.saturating_sub(1);
        self.bytes_left -= info.bytes;
        self.plan.push(Move {
            key,
            to,
            why,
            benefit,
        });
    }
}
