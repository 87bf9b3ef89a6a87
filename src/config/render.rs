//! From a [`Config`] back to the text of a directives file, for NUMACONFIG REWRITE.
//!
//! As CONFIG REWRITE does: the file stays its author's. Comments, blank lines and the order stay;
//! a line that already says the running value stays as it was typed (`256mb`, not `268435456`); a
//! line whose value has changed is replaced in place; further lines of the same directive go, as
//! the last one won and one is enough; what the file must say and does not is appended. Lines that
//! are no directives of ours go too, since the file would not load with them. The law, tested:
//!
//! ```text
//! resolve(environment, render_file(any text, config, origins)) == config, but for config_file
//! ```

use super::file;
use super::resolve::{directive, Origins};
use super::table::{Param, When, TABLE};
use super::value::integer;
use super::Config;
use std::collections::BTreeMap;

/// Stands above what was appended, once.
const HEADING: &str = "# Written by NUMACONFIG REWRITE";

/// What one line of the file sets: a parameter by its rank in [`TABLE`], and the node's number for
/// those with a value for each.
type Key = (usize, Option<i128>);

/// The text of a directives file that gives `config`, made from the file's `old` text.
///
/// # Errors
/// The environment gives no configuration, which cannot be once it was resolved.
pub fn render_file(old: &str, config: &Config, origins: &Origins) -> Result<String, String> {
    let below = wanted(&origins.below_file()?);
    let mut pending = wanted(config);
    let mut text = String::with_capacity(old.len());
    for line in old.split_terminator('\n') {
        let Ok(words) = file::words(line) else {
            continue;
        };
        if words.is_empty() {
            push_line(&mut text, line);
        } else if let Some(line) = kept(line, &words, config, &mut pending) {
            push_line(&mut text, &line);
        }
    }
    pending.retain(|key, line| below.get(key) != Some(line));
    append(&mut text, pending);
    Ok(text)
}

/// The line that says what `line` was for, as it was where it still holds; nothing where it is no
/// directive, has been said already, or is not wanted any more.
fn kept(
    line: &str,
    words: &[String],
    config: &Config,
    pending: &mut BTreeMap<Key, String>,
) -> Option<String> {
    let (name, operands) = words.split_first()?;
    let param = directive(name).ok()?;
    let wanted = pending.remove(&key(param, operands))?;
    let mut same = config.clone();
    let taken = param.take(&mut same, None, operands);
    if taken.is_ok() && same == *config {
        Some(line.to_owned())
    } else {
        Some(wanted)
    }
}

/// Every line that `config` amounts to.
fn wanted(config: &Config) -> BTreeMap<Key, String> {
    let mut lines = BTreeMap::new();
    for param in TABLE
        .iter()
        .filter(|param| param.when != When::ArgumentOnly)
    {
        for words in param.kind.words(config) {
            let line = format!("{} {}", param.directive(), quoted(&words));
            lines.insert(key(param, &words), line);
        }
    }
    lines
}

fn key(param: &Param, words: &[String]) -> Key {
    let rank = TABLE.iter().position(|row| row == param);
    let node = match param.operand_count() {
        1 => None,
        _ => words.first().and_then(|node| integer(node)),
    };
    (rank.unwrap_or(TABLE.len()), node)
}

/// The words as [`file::words`] reads them back. No value holds a quote or a blank; only an empty
/// one needs its quotes.
fn quoted(words: &[String]) -> String {
    let quoted = |word: &String| match word.as_str() {
        "" => "\"\"".to_owned(),
        word => word.to_owned(),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn append(text: &mut String, lines: BTreeMap<Key, String>) {
    if lines.is_empty() {
        return;
    }
    if !text.lines().any(|line| line == HEADING) {
        push_line(text, HEADING);
    }
    for line in lines.values() {
        push_line(text, line);
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::resolve::tests::{arguments, from_file, nobody, nodes, settings};
    use super::*;
    use proptest::prelude::*;

    fn rendered(old: &str, changes: &[(&str, &[&str])]) -> String {
        let (mut config, mut origins) = from_file("").unwrap();
        for (name, words) in changes {
            config.set(&mut origins, &nodes(), name, words).unwrap();
        }
        render_file(old, &config, &origins).unwrap()
    }

    #[test]
    fn nothing_is_written_where_nothing_differs() {
        assert_eq!(rendered("", &[]), "");
    }

    #[test]
    fn comments_order_and_typed_forms_stay() {
        let old = "# mine\r\n\nnuma-migrate-rate 512mb  \n# more\nNUMA_debug on\n";
        let changes: [(&str, &[&str]); 2] = [("migrate_rate", &["536870912"]), ("debug", &["1"])];
        assert_eq!(rendered(old, &changes), old);
    }

    #[test]
    fn a_changed_line_is_replaced_where_it_stands() {
        let old = "numa-debug yes\n# end\n";
        assert_eq!(rendered(old, &[]), "numa-debug no\n# end\n");
        let old = "numa-cpu-share 3\n# a\nnuma-cpu-share 4\n";
        let new = rendered(old, &[("cpu_share", &["4"])]);
        assert_eq!(new, "numa-cpu-share 4\n# a\n");
    }

    #[test]
    fn what_is_missing_is_appended_under_one_heading() {
        let once = rendered("# a", &[("weight", &["1", "7"]), ("tick_budget", &["900"])]);
        let expected = format!("# a\n{HEADING}\nnuma-node-weight 1 7\nnuma-tick-budget 900\n");
        assert_eq!(once, expected);
        let more: [(&str, &[&str]); 3] = [
            ("weight", &["1", "7"]),
            ("tick_budget", &["900"]),
            ("debug", &["yes"]),
        ];
        assert_eq!(rendered(&once, &more), format!("{once}numa-debug yes\n"));
    }

    #[test]
    fn a_limit_taken_away_takes_its_line_away() {
        let old = "numa-node-limit 01 4gb\nnuma-node-limit 2 1g\n";
        let new = rendered(old, &[("limit", &["2", "1000000000"])]);
        assert_eq!(new, "numa-node-limit 2 1g\n");
    }

    #[test]
    fn lines_that_would_not_load_are_left_out() {
        let old = "# a\nnuma-nothing 1\nnuma-config-file /x\nnuma-debug \"yes\n# b\0c\n# d\n";
        assert_eq!(rendered(old, &[]), "# a\n# d\n");
    }

    #[test]
    fn a_default_is_written_where_the_environment_says_otherwise() {
        let environment = |name: &str| (name == "NUMA_DEBUG").then(|| "yes".to_owned());
        let unread = |_: &std::path::Path| Err("unread".to_owned());
        let (mut config, mut origins) = Config::resolve(&environment, &[], &unread).unwrap();
        config
            .set(&mut origins, &nodes(), "debug", &["no"])
            .unwrap();
        let text = render_file("", &config, &origins).unwrap();
        assert!(text.ends_with("numa-debug no\n"), "{text}");
    }

    proptest! {
        #[test]
        fn a_rendered_file_gives_the_same_configuration(
            before in settings(),
            after in settings(),
            junk in "[a-z#\\\"' \n\0-]{0,80}",
        ) {
            let old = format!("{junk}\n{}", before.join("\n"));
            let (config, origins) = Config::resolve(&nobody, &arguments(&after), &|_| {
                Err("unread".to_owned())
            })
            .unwrap();
            let text = render_file(&old, &config, &origins).unwrap();
            let (again, origins) = from_file(&text).unwrap();
            prop_assert_eq!(&Config { config_file: config.config_file.clone(), ..again }, &config);
            prop_assert_eq!(render_file(&text, &config, &origins).unwrap(), text);
        }
    }
}
