//! Strategies for redis-numa in Rust: `numa_strategy.h` without its pointers.
//!
//! A type that implements [`Strategy`] is registered with [`register`] in the module's load and
//! taken back with [`unregister`] in its unload. No panic crosses the border: each entry catches it
//! here, in the library it started in (no other library could), and answers an error, which
//! redis-numa counts as a wrong run. The example beside this crate, `cold_out`, is a whole module.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::marker::PhantomData;
use std::panic::{catch_unwind, resume_unwind, set_hook, AssertUnwindSafe};
use std::ptr::null;
use std::slice;

#[path = "../../../../src/redis/plugin/abi.rs"]
#[expect(dead_code, reason = "it serves redis-numa too")]
mod abi;

use abi::{NumaEach, NumaKey, NumaMove, NumaNode, NumaPlan, NumaStrategy, NumaView};

/// The name under which the server knows the function that registers.
pub const REGISTER: &CStr = c"numa_strategy_register";
/// The name under which the server knows the function that unregisters.
pub const UNREGISTER: &CStr = c"numa_strategy_unregister";
/// No slot: NUMA STRATEGY SLOT puts the strategy into one.
pub const NO_SLOT: i32 = abi::NO_SLOT;

/// A strategy. All calls come from the server's main thread, one at a time.
pub trait Strategy: Sized + 'static {
    /// The module's name, as it tells the server.
    const MODULE: &'static CStr;
    /// 1 to 64 of a-z 0-9 - _.
    const NAME: &'static CStr;
    /// One line.
    const DESCRIPTION: &'static CStr;
    /// Names of its settings.
    const SETTINGS: &'static [&'static CStr] = &[];
    /// The level from which far accesses are kept for [`View::hot`], 1 to 7; 0 for none.
    const HOT_LEVEL: u32 = 0;

    /// Makes an instance; nothing where it cannot.
    fn new() -> Option<Self>;

    /// Looks, and adds to the plan.
    ///
    /// # Errors
    /// Why it could not decide: a wrong run.
    fn execute(&mut self, view: &View<'_>, plan: &mut Plan) -> Result<(), String>;

    /// Changes a setting; false where the value is refused.
    fn set(&mut self, _name: &str, _value: &str) -> bool {
        false
    }

    /// A setting's value.
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Why a key is to move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Why {
    /// It is hot and far.
    Promote = abi::PROMOTE,
    /// It is cold and near, and its room is wanted.
    Demote = abi::DEMOTE,
    /// Its node holds more than its share.
    Balance = abi::BALANCE,
}

/// A node that may hold values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    /// The kernel's number.
    pub id: i32,
    /// Whether the server's main thread runs there.
    pub home: bool,
    /// Bytes of values there.
    pub used: u64,
    /// The most that values may take there.
    pub limit: u64,
    /// From home; 0 where the machine does not say.
    pub latency_ns: u64,
}

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key<'a> {
    /// Its name, any bytes.
    pub name: &'a [u8],
    /// Its database.
    pub db: u32,
    /// Where most of its bytes are.
    pub node: i32,
    /// What a move of it would move.
    pub bytes: u64,
    /// How hot it is, 0 to 7.
    pub level: u32,
    /// Accesses that an era is expected to bring.
    pub per_era: u32,
    /// Since its last access.
    pub idle_ms: u64,
    /// Accesses so far.
    pub accesses: u64,
    /// What a move of it would cost, as measured; 0 before the first.
    pub move_ns: u64,
    /// Whether a user pinned it.
    pub pinned: bool,
    /// Whether it is of the server's own types.
    pub native: bool,
}

/// A plan being written.
#[derive(Debug, Default)]
pub struct Plan {
    moves: Vec<(Box<[u8]>, NumaMove)>,
}

impl Plan {
    /// Adds a move at the end, or says that the plan is full.
    pub fn push(&mut self, key: &Key<'_>, to: i32, why: Why, benefit: u32) -> bool {
        self.push_named(key.db, key.name, to, why, benefit)
    }

    /// The same for a key by its name.
    pub fn push_named(&mut self, db: u32, name: &[u8], to: i32, why: Why, benefit: u32) -> bool {
        let fits = self.moves.len() < abi::MOVES_MAX;
        if fits {
            let next = NumaMove {
                name: null(),
                name_len: name.len(),
                db,
                to,
                why: why as u32,
                benefit,
            };
            self.moves.push((name.into(), next));
        }
        fits
    }

    /// How many moves it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.moves.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }
}

/// What a strategy may see.
#[derive(Clone, Copy, Debug)]
pub struct View<'v> {
    raw: &'v NumaView,
    /// It is lent to one thread.
    here: PhantomData<*const ()>,
}

impl View<'_> {
    /// Milliseconds; never goes back.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.raw.now_ms
    }

    /// How long an era lasts as of late.
    #[must_use]
    pub fn era_ms(&self) -> u64 {
        self.raw.era_ms
    }

    /// How long this call may take, how many bytes and how many keys can be moved now.
    #[must_use]
    pub fn budget(&self) -> (u64, u64, u64) {
        let raw = self.raw;
        (raw.budget_us, raw.budget_bytes, raw.budget_keys)
    }

    /// Microseconds of the same clock.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        // SAFETY: the view's own function, while it is lent.
        unsafe { (self.raw.now_us)(self.raw) }
    }

    /// The nodes, home first, then by latency.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let mut room = [NumaNode::default(); 64];
        // SAFETY: the view's own function, while it is lent; the room is as long as it is said.
        let count = unsafe { (self.raw.nodes)(self.raw, room.as_mut_ptr(), room.len()) };
        let filled = room.iter().take(count);
        filled
            .map(|node| Node {
                id: node.id,
                home: node.home != 0,
                used: node.used,
                limit: node.limit,
                latency_ns: node.latency_ns,
            })
            .collect()
    }

    /// What is known of a key; nothing where there is none.
    #[must_use]
    pub fn look<'n>(&self, db: u32, name: &'n [u8]) -> Option<Key<'n>> {
        let mut found = NumaKey {
            name: null(),
            name_len: 0,
            bytes: 0,
            idle_ms: 0,
            accesses: 0,
            move_ns: 0,
            db,
            node: 0,
            level: 0,
            per_era: 0,
            pinned: 0,
            native: 0,
        };
        let (start, len) = (name.as_ptr().cast(), name.len());
        // SAFETY: the view's own function, while it is lent; name and place are ours.
        let status = unsafe { (self.raw.look)(self.raw, db, start, len, &mut found) };
        (status == abi::OK).then(|| Key {
            name,
            ..key(&found, name)
        })
    }

    /// Goes on with the slot's endless walk for about `max` keys: how many it passed, and whether
    /// it reached the end.
    pub fn scan<F: FnMut(&Key<'_>)>(&self, max: usize, each: F) -> (usize, bool) {
        let mut wrapped = 0;
        let passed = shown(each, |each, arg| {
            // SAFETY: the view's own function, while it is lent; `each` takes `arg`.
            unsafe { (self.raw.scan)(self.raw, max, each, arg, &mut wrapped) }
        });
        (passed, wrapped != 0)
    }

    /// Shows at most `max` far keys of which hot accesses were seen; each access once, to whoever
    /// asks first.
    pub fn hot<F: FnMut(&Key<'_>)>(&self, max: usize, each: F) -> usize {
        shown(each, |each, arg| {
            // SAFETY: the view's own function, while it is lent; `each` takes `arg`.
            unsafe { (self.raw.hot)(self.raw, max, each, arg) }
        })
    }
}

fn key<'n>(raw: &NumaKey, name: &'n [u8]) -> Key<'n> {
    Key {
        name,
        db: raw.db,
        node: raw.node,
        bytes: raw.bytes,
        level: raw.level,
        per_era: raw.per_era,
        idle_ms: raw.idle_ms,
        accesses: raw.accesses,
        move_ns: raw.move_ns,
        pinned: raw.pinned != 0,
        native: raw.native != 0,
    }
}

/// A closure on its way through C, and the panic it may have ended in.
struct Each<F> {
    each: F,
    panicked: Option<Box<dyn Any + Send>>,
}

/// Has `call` call `each` for keys. A panic in it waits until C is left behind.
fn shown<F: FnMut(&Key<'_>)>(each: F, call: impl FnOnce(NumaEach, *mut c_void) -> usize) -> usize {
    let mut state = Each {
        each,
        panicked: None,
    };
    let count = call(Some(show::<F>), (&raw mut state).cast());
    if let Some(payload) = state.panicked {
        resume_unwind(payload);
    }
    count
}

/// # Safety
/// * `arg` is the [`Each`] of that closure, `shown` a key that lives for the call.
unsafe extern "C" fn show<F: FnMut(&Key<'_>)>(arg: *mut c_void, shown: *const NumaKey) {
    // SAFETY: the caller's promise.
    let state = unsafe { &mut *arg.cast::<Each<F>>() };
    // SAFETY: the caller's promise.
    let shown = unsafe { &*shown };
    if state.panicked.is_some() || shown.name.is_null() {
        return;
    }
    // SAFETY: the name has that many bytes, for the call.
    let name = unsafe { slice::from_raw_parts(shown.name.cast::<u8>(), shown.name_len) };
    let each = &mut state.each;
    let told = catch_unwind(AssertUnwindSafe(|| each(&key(shown, name))));
    state.panicked = told.err();
}

/// An instance, with the plan it last gave.
struct Instance<S> {
    strategy: S,
    names: Vec<Box<[u8]>>,
    moves: Vec<NumaMove>,
    error: CString,
}

/// Registers a strategy with the function that the server gave for [`REGISTER`], and puts it into
/// `slot` unless that is [`NO_SLOT`].
///
/// # Safety
/// * `function` is what the server's `RedisModule_GetSharedAPI` answered for [`REGISTER`].
///
/// # Errors
/// The number in `numa_strategy.h`, or nothing where `function` is null: redis-numa is not loaded.
pub unsafe fn register<S: Strategy>(function: *mut c_void, slot: i32) -> Result<(), Option<i32>> {
    if function.is_null() {
        return Err(None);
    }
    type Register = unsafe extern "C" fn(*const NumaStrategy, c_int) -> c_int;
    // SAFETY: the caller's promise.
    let register = unsafe { std::mem::transmute::<*mut c_void, Register>(function) };
    keep_last_words();
    let strategy = NumaStrategy {
        abi: abi::ABI,
        size: size_of::<NumaStrategy>() as u32,
        module: S::MODULE.as_ptr(),
        name: S::NAME.as_ptr(),
        description: S::DESCRIPTION.as_ptr(),
        settings: settings::<S>(),
        hot_level: S::HOT_LEVEL,
        reserved: 0,
        init: Some(init::<S>),
        cleanup: Some(cleanup::<S>),
        execute: Some(execute::<S>),
        set: Some(set::<S>),
        get: Some(get::<S>),
    };
    // SAFETY: the struct and all that it names are whole.
    match unsafe { register(&strategy, slot) } {
        abi::OK => Ok(()),
        code => Err(Some(code)),
    }
}

/// The names with a null at their end; they stay, as redis-numa may read them at any time.
fn settings<S: Strategy>() -> *const *const c_char {
    let names = S::SETTINGS.iter().map(|name| name.as_ptr());
    let list: Vec<_> = names.chain([null()]).collect();
    Box::leak(list.into_boxed_slice()).as_ptr()
}

/// Takes a strategy back with the function that the server gave for [`UNREGISTER`].
///
/// # Safety
/// * `function` is what the server's `RedisModule_GetSharedAPI` answered for [`UNREGISTER`].
///
/// # Errors
/// As for [`register`].
pub unsafe fn unregister<S: Strategy>(function: *mut c_void) -> Result<(), Option<i32>> {
    if function.is_null() {
        return Err(None);
    }
    type Unregister = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
    // SAFETY: the caller's promise.
    let unregister = unsafe { std::mem::transmute::<*mut c_void, Unregister>(function) };
    // SAFETY: both are C strings.
    match unsafe { unregister(S::MODULE.as_ptr(), S::NAME.as_ptr()) } {
        abi::OK => Ok(()),
        code => Err(Some(code)),
    }
}

/// Runs an entry; a panic ends here, as an error.
fn contained(work: impl FnOnce() -> c_int) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(status) => status,
        Err(payload) => {
            // To drop a payload may panic again.
            std::mem::forget(payload);
            abi::ERR
        }
    }
}

unsafe extern "C" fn init<S: Strategy>(place: *mut *mut c_void) -> c_int {
    contained(|| {
        let Some(strategy) = S::new() else {
            return abi::ERR;
        };
        let made = Box::new(Instance {
            strategy,
            names: Vec::new(),
            moves: Vec::new(),
            error: CString::default(),
        });
        // SAFETY: redis-numa gives a place for the instance.
        unsafe { place.write(Box::into_raw(made).cast()) };
        abi::OK
    })
}

unsafe extern "C" fn cleanup<S: Strategy>(this: *mut c_void) {
    contained(|| {
        // SAFETY: the instance that `init` made, given back once.
        drop(unsafe { Box::from_raw(this.cast::<Instance<S>>()) });
        abi::OK
    });
}

/// # Safety
/// * `this` is the instance that `init` made, and nobody else has it now.
unsafe fn instance<'i, S>(this: *mut c_void) -> &'i mut Instance<S> {
    // SAFETY: the caller's promise.
    unsafe { &mut *this.cast::<Instance<S>>() }
}

unsafe extern "C" fn execute<S: Strategy>(
    this: *mut c_void,
    view: *const NumaView,
    out: *mut NumaPlan,
) -> c_int {
    // SAFETY: redis-numa calls with the instance, one call at a time.
    let own = unsafe { instance::<S>(this) };
    // SAFETY: the view is lent for the call.
    let raw = unsafe { &*view };
    // SAFETY: the plan is lent for the call.
    let out = unsafe { &mut *out };
    let here = PhantomData;
    let mut plan = Plan::default();
    let work = || own.strategy.execute(&View { raw, here }, &mut plan);
    let failed = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(payload) => {
            // To drop a payload may panic again.
            std::mem::forget(payload);
            Some(LAST_WORDS.take())
        }
    };
    if let Some(reason) = failed {
        own.error = CString::new(reason).unwrap_or_default();
        out.error = own.error.as_ptr();
        return abi::ERR;
    }
    contained(|| {
        give(own, plan, out);
        abi::OK
    })
}

thread_local! {
    static LAST_WORDS: Cell<String> = const { Cell::new(String::new()) };
}

/// Keeps what a panic says and where, for redis-numa's log. The usual hook would write it where
/// nobody looks, with a backtrace that takes the server a fifth of a second.
fn keep_last_words() {
    set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let words = info.payload_as_str().unwrap_or("without words");
        LAST_WORDS.set(format!("panicked at {place}: {words}"));
    }));
}

/// Keeps the plan where it lives until the next call, and shows it.
fn give<S>(own: &mut Instance<S>, plan: Plan, out: &mut NumaPlan) {
    let (names, moves): (Vec<_>, Vec<_>) = plan.moves.into_iter().unzip();
    own.names = names;
    own.moves = moves;
    for (next, name) in own.moves.iter_mut().zip(&own.names) {
        next.name = name.as_ptr().cast();
    }
    out.moves = own.moves.as_ptr();
    out.count = own.moves.len();
}

unsafe extern "C" fn set<S: Strategy>(
    this: *mut c_void,
    name: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: redis-numa calls with the instance, one call at a time.
    let own = unsafe { instance::<S>(this) };
    // SAFETY: a C string that lives for the call.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    // SAFETY: the same.
    let value = unsafe { CStr::from_ptr(value) }.to_string_lossy();
    contained(|| {
        if own.strategy.set(&name, &value) {
            abi::OK
        } else {
            abi::ERR
        }
    })
}

unsafe extern "C" fn get<S: Strategy>(
    this: *mut c_void,
    name: *const c_char,
    out: *mut c_char,
    size: usize,
) -> c_int {
    // SAFETY: redis-numa calls with the instance, one call at a time.
    let own = unsafe { instance::<S>(this) };
    // SAFETY: a C string that lives for the call.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    contained(|| {
        let Some(value) = own.strategy.get(&name).filter(|_| size > 0) else {
            return abi::ERR;
        };
        let len = value.len().min(size - 1);
        // SAFETY: the room is `size` long, and this is less.
        unsafe { out.copy_from_nonoverlapping(value.as_ptr().cast(), len) };
        // SAFETY: the last byte of what was filled, within the room.
        unsafe { out.add(len).write(0) };
        abi::OK
    })
}
