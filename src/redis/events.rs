//! What the server tells us of its own accord.
//!
//! Values carry their heat, so no event is needed to keep that in step. What names keys from the
//! outside (the ring of hot far keys, the walk's place) is forgotten when names change meaning.

use super::raw::{Ctx, FilterWords, Name};
use super::server::server;
use super::transparent;
use crate::ids::{DbIndex, NodeId};
use crate::migrate::KeyRef;
use redis_module::raw;

/// Keyspace events that make a name mean another key.
const RENAMING: [&[u8]; 4] = [b"rename_from", b"rename_to", b"move_from", b"move_to"];

/// Classes of keyspace events: keys that go or change their names.
const KEYSPACE_CLASSES: i32 = raw::REDISMODULE_NOTIFY_GENERIC
    | raw::REDISMODULE_NOTIFY_EXPIRED
    | raw::REDISMODULE_NOTIFY_EVICTED;

/// Subscribes to everything that is handled here.
pub(crate) fn subscribe(ctx: Ctx<'_>) -> bool {
    let events = [
        raw::REDISMODULE_EVENT_FLUSHDB,
        raw::REDISMODULE_EVENT_SWAPDB,
        raw::REDISMODULE_EVENT_LOADING,
        raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED,
        raw::REDISMODULE_EVENT_FORK_CHILD,
        raw::REDISMODULE_EVENT_MODULE_CHANGE,
        raw::REDISMODULE_EVENT_SHUTDOWN,
    ];
    events.into_iter().all(|id| ctx.subscribe_server_event(id))
        && ctx.subscribe_keyspace_events(KEYSPACE_CLASSES)
}

/// A server event.
pub(crate) fn server_event(ctx: Ctx<'_>, id: u64, _subevent: u64) {
    let Some(server) = server() else {
        return;
    };
    match id {
        // A fork pauses moves through the context's flags, which the next tick reads; what was
        // noticed so far would be acted on late, so it goes with the rest.
        raw::REDISMODULE_EVENT_FORK_CHILD => {
            let shared = ctx.flags().child_running();
            server.pulse.with(|pulse| {
                pulse.forget();
                pulse.shared = shared;
            });
        }
        raw::REDISMODULE_EVENT_SHUTDOWN => {
            server.works.with(|works| works.finish(ctx, server));
        }
        _ => {
            transparent::note_role(ctx);
            server.pulse.with(|pulse| pulse.forget());
            server.works.with(|works| works.keyspace_changed());
            if let Some(native) = server.native.get() {
                native.walk_again();
                native.sweep();
                let gone = |(key, _): &(KeyRef, NodeId)| native.is_gone(ctx, key);
                let pins = native.all_pins().into_iter().filter(gone);
                pins.for_each(|(key, _)| native.unpin(&key));
            }
        }
    }
}

/// Two databases change places.
pub(crate) fn swapped(one: DbIndex, other: DbIndex) {
    if let Some(native) = server().and_then(|server| server.native.get()) {
        native.swap_pins(one, other);
    }
}

/// A keyspace event.
pub(crate) fn keyspace_event(ctx: Ctx<'_>, event: &[u8], key: Name<'_>) {
    let Some(server) = server() else {
        return;
    };
    if RENAMING.contains(&event) {
        server.pulse.with(|pulse| pulse.forget());
    }
    if let Some(native) = server.native.get() {
        native.heard(event, key.bytes());
        native.hear_of_pin(DbIndex(ctx.selected_db()), event, key.bytes());
    }
}

/// A command is about to be looked up.
pub(crate) fn command(words: FilterWords<'_>) {
    if let Some(server) = server() {
        if let Some(native) = server.native.get() {
            native.passes(server, words);
        }
    }
}
