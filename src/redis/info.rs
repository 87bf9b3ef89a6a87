//! The module's section of INFO: flat, numeric where it can be, each name once.

use super::guard::panics_caught;
use super::native::Native;
use super::process_bytes;
use super::raw::{inside, rows_led, Report};
use super::server::{server, Server};
use super::works::Works;
use crate::ids::{Bytes, Level, NodeId, SlotIndex};
use std::sync::atomic::Ordering;

/// One field: the name without `numa_`, and its value.
pub(crate) enum Field {
    Number(String, u64),
    Text(String, String),
}

/// Writes the section.
pub(crate) fn write(report: Report<'_>) {
    let Some(server) = server() else {
        return;
    };
    if !report.section() {
        return;
    }
    for field in fields(server) {
        match field {
            Field::Number(name, value) => report.number(&name, value),
            Field::Text(name, value) => report.text(&name, &value),
        }
    }
}

/// All fields, in order; `NUMA INFO` shows the same.
pub(crate) fn fields(server: &'static Server) -> Vec<Field> {
    let mut out = Vec::with_capacity(128);
    machine_fields(server, &mut out);
    server.works.with(|works| {
        node_fields(server, &mut out);
        access_fields(server, &mut out);
        heat_fields(server, works, &mut out);
        move_fields(works, server.numa_keys(), &mut out);
    });
    native_fields(server, &mut out);
    let rejected = server.rejected_payloads.load(Ordering::Relaxed);
    out.extend([
        number(
            "far_keys",
            far_keys(server) + server.native.get().map_or(0, Native::far_keys),
        ),
        number(
            "drift_bytes",
            server.verifier.with(|v| v.drift().0).unwrap_or(0),
        ),
        number(
            "drift_returned_bytes",
            server.verifier.with(|v| v.returned().0).unwrap_or(0),
        ),
        number("tracking_bytes", server.tracking_bytes()),
        number("pool_faults", server.pool.faults()),
        number("direct_keys", inside::is_known().into()),
        number("direct_commands", rows_led()),
        number("direct_propagation", inside::propagates().into()),
        number(
            "plugin_strategies",
            server.plugins.with(|plugins| plugins.count()).unwrap_or(0) as u64,
        ),
        number("panics_caught", panics_caught()),
        number("rdb_rejected", rejected),
    ]);
    out
}

fn number(name: impl Into<String>, value: u64) -> Field {
    Field::Number(name.into(), value)
}

fn text(name: impl Into<String>, value: impl Into<String>) -> Field {
    Field::Text(name.into(), value.into())
}

fn machine_fields(server: &'static Server, out: &mut Vec<Field>) {
    let machine = server.machine;
    let config = server.config();
    let reason = machine.degraded().unwrap_or("none");
    out.extend([
        number("enabled", config.enabled.into()),
        number("nodes", machine.topology().nodes.len() as u64),
        number("home_node", server.home().index() as u64),
        number("simulated", machine.is_simulated().into()),
        number("degraded", machine.degraded().is_some().into()),
        text("degraded_reason", reason),
        text("policy", config.policy.name()),
        text("charge", server.charge_way),
    ]);
}

fn node_fields(server: &'static Server, out: &mut Vec<Field>) {
    let process = process_bytes::latest();
    for node in &server.machine.topology().nodes {
        let id = node.id;
        let usage = server.pool.usage(id);
        let whole = of_node(&process, id);
        let limit = if usage.limit == Bytes::MAX {
            Bytes::ZERO
        } else {
            usage.limit
        };
        let mut put = |name: &str, value: u64| out.push(number(format!("node{id}_{name}"), value));
        put("capacity_bytes", node.capacity.0);
        put("free_bytes", server.machine.room(id).0);
        put("limit_bytes", limit.0);
        put("used_bytes", usage.live.0);
        put("held_bytes", usage.held.0);
        put("mapped_bytes", usage.mapped.0);
        put("native_bytes", server.native_on(id).0);
        put("index_bytes", (whole - usage.mapped).0);
        put("verified_bytes", server.verified_on(id).0);
        // A string is one block, wherever it lies.
        put("keys", usage.blocks);
        put("fallbacks", usage.fallbacks);
        put("lost_bytes", server.machine.lost(id).0);
    }
}

fn of_node(nodes: &[(NodeId, Bytes)], id: NodeId) -> Bytes {
    nodes
        .iter()
        .find(|(node, _)| *node == id)
        .map_or(Bytes::ZERO, |(_, bytes)| *bytes)
}

fn access_fields(server: &'static Server, out: &mut Vec<Field>) {
    let (near, far) = server
        .pulse
        .with(|pulse| (pulse.near, pulse.far))
        .unwrap_or_default();
    let home = server.home();
    let ids = || server.machine.topology().ids();
    let values: Bytes = ids().map(|id| server.pool.usage(id).live).sum();
    let process = process_bytes::latest();
    let whole: Bytes = process.iter().map(|(_, bytes)| *bytes).sum();
    out.extend([
        number("accesses_near", near),
        number("accesses_far", far),
        text(
            "near_share_values",
            share(server.pool.usage(home).live, values),
        ),
        text("near_share_process", share(of_node(&process, home), whole)),
    ]);
}

/// A share as a fraction of 1; 1 of nothing.
fn share(part: Bytes, whole: Bytes) -> String {
    if whole == Bytes::ZERO {
        return "1.0000".to_owned();
    }
    format!("{:.4}", part.0 as f64 / whole.0 as f64)
}

fn heat_fields(server: &'static Server, works: &Works, out: &mut Vec<Field>) {
    let threshold = server.config().composite.migrate_hotness_threshold;
    let levels = (0..=Level::MAX.get()).map(Level::clamped);
    let hot = levels.clone().filter(|level| level.get() >= threshold);
    out.push(number(
        "hot_keys",
        hot.map(|level| works.survey.keys_of_level(level)).sum(),
    ));
    for level in levels {
        let keys = works.survey.keys_of_level(level);
        out.push(number(format!("hotness_{}_keys", level.get()), keys));
    }
    out.push(number("surveys", works.survey.finished()));
    out.push(number("survey_age_ms", works.survey_age_ms().unwrap_or(0)));
}

fn move_fields(works: &Works, keys: u64, out: &mut Vec<Field>) {
    let (stats, holds) = (&works.stats, &works.holds);
    out.extend([
        number("moving", works.rest.is_none().into()),
        number("keys", keys),
        number("migrations", stats.successful),
        number("migrated_bytes", stats.bytes.0),
        number("migrations_failed", stats.failed),
        number("compactions", works.compactor.rounds),
        number("compacted_values", works.compactor.moved),
        number("compacted_bytes", works.compactor.moved_bytes.0),
        number("state_restored_keys", works.state_file.counts().restored),
        number("state_saves", works.state_file.counts().saves),
        number("state_failures", works.state_file.counts().failures),
        number("pass_running", works.background.running().is_some().into()),
        number("ticks", holds.ticks),
        number("tick_usec_total", holds.total_us),
        number("tick_usec_max", holds.tick_max_us),
        number("hold_usec_max", holds.hold_max_us),
    ]);
    for index in (0..SlotIndex::COUNT).filter_map(SlotIndex::new) {
        let status = works.runner.status(index);
        let stopped = status
            .as_ref()
            .is_some_and(|status| status.stopped.is_some());
        let counts = status.map(|status| status.counts).unwrap_or_default();
        let mut put = |name: &str, value: u64| {
            out.push(number(format!("slot{}_{name}", index.index()), value))
        };
        put("runs", counts.executions);
        put("moves", counts.moves);
        put("failures", counts.failures);
        put("stopped", stopped.into());
    }
}

fn far_keys(server: &'static Server) -> u64 {
    let home = server.home();
    let blocks = |id: NodeId| server.pool.usage(id).blocks;
    server
        .machine
        .topology()
        .ids()
        .filter(|id| *id != home)
        .map(blocks)
        .sum()
}

fn native_fields(server: &'static Server, out: &mut Vec<Field>) {
    let native = server.native.get();
    let count = |of: fn(&Native) -> u64| native.map_or(0, of);
    let (near, far) = native.map(Native::accesses).unwrap_or_default();
    let refused = server.native.refused().unwrap_or("none");
    let word = if native.is_some() { "on" } else { "off" };
    out.extend([
        text("native_plane", word),
        text("native_reason", refused.replace(':', ",")),
        number("native_keys", count(Native::keys)),
        number("native_far_bytes", count(|native| native.held_in_all().0)),
        number("native_outside_bytes", count(|native| native.outside().0)),
        number("native_pins", count(Native::pins)),
        number("native_accesses", near + far),
        number("native_accesses_far", far),
        number("native_unsettled", count(Native::unsettled)),
    ]);
}
