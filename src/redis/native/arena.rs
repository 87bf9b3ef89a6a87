//! One arena of the server's jemalloc a node, on address space that is bound to the node.
//!
//! The space is reserved once, far larger than the node, and carved from its beginning: jemalloc
//! keeps what it was given once and reuses it, so carving never needs to look back. What it does
//! not use its hooks hand back to the kernel by OS pages. So the node of an address is a comparison
//! with a few ranges: **where a native value lies is never remembered, it is read off its
//! address**, and no overwrite, rename, swap of databases or active defragmentation can make it
//! wrong.
//!
//! The hooks are called from any thread, in the middle of the allocator: they make system calls and
//! count on atomics; they take no lock, allocate nothing and cannot panic.
//! Invariant: `held` = bytes of opened space that jemalloc has committed.
//!
//! A space that is used up, which takes more than [`SPACE_FACTOR`] times the node, gives unbound
//! memory instead of none: an allocation that fails aborts the server.

use super::jemalloc::{ArenaIndex, Jemalloc};
use crate::ids::{Bytes, NodeId};
use crate::machine::{empty_space, open_space, unbound, Machine, MapError, Mapping};
use std::ffi::c_void;
use std::os::raw::c_uint;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// The space of a node is to be this large: address space costs nothing.
const SPACE_WANTED: Bytes = Bytes(64 << 30);
/// And so many times what the node holds; where a limit forbids that, half, and half again.
const SPACE_FACTOR: u64 = 4;
/// The least that a node is worth.
const SPACE_LEAST: Bytes = Bytes(1 << 30);

type Alloc = unsafe extern "C" fn(
    *mut Table,
    *mut c_void,
    usize,
    usize,
    *mut bool,
    *mut bool,
    c_uint,
) -> *mut c_void;
type Dalloc = unsafe extern "C" fn(*mut Table, *mut c_void, usize, bool, c_uint) -> bool;
type Destroy = unsafe extern "C" fn(*mut Table, *mut c_void, usize, bool, c_uint);
type Range = unsafe extern "C" fn(*mut Table, *mut c_void, usize, usize, usize, c_uint) -> bool;
type Split =
    unsafe extern "C" fn(*mut Table, *mut c_void, usize, usize, usize, bool, c_uint) -> bool;
type Merge =
    unsafe extern "C" fn(*mut Table, *mut c_void, usize, *mut c_void, usize, bool, c_uint) -> bool;

/// jemalloc's `extent_hooks_t`, the same since 5.0, and behind it what our hooks need.
#[repr(C)]
struct Table {
    alloc: Alloc,
    dalloc: Dalloc,
    destroy: Option<Destroy>,
    commit: Range,
    decommit: Range,
    purge_lazy: Option<Range>,
    purge_forced: Range,
    split: Split,
    merge: Merge,
    space: Space,
}

/// A node's space.
struct Space {
    start: usize,
    end: usize,
    /// Where the next piece is carved.
    next: AtomicUsize,
    held: AtomicUsize,
    /// Bytes that had to come from outside of the space.
    outside: AtomicUsize,
}

/// The arena of a node. It is never given back: neither is the module.
pub(super) struct NodeArena {
    pub(super) node: NodeId,
    index: ArenaIndex,
    table: &'static Table,
    /// What jemalloc's statistics said last, and the bytes that came and went since they changed.
    counted: AtomicU64,
    since: AtomicI64,
}

impl NodeArena {
    /// An arena on `node`; why not, where there is none.
    pub(super) fn create(
        jemalloc: &Jemalloc,
        machine: &dyn Machine,
        node: NodeId,
    ) -> Result<Self, String> {
        let refused = |what: &str| format!("no {what} for node {node}");
        let space = reserve(machine, node)
            .map_err(|error| format!("{}: {error}", refused("address space")))?;
        let start = space.base.as_ptr().addr();
        let table: &'static mut Table = Box::leak(Box::new(Table {
            alloc,
            dalloc,
            destroy: None,
            commit,
            decommit,
            purge_lazy: None,
            purge_forced,
            split,
            merge,
            space: Space {
                start,
                end: start + space.len.as_usize(),
                next: AtomicUsize::new(start),
                held: AtomicUsize::new(0),
                outside: AtomicUsize::new(0),
            },
        }));
        let hooks: *mut Table = table;
        // SAFETY: the table begins with the nine hooks and is leaked just above.
        let index = unsafe { jemalloc.create_arena(hooks.cast()) };
        let index = index.ok_or_else(|| refused("arena"))?;
        // SAFETY: leaked; nobody writes to it but through its atomics.
        let table = unsafe { &*hooks };
        Ok(Self {
            node,
            index,
            table,
            counted: AtomicU64::new(0),
            since: AtomicI64::new(0),
        })
    }

    pub(super) fn index(&self) -> ArenaIndex {
        self.index
    }

    /// Notes that so many bytes came to the arena, or left it where less than zero.
    /// [`Self::in_use`] was called before, in the same callback: a change that it sees later is of
    /// statistics taken later.
    pub(super) fn note(&self, bytes: i64) {
        self.since.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes in use, of which the statistics say `counted`.
    pub(super) fn in_use(&self, counted: Bytes) -> Bytes {
        if self.counted.swap(counted.0, Ordering::Relaxed) != counted.0 {
            self.since.store(0, Ordering::Relaxed);
        }
        let since = self.since.load(Ordering::Relaxed);
        Bytes(counted.0.saturating_add_signed(since))
    }

    /// Whether the address lies in this arena's space.
    pub(super) fn contains(&self, address: usize) -> bool {
        (self.table.space.start..self.table.space.end).contains(&address)
    }

    /// Bytes that the arena holds of its node, those free for its next values included.
    pub(super) fn held(&self) -> Bytes {
        Bytes::from(self.table.space.held.load(Ordering::Relaxed))
    }

    /// Bytes that it had to take from outside of its space: on no node in particular.
    pub(super) fn outside(&self) -> Bytes {
        Bytes::from(self.table.space.outside.load(Ordering::Relaxed))
    }
}

/// Address space for a node, as much as is to be had and worth having.
fn reserve(machine: &dyn Machine, node: NodeId) -> Result<Mapping, MapError> {
    let capacity = machine.topology().node(node).map(|info| info.capacity);
    let least = capacity.unwrap_or_default().max(SPACE_LEAST);
    let mut wanted = Bytes(least.0.saturating_mul(SPACE_FACTOR)).max(SPACE_WANTED);
    loop {
        match machine.reserve(wanted, node) {
            Err(_) if wanted > least => wanted = Bytes(wanted.0 / 2),
            reserved => return reserved,
        }
    }
}

impl Space {
    /// Carves the next piece; nothing where the space is used up.
    fn carve(&self, size: usize, alignment: usize) -> Option<usize> {
        let mut at = self.next.load(Ordering::Relaxed);
        loop {
            let start = at.checked_next_multiple_of(alignment.max(1))?;
            let end = start.checked_add(size).filter(|end| *end <= self.end)?;
            let swapped =
                self.next
                    .compare_exchange_weak(at, end, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Some(start),
                Err(now) => at = now,
            }
        }
    }

    /// A piece that may be used; nothing where the kernel has none.
    fn take(&self, size: usize, alignment: usize) -> Option<NonNull<u8>> {
        if let Some(start) = self.carve(size, alignment) {
            let base = NonNull::new(start as *mut u8)?;
            // SAFETY: carved just now out of the space that the machine has reserved for us.
            return unsafe { open_space(base, size) }.then_some(base);
        }
        let base = unbound(size, alignment)?;
        self.outside.fetch_add(size, Ordering::Relaxed);
        Some(base)
    }
}

/// The space behind a table of ours.
///
/// # Safety
/// * `table` is the one that its arena was made with.
unsafe fn space_of<'t>(table: *mut Table) -> &'t Space {
    // SAFETY: the caller's duty; tables are leaked, so it lives.
    unsafe { &(*table).space }
}

/// # Safety
/// * For jemalloc alone.
unsafe extern "C" fn alloc(
    table: *mut Table,
    wanted: *mut c_void,
    size: usize,
    alignment: usize,
    zero: *mut bool,
    commit: *mut bool,
    _arena: c_uint,
) -> *mut c_void {
    if !wanted.is_null() {
        return null_mut();
    }
    // SAFETY: jemalloc hands back the table that we gave it.
    let space = unsafe { space_of(table) };
    let Some(base) = space.take(size, alignment) else {
        return null_mut();
    };
    // SAFETY: jemalloc wants to be told whether the bytes are zero, and fresh ones are.
    unsafe { zero.write(true) };
    // SAFETY: jemalloc says here whether it means to use the bytes at once.
    if unsafe { commit.read() } {
        space.held.fetch_add(size, Ordering::Relaxed);
    }
    base.as_ptr().cast()
}

/// Refuses: jemalloc then empties the piece through `decommit` and keeps it for the next need.
///
/// # Safety
/// * For jemalloc alone.
unsafe extern "C" fn dalloc(
    _table: *mut Table,
    _address: *mut c_void,
    _size: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    true
}

/// # Safety
/// * For jemalloc alone.
unsafe extern "C" fn commit(
    table: *mut Table,
    _address: *mut c_void,
    _size: usize,
    _offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    // SAFETY: jemalloc hands back the table that we gave it.
    let space = unsafe { space_of(table) };
    space.held.fetch_add(length, Ordering::Relaxed);
    false
}

/// # Safety
/// * For jemalloc alone, with a range that it uses no more.
unsafe extern "C" fn decommit(
    table: *mut Table,
    address: *mut c_void,
    _size: usize,
    offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    let Some(base) = NonNull::new(address.cast::<u8>().wrapping_add(offset)) else {
        return true;
    };
    // SAFETY: whole OS pages of a piece that `alloc` gave out, and jemalloc is done with them.
    unsafe { empty_space(base, length) };
    // SAFETY: jemalloc hands back the table that we gave it.
    let space = unsafe { space_of(table) };
    space.held.fetch_sub(length, Ordering::Relaxed);
    false
}

/// # Safety
/// * For jemalloc alone, with a range that it uses no more.
unsafe extern "C" fn purge_forced(
    _table: *mut Table,
    address: *mut c_void,
    _size: usize,
    offset: usize,
    length: usize,
    _arena: c_uint,
) -> bool {
    let Some(base) = NonNull::new(address.cast::<u8>().wrapping_add(offset)) else {
        return true;
    };
    // SAFETY: whole OS pages of a piece that `alloc` gave out, and jemalloc is done with them.
    unsafe { empty_space(base, length) };
    false
}

/// Pieces of one space are split and joined as jemalloc likes: there are no books about them.
///
/// # Safety
/// * For jemalloc alone.
unsafe extern "C" fn split(
    _table: *mut Table,
    _address: *mut c_void,
    _size: usize,
    _first: usize,
    _second: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

/// # Safety
/// * For jemalloc alone.
unsafe extern "C" fn merge(
    _table: *mut Table,
    _first: *mut c_void,
    _first_size: usize,
    _second: *mut c_void,
    _second_size: usize,
    _committed: bool,
    _arena: c_uint,
) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_never_overlap_and_end_with_the_space() {
        let space = Space {
            start: 0x10_1000,
            end: 0x14_0000,
            next: AtomicUsize::new(0x10_1000),
            held: AtomicUsize::new(0),
            outside: AtomicUsize::new(0),
        };
        let mut last_end = space.start;
        while let Some(start) = space.carve(0x3000, 0x4000) {
            assert!(start >= last_end && start % 0x4000 == 0);
            last_end = start + 0x3000;
        }
        assert!(last_end <= space.end && space.end - last_end < 0x7000 + 0x4000);
        assert_eq!(space.carve(usize::MAX, 0x1000), None);
    }
}
