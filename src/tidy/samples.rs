//! Bad samples: every check is seen to complain, and to keep quiet where all is well.

use super::*;

fn complaints(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn files_declared_for_tests_are_known() {
    let text =
        "#[cfg(test)]\nmod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(test)]\nmod c {}\nmod d;";
    assert_eq!(
        Source::new("pool/mod.rs", text).test_files(),
        ["pool/a", "pool/b"]
    );
    assert_eq!(Source::new("lib.rs", text).test_files(), ["a", "b"]);
    assert_eq!(
        Source::new("pool/x.rs", text).test_files(),
        ["pool/x/a", "pool/x/b"]
    );
}

#[test]
fn upward_and_sideways_imports_are_seen() {
    let bad = |path, text| assert_eq!(complaints(check_floors, path, text), 1, "{path} {text}");
    bad("pool/slab.rs", "use crate::value::X;");
    bad("pool/slab.rs", "use crate::{ids::{A, B}, heat::Clock};");
    bad("value/mod.rs", "fn f() { crate::redis::log() }");
    bad("value/mod.rs", "use super::command;");
    bad("pool/slab.rs", "use super::super::value::X;");
    bad("machine/linux.rs", "pub(crate) use crate::pool;");
    bad("stray.rs", "");
    bad("pool/slab.rs", "use crate::tidy;");
}

#[test]
fn downward_imports_and_those_of_tests_are_fine() {
    let good = |path, text| assert_eq!(complaints(check_floors, path, text), 0, "{path} {text}");
    good(
        "pool/slab.rs",
        "use crate::{ids::{A, B}, machine::Machine, pool::X}; use super::Y;",
    );
    good("config/mod.rs", "use crate::machine::X;");
    good(
        "value/string.rs",
        "#[cfg(test)]\nmod tests { use crate::redis::X; }",
    );
    good(
        "value/string.rs",
        "// crate::redis\nmod a { pub(crate) fn f() {} }",
    );
    good(
        "machine/simulated.rs",
        "mod mapped { use super::super::linux::X; }",
    );
    good("lib.rs", "use crate::command;");
}

#[test]
fn naming_the_server_above_or_below_its_floor_is_seen() {
    let count = |path| complaints(check_names_redis, path, "use redis_module::Context;");
    assert_eq!(
        ["value/mod.rs", "command/mod.rs", "redis/raw.rs", "lib.rs"].map(count),
        [1, 1, 0, 0]
    );
}

#[test]
fn unsafe_elsewhere_or_without_a_reason_is_seen() {
    let count = |path, text| complaints(check_unsafe, path, text);
    assert_eq!(count("value/mod.rs", "// SAFETY: x\nunsafe { f() }"), 1);
    assert_eq!(count("value/raw.rs", "unsafe { f() }"), 1);
    assert_eq!(
        count(
            "value/raw.rs",
            "// SAFETY: x\nf();\nunsafe impl Send for X {}"
        ),
        1
    );
    assert_eq!(
        count("value/raw.rs", "/// What it does.\nunsafe fn f() {}"),
        1
    );
    assert_eq!(count("value/raw.rs", "// SAFETY: x\n\nunsafe { f() }"), 1);
}

#[test]
fn unsafe_with_its_reason_is_fine() {
    let count = |text| complaints(check_unsafe, "value/raw.rs", text);
    assert_eq!(
        count("// SAFETY: x,\n// and y.\nlet a =\n    unsafe { f() };"),
        0
    );
    assert_eq!(
        count("/// # Safety\n/// * x\n#[inline]\npub unsafe fn f() {}"),
        0
    );
    assert_eq!(count("unsafe { f() } // SAFETY: x"), 0);
    assert_eq!(
        count("type F = unsafe extern \"C\" fn(i32);\nstruct X(unsafe fn());"),
        0
    );
    assert_eq!(
        count("#![expect(unsafe_code, reason = \"unsafe\")] // unsafe"),
        0
    );
}

#[test]
fn a_long_function_is_seen_and_a_declaration_is_not() {
    let body = "    x();\n".repeat(FUNCTION_LINES_MAX - 2);
    let count = |text: &str| complaints(check_functions, "ids.rs", text);
    assert_eq!(count(&format!("fn f() {{\n{body}}}\n")), 0);
    assert_eq!(count(&format!("fn f() {{\n{body}x();\n}}\n")), 1);
    assert_eq!(
        count(&format!(
            "trait T {{\nfn f(a: [u8; 2]) -> X;\n{body}{body}}}\n"
        )),
        0
    );
    assert_eq!(
        count(&format!("fn f() {{}}\nmod m {{\n{body}x();\n}}\n")),
        0
    );
}

#[test]
fn long_and_foreign_lines_are_seen() {
    let count = |text: &str| complaints(check_lines, "ids.rs", text);
    assert_eq!(count(&"x".repeat(COLUMNS_MAX)), 0);
    assert_eq!(count(&"x".repeat(COLUMNS_MAX + 1)), 1);
    assert_eq!(count("// \u{e9}"), 1);
}

#[test]
fn unfinished_words_and_prints_are_seen() {
    let count = |text: &str| complaints(check_words, "ids.rs", text);
    assert_eq!(count(concat!("// TO", "DO: later")), 1);
    assert_eq!(count(concat!("// FIX", "ME")), 1);
    assert_eq!(count("dbg!(x); println!(); eprintln!()"), 3);
    assert_eq!(count("// println!\nlet println = 1; \"dbg!\""), 0);
}

#[test]
fn a_stray_root_name_is_seen() {
    let names = ["src", "notes.txt", "dump.rdb"].map(str::to_owned);
    assert_eq!(
        check_root(&names, "/target/\n*.rdb\n"),
        ["notes.txt has no home at the root"]
    );
}

#[test]
fn a_test_out_of_the_run_list_is_seen_and_a_name_without_file() {
    let units = ["a", "b"].map(str::to_owned);
    assert_eq!(
        check_run_list("# b\na solo\nb # c\n", &units),
        Vec::<String>::new()
    );
    assert_eq!(check_run_list("# b\na\nc\n", &units).len(), 2);
}

#[test]
fn an_unnamed_or_unused_crate_is_seen() {
    let cargo = "redis-module = 1\nlibc = 1\nnuma_maps = 1\nonce_cell = 1\nlazy_static = 1\n";
    let code = "redis_module::a libc::b numa_maps::c once_cell::d lazy_static! cc::Build";
    assert_eq!(check_crates(cargo, code), ["Cargo.toml does not name cc"]);
    let cargo = format!("{cargo}cc = 1\n");
    assert!(check_crates(&cargo, code).is_empty());
    assert_eq!(
        check_crates(&cargo, &code.replace("libc::", "")),
        ["nothing uses libc"]
    );
}

#[test]
fn a_second_first_heading_is_seen() {
    assert!(check_markdown("a.md", "# A\n```\n# no\n```\n## B\n").is_empty());
    assert_eq!(check_markdown("a.md", "# A\n# B\n").len(), 1);
    assert_eq!(check_markdown("a.md", "text\n").len(), 1);
}

#[test]
fn a_map_that_is_long_or_lacks_a_floor_is_seen() {
    let all = FLOORS.concat().join(" ");
    assert!(check_map(&all).is_empty());
    assert_eq!(check_map(&all.replace("heat", "")).len(), 1);
    assert_eq!(
        check_map(&format!("{all}{}", "\n".repeat(README_LINES_MAX))).len(),
        1
    );
}
