//! NUMA EXPLAIN: why a key is where it is, what the next pass would do, at what benefit and cost.
//!
//! Benefit is the accesses that an era is expected to bring times the latency that each would save;
//! cost is what the module has measured of its own moves. Either is 0 where nothing is known.

use crate::command::reply::{pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::config::{Config, NativeKeys};
use crate::ids::{DbIndex, NodeId};
use crate::migrate::{KeyInfo, KeyRef, Keyspace, Plane};
use crate::redis::raw::Name;
use crate::strategy::{verdict, Case, Verdict};

/// What is known of the key.
struct Known {
    info: KeyInfo,
    home: NodeId,
    told: Verdict,
    cost_ns: u64,
}

/// `NUMA EXPLAIN <key>`.
pub(super) fn run(call: &Call<'_>, name: Name<'_>) -> Done {
    let db = DbIndex(call.ctx.selected_db());
    let key = KeyRef::new(db, name.bytes());
    let known = know(call, &key);
    call.ctx.select_db(db.0);
    match known? {
        Some(known) => reply(call, &known),
        None => return Err(Fail::text("Key not found, or of a type that is not placed")),
    }
    Ok(())
}

fn know(call: &Call<'_>, key: &KeyRef) -> Result<Option<Known>, Fail> {
    let config = call.server.config();
    let known = call.server.works.with(|works| {
        let (home, rests, bar) = (works.home(), works.rest, works.runner.bar());
        let (mut reach, _, _) = works.reach(call.ctx, call.server, &config);
        let info = Keyspace::look(&mut reach, key)?;
        // What cannot leave a node can go to none.
        let mut nodes = call.server.machine.topology().ids();
        let elsewhere = nodes.find(|id| *id != info.node);
        let stays = reach.stays(key, elsewhere.unwrap_or(home));
        let case = Case {
            home,
            stays,
            rests: rests.map(|rest| rest.text()),
            automatic: moves_by_itself(&config, &info),
            bar,
        };
        Some(Known {
            info,
            home,
            told: verdict(&info, &case),
            cost_ns: reach.stats.expected_ns(info.bytes),
        })
    });
    known.ok_or_else(Fail::busy)
}

fn moves_by_itself(config: &Config, info: &KeyInfo) -> bool {
    let managed = info.plane == Plane::Numa || config.native_keys == NativeKeys::Manage;
    config.composite.auto_migrate_enabled && managed
}

fn reply(call: &Call<'_>, known: &Known) {
    let (info, topology) = (&known.info, call.server.machine.topology());
    let node = |node: NodeId| Value::count(node.index() as u64);
    let latency = |to| u64::from(topology.estimated_latency_ns(known.home, to));
    let saved = latency(info.node).saturating_sub(latency(known.home));
    let expected = u64::from(info.score.accesses_per_era());
    pairs(
        call.ctx,
        &[
            ("current_node", node(info.node)),
            ("home_node", node(known.home)),
            ("plane", Value::text(info.plane.name())),
            ("hotness_level", Value::count(info.level.get())),
            ("pinned", Value::Int(info.pinned.into())),
            ("why", Value::text(known.told.why.as_str())),
            ("next_node", node(known.told.next.unwrap_or(info.node))),
            ("expected_accesses", Value::count(expected)),
            ("latency_saved_ns", Value::count(saved)),
            ("benefit_ns", Value::count(expected.saturating_mul(saved))),
            ("cost_ns", Value::count(known.cost_ns)),
            (
                "simulated",
                Value::Int(call.server.machine.is_simulated().into()),
            ),
        ],
    );
}
