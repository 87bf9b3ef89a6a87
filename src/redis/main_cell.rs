//! State that only the server's main thread may touch, behind a borrow flag.
//!
//! The server runs commands, timers and events on one thread, so a lock would only cost; but it
//! frees values on background threads and may call back into us from inside its own functions.
//! Invariant: a borrow exists => it is on the main thread, and it is the only one. A second one
//! (re-entry) or one from another thread is answered `None`, never waited for.

use std::cell::{Cell, RefCell};

thread_local! {
    static IS_MAIN: Cell<bool> = const { Cell::new(false) };
}

/// Says that the calling thread is the server's main thread; once, at load.
pub(crate) fn claim_main_thread() {
    IS_MAIN.with(|flag| flag.set(true));
}

/// Whether the calling thread is the server's main thread.
pub(crate) fn on_main_thread() -> bool {
    IS_MAIN.with(Cell::get)
}

/// A value for the main thread alone.
pub(crate) struct MainCell<T>(RefCell<T>);

// SAFETY: `with` lets the value be reached on the main thread only; `T: Send` because it may have
// been made and may be dropped elsewhere.
unsafe impl<T: Send> Sync for MainCell<T> {}

impl<T> MainCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Runs `work` on the value; `None` from another thread, or while it is borrowed already.
    #[inline(always)]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        if !on_main_thread() {
            return None;
        }
        self.0
            .try_borrow_mut()
            .ok()
            .map(|mut value| work(&mut value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_main_thread_gets_in_and_only_once() {
        static CELL: MainCell<u32> = MainCell::new(1);
        assert_eq!(CELL.with(|v| *v), None, "not claimed yet");
        claim_main_thread();
        assert_eq!(CELL.with(|v| *v), Some(1));
        assert_eq!(CELL.with(|_| CELL.with(|v| *v)), Some(None), "re-entry");
        let elsewhere = std::thread::spawn(|| CELL.with(|v| *v)).join();
        assert_eq!(elsewhere.ok(), Some(None));
    }
}
