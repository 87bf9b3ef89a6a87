//! Failing allocations, for tests: the n-th from now has no memory, and all that follow.

use crate::pool::OutOfMemory;
use std::cell::Cell;

thread_local!(static LEFT: Cell<Option<u64>> = const { Cell::new(None) });

/// Lets `count` allocations of big values succeed, and then none; `None` lets all.
pub(super) fn allow(count: Option<u64>) {
    LEFT.set(count);
}

/// Counts one allocation.
pub(super) fn count_down() -> Result<(), OutOfMemory> {
    match LEFT.get() {
        Some(0) => Err(OutOfMemory),
        Some(left) => {
            LEFT.set(Some(left - 1));
            Ok(())
        }
        None => Ok(()),
    }
}
