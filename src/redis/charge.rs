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
//! when no thread is inside. An allocator rounds a block up, the C library's not always alike, so
//! what is charged is the size that the server counted for that very block, never the one asked
//! for: no cycle of writes and deletes can drift.
//!
//! Rejected: regions taken from the server's allocator; eviction then empties the database, for a
//! region comes back long after its keys are gone.

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
}

/// Where ballast comes from: the server's allocator, or a model of it in a test.
#[derive(Clone, Copy)]
struct Store {
    /// A block of that many bytes.
    take: fn(usize) -> Option<usize>,
    give: fn(usize),
    /// What the server counts for a block.
    size: fn(usize) -> i64,
}

/// Blocks that stand for live bytes.
struct Ballast {
    fine: Vec<usize>,
    coarse: Vec<usize>,
    store: Store,
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
        // Taken out before the work, so that another thread does not do the same work again.
        self.remainder.fetch_sub(units * UNIT, Ordering::Relaxed);
        let counted = self.way.get().map_or(0, |way| way.shift(units));
        self.remainder
            .fetch_sub(counted - units * UNIT, Ordering::Relaxed);
    }
}

impl Charge {
    /// Finds the way for this server; `allocator` is what its INFO calls `mem_allocator`. The
    /// answer is a word for the log.
    pub(crate) fn choose(&self, allocator: &str) -> &'static str {
        let way = self.way.get_or_init(|| match Underneath::find(allocator) {
            Some(underneath) => Way::Pairs(underneath),
            None => Way::Ballast(Mutex::new(Ballast::new(SERVER_STORE))),
        });
        match way {
            Way::Pairs(_) => "phantom pairs",
            Way::Ballast(_) => "ballast",
        }
    }
}

impl Way {
    /// Changes the server's count by about that many units; by how many bytes it really changed.
    fn shift(&self, units: i64) -> i64 {
        match self {
            Self::Pairs(underneath) => underneath.shift(units),
            Self::Ballast(ballast) => {
                let mut ballast = ballast.lock().unwrap_or_else(PoisonError::into_inner);
                ballast.shift(units)
            }
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
        let found = Self { malloc, free };
        // A background thread of the server may free something in the middle of a trial.
        let proven = |units| (0..TRIALS).any(|_| found.trial(used, units));
        (proven(1) && proven(UNITS_MAX)).then_some(found)
    }

    /// Whether a pair up and a pair down of `units` change the count by what they say.
    fn trial(self, used: UsedMemory, units: i64) -> bool {
        // SAFETY: the server's function takes nothing and only reads a counter.
        let count = || unsafe { used() } as i64;
        let start = count();
        let up = self.pair(units, true);
        let above = count();
        let down = self.pair(units, false);
        up >= units * UNIT && above == start + up && count() == above + down
    }

    fn shift(self, units: i64) -> i64 {
        let (mut left, up) = (units.abs(), units > 0);
        let mut counted = 0;
        while left > 0 {
            let step = left.min(UNITS_MAX);
            counted += self.pair(step, up);
            left -= step;
        }
        counted
    }

    /// Raises or lowers the server's count by about that many units, holding no memory; by how
    /// many bytes.
    fn pair(self, units: i64, up: bool) -> i64 {
        let bytes = (units * UNIT) as usize;
        if up {
            let Some(counted) = server_take(bytes) else {
                return 0;
            };
            let size = server_size(counted);
            // SAFETY: the counting allocator hands out blocks of the one underneath, without a
            // header: `functions` has found the pair by name, the trial at load has shown it.
            unsafe { (self.free)(counted as *mut c_void) };
            return size;
        }
        // SAFETY: a plain allocation.
        let uncounted = unsafe { (self.malloc)(bytes) } as usize;
        if uncounted == 0 {
            return 0;
        }
        let size = server_size(uncounted);
        server_give(uncounted);
        -size
    }
}

impl Ballast {
    fn new(store: Store) -> Self {
        Self {
            fine: Vec::new(),
            coarse: Vec::new(),
            store,
        }
    }

    /// Grows or shrinks by that many units; by how many bytes the count changed.
    fn shift(&mut self, units: i64) -> i64 {
        let mut left = units;
        let mut counted = 0;
        while left != 0 {
            let (step, bytes) = match left {
                COARSE_UNITS.. => (COARSE_UNITS, self.push(COARSE_UNITS)),
                1.. => (1, self.push(1)),
                _ if left <= -COARSE_UNITS && !self.coarse.is_empty() => {
                    (-COARSE_UNITS, self.pop(COARSE_UNITS))
                }
                _ => (-1, self.shrink()),
            };
            left -= step;
            counted += bytes;
        }
        counted + self.pack()
    }

    fn push(&mut self, units: i64) -> i64 {
        let Some(block) = (self.store.take)((units * UNIT) as usize) else {
            return 0;
        };
        let blocks = if units == 1 {
            &mut self.fine
        } else {
            &mut self.coarse
        };
        blocks.push(block);
        (self.store.size)(block)
    }

    fn pop(&mut self, units: i64) -> i64 {
        let blocks = if units == 1 {
            &mut self.fine
        } else {
            &mut self.coarse
        };
        let Some(block) = blocks.pop() else {
            return 0;
        };
        let size = (self.store.size)(block);
        (self.store.give)(block);
        -size
    }

    /// One unit less; a coarse block is broken up where no fine one is left.
    fn shrink(&mut self) -> i64 {
        let mut counted = 0;
        if self.fine.is_empty() && !self.coarse.is_empty() {
            counted += self.pop(COARSE_UNITS);
            counted += (0..COARSE_UNITS).map(|_| self.push(1)).sum::<i64>();
        }
        counted + self.pop(1)
    }

    /// Makes many fine blocks one coarse: a block costs an OS page where its allocator keeps a
    /// header in front of it, whatever its size.
    fn pack(&mut self) -> i64 {
        let mut counted = 0;
        while self.fine.len() as i64 >= 2 * COARSE_UNITS {
            counted += self.push(COARSE_UNITS);
            counted += (0..COARSE_UNITS).map(|_| self.pop(1)).sum::<i64>();
        }
        counted
    }
}

/// Whether the server's allocator keeps a size in front of each block (a C library without
/// `malloc_usable_size`): its blocks are then off the natural alignment by that size.
fn has_prefix() -> bool {
    let Some(block) = server_take(UNIT as usize) else {
        return true;
    };
    server_give(block);
    block % 16 != 0
}

/// The server's counting allocator.
const SERVER_STORE: Store = Store {
    take: server_take,
    give: server_give,
    size: server_size,
};

fn server_take(bytes: usize) -> Option<usize> {
    api!(RedisModule_Alloc(bytes)).map(|ptr| ptr as usize)
}

fn server_give(block: usize) {
    api!(RedisModule_Free(block as *mut c_void));
}

fn server_size(block: usize) -> i64 {
    api!(RedisModule_MallocSize(block as *mut c_void)).unwrap_or(0) as i64
}

/// The malloc and free underneath, by the names that the server's allocator gives them.
///
/// A wrong guess would hand a block to an allocator that does not know it, which no trial
/// survives, so each name needs its evidence: the prefix is jemalloc's own, and an unprefixed
/// `malloc` is jemalloc's only where the same library has jemalloc's `mallctl`.
fn functions(allocator: &str) -> Option<(RawMalloc, RawFree)> {
    let prefixed = || Some((symbol(c"je_malloc")?, symbol(c"je_free")?));
    let plain = || Some((symbol(c"malloc")?, symbol(c"free")?));
    let pair = if allocator.starts_with("jemalloc") {
        prefixed().or_else(|| {
            let (malloc, free) = plain()?;
            let home = library_of(symbol(c"mallctl")?)?;
            let same = |address| library_of(address) == Some(home);
            (same(malloc) && same(free)).then_some((malloc, free))
        })?
    } else if allocator == "libc" {
        plain()?
    } else {
        return None;
    };
    // SAFETY: malloc has this shape under either name.
    let malloc = unsafe { std::mem::transmute::<*mut c_void, RawMalloc>(pair.0) };
    // SAFETY: free has this shape under either name.
    let free = unsafe { std::mem::transmute::<*mut c_void, RawFree>(pair.1) };
    Some((malloc, free))
}

/// Where the process has something of that name; nothing where it has not.
pub(super) fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: a C string, and a handle that the C library defines.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Where the library that holds a symbol was loaded.
pub(super) fn library_of(address: *mut c_void) -> Option<usize> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked about, and the answer's place is ours.
    let known = unsafe { libc::dladdr(address, &mut info) };
    (known != 0).then_some(info.dli_fbase as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    thread_local! {
        /// The blocks that a model of the server's allocator has given out, and their sizes.
        static BLOCKS: RefCell<BTreeMap<usize, i64>> = const { RefCell::new(BTreeMap::new()) };
    }

    fn outstanding() -> (usize, i64) {
        BLOCKS.with_borrow(|blocks| (blocks.len(), blocks.values().sum()))
    }

    /// Rounds up, not always alike, as the C library's allocator does.
    fn model_take(bytes: usize) -> Option<usize> {
        BLOCKS.with_borrow_mut(|blocks| {
            let name = blocks.last_key_value().map_or(1, |(last, _)| last + 1);
            let rounding = [8, 24][name % 2];
            blocks.insert(name, bytes as i64 + rounding);
            Some(name)
        })
    }

    fn model_give(block: usize) {
        let had = BLOCKS.with_borrow_mut(|blocks| blocks.remove(&block));
        assert!(had.is_some(), "given back twice, or never given out");
    }

    fn model_size(block: usize) -> i64 {
        BLOCKS.with_borrow(|blocks| blocks[&block])
    }

    fn model() -> Ballast {
        BLOCKS.with_borrow_mut(BTreeMap::clear);
        Ballast::new(Store {
            take: model_take,
            give: model_give,
            size: model_size,
        })
    }

    /// A charge over the model.
    fn charge() -> Charge {
        let made = Charge {
            way: OnceCell::new(),
            remainder: AtomicI64::new(0),
        };
        assert!(made.way.set(Way::Ballast(Mutex::new(model()))).is_ok());
        made
    }

    proptest! {
        #[test]
        fn what_is_charged_and_the_remainder_are_the_live_bytes(
            deltas in prop::collection::vec(-3_000_000_i64..3_000_000, 1..60),
        ) {
            let charge = charge();
            let mut live = 0;
            for delta in deltas {
                let delta = delta.max(-live);
                live += delta;
                charge.charge(delta);
                let remainder = charge.remainder.load(Ordering::Relaxed);
                prop_assert_eq!(outstanding().1 + remainder, live);
                prop_assert!(remainder.abs() < 2 * UNIT + live / 100, "remainder {}", remainder);
            }
            charge.charge(-live);
            prop_assert!(outstanding().1 < 2 * UNIT);
        }
    }

    #[test]
    fn small_changes_never_drift() {
        let charge = charge();
        for _ in 0..5_000 {
            (0..40).for_each(|_| charge.charge(4112));
            (0..40).for_each(|_| charge.charge(-4112));
        }
        let remainder = charge.remainder.load(Ordering::Relaxed);
        assert_eq!(outstanding().1 + remainder, 0);
        assert!(remainder.abs() < 2 * UNIT, "{remainder}");
    }

    #[test]
    fn much_ballast_is_few_blocks() {
        let mut ballast = model();
        (0..100_000).for_each(|_| {
            ballast.shift(1);
        });
        let (blocks, bytes) = outstanding();
        assert!(bytes >= 100_000 * UNIT);
        assert!(blocks <= 1_000, "{blocks} blocks");
        ballast.shift(-100_000);
        assert_eq!(outstanding(), (0, 0));
    }

    #[test]
    fn an_unknown_allocator_has_no_pairs() {
        assert!(functions("tcmalloc-2.9").is_none());
        assert!(functions("").is_none());
        assert!(functions("libc").is_some());
    }

    #[test]
    fn a_plain_malloc_that_is_not_jemallocs_is_never_taken_for_it() {
        // This process has the C library's malloc and no jemalloc.
        assert!(functions("jemalloc-5.3.0").is_none());
    }
}
