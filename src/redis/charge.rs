//! `used_memory` follows the pool's live bytes, so that `maxmemory` and eviction work as ever.
//!
//! The server counts what goes through its own allocator and cannot see our regions. Its eviction
//! loop deletes keys until that count falls, so each change of live bytes must show there before
//! a free returns (design D1). Two ways:
//!
//! * **Phantom pairs.** A block taken from the server's counting allocator and given to the
//!   uncounting one underneath raises the count and holds no memory; the other way round lowers
//!   it. Used where both are found and the sum comes out right in a trial at load.
//! * **Ballast.** Blocks of the server's allocator that are never touched, as many as there are
//!   live bytes. Used elsewhere.
//!
//! Invariant: charged to the server + `remainder` = live bytes of the pool, |remainder| < 2 UNITs
//! when no thread is inside. Rejected: regions taken from the server's allocator; eviction then
//! empties the database, for a region comes back long after its keys are gone.

use super::raw::api;
use crate::pool::Meter;
use once_cell::sync::OnceCell;
use std::ffi::{c_void, CStr};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The grain of a charge in bytes.
const UNIT: i64 = 4096;
/// The largest pair, in units: 32 KiB still comes from jemalloc's thread cache.
const UNITS_MAX: i64 = 8;
/// How often a trial is tried before the way is given up.
const TRIALS: usize = 5;
/// A ballast block of the coarse kind, in units.
const COARSE_UNITS: i64 = 256;

type RawMalloc = unsafe extern "C" fn(usize) -> *mut c_void;
type RawFree = unsafe extern "C" fn(*mut c_void);
type UsedMemory = unsafe extern "C" fn() -> usize;

/// The allocator underneath the server's counting one.
#[derive(Clone, Copy)]
struct Underneath {
    malloc: RawMalloc,
    free: RawFree,
    /// Whether a pair of several units counts exactly as that many pairs of one.
    several: bool,
}

/// Blocks that stand for live bytes; addresses of the server's allocator.
#[derive(Default)]
struct Ballast {
    fine: Vec<usize>,
    coarse: Vec<usize>,
}

enum Way {
    Pairs(Underneath),
    Ballast(Mutex<Ballast>),
}

/// The meter that the pool reports to.
pub(crate) struct Charge {
    way: OnceCell<Way>,
    remainder: AtomicI64,
}

/// The one meter of the process.
pub(crate) static CHARGE: Charge = Charge {
    way: OnceCell::new(),
    remainder: AtomicI64::new(0),
};

impl Meter for Charge {
    fn charge(&self, delta: i64) {
        let sum = self.remainder.fetch_add(delta, Ordering::Relaxed) + delta;
        let units = sum / UNIT;
        if units == 0 {
            return;
        }
        self.remainder.fetch_sub(units * UNIT, Ordering::Relaxed);
        match self.way.get() {
            Some(Way::Pairs(underneath)) => underneath.shift(units),
            Some(Way::Ballast(ballast)) => {
                ballast
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .shift(units);
            }
            None => {}
        }
    }
}

impl Charge {
    /// Finds the way for this server; `allocator` is what its INFO calls `mem_allocator`. The
    /// answer is a word for the log.
    pub(crate) fn choose(&self, allocator: &str) -> &'static str {
        let way = self.way.get_or_init(|| match Underneath::find(allocator) {
            Some(underneath) => Way::Pairs(underneath),
            None => Way::Ballast(Mutex::default()),
        });
        match way {
            Way::Pairs(_) => "phantom pairs",
            Way::Ballast(_) => "ballast",
        }
    }
}

impl Underneath {
    /// The allocator underneath, if pairs prove to count as they should.
    fn find(allocator: &str) -> Option<Self> {
        let (malloc, free) = functions(allocator)?;
        let used: UsedMemory = symbol(c"zmalloc_used_memory").map(|address| {
            // SAFETY: the server exports it with this shape in all of 6.2.
            unsafe { std::mem::transmute::<*mut c_void, UsedMemory>(address) }
        })?;
        if has_prefix() {
            return None;
        }
        let mut found = Self {
            malloc,
            free,
            several: false,
        };
        // A background thread of the server may free something in the middle of a trial.
        let grain = (0..TRIALS).find_map(|_| found.trial(used, 1))?;
        if !(UNIT..UNIT + 64).contains(&grain) {
            return None;
        }
        let several = (0..TRIALS).find_map(|_| found.trial(used, UNITS_MAX));
        found.several = several == Some(grain * UNITS_MAX);
        Some(found)
    }

    /// What one pair up and one pair down of `units` change: the same amount, or nothing.
    fn trial(self, used: UsedMemory, units: i64) -> Option<i64> {
        // SAFETY: the server's function takes nothing and only reads a counter.
        let count = || unsafe { used() } as i64;
        let start = count();
        self.pair(units, true);
        let risen = count() - start;
        self.pair(units, false);
        (count() == start).then_some(risen)
    }

    /// Raises or lowers the server's count by that many units, holding no memory.
    fn shift(self, units: i64) {
        let (mut left, up) = (units.abs(), units > 0);
        while left > 0 {
            let step = if self.several && left >= UNITS_MAX {
                UNITS_MAX
            } else {
                1
            };
            self.pair(step, up);
            left -= step;
        }
    }

    fn pair(self, units: i64, up: bool) {
        let size = (units * UNIT) as usize;
        if up {
            if let Some(counted) = api!(RedisModule_Alloc(size)) {
                // SAFETY: the counting allocator hands out blocks of the one underneath,
                // without a header: the trial at load has shown that.
                unsafe { (self.free)(counted) };
            }
            return;
        }
        // SAFETY: a plain allocation.
        let uncounted = unsafe { (self.malloc)(size) };
        if !uncounted.is_null() {
            api!(RedisModule_Free(uncounted));
        }
    }
}

impl Ballast {
    fn shift(&mut self, units: i64) {
        for _ in 0..units.max(0) {
            self.grow();
        }
        for _ in units.min(0)..0 {
            self.shrink();
        }
    }

    /// One unit more; many small blocks become a large one, which costs no OS page until touched.
    fn grow(&mut self) {
        self.fine.extend(take(UNIT));
        if self.fine.len() as i64 == 2 * COARSE_UNITS {
            if let Some(coarse) = take(UNIT * COARSE_UNITS) {
                self.coarse.push(coarse);
                self.fine.drain(COARSE_UNITS as usize..).for_each(give);
            }
        }
    }

    fn shrink(&mut self) {
        if self.fine.is_empty() {
            if let Some(coarse) = self.coarse.pop() {
                self.fine
                    .extend((0..COARSE_UNITS).filter_map(|_| take(UNIT)));
                give(coarse);
            }
        }
        if let Some(fine) = self.fine.pop() {
            give(fine);
        }
    }
}

/// Whether the server's allocator keeps a size in front of each block (a C library without
/// `malloc_usable_size`): its blocks are then off the natural alignment by that size.
fn has_prefix() -> bool {
    let Some(block) = take(UNIT) else {
        return true;
    };
    give(block);
    block % 16 != 0
}

fn take(size: i64) -> Option<usize> {
    api!(RedisModule_Alloc(size as usize)).map(|ptr| ptr as usize)
}

fn give(block: usize) {
    api!(RedisModule_Free(block as *mut c_void));
}

/// The malloc and free underneath, by the names that the server's allocator gives them.
fn functions(allocator: &str) -> Option<(RawMalloc, RawFree)> {
    let pair = if let Some(malloc) = symbol(c"je_malloc") {
        (malloc, symbol(c"je_free")?)
    } else if allocator.starts_with("jemalloc") || allocator.starts_with("libc") {
        (symbol(c"malloc")?, symbol(c"free")?)
    } else {
        return None;
    };
    // SAFETY: malloc has this shape under either name.
    let malloc = unsafe { std::mem::transmute::<*mut c_void, RawMalloc>(pair.0) };
    // SAFETY: free has this shape under either name.
    let free = unsafe { std::mem::transmute::<*mut c_void, RawFree>(pair.1) };
    Some((malloc, free))
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a C string, and a handle that the C library defines.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}
