//! What an access costs: the one cell that a read borrows.
//!
//! An access ages and raises the value's heat, counts itself near or far, and, if it lies far and
//! has grown hot, leaves its key in a ring for the next tick. No allocation (the ring's buffers
//! are made at load), no lock, no system call (the clock is the tick's).
//! While a child of the server runs, an access leaves the value as it is: the header shares an OS
//! page with other values, so counting reads would copy the whole dataset for the child.
//! Invariant: ring.len <= RING_KEYS; a key that does not fit (ring full, name too long) is left to
//! the cursor, which finds every key in time.

use super::raw::Name;
use crate::config::Config;
use crate::heat::{Clock, Dice, Heat};
use crate::ids::{DbIndex, NodeId};
use crate::migrate::KeyRef;
use crate::strategy::Bar;
use crate::value::Value;

/// How many hot far keys one tick may leave behind.
const RING_KEYS: usize = 256;
/// Names longer than this are left to the cursor.
const NAME_BYTES_MAX: usize = 128;

/// Any will do: the dice decide which of many equal accesses raises a counter.
const DICE_SEED: u32 = 0x9E37_79B9;

/// A key noticed by an access.
struct Noticed {
    db: u32,
    name: Vec<u8>,
}

/// See the head of the file.
pub(crate) struct Pulse {
    pub(crate) clock: Clock,
    dice: Dice,
    pub(crate) home: NodeId,
    noticing: bool,
    /// Whether a child of the server shares our OS pages.
    pub(crate) shared: bool,
    /// Below it no strategy cares for an access; nothing where none does at all.
    bar: Option<Bar>,
    ring: Vec<Noticed>,
    filled: usize,
    /// Accesses to values on the home node.
    pub(crate) near: u64,
    /// Accesses to values elsewhere.
    pub(crate) far: u64,
}

impl Pulse {
    pub(crate) fn new(home: NodeId, config: &Config) -> Self {
        let empty = || Noticed {
            db: 0,
            name: Vec::with_capacity(NAME_BYTES_MAX),
        };
        let mut made = Self {
            clock: Clock::new(),
            dice: Dice::new(DICE_SEED),
            home,
            noticing: true,
            shared: false,
            bar: None,
            ring: (0..RING_KEYS).map(|_| empty()).collect(),
            filled: 0,
            near: 0,
            far: 0,
        };
        made.apply(config);
        made
    }

    pub(crate) fn apply(&mut self, config: &Config) {
        self.noticing = config.enabled && config.composite.auto_migrate_enabled;
        self.clock
            .set_decay_threshold_sec(config.composite.decay_threshold_sec);
    }

    /// Notes one access to `value` in that database; its heat after it, which the caller writes
    /// into the value, or nothing where it is to stay as it is.
    #[inline]
    pub(crate) fn access<V: Value>(
        &mut self,
        db: impl FnOnce() -> u32,
        name: Name<'_>,
        value: &V,
    ) -> Option<Heat> {
        let was = value.heat();
        let mut heat = was;
        heat.touch(&self.clock, self.dice.roll());
        self.clock.count_request();
        if value.node() == self.home {
            self.near += 1;
        } else {
            self.far += 1;
            if self.noticing && self.over_bar(&was, &heat) {
                self.notice(db(), name);
            }
        }
        (!self.shared).then_some(heat)
    }

    /// By score the value is judged as it was before: at the moment of an access every value looks
    /// hotter than it is.
    fn over_bar(&self, was: &Heat, is: &Heat) -> bool {
        self.bar
            .is_some_and(|bar| is.level >= bar.level && was.score(&self.clock) >= bar.score)
    }

    /// Takes the bar that the strategies set after their last tick.
    pub(crate) fn set_bar(&mut self, bar: Option<Bar>) {
        self.bar = bar;
    }

    /// Bytes that the ring takes.
    pub(crate) fn ring_bytes(&self) -> u64 {
        (self.ring.len() * (std::mem::size_of::<Noticed>() + NAME_BYTES_MAX)) as u64
    }

    #[cold]
    fn notice(&mut self, db: u32, name: Name<'_>) {
        let name = name.bytes();
        if name.len() > NAME_BYTES_MAX {
            return;
        }
        if let Some(place) = self.ring.get_mut(self.filled) {
            place.db = db;
            place.name.clear();
            place.name.extend_from_slice(name);
            self.filled += 1;
        }
    }

    /// Empties the ring into `out`, at most `max` keys; the rest is dropped, being older than
    /// what the next tick will bring.
    pub(crate) fn take_noticed(&mut self, max: usize) -> Vec<KeyRef> {
        let taken = self.filled.min(max);
        self.filled = 0;
        self.ring
            .iter()
            .take(taken)
            .map(|seen| KeyRef {
                db: DbIndex(seen.db),
                name: seen.name.as_slice().into(),
            })
            .collect()
    }

    /// Forgets what was noticed: the names may mean other keys now.
    pub(crate) fn forget(&mut self) {
        self.filled = 0;
    }
}
