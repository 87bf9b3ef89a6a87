//! The one table of every parameter: names, default, bounds, unit, meaning, and when it may change.
//!
//! NUMACONFIG, load arguments, the directives file, INFO's readers and the tests of
//! `redis-6.2.conf` all go through it; a parameter that is not here does not exist. Defaults are
//! not repeated in the table: they are what [`Config::default`] holds, read through the same
//! kinds, so that the two cannot differ.
//!
//! Names. A parameter's name is its NUMACONFIG form (`tick_budget`); its directive is `numa-` and
//! the name with `-` for `_`. Either form is taken everywhere, in any case of letters. A few carry
//! further names that the interface gives them.

use super::choices::{HomeSetting, NativeKeys, TransparentTypes};
use super::error::SetError;
use super::kind::{node_of, Field, Kind};
use super::simulate;
use super::value::integer;
use super::Config;
use crate::ids::{Bytes, NodeId};
use lazy_static::lazy_static;
use std::collections::HashMap;
use std::path::PathBuf;

/// When a parameter may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At load, from any source, and through NUMACONFIG SET.
    Running,
    /// At load only.
    LoadOnly,
    /// At load only, and only as a load argument.
    ArgumentOnly,
}

/// Whether a parameter does anything in this version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It does what its line says.
    Active,
    /// It is kept and shown but changes nothing yet, and why.
    Inactive(&'static str),
}

/// One parameter.
#[derive(Debug)]
pub struct Param {
    /// The name in NUMACONFIG form.
    pub name: &'static str,
    /// The name that NUMACONFIG GET shows it under.
    pub shown: &'static str,
    /// Further names that NUMACONFIG takes.
    pub aliases: &'static [&'static str],
    /// What it does, in one line.
    pub doc: &'static str,
    /// The unit of a number, or empty.
    pub unit: &'static str,
    /// When it may change.
    pub when: When,
    /// Whether it does anything.
    pub effect: Effect,
    /// The reply to a bad value where the interface fixes its text.
    pub complaint: Option<&'static str>,
    pub(super) kind: Kind,
}

impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Param {
    const fn new(name: &'static str, doc: &'static str, kind: Kind) -> Self {
        Self {
            name,
            shown: name,
            aliases: &[],
            doc,
            unit: "",
            when: When::Running,
            effect: Effect::Active,
            complaint: None,
            kind,
        }
    }

    const fn shown_as(mut self, shown: &'static str, aliases: &'static [&'static str]) -> Self {
        self.shown = shown;
        self.aliases = aliases;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn only(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    const fn complaint(mut self, text: &'static str) -> Self {
        self.complaint = Some(text);
        self
    }

    /// The name as a directive: `numa-` and `-` for `_`.
    #[must_use]
    pub fn directive(&self) -> String {
        format!("numa-{}", self.name.replace('_', "-"))
    }

    /// The value in `config` as text; empty where it is unset.
    #[must_use]
    pub fn text(&self, config: &Config) -> String {
        self.kind.text(config)
    }

    /// The default as text; empty where the default is unset.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.text(&DEFAULTS)
    }

    /// What a value must be, as it follows "must be".
    #[must_use]
    pub fn bounds(&self) -> String {
        let bounds = self.kind.bounds();
        if self.unit.is_empty() {
            bounds
        } else {
            format!("{bounds} ({})", self.unit)
        }
    }

    /// The words it takes, for usage texts.
    #[must_use]
    pub const fn operands(&self) -> &'static str {
        match self.kind {
            Kind::NodeWeight => "<node> <weight>",
            Kind::NodeLimit => "<node> <bytes>",
            _ => "<value>",
        }
    }

    /// How many words it takes.
    #[must_use]
    pub const fn operand_count(&self) -> usize {
        if self.kind.is_per_node() {
            2
        } else {
            1
        }
    }

    /// The parameter of that name: its own, its directive, or a further name, in any case of
    /// letters. Nothing where there is none.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        // Longer than any name: nothing to copy or hash.
        const NAME_BYTES_MAX: usize = 64;
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        NAMES.get(plain(name).as_str()).copied()
    }

    /// Takes the words into `config`, which is untouched where they are refused.
    pub(super) fn take(
        &'static self,
        config: &mut Config,
        nodes: Option<&[NodeId]>,
        words: &[String],
    ) -> Result<(), SetError> {
        let mut next = config.clone();
        self.kind.take(self, &mut next, nodes, words)?;
        *config = next;
        Ok(())
    }
}

/// A name without `numa-`, in lower case, with `_` for `-`.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    match name.strip_prefix("numa_") {
        Some(rest) => rest.to_owned(),
        None => name,
    }
}

lazy_static! {
    /// Every name and the parameter it stands for, built once: a directives file of 60,000 lines
    /// is looked up line by line.
    static ref NAMES: HashMap<&'static str, &'static Param> = names();
    /// The defaults, built once: every default that is shown is read from here.
    pub(super) static ref DEFAULTS: Config = Config::default();
}

fn names() -> HashMap<&'static str, &'static Param> {
    let mut names = HashMap::new();
    for param in TABLE {
        names.insert(param.name, param);
        names.insert(param.shown, param);
        names.extend(param.aliases.iter().map(|alias| (*alias, param)));
    }
    names
}

const YES_NO: [&str; 2] = ["no", "yes"];
const ENABLED_DISABLED: [&str; 2] = ["disabled", "enabled"];

/// The functions onto a field whose type is the kind's own.
macro_rules! field {
    ($($field:ident).+) => {
        Field {
            get: |config| config.$($field).+,
            set: |config, value| config.$($field).+ = value,
        }
    };
}

/// A whole number in a field of a smaller type. The bounds fit the type: a test sets both.
macro_rules! count {
    ($($field:ident).+ : $type:ty, $min:expr, $max:expr) => {
        Kind::Count(
            Field {
                get: |config| u64::from(config.$($field).+),
                set: |config, value| config.$($field).+ = value as $type,
            },
            $min,
            $max,
        )
    };
}

/// Every parameter, in the order that NUMACONFIG GET shows them.
pub static TABLE: &[Param] = &[
    Param::new(
        "default_strategy",
        "placement policy: which node new bytes go to",
        Kind::Policy,
    )
    .shown_as("strategy", &["policy"]),
    Param::new(
        "balance_threshold",
        "percentage points that nodes' use may differ before a rebalancing pass moves",
        count!(balance_threshold: u8, 0, 100),
    )
    .unit("percent")
    .complaint("Balance threshold must be between 0 and 100"),
    Param::new(
        "auto_rebalance",
        "start a rebalancing pass by itself, at each rebalance_interval",
        Kind::Switch(field!(auto_rebalance), YES_NO),
    ),
    Param::new(
        "cxl_optimization",
        "keep values below min_allocation_size off CPU-less (CXL) nodes under policies that spread",
        Kind::Switch(field!(cxl_optimization), ENABLED_DISABLED),
    ),
    Param::new(
        "rebalance_interval",
        "time between two looks at the balance of the nodes",
        Kind::Count(field!(rebalance_interval_us), 100_000, 86_400_000_000),
    )
    .unit("us"),
    Param::new(
        "min_allocation_size",
        "values below this many bytes are small: cxl_optimized keeps them near",
        Kind::Memory(field!(min_allocation_size), Bytes::ZERO, Bytes(1 << 30)),
    )
    .unit("bytes"),
    Param::new(
        "node_weight",
        "a node's share of new bytes under the weighted policy",
        Kind::NodeWeight,
    )
    .shown_as("node_weights", &["weight", "weights"]),
    Param::new(
        "node_limit",
        "the most bytes Redis may keep on a node; 0 for no limit",
        Kind::NodeLimit,
    )
    .shown_as("node_limits", &["limit", "limits"]),
    Param::new(
        "enabled",
        "no: the module loads and answers but places nothing",
        Kind::Switch(field!(enabled), YES_NO),
    ),
    Param::new(
        "default_node",
        "the node that local_first starts from; -1 for home",
        Kind::Word {
            take: take_default_node,
            text: |config| match config.default_node {
                Some(node) => node.to_string(),
                None => "-1".to_owned(),
            },
            expected: "a node of this machine, or -1 for home",
        },
    ),
    Param::new(
        "home_node",
        "the node that Redis's main thread runs on; auto finds it",
        Kind::Word {
            take: take_home_node,
            text: |config| match config.home_node {
                HomeSetting::Node(node) => node.to_string(),
                HomeSetting::Auto => "auto".to_owned(),
            },
            expected: "auto or a node of this machine",
        },
    ),
    Param::new(
        "watermark_high",
        "a node fuller than this is full: demotion starts",
        count!(watermark_high: u8, 1, 100),
    )
    .unit("percent"),
    Param::new(
        "watermark_low",
        "demotion stops below this; must be below watermark_high",
        count!(watermark_low: u8, 0, 99),
    )
    .unit("percent"),
    Param::new(
        "native_keys",
        "what is done with keys of the stock types",
        Kind::Word {
            take: |config, word| {
                let mode = NativeKeys::from_name(word);
                mode.map(|mode| config.native_keys = mode).is_some()
            },
            text: |config| config.native_keys.name().to_owned(),
            expected: "one of off, observe, manage",
        },
    ),
    Param::new(
        "transparent_types",
        "stock types whose plain commands act on NUMA types",
        Kind::Word {
            take: |config, word| {
                let types = TransparentTypes::from_list(word);
                types
                    .map(|types| config.transparent_types = types)
                    .is_some()
            },
            text: |config| config.transparent_types.to_list(),
            expected: "none, all, or a list of string,list,set,zset,hash",
        },
    ),
    Param::new(
        "transparent_acl_accepted",
        "allow transparent_types although ACL rules see the rewritten command",
        Kind::Switch(field!(transparent_acl_accepted), YES_NO),
    ),
    Param::new(
        "move_during_fork",
        "move values while Redis has a forked child: each move then copies memory twice",
        Kind::Switch(field!(move_during_fork), YES_NO),
    ),
    Param::new(
        "config_file",
        "the directives file that NUMACONFIG LOAD and REWRITE use; empty for none",
        Kind::Word {
            take: |config, word| {
                config.config_file = (!word.is_empty()).then(|| PathBuf::from(word));
                true
            },
            text: |config| match &config.config_file {
                Some(path) => path.to_string_lossy().into_owned(),
                None => String::new(),
            },
            expected: "a path",
        },
    )
    .only(When::ArgumentOnly),
    Param::new(
        "state_file",
        "a file that carries heat and pins over a restart; empty for none",
        Kind::Word {
            take: |config, word| {
                config.state_file = (!word.is_empty()).then(|| PathBuf::from(word));
                true
            },
            text: |config| match &config.state_file {
                Some(path) => path.to_string_lossy().into_owned(),
                None => String::new(),
            },
            expected: "a path",
        },
    )
    .only(When::ArgumentOnly),
    Param::new(
        "state_interval",
        "seconds between two writes of state_file; it is written at shutdown too",
        Kind::Count(field!(state_interval_sec), 1, 86_400),
    ),
    Param::new(
        "admin_commands",
        "no: commands that destroy or reveal answer an error",
        Kind::Switch(field!(admin_commands), YES_NO),
    )
    .only(When::LoadOnly),
    Param::new("debug", "log more", Kind::Switch(field!(debug), YES_NO)),
    Param::new(
        "simulate",
        "run on a simulated machine instead of the real one; empty for the real one",
        Kind::Word {
            take: |config, word| {
                let nodes = simulate::parse(word);
                nodes.map(|nodes| config.simulate = nodes).is_some()
            },
            text: |config| simulate::text(&config.simulate),
            expected: simulate::EXPECTED,
        },
    )
    .only(When::LoadOnly),
    Param::new(
        "tick_interval",
        "time between two ticks of the module's timer",
        Kind::Count(field!(tick_interval_ms), 1, 1000),
    )
    .unit("ms"),
    Param::new(
        "tick_budget",
        "the most main-thread time one tick may take",
        Kind::Count(field!(tick_budget_us), 10, 10_000),
    )
    .unit("us"),
    Param::new(
        "cpu_share",
        "the module's share of the main thread on average; up to 10 while the hot set shifts",
        count!(cpu_share_percent: u8, 1, 50),
    )
    .unit("percent"),
    Param::new(
        "migrate_rate",
        "the most bytes moved in a second",
        Kind::Memory(field!(migrate_rate), Bytes::mib(1), Bytes(1 << 40)),
    )
    .unit("bytes a second"),
    Param::new(
        "composite_lru_decay_threshold_sec",
        "idle time after which a hotness level starts to fall; the other steps scale with it",
        count!(composite.decay_threshold_sec: u32, 1, 3600),
    )
    .unit("s"),
    Param::new(
        "composite_lru_migrate_hotness_threshold",
        "hotness level from which a far key is promoted",
        count!(composite.migrate_hotness_threshold: u8, 1, 7),
    ),
    Param::new(
        "composite_lru_stability_count",
        "times a far key must be seen hot before the fast path promotes it",
        count!(composite.stability_count: u8, 1, 255),
    ),
    Param::new(
        "composite_lru_hot_candidates_size",
        "far keys that are remembered as seen hot",
        count!(composite.hot_candidates_size: u16, 1, 65_535),
    )
    .unit("keys"),
    Param::new(
        "composite_lru_scan_batch_size",
        "keys that the survey passes in one run at most",
        count!(composite.scan_batch_size: u16, 1, 65_535),
    )
    .unit("keys"),
    Param::new(
        "composite_lru_overload_threshold",
        "share of its time that moving may take on average; above it nothing is promoted",
        Kind::Fraction(field!(composite.overload_threshold), 0.5, 1.0),
    ),
    Param::new(
        "composite_lru_bandwidth_threshold",
        "a node whose bandwidth is used more than this takes no promotions",
        Kind::Fraction(field!(composite.bandwidth_threshold), 0.5, 1.0),
    )
    .effect(Effect::Inactive("no bandwidth meter exists")),
    Param::new(
        "composite_lru_pressure_threshold",
        "share of watermark_high up to which home takes any hot key; above it only hotter ones",
        Kind::Fraction(field!(composite.pressure_threshold), 0.3, 1.0),
    ),
    Param::new(
        "composite_lru_auto_migrate_enabled",
        "no: the strategy watches and moves nothing by itself",
        Kind::Switch(field!(composite.auto_migrate_enabled), YES_NO),
    ),
];

fn take_default_node(config: &mut Config, word: &str) -> bool {
    let choice = match integer(word) {
        Some(-1) => Some(None),
        Some(number) => node_of(number, None).map(Some),
        None => None,
    };
    choice.map(|choice| config.default_node = choice).is_some()
}

fn take_home_node(config: &mut Config, word: &str) -> bool {
    let choice = if word.eq_ignore_ascii_case("auto") {
        Some(HomeSetting::Auto)
    } else {
        let node = integer(word).and_then(|number| node_of(number, None));
        node.map(HomeSetting::Node)
    };
    choice.map(|choice| config.home_node = choice).is_some()
}
