//! Memory that runs out, for tests: the n-th allocation from now fails, here or for whoever asks.
//!
//! Two taps. **Blocks** is what values ask the pool for. **Books** is what the pool itself asks the
//! process for (region tables, slab records, the address table, lists of a choice): tests have a
//! global allocator that this one can make refuse, on the thread that says so. Whatever is on the
//! way and cannot fail (a vector that grows by `push`) then aborts the test, which is the point.
//! What stands in for the kernel here, the simulated machine, is always [`fed`].

use super::OutOfMemory;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// How many allocations succeed before one fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Supply {
    Endless,
    /// So many succeed, and then none.
    Only(u64),
    /// All but one, which so many come before.
    AllBut(u64),
}

impl Supply {
    /// Counts one allocation; whether it succeeds.
    fn take(self) -> (Self, bool) {
        match self {
            Self::Endless => (self, true),
            Self::Only(0) => (self, false),
            Self::Only(left) => (Self::Only(left - 1), true),
            Self::AllBut(0) => (Self::Endless, false),
            Self::AllBut(before) => (Self::AllBut(before - 1), true),
        }
    }
}

thread_local! {
    static BLOCKS: Cell<Supply> = const { Cell::new(Supply::Endless) };
    static BOOKS: Cell<Supply> = const { Cell::new(Supply::Endless) };
    /// Allocations of the books that were refused.
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

/// From now on this thread gets so many blocks.
pub(crate) fn supply_blocks(supply: Supply) {
    BLOCKS.set(supply);
}

/// Counts a block that is asked for.
pub(super) fn count_block() -> Result<(), OutOfMemory> {
    let (left, succeeds) = BLOCKS.get().take();
    BLOCKS.set(left);
    succeeds.then_some(()).ok_or(OutOfMemory)
}

/// Runs `work` with so much memory for the books; what is left of it, and how often they were
/// refused.
pub(super) fn with_books<R>(supply: Supply, work: impl FnOnce() -> R) -> (R, Supply, u64) {
    REFUSED.set(0);
    BOOKS.set(supply);
    let done = work();
    let left = BOOKS.replace(Supply::Endless);
    (done, left, REFUSED.get())
}

/// Runs `work` with memory, whatever the supply.
pub(super) fn fed<R>(work: impl FnOnce() -> R) -> R {
    let supply = BOOKS.replace(Supply::Endless);
    let done = work();
    BOOKS.set(supply);
    done
}

/// The global allocator of tests: the system's, until the supply of the books ends.
pub(crate) struct Rationed;

fn succeeds() -> bool {
    // A thread that is ending has no supply any more.
    let taken = BOOKS.try_with(|books| {
        let (left, succeeds) = books.get().take();
        books.set(left);
        succeeds
    });
    let succeeds = taken.unwrap_or(true);
    if !succeeds {
        REFUSED.set(REFUSED.get() + 1);
    }
    succeeds
}

// SAFETY: every branch hands the caller's layout to the system's allocator, or refuses.
unsafe impl GlobalAlloc for Rationed {
    // SAFETY: the caller's duties are those of the trait.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !succeeds() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's duties are those of the trait.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !succeeds() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the caller's duties are those of the trait.
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: it came from the system's allocator with this layout.
        unsafe { System.dealloc(ptr, layout) }
    }

    // SAFETY: the caller's duties are those of the trait.
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !succeeds() {
            return std::ptr::null_mut();
        }
        // SAFETY: it came from the system's allocator with this layout.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

mod tests {
    use super::super::test_machine::{bench, node, Bench};
    use super::super::{Block, PoolHandle, Turn};
    use super::*;
    use crate::ids::Bytes;
    use std::thread;

    /// A life of the pool in which every list of its books is made and grows: sizes of many slabs,
    /// runs, mappings, growth, frees here and elsewhere, compaction, trimming.
    struct Life {
        bench: Bench,
        held: Vec<Block>,
        left: Supply,
        refused: u64,
    }

    impl Life {
        fn new(left: Supply) -> Self {
            Self {
                bench: bench(&[Bytes::mib(512), Bytes::mib(512)]),
                held: Vec::with_capacity(1 << 14),
                left,
                refused: 0,
            }
        }

        /// One call of the pool with what is left for its books.
        fn with<R>(&mut self, work: impl FnOnce(PoolHandle) -> R) -> R {
            let pool = self.bench.pool;
            let (done, left, refused) = with_books(self.left, || work(pool));
            self.left = left;
            self.refused += refused;
            done
        }

        fn alloc(&mut self, size: usize) {
            let live = self.bench.live();
            match self.with(|pool| pool.alloc(size, &[node(0), node(1)])) {
                Ok(mut block) => {
                    block.bytes_mut()[size - 1] = 1;
                    self.held.push(block);
                }
                Err(OutOfMemory) => assert_eq!(self.bench.live(), live, "nothing changed"),
            }
        }

        fn grow(&mut self, more: usize) {
            let Some(block) = self.held.pop() else { return };
            let (live, size) = (self.bench.live(), block.capacity());
            let grown = self.with(|pool| pool.grow(block, size + more));
            if grown.is_err() {
                assert_eq!(self.bench.live(), live, "nothing changed");
            }
            self.held.push(grown.unwrap_or_else(|block| block));
        }

        fn compact(&mut self) {
            let mut turn = Some(Turn::default());
            while let Some(next) = turn {
                turn = self.with(|pool| pool.choose_leaving(next));
            }
            let pool = self.bench.pool;
            for at in 0..self.held.len() {
                let (addr, capacity) = (self.held[at].addr(), self.held[at].capacity());
                if self.with(|pool| pool.is_leaving(addr)) {
                    if let Ok(made) = self.with(|pool| pool.alloc(capacity, &[node(0)])) {
                        pool.free(std::mem::replace(&mut self.held[at], made));
                    }
                }
            }
            self.with(PoolHandle::recall_leaving);
        }

        fn free_every(&mut self, nth: usize) {
            for at in (0..self.held.len()).rev().step_by(nth) {
                let gone = self.held.swap_remove(at);
                self.with(|pool| pool.free(gone));
            }
        }

        fn live(mut self) -> u64 {
            for size in [16, 100, 1000, 9000, 32 << 10] {
                (0..300).for_each(|_| self.alloc(size));
            }
            for size in [40_000, 600_000, 3 << 20, 3 << 20] {
                self.alloc(size);
                self.grow(500_000);
            }
            self.free_every(2);
            self.compact();
            let abroad: Vec<Block> = self.held.drain(..100.min(self.held.len())).collect();
            let pool = self.bench.pool;
            thread::scope(|scope| {
                scope.spawn(|| abroad.into_iter().for_each(|block| pool.free(block)));
            });
            self.with(|pool| pool.drain(usize::MAX));
            self.with(PoolHandle::trim);
            (0..200).for_each(|_| self.alloc(5000));
            self.free_every(1);
            self.bench.check_all_home();
            assert_eq!(pool.faults(), 0);
            self.refused
        }
    }

    #[test]
    fn no_memory_at_any_allocation_of_the_books_loses_nothing() {
        let mut nth = 0;
        while Life::new(Supply::AllBut(nth)).live() > 0 {
            nth += 1;
        }
        assert!(nth > 20, "the books asked {nth} times");
        for nth in (0..nth).step_by(7) {
            assert!(Life::new(Supply::Only(nth)).live() > 0);
        }
    }

    #[test]
    fn what_a_supply_says_it_does() {
        let three = |mut supply: Supply| {
            [(); 3].map(|()| {
                let (left, succeeds) = supply.take();
                supply = left;
                succeeds
            })
        };
        assert_eq!(three(Supply::Endless), [true; 3]);
        assert_eq!(three(Supply::Only(1)), [true, false, false]);
        assert_eq!(three(Supply::AllBut(1)), [true, false, true]);
    }
}
