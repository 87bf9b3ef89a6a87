//! The load: from arguments to a module in its place, or a reason why not.
//!
//! Order: check the server, read the configuration, see the machine, and only then register
//! anything. A reason is one line that names the cause; the caller logs it.

use super::charge::CHARGE;
use super::numa_type::NumaType;
use super::raw::{inside, lead_all, missing_function, Ctx, LogLevel};
use super::server::{Parts, Server, Settings};
use super::transparent;
use super::types::Handles;
use crate::config::{read_file, Config, NativeKeys};
use crate::ids::{Bytes, NodeId};
use crate::machine::{cpulist, LinuxMachine, Machine, SimulatedMachine};
use crate::pool::PoolHandle;
use crate::value::{NumaString, Value};

/// Registers the commands of the floor above; the name that the server refused.
type RegisterCommands = fn(Ctx<'_>) -> Result<(), &'static str>;

/// Makes the module ready and puts it in its place; nothing is subscribed yet.
///
/// # Errors
/// The reason, for the log.
pub(crate) fn prepare(
    ctx: Ctx<'_>,
    words: &[String],
    register_commands: RegisterCommands,
) -> Result<&'static Server, String> {
    if let Some(function) = missing_function() {
        return Err(format!(
            "this server has no {function}; redis-numa needs Redis 6.2 or later"
        ));
    }
    let env = |name: &str| std::env::var(name).ok();
    let (config, origins) = Config::resolve(&env, words, &read_file)?;
    let machine = see_machine(&config)?;
    let nodes: Vec<NodeId> = machine.topology().ids().collect();
    config.check_nodes(&nodes, &origins)?;
    let allocator = ctx
        .server_info(c"memory", c"mem_allocator")
        .unwrap_or_default();
    let charge_way = CHARGE.choose(&allocator);
    let types = Handles::register(ctx)?;
    register_commands(ctx)
        .map_err(|name| format!("the server refused the command {name}: is it taken?"))?;
    let parts = Parts {
        machine,
        pool: PoolHandle::new(machine, &CHARGE),
        settings: Settings { config, origins },
        charge_way,
        types,
        server_cpus: server_cpus(ctx),
    };
    Server::install(parts).map_err(str::to_owned)
}

/// The machine for the rest of the process: it is never given back, as the module is not.
fn see_machine(config: &Config) -> Result<&'static dyn Machine, String> {
    if config.simulate.is_empty() {
        return Ok(Box::leak(Box::new(LinuxMachine::discover())));
    }
    Ok(Box::leak(Box::new(SimulatedMachine::new(
        &config.simulate,
    )?)))
}

/// The CPUs that the server was told to run on.
fn server_cpus(ctx: Ctx<'_>) -> Vec<usize> {
    let list = ctx.config_text(c"server_cpulist").unwrap_or_default();
    cpulist::parse_list(&list).unwrap_or_default()
}

/// Says in the log what was found, and what is weaker than it should be.
pub(crate) fn announce(ctx: Ctx<'_>, server: &Server) {
    let config = server.config();
    let (machine, home) = (server.machine, server.home());
    let simulated = if machine.is_simulated() {
        "simulated, "
    } else {
        ""
    };
    ctx.log(
        LogLevel::Notice,
        &format!(
            "redis-numa {}: {simulated}{} node(s), home {home}, policy {}, \
             used_memory follows by {}",
            env!("CARGO_PKG_VERSION"),
            machine.topology().nodes.len(),
            config.policy.name(),
            server.charge_way,
        ),
    );
    let nodes = &machine.topology().nodes;
    let home_at = nodes.iter().position(|node| node.id == home);
    for node in nodes {
        let limit = match config.node_limit(node.id) {
            Bytes::MAX => "no limit".to_owned(),
            limit => format!("limit {limit}"),
        };
        let cpus = if node.is_cpuless() { "no CPU" } else { "CPUs" };
        let seen = home_at.and_then(|at| node.latency_ns.get(at).copied().flatten());
        let latency = seen.map_or(String::new(), |ns| format!(", {ns} ns from home"));
        let line = format!(
            "node {}: tier {}, {cpus}{latency}, {} bytes, {limit}",
            node.id, node.tier, node.capacity
        );
        ctx.log(LogLevel::Notice, &line);
    }
    if let Some(reason) = machine.degraded() {
        ctx.log(LogLevel::Warning, &format!("degraded: {reason}"));
    }
    transparent::note_role(ctx);
    if find_inside(ctx, server) {
        lead_all();
    } else {
        let line = "keys and replies go by the module API alone, which is slower: \
                    the insides of this server are not known to this version";
        ctx.log(LogLevel::Notice, line);
    }
    start_native(ctx, server, &config);
    if !config.enabled {
        ctx.log(
            LogLevel::Warning,
            "numa-enabled no: commands are served, nothing is placed",
        );
    }
}

/// Recognises the server's insides, with an empty string to try them on.
fn find_inside(ctx: Ctx<'_>, server: &Server) -> bool {
    let make = |order: &[NodeId], heat| NumaString::new(server.pool, order, b"", heat);
    let made = || server.make_value(b"", 0, None, make).ok();
    let kind = server.types.of(<NumaString as NumaType>::KIND);
    let raw = |value: NumaString| {
        server.value_came(); // the type's own function frees it, which counts it as gone
        value.into_raw()
    };
    inside::find(ctx, kind, || made().map(raw))
}

/// Switches the native plane on where it is wanted, and says what came of it.
pub(crate) fn start_native(ctx: Ctx<'_>, server: &Server, config: &Config) {
    if config.native_keys == NativeKeys::Off || server.native.was_tried() {
        return;
    }
    let line = match server.native.start(ctx, server.machine, server.home()) {
        Ok(native) => format!(
            "native keys: numa-native-keys {}, node {} is where the server allocates",
            config.native_keys.name(),
            native.birth()
        ),
        Err(reason) => format!("native keys are left alone: {reason}"),
    };
    ctx.log(LogLevel::Notice, &line);
}
