//! Where all memory of the process lies, tables and names included: `/proc/self/numa_maps`.
//!
//! The kernel walks every page table to write that file, which takes long on a large process, so
//! a thread of its own reads it, at most once in [`FRESH_MS`], and reports show what it read last.
//! Invariant: the main thread never reads the file and never waits for it.

use super::server::server;
use crate::ids::{Bytes, NodeId};
use once_cell::sync::Lazy;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading is good for.
const FRESH_MS: u64 = 10_000;

/// What the kernel said, and when.
#[derive(Clone, Default)]
struct Reading {
    nodes: Vec<(NodeId, Bytes)>,
    at: Option<Instant>,
}

static READING: Lazy<Mutex<Reading>> = Lazy::new(Mutex::default);
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// The last reading; empty before the first. An old one is renewed for the next caller.
pub(crate) fn latest() -> Vec<(NodeId, Bytes)> {
    let Ok(reading) = READING.try_lock().map(|reading| reading.clone()) else {
        return Vec::new();
    };
    let fresh = Duration::from_millis(FRESH_MS);
    if reading.at.is_none_or(|at| at.elapsed() > fresh) {
        renew();
    }
    reading.nodes
}

/// Starts the thread that reads, unless one does already.
fn renew() {
    if UNDER_WAY.swap(true, Ordering::AcqRel) {
        return;
    }
    let spawned = std::thread::Builder::new()
        .name("numa-maps".into())
        .spawn(|| {
            let read = server().and_then(|server| server.machine.process_bytes().ok());
            let mut reading = READING.lock().unwrap_or_else(PoisonError::into_inner);
            *reading = Reading {
                nodes: read.unwrap_or_default(),
                at: Some(Instant::now()),
            };
            UNDER_WAY.store(false, Ordering::Release);
        });
    if spawned.is_err() {
        UNDER_WAY.store(false, Ordering::Release);
    }
}
