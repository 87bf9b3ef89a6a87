//! NUMAMIGRATE: moving keys by hand. It only places: nothing is replicated, nothing is a write.

use crate::command::args::{integer, is};
use crate::command::reply::{help, pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::{DbIndex, NodeId, SlotIndex};
use crate::migrate::{Budget, KeyInfo, KeyRef, Keyspace, Move, Outcome, Plane, Task, Why};
use crate::redis::raw::{Mode, Name};
use crate::redis::verify::{Physical, ASKED_PAGES};
use crate::strategy::{Engine, Plan};

const HELP: &[&str] = &[
    "NUMAMIGRATE <subcommand> [<arg> ...]. Subcommands are:",
    "KEY <key> <node>",
    "    Moves the key's bytes to the node.",
    "KEYS <node> <key> [<key> ...]",
    "    Moves several keys; replies how many were moved, skipped, failed.",
    "PATTERN <glob> <node>",
    "    Moves the keys of this database whose names match, in the background.",
    "DB <node>",
    "    Moves all keys of this database, in the background.",
    "CANCEL",
    "    Stops the background pass.",
    "SCAN [COUNT <n>]",
    "    One pass of slot 1's strategy over n keys.",
    "INFO <key>",
    "    Where the key is, how hot it is, and what the kernel says.",
    "STATS",
    "    What was moved so far.",
    "RESET",
    "    Sets the counters of STATS to zero.",
    "HELP",
    "    Prints this help.",
];

/// Keys that SCAN looks at when it is not told.
const SCAN_COUNT: usize = 200;
/// The most it looks at in one call, which is some tens of milliseconds.
const SCAN_COUNT_MAX: i64 = 100_000;

pub(super) fn run(call: &Call<'_>) -> Done {
    if call.ctx.wants_key_positions() {
        key_positions(call, 1);
        return Ok(());
    }
    dispatch(call, 1)
}

/// Serves the words from `at` on: the command by itself, or behind `NUMA MIGRATE`.
pub(super) fn dispatch(call: &Call<'_>, at: usize) -> Done {
    let word = call.word(at)?;
    let words = call.args.len() - at;
    match (word.to_ascii_uppercase().as_slice(), words) {
        (b"KEY", 3) => key(call, call.name(at + 1)?, call.word(at + 2)?),
        (b"KEYS", 3..) => keys(call, call.word(at + 1)?, at + 2),
        (b"PATTERN", 3) => pattern(call, call.word(at + 1)?, call.word(at + 2)?),
        (b"DB", 2) => db(call, call.word(at + 1)?),
        (b"CANCEL", 1) => cancel(call),
        (b"SCAN", 1 | 3) => scan(call, at + 1),
        (b"INFO", 2) => info(call, call.name(at + 1)?),
        (b"STATS", 1) => stats(call),
        (b"RESET", 1) => reset(call),
        (b"HELP", 1) => {
            help(call.ctx, HELP);
            Ok(())
        }
        _ => Err(Fail::subcommand(word, "NUMAMIGRATE")),
    }
}

/// Tells the server where the keys are among the words from `at` on.
pub(super) fn key_positions(call: &Call<'_>, at: usize) {
    let Some(word) = call.args.bytes(at) else {
        return;
    };
    if is(word, "KEY") || is(word, "INFO") {
        call.key_at(at + 1);
    } else if is(word, "KEYS") {
        (at + 2..call.args.len()).for_each(|index| call.key_at(index));
    }
}

/// Moves keys as a plan of the user's, counted like any other.
fn carry(call: &Call<'_>, names: &[Name<'_>], to: NodeId) -> Result<crate::migrate::Report, Fail> {
    let db = DbIndex(call.ctx.selected_db());
    let config = call.server.config();
    let done = call.server.works.with(|works| {
        let (mut reach, _, _) = works.reach(call.ctx, call.server, &config);
        let mut all = crate::migrate::Report::default();
        for some in names.chunks(Plan::MOVES_MAX) {
            let mut plan = Plan::new();
            for name in some {
                let key = KeyRef::new(db, name.bytes());
                plan.push(Move {
                    key,
                    to,
                    why: Why::Command,
                    benefit: 0,
                });
            }
            all.add(reach.carry(plan, &mut Budget::UNBOUNDED.clone()));
        }
        all
    });
    call.ctx.select_db(db.0);
    done.ok_or_else(Fail::busy)
}

fn key(call: &Call<'_>, name: Name<'_>, node: &[u8]) -> Done {
    let to = call.node(node)?;
    let db = DbIndex(call.ctx.selected_db());
    let config = call.server.config();
    let outcome = call.server.works.with(|works| {
        let (mut reach, _, _) = works.reach(call.ctx, call.server, &config);
        let begun = std::time::Instant::now();
        let outcome = reach.move_by_hand(&KeyRef::new(db, name.bytes()), to);
        reach.stats.begin();
        reach.stats.end(Why::Command, outcome);
        if let Outcome::Moved { bytes } = outcome {
            reach
                .stats
                .measure(1, bytes, begun.elapsed().as_micros() as u64);
        }
        outcome
    });
    match outcome.ok_or_else(Fail::busy)? {
        Outcome::Moved { .. } | Outcome::AlreadyThere => {
            call.ctx.reply_ok();
            Ok(())
        }
        Outcome::Missing => Err(Fail::text("Key not found")),
        Outcome::Pinned => Err(Fail::text("Key is pinned")),
        Outcome::NoRoom => Err(Fail::text("Out of memory during migration")),
        Outcome::Unsupported => Err(Fail::text("Unsupported key type for migration")),
        Outcome::Stays(why) => Err(Fail::text(why.text())),
        Outcome::Busy => Err(Fail::busy()),
    }
}

fn keys(call: &Call<'_>, node: &[u8], first: usize) -> Done {
    let to = call.node(node)?;
    let names: Vec<_> = call.args.names_from(first).collect();
    let report = carry(call, &names, to)?;
    pairs(
        call.ctx,
        &[
            ("moved", Value::count(report.moved as u64)),
            ("skipped", Value::count(report.skipped as u64)),
            ("failed", Value::count(report.failed as u64)),
        ],
    );
    Ok(())
}

fn pattern(call: &Call<'_>, glob: &[u8], node: &[u8]) -> Done {
    let to = call.node(node)?;
    let db = DbIndex(call.ctx.selected_db());
    call.admin_allowed()?;
    call.start_pass(Task::Pattern {
        glob: glob.into(),
        db,
        to,
    })
}

fn db(call: &Call<'_>, node: &[u8]) -> Done {
    let to = call.node(node)?;
    let db = DbIndex(call.ctx.selected_db());
    call.admin_allowed()?;
    call.start_pass(Task::Db { db, to })
}

impl Call<'_> {
    /// Starts a background pass and replies; the one that runs is named in the error.
    pub(super) fn start_pass(&self, task: Task) -> Done {
        if !self.server.config().enabled && !matches!(task, Task::Release { .. }) {
            return Err(Fail::text("Switched off by numa-enabled no: nothing moves"));
        }
        let started = self.server.works.with(|works| works.background.start(task));
        match started.ok_or_else(Fail::busy)? {
            Ok(()) => {
                self.ctx.reply_ok();
                Ok(())
            }
            Err(running) => Err(Fail::text(format!(
                "A background pass is running: {}; stop it with NUMAMIGRATE CANCEL",
                running.task
            ))),
        }
    }
}

pub(super) fn cancel(call: &Call<'_>) -> Done {
    let cancelled = call.server.works.with(|works| works.background.cancel());
    match cancelled.ok_or_else(Fail::busy)? {
        Some(_) => {
            call.ctx.reply_ok();
            Ok(())
        }
        None => Err(Fail::text("No background pass is running")),
    }
}

/// The keys of `COUNT <n>` at `at`, or as many as a pass looks at when it is not told.
pub(super) fn count_at(call: &Call<'_>, at: usize) -> Result<usize, Fail> {
    match call.args.bytes(at) {
        None => Ok(SCAN_COUNT),
        Some(word) if is(word, "COUNT") => scan_count(call.word(at + 1)?),
        Some(_) => Err(Fail::Syntax),
    }
}

fn scan(call: &Call<'_>, at: usize) -> Done {
    let count = count_at(call, at)?;
    let db = call.ctx.selected_db();
    let config = call.server.config();
    let slot = SlotIndex::new(1).ok_or_else(Fail::busy)?;
    let passed = call.server.works.with(|works| {
        let (mut reach, runner, _) = works.reach(call.ctx, call.server, &config);
        runner.pass(slot, count, &mut reach, &mut Budget::UNBOUNDED.clone())
    });
    call.ctx.select_db(db);
    let passed = passed.ok_or_else(Fail::busy)?.map_err(Fail::text)?;
    pairs(
        call.ctx,
        &[
            ("scanned", Value::count(passed.scanned as u64)),
            ("migrated", Value::count(passed.report.moved as u64)),
        ],
    );
    Ok(())
}

fn scan_count(word: &[u8]) -> Result<usize, Fail> {
    match integer(word)? {
        count @ 1..=SCAN_COUNT_MAX => Ok(count as usize),
        count if count < 1 => Err(Fail::text("COUNT must be positive")),
        _ => Err(Fail::text(format!(
            "COUNT must be at most {SCAN_COUNT_MAX}"
        ))),
    }
}

/// What INFO tells of a key.
struct Known {
    info: KeyInfo,
    physical: Physical,
}

fn info(call: &Call<'_>, name: Name<'_>) -> Done {
    let key = KeyRef::new(DbIndex(call.ctx.selected_db()), name.bytes());
    let config = call.server.config();
    let known = call.server.works.with(|works| {
        let (mut reach, _, _) = works.reach(call.ctx, call.server, &config);
        let info = Keyspace::look(&mut reach, &key)?;
        let spans = reach.memory_of(&key, ASKED_PAGES).unwrap_or_default();
        let physical = call.server.physical(&spans);
        Some(Known { info, physical })
    });
    match known.ok_or_else(Fail::busy)? {
        Some(known) => reply_info(call, &known),
        None if call.exists(name) => return Err(Fail::text("Unsupported key type for migration")),
        None => return Err(Fail::text("Key not found")),
    }
    Ok(())
}

impl Call<'_> {
    fn exists(&self, name: Name<'_>) -> bool {
        let key = KeyRef::new(DbIndex(self.ctx.selected_db()), name.bytes());
        // Asked before the key is opened, which would delete one whose time is up.
        if self
            .server
            .native
            .get()
            .is_some_and(|native| native.is_gone(self.ctx, &key))
        {
            return false;
        }
        self.ctx.open(name, Mode::Quiet).kind() != crate::redis::raw::KeyKind::Empty
    }
}

fn reply_info(call: &Call<'_>, known: &Known) {
    let info = &known.info;
    let nodes = call.server.machine.topology().nodes.len();
    let node = |node: NodeId| Value::count(node.index() as u64);
    let cpu = call.server.machine.current_cpu_node();
    let rows = known
        .physical
        .by_node
        .iter()
        .map(|(on, bytes)| Value::List(vec![node(*on), Value::count(bytes.0)]));
    pairs(
        call.ctx,
        &[
            ("type", Value::text(info.kind.name())),
            ("current_node", node(info.node)),
            ("hotness_level", Value::count(info.level.get())),
            ("access_count", Value::count(info.accesses)),
            ("numa_nodes_available", Value::count(nodes as u64)),
            ("current_cpu_node", cpu.map_or(Value::Int(-1), node)),
            (
                "access_count_exact",
                Value::Int((info.plane == Plane::Numa).into()),
            ),
            ("idle_ms", Value::count(info.idle_ms)),
            ("plane", Value::text(info.plane.name())),
            ("bytes", Value::count(info.bytes.0)),
            ("physical_nodes", Value::List(rows.collect())),
            ("pinned", Value::Int(info.pinned.into())),
            // Less than `bytes` where the value is huge, and the kernel was asked about a sample.
            ("physical_asked_bytes", Value::count(known.physical.asked.0)),
        ],
    );
}

fn stats(call: &Call<'_>) -> Done {
    let fields = call
        .server
        .works
        .with(|works| works.stats.fields())
        .ok_or_else(Fail::busy)?;
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, count)| (name, Value::count(count)))
        .collect();
    pairs(call.ctx, &fields);
    Ok(())
}

fn reset(call: &Call<'_>) -> Done {
    call.server
        .works
        .with(|works| works.stats.reset())
        .ok_or_else(Fail::busy)?;
    call.ctx.reply_ok();
    Ok(())
}
