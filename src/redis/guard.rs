//! A panic never reaches C: every entry of the server runs inside [`contained`].
//!
//! Invariant: entries of the module = calls of `contained` or of code that cannot panic. What was
//! caught is counted (`numa_panics_caught`) and its place logged by the hook. Rejected:
//! `panic = "abort"`, which would take the user's data down with our mistake.

use super::raw::{log_anywhere, LogLevel};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};

static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// Runs `work`; if it panics, counts that and answers `fallback`.
pub(crate) fn contained<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => {
            // Dropping a payload may panic again: a few leaked bytes are the lesser harm.
            std::mem::forget(payload);
            CAUGHT.fetch_add(1, Ordering::Relaxed);
            fallback
        }
    }
}

/// How many panics were caught since the load.
pub(crate) fn panics_caught() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// Sends the text and place of each panic to the server's log.
pub(crate) fn log_panics() {
    set_hook(Box::new(|info| {
        log_anywhere(
            LogLevel::Warning,
            &format!("BUG, contained: {info}; please report it"),
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_answered() {
        let before = panics_caught();
        assert_eq!(contained(7, || panic!("on purpose")), 7);
        assert_eq!(contained(7, || 8), 8);
        assert_eq!(panics_caught(), before + 1);
    }
}
