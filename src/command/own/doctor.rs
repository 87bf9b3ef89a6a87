//! NUMA DOCTOR: what an operator should know, in plain words.
//!
//! It reads what INFO and the slots tell and nothing else, so each finding can be followed up by
//! its figure. A rule is a field, from which value on it is worth a line, and the line. What is in
//! order is not told; where all is, one line says so.

use crate::command::reply::Value;
use crate::command::{Call, Done, Fail};
use crate::ids::SlotIndex;
use crate::redis::info::{fields, Field};
use crate::strategy::SlotStatus;

/// A count in INFO that is worth a line when it is over `most`.
struct Rule {
    field: &'static str,
    most: u64,
    /// What it means, after the count.
    line: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        field: "panics_caught",
        most: 0,
        line: "panics of the module were caught: a bug; the server's log has them",
    },
    Rule {
        field: "pool_faults",
        most: 0,
        line: "frees met memory that was free already or not the pool's: a bug; it was left alone",
    },
    Rule {
        field: "rdb_rejected",
        most: 0,
        line: "values of a file or a RESTORE were refused as damaged",
    },
    Rule {
        field: "drift_bytes",
        most: 0,
        line:
            "bytes lie on another node than they were put on, which was full; they come back when \
               it has room, or at once by NUMA VERIFY",
    },
    Rule {
        field: "migrations_failed",
        most: 0,
        line: "moves failed, mostly because the target had no room: see NUMAMIGRATE STATS",
    },
    Rule {
        field: "hold_usec_max",
        most: 1000,
        line: "us was the longest time that the module held the main thread at once",
    },
];

/// `NUMA DOCTOR`.
pub(super) fn run(call: &Call<'_>) -> Done {
    let statuses = call
        .server
        .works
        .with(|works| works.runner.statuses().collect::<Vec<_>>());
    let mut lines = findings(&fields(call.server));
    lines.extend(statuses.ok_or_else(Fail::busy)?.iter().filter_map(stopped));
    if lines.is_empty() {
        lines.push("Nothing to report".to_owned());
    }
    Value::List(lines.into_iter().map(Value::Text).collect()).send(call.ctx);
    Ok(())
}

fn stopped((at, status): &(SlotIndex, SlotStatus)) -> Option<String> {
    let (reason, number) = (status.stopped.as_ref()?, at.index());
    Some(format!(
        "slot {number} ({}) was stopped: {reason}; NUMA STRATEGY ENABLE {number} lets it run",
        status.name
    ))
}

fn findings(fields: &[Field]) -> Vec<String> {
    let mut lines: Vec<String> = fields.iter().filter_map(told).collect();
    lines.extend(far_share(fields));
    lines
}

/// What one field tells.
fn told(field: &Field) -> Option<String> {
    match field {
        Field::Text(name, reason) if reason != "none" => match name.as_str() {
            "degraded_reason" => Some(format!("degraded: {reason}")),
            "native_reason" => Some(format!("native keys are not placed: {reason}")),
            _ => None,
        },
        Field::Number(name, 0) if name == "enabled" => {
            Some("switched off by numa-enabled no: commands are served, nothing is placed".into())
        }
        Field::Number(name, count) => {
            let rule = RULES.iter().find(|rule| rule.field == name);
            let rule = rule.filter(|rule| *count > rule.most);
            match rule {
                Some(rule) => Some(format!("{count} {} ({name})", rule.line)),
                None => told_of_node(name, *count),
            }
        }
        Field::Text(..) => None,
    }
}

/// What a count of one node tells.
fn told_of_node(name: &str, count: u64) -> Option<String> {
    let node = |suffix| name.strip_suffix(suffix).filter(|_| count > 0);
    if let Some(node) = node("_fallbacks") {
        let line = format!("{count} new blocks found {node} full or at its limit");
        return Some(line + " and went elsewhere");
    }
    let node = node("_lost_bytes")?;
    Some(format!(
        "{count} bytes of {node} that were there at load are gone, taken offline or by the host: \
         what lay there the kernel has moved where it liked; it comes back as drift does"
    ))
}

/// Accesses before their shares mean something.
const ACCESSES_MIN: u64 = 10_000;

/// Whether far accesses are the most.
fn far_share(fields: &[Field]) -> Option<String> {
    let count = |wanted: &str| {
        let mut counts = fields.iter().filter_map(|field| match field {
            Field::Number(name, count) if name == wanted => Some(*count),
            _ => None,
        });
        counts.next().unwrap_or(0)
    };
    let (near, far) = (count("accesses_near"), count("accesses_far"));
    let all = near.saturating_add(far);
    (all >= ACCESSES_MIN && far > near).then(|| {
        let percent = far.saturating_mul(100) / all;
        format!(
            "{percent} % of {all} accesses were far: near memory holds too little of what is hot, \
             or strategies may not move it (NUMA EXPLAIN <key> tells)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &str, count: u64) -> Field {
        Field::Number(name.into(), count)
    }

    #[test]
    fn what_is_in_order_is_not_told() {
        let fields = [
            number("enabled", 1),
            number("drift_bytes", 0),
            number("hold_usec_max", 1000),
            number("node1_fallbacks", 0),
            number("node1_lost_bytes", 0),
            number("accesses_near", 9_000),
            number("accesses_far", 8_000),
            Field::Text("degraded_reason".into(), "none".into()),
            Field::Text("policy".into(), "local_first".into()),
        ];
        assert_eq!(findings(&fields), Vec::<String>::new());
    }

    #[test]
    fn each_rule_tells_its_count() {
        for rule in RULES {
            let lines = findings(&[number(rule.field, rule.most + 7)]);
            assert_eq!(lines.len(), 1, "{}", rule.field);
            assert!(lines[0].starts_with(&format!("{} ", rule.most + 7)));
        }
    }

    #[test]
    fn nodes_reasons_and_shares_are_told() {
        let lines = findings(&[
            number("enabled", 0),
            number("node1_fallbacks", 3),
            number("node2_lost_bytes", 4096),
            number("accesses_near", 4_000),
            number("accesses_far", 12_000),
            Field::Text("native_reason".into(), "no jemalloc".into()),
        ]);
        let holds = |part: &str| lines.iter().any(|line| line.contains(part));
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(holds("numa-enabled no") && holds("3 new blocks found node1"));
        assert!(holds("4096 bytes of node2"));
        assert!(holds("75 % of 16000") && holds("no jemalloc"));
    }
}
