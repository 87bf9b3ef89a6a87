//! The patrol: keys that were brought home of late are looked at again, in the order they came.
//!
//! Many of the keys that real traffic asks for in bursts are dead soon after. The survey would find
//! them in time, but it passes all keys to find them; to look at a key whose name is known costs as
//! much as to pass one that nobody knows. So names are remembered, and a few each tick are looked
//! at: a near key below the cut is a victim for the next swap and leaves the list, another one goes
//! back to its end.
//!
//! Invariant: names.len() <= [`NAMES_MAX`]; a name that does not fit is left to the survey.

use super::density::Density;
use super::survey::{Margins, Survey};
use super::View;
use crate::migrate::KeyRef;
use std::collections::VecDeque;

/// Names remembered: some hundred KiB.
const NAMES_MAX: usize = 8192;
/// Names looked at in one run.
const LOOKS: usize = 6;
/// Victims known from which on nothing is looked at.
const ENOUGH_VICTIMS: usize = 64;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Patrol {
    names: VecDeque<KeyRef>,
}

impl Patrol {
    /// Nobody on the list.
    pub(super) const fn new() -> Self {
        Self {
            names: VecDeque::new(),
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    /// Puts a key that lies near, or is about to, on the list.
    pub(super) fn enlist(&mut self, key: KeyRef) {
        if self.names.len() < NAMES_MAX {
            self.names.push_back(key);
        }
    }

    /// Looks at the next few; those cold enough become victims.
    pub(super) fn step(&mut self, view: &mut dyn View, survey: &mut Survey, margins: Margins) {
        let Some(cut) = survey.cut() else { return };
        let below = cut.above(margins.cold);
        let looks = LOOKS.min(self.names.len());
        for _ in 0..looks {
            if survey.victims.len() >= ENOUGH_VICTIMS {
                return;
            }
            let Some(key) = self.names.pop_front() else {
                return;
            };
            let home = view.home();
            let Some(info) = view.look(&key).filter(|info| info.node == home) else {
                continue;
            };
            let density = Density::of(&info);
            if density <= below && !info.pinned {
                survey.victims.offer(&key, density);
            } else {
                self.names.push_back(key);
            }
        }
    }
}
