//! NUMA STRATEGY: the 16 slots of the runner, looked at and set by hand.
//!
//! What is set here holds until the server ends: slots are no part of the configuration, so that a
//! strategy which was stopped for a reason does not come back by a restart's file.

use crate::command::args::{integer, is};
use crate::command::reply::{as_list, help, pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::SlotIndex;
use crate::redis::plugin;
use crate::redis::works::Works;
use crate::strategy::{Priority, Runner, SlotError, SlotStatus, Strategy};

const HELP: &[&str] = &[
    "NUMA STRATEGY <subcommand> [<arg> ...]. Subcommands are:",
    "LIST",
    "    Each slot that holds a strategy, as STATUS shows it.",
    "STATUS <slot>",
    "    What is in the slot, whether it runs, and what it did.",
    "SLOT <slot> <name>",
    "    Puts a strategy into the slot; none empties it.",
    "ENABLE <slot>, DISABLE <slot>",
    "    Lets it run, also after it was stopped; makes it rest.",
    "INTERVAL <slot> <ms>",
    "    How often it runs.",
    "PRIORITY <slot> high|normal|low",
    "    Which slots run first in a tick.",
    "GET <slot> [<name>]",
    "    Its settings; those of composite-lru stand in NUMACONFIG.",
    "SET <slot> <name> <value>",
    "    Changes one of them.",
    "HELP",
    "    Prints this help.",
];

/// `NUMA STRATEGY <subcommand> ...`, its words from `at` on.
pub(super) fn dispatch(call: &Call<'_>, at: usize) -> Done {
    let word = call.word(at)?;
    let words = call.args.len() - at;
    match (word.to_ascii_uppercase().as_slice(), words) {
        (b"LIST", 1) => list(call),
        (b"STATUS", 2) => status(call, slot(call, at + 1)?),
        (b"SLOT", 3) => put(call, slot(call, at + 1)?, call.word(at + 2)?),
        (b"ENABLE", 2) => enable(call, slot(call, at + 1)?, true),
        (b"DISABLE", 2) => enable(call, slot(call, at + 1)?, false),
        (b"INTERVAL", 3) => interval(call, slot(call, at + 1)?, call.word(at + 2)?),
        (b"GET", 2 | 3) => get(call, slot(call, at + 1)?, call.args.bytes(at + 2)),
        (b"SET", 4) => set(
            call,
            slot(call, at + 1)?,
            call.word(at + 2)?,
            call.word(at + 3)?,
        ),
        (b"PRIORITY", 3) => priority(call, slot(call, at + 1)?, call.word(at + 2)?),
        (b"HELP", 1) => {
            help(call.ctx, HELP);
            Ok(())
        }
        _ => Err(Fail::subcommand(word, "NUMA STRATEGY")),
    }
}

/// The slot that a word names.
fn slot(call: &Call<'_>, at: usize) -> Result<SlotIndex, Fail> {
    let number = usize::try_from(integer(call.word(at)?)?).ok();
    number.and_then(SlotIndex::new).ok_or_else(|| {
        let last = SlotIndex::COUNT - 1;
        Fail::text(format!("Slot must be between 0 and {last}"))
    })
}

fn row(at: SlotIndex, status: &SlotStatus) -> Vec<(&'static str, Value)> {
    let counts = &status.counts;
    vec![
        ("slot", Value::count(at.index() as u64)),
        ("name", Value::text(status.name.as_str())),
        ("description", Value::text(status.description.as_str())),
        ("enabled", Value::Int(status.enabled.into())),
        ("priority", Value::text(status.priority.name())),
        ("interval_ms", Value::count(status.interval_ms)),
        ("executions", Value::count(counts.executions)),
        ("failures", Value::count(counts.failures)),
        ("total_us", Value::count(counts.total_us)),
        ("longest_us", Value::count(counts.longest_us)),
        ("moves", Value::count(counts.moves)),
        (
            "stopped",
            Value::text(status.stopped.clone().unwrap_or_default()),
        ),
        (
            "module",
            Value::text(status.module.clone().unwrap_or_default()),
        ),
    ]
}

fn list(call: &Call<'_>) -> Done {
    let statuses = call
        .server
        .works
        .with(|works| works.runner.statuses().collect::<Vec<_>>());
    let statuses = statuses.ok_or_else(Fail::busy)?;
    let rows = statuses
        .iter()
        .map(|(at, status)| as_list(row(*at, status)));
    Value::List(rows.collect()).send(call.ctx);
    Ok(())
}

fn status(call: &Call<'_>, at: SlotIndex) -> Done {
    let status = call.server.works.with(|works| works.runner.status(at));
    let status = status.ok_or_else(Fail::busy)?;
    let status = status.ok_or_else(|| refused(&SlotError::Empty(at)))?;
    pairs(call.ctx, &row(at, &status));
    Ok(())
}

fn refused(error: &SlotError) -> Fail {
    Fail::text(sentence(&error.to_string()))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Changes the runner, and replies.
fn change(call: &Call<'_>, work: impl FnOnce(&mut Runner) -> Result<(), SlotError>) -> Done {
    let changed = call.server.works.with(|works| work(&mut works.runner));
    changed
        .ok_or_else(Fail::busy)?
        .map_err(|error| refused(&error))?;
    call.ctx.reply_ok();
    Ok(())
}

fn enable(call: &Call<'_>, at: SlotIndex, enabled: bool) -> Done {
    change(call, |runner| runner.set_enabled(at, enabled))
}

fn interval(call: &Call<'_>, at: SlotIndex, word: &[u8]) -> Done {
    let interval = u64::try_from(integer(word)?).unwrap_or(0);
    change(call, |runner| runner.set_interval(at, interval))
}

fn priority(call: &Call<'_>, at: SlotIndex, word: &[u8]) -> Done {
    let priority = Priority::from_name(&String::from_utf8_lossy(word));
    let priority = priority.ok_or_else(|| Fail::text("Priority must be high, normal or low"))?;
    change(call, |runner| runner.set_priority(at, priority))
}

/// `GET <slot> [<name>]`: the settings of the strategy that is there.
fn get(call: &Call<'_>, at: SlotIndex, name: Option<&[u8]>) -> Done {
    let settings = call.server.works.with(|works| works.runner.settings(at));
    let settings = settings.ok_or_else(Fail::busy)?;
    let settings = settings.map_err(|error| refused(&error))?;
    let asked = |known: &str| name.is_none_or(|name| is(name, known));
    let shown = settings.into_iter().filter(|(known, _)| asked(known));
    let shown: Vec<_> = shown
        .map(|(name, value)| (name, Value::Text(value)))
        .collect();
    pairs(call.ctx, &shown);
    Ok(())
}

/// `SET <slot> <name> <value>`.
fn set(call: &Call<'_>, at: SlotIndex, name: &[u8], value: &[u8]) -> Done {
    let shown = |word: &[u8]| {
        String::from_utf8_lossy(word)
            .chars()
            .take(64)
            .collect::<String>()
    };
    let (name, value) = (shown(name), shown(value));
    let changed = call
        .server
        .works
        .with(|works| works.runner.set(at, &name, &value));
    let changed = changed.ok_or_else(Fail::busy)?;
    changed.map_err(|reason| Fail::text(sentence(&reason)))?;
    call.ctx.reply_ok();
    Ok(())
}

/// A strategy of that name, built in or of another module.
fn make(call: &Call<'_>, at: SlotIndex, name: &str) -> Result<Box<dyn Strategy>, Fail> {
    if let Some(built_in) = Works::built_in(name) {
        return Ok(built_in);
    }
    let plugins = &call.server.plugins;
    let names = plugins.with(|plugins| plugins.names());
    let names = names.ok_or_else(Fail::busy)?;
    if !names.iter().any(|known| known == name) {
        let built_in = Works::BUILT_IN.iter().map(|name| (*name).to_owned());
        let names: Vec<String> = built_in.chain(names).collect();
        let shown: String = name.chars().take(64).collect();
        return Err(Fail::text(format!(
            "Unknown strategy: {shown} (there is: {}, none)",
            names.join(", ")
        )));
    }
    if !plugin::may_hold(at) {
        return Err(Fail::text(
            "Slots 0 and 1 are for strategies that are built in",
        ));
    }
    let made = plugins.with(|plugins| plugins.make(name)).flatten();
    made.ok_or_else(Fail::busy)?
        .map_err(|reason| Fail::text(sentence(&reason)))
}

/// Puts a strategy into a slot, in place of what is there; `none` empties it. One that is to be
/// there already stays as it is, with all that it has learned.
fn put(call: &Call<'_>, at: SlotIndex, name: &[u8]) -> Done {
    if is(name, "none") {
        return change(call, |runner| runner.remove(at).map(drop));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let runs = call.server.works.with(|works| {
        let mut all = works.runner.statuses();
        all.find(|(_, status)| status.name == name)
            .map(|(at, _)| at)
    });
    match runs.ok_or_else(Fail::busy)? {
        Some(there) if there == at => {
            call.ctx.reply_ok();
            Ok(())
        }
        Some(there) => Err(Fail::text(format!(
            "{name} runs in slot {} already",
            there.index()
        ))),
        None => {
            let strategy = make(call, at, &name)?;
            change(call, |runner| runner.replace(at, strategy))
        }
    }
}
