//! NUMA STRATEGY: the 16 slots of the runner, looked at and set by hand.
//!
//! What is set here holds until the server ends: slots are no part of the configuration, so that a
//! strategy which was stopped for a reason does not come back by a restart's file.

use crate::command::args::{integer, is};
use crate::command::reply::{as_list, pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::SlotIndex;
use crate::redis::works::Works;
use crate::strategy::{Priority, Runner, SlotError, SlotStatus};

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
        (b"PRIORITY", 3) => priority(call, slot(call, at + 1)?, call.word(at + 2)?),
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
        ("name", Value::text(status.name)),
        ("description", Value::text(status.description)),
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
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    Fail::text(first.into_iter().chain(letters).collect::<String>())
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

/// Puts a built-in strategy into a slot, in place of what is there; `none` empties it. One that is
/// to be there already stays as it is, with all that it has learned.
fn put(call: &Call<'_>, at: SlotIndex, name: &[u8]) -> Done {
    if is(name, "none") {
        return change(call, |runner| runner.remove(at).map(drop));
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let strategy = Works::built_in(&name).ok_or_else(|| {
        let names = Works::BUILT_IN.join(", ");
        let shown: String = name.chars().take(64).collect();
        Fail::text(format!(
            "Unknown strategy: {shown} (there is: {names}, none)"
        ))
    })?;
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
        None => change(call, |runner| runner.replace(at, strategy)),
    }
}
