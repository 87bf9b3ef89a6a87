//! `numa_strategy.h` in Rust: the structs that cross the border to other modules' strategies.
//!
//! What each field means stands in the header, once. `build.rs` compiles this file too, and has the
//! C compiler compare every size and offset with the header's (`layout.c`): a field that is moved
//! in one of the two is no longer built. So this file names nothing but `core`.

use core::ffi::{c_char, c_int, c_void};

/// The version of all that stands here.
pub(crate) const ABI: u32 = 1;

/// What functions answer.
pub(crate) const OK: c_int = 0;
/// A callback failed, or there is no such key.
pub(crate) const ERR: c_int = 1;
/// Another version.
pub(crate) const ERR_ABI: c_int = 2;
/// Another size.
pub(crate) const ERR_SIZE: c_int = 3;
/// A pointer is missing.
pub(crate) const ERR_NULL: c_int = 4;
/// A name that cannot be one.
pub(crate) const ERR_NAME: c_int = 5;
/// The name or the slot is in use.
pub(crate) const ERR_TAKEN: c_int = 6;
/// No slot for other modules.
pub(crate) const ERR_SLOT: c_int = 7;
/// Too many strategies.
pub(crate) const ERR_FULL: c_int = 8;
/// No such strategy.
pub(crate) const ERR_UNKNOWN: c_int = 9;
/// Called from inside a strategy, or from another thread.
pub(crate) const ERR_BUSY: c_int = 10;
/// The strategy's own init failed.
pub(crate) const ERR_INIT: c_int = 11;

/// No slot.
pub(crate) const NO_SLOT: c_int = -1;

/// Reasons of moves, in the order of their numbers.
pub(crate) const PROMOTE: u32 = 0;
/// Cold and near.
pub(crate) const DEMOTE: u32 = 1;
/// The node holds more than its share.
pub(crate) const BALANCE: u32 = 2;

/// The most moves of one plan.
pub(crate) const MOVES_MAX: usize = 1024;

/// A node that may hold values.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumaNode {
    pub(crate) used: u64,
    pub(crate) limit: u64,
    pub(crate) latency_ns: u64,
    pub(crate) id: i32,
    pub(crate) home: i32,
}

/// What is known of a key.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumaKey {
    pub(crate) name: *const c_char,
    pub(crate) name_len: usize,
    pub(crate) bytes: u64,
    pub(crate) idle_ms: u64,
    pub(crate) accesses: u64,
    pub(crate) move_ns: u64,
    pub(crate) db: u32,
    pub(crate) node: i32,
    pub(crate) level: u32,
    pub(crate) per_era: u32,
    pub(crate) pinned: u32,
    pub(crate) native: u32,
}

/// One key to move.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumaMove {
    pub(crate) name: *const c_char,
    pub(crate) name_len: usize,
    pub(crate) db: u32,
    pub(crate) to: i32,
    pub(crate) why: u32,
    pub(crate) benefit: u32,
}

/// What a strategy returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumaPlan {
    pub(crate) moves: *const NumaMove,
    pub(crate) count: usize,
    pub(crate) error: *const c_char,
}

/// Called for each key that a scan passes.
pub(crate) type NumaEach = Option<unsafe extern "C" fn(*mut c_void, *const NumaKey)>;

/// `NumaView.look`.
pub(crate) type Look =
    unsafe extern "C" fn(*const NumaView, u32, *const c_char, usize, *mut NumaKey) -> c_int;

/// `NumaView.scan`.
pub(crate) type Scan =
    unsafe extern "C" fn(*const NumaView, usize, NumaEach, *mut c_void, *mut c_int) -> usize;

/// `NumaView.hot`.
pub(crate) type Hot = unsafe extern "C" fn(*const NumaView, usize, NumaEach, *mut c_void) -> usize;

/// What a strategy may see.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumaView {
    pub(crate) abi: u32,
    pub(crate) size: u32,
    pub(crate) now_ms: u64,
    pub(crate) era_ms: u64,
    pub(crate) budget_us: u64,
    pub(crate) budget_bytes: u64,
    pub(crate) budget_keys: u64,
    pub(crate) host: *mut c_void,
    pub(crate) now_us: unsafe extern "C" fn(*const NumaView) -> u64,
    pub(crate) nodes: unsafe extern "C" fn(*const NumaView, *mut NumaNode, usize) -> usize,
    pub(crate) look: Look,
    pub(crate) scan: Scan,
    pub(crate) hot: Hot,
}

/// `NumaStrategy.execute`.
pub(crate) type Execute =
    unsafe extern "C" fn(*mut c_void, *const NumaView, *mut NumaPlan) -> c_int;

/// `NumaStrategy.set`.
pub(crate) type Set = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int;

/// `NumaStrategy.get`.
pub(crate) type Get = unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_char, usize) -> c_int;

/// A strategy: a factory and its functions.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumaStrategy {
    pub(crate) abi: u32,
    pub(crate) size: u32,
    pub(crate) module: *const c_char,
    pub(crate) name: *const c_char,
    pub(crate) description: *const c_char,
    pub(crate) settings: *const *const c_char,
    pub(crate) hot_level: u32,
    pub(crate) reserved: u32,
    pub(crate) init: Option<unsafe extern "C" fn(*mut *mut c_void) -> c_int>,
    pub(crate) cleanup: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(crate) execute: Option<Execute>,
    pub(crate) set: Option<Set>,
    pub(crate) get: Option<Get>,
}
