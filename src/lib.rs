//! redis-numa: one module for stock Redis 6.2 that puts each key's bytes on the right NUMA node.
//!
//! The floors, bottom to top, stand in `src/README.md`. This file is the roof: what is registered
//! with the server, in which order.

pub mod config;
pub mod heat;
pub mod ids;
pub mod machine;
pub mod migrate;
pub mod placement;
pub mod pool;
pub mod strategy;
pub mod value;

mod command;
mod redis;

#[cfg(test)]
mod tidy;

use crate::redis::raw::{Args, Ctx, LogLevel, Name};
use crate::redis::server::Server;
use crate::redis::{events, guard, load, main_cell, plugin};

/// Serves the load. Everything that can fail comes before the first thing that the server would
/// call us back for: a module whose load fails is unloaded, and a subscription would outlive it.
pub(crate) fn load(ctx: Ctx<'_>, args: Args<'_>) -> bool {
    main_cell::claim_main_thread();
    let word = |name: Name<'_>| String::from_utf8_lossy(name.bytes()).into_owned();
    let words: Vec<String> = args.names_from(0).map(word).collect();
    match start(ctx, &words) {
        Ok(()) => true,
        Err(reason) => {
            ctx.log(LogLevel::Warning, &format!("not loaded: {reason}"));
            false
        }
    }
}

fn start(ctx: Ctx<'_>, words: &[String]) -> Result<(), String> {
    guard::log_panics();
    let server = load::prepare(ctx, words, command::register)?;
    // From here on the server may call us back, so the load must not fail any more, by a panic
    // neither.
    guard::contained((), || begin(ctx, server));
    Ok(())
}

fn begin(ctx: Ctx<'_>, server: &'static Server) {
    ctx.set_options();
    if !events::subscribe(ctx) {
        ctx.log(
            LogLevel::Warning,
            "the server refused an event; renamed keys are found later",
        );
    }
    if !ctx.register_info() {
        ctx.log(
            LogLevel::Warning,
            "the server refused the INFO section; use NUMA INFO",
        );
    }
    if !plugin::export(ctx) {
        ctx.log(
            LogLevel::Warning,
            "the server refused to share a function; other modules can bring no strategies",
        );
    }
    load::announce(ctx, server);
    server.works.with(|works| {
        let path = server.config().state_file;
        works.state_file.open(ctx, path.as_deref());
        works.start_timer(ctx);
    });
}

/// Tests have no server, and run out of memory on purpose.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: pool::Rationed = pool::Rationed;

/// The server's allocator, see `redis::allocator`.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: redis::allocator::ServerAlloc = redis::allocator::ServerAlloc;

/// What the server looks for in the file.
///
/// # Safety
/// * Called by the server alone, once, with its own context and words.
#[no_mangle]
pub unsafe extern "C" fn RedisModule_OnLoad(
    ctx: *mut redis_module::raw::RedisModuleCtx,
    argv: *mut *mut redis_module::raw::RedisModuleString,
    argc: std::os::raw::c_int,
) -> std::os::raw::c_int {
    // SAFETY: the server calls this as the trait of the entry asks, and so do we.
    unsafe { redis::callbacks::on_load(ctx, argv, argc, load) }
}
