//! From the sources to one [`Config`].
//!
//! A configuration is a fold: the defaults, then each assignment of the environment, of the
//! directives file, of the load arguments, and of NUMACONFIG SET, in this order, the later one
//! winning. [`Origins`] keeps the assignments, by source:
//!
//! ```text
//! config = fold(defaults, environment ++ file ++ arguments ++ set)
//! ```
//!
//! so that who set what, what a re-read file changes (fold again with another file), and what a
//! rewritten file must say (fold without it) are all read off the same lists. The rejected option,
//! a mark of its origin at each field, cannot take a directive back that has gone from the file.

use super::error::SetError;
use super::file;
use super::table::{Param, When, TABLE};
use super::value::integer;
use super::Config;
use crate::ids::NodeId;
use std::fmt;
use std::path::{self, Path};

/// The environment variables that are read, and the parameters they set.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("NUMA_ENABLED", "enabled"),
    ("NUMA_DEFAULT_NODE", "default_node"),
    ("NUMA_DEBUG", "debug"),
];

/// Who gave a value, the weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// Nobody.
    Default,
    /// That environment variable.
    Environment(&'static str),
    /// That line of the directives file, counted from 1.
    Line(usize),
    /// That load argument, counted from 1.
    Argument(usize),
    /// NUMACONFIG SET.
    Set,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Line(line) => write!(f, "directives file line {line}"),
            Self::Argument(position) => write!(f, "load argument {position}"),
            Self::Set => f.write_str("NUMACONFIG SET"),
        }
    }
}

/// One parameter given words by one source.
#[derive(Clone, PartialEq, Debug)]
struct Assignment {
    place: Place,
    param: &'static Param,
    words: Vec<String>,
}

/// Every assignment, by source. `Config` is their fold over the defaults.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Origins {
    environment: Vec<Assignment>,
    file: Vec<Assignment>,
    arguments: Vec<Assignment>,
    set: Vec<Assignment>,
}

impl Config {
    /// The configuration at load and who set what. Nodes are not checked, since the simulated
    /// machine is itself part of the answer: see [`Config::check_nodes`].
    ///
    /// # Errors
    /// The first thing that is wrong: its place and the reason; about a line of the file never any
    /// of its content.
    pub fn resolve(
        environment: &dyn Fn(&str) -> Option<String>,
        arguments: &[String],
        read_file: &dyn Fn(&Path) -> Result<String, String>,
    ) -> Result<(Self, Origins), String> {
        let mut origins = Origins {
            environment: from_environment(environment),
            arguments: from_arguments(arguments)?,
            ..Origins::default()
        };
        // The file's name is among the arguments, so these are read first although they win.
        let path = fold([&origins.arguments])?.config_file;
        if let Some(path) = path {
            origins.file = from_file(&read_file(&path)?)?;
        }
        Ok((origins.config()?, origins))
    }

    /// The configuration after the directives file was read again, and who set what then. What
    /// load arguments and NUMACONFIG SET gave stays above the file.
    ///
    /// # Errors
    /// The first thing that is wrong, as in [`Config::resolve`]; also a parameter that can change
    /// at load only and has changed. Nothing has changed then.
    pub fn reload(
        &self,
        origins: &Origins,
        nodes: &[NodeId],
        read_file: &dyn Fn(&Path) -> Result<String, String>,
    ) -> Result<(Self, Origins), String> {
        let Some(path) = &self.config_file else {
            return Err("no directives file was named at load (numa-config-file)".to_owned());
        };
        let mut next = origins.clone();
        next.file = from_file(&read_file(path)?)?;
        let config = next.config()?;
        config.check_nodes(nodes, &next)?;
        let fixed =
            |param: &&Param| param.when != When::Running && param.text(&config) != param.text(self);
        match TABLE.iter().find(fixed) {
            None => Ok((config, next)),
            Some(param) => {
                let place = next.place_of(param.name);
                let name = param.directive();
                Err(format!(
                    "{place}: {name} can only change when the module is loaded"
                ))
            }
        }
    }

    /// Sets one parameter, as NUMACONFIG SET does, and remembers that in `origins`.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn set<S: AsRef<str>>(
        &mut self,
        origins: &mut Origins,
        nodes: &[NodeId],
        name: &str,
        words: &[S],
    ) -> Result<(), SetError> {
        let unknown = || SetError::UnknownParameter(name.to_owned());
        let param = Param::find(name).ok_or_else(unknown)?;
        if param.when != When::Running {
            return Err(SetError::LoadOnly(param));
        }
        let words: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        let mut next = self.clone();
        param.take(&mut next, Some(nodes), &words)?;
        next.validate().map_err(SetError::Relation)?;
        if let Some((_, node)) = next.stranger(nodes) {
            return Err(SetError::NodeOutOfRange(node.to_string()));
        }
        origins.remember_set(param, words);
        *self = next;
        Ok(())
    }

    /// Checks that every node that the settings name is one of `nodes`.
    ///
    /// # Errors
    /// The place, the parameter and the node that this machine does not have.
    pub fn check_nodes(&self, nodes: &[NodeId], origins: &Origins) -> Result<(), String> {
        match self.stranger(nodes) {
            None => Ok(()),
            Some((name, node)) => {
                let place = origins.place_where(|assignment| {
                    let number = assignment.words.first().and_then(|word| integer(word));
                    assignment.param.name == name && number == Some(node.index() as i128)
                });
                Err(match place {
                    // The line's content stays unsaid.
                    Place::Line(_) => format!("{place}: Node ID out of range"),
                    _ => format!("{place}: Node ID {node} out of range"),
                })
            }
        }
    }

    /// The first node that the settings name and that is not one of `nodes`.
    fn stranger(&self, nodes: &[NodeId]) -> Option<(&'static str, NodeId)> {
        self.named_nodes().find(|(_, node)| !nodes.contains(node))
    }
}

impl Origins {
    /// Who gave the value of that parameter that is in force, by its name in [`TABLE`].
    #[must_use]
    pub fn place_of(&self, name: &str) -> Place {
        self.place_where(|assignment| assignment.param.name == name)
    }

    /// The directives, in the order of [`TABLE`], that load arguments give: at the next load they
    /// win over the same directive in the file, whatever was written there.
    #[must_use]
    pub fn shadowed(&self) -> Vec<String> {
        let in_file = TABLE
            .iter()
            .filter(|param| param.when != When::ArgumentOnly);
        let given = |param: &&Param| self.arguments.iter().any(|a| a.param == *param);
        in_file.filter(given).map(Param::directive).collect()
    }

    /// What would hold without the file, the arguments and NUMACONFIG SET: a rewritten file must
    /// say whatever differs from it.
    pub(super) fn below_file(&self) -> Result<Config, String> {
        fold([&self.environment])
    }

    fn config(&self) -> Result<Config, String> {
        let config = fold([&self.environment, &self.file, &self.arguments, &self.set])?;
        match config.validate() {
            Ok(()) => Ok(config),
            Err(broken) => {
                let places = broken.params.map(|name| self.place_of(name));
                // A line of the file is what its author can look at and mend.
                let telling = |place: &Place| (matches!(place, Place::Line(_)), *place);
                let place = places.into_iter().max_by_key(telling);
                let place = place.unwrap_or(Place::Default);
                Err(format!("{place}: {}", broken.text))
            }
        }
    }

    fn place_where(&self, wanted: impl Fn(&Assignment) -> bool) -> Place {
        let all = [&self.set, &self.arguments, &self.file, &self.environment];
        let mut latest_first = all.into_iter().flat_map(|source| source.iter().rev());
        let found = latest_first.find(|assignment| wanted(assignment));
        found.map_or(Place::Default, |assignment| assignment.place)
    }

    /// Keeps the last words of each parameter (and node) only: a client that sets one value over
    /// and over must not fill memory.
    fn remember_set(&mut self, param: &'static Param, words: Vec<String>) {
        let key = |words: &[String]| match param.operand_count() {
            1 => None,
            _ => words.first().and_then(|node| integer(node)),
        };
        let same = |a: &Assignment| a.param == param && key(&a.words) == key(&words);
        self.set.retain(|assignment| !same(assignment));
        self.set.push(Assignment {
            place: Place::Set,
            param,
            words,
        });
    }
}

/// Applies the assignments, source after source, to the defaults.
fn fold<const N: usize>(sources: [&Vec<Assignment>; N]) -> Result<Config, String> {
    let mut config = Config::default();
    for assignment in sources.into_iter().flatten() {
        let taken = assignment.param.take(&mut config, None, &assignment.words);
        taken.map_err(|error| located(assignment.place, Some(assignment.param), &error))?;
    }
    Ok(config)
}

/// The error and its place; what a line of the file says is left out.
fn located(place: Place, param: Option<&Param>, error: &SetError) -> String {
    match (place, param) {
        (Place::Line(_), _) => format!("{place}: {}", error.reason()),
        (Place::Argument(_), Some(param)) => format!("{place} ({}): {error}", param.directive()),
        _ => format!("{place}: {error}"),
    }
}

fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Vec<Assignment> {
    let given = ENVIRONMENT.iter().filter_map(|(name, param)| {
        Some(Assignment {
            place: Place::Environment(name),
            param: Param::find(param)?,
            words: vec![variable(name)?],
        })
    });
    given.collect()
}

fn from_arguments(arguments: &[String]) -> Result<Vec<Assignment>, String> {
    let mut assignments = Vec::new();
    let mut rest = arguments;
    while let Some((name, tail)) = rest.split_first() {
        let place = Place::Argument(arguments.len() - rest.len() + 1);
        let wrong = |param, error: SetError| located(place, param, &error);
        let unknown = || wrong(None, SetError::UnknownParameter(name.clone()));
        let param = Param::find(name).ok_or_else(unknown)?;
        let (words, tail) = tail
            .split_at_checked(param.operand_count())
            .ok_or_else(|| wrong(Some(param), SetError::WordCount(param)))?;
        assignments.push(Assignment {
            place,
            param,
            words: match param.when {
                When::ArgumentOnly => absolute(words).map_err(|why| format!("{place}: {why}"))?,
                _ => words.to_vec(),
            },
        });
        rest = tail;
    }
    Ok(assignments)
}

/// Paths as they are now: the server may change its directory later, and NUMACONFIG LOAD must
/// still read the file that was named at load.
fn absolute(paths: &[String]) -> Result<Vec<String>, String> {
    let absolute = |path: &String| {
        if path.is_empty() {
            return Ok(String::new());
        }
        let path = path::absolute(path).map_err(|error| error.to_string())?;
        let text = path.into_os_string().into_string();
        text.map_err(|_| "the server's directory is not UTF-8".to_owned())
    };
    paths.iter().map(absolute).collect()
}

fn from_file(text: &str) -> Result<Vec<Assignment>, String> {
    let mut assignments = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let place = Place::Line(index + 1);
        let mut words = file::words(line).map_err(|why| format!("{place}: {why}"))?;
        if words.is_empty() {
            continue;
        }
        let name = words.remove(0);
        let param = directive(&name).map_err(|error| located(place, None, &error))?;
        assignments.push(Assignment {
            place,
            param,
            words,
        });
    }
    Ok(assignments)
}

/// The parameter of a line of the directives file.
pub(super) fn directive(name: &str) -> Result<&'static Param, SetError> {
    match Param::find(name) {
        None => Err(SetError::UnknownParameter(name.to_owned())),
        Some(param) if param.when == When::ArgumentOnly => Err(SetError::ArgumentOnly(param)),
        Some(param) => Ok(param),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::simulate;
    use super::*;
    use crate::config::kind::Kind;
    use proptest::prelude::*;
    use proptest::sample;

    pub(in crate::config) fn nodes() -> Vec<NodeId> {
        (0..3).filter_map(NodeId::new).collect()
    }

    pub(in crate::config) fn nobody(_: &str) -> Option<String> {
        None
    }

    /// Load arguments made of the words of lines.
    pub(in crate::config) fn arguments(lines: &[String]) -> Vec<String> {
        lines
            .iter()
            .flat_map(|line| file::words(line).unwrap())
            .collect()
    }

    fn loaded(line: &str, text: &str) -> Result<(Config, Origins), String> {
        Config::resolve(&nobody, &arguments(&[line.to_owned()]), &|_| {
            Ok(text.to_owned())
        })
    }

    pub(in crate::config) fn from_file(text: &str) -> Result<(Config, Origins), String> {
        loaded("numa-config-file /numa.conf", text)
    }

    /// A good text for the parameter, over the whole of its bounds.
    pub(in crate::config) fn operands(param: &Param) -> BoxedStrategy<String> {
        let node = || 0usize..64;
        match (param.name, param.kind) {
            (_, Kind::Switch(..)) => {
                let words = ["yes", "no", "on", "off", "enabled", "disabled", "1", "0"];
                sample::select(words.to_vec())
                    .prop_map(str::to_owned)
                    .boxed()
            }
            (_, Kind::Count(_, min, max)) => (min..=max).prop_map(|n| n.to_string()).boxed(),
            (_, Kind::Memory(_, min, max)) => (min.0..=max.0).prop_map(|n| n.to_string()).boxed(),
            (_, Kind::Fraction(_, min, max)) => (min..=max).prop_map(|n| n.to_string()).boxed(),
            (_, Kind::Policy) => {
                let names = crate::config::PolicyName::ALL.map(|policy| policy.name().to_owned());
                sample::select(names.to_vec()).boxed()
            }
            (_, Kind::NodeWeight) => (node(), 0..=1000)
                .prop_map(|(n, w)| format!("{n} {w}"))
                .boxed(),
            (_, Kind::NodeLimit) => (node(), any::<u64>())
                .prop_map(|(n, limit)| format!("{n} {limit}"))
                .boxed(),
            ("default_node", _) => (-1i32..64).prop_map(|n| n.to_string()).boxed(),
            ("home_node", _) => {
                let fixed = node().prop_map(|n| n.to_string());
                prop_oneof![Just("auto".to_owned()), fixed].boxed()
            }
            ("simulate", _) => simulate::tests::machines()
                .prop_map(|nodes| match simulate::text(&nodes) {
                    text if text.is_empty() => "\"\"".to_owned(),
                    text => text,
                })
                .boxed(),
            ("config_file" | "state_file", _) => "/[a-z]{1,9}".boxed(),
            _ => Just(param.default_text()).boxed(),
        }
    }

    /// Lines of good directives that agree with each other.
    pub(in crate::config) fn settings() -> impl Strategy<Value = Vec<String>> {
        let in_file = TABLE
            .iter()
            .filter(|param| param.when != When::ArgumentOnly);
        let line = sample::select(in_file.collect::<Vec<_>>()).prop_flat_map(|param| {
            operands(param).prop_map(|words| format!("{} {words}", param.directive()))
        });
        proptest::collection::vec(line, 0..12).prop_filter("relations", |lines| {
            Config::resolve(&nobody, &arguments(lines), &|_| Err("unread".to_owned())).is_ok()
        })
    }

    #[test]
    fn a_higher_source_wins_and_the_rest_stays() {
        let environment = |name: &str| match name {
            "NUMA_DEBUG" => Some("yes".to_owned()),
            "NUMA_DEFAULT_NODE" => Some("1".to_owned()),
            "NUMA_ENABLED" => Some("no".to_owned()),
            _ => None,
        };
        let text = "numa-default-node 2\nnuma-enabled yes\nnuma-cpu-share 5\n";
        let given = "numa-config-file /numa.conf numa-enabled no tick_budget 700".to_owned();
        let (mut config, mut origins) =
            Config::resolve(&environment, &arguments(&[given]), &|_| Ok(text.to_owned())).unwrap();
        config
            .set(&mut origins, &nodes(), "tick_budget", &["800"])
            .unwrap();
        let facts = [
            ("debug", "yes", Place::Environment("NUMA_DEBUG")),
            ("default_node", "2", Place::Line(1)),
            ("cpu_share", "5", Place::Line(3)),
            ("enabled", "no", Place::Argument(3)),
            ("tick_budget", "800", Place::Set),
            ("migrate_rate", "256mb", Place::Default),
        ];
        for (name, text, place) in facts {
            let param = Param::find(name).unwrap();
            assert_eq!(param.text(&config), text, "{name}");
            assert_eq!(origins.place_of(name), place, "{name}");
        }
        assert_eq!(origins.shadowed(), ["numa-enabled", "numa-tick-budget"]);
    }

    #[test]
    fn the_last_of_two_lines_wins_and_nodes_are_apart() {
        let text = "numa-cpu-share 5\nnuma-cpu-share 7\nnuma-node-weight 1 5\n\
                    numa-node-weight 2 6\nnuma-node-weight 1 9\n";
        let (config, _) = from_file(text).unwrap();
        assert_eq!(config.cpu_share_percent, 7);
        let weights: Vec<_> = config
            .node_weights
            .iter()
            .map(|(n, w)| (n.index(), *w))
            .collect();
        assert_eq!(weights, [(1, 9), (2, 6)]);
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all_and_its_content_stays_unsaid() {
        let cases = [
            ("numa-debug yes\nsecret 1\n", "line 2: unknown directive"),
            (
                "\n\nnuma-debug secret",
                "line 3: numa-debug must be yes or no",
            ),
            ("numa-debug", "line 1: numa-debug takes <value>"),
            ("numa-debug yes secret", "line 1: numa-debug takes <value>"),
            ("numa-debug \"secret", "line 1: unbalanced quotes"),
            (
                "numa-default-strategy secret",
                "line 1: Unknown strategy name",
            ),
            ("numa-node-weight 77 5", "line 1: Node ID out of range"),
            (
                "numa-node-limit 1 secret",
                "line 1: numa-node-limit must be",
            ),
            (
                "numa-config-file secret",
                "line 1: numa-config-file can only be a load argument",
            ),
            (
                "numa-transparent-types stream",
                "line 1: numa-transparent-types must be none, all, or a list",
            ),
            (
                "numa-watermark-low 97",
                "line 1: watermark_low must be below watermark_high",
            ),
            ("\0\u{1}secret", "line 1: the line holds a NUL byte"),
        ];
        for (text, reason) in cases {
            let error = from_file(text).unwrap_err();
            assert!(error.starts_with("directives file "), "{error}");
            assert!(error.contains(reason), "{error} lacks {reason}");
            assert!(
                !error.contains("secret") && !error.contains("77"),
                "{error}"
            );
            assert!(!error.contains("97"), "{error}");
        }
    }

    #[test]
    fn bad_load_arguments_are_named() {
        let cases = [
            (
                "numa-debug yes numa-nothing 1",
                "load argument 3: Unknown parameter: numa-nothing",
            ),
            (
                "numa-tick-budget 5",
                "load argument 1 (numa-tick-budget): tick_budget must be between 10 and 10000",
            ),
            (
                "numa-node-weight 1",
                "load argument 1 (numa-node-weight): node_weight takes <node> <weight>",
            ),
            (
                "numa-simulate 0:1gb",
                "load argument 1 (numa-simulate): simulate must be",
            ),
            (
                "numa-tick-budget 5000 numa-tick-interval 2",
                "load argument 3: tick_budget must fit",
            ),
        ];
        for (line, reason) in cases {
            let error = loaded(line, "").unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
        let error = loaded("numa-config-file /none", "").map(|_| ());
        assert_eq!(error, Ok(()));
        let unreadable = |path: &Path| Err(format!("{}: gone", path.display()));
        let given = arguments(&["numa-config-file /none".to_owned()]);
        assert_eq!(
            Config::resolve(&nobody, &given, &unreadable).unwrap_err(),
            "/none: gone"
        );
    }

    #[test]
    fn a_bad_environment_is_an_error_and_not_a_default() {
        let environment = |name: &str| (name == "NUMA_DEBUG").then(|| "perhaps".to_owned());
        let error = Config::resolve(&environment, &[], &|_| Ok(String::new())).unwrap_err();
        assert_eq!(
            error,
            "environment NUMA_DEBUG: debug must be yes or no, got 'perhaps'"
        );
    }

    #[test]
    fn a_relative_file_is_pinned_at_load() {
        let (config, origins) = loaded("numa-config-file numa.conf", "").unwrap();
        let path = config.config_file.clone().unwrap();
        assert!(path.is_absolute());
        let read = |asked: &Path| match asked == path {
            true => Ok("numa-debug yes".to_owned()),
            false => Err("another file".to_owned()),
        };
        let (again, _) = config.reload(&origins, &nodes(), &read).unwrap();
        assert!(again.debug);
        assert_eq!(again.config_file, config.config_file);
    }

    #[test]
    fn a_file_read_again_stays_below_arguments_and_set() {
        let old = "numa-cpu-share 5\nnuma-migrate-rate 1gb\nnuma-tick-budget 500\nnuma-debug yes";
        let (mut config, mut origins) =
            loaded("numa-config-file /numa.conf numa-tick-budget 600", old).unwrap();
        config
            .set(&mut origins, &nodes(), "cpu_share", &["6"])
            .unwrap();
        let new = |_: &Path| {
            Ok("numa-cpu-share 9\nnuma-migrate-rate 2gb\nnuma-tick-budget 900".to_owned())
        };
        let (config, _) = config.reload(&origins, &nodes(), &new).unwrap();
        assert_eq!(config.cpu_share_percent, 6, "SET wins");
        assert_eq!(
            config.migrate_rate,
            crate::ids::Bytes(2 << 30),
            "the file's new value"
        );
        assert_eq!(config.tick_budget_us, 600, "the argument wins");
        assert!(!config.debug, "the line is gone, the default is back");
    }

    #[test]
    fn a_file_read_again_changes_nothing_that_is_fixed_at_load() {
        let (config, origins) = from_file("numa-debug yes").unwrap();
        let cases = [
            (
                "numa-admin-commands no",
                "line 1: numa-admin-commands can only change when",
            ),
            ("\nnuma-default-node 7", "line 2: Node ID out of range"),
            ("numa-home-node 3", "line 1: Node ID out of range"),
        ];
        for (text, reason) in cases {
            let error = config
                .reload(&origins, &nodes(), &|_| Ok(text.to_owned()))
                .unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let same = config.reload(&origins, &nodes(), &|_| Ok("numa-debug yes".to_owned()));
        assert_eq!(same.unwrap(), (config, origins));
        let (config, origins) = loaded("", "").unwrap();
        let error = config
            .reload(&origins, &nodes(), &|_| Ok(String::new()))
            .unwrap_err();
        assert!(error.contains("numa-config-file"), "{error}");
    }

    #[test]
    fn the_exact_errors_of_numaconfig_set() {
        let cases: [(&str, &[&str], &str); 18] = [
            ("nonsense", &["1"], "Unknown parameter: nonsense"),
            ("nodes", &["1"], "Unknown parameter: nodes"),
            ("strategy", &["best"], "Unknown strategy name: best"),
            ("policy", &["a\r\nb"], "Unknown strategy name: a??b"),
            (
                "balance_threshold",
                &["101"],
                "Balance threshold must be between 0 and 100",
            ),
            (
                "balance_threshold",
                &["-1"],
                "Balance threshold must be between 0 and 100",
            ),
            (
                "balance_threshold",
                &["x"],
                "Balance threshold must be between 0 and 100",
            ),
            ("weight", &["x", "5"], "Invalid node ID"),
            ("weight", &["0", "x"], "Invalid weight"),
            ("weight", &["3", "5"], "Node ID 3 out of range"),
            ("weight", &["-1", "5"], "Node ID -1 out of range"),
            (
                "weight",
                &["0", "1001"],
                "Weight must be between 0 and 1000",
            ),
            ("weight", &["0", "-1"], "Weight must be between 0 and 1000"),
            ("weight", &["0"], "node_weight takes <node> <weight>"),
            ("default_node", &["9"], "Node ID 9 out of range"),
            (
                "tick_budget",
                &["9"],
                "tick_budget must be between 10 and 10000 (us), got '9'",
            ),
            (
                "simulate",
                &[""],
                "simulate can only be set when the module is loaded (numa-simulate)",
            ),
            (
                "transparent_types",
                &["stream"],
                "transparent_types must be none, all, or a list of string,list,set,zset,hash, \
                 got 'stream'",
            ),
        ];
        let (mut config, mut origins) = loaded("", "").unwrap();
        for (name, words, text) in cases {
            let error = config.set(&mut origins, &nodes(), name, words).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let error = config
            .set(&mut origins, &nodes(), "watermark_high", &["90"])
            .unwrap_err();
        let text = "watermark_low must be below watermark_high (90, 90)";
        assert_eq!(error.to_string(), text);
        assert_eq!(
            (config, origins),
            loaded("", "").unwrap(),
            "nothing has changed"
        );
    }

    #[test]
    fn setting_one_value_over_and_over_keeps_one_record() {
        let (mut config, mut origins) = loaded("", "").unwrap();
        for turn in 0..100 {
            let node = format!("{:0>1$}", 1, 1 + turn % 7);
            config
                .set(&mut origins, &nodes(), "weight", &[node, turn.to_string()])
                .unwrap();
            config
                .set(&mut origins, &nodes(), "weight", &["2", "5"])
                .unwrap();
            config
                .set(&mut origins, &nodes(), "cpu_share", &["5"])
                .unwrap();
        }
        assert_eq!(origins.set.len(), 3);
    }

    #[test]
    fn nodes_that_the_machine_lacks_are_found_after_the_load() {
        let (config, origins) = loaded("numa-node-limit 5 1gb", "").unwrap();
        let error = config.check_nodes(&nodes(), &origins).unwrap_err();
        assert_eq!(error, "load argument 1: Node ID 5 out of range");
        let (config, origins) = from_file("numa-debug no\nnuma-node-weight 05 10").unwrap();
        let error = config.check_nodes(&nodes(), &origins).unwrap_err();
        assert_eq!(error, "directives file line 2: Node ID out of range");
    }

    proptest! {
        #[test]
        fn every_parameter_round_trips(
            (param, words) in sample::select(TABLE.iter().collect::<Vec<_>>())
                .prop_flat_map(|param| (Just(param), operands(param)))
        ) {
            let mut config = Config::default();
            let words = file::words(&words).unwrap();
            param.take(&mut config, None, &words).unwrap();
            let mut again = Config::default();
            for words in param.kind.words(&config) {
                param.take(&mut again, None, &words).unwrap();
            }
            prop_assert_eq!(again, config);
        }

        #[test]
        fn sources_of_the_same_lines_agree(lines in settings()) {
            let (by_file, _) = from_file(&lines.join("\r\n")).unwrap();
            let (by_arguments, _) = Config::resolve(&nobody, &arguments(&lines), &|_| {
                Err("unread".to_owned())
            })
            .unwrap();
            prop_assert_eq!(Config { config_file: None, ..by_file }, by_arguments);
        }

        #[test]
        fn junk_is_refused_without_harm(
            text in any::<String>(),
            name in "[a-zA-Z_-]{0,30}",
            words in proptest::collection::vec(any::<String>(), 0..4),
        ) {
            let _ = from_file(&text);
            let _ = Config::resolve(&nobody, &words, &|_| Ok(text.clone()));
            let (mut config, mut origins) = loaded("", "").unwrap();
            for name in TABLE.iter().map(|param| param.name).chain([name.as_str()]) {
                if let Err(error) = config.set(&mut origins, &nodes(), name, &words) {
                    prop_assert!(!error.to_string().contains(['\r', '\n', '\0']));
                }
                prop_assert_eq!(config.validate(), Ok(()));
            }
        }
    }
}
