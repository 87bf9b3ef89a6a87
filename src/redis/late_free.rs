//! Big values that are deleted on the main thread are freed on another one.
//!
//! DEL of a hash of ten million fields gives a hundred thousand blocks back, and that of a sorted
//! set ten million: milliseconds to seconds in one go. So the value is handed to a thread of ours,
//! whose frees come home in the steps of the ticks like those of every other thread (design D8).
//! UNLINK and the lazyfree options never get here: the server's own threads free then.
//!
//! Eviction measures `used_memory` around each delete and stops when enough has gone (design D1).
//! So the meter is told of the whole value before this returns, and what the thread gives back is
//! not told again. Invariant: `memory` is the exact sum of what the thread gives back.
//!
//! Rejected: taking the value apart in the ticks. Each type would need a state for what is half
//! freed; here dropping it is enough.

use super::guard::contained;
use super::numa_type::NumaType;
use crate::pool::{frees_are_prepaid, PoolHandle};
use once_cell::sync::OnceCell;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread;

/// A value with more blocks is freed on the thread: a tenth of a millisecond or two for that many.
const BLOCKS_MAX: usize = 1024;

/// What the thread drops.
type Load = Box<dyn Send>;

/// See the head of the file. The thread starts with the first value that is big enough.
#[derive(Default)]
pub(super) struct LateFrees(OnceCell<Option<Sender<Load>>>);

impl LateFrees {
    /// Frees the value, on the calling thread where it is small or where there is no other.
    pub(super) fn free<V: NumaType>(&self, pool: PoolHandle, value: V) {
        if value.blocks() <= BLOCKS_MAX || !pool.is_owner() {
            return;
        }
        let Some(thread) = self.0.get_or_init(start) else {
            return;
        };
        let bytes = value.memory();
        // The thread lives as long as the process: what it is sent arrives.
        if thread.send(Box::new(value)).is_ok() {
            pool.prepay(bytes);
        }
    }
}

fn start() -> Option<Sender<Load>> {
    let (sender, receiver) = channel();
    let builder = thread::Builder::new().name("numa-free".to_owned());
    let started = builder.spawn(move || run(&receiver));
    started.is_ok().then_some(sender)
}

fn run(receiver: &Receiver<Load>) {
    frees_are_prepaid();
    for load in receiver {
        contained((), || drop(load));
    }
}
