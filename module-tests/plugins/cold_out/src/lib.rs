//! A complete strategy for redis-numa in Rust: cold keys leave home.
//!
//! It sends near keys that nobody has used for `idle_ms` to the nearest node with room, whether or
//! not their room is wanted. `MODULE LOAD libcold_out.so [<slot>]`, then
//! `NUMA STRATEGY SET <slot> idle_ms 60000`. (`idle_ms 0` makes it panic, for the tests: redis-numa
//! counts a wrong run, and the server goes on.)

use numa_strategy::{Plan, Strategy, View, Why, NO_SLOT, REGISTER, UNREGISTER};
use redis_module::raw;
use std::ffi::{c_int, c_void, CStr};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Keys passed between two looks at the clock.
const SCAN_KEYS: usize = 64;
/// Moves of one plan.
const MOVES_MAX: usize = 256;

struct ColdOut {
    idle_ms: u64,
}

impl Strategy for ColdOut {
    const MODULE: &'static CStr = c"cold_out";
    const NAME: &'static CStr = c"cold-out";
    const DESCRIPTION: &'static CStr = c"Sends near keys away that nobody has used for idle_ms.";
    const SETTINGS: &'static [&'static CStr] = &[c"idle_ms"];

    fn new() -> Option<Self> {
        Some(Self { idle_ms: 60_000 })
    }

    fn execute(&mut self, view: &View<'_>, plan: &mut Plan) -> Result<(), String> {
        assert!(self.idle_ms > 0, "told to");
        let (budget_us, ..) = view.budget();
        let end_us = view.now_us() + budget_us / 2;
        let nodes = view.nodes();
        let Some((home, others)) = nodes.split_first() else {
            return Err("there is no node".to_owned());
        };
        let mut room: Vec<u64> = others
            .iter()
            .map(|n| n.limit.saturating_sub(n.used))
            .collect();
        let mut wrapped = false;
        while !wrapped && plan.len() < MOVES_MAX && view.now_us() < end_us {
            let passed = view.scan(SCAN_KEYS, |key| {
                if key.node != home.id || key.pinned || key.idle_ms < self.idle_ms {
                    return;
                }
                let target = others
                    .iter()
                    .zip(&mut room)
                    .find(|(_, left)| **left >= key.bytes);
                if let Some((node, left)) = target {
                    *left -= key.bytes;
                    plan.push(key, node.id, Why::Demote, 0);
                }
            });
            wrapped = passed.1 || passed.0 == 0;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> bool {
        let (true, Ok(idle_ms)) = (name == "idle_ms", value.parse()) else {
            return false;
        };
        self.idle_ms = idle_ms;
        true
    }

    fn get(&self, name: &str) -> Option<String> {
        (name == "idle_ms").then(|| self.idle_ms.to_string())
    }
}

/// The function that takes the strategy back, for the unload.
static TAKE_BACK: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// The module's load.
///
/// # Safety
/// * Called by the server alone.
#[no_mangle]
pub unsafe extern "C" fn RedisModule_OnLoad(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    let status = raw::Status::Err as c_int;
    let version = raw::REDISMODULE_APIVER_1 as c_int;
    let name = ColdOut::MODULE.as_ptr();
    // SAFETY: the server's context, and a C string that lives for ever.
    if unsafe { raw::Export_RedisModule_Init(ctx, name, 1, version) } == status {
        return status;
    }
    // SAFETY: the table is filled now.
    let functions = unsafe {
        (
            raw::RedisModule_GetSharedAPI,
            raw::RedisModule_StringToLongLong,
        )
    };
    let (Some(shared), Some(number)) = functions else {
        return status;
    };
    let mut slot = i64::from(NO_SLOT);
    // SAFETY: the server's own words, one of them.
    if argc > 0 && unsafe { number(*argv, &mut slot) } == status {
        return status;
    }
    // SAFETY: the server's context and a C string.
    TAKE_BACK.store(
        unsafe { shared(ctx, UNREGISTER.as_ptr()) },
        Ordering::Relaxed,
    );
    // SAFETY: the same.
    let register = unsafe { shared(ctx, REGISTER.as_ptr()) };
    // SAFETY: what the server answered for that name.
    match unsafe { numa_strategy::register::<ColdOut>(register, slot as i32) } {
        Ok(()) => raw::Status::Ok as c_int,
        Err(_) => status,
    }
}

/// The module's unload.
///
/// # Safety
/// * Called by the server alone.
#[no_mangle]
pub unsafe extern "C" fn RedisModule_OnUnload(_ctx: *mut raw::RedisModuleCtx) -> c_int {
    // SAFETY: what the server answered for that name.
    match unsafe { numa_strategy::unregister::<ColdOut>(TAKE_BACK.load(Ordering::Relaxed)) } {
        Ok(()) => raw::Status::Ok as c_int,
        Err(_) => raw::Status::Err as c_int,
    }
}
