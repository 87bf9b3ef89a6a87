//! NUMA: reports, conversion, and the other two commands under one roof.

use super::{doctor, explain, numaconfig, numamigrate, pin, plan, strategy};
use crate::command::args::{integer, is};
use crate::command::reply::{as_list, help, pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::{Bytes, NodeId};
use crate::machine::NodeInfo;
use crate::migrate::{Outcome, Task};
use crate::redis::info::{fields, Field};
use crate::redis::numa_key::AnyKey;
use crate::redis::raw::Name;
use crate::redis::{convert, process_bytes, prove};

const HELP: &[&str] = &[
    "NUMA <subcommand> [<arg> ...]. Subcommands are:",
    "INFO",
    "    The module's section of INFO, as name and value.",
    "NODES",
    "    The nodes: tier, CPUs, distances, latencies, room, use.",
    "STATUS",
    "    What runs now and how far it is.",
    "HEATMAP",
    "    Keys and bytes by node and hotness level: rows of [node, level, keys, bytes].",
    "VERIFY [COUNT <n>]",
    "    Asks the kernel where the bytes of n keys lie, and repairs what lies elsewhere.",
    "DOCTOR",
    "    What an operator should know, in plain words.",
    "EXPLAIN <key>",
    "    Why it is where it is, what the next pass would do, at what benefit and cost.",
    "PLAN [COUNT <n>]",
    "    What the next pass of slot 1 would move of n keys, without moving: key, node, reason.",
    "PIN <node> <key> [<key> ...]",
    "    Moves keys to the node and holds them there; only NUMAMIGRATE KEY moves them then.",
    "UNPIN <key> [<key> ...]",
    "    Lets them go.",
    "STRATEGY LIST | STATUS <slot> | SLOT <slot> <name> | ENABLE <slot> | DISABLE <slot>",
    "STRATEGY INTERVAL <slot> <ms> | PRIORITY <slot> high|normal|low",
    "STRATEGY GET <slot> [<name>] | SET <slot> <name> <value>",
    "    The strategies in their slots: what they did, whether they run, which is where; their",
    "    settings.",
    "COMPACT",
    "    Moves values together within their nodes now, in the background; STATUS tells how far.",
    "CONVERT <key> NATIVE|NUMA",
    "    Moves the key to the other plane; its time to live stays.",
    "RELEASE [MATCH <glob>]|CANCEL",
    "    Converts all NUMA types back to native ones, in the background: the way to leave.",
    "CONFIG <subcommand> ...",
    "    NUMACONFIG.",
    "MIGRATE <subcommand> ...",
    "    NUMAMIGRATE.",
    "HELP",
    "    Prints this help.",
];

/// Keys that VERIFY looks at when it is not told, and at most.
const VERIFY_COUNT: i64 = 1000;
const VERIFY_COUNT_MAX: i64 = 100_000;
/// Mismatches that VERIFY lists.
const MISMATCHES_SHOWN: usize = 32;

pub(super) fn run(call: &Call<'_>) -> Done {
    if call.ctx.wants_key_positions() {
        key_positions(call);
        return Ok(());
    }
    let word = call.word(1)?;
    let words = call.args.len() - 1;
    match (word.to_ascii_uppercase().as_slice(), words) {
        (b"CONFIG", 2..) => numaconfig::dispatch(call, 2),
        (b"MIGRATE", 2..) => numamigrate::dispatch(call, 2),
        (b"INFO", 1) => info(call),
        (b"NODES", 1) => nodes(call),
        (b"STATUS", 1) => status(call),
        (b"HEATMAP", 1) => heatmap(call),
        (b"VERIFY", 1 | 3) => verify(call),
        (b"DOCTOR", 1) => doctor::run(call),
        (b"EXPLAIN", 2) => explain::run(call, call.name(2)?),
        (b"PLAN", 1 | 3) => plan::run(call, numamigrate::count_at(call, 2)?),
        (b"PIN", 3..) => pin::pin(call),
        (b"UNPIN", 2..) => pin::unpin(call),
        (b"STRATEGY", 2..) => strategy::dispatch(call, 2),
        (b"COMPACT", 1) => compact(call),
        (b"CONVERT", 3) => convert(call, call.name(2)?, call.word(3)?),
        (b"RELEASE", 1..=3) => release(call),
        (b"HELP", 1) => {
            help(call.ctx, HELP);
            Ok(())
        }
        _ => Err(Fail::subcommand(word, "NUMA")),
    }
}

fn key_positions(call: &Call<'_>) {
    match call.args.bytes(1) {
        Some(word) if is(word, "CONVERT") || is(word, "EXPLAIN") => call.key_at(2),
        Some(word) if is(word, "PIN") => (3..call.args.len()).for_each(|at| call.key_at(at)),
        Some(word) if is(word, "UNPIN") => (2..call.args.len()).for_each(|at| call.key_at(at)),
        Some(word) if is(word, "MIGRATE") => numamigrate::key_positions(call, 2),
        _ => {}
    }
}

fn info(call: &Call<'_>) -> Done {
    let fields: Vec<_> = fields(call.server)
        .into_iter()
        .map(|field| match field {
            Field::Number(name, value) => (format!("numa_{name}"), Value::count(value)),
            Field::Text(name, value) => (format!("numa_{name}"), Value::Text(value)),
        })
        .collect();
    pairs(call.ctx, &fields);
    Ok(())
}

fn nodes(call: &Call<'_>) -> Done {
    let topology = call.server.machine.topology();
    let process = process_bytes::latest();
    call.ctx.reply_array(topology.nodes.len());
    for node in &topology.nodes {
        let whole = process
            .iter()
            .find(|(id, _)| *id == node.id)
            .map(|(_, bytes)| *bytes);
        node_row(call, node, whole.unwrap_or_default()).send(call.ctx);
    }
    Ok(())
}

fn node_row(call: &Call<'_>, node: &NodeInfo, process: Bytes) -> Value {
    let usage = call.server.pool.usage(node.id);
    let list =
        |numbers: &mut dyn Iterator<Item = i64>| Value::List(numbers.map(Value::Int).collect());
    let latencies = node.latency_ns.iter().map(|ns| ns.map_or(-1, i64::from));
    let limit = if usage.limit == Bytes::MAX {
        Bytes::ZERO
    } else {
        usage.limit
    };
    let verified = call.server.verified_on(node.id);
    as_list(vec![
        ("node", Value::count(node.id.index() as u64)),
        ("tier", Value::count(node.tier)),
        ("home", Value::Int((node.id == call.server.home()).into())),
        (
            "cpus",
            Value::text(crate::machine::cpulist::format_list(&node.cpus)),
        ),
        (
            "distances",
            list(&mut node.distances.iter().map(|d| i64::from(*d))),
        ),
        ("latencies_ns", list(&mut latencies.into_iter())),
        ("capacity", Value::count(node.capacity.0)),
        ("free", Value::count(call.server.machine.room(node.id).0)),
        ("limit", Value::count(limit.0)),
        ("used", Value::count(usage.live.0)),
        ("believed", Value::count(usage.mapped.0)),
        ("verified", Value::count(verified.0)),
        ("index", Value::count((process - usage.mapped).0)),
        ("allowed", Value::Int(node.allowed.into())),
        (
            "simulated",
            Value::Int(call.server.machine.is_simulated().into()),
        ),
    ])
}

fn status(call: &Call<'_>) -> Done {
    let fields = call.server.works.with(|works| {
        let pass = works.background.running();
        let progress = pass.map(|pass| pass.progress()).unwrap_or_default();
        let last = works.background.last();
        let ended = |cancelled| if cancelled { "cancelled" } else { "done" };
        vec![
            (
                "moves",
                Value::text(works.rest.map_or("allowed", |rest| rest.text())),
            ),
            (
                "pass",
                Value::Text(pass.map_or("none".to_owned(), |pass| pass.task().to_string())),
            ),
            ("pass_scanned", Value::count(progress.scanned)),
            ("pass_keys", Value::count(progress.of)),
            ("pass_moved", Value::count(progress.moved)),
            ("pass_failed", Value::count(progress.failed)),
            (
                "last_pass",
                Value::Text(last.map_or("none".to_owned(), |last| last.task.clone())),
            ),
            (
                "last_pass_end",
                Value::text(last.map_or("none", |last| ended(last.cancelled))),
            ),
            (
                "last_pass_moved",
                Value::count(last.map_or(0, |last| last.progress.moved)),
            ),
            (
                "last_pass_failed",
                Value::count(last.map_or(0, |last| last.progress.failed)),
            ),
            ("compaction", Value::text(works.compactor.state())),
            ("compactions", Value::count(works.compactor.rounds)),
            ("compacted_values", Value::count(works.compactor.moved)),
            (
                "compacted_bytes",
                Value::count(works.compactor.moved_bytes.0),
            ),
            ("slots", slots(works)),
            (
                "survey_age_ms",
                works.survey_age_ms().map_or(Value::Int(-1), Value::count),
            ),
            ("values_under_way", Value::count(works.slices.len() as u64)),
            ("state_file", Value::text(works.state_file.state())),
        ]
    });
    pairs(call.ctx, &fields.ok_or_else(Fail::busy)?);
    Ok(())
}

fn slots(works: &crate::redis::works::Works) -> Value {
    let row = |(slot, status): (crate::ids::SlotIndex, crate::strategy::SlotStatus)| {
        let state = match (&status.stopped, status.enabled) {
            (Some(reason), _) => format!("stopped: {reason}"),
            (None, true) => "running".to_owned(),
            (None, false) => "disabled".to_owned(),
        };
        as_list(vec![
            ("slot", Value::count(slot.index() as u64)),
            ("strategy", Value::text(status.name)),
            ("priority", Value::text(status.priority.name())),
            ("interval_ms", Value::count(status.interval_ms)),
            ("state", Value::Text(state)),
            ("executions", Value::count(status.counts.executions)),
            ("failures", Value::count(status.counts.failures)),
            ("total_us", Value::count(status.counts.total_us)),
            ("longest_us", Value::count(status.counts.longest_us)),
            ("moves", Value::count(status.counts.moves)),
        ])
    };
    Value::List(works.runner.statuses().map(row).collect())
}

fn heatmap(call: &Call<'_>) -> Done {
    let cell = |node: NodeId, level: usize, keys: u64, bytes: Bytes| {
        let numbers = [node.index() as u64, level as u64, keys, bytes.0];
        Value::List(numbers.into_iter().map(Value::count).collect())
    };
    let ids: Vec<NodeId> = call.server.machine.topology().ids().collect();
    let rows = call.server.works.with(|works| {
        let mut rows = Vec::new();
        for id in ids {
            let known = works.survey.rows().find(|(node, _)| *node == id);
            let row = known.map(|(_, row)| *row).unwrap_or_default();
            let cells = row.iter().enumerate();
            rows.extend(cells.map(|(level, now)| cell(id, level, now.keys, now.bytes)));
        }
        rows
    });
    Value::List(rows.ok_or_else(Fail::busy)?).send(call.ctx);
    Ok(())
}

fn verify(call: &Call<'_>) -> Done {
    let count = match call.args.bytes(2) {
        None => VERIFY_COUNT,
        Some(word) if is(word, "COUNT") => integer(call.word(3)?)?,
        Some(_) => return Err(Fail::Syntax),
    };
    if !(1..=VERIFY_COUNT_MAX).contains(&count) {
        return Err(Fail::text(format!(
            "COUNT must be between 1 and {VERIFY_COUNT_MAX}"
        )));
    }
    let db = call.ctx.selected_db();
    let proof = prove::keys(call.ctx, call.server, count as usize);
    call.ctx.select_db(db);
    let proof = proof.ok_or_else(Fail::busy)?;
    let shown = proof.mismatches.iter().take(MISMATCHES_SHOWN).map(|found| {
        Value::List(vec![
            Value::Bytes(found.key.name.to_vec()),
            Value::count(found.believed.index() as u64),
            Value::count(found.physical.index() as u64),
        ])
    });
    let shown = Value::List(shown.collect());
    pairs(
        call.ctx,
        &[
            ("checked", Value::count(proof.checked)),
            ("matched", Value::count(proof.matched)),
            ("unknown", Value::count(proof.unknown)),
            ("mismatched", Value::count(proof.mismatches.len() as u64)),
            ("repaired", Value::count(proof.repaired)),
            (
                "simulated",
                Value::Int(call.server.machine.is_simulated().into()),
            ),
            ("mismatches", shown),
        ],
    );
    Ok(())
}

fn compact(call: &Call<'_>) -> Done {
    call.admin_allowed()?;
    let asked = call.server.works.with(|works| works.compactor.ask());
    asked.ok_or_else(Fail::busy)?;
    call.ctx.reply_ok();
    Ok(())
}

/// Refuses what writes on a replica that only follows its master. What the master itself sends,
/// or the append-only file, is never refused: it happened already.
fn writable(call: &Call<'_>) -> Done {
    let flags = call.ctx.flags();
    if flags.read_only() && !flags.by_master() && !flags.loading() {
        return Err(Fail::ReadOnly);
    }
    Ok(())
}

fn convert(call: &Call<'_>, name: Name<'_>, plane: &[u8]) -> Done {
    writable(call)?;
    let key = AnyKey::open(call.server, call.ctx, name, convert::MODE);
    let outcome = if is(plane, "NATIVE") {
        convert::to_native(call.ctx, &key)
    } else if is(plane, "NUMA") {
        convert::to_numa(call.ctx, &key)?
    } else {
        return Err(Fail::text("Unknown plane: NATIVE or NUMA"));
    };
    match outcome {
        Outcome::Moved { .. } | Outcome::AlreadyThere => {
            call.ctx.reply_ok();
            Ok(())
        }
        Outcome::Missing => Err(Fail::text("Key not found")),
        Outcome::NoRoom => Err(Fail::OutOfMemory),
        Outcome::Unsupported => Err(Fail::text("This type has no NUMA form in this version")),
        Outcome::Pinned | Outcome::Stays(_) | Outcome::Busy => Err(Fail::busy()),
    }
}

fn release(call: &Call<'_>) -> Done {
    call.admin_allowed()?;
    let glob = match (call.args.bytes(2), call.args.bytes(3)) {
        (None, None) => None,
        (Some(word), None) if is(word, "CANCEL") => return numamigrate::cancel(call),
        (Some(word), Some(glob)) if is(word, "MATCH") => Some(glob.into()),
        _ => return Err(Fail::Syntax),
    };
    if call.ctx.flags().replica() {
        let line = "READONLY A replica follows its master: run NUMA RELEASE there";
        return Err(Fail::Text(line.into()));
    }
    call.start_pass(Task::Release { glob })
}
