//! Compiles the C that the module carries: arithmetic in `long double`, which Rust does not have;
//! and holds the C header of foreign strategies against its Rust form.

use std::mem::{offset_of, size_of};

#[path = "src/redis/plugin/abi.rs"]
mod abi;

fn main() {
    let source = "src/value/longdouble.c";
    println!("cargo:rerun-if-changed={source}");
    cc::Build::new()
        .file(source)
        .warnings_into_errors(true)
        .compile("redis_numa_longdouble");
    compare_layout();
}

/// Names and numbers of a struct, as `layout.c` asks for them.
macro_rules! layout {
    ($build:expr, $($type:ident: $($field:ident)*;)*) => {$(
        define($build, concat!("SIZE_", stringify!($type)), size_of::<abi::$type>() as i64);
        $(define(
            $build,
            concat!("OFFSET_", stringify!($type), "_", stringify!($field)),
            offset_of!(abi::$type, $field) as i64,
        );)*
    )*};
}

macro_rules! numbers {
    ($build:expr, $($name:ident)*) => {
        $(define($build, concat!("RUST_", stringify!($name)), abi::$name as i64);)*
    };
}

fn define(build: &mut cc::Build, name: &str, number: i64) {
    build.define(name, format!("({number})").as_str());
}

fn compare_layout() {
    let folder = "src/redis/plugin";
    for file in ["abi.rs", "layout.c", "numa_strategy.h"] {
        println!("cargo:rerun-if-changed={folder}/{file}");
    }
    let build = &mut cc::Build::new();
    layout!(build,
        NumaNode: used limit latency_ns id home;
        NumaKey: name name_len bytes idle_ms accesses move_ns db node level per_era pinned native;
        NumaMove: name name_len db to why benefit;
        NumaPlan: moves count error;
        NumaView: abi size now_ms era_ms budget_us budget_bytes budget_keys host now_us nodes look
            scan hot;
        NumaStrategy: abi size module name description settings hot_level reserved init cleanup
            execute set get;
    );
    numbers!(build, ABI MOVES_MAX OK ERR ERR_ABI ERR_SIZE ERR_NULL ERR_NAME ERR_TAKEN ERR_SLOT
        ERR_FULL ERR_UNKNOWN ERR_BUSY ERR_INIT NO_SLOT PROMOTE DEMOTE BALANCE);
    build
        .file(format!("{folder}/layout.c"))
        .warnings_into_errors(true)
        .compile_intermediates();
}
