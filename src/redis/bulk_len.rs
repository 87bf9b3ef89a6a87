//! `proto-max-bulk-len`: the largest value that APPEND and SETRANGE may make.
//!
//! Stock reads the setting at each command; a module of 6.2 is told of no change of it and can only
//! ask, which costs some 10 us. So it is asked when it can matter: the server takes no setting
//! below 1 MiB, and above that at most once a tick. CONFIG SET holds within 10 ms.

use super::raw::Ctx;
use super::server::Server;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The least that the server lets the setting be, in bytes.
const LEAST: u64 = 1 << 20;
/// The setting of a server that was not told otherwise, in bytes.
const DEFAULT: u64 = 512 << 20;

/// See the head of the file.
pub(super) struct BulkLen {
    most: AtomicU64,
    asked: AtomicU32,
}

impl BulkLen {
    pub(super) fn new() -> Self {
        Self {
            most: AtomicU64::new(DEFAULT),
            asked: AtomicU32::new(u32::MAX),
        }
    }
}

impl Server {
    /// Whether a value may grow to `bytes` bytes.
    pub(crate) fn may_grow_to(&self, ctx: Ctx<'_>, bytes: u64) -> bool {
        if bytes <= LEAST {
            return true;
        }
        let tick = self.pulse.with(|pulse| pulse.clock.now()).unwrap_or(0);
        if self.bulk_len.asked.swap(tick, Ordering::Relaxed) != tick {
            if let Some(most) = ctx.config_number(c"proto-max-bulk-len") {
                self.bulk_len.most.store(most, Ordering::Relaxed);
            }
        }
        bytes <= self.bulk_len.most.load(Ordering::Relaxed)
    }
}
