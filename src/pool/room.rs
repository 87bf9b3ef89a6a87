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

    /// Forgets everything: the machine is asked again.
    pub(super) const fn forget(&mut self) {
        *self = Self::new();
    }
}
