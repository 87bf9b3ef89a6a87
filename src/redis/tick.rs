//! The timer's entry: runs the works, and measures how long they held the main thread.

use super::guard::contained;
use super::raw::Ctx;
use super::server::server;

/// The timer fired for that generation of the works.
pub(crate) fn fired(ctx: Ctx<'_>, generation: usize) {
    let Some(server) = server() else {
        return;
    };
    let begun_us = thread_cpu_us();
    let work = || {
        server
            .works
            .with(|works| works.tick(ctx, server, generation))
    };
    let ran = contained(None, work);
    let held_us = thread_cpu_us().saturating_sub(begun_us);
    server.works.with(|works| {
        works.holds.ticks += 1;
        works.holds.total_us += held_us;
        works.holds.tick_max_us = works.holds.tick_max_us.max(held_us);
        works.holds.hold_max_us = works.holds.hold_max_us.max(held_us);
    });
    if ran.is_none() {
        // The tick panicked on its way to the next one, or a command of ours inside which the timer
        // fired holds the works, which the server does not do. The next tick must still come.
        ctx.start_timer(1000, generation);
    }
}

/// CPU time of the calling thread in us: what the module costs, whatever else the machine does.
pub(crate) fn thread_cpu_us() -> u64 {
    super::raw::thread_cpu_ns() / 1000
}
