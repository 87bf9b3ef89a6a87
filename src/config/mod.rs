//! Floor 0: every tunable of the module.
//!
//! Words. A **parameter** has a name (`tick_budget`), a **directive** is a parameter as it stands
//! in a file or among load arguments (`numa-tick-budget 1000`). A **source** is where a value came
//! from: default, environment, directives file, load arguments, NUMACONFIG SET, lowest first.
//!
//! ```text
//! table     every parameter: names, bounds, meaning  ->  kind    how its words become a field
//! resolve   sources -> Config, and who said what     ->  file    lines into words, bounded
//! render    Config -> the text of a directives file  ->  error   why a value was refused
//! ```
//!
//! [`Config`] is plain typed fields: the engine reads `config.tick_budget_us`, never a name. Names
//! exist at the edge only, in the table. The rejected option, a map from names to texts, would
//! have put a parse and an error behind every read.

mod choices;
mod error;
mod kind;
mod simulate;
mod table;
mod value;

use crate::ids::{Bytes, NodeId};
use kind::Kind;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use choices::{HomeSetting, NativeKeys, PolicyName, TransparentTypes};
pub use error::SetError;
pub use simulate::SimNode;
pub use table::{Effect, Param, When, TABLE};

/// The parameters of the composite LRU strategy.
#[derive(Clone, PartialEq, Debug)]
pub struct CompositeParams {
    /// Idle seconds after which a hotness level starts to fall.
    pub decay_threshold_sec: u32,
    /// Hotness level (1-7) from which a far key is promoted.
    pub migrate_hotness_threshold: u8,
    /// Times in a row a key must be seen hot before the slow path moves it.
    pub stability_count: u8,
    /// Far keys that may wait for the fast path.
    pub hot_candidates_size: u16,
    /// Keys the slow path looks at in one run.
    pub scan_batch_size: u16,
    /// Used share (0.5-1) above which a node takes no promotions.
    pub overload_threshold: f64,
    /// Used share of bandwidth (0.5-1) above which a node takes no promotions.
    pub bandwidth_threshold: f64,
    /// Used share (0.3-1) above which a node demotes its coldest keys.
    pub pressure_threshold: f64,
    /// Whether the strategy moves anything by itself.
    pub auto_migrate_enabled: bool,
}

impl Default for CompositeParams {
    fn default() -> Self {
        Self {
            decay_threshold_sec: 10,
            migrate_hotness_threshold: 5,
            stability_count: 3,
            hot_candidates_size: 256,
            scan_batch_size: 200,
            overload_threshold: 0.8,
            bandwidth_threshold: 0.9,
            pressure_threshold: 0.7,
            auto_migrate_enabled: true,
        }
    }
}

/// Every setting, typed.
///
/// Each field lies within its bounds in [`TABLE`], and [`Config::validate`] holds: a `Config`
/// changes only as a whole, after both were checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The placement policy for new bytes.
    pub policy: PolicyName,
    /// Percentage points (0-100) that nodes' use may differ before a pass moves.
    pub balance_threshold: u8,
    /// Whether rebalancing passes start by themselves.
    pub auto_rebalance: bool,
    /// Whether small values keep off CPU-less nodes.
    pub cxl_optimization: bool,
    /// Time between two looks at the balance, in us.
    pub rebalance_interval_us: u64,
    /// Values below this are small.
    pub min_allocation_size: Bytes,
    /// Weights (0-1000) that were given; a node without one has the machine's default.
    pub node_weights: BTreeMap<NodeId, u32>,
    /// Limits that were given, never zero; a node without one has none.
    pub node_limits: BTreeMap<NodeId, Bytes>,
    /// Whether the module places anything.
    pub enabled: bool,
    /// The node that `local_first` starts from; none for home.
    pub default_node: Option<NodeId>,
    /// How home is found.
    pub home_node: HomeSetting,
    /// Percent (1-100) of a node's room from which it is full.
    pub watermark_high: u8,
    /// Percent (0-99) of a node's room at which demotion stops.
    pub watermark_low: u8,
    /// What is done with native keys.
    pub native_keys: NativeKeys,
    /// Stock types whose plain commands act on NUMA types.
    pub transparent_types: TransparentTypes,
    /// Whether transparency is wanted although ACL rules see the rewritten command.
    pub transparent_acl_accepted: bool,
    /// Whether values move while Redis has a forked child.
    pub move_during_fork: bool,
    /// The directives file, as an absolute path.
    pub config_file: Option<PathBuf>,
    /// Whether commands that destroy or reveal are served.
    pub admin_commands: bool,
    /// Whether to log more.
    pub debug: bool,
    /// The simulated machine, nodes in order; empty for the real one.
    pub simulate: Vec<SimNode>,
    /// Time between two ticks, in ms.
    pub tick_interval_ms: u64,
    /// The most main-thread time of one tick, in us.
    pub tick_budget_us: u64,
    /// The module's share of the main thread on average, in percent.
    pub cpu_share_percent: u8,
    /// The most bytes moved in a second.
    pub migrate_rate: Bytes,
    /// The composite LRU strategy.
    pub composite: CompositeParams,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: PolicyName::LocalFirst,
            balance_threshold: 30,
            auto_rebalance: true,
            cxl_optimization: false,
            rebalance_interval_us: 5_000_000,
            min_allocation_size: Bytes(1024),
            node_weights: BTreeMap::new(),
            node_limits: BTreeMap::new(),
            enabled: true,
            default_node: None,
            home_node: HomeSetting::Auto,
            watermark_high: 95,
            watermark_low: 90,
            native_keys: NativeKeys::Off,
            transparent_types: TransparentTypes::NONE,
            transparent_acl_accepted: false,
            move_during_fork: false,
            config_file: None,
            admin_commands: true,
            debug: false,
            simulate: Vec::new(),
            tick_interval_ms: 10,
            tick_budget_us: 1000,
            cpu_share_percent: 2,
            migrate_rate: Bytes::mib(256),
            composite: CompositeParams::default(),
        }
    }
}

/// A value as NUMACONFIG GET replies it.
#[derive(Clone, PartialEq, Debug)]
pub enum Shown {
    /// An integer reply.
    Int(i64),
    /// A bulk string.
    Text(String),
    /// An array of [node, value] pairs.
    PerNode(Vec<(NodeId, i64)>),
}

impl Config {
    /// The most bytes Redis may keep on the node; [`Bytes::MAX`] for no limit.
    #[must_use]
    pub fn node_limit(&self, node: NodeId) -> Bytes {
        self.node_limits.get(&node).copied().unwrap_or(Bytes::MAX)
    }

    /// Checks the relations between settings.
    ///
    /// # Errors
    /// The two parameters and the relation between them that does not hold.
    pub fn validate(&self) -> Result<(), BrokenRelation> {
        let (low, high) = (self.watermark_low, self.watermark_high);
        if low >= high {
            return Err(BrokenRelation {
                params: ["watermark_low", "watermark_high"],
                text: format!("watermark_low ({low}) must be below watermark_high ({high})"),
            });
        }
        let (budget, interval) = (self.tick_budget_us, self.tick_interval_ms);
        if budget > interval * 1000 {
            return Err(BrokenRelation {
                params: ["tick_budget", "tick_interval"],
                text: format!(
                    "tick_budget ({budget} us) must fit in tick_interval ({interval} ms)"
                ),
            });
        }
        Ok(())
    }

    /// The nodes that the settings name, each with the parameter that names it.
    pub(crate) fn named_nodes(&self) -> impl Iterator<Item = (&'static str, NodeId)> + '_ {
        let home = match self.home_node {
            HomeSetting::Node(node) => Some(node),
            HomeSetting::Auto => None,
        };
        let default = self.default_node.map(|node| ("default_node", node));
        let home = home.map(|node| ("home_node", node));
        let weights = self.node_weights.keys().map(|node| ("node_weight", *node));
        let limits = self.node_limits.keys().map(|node| ("node_limit", *node));
        default.into_iter().chain(home).chain(weights).chain(limits)
    }

    /// What NUMACONFIG GET replies, in its order; `weight` is the weight in force of each node.
    /// The last row names the parameters that are kept but change nothing in this version.
    #[must_use]
    pub fn report(
        &self,
        nodes: &[NodeId],
        weight: &dyn Fn(NodeId) -> u32,
    ) -> Vec<(&'static str, Shown)> {
        let mut rows = Vec::with_capacity(TABLE.len() + 2);
        for param in TABLE {
            rows.push((param.shown, self.shown(param, nodes, weight)));
            if param.shown == "strategy" {
                rows.push(("nodes", Shown::Int(nodes.len() as i64)));
            }
        }
        rows.push(("inactive", Shown::Text(inactive().join(","))));
        rows
    }

    fn shown(&self, param: &Param, nodes: &[NodeId], weight: &dyn Fn(NodeId) -> u32) -> Shown {
        match param.kind {
            Kind::Count(field, ..) => Shown::Int(saturated((field.get)(self))),
            Kind::Memory(field, ..) => Shown::Int(saturated((field.get)(self).0)),
            Kind::NodeWeight => {
                let pair = |node: &NodeId| (*node, i64::from(weight(*node)));
                Shown::PerNode(nodes.iter().map(pair).collect())
            }
            Kind::NodeLimit => {
                let limits = self.node_limits.iter();
                Shown::PerNode(limits.map(|(n, limit)| (*n, saturated(limit.0))).collect())
            }
            _ => Shown::Text(param.text(self)),
        }
    }
}

/// Two settings that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenRelation {
    /// The names of the two parameters.
    pub params: [&'static str; 2],
    /// The relation that does not hold, with both values.
    pub text: String,
}

/// The names of the parameters that are kept but change nothing in this version.
fn inactive() -> Vec<&'static str> {
    let idle = |param: &&Param| param.effect != Effect::Active;
    TABLE.iter().filter(idle).map(|param| param.name).collect()
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
