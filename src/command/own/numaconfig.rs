//! NUMACONFIG: the configuration, read and changed while the server runs.

use crate::command::reply::{as_list, help, pairs, Value};
use crate::command::{Call, Done, Fail};
use crate::config::{read_file, render_file, replace_file, Config, Origins, Param, Shown};
use crate::ids::NodeId;
use crate::migrate::glob;
use crate::redis::raw::LogLevel;
use crate::redis::server::Server;
use crate::redis::transparent;
use std::path::PathBuf;

const HELP: &[&str] = &[
    "NUMACONFIG <subcommand> [<arg> ...]. Subcommands are:",
    "GET [<pattern>]",
    "    Name and value of each parameter whose name matches; any of its names finds one.",
    "SET strategy <name>",
    "    The placement policy of new bytes: local_first, interleaved, round_robin, weighted,",
    "    pressure_aware or cxl_optimized.",
    "SET weight <node> <0..1000>",
    "    The node's share under the policy weighted.",
    "SET <name> <value>",
    "    Any other parameter that can change while the server runs.",
    "REBALANCE",
    "    Starts a rebalancing pass in the background; NUMA STATUS shows how far it is.",
    "STATS",
    "    Allocations and bytes of each node.",
    "LOAD",
    "    Reads the directives file again, all or nothing.",
    "REWRITE",
    "    Writes the running configuration to the directives file.",
    "RESETSTAT",
    "    Sets the counters of STATS and INFO to zero.",
    "HELP",
    "    Prints this help.",
];

pub(super) fn run(call: &Call<'_>) -> Done {
    dispatch(call, 1)
}

/// Serves the words from `at` on: the command by itself, or behind `NUMA CONFIG`.
pub(super) fn dispatch(call: &Call<'_>, at: usize) -> Done {
    let word = call.word(at)?;
    let words = call.args.len() - at;
    match (word.to_ascii_uppercase().as_slice(), words) {
        (b"GET", 1 | 2) => get(call, at + 1),
        (b"SET", 3..) => set(call, at + 1),
        (b"REBALANCE", 1) => rebalance(call),
        (b"STATS", 1) => stats(call),
        (b"LOAD", 1) => load(call),
        (b"REWRITE", 1) => rewrite(call),
        (b"RESETSTAT", 1) => reset_stats(call),
        (b"HELP", 1) => {
            help(call.ctx, HELP);
            Ok(())
        }
        _ => Err(Fail::subcommand(word, "NUMACONFIG")),
    }
}

fn get(call: &Call<'_>, at: usize) -> Done {
    let pattern = call.args.bytes(at).unwrap_or(b"*").to_ascii_lowercase();
    let named = Param::find(&text(&pattern)).map(|param| param.shown);
    let nodes: Vec<NodeId> = call.server.machine.topology().ids().collect();
    let config = call.server.config();
    let weight = |node| call.server.weight(&config, node);
    let fields: Vec<_> = config
        .report(&nodes, &weight)
        .into_iter()
        .filter(|(name, _)| named == Some(name) || glob::matches(&pattern, name.as_bytes()))
        .map(|(name, shown)| (name, shown_value(shown)))
        .collect();
    pairs(call.ctx, &fields);
    Ok(())
}

fn shown_value(shown: Shown) -> Value {
    match shown {
        Shown::Int(number) => Value::Int(number),
        Shown::Text(text) => Value::Text(text),
        Shown::PerNode(rows) => {
            let row = |(node, value): (NodeId, i64)| {
                Value::List(vec![Value::count(node.index() as u64), Value::Int(value)])
            };
            Value::List(rows.into_iter().map(row).collect())
        }
    }
}

fn set(call: &Call<'_>, at: usize) -> Done {
    let name = text(call.word(at)?);
    let words: Vec<String> = call
        .args
        .names_from(at + 1)
        .map(|word| text(word.bytes()))
        .collect();
    let nodes: Vec<NodeId> = call.server.machine.topology().ids().collect();
    let changed = call.server.settings.with(|settings| {
        let (mut config, mut origins) = (settings.config.clone(), settings.origins.clone());
        config
            .set(&mut origins, &nodes, &name, &words)
            .map(|()| (config, origins))
    });
    let (config, origins) = changed
        .ok_or_else(Fail::busy)?
        .map_err(|error| Fail::text(error.to_string()))?;
    take_over(call, config, origins)
}

/// Makes a configuration the one that counts, if the ACL users allow it.
fn take_over(call: &Call<'_>, config: Config, origins: Origins) -> Done {
    let was = call.server.config().transparent_types;
    let widens = config.transparent_types != was;
    if let Some(reason) = transparent::refusal(call.ctx, &config).filter(|_| widens) {
        return Err(Fail::text(reason));
    }
    let taken = call.server.settings.with(|settings| {
        settings.config = config.clone();
        settings.origins = origins;
    });
    taken.ok_or_else(Fail::busy)?;
    call.server.apply(&config);
    call.server.apply_transparency(call.ctx);
    call.ctx.reply_ok();
    Ok(())
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn rebalance(call: &Call<'_>) -> Done {
    let config = call.server.config();
    let one_node = || Fail::text("Rebalancing needs two nodes; this machine has one");
    let task = call.server.rebalance_task(&config).ok_or_else(one_node)?;
    call.start_pass(task)
}

fn stats(call: &Call<'_>) -> Done {
    let nodes: Vec<NodeId> = call.server.machine.topology().ids().collect();
    call.ctx.reply_array(nodes.len() * 2);
    for node in nodes {
        let usage = call.server.pool.usage(node);
        as_list(vec![("node", Value::count(node.index() as u64))]).send(call.ctx);
        as_list(vec![
            ("allocations", Value::count(usage.allocations)),
            ("bytes", Value::count(usage.live.0)),
            ("blocks", Value::count(usage.blocks)),
            ("mapped_bytes", Value::count(usage.mapped.0)),
            ("fallbacks", Value::count(usage.fallbacks)),
        ])
        .send(call.ctx);
    }
    Ok(())
}

fn reset_stats(call: &Call<'_>) -> Done {
    call.server.reset_stats();
    call.ctx.reply_ok();
    Ok(())
}

/// The directives file, where one was named at load and admin commands are served.
fn file_of(call: &Call<'_>, config: &Config) -> Result<PathBuf, Fail> {
    call.admin_allowed()?;
    let none = || Fail::text("No directives file: name one with numa-config-file at load");
    config.config_file.clone().ok_or_else(none)
}

fn load(call: &Call<'_>) -> Done {
    file_of(call, &call.server.config())?;
    let nodes: Vec<NodeId> = call.server.machine.topology().ids().collect();
    let loaded = call.server.settings.with(|settings| {
        settings
            .config
            .reload(&settings.origins, &nodes, &read_file)
    });
    let (config, origins) = loaded
        .ok_or_else(Fail::busy)?
        .map_err(|reason: String| Fail::text(reason))?;
    take_over(call, config, origins)
}

fn rewrite(call: &Call<'_>) -> Done {
    let path = file_of(call, &call.server.config())?;
    let old = if path.exists() {
        read_file(&path).map_err(Fail::text)?
    } else {
        String::new()
    };
    let rendered = call.server.settings.with(|settings| {
        let shadowed = settings.origins.shadowed();
        render_file(&old, &settings.config, &settings.origins).map(|new| (new, shadowed))
    });
    let (new, shadowed) = rendered.ok_or_else(Fail::busy)?.map_err(Fail::text)?;
    replace_file(&path, &new).map_err(Fail::text)?;
    if shadowed.is_empty() {
        call.ctx.reply_ok();
        return Ok(());
    }
    let names = shadowed.join(", ");
    let line = format!("OK, but at the next load these load arguments win over the file: {names}");
    call.ctx.log(LogLevel::Notice, &line);
    call.ctx.reply_status(&line);
    Ok(())
}

impl Call<'_> {
    /// Whether commands that destroy or reveal are served.
    pub(super) fn admin_allowed(&self) -> Done {
        if self.server.config().admin_commands {
            return Ok(());
        }
        Err(Fail::text(
            "This command is switched off by numa-admin-commands no, set at load",
        ))
    }
}

impl Server {
    /// Sets every counter of the module to zero; what exists (keys, bytes) stays counted.
    fn reset_stats(&self) {
        self.pool.reset_stats();
        self.pulse.with(|pulse| (pulse.near, pulse.far) = (0, 0));
        self.works.with(|works| {
            works.stats.reset();
            works.runner.reset_counts();
            works.holds = Default::default();
        });
    }
}
