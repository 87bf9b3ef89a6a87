//! NUMA PIN and UNPIN: a user binds keys to a node, and lets them go.
//!
//! The pin stands in the value's own header, so that it goes where the key goes: RENAME, RDB files,
//! a move by hand. No strategy and no pass moves a pinned key; NUMAMIGRATE KEY does, for its
//! owner asks. Native keys have no such place: their pins stand in a table that follows them as
//! long as the server runs (`redis/native/pins`). Without the native plane they are refused.

use crate::command::reply::{pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::{DbIndex, NodeId};
use crate::migrate::{KeyRef, Outcome};
use crate::redis::numa_key::AnyKey;
use crate::redis::raw::{KeyKind, Mode, Name};

/// What became of the keys of one call.
#[derive(Default)]
struct Count {
    done: u64,
    missing: u64,
    failed: u64,
}

impl Count {
    fn reply(&self, call: &Call<'_>, done: &'static str) {
        pairs(
            call.ctx,
            &[
                (done, Value::count(self.done)),
                ("missing", Value::count(self.missing)),
                ("failed", Value::count(self.failed)),
            ],
        );
    }
}

/// `NUMA PIN <node> <key> [<key> ...]`.
pub(super) fn pin(call: &Call<'_>) -> Done {
    call.admin_allowed()?;
    let to = call.node(call.word(2)?)?;
    let mut count = Count::default();
    for name in call.args.names_from(3) {
        match held(call, name) {
            Held::Nothing => count.missing += 1,
            // Refused before it is moved: it could not be held where it would then lie.
            Held::Other => count.failed += 1,
            held => match bring(call, name, to)? {
                Outcome::Moved { .. } | Outcome::AlreadyThere
                    if mark(call, name, &held, Some(to)) =>
                {
                    count.done += 1;
                }
                _ => count.failed += 1,
            },
        }
    }
    count.reply(call, "pinned");
    Ok(())
}

/// `NUMA UNPIN <key> [<key> ...]`.
pub(super) fn unpin(call: &Call<'_>) -> Done {
    call.admin_allowed()?;
    let mut count = Count::default();
    for name in call.args.names_from(2) {
        match held(call, name) {
            Held::Nothing => count.missing += 1,
            held if mark(call, name, &held, None) => count.done += 1,
            _ => count.failed += 1,
        }
    }
    count.reply(call, "unpinned");
    Ok(())
}

/// What lies at a key.
enum Held {
    Nothing,
    Numa,
    Native,
    Other,
}

fn held(call: &Call<'_>, name: Name<'_>) -> Held {
    let key = AnyKey::open(call.server, call.ctx, name, Mode::Quiet);
    match (key.kind(), key.numa_kind()) {
        (KeyKind::Empty, _) => Held::Nothing,
        (_, Some(_)) => Held::Numa,
        (KeyKind::Native(_), _) if call.server.native.get().is_some() => Held::Native,
        _ => Held::Other,
    }
}

/// Moves a key to the node that it is to stay on; a big value comes in slices, pinned meanwhile.
fn bring(call: &Call<'_>, name: Name<'_>, to: NodeId) -> Result<Outcome, Fail> {
    let db = DbIndex(call.ctx.selected_db());
    let config = call.server.config();
    let outcome = call.server.works.with(|works| {
        let (mut reach, _, _) = works.reach(call.ctx, call.server, &config);
        reach.move_by_hand(&KeyRef::new(db, name.bytes()), to)
    });
    call.ctx.select_db(db.0);
    outcome.ok_or_else(Fail::busy)
}

/// Writes the pin, or takes it away; false where the key holds nothing that can be pinned.
fn mark(call: &Call<'_>, name: Name<'_>, held: &Held, to: Option<NodeId>) -> bool {
    match (held, call.server.native.get()) {
        (Held::Numa, _) => {
            let key = AnyKey::open(call.server, call.ctx, name, Mode::Quiet);
            key.set_pinned(to.is_some()).is_some()
        }
        (Held::Native, Some(native)) => {
            let key = KeyRef::new(DbIndex(call.ctx.selected_db()), name.bytes());
            match to {
                Some(node) => native.pin(&key, node),
                None => native.unpin(&key),
            }
            true
        }
        _ => false,
    }
}
