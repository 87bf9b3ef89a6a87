//! The global allocator: the server's own, so that what we keep beside the pool (tables, names,
//! buffers) is in `used_memory` as the index that it is.
//!
//! Invariant: one process uses one source throughout. In the server the API's table is filled
//! before our first allocation; in a test, a bench or a tool it never is, and the system
//! allocator serves. Rejected: the allocator of `redis-module`, which ignores alignments over 16,
//! has no realloc, and aborts where no server is.

use super::raw::api;
use std::alloc::{GlobalAlloc, Layout, System};

/// The largest alignment that the server's allocator gives by itself.
const NATURAL_ALIGN: usize = 16;

/// See the head of the file.
pub(crate) struct ServerAlloc;

// SAFETY: each branch hands the layout to one allocator, and the same layout picks the same
// branch at `dealloc` and `realloc`; a failure is a null pointer.
unsafe impl GlobalAlloc for ServerAlloc {
    // SAFETY: the caller's duties are those of the trait.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > NATURAL_ALIGN {
            // SAFETY: the caller's layout, unchanged.
            return unsafe { System.alloc(layout) };
        }
        match api!(RedisModule_Alloc(layout.size())) {
            Some(ptr) => ptr.cast(),
            // SAFETY: the caller's layout, unchanged.
            None => unsafe { System.alloc(layout) },
        }
    }

    // SAFETY: the caller's duties are those of the trait.
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let served =
            layout.align() <= NATURAL_ALIGN && api!(RedisModule_Free(ptr.cast())).is_some();
        if !served {
            // SAFETY: `alloc` took the same branch for the same layout.
            unsafe { System.dealloc(ptr, layout) }
        }
    }

    // SAFETY: the caller's duties are those of the trait.
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() > NATURAL_ALIGN {
            // SAFETY: `alloc` took the same branch for the same layout.
            return unsafe { System.realloc(ptr, layout, new_size) };
        }
        match api!(RedisModule_Realloc(ptr.cast(), new_size)) {
            Some(ptr) => ptr.cast(),
            // SAFETY: `alloc` took the same branch for the same layout.
            None => unsafe { System.realloc(ptr, layout, new_size) },
        }
    }
}
