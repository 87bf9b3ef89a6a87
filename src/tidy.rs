//! The habits of this tree, checked. Compiled for tests only.
//!
//! Each check is a function from a file's text to its complaints, so that a test can hand it a bad
//! sample (`samples`) and see it complain; one more test a check hands it the tree and expects
//! silence. Reading is done on blanked text (`text`). A real parser was rejected: these few rules
//! need only words and braces, and a parser is a dependency with opinions of its own.

mod samples;
mod text;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use text::{blank, end_of_braces, is_word, line_of, without_tests, words};

const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
const README_LINES_MAX: usize = 60;

/// Functions that may be longer, as `file::function`, each with its reason beside it.
const LONG_FUNCTIONS: &[&str] = &[];

/// The floors, lowest first. A file imports only from lower floors and from its own module; on the
/// ground floor the three help each other.
const FLOORS: &[&[&str]] = &[
    &["ids", "config", "machine"],
    &["heat", "placement", "pool"],
    &["value"],
    &["migrate"],
    &["strategy"],
    &["redis"],
    &["command"],
    &["lib"],
];

/// Where the server's API may be named: one floor, and the wiring.
const NAMES_REDIS: &[&str] = &["redis", "lib"];

/// The files that may say `unsafe`.
const UNSAFE_FILES: &[&str] = &[
    "machine/mod.rs", // one impl: a mapping may go to another thread
    "machine/linux.rs",
    "machine/simulated.rs",
    "pool/arena.rs",  // a prefetch
    "pool/faults.rs", // tests' allocator: the system's, until it refuses
    "pool/remote_free.rs",
    "pool/handle.rs",
    "value/blocks.rs",
    "value/raw.rs",
    "value/double.rs",     // reading and writing numbers as the C library does
    "value/link.rs",       // from eight bytes back to a block
    "value/table/big.rs",  // links of a directory
    "value/table/text.rs", // links of long texts
    "value/longdouble.rs",
    "redis/allocator.rs",
    "redis/callbacks.rs",
    "redis/charge.rs",
    "redis/main_cell.rs",    // one impl: the cell lets the main thread in alone
    "redis/native/arena.rs", // hooks that jemalloc calls
    "redis/native/batch.rs", // one impl: a copy waits in a cell of the main thread
    "redis/native/commands.rs", // rows of its command table
    "redis/native/internals.rs", // the server's own functions and objects
    "redis/native/jemalloc.rs", // its control functions
    "redis/plugin/factory.rs", // what another module hands in, and its functions
    "redis/plugin/foreign.rs", // its plans
    "redis/plugin/hold.rs",  // the loader's count of its library
    "redis/plugin/lent.rs",  // what it may ask while it runs
    "redis/plugin/mod.rs",   // the two functions it calls
    "redis/raw/args.rs",
    "redis/raw/arity.rs",
    "redis/raw/block.rs",
    "redis/raw/call.rs",
    "redis/raw/context.rs",
    "redis/raw/direct.rs", // a function of the server's own, and the clients it hands on
    "redis/raw/filter.rs",
    "redis/raw/inside.rs", // functions and shapes of the server's own
    "redis/raw/io.rs",
    "redis/raw/key.rs",
    "redis/raw/mod.rs",
    "redis/raw/native.rs",
    "redis/raw/report.rs",
    "redis/raw/resp.rs",
    "redis/raw/scan.rs",
    "redis/raw/sds.rs", // the length in front of a string's bytes
    "redis/raw/setup.rs",
    "redis/raw/text.rs",
    "redis/raw/verbatim.rs", // a function and a counter of the server's own
    "redis/reach.rs",        // one borrow of a scanned value
    "redis/quick.rs",        // a value that is met without a handle
    "redis/numa_key.rs",     // where a value's pointer changes hands
    "redis/numa_type.rs",    // what a type's callbacks borrow and free
    "redis/types.rs",        // the same where the type is known by the server's handle alone
    "lib.rs",                // the context of the load
];

/// What may lie at the root. Whatever else comes finds its home under src/ or module-tests/.
const ROOT_NAMES: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".git",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "build.rs",
    "module-tests",
    "redis-6.2.conf",
    "src",
    "target",
];

/// The six crates that the project's owner named, each with a word that only real use writes.
const NAMED_CRATES: &[(&str, &str)] = &[
    ("redis-module", "redis_module::"),
    ("libc", "libc::"),
    ("numa_maps", "numa_maps::"),
    ("once_cell", "once_cell::"),
    ("lazy_static", "lazy_static!"),
    ("cc", "cc::Build"),
];

// ---- reading -----------------------------------------------------------------------------------

/// A source file: its path under src/, its text, the text without comments and literals, and
/// whether the whole file is compiled for tests only.
struct Source {
    path: String,
    text: String,
    code: String,
    tests_only: bool,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
            tests_only: false,
        }
    }

    /// Its code without what is compiled for tests only.
    fn shipped(&self) -> String {
        if self.tests_only {
            String::new()
        } else {
            without_tests(&self.code)
        }
    }

    /// The files that this one declares as `#[cfg(test)] mod x;`, whatever attributes lie between.
    fn test_files(&self) -> Vec<String> {
        let dir = match self.path.rsplit_once('/') {
            Some((dir, "mod.rs")) => format!("{dir}/"),
            Some((dir, file)) => format!("{dir}/{}/", file.trim_end_matches(".rs")),
            None if self.path == "lib.rs" => String::new(),
            None => format!("{}/", self.path.trim_end_matches(".rs")),
        };
        let item = |part: &&str| {
            let end = end_of_braces(part, 0);
            let name = part[..end]
                .strip_suffix(';')?
                .trim_end()
                .rsplit(' ')
                .next()?;
            let is_mod = !words(&part[..end], "mod").is_empty();
            is_mod.then(|| format!("{dir}{name}"))
        };
        self.code
            .split("#[cfg(test)]")
            .skip(1)
            .filter_map(|part| item(&part))
            .collect()
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with that extension, in order; hidden and built ones left out.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every source of the tree.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: &PathBuf| {
        let name = path
            .strip_prefix(&src)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        Source::new(&name, &fs::read_to_string(path).unwrap())
    };
    let mut sources: Vec<Source> = files(&src, "rs").iter().map(read).collect();
    let tests: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in &mut sources {
        let below = |test: &String| {
            source
                .path
                .strip_prefix(test.as_str())
                .is_some_and(|rest| rest.starts_with(['.', '/']))
        };
        source.tests_only = tests.iter().any(below);
    }
    sources
}

// ---- floors ------------------------------------------------------------------------------------

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The top module of a file under src/: `pool/slab.rs` is `pool`, `ids.rs` is `ids`.
fn module_of(path: &str) -> &str {
    path.split('/')
        .next()
        .unwrap_or(path)
        .trim_end_matches(".rs")
}

/// The modules named right after a path's start: `x::..` names x, `{x::.., y}` names x and y.
fn heads(rest: &str) -> Vec<String> {
    let ident = |text: &str| text.chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = rest.trim_start().strip_prefix('{') else {
        return vec![ident(rest.trim_start())];
    };
    let (mut depth, mut found, mut wanted) = (0usize, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => wanted = true,
            _ if wanted && is_word(c) => {
                found.push(ident(&group[at..]));
                wanted = false;
            }
            _ => {}
        }
    }
    found
}

/// How many modules a file lies below the crate's root: `pool/slab.rs` two, `pool/mod.rs` one.
fn depth_of(path: &str) -> usize {
    let parts = path
        .trim_end_matches(".rs")
        .split('/')
        .filter(|part| *part != "mod");
    parts.filter(|part| *part != "lib").count()
}

/// Every top module that shipped code names, with its line: by `crate::`, or by a chain of
/// `super::` that climbs to the root.
fn imports(path: &str, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate") {
        if let Some(rest) = code[at + "crate".len()..].trim_start().strip_prefix("::") {
            found.extend(
                heads(rest)
                    .into_iter()
                    .map(|head| (line_of(code, at), head)),
            );
        }
    }
    let climb = "super::".repeat(depth_of(path).max(1));
    for (at, _) in code.match_indices(&climb) {
        let rest = &code[at + climb.len()..];
        if !code[..at].ends_with([':', '_']) && !rest.starts_with("super") && depth_of(path) > 0 {
            // In a module within the file the same chain ends lower: only floors count.
            let floors = heads(rest)
                .into_iter()
                .filter(|head| floor_of(head).is_some());
            found.extend(floors.map(|head| (line_of(code, at), head)));
        }
    }
    found
}

fn check_floors(source: &Source) -> Vec<String> {
    let own = module_of(&source.path);
    if own == "lib" || own == "tidy" {
        return Vec::new();
    }
    let Some(floor) = floor_of(own) else {
        return vec![source.complain(1, &format!("{own} stands on no floor"))];
    };
    let judge = |(line, head): (usize, String)| match floor_of(&head) {
        _ if head == own => None,
        Some(other) if other < floor || (other == floor && floor == 0) => None,
        Some(_) => Some(source.complain(line, &format!("{own} reaches for {head}, not below it"))),
        // Macros and items of the root: nothing but the wiring may live there.
        None => Some(source.complain(line, &format!("{own} reaches for {head}, on no floor"))),
    };
    imports(&source.path, &source.shipped())
        .into_iter()
        .filter_map(judge)
        .collect()
}

fn check_names_redis(source: &Source) -> Vec<String> {
    if NAMES_REDIS.contains(&module_of(&source.path)) {
        return Vec::new();
    }
    let code = &source.code;
    let complain = |at| source.complain(line_of(code, at), "only the redis floor names the server");
    words(code, "redis_module")
        .into_iter()
        .map(complain)
        .collect()
}

// ---- unsafe ------------------------------------------------------------------------------------

/// Whether an `unsafe` is the type of a function pointer: there is nothing to promise there.
fn is_fn_type(rest: &str) -> bool {
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("extern").unwrap_or(rest).trim_start();
    rest.strip_prefix("fn")
        .is_some_and(|rest| rest.trim_start().starts_with('('))
}

/// Whether a safety comment stands on the line or above the statement that the line belongs to.
fn has_safety(source: &Source, line: usize) -> bool {
    let text: Vec<&str> = source.text.lines().collect();
    let code: Vec<&str> = source.code.lines().collect();
    let says = |line: &str| line.contains("SAFETY:") || line.contains("# Safety");
    let mut at = line - 1;
    if says(text[at]) {
        return true;
    }
    // Up over the rest of the statement and its attributes ...
    while at > 0 && !code[at - 1].trim().is_empty() && !ends_statement(code[at - 1].trim()) {
        at -= 1;
    }
    // ... and through the comment above it.
    while at > 0 && code[at - 1].trim().is_empty() && !text[at - 1].trim().is_empty() {
        at -= 1;
        if says(text[at]) {
            return true;
        }
    }
    false
}

fn ends_statement(code: &str) -> bool {
    code.ends_with([';', '{', '}'])
}

fn check_unsafe(source: &Source) -> Vec<String> {
    let code = &source.code;
    let uses = words(code, "unsafe").into_iter();
    let mut complaints = Vec::new();
    for at in uses.filter(|at| !is_fn_type(&code[at + "unsafe".len()..])) {
        let line = line_of(code, at);
        if !UNSAFE_FILES.contains(&source.path.as_str()) {
            complaints.push(source.complain(line, "this file may not say unsafe"));
        } else if !has_safety(source, line) {
            complaints.push(source.complain(line, "unsafe without a safety comment"));
        }
    }
    complaints
}

// ---- functions, lines, words -------------------------------------------------------------------

/// Each function with a body: its name, its first line, how many lines it has.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let rest = code[at + "fn".len()..].trim_start();
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            continue; // the type of a function pointer
        }
        let end = end_of_braces(code, at);
        let (first, last) = (line_of(code, at), line_of(code, end));
        found.push((name, first, last - first + 1));
    }
    found
}

fn check_functions(source: &Source) -> Vec<String> {
    let long = functions(&source.code)
        .into_iter()
        .filter(|(name, _, lines)| {
            *lines > FUNCTION_LINES_MAX
                && !LONG_FUNCTIONS.contains(&format!("{}::{name}", source.path).as_str())
        });
    long.map(|(name, line, lines)| source.complain(line, &format!("{name} has {lines} lines")))
        .collect()
}

fn check_lines(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        if line.chars().count() > COLUMNS_MAX {
            complaints.push(source.complain(number + 1, "over 100 columns"));
        }
        if !line.is_ascii() {
            complaints.push(source.complain(number + 1, "not ASCII"));
        }
    }
    complaints
}

/// Words that say a thing is not finished (anywhere), and macros that write to nobody (in code).
fn check_words(source: &Source) -> Vec<String> {
    let unfinished = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let mut complaints = Vec::new();
    for word in unfinished {
        let found = words(&source.text, word).into_iter();
        complaints.extend(found.map(|at| source.complain(line_of(&source.text, at), word)));
    }
    for word in [
        "dbg",
        "print",
        "println",
        "eprint",
        "eprintln",
        "todo",
        "unimplemented",
    ] {
        // What only tests compile may show its figures.
        let code = if word.contains("print") {
            source.shipped()
        } else {
            source.code.clone()
        };
        let found = words(&code, word).into_iter();
        let macros = found.filter(|at| code[at + word.len()..].starts_with('!'));
        complaints.extend(macros.map(|at| source.complain(line_of(&code, at), word)));
    }
    complaints
}

// ---- the tree around src -----------------------------------------------------------------------

/// Names that git ignores by suffix (`*.rdb`): a server started at the root may leave them.
fn ignored_suffixes(gitignore: &str) -> Vec<&str> {
    gitignore
        .lines()
        .filter_map(|line| line.strip_prefix('*'))
        .collect()
}

fn check_root(names: &[String], gitignore: &str) -> Vec<String> {
    let suffixes = ignored_suffixes(gitignore);
    let known = |name: &&String| {
        !ROOT_NAMES.contains(&name.as_str()) && !suffixes.iter().any(|s| name.ends_with(s))
    };
    names
        .iter()
        .filter(known)
        .map(|name| format!("{name} has no home at the root"))
        .collect()
}

fn check_run_list(list: &str, units: &[String]) -> Vec<String> {
    let first = |line: &str| {
        line.split('#')
            .next()?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    };
    let listed: BTreeSet<String> = list.lines().filter_map(first).collect();
    let there: BTreeSet<String> = units.iter().cloned().collect();
    let never = there
        .difference(&listed)
        .map(|unit| format!("{unit}.tcl is in no run list"));
    let gone = listed
        .difference(&there)
        .map(|unit| format!("{unit} is listed and has no file"));
    never.chain(gone).collect()
}

/// Whether Cargo.toml names the crate as a dependency, and shipped code uses it.
fn check_crates(cargo: &str, shipped: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, word) in NAMED_CRATES {
        let names = |line: &str| {
            line.split('=')
                .next()
                .is_some_and(|head| head.trim() == *name)
        };
        if !cargo.lines().any(names) {
            complaints.push(format!("Cargo.toml does not name {name}"));
        }
        if !shipped.contains(word) {
            complaints.push(format!("nothing uses {name}"));
        }
    }
    complaints
}

fn check_markdown(name: &str, text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut headings = 0;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        headings += usize::from(!fenced && line.starts_with("# "));
    }
    if headings == 1 {
        Vec::new()
    } else {
        vec![format!("{name} has {headings} h1, not one")]
    }
}

/// The map of src: short, and every floor on it.
fn check_map(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if text.lines().count() >= README_LINES_MAX {
        complaints.push(format!(
            "src/README.md has {README_LINES_MAX} lines or more"
        ));
    }
    for module in FLOORS.iter().copied().flatten() {
        if words(text, module).is_empty() {
            complaints.push(format!("src/README.md does not name {module}"));
        }
    }
    complaints
}

fn stems(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .filter_map(|p| p.file_stem())
        .map(|s| s.to_string_lossy().into_owned())
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with every complaint in the message.
fn silent(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn each_source(check: fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(!sources.is_empty(), "no source was found");
    silent(sources.iter().flat_map(check).collect());
}

mod tree {
    use super::*;

    #[test]
    fn imports_point_down() {
        each_source(check_floors);
    }

    #[test]
    fn only_the_redis_floor_names_the_server() {
        each_source(check_names_redis);
    }

    #[test]
    fn unsafe_stays_in_its_files_and_says_why() {
        each_source(check_unsafe);
        let here: Vec<String> = sources().into_iter().map(|source| source.path).collect();
        let gone = UNSAFE_FILES
            .iter()
            .filter(|file| !here.iter().any(|path| path == *file));
        silent(
            gone.map(|file| format!("{file} may say unsafe but is no file"))
                .collect(),
        );
    }

    #[test]
    fn functions_are_short() {
        each_source(check_functions);
    }

    #[test]
    fn lines_are_short_and_ascii() {
        each_source(check_lines);
    }

    #[test]
    fn nothing_is_left_unfinished() {
        each_source(check_words);
    }

    #[test]
    fn the_root_holds_what_it_may() {
        let entries = fs::read_dir(root()).unwrap().flatten();
        let names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        silent(check_root(&names, &read(".gitignore")));
    }

    #[test]
    fn every_server_test_is_in_the_run_list() {
        let units = files(&root().join("module-tests/unit"), "tcl");
        silent(check_run_list(
            &read("module-tests/tests.list"),
            &stems(&units),
        ));
    }

    #[test]
    fn the_named_crates_do_real_work() {
        let mut shipped = blank(&read("build.rs"));
        for source in sources()
            .iter()
            .filter(|source| module_of(&source.path) != "tidy")
        {
            shipped.push_str(&source.shipped());
        }
        silent(check_crates(&read("Cargo.toml"), &shipped));
    }

    #[test]
    fn markdown_has_one_first_heading() {
        let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().display().to_string();
        let files = files(&root(), "md");
        let check = |path| check_markdown(&name(path), &fs::read_to_string(path).unwrap());
        silent(files.iter().flat_map(check).collect());
    }

    #[test]
    fn the_map_of_src_is_short_and_whole() {
        silent(check_map(&read("src/README.md")));
    }
}
