//! NUMA PIN and UNPIN: a user binds keys to a node, and lets them go.
//!
//! The pin stands in the value's own header, so that it goes where the key goes: RENAME, RDB files,
//! a move by hand. No strategy and no pass moves a pinned key; NUMAMIGRATE KEY does, for its
//! owner asks. Native keys have no such place, and are refused.

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
            Held::Numa => match bring(call, name, to)? {
                Outcome::Moved { .. } | Outcome::AlreadyThere if mark(call, name, true) => {
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
            Held::Numa if mark(call, name, false) => count.done += 1,
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
    Other,
}

fn held(call: &Call<'_>, name: Name<'_>) -> Held {
    let key = AnyKey::open(call.server, call.ctx, name, Mode::Quiet);
    match (key.kind(), key.numa_kind()) {
        (KeyKind::Empty, _) => Held::Nothing,
        (_, Some(_)) => Held::Numa,
        (_, None) => Held::Other,
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

/// Writes the pin; false where the key holds no NUMA value.
fn mark(call: &Call<'_>, name: Name<'_>, pinned: bool) -> bool {
    let key = AnyKey::open(call.server, call.ctx, name, Mode::Quiet);
    key.set_pinned(pinned).is_some()
}
