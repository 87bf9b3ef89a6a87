//! Telling the server how many bytes live.
//!
//! Redis evicts until its `used_memory` falls, so each change of live bytes must show there. Each
//! single one would cost more than the allocation, so the owner thread saves up to
//! [`BATCH_MAX`] bytes: the server is never further off than that. Invariant:
//!
//! > `charged + pending = bytes owned + bytes that other threads freed and that came home`
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

/// The most bytes that the account may be off, either way.
pub(super) const BATCH_MAX: u64 = 4096;

/// The owner thread's batch.
pub(super) struct Charge {
    meter: &'static dyn Meter,
    pending: i64,
    charged: i64,
}

impl Charge {
    pub(super) const fn new(meter: &'static dyn Meter) -> Self {
        Self {
            meter,
            pending: 0,
            charged: 0,
        }
    }

    /// Live bytes changed.
    #[inline]
    pub(super) fn add(&mut self, delta: i64) {
        self.pending += delta;
        if self.pending.unsigned_abs() >= BATCH_MAX {
            self.flush();
        }
    }

    /// Passes on what is saved up.
    pub(super) fn flush(&mut self) {
        let delta = std::mem::take(&mut self.pending);
        if delta != 0 {
            self.charged += delta;
            self.meter.charge(delta);
        }
    }

    /// Everything the owner thread counted, passed on or not.
    pub(super) const fn sum(&self) -> i64 {
        self.charged + self.pending
    }
}
