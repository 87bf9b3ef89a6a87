//! Floor 1: the pool, which turns the memory of nodes into blocks.
//!
//! Words, from big to small. A **region** is an aligned mapping bound to one node. It is carved
//! into **units** of 16 KiB. A **slab** is 1 to 16 units that hold blocks of one **size class**.
//! A **block** is what a value gets. A **large block** is bigger than the biggest class: it lies on
//! a **run** of units, or has a mapping of its own where it is too big for a region. The **owner**
//! is the thread that made the pool: Redis's main thread.
//!
//! ```text
//!   PoolHandle --> Owner --> bin of a node and class --> window --> block on the node
//!       |            |                 +--> slab records: current, partly used, leaving
//!       |            +--> node: regions, room, limit
//!       |            +--> address table: block --> slab record
//!       +--> stack of foreign frees --> (drained by the owner)
//! ```
//!
//! Three decisions carry it.
//! * All books lie out of band in near memory (`slab.rs`): a far block's line is touched by its
//!   value alone, blocks carry no prefix, and double frees and foreign pointers are caught by a
//!   bit.
//! * One thread owns the books (`handle.rs`): no locks, no atomic instructions on its path. Other
//!   threads may only free, through a stack (`remote_free.rs`), and read the gauges.
//! * The account of live bytes is exact (`gauge.rs`, `charge.rs`), because the server evicts by it.
//!
//! `PoolHandle::check` verifies every invariant that these files state.

mod address;
mod arena;
mod bins;
mod charge;
mod check;
mod class;
mod compact;
mod gauge;
mod give_back;
mod handle;
mod large;
mod loose;
mod node;
mod owner;
mod piece;
mod region;
mod remote_free;
mod room;
mod slab;
mod supply;
mod units;
mod window;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod model;
#[cfg(test)]
mod test_machine;

use std::collections::TryReserveError;
use std::fmt;

pub use charge::Meter;
pub use class::SizeClass;
pub use compact::Turn;
#[cfg(test)]
pub(crate) use faults::{supply_blocks, Rationed, Supply};
pub use gauge::NodeUsage;
pub use handle::{frees_are_prepaid, Block, PoolHandle};

/// No node that was asked has room: the command answers Redis's OOM error and changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl std::error::Error for OutOfMemory {}

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}
