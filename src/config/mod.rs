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
mod file;
mod kind;
mod render;
mod resolve;
mod simulate;
mod table;
mod value;

use crate::ids::{Bytes, NodeId};
use crate::machine::SimNode;
use kind::Kind;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use choices::{HomeSetting, NativeKeys, PolicyName, TransparentTypes};
pub use error::SetError;
pub use file::{read_file, replace_file};
pub use render::render_file;
pub use resolve::{Origins, Place};
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
    /// The file that carries heat and pins over a restart.
    pub state_file: Option<PathBuf>,
    /// Seconds between two writes of it.
    pub state_interval_sec: u64,
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
            state_file: None,
            state_interval_sec: 300,
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
                values: [low.to_string(), high.to_string()],
                text: "watermark_low must be below watermark_high",
            });
        }
        let (budget_us, interval_ms) = (self.tick_budget_us, self.tick_interval_ms);
        if budget_us > interval_ms * 1000 {
            return Err(BrokenRelation {
                params: ["tick_budget", "tick_interval"],
                values: [format!("{budget_us} us"), format!("{interval_ms} ms")],
                text: "tick_budget must fit into tick_interval",
            });
        }
        Ok(())
    }

    /// The nodes that the settings name, each with the parameter that names it.
    fn named_nodes(&self) -> impl Iterator<Item = (&'static str, NodeId)> + '_ {
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
    /// Their values.
    pub values: [String; 2],
    /// The relation that does not hold.
    pub text: &'static str,
}

/// The names of the parameters that are kept but change nothing in this version.
fn inactive() -> Vec<&'static str> {
    let idle = |param: &&Param| param.effect != Effect::Active;
    TABLE.iter().filter(idle).map(|param| param.name).collect()
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::kind::Kind;
    use super::*;

    /// A directive, its default, its bounds where it has any.
    type Documented = (
        &'static str,
        &'static str,
        Option<(&'static str, &'static str)>,
    );

    /// As the interface's document lists them.
    const DOCUMENTED: [Documented; 36] = [
        ("numa-enabled", "yes", None),
        ("numa-default-strategy", "local_first", None),
        ("numa-default-node", "-1", Some(("-1", "63"))),
        ("numa-home-node", "auto", None),
        ("numa-balance-threshold", "30", Some(("0", "100"))),
        ("numa-auto-rebalance", "yes", None),
        (
            "numa-rebalance-interval",
            "5000000",
            Some(("100000", "86400000000")),
        ),
        ("numa-cxl-optimization", "disabled", None),
        ("numa-min-allocation-size", "1024", Some(("0", "1gb"))),
        ("numa-node-weight", "", None),
        ("numa-node-limit", "", None),
        ("numa-watermark-high", "95", Some(("1", "100"))),
        ("numa-watermark-low", "90", Some(("0", "99"))),
        ("numa-native-keys", "off", None),
        ("numa-transparent-types", "none", None),
        ("numa-transparent-acl-accepted", "no", None),
        ("numa-move-during-fork", "no", None),
        ("numa-config-file", "", None),
        ("numa-state-file", "", None),
        ("numa-state-interval", "300", None),
        ("numa-admin-commands", "yes", None),
        ("numa-debug", "no", None),
        ("numa-simulate", "", None),
        ("numa-tick-interval", "10", Some(("1", "1000"))),
        ("numa-tick-budget", "1000", Some(("10", "10000"))),
        ("numa-cpu-share", "2", Some(("1", "50"))),
        ("numa-migrate-rate", "256mb", Some(("1mb", "1024gb"))),
        (
            "numa-composite-lru-decay-threshold-sec",
            "10",
            Some(("1", "3600")),
        ),
        (
            "numa-composite-lru-migrate-hotness-threshold",
            "5",
            Some(("1", "7")),
        ),
        (
            "numa-composite-lru-stability-count",
            "3",
            Some(("1", "255")),
        ),
        (
            "numa-composite-lru-hot-candidates-size",
            "256",
            Some(("1", "65535")),
        ),
        (
            "numa-composite-lru-scan-batch-size",
            "200",
            Some(("1", "65535")),
        ),
        (
            "numa-composite-lru-overload-threshold",
            "0.8",
            Some(("0.5", "1")),
        ),
        (
            "numa-composite-lru-bandwidth-threshold",
            "0.9",
            Some(("0.5", "1")),
        ),
        (
            "numa-composite-lru-pressure-threshold",
            "0.7",
            Some(("0.3", "1")),
        ),
        ("numa-composite-lru-auto-migrate-enabled", "yes", None),
    ];

    const CONF: &str = include_str!("../../redis-6.2.conf");

    fn taken(param: &'static Param, word: &str) -> Option<String> {
        let mut config = Config::default();
        let taken = param.take(&mut config, None, &[word.to_owned()]);
        taken.ok().map(|()| param.text(&config))
    }

    #[test]
    fn every_default_is_the_documented_one() {
        assert_eq!(TABLE.len(), DOCUMENTED.len());
        for (directive, default, _) in DOCUMENTED {
            let param = Param::find(directive).unwrap();
            assert_eq!(param.directive(), directive);
            assert_eq!(param.default_text(), default, "{directive}");
        }
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn bounds_are_taken_and_what_lies_beyond_is_refused() {
        for (directive, _, bounds) in DOCUMENTED {
            let param = Param::find(directive).unwrap();
            let Some((min, max)) = bounds else { continue };
            // The text comes back whole: no bound is cut by the type of its field.
            assert_eq!(taken(param, min).as_deref(), Some(min), "{directive}");
            assert_eq!(taken(param, max).as_deref(), Some(max), "{directive}");
            let beyond = match param.kind {
                Kind::Count(_, min, max) => {
                    vec![(i128::from(min) - 1).to_string(), (max + 1).to_string()]
                }
                Kind::Memory(_, min, max) => {
                    vec![(i128::from(min.0) - 1).to_string(), (max.0 + 1).to_string()]
                }
                Kind::Fraction(_, min, max) => {
                    vec![(min - 1e-9).to_string(), (max + 1e-9).to_string()]
                }
                _ => vec!["-2".to_owned(), "64".to_owned()],
            };
            for word in beyond
                .iter()
                .map(String::as_str)
                .chain(["", "x", "-", "1e400"])
            {
                assert_eq!(taken(param, word), None, "{directive} {word}");
            }
        }
    }

    #[test]
    fn words_that_no_parameter_takes_are_refused() {
        for param in TABLE
            .iter()
            .filter(|param| param.when != When::ArgumentOnly)
        {
            for word in ["perhaps", " ", "yes no", "\0", "-9"] {
                assert_eq!(taken(param, word), None, "{} {word}", param.name);
            }
        }
    }

    #[test]
    fn every_name_is_found_in_both_forms_through_the_table_built_once() {
        for param in TABLE {
            let names = [
                param.name.to_owned(),
                param.shown.to_owned(),
                param.directive(),
                param.directive().to_uppercase(),
                param.name.replace('_', "-"),
                format!("numa_{}", param.name),
            ];
            for name in names
                .iter()
                .map(String::as_str)
                .chain(param.aliases.iter().copied())
            {
                assert_eq!(Param::find(name), Some(param), "{name}");
            }
        }
        for name in ["policy", "strategy", "default_strategy"] {
            assert_eq!(Param::find(name).unwrap().name, "default_strategy");
        }
        for name in [
            "",
            "numa-",
            "numa-numa-debug",
            "debug ",
            "nodes",
            &"debug".repeat(99),
        ] {
            assert!(Param::find(name).is_none(), "{name}");
        }
        // Two looks at one lazily built table, not two tables.
        let built: [*const Config; 2] = [&*table::DEFAULTS, &*table::DEFAULTS];
        assert_eq!(built[0], built[1]);
    }

    #[test]
    fn no_name_stands_for_two_parameters() {
        let names = TABLE.iter().flat_map(|param| {
            let further = param.aliases.iter().copied();
            let shown = (param.shown != param.name).then_some(param.shown);
            further.chain(shown).chain([param.name])
        });
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn choices_are_taken_in_any_case_and_order() {
        let cases = [
            ("native_keys", "OFF", Some("off")),
            ("native_keys", "observe", Some("observe")),
            ("native_keys", "manage", Some("manage")),
            ("transparent_types", "none", Some("none")),
            ("transparent_types", "all", Some("all")),
            ("transparent_types", "hash,string", Some("string,hash")),
            ("transparent_types", "stream", None),
        ];
        for (name, word, text) in cases {
            assert_eq!(
                taken(Param::find(name).unwrap(), word).as_deref(),
                text,
                "{name} {word}"
            );
        }
    }

    #[test]
    fn the_report_starts_with_the_promised_pairs_and_names_what_is_inactive() {
        let nodes: Vec<NodeId> = (0..2).filter_map(NodeId::new).collect();
        let rows = Config::default().report(&nodes, &|node| 100 - node.index() as u32);
        let expected = [
            ("strategy", Shown::Text("local_first".to_owned())),
            ("nodes", Shown::Int(2)),
            ("balance_threshold", Shown::Int(30)),
            ("auto_rebalance", Shown::Text("yes".to_owned())),
            ("cxl_optimization", Shown::Text("disabled".to_owned())),
            ("rebalance_interval", Shown::Int(5_000_000)),
            ("min_allocation_size", Shown::Int(1024)),
            (
                "node_weights",
                Shown::PerNode(vec![(nodes[0], 100), (nodes[1], 99)]),
            ),
        ];
        assert_eq!(rows[..expected.len()], expected);
        assert_eq!(rows.len(), TABLE.len() + 2);
        let inactive = "composite_lru_bandwidth_threshold";
        assert_eq!(
            rows.last(),
            Some(&("inactive", Shown::Text(inactive.to_owned())))
        );
    }

    #[test]
    fn a_node_without_a_limit_has_none() {
        let node = NodeId::new(1).unwrap();
        let mut config = Config::default();
        assert_eq!(config.node_limit(node), Bytes::MAX);
        let limit = Param::find("node_limit").unwrap();
        let mut set = |word: &str| {
            limit
                .take(&mut config, None, &["1".to_owned(), word.to_owned()])
                .unwrap();
            config.node_limit(node)
        };
        assert_eq!(set("2gb"), Bytes(2 << 30));
        assert_eq!(set("0"), Bytes::MAX);
    }

    #[test]
    fn the_shipped_conf_explains_every_parameter_as_it_is() {
        for param in TABLE {
            let heading = match param.default_text() {
                default if default.is_empty() => format!("# {} <", param.directive()),
                default => format!("# {} {default}\n", param.directive()),
            };
            let start = CONF
                .find(&heading)
                .unwrap_or_else(|| panic!("{heading} is missing"));
            let lines = CONF[start..]
                .lines()
                .skip(1)
                .take_while(|line| line.starts_with("#   "));
            let said: Vec<&str> = lines.flat_map(|l| l.split_whitespace().skip(1)).collect();
            let said = said.join(" ").to_lowercase();
            let mut needed = vec![param.doc.to_owned(), param.bounds()];
            match param.effect {
                Effect::Active => {}
                Effect::Inactive(why) => needed.push(why.to_owned()),
            }
            match param.when {
                When::Running => {}
                When::LoadOnly | When::ArgumentOnly => needed.push("at load only".to_owned()),
            }
            for text in needed.iter().map(|text| text.to_lowercase()) {
                assert!(
                    said.contains(&text),
                    "{heading}: '{text}' is not in '{said}'"
                );
            }
        }
    }

    #[test]
    fn the_directives_file_of_the_shipped_conf_loads() {
        let begin = "# ---- numa.conf ----\n";
        let start = CONF.find(begin).unwrap() + begin.len();
        let end = start + CONF[start..].find("# ---- end ----").unwrap();
        let text: Vec<&str> = CONF[start..end].lines().map(|line| &line[2..]).collect();
        let arguments = ["numa-config-file".to_owned(), "/numa.conf".to_owned()];
        let read = |_: &std::path::Path| Ok(text.join("\n"));
        let (config, _) = Config::resolve(&|_| None, &arguments, &read).unwrap();
        assert_eq!(config.policy, PolicyName::Weighted);
    }
}
