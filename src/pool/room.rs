//! Whether a node has room for one more mapping, without asking the kernel each time.
//!
//! The machine's answer costs system calls and files, and a full near node is the normal state of
//! this module. So one answer is good for an eighth of the room it found (other processes take
//! from it too), and a refusal is remembered: as much or more is refused without asking until the
//! next tick, or until the pool gives address space of that node back.

use crate::ids::{Bytes, NodeId};
use crate::machine::Machine;

const CREDIT_SHARE: u64 = 8;

/// What is known about the room of one node.
pub(super) struct Room {
    /// Bytes that may be mapped without asking.
    credit: Bytes,
    /// The least amount that was refused.
    refused: Bytes,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self {
            credit: Bytes::ZERO,
            refused: Bytes::MAX,
        }
    }

    /// Whether that much would be refused without asking.
    pub(super) fn is_refused(&self, need: Bytes) -> bool {
        need >= self.refused
    }

    /// How much may be mapped: `want`, or less where there is less, at least `need`.
    pub(super) fn grant(
        &mut self,
        machine: &dyn Machine,
        node: NodeId,
        want: Bytes,
        need: Bytes,
    ) -> Option<Bytes> {
        if self.is_refused(need) {
            return None;
        }
        if self.credit >= want {
            self.credit -= want;
            return Some(want);
        }
        let room = machine.room(node);
        if room < need {
            self.refuse(need);
            return None;
        }
        let granted = want.min(room);
        self.credit = Bytes((room - granted).0 / CREDIT_SHARE);
        Some(granted)
    }

    /// The machine had no such amount after all.
    pub(super) fn refuse(&mut self, amount: Bytes) {
        self.refused = self.refused.min(amount);
        self.credit = Bytes::ZERO;
    }

    /// The pool gave that much back: it may be mapped again without asking, and what was refused
    /// may be there now.
    pub(super) fn give_back(&mut self, amount: Bytes) {
        self.credit += amount;
        self.reconsider();
    }

    /// The pool has something to give back, should it be asked for: a refusal no longer stands.
    pub(super) const fn reconsider(&mut self) {
        self.refused = Bytes::MAX;
    }

    /// Forgets everything: the machine is asked again.
    pub(super) const fn forget(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_machine::{bench, node};
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn one_answer_is_good_for_an_eighth_and_a_refusal_is_kept() {
        let machine = bench(&[Bytes::mib(64)]).machine;
        let (mut room, mib) = (Room::new(), Bytes::mib);
        let grant = |room: &mut Room, want| room.grant(machine, node(0), want, Bytes::kib(16));
        assert_eq!(grant(&mut room, mib(8)), Some(mib(8)));
        assert_eq!(grant(&mut room, mib(4)), Some(mib(4)));
        assert_eq!(grant(&mut room, mib(3)), Some(mib(3)));
        assert_eq!(machine.room_questions.load(Relaxed), 1);
        assert_eq!(grant(&mut room, mib(80)), Some(mib(64)));
        assert_eq!(machine.room_questions.load(Relaxed), 2);
        room.refuse(mib(1));
        assert!(room.is_refused(mib(1)) && !room.is_refused(Bytes::kib(1023)));
        assert_eq!(room.grant(machine, node(0), mib(2), mib(2)), None);
        assert_eq!(machine.room_questions.load(Relaxed), 2);
        room.give_back(mib(2));
        assert_eq!(room.grant(machine, node(0), mib(2), mib(2)), Some(mib(2)));
        assert_eq!(machine.room_questions.load(Relaxed), 2);
        assert_eq!(room.grant(machine, node(0), mib(99), mib(99)), None);
        assert!(room.is_refused(mib(99)));
        room.forget();
        assert!(!room.is_refused(mib(99)));
    }
}
