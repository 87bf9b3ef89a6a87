//! Telling the server how many bytes live.
//!
//! Redis evicts until its `used_memory` falls, so each change of live bytes must show there. Each
//! single one would cost more than the allocation, so each node's gauge (`gauge.rs`) counts on
//! between two marks around what was last told; who meets a mark leaves the fast path and settles:
//! the server is never further off than [`BATCH_MAX`], all nodes together, and twice that where
//! nodes are at their limit. The upper mark stands for the limit too, so that the fast path asks
//! one question for both. Invariant:
//!
//! > `told = sum of settled + bytes that other threads freed and that came home`
//!
//! Other threads charge what they free themselves, at once (`handle.rs`): it is rare, and their
//! free callback may be the last that eviction waits for.

/// Whoever keeps the server's account of memory.
///
/// `charge` may come from any thread, several at a time. It must not call the pool: on the owner
/// thread such a call is treated as one from a foreign thread.
pub trait Meter: Send + Sync {
    /// Live bytes changed by that much.
    fn charge(&self, delta: i64);
}

/// The most bytes that the account may be off, either way; twice that below a limit.
pub(super) const BATCH_MAX: u64 = 4096;

/// What the owner thread has told the meter.
pub(super) struct Charge {
    meter: &'static dyn Meter,
    told: i64,
}

impl Charge {
    pub(super) const fn new(meter: &'static dyn Meter) -> Self {
        Self { meter, told: 0 }
    }

    /// Passes a change on.
    pub(super) fn tell(&mut self, delta: i64) {
        if delta != 0 {
            self.told += delta;
            self.meter.charge(delta);
        }
    }

    /// Everything that the owner thread told.
    pub(super) const fn told(&self) -> i64 {
        self.told
    }
}
